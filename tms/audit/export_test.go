package audit

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// exported is an export of a log, of a part of it if change says so.
func exported(t testing.TB, l Log, change func(*Exporter)) (string, Exported) {
	t.Helper()
	e := Exporter{Log: l, Format: testFormat, Version: "1.2.3"}
	if change != nil {
		change(&e)
	}
	var b bytes.Buffer
	done, err := e.Export(t.Context(), &b)
	if err != nil {
		t.Fatal(err)
	}
	return b.String(), done
}

func verifiedExport(t testing.TB, text string, noted ...Checkpoint) Report {
	t.Helper()
	r, err := VerifyExport(t.Context(), strings.NewReader(text), VerifyOptions{Format: testFormat, Noted: noted})
	if err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	return r
}

func TestExport(t *testing.T) {
	l := newLog(7)
	text, done := exported(t, l, nil)
	if done != (Exported{Batches: 7, Records: 21, Checkpoints: 1, First: 1, Last: 7}) {
		t.Errorf("exported %+v", done)
	}
	r := verifiedExport(t, text, l.checkpoints[0])
	checkFaults(t, r)
	if r.Batches != 7 || r.Records != 21 || r.Checkpoints != 1 || r.Noted != 1 || r.Unsigned != 2 || r.Lines != 1+7*4+1+1 ||
		r.Version != "1.2.3" || !r.Compared || r.Begin != nil || r.Chain != l.of(7).Chain {
		t.Errorf("report: %+v", r)
	}
	for i, want := range []string{
		`{"countersign_audit":1,"version":"1.2.3","key":"csaudit1-`,
		`{"id":"1-0","at":"2027-01-15T08:01:00Z","text":"login 0 of batch 1","record":"AAAAAGtJ0jxsb2dpbiAwIG9mIGJhdGNoIDE="}`,
		`{"id":"1-1",`,
		`{"id":"1-2",`,
		`{"batch":1,"records":3,"chain":"` + l.of(1).Chain.String() + `"}`,
	} {
		if line := strings.Split(text, "\n")[i]; !strings.HasPrefix(line, want) {
			t.Errorf("line %d: %s\nwant %s", i+1, line, want)
		}
	}
}

func TestExportEmpty(t *testing.T) {
	text, _ := exported(t, newLog(0), nil)
	r := verifiedExport(t, text)
	checkFaults(t, r)
	if r.Batches != 0 || r.Lines != 2 {
		t.Errorf("report: %+v", r)
	}
	checkFaults(t, verifiedExport(t, ""), "line: line 1: it is not the first line of an export: there is nothing in it")
}

// oddLog has all that an export may have: a beginning after retention, bare batches,
// batches and records that cannot be read, and an empty one.
func oddLog() *memoryLog {
	l := &memoryLog{key: newKey("server")}
	l.addBare(1)
	l.addBare(2)
	l.addBare(0)
	l.add(1)
	l.sign()
	l.add(0)
	for _, records := range [][]byte{{}, {9, 9}, joinRecords([][]byte{{1}, record(noon, "\xff <&> {\"record\":\"\"}")})} {
		before, chain := l.head()
		l.batches = append(l.batches, Batch{Number: before + 1, Records: records, Chain: Link(chain, before+1, records)})
	}
	l.sign()
	l.add(1)
	return l
}

func TestExportOdd(t *testing.T) {
	l := oddLog()
	text, _ := exported(t, l, nil)
	r := verifiedExport(t, text, l.checkpoints...)
	var damaged []string
	for _, f := range r.Faults {
		damaged = append(damaged, f.Text)
	}
	// The records are what they are; the export is of them.
	if len(damaged) != 3 || r.Chain != l.of(9).Chain || r.Checkpoints != 2 || r.Noted != 2 || r.Bare != 3 {
		t.Errorf("faults:\n%s\nreport %+v", strings.Join(damaged, "\n"), r)
	}
	if !strings.Contains(text, `{"unreadable":true,"record":"AQ=="}`) || !strings.Contains(text, `{"bytes":"CQk="}`) || !strings.Contains(text, `{"bytes":""}`) {
		t.Errorf("export:\n%s", text)
	}
}

