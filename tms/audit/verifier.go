package audit

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"math"
	"slices"
	"time"
)

// verifier follows a chain, batch by batch, and goes on after a fault: a hash that is
// stored is believed for the batches after it, so that one batch that was changed is told
// from all.
type verifier struct {
	o      VerifyOptions
	key    ed25519.PublicKey
	report Report
	faults faults
	doubts faults
	line   int // of an export

	noted   []Checkpoint // still to come, in order
	span    span         // since a checkpoint of the log, be it right or not
	begin   uint64       // number of the batch before the first
	last    uint64       // number of the last batch, be it there or only signed
	signed  uint64       // up to this one a checkpoint was right
	beyond  *Checkpoint  // the last that was of a batch that was not there
	known   []Hash       // what the hash of the last batch may be; none when nobody knows
	bare    uint64       // the first of the batches that no hash has covered yet, or 0
	chained bool         // there was one that has a hash, so those after it must have one
}

// newVerifier returns a verifier of a log with this public key.
func newVerifier(o VerifyOptions, logKey ed25519.PublicKey) (*verifier, error) {
	v := &verifier{o: o, key: o.Key, known: []Hash{{}}}
	if v.key == nil {
		v.key = logKey
	}
	if len(v.key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("the key of the checkpoints has %d bytes and not %d", len(v.key), ed25519.PublicKeySize)
	}
	v.report.Key, v.report.LogKey = v.key, logKey
	if !v.key.Equal(logKey) {
		v.fault(Fault{Kind: KeyDiffers, why: fmt.Sprintf("the log has the key %s and not %s", FormatKey(logKey), FormatKey(v.key))})
	}
	v.noted = slices.Clone(o.Noted)
	slices.SortStableFunc(v.noted, func(a, b Checkpoint) int { return cmp.Compare(a.Batch, b.Batch) })
	return v, nil
}

func (v *verifier) fault(f Fault) {
	f.Line = v.line
	v.faults.add(f)
}

// retained says that the log begins where retention has ended, which has to be signed.
func (v *verifier) retained(c *Checkpoint) {
	if v.report.Retained = c.BeginsBy(v.key); !v.report.Retained {
		v.fault(Fault{Kind: CutOff, Batch: 1, To: c.Batch, why: "{batches} {is} cut off: nothing proves that retention removed what was before"})
	}
	v.beginAfter(c)
}

// beginPart says where an export of a part begins: after a checkpoint or, if it has no
// signature, a hash.
func (v *verifier) beginPart(c *Checkpoint) {
	if len(c.Signature) > 0 && !c.SignedBy(v.key) {
		v.fault(Fault{Kind: Forged, Batch: c.Batch, why: "the checkpoint of {batches}, after which the export begins, is not signed by the key " + FormatKey(v.key)})
		v.faults.close(Forged)
	}
	v.beginAfter(c)
}

func (v *verifier) beginAfter(c *Checkpoint) {
	v.report.Begin = c
	v.chained = len(c.Signature) > 0
	v.begin, v.last, v.signed, v.known = c.Batch, c.Batch, c.Batch, []Hash{c.Chain}
	v.report.Before = v.outside(v.begin)
}

// outside takes the noted checkpoints of batches before one, which are not there and need
// not be, and returns those that are signed.
func (v *verifier) outside(number uint64) (right []Checkpoint) {
	for len(v.noted) > 0 && v.noted[0].Batch < number {
		c := v.noted[0]
		v.noted = v.noted[1:]
		if c.SignedBy(v.key) {
			right = append(right, c)
		} else {
			v.forged(&c, "noted ")
		}
	}
	return right
}

// next follows the chain to the next batch.
func (v *verifier) next(b *Batch) {
	v.upTo(b.Number)
	if b.Number <= v.last {
		v.fault(Fault{Kind: Misplaced, Batch: b.Number, why: fmt.Sprintf("{batches} comes after batch %d", v.last)})
		return
	}
	if b.Number-1 > v.last {
		v.missing(b.Number-1, fmt.Sprintf(", so batch %d cannot be verified", b.Number))
		v.known = nil
	}
	v.count(b)
	v.read(b)
	v.link(b)
	v.last = b.Number
	if v.o.Progress != nil {
		v.o.Progress(b.Number)
	}
}

func (v *verifier) count(b *Batch) {
	r := &v.report
	r.Batches++
	r.Unsigned++
	r.Last = b.Number
	if r.First == 0 {
		r.First = b.Number
	}
	if b.Bare {
		r.Bare++
	}
}

// read reads the records of a batch.
func (v *verifier) read(b *Batch) {
	f := &v.o.Format
	if f.Split == nil {
		return
	}
	err := f.Split(b.Records, func(index uint32, record []byte) error {
		v.report.Records++
		if f.Parse == nil {
			return nil
		}
		at, err := f.Parse(record)
		if err != nil {
			v.fault(Fault{Kind: Damaged, Batch: b.Number, why: fmt.Sprintf("record %d of {batches} cannot be read: %v", index, err)})
			return nil
		}
		v.passed(b, at)
		return nil
	})
	if err != nil {
		v.fault(Fault{Kind: Damaged, Batch: b.Number, why: fmt.Sprintf("{batches} cannot be read: %v", err)})
	}
}

// passed takes the time of a record. Those of before there was a chain are under no
// checkpoint of their own.
func (v *verifier) passed(b *Batch, at time.Time) {
	r := &v.report
	if r.FirstAt.IsZero() {
		r.FirstAt = at
	}
	r.LastAt = at
	if !b.Bare {
		v.span.take(b.Number, at)
	}
}

