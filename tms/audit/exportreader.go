package audit

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
)

// maxPending bounds what is held of a batch until its last line.
const maxPending = 256 << 20

// VerifyExport verifies what an Exporter has written. Format.Split and Format.Join are
// needed; without Format.Render what people read is not compared with the records. An
// error says that r cannot be read; all that is wrong with the export is in the report.
func VerifyExport(ctx context.Context, r io.Reader, o VerifyOptions) (Report, error) {
	if o.Format.Split == nil || o.Format.Join == nil {
		return Report{}, errors.New("verifying an export: the format of records is not known")
	}
	x := &exportReader{in: lineReader{r: bufio.NewReaderSize(r, 64<<10), sum: sha256.New()}}
	if err := x.head(o); err != nil {
		return Report{}, fmt.Errorf("reading an export: %w", err)
	}
	if x.v == nil {
		return Report{Lines: x.in.n, Faults: []Fault{x.bad}}, nil
	}
	for !x.stopped {
		line, err := x.in.next()
		x.v.line = x.in.n
		switch {
		case errors.Is(err, io.EOF):
			x.stopped = true
			continue
		case errors.Is(err, errLongLine):
			x.fault(BadLine, err.Error())
			continue
		case err != nil:
			return Report{}, fmt.Errorf("reading line %d of an export: %w", x.in.n, err)
		}
		x.line(line)
		x.in.sum.Write(line)
		if err := ctx.Err(); err != nil {
			return Report{}, err
		}
	}
	return x.report(), nil
}

// exportReader is a verification of an export.
type exportReader struct {
	v       *verifier
	in      lineReader
	bad     Fault // why there is no verifier
	stopped bool  // there is no more to read

	// What came of the batch whose line is still to come.
	lines  []shownRecord
	bytes  []byte // when it is not shown by its records
	chunks int    // of bytes
	held   int    // how many bytes all that has

	records, checkpoints uint64 // in the export, be they right or not
	ended                bool   // the last line was there
}

// shownRecord is the line of a record.
type shownRecord struct {
	line         int
	text, record []byte
}

// head reads the first line and makes the verifier.
func (x *exportReader) head(o VerifyOptions) error {
	line, err := x.in.next()
	switch {
	case errors.Is(err, io.EOF):
		return x.noHead(errors.New("there is nothing in it"))
	case errors.Is(err, errLongLine):
		return x.noHead(err)
	case err != nil:
		return err
	}
	x.in.sum.Write(line)
	h, err := parseHead(line)
	if err != nil {
		return x.noHead(err)
	}
	if h.Format != exportFormat {
		return fmt.Errorf("it has format %d, and this version knows only %d", h.Format, exportFormat)
	}
	key, begin, retained, err := h.values()
	if err != nil {
		return x.noHead(err)
	}
	if x.v, err = newVerifier(o, key); err != nil {
		return err
	}
	x.v.line = 1
	x.v.report.Version, x.v.report.Compared = h.Version, o.Format.Render != nil
	switch {
	case retained:
		x.v.retained(begin)
	case begin != nil:
		x.v.beginPart(begin)
	}
	return nil
}

// noHead says why there is no verifier.
func (x *exportReader) noHead(why error) error {
	x.bad = Fault{Kind: BadLine, Line: 1, why: "it is not the first line of an export: " + why.Error()}
	x.bad.describe()
	return nil
}

func (x *exportReader) fault(kind FaultKind, why string) {
	x.v.fault(Fault{Kind: kind, why: why})
}

// line takes a line after the first.
func (x *exportReader) line(line []byte) {
	text, whole := bytes.CutSuffix(line, []byte{'\n'})
	if !whole {
		x.fault(Incomplete, "the line is cut off")
		return
	}
	if x.ended {
		x.fault(BadLine, "it comes after the last line")
		return
	}
	record, ok, err := recordOf(text)
	switch {
	case err != nil:
	case ok:
		err = x.record(text, record)
	case bytes.HasPrefix(text, batchStart):
		err = x.batch(text)
	case bytes.HasPrefix(text, checkpointStart):
		err = x.checkpoint(text)
	case bytes.HasPrefix(text, bytesStart):
		err = x.chunk(text)
	case bytes.HasPrefix(text, endStart):
		err = x.end(text)
	default:
		err = errors.New("it is not a line of an export")
	}
	if err != nil {
		x.fault(BadLine, err.Error())
	}
}

// hold counts what is held of a batch.
func (x *exportReader) hold(n int) error {
	if x.held += n; x.held > maxPending {
		x.stopped = true
		return fmt.Errorf("the batch after batch %d has more than %d bytes: the rest is not read", x.v.last, maxPending)
	}
	return nil
}

// record takes the line of a record.
func (x *exportReader) record(text, record []byte) error {
	x.lines = append(x.lines, shownRecord{x.in.n, bytes.Clone(text), record})
	return x.hold(len(text) + len(record))
}