// smallExport has a range of a log, so that all kinds of lines are there.
func smallExport(t testing.TB) (string, *memoryLog) {
	l := &memoryLog{key: newKey("server")}
	for range 3 {
		l.addBare(1)
	}
	l.add(1)
	l.sign()
	l.add(2)
	before, chain := l.head()
	l.batches = append(l.batches, Batch{Number: before + 1, Records: []byte{1, 200}, Chain: Link(chain, before+1, []byte{1, 200})})
	l.sign()
	l.add(1)
	text, _ := exported(t, l, func(e *Exporter) { e.First = 3 })
	return text, l
}

// found says that an export has other faults than the one that smallExport has.
func found(t testing.TB, text string) (Report, bool) {
	r, err := VerifyExport(t.Context(), strings.NewReader(text), VerifyOptions{Format: testFormat})
	return r, err != nil || len(r.Faults) != 1 || r.Faults[0].Kind != Damaged
}

func TestExportFlipped(t *testing.T) {
	text, _ := smallExport(t)
	if r, bad := found(t, text); bad {
		t.Fatalf("faults: %+v in\n%s", r.Faults, text)
	}
	line := 1
	for i := range len(text) {
		changed := []byte(text)
		changed[i] ^= []byte{1, 0x20, 0x80}[i%3]
		r, bad := found(t, string(changed))
		if !bad {
			t.Errorf("byte %d of line %d changed from %q to %q, and nothing is found", i, line, text[i], changed[i])
		} else if !names(r, line) {
			t.Errorf("byte %d of line %d changed from %q to %q: %v", i, line, text[i], changed[i], r.Faults)
		}
		if text[i] == '\n' {
			line++
		}
	}
}

// names reports whether a fault is at a line, or the next two: a hash that was changed is
// found at the batch after it. What nothing depends on is found at the last line.
func names(r Report, line int) bool {
	return line == 1 || slices.ContainsFunc(r.Faults, func(f Fault) bool { return f.Line >= line && f.Line <= line+3 })
}

func TestExportCut(t *testing.T) {
	text, _ := smallExport(t)
	for i := range len(text) {
		if r, bad := found(t, text[:i]); !bad {
			t.Errorf("cut to %d bytes: %+v", i, r.Faults)
		}
	}
	for _, more := range []string{"\n", "x", text, text[:1], text[:100]} {
		if r, bad := found(t, text+more); !bad {
			t.Errorf("%q too much: %+v", more, r.Faults)
		}
	}
}

func TestExportLines(t *testing.T) {
	text, _ := smallExport(t)
	lines := strings.SplitAfter(strings.TrimSuffix(text, "\n"), "\n")
	lines[len(lines)-1] += "\n"
	check := func(what string, changed []string) {
		t.Helper()
		if r, bad := found(t, strings.Join(changed, "")); !bad {
			t.Errorf("%s: %+v", what, r.Faults)
		}
	}
	for i := range lines {
		check(fmt.Sprintf("line %d dropped", i+1), slices.Delete(slices.Clone(lines), i, i+1))
		check(fmt.Sprintf("line %d twice", i+1), slices.Insert(slices.Clone(lines), i, lines[i]))
		check(fmt.Sprintf("an empty line before line %d", i+1), slices.Insert(slices.Clone(lines), i, "\n"))
		for j := range i {
			swapped := slices.Clone(lines)
			swapped[i], swapped[j] = swapped[j], swapped[i]
			check(fmt.Sprintf("lines %d and %d swapped", j+1, i+1), swapped)
		}
	}
}