// link compares the hash of a batch with what the one before makes it.
func (v *verifier) link(b *Batch) {
	made := make([]Hash, 0, 2)
	for _, before := range v.known {
		made = append(made, Link(before, b.Number, b.Records))
	}
	if b.Bare {
		v.linkBare(b, made)
		return
	}
	v.report.Chain = b.Chain
	v.known, v.chained = []Hash{b.Chain}, true
	switch i := slices.Index(made, b.Chain); {
	case i == 1:
		v.hashChanged()
	case i < 0 && len(made) > 0:
		v.changed(b.Number)
		v.known = append(v.known, made[0])
	}
	v.bare = 0
}

// changed finds that a batch does not go with the hash of the one before.
func (v *verifier) changed(number uint64) {
	f := Fault{Kind: Changed, Batch: number, Line: v.line, why: "{batches} {was} changed: the records do not go with the hash"}
	switch {
	case v.bare > 0:
		f.Batch, f.To = v.bare, number
		f.why = fmt.Sprintf("one of {batches} was changed: the hash of batch %d, the first that has one, does not go with them", number)
	case v.signed < v.last:
		f.why += fmt.Sprintf(". Or batch %d was, and its hash was made anew", v.last)
	}
	v.faults.next(f)
}

// hashChanged finds that not the records of the last batch were changed but its hash.
func (v *verifier) hashChanged() {
	if f := v.faults.open[Changed]; f != nil && f.Batch == v.last {
		v.faults.reword(Changed, v.last, "the hash of {batches} was changed; the records are as they were")
	}
}

func (v *verifier) missing(to uint64, why string) {
	v.faults.next(Fault{Kind: Missing, Batch: v.last + 1, To: to, Line: v.line, why: "{batches} {is} missing" + why})
}

// upTo takes the noted checkpoints of batches before one, and all of them at the highest
// number.
func (v *verifier) upTo(number uint64) {
	for len(v.noted) > 0 && (v.noted[0].Batch < number || number == math.MaxUint64) {
		c := v.noted[0]
		v.noted = v.noted[1:]
		if v.compare(&c, "noted ") {
			v.report.Noted++
		}
	}
}

// checkpoint takes a checkpoint of the log, after the batch it is of.
func (v *verifier) checkpoint(c *Checkpoint) {
	v.upTo(c.Batch)
	v.endSpan(min(v.last, c.Batch), true)
	v.bareSigned(c)
	if v.compare(c, "") {
		v.report.Checkpoints++
		v.report.Checkpoint = c
		v.report.Unsigned = 0
	}
}

// compare compares a checkpoint with the chain.
func (v *verifier) compare(c *Checkpoint, noted string) bool {
	at := c.At.UTC().Format(timeText)
	switch {
	case !c.SignedBy(v.key):
		v.forged(c, noted)
		return false
	case c.Batch < v.last:
		v.fault(Fault{Kind: Misplaced, Batch: c.Batch, why: fmt.Sprintf("the %scheckpoint of {batches} comes after batch %d", noted, v.last)})
		return false
	case c.Batch > v.last:
		v.missing(c.Batch, fmt.Sprintf(": the %scheckpoint of %s is of batch %d", noted, at, c.Batch))
		v.last, v.signed, v.known, v.bare, v.beyond = c.Batch, c.Batch, []Hash{c.Chain}, 0, c
		return false
	}
	i := slices.Index(v.known, c.Chain)
	if i < 0 && len(v.known) > 0 {
		v.faults.same(Fault{Kind: Rewritten, Batch: min(v.signed+1, c.Batch), To: c.Batch, Line: v.line,
			why: fmt.Sprintf("{batches} {is} not what was signed: the %scheckpoint of batch %d, of %s, has another hash", noted, c.Batch, at)})
		return false
	}
	if i == 1 {
		v.hashChanged()
	}
	v.signed, v.known, v.bare = c.Batch, []Hash{c.Chain}, 0
	v.faults.close(Forged)
	v.faults.close(Rewritten)
	return true
}

// forged finds that a checkpoint is not signed by the key.
func (v *verifier) forged(c *Checkpoint, noted string) {
	f := Fault{Kind: Forged, Batch: c.Batch, Line: v.line}
	if noted != "" {
		f.why = "the noted checkpoint of {batches} is not signed by the key " + FormatKey(v.key)
		v.fault(f)
		v.faults.close(Forged)
		return
	}
	f.why = "the checkpoint{s} of {batches} {is} not signed by the key " + FormatKey(v.key)
	v.faults.same(f)
}

// end says what can be said only when there are no more batches.
func (v *verifier) end() Report {
	r := &v.report
	v.upTo(v.last + 1)
	if r.Bounded {
		r.After = v.outside(math.MaxUint64)
	}
	v.upTo(math.MaxUint64)
	if c := v.beyond; c != nil && v.last > r.Last {
		v.faults.reword(Missing, v.last, fmt.Sprintf("{batches} {is} missing at the end: the checkpoint of %s is of batch %d. The log is an older copy, or its end was cut off",
			c.At.UTC().Format(timeText), c.Batch))
	}
	v.bareCovered()
	v.endSpan(r.Last, false)
	r.Faults, r.More, r.Doubts = v.faults.list, v.faults.more, v.doubts.list
	return *r
}
