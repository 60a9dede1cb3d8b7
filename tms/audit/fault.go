package audit

import (
	"fmt"
	"strings"
)

// MaxFaults is how many faults a Report lists.
const MaxFaults = 100

// Fault is something that is wrong.
type Fault struct {
	Kind FaultKind
	// Batch is where, To the last batch when it is about several; both are 0 when it is
	// about none.
	Batch, To uint64
	Line      int    // of an export, from 1; 0 when it is about none
	Text      string // a sentence for people, which has the place in it

	why string
}

// FaultKind is what is wrong.
type FaultKind string

// The kinds of faults.
const (
	KeyDiffers  FaultKind = "key"        // the log's key is not the pinned one
	Missing     FaultKind = "missing"    // batches are not there
	CutOff      FaultKind = "cut_off"    // the beginning is not there, and it was not retention
	Changed     FaultKind = "changed"    // the records, or the hash, of batches
	Damaged     FaultKind = "damaged"    // records cannot be read
	Misplaced   FaultKind = "misplaced"  // a batch or a checkpoint out of its place, or there twice
	Unchained   FaultKind = "unchained"  // a batch has lost its hash
	Forged      FaultKind = "forged"     // a checkpoint is not signed by the key
	Rewritten   FaultKind = "rewritten"  // the chain is not the one that was signed
	NotSigned   FaultKind = "not_signed" // no checkpoint for long
	TextDiffers FaultKind = "text"       // what an export shows is not what the record says
	BadLine     FaultKind = "line"       // a line of an export that is none
	Incomplete  FaultKind = "incomplete" // the end of an export is missing
)

// faults are the first MaxFaults, and how many more there were. What is wrong with one
// batch after the other is one fault.
type faults struct {
	list []Fault
	more uint64
	open map[FaultKind]*Fault // the last of a kind, while it can become longer
}

// add adds a fault. Its why is its Text with {batches} for "batch 17" or "batches 17 to
// 20", and with {was}, {is}, {has} and {s}.
func (f *faults) add(fault Fault) {
	fault.To = max(fault.Batch, fault.To)
	delete(f.open, fault.Kind)
	if len(f.list) == MaxFaults {
		f.more++
		return
	}
	if f.list == nil {
		f.list, f.open = make([]Fault, 0, MaxFaults), make(map[FaultKind]*Fault)
	}
	fault.describe()
	f.list = append(f.list, fault)
	f.open[fault.Kind] = &f.list[len(f.list)-1]
}

// next adds a fault, or makes the last of its kind longer if that ends at the batch
// before.
func (f *faults) next(fault Fault) {
	if last := f.open[fault.Kind]; last == nil || last.To+1 != fault.Batch {
		f.add(fault)
	} else {
		last.reach(fault)
	}
}

// same adds a fault, or makes the last of its kind longer if close was not called since.
func (f *faults) same(fault Fault) {
	if last := f.open[fault.Kind]; last == nil {
		f.add(fault)
	} else {
		last.reach(fault)
	}
}

func (f *faults) close(kind FaultKind) { delete(f.open, kind) }

// reword says anew what is wrong, if the last fault of a kind ends at a batch.
func (f *faults) reword(kind FaultKind, to uint64, why string) {
	if last := f.open[kind]; last != nil && last.To == to {
		last.why = why
		last.describe()
		f.close(kind)
	}
}

// reach makes a fault longer.
func (f *Fault) reach(next Fault) {
	f.To, f.why = max(next.Batch, next.To), next.why
	f.describe()
}

// describe makes the sentence.
func (f *Fault) describe() {
	words := []string{"{batches}", fmt.Sprintf("batch %d", f.Batch), "{was}", "was", "{is}", "is", "{has}", "has", "{s}", ""}
	if f.To > f.Batch {
		words = []string{"{batches}", fmt.Sprintf("batches %d to %d", f.Batch, f.To), "{was}", "were", "{is}", "are", "{has}", "have", "{s}", "s"}
	}
	f.Text = strings.NewReplacer(words...).Replace(f.why)
	if f.Line > 0 {
		f.Text = fmt.Sprintf("line %d: %s", f.Line, f.Text)
	}
}