// TestExportForged changes exports as somebody would who knows how they are made.
func TestExportForged(t *testing.T) {
	l := newLog(12)
	text, _ := exported(t, l, nil)
	replace := func(old, new string) string {
		if strings.Count(text, old) != 1 {
			t.Fatalf("%q is there %d times", old, strings.Count(text, old))
		}
		return resum(strings.Replace(text, old, new, 1))
	}
	checkFaults(t, verifiedExport(t, replace(`"text":"login 1 of batch 8"`, `"text":"login 1 of batch 9"`)),
		"text: line 32: record 1 of batch 8 is not shown as it is")

	changed := l.clone()
	changed.of(8).Records[20]++
	checkFaults(t, verifiedExport(t, first(exported(t, changed, nil))), "changed: line 34: batch 8 was changed")
	changed.relink(8)
	checkFaults(t, verifiedExport(t, first(exported(t, changed, nil))), "rewritten: line 43: batches 6 to 10 are not what was signed")
	changed.resign(0, newKey("thief"))
	changed.key = newKey("thief")
	forged := first(exported(t, changed, nil))
	checkFaults(t, verifiedExport(t, forged))
	checkFaults(t, verifiedExport(t, forged, l.checkpoints[0]), "forged: line")
	r, err := VerifyExport(t.Context(), strings.NewReader(forged), VerifyOptions{Format: testFormat, Key: public(l.key)})
	if err != nil {
		t.Fatal(err)
	}
	checkFaults(t, r, "key: the log has the key", "forged: line 22: the checkpoints of batches 5 to 10 are not signed")

	cut := l.clone()
	cut.remove(9, 12)
	checkFaults(t, verifiedExport(t, first(exported(t, cut, nil))), "missing: line 35: batches 9 to 10 are missing at the end")
	cut.removeCheckpoints(9, 12)
	checkFaults(t, verifiedExport(t, first(exported(t, cut, nil)), l.checkpoints...), "missing: batches 9 to 10 are missing at the end")

	r = verifiedExport(t, "{\"countersign_audit\":1}\n")
	checkFaults(t, r, "line: line 1: it is not the first line of an export")
	_, err = VerifyExport(t.Context(), strings.NewReader(replace(`{"countersign_audit":1`, `{"countersign_audit":2`)), VerifyOptions{Format: testFormat})
	if err == nil || !strings.Contains(err.Error(), "it has format 2, and this version knows only 1") {
		t.Errorf("another format: %v", err)
	}
}

func first(text string, _ Exported) string { return text }

// resum makes the sum of an export anew.
func resum(text string) string {
	i := strings.LastIndex(text, `{"complete"`)
	x := sha256.New()
	x.Write([]byte(text[:i]))
	var sum Hash
	x.Sum(sum[:0])
	j := strings.LastIndex(text, `"sha256":"`) + len(`"sha256":"`)
	return text[:j] + sum.String() + text[j+64:]
}

func TestExportRange(t *testing.T) {
	l := newLog(22)
	for _, c := range []struct {
		name        string
		change      func(*Exporter)
		first, last uint64 // that are there
		signed      bool   // where it begins
	}{
		{"all", func(*Exporter) {}, 1, 22, false},
		{"from the first", func(e *Exporter) { e.First = 1 }, 1, 22, false},
		{"after a checkpoint", func(e *Exporter) { e.First = 11 }, 11, 22, true},
		{"between checkpoints", func(e *Exporter) { e.First, e.Last = 12, 13 }, 12, 15, false},
		{"up to a checkpoint", func(e *Exporter) { e.First, e.Last = 12, 15 }, 12, 15, false},
		{"up to the last checkpoint", func(e *Exporter) { e.Last = 18 }, 1, 20, false},
		{"up to what is not signed", func(e *Exporter) { e.First, e.Last = 21, 21 }, 21, 21, true},
		{"from a time", func(e *Exporter) { e.From = noon.Add(17 * time.Minute) }, 17, 22, false},
		{"from a second later", func(e *Exporter) { e.From = noon.Add(17*time.Minute + time.Second) }, 18, 22, false},
		{"from time and batch", func(e *Exporter) { e.From, e.First = noon.Add(17*time.Minute), 19 }, 19, 22, false},
		{"to a time", func(e *Exporter) { e.From, e.To = noon.Add(6*time.Minute), noon.Add(9*time.Minute) }, 6, 10, true},
		{"before all", func(e *Exporter) { e.From = noon.Add(-time.Hour) }, 1, 22, false},
		{"after all", func(e *Exporter) { e.From = noon.Add(time.Hour) }, 0, 0, false},
		{"up to before all", func(e *Exporter) { e.To = noon }, 0, 0, false},
		{"beyond the end", func(e *Exporter) { e.First = 30 }, 0, 0, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text, done := exported(t, l, c.change)
			if done.First != c.first || done.Last != c.last {
				t.Errorf("batches %d to %d, want %d to %d", done.First, done.Last, c.first, c.last)
			}
			r := verifiedExport(t, text, l.checkpoints...)
			checkFaults(t, r)
			if n := r.Noted + len(r.Before) + len(r.After); n != len(l.checkpoints) {
				t.Errorf("%d noted checkpoints are accounted for", n)
			}
			if begin := r.Begin; (c.first > 1 && begin == nil) || begin != nil && (len(begin.Signature) > 0) != c.signed {
				t.Errorf("it begins after %+v", begin)
			}
			if c.last > 0 && c.last < 21 && r.Unsigned > 0 {
				t.Errorf("%d batches are not signed", r.Unsigned)
			}
		})
	}
}