// chunk takes a part of a batch that is not shown by its records.
func (x *exportReader) chunk(text []byte) error {
	var l bytesLine
	if err := decodeLine(text, &l); err != nil {
		return err
	}
	x.chunks++
	x.bytes = append(x.bytes, l.Bytes...)
	return x.hold(len(l.Bytes))
}

// batch takes the line after the records of a batch.
func (x *exportReader) batch(text []byte) error {
	var l batchLine
	if err := decodeLine(text, &l); err != nil {
		return err
	}
	b := Batch{Number: l.Batch, Bare: l.Chain == nil, Records: x.bytes}
	if x.chunks == 0 {
		b.Records = x.join()
	}
	if l.Chain != nil {
		b.Chain = *l.Chain
	}
	switch n := uint64(len(x.lines)); {
	case n != l.Records:
		x.v.fault(Fault{Kind: BadLine, Batch: l.Batch, why: fmt.Sprintf("{batches} has %d records here and not %d: lines are missing, or too much", n, l.Records)})
	case n > 0 && x.chunks > 0:
		x.v.fault(Fault{Kind: BadLine, Batch: l.Batch, why: "{batches} is shown both by its records and as bytes"})
	default:
		x.compare(l.Batch)
	}
	x.records += uint64(len(x.lines))
	x.lines, x.bytes, x.chunks, x.held = nil, nil, 0, 0
	x.v.next(&b)
	return nil
}

// join makes a batch of its records.
func (x *exportReader) join() []byte {
	var records [][]byte
	for i := range x.lines {
		records = append(records, x.lines[i].record)
	}
	return x.v.o.Format.Join(records)
}

// compare compares what the lines of a batch show with what their records say.
func (x *exportReader) compare(batch uint64) {
	f := &x.v.o.Format
	if f.Render == nil {
		return
	}
	for i, shown := range x.lines {
		if !bytes.Equal(f.recordLine(batch, uint32(i), shown.record), shown.text) {
			x.v.faults.add(Fault{Kind: TextDiffers, Batch: batch, Line: shown.line, why: fmt.Sprintf(
				"record %d of {batches} is not shown as it is: what people read is not what its bytes say (the export was written by version %q)", i, x.v.report.Version)})
		}
	}
}

func (x *exportReader) checkpoint(text []byte) error {
	var l checkpointLine
	if err := decodeLine(text, &l); err != nil {
		return err
	}
	c, err := l.Checkpoint.checkpoint()
	if err != nil {
		return err
	}
	if len(x.lines)+x.chunks > 0 {
		return fmt.Errorf("the checkpoint of batch %d comes between the records of a batch", c.Batch)
	}
	x.checkpoints++
	x.v.checkpoint(&c)
	return nil
}

// end takes the last line.
func (x *exportReader) end(text []byte) error {
	var l endLine
	if err := decodeLine(text, &l); err != nil {
		return err
	}
	x.ended = true
	var sum Hash
	x.in.sum.Sum(sum[:0])
	r := &x.v.report
	r.Bounded = l.Bounded
	switch {
	case len(x.lines)+x.chunks > 0:
		return errors.New("it comes between the records of a batch")
	case !x.counted(&l):
		return fmt.Errorf("there are %d batches, %d records and %d checkpoints before it, up to batch %d, and it says %d, %d, %d and %d: lines are missing, or too much",
			r.Batches, x.records, x.checkpoints, r.Last, l.Batches, l.Records, l.Checkpoints, l.Last)
	case x.v.beyond == nil && len(x.v.known) > 0 && l.Chain != x.v.known[0]:
		return errors.New("its hash is not that of the last batch")
	case l.Sum != sum && !x.explained():
		return errors.New("its sum is not that of the lines before it: one was changed where nothing else tells, the first perhaps")
	}
	return nil
}

// counted reports whether the last line goes with what was before it.
func (x *exportReader) counted(l *endLine) bool {
	r := &x.v.report
	return l.Complete && l.Batches == r.Batches && l.Records == x.records && l.Checkpoints == x.checkpoints && l.Last == r.Last
}

// explained reports whether a fault was found that may be why the sum is another.
func (x *exportReader) explained() bool {
	for _, f := range x.v.faults.list {
		if f.Kind != Damaged && f.Kind != Unchained && f.Kind != KeyDiffers {
			return true
		}
	}
	return false
}

// report ends the verification.
func (x *exportReader) report() Report {
	switch {
	case x.ended:
	case len(x.lines)+x.chunks > 0:
		x.fault(Incomplete, fmt.Sprintf("the export is cut off within the batch after batch %d", x.v.last))
	default:
		x.fault(Incomplete, fmt.Sprintf("the export is cut off after batch %d", x.v.last))
	}
	x.v.line = 0
	r := x.v.end()
	r.Lines = x.in.n
	return r
}