// TestExportRangeOfBare begins within batches that have no hash.
func TestExportRangeOfBare(t *testing.T) {
	l := &memoryLog{key: newKey("server")}
	for range 5 {
		l.addBare(1)
	}
	l.add(1)
	l.sign()
	text, done := exported(t, l, func(e *Exporter) { e.First = 4 })
	checkFaults(t, verifiedExport(t, text))
	if done.First != 4 || done.Batches != 3 {
		t.Errorf("exported %+v", done)
	}
	l.retain(l.checkpoints[0])
	l.addBare(1)
	l.add(1)
	text, _ = exported(t, l, func(e *Exporter) { e.First = 8 })
	r := verifiedExport(t, text)
	if r.Begin.Batch != 7 || len(r.Begin.Signature) > 0 {
		t.Errorf("it begins after %+v", r.Begin)
	}
	text, _ = exported(t, l, nil)
	checkFaults(t, verifiedExport(t, text), "unchained: line 3: batch 7 has no hash, though there is one before")
}

// brokenWriter writes so many bytes.
type brokenWriter int

func (w *brokenWriter) Write(p []byte) (int, error) {
	if *w -= brokenWriter(len(p)); *w < 0 {
		return 0, errors.New("the disk is full")
	}
	return len(p), nil
}

func TestExportErrors(t *testing.T) {
	l := newLog(2000)
	w := brokenWriter(200 << 10)
	e := Exporter{Log: l, Format: testFormat}
	if _, err := e.Export(t.Context(), &w); err == nil || !strings.Contains(err.Error(), "exporting the audit log after batch") {
		t.Errorf("a full disk: %v", err)
	}
	e.Format = Format{}
	if _, err := e.Export(t.Context(), &w); err == nil {
		t.Error("an export without a format")
	}
	if _, err := VerifyExport(t.Context(), strings.NewReader(""), VerifyOptions{}); err == nil {
		t.Error("a verification without a format")
	}
}

// TestExportLong has a batch with a record that is too long for a line, and a line that
// is too long.
func TestExportLong(t *testing.T) {
	l := newLog(1)
	before, chain := l.head()
	long := joinRecords([][]byte{record(noon, strings.Repeat("x", maxLine)), record(noon, "y")})
	l.batches = append(l.batches, Batch{Number: 2, Records: long, Chain: Link(chain, before+1, long)})
	l.add(1)
	text, done := exported(t, l, nil)
	r := verifiedExport(t, text)
	checkFaults(t, r)
	if done.Records != 4 || r.Records != 6 {
		t.Errorf("%d and %d records", done.Records, r.Records)
	}
	i := strings.Index(text, `{"id":"1-1"`)
	checkFaults(t, verifiedExport(t, text[:i]+strings.Repeat("z", maxLine+1)+"\n"+text[i:]), "line: line 3: it is longer than")
	checkFaults(t, verifiedExport(t, text[:i]+strings.Repeat("z", maxLine+1)), "line: line 3: it is longer than", "incomplete: line 3: the export is cut off within")
}
