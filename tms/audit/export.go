package audit

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"
)

// Exporter writes a log as JSON lines.
type Exporter struct {
	Log     Log
	Format  Format // all of it is needed
	Version string // of the program, for the first line

	// The range, in whole batches; what is left at zero is no bound. Its end is moved to
	// the next batch that has a checkpoint, so that all of it is under a signature.
	First, Last uint64
	From, To    time.Time // not before From, and before To
	// Progress is told the number of each batch that was written. It may be nil.
	Progress func(batch uint64)
}

// Exported is what was written.
type Exported struct {
	Batches, Records, Checkpoints uint64
	First, Last                   uint64 // numbers of batches, 0 when there was none
}

// Export writes what is in the range. A log that has faults is written as it is:
// VerifyExport will find them.
func (e *Exporter) Export(ctx context.Context, w io.Writer) (Exported, error) {
	f := &e.Format
	if f.Split == nil || f.Join == nil || f.Parse == nil || f.Render == nil {
		return Exported{}, errors.New("exporting the audit log: the format of records is not known")
	}
	key, err := e.Log.AuditKey(ctx)
	if err != nil {
		return Exported{}, fmt.Errorf("reading the key of the audit log: %w", err)
	}
	begin, retained, err := e.begin(ctx)
	if err != nil {
		return Exported{}, fmt.Errorf("reading where the export begins: %w", err)
	}
	x := &export{Exporter: e, w: bufio.NewWriterSize(w, 64<<10), sum: sha256.New(), chain: begin.Chain, at: begin.Batch}
	if err := x.write(ctx, key, &begin, retained); err != nil {
		return x.done, fmt.Errorf("exporting the audit log after batch %d: %w", x.at, err)
	}
	return x.done, nil
}

// export is one under way.
type export struct {
	*Exporter
	w     *bufio.Writer
	sum   hash.Hash
	done  Exported
	at    uint64 // number of the last batch
	chain Hash   // of it
	under uint64 // batch of the last checkpoint

	limited bool   // it is known where the range ends
	limit   uint64 // number of its last batch
}

func (x *export) write(ctx context.Context, key ed25519.PublicKey, begin *Checkpoint, retained bool) error {
	head := headLine{Format: exportFormat, Version: x.Version, Key: FormatKey(key)}
	if begin.Batch > 0 {
		line := lineOf(begin)
		head.Begin, head.Retain = &line, retained
	}
	err := x.line(encodeLine(head))
	if err == nil {
		err = x.body(ctx)
	}
	if err == nil {
		err = x.end()
	}
	return err
}

// body writes the batches and checkpoints of the range, and goes on to the next
// checkpoint.
func (x *export) body(ctx context.Context) error {
	w := walk{log: x.Log, batch: x.batch, checkpoint: x.checkpoint}
	if err := w.run(ctx, x.at); err != nil {
		return err
	}
	if !x.limited || x.done.Batches == 0 || x.under == x.at {
		return nil
	}
	c, err := firstCheckpoint(ctx, x.Log, x.at)
	if err != nil || c.Batch == 0 {
		return err
	}
	x.limit = c.Batch
	return w.run(ctx, x.at)
}

func (x *export) batch(b *Batch) error {
	if !x.wanted(b) {
		return errStop
	}
	lines, ok := x.Format.recordLines(b)
	line := batchLine{Batch: b.Number, Records: uint64(len(lines))}
	if !ok {
		lines, line.Records = byteLines(b), 0
	}
	if b.Bare {
		x.chain = Link(x.chain, b.Number, b.Records)
	} else {
		x.chain, line.Chain = b.Chain, &b.Chain
	}
	for _, l := range append(lines, encodeLine(line)) {
		if err := x.line(l); err != nil {
			return err
		}
	}
	x.at = b.Number
	x.done.Batches++
	x.done.Records += line.Records
	x.done.Last = b.Number
	if x.done.First == 0 {
		x.done.First = b.Number
	}
	if x.Progress != nil {
		x.Progress(b.Number)
	}
	return nil
}

// wanted reports whether a batch is in the range. The first that is not sets the limit.
func (x *export) wanted(b *Batch) bool {
	if !x.limited {
		late := x.Last > 0 && b.Number > x.Last
		if !late && !x.To.IsZero() {
			first, _, ok := x.Format.times(b)
			late = ok && !first.Before(x.To)
		}
		if late {
			x.limited, x.limit = true, x.at
		}
	}
	return !x.limited || b.Number <= x.limit
}

func (x *export) checkpoint(c *Checkpoint) error {
	if x.limited && c.Batch > x.limit {
		return errStop
	}
	x.under = c.Batch
	x.done.Checkpoints++
	return x.line(encodeLine(checkpointLine{lineOf(c)}))
}

func (x *export) end() error {
	d := &x.done
	last := endLine{Complete: true, Batches: d.Batches, Records: d.Records, Checkpoints: d.Checkpoints, Last: d.Last, Bounded: x.limited, Chain: x.chain}
	x.sum.Sum(last.Sum[:0])
	if err := x.line(encodeLine(last)); err != nil {
		return err
	}
	return x.w.Flush()
}

func (x *export) line(text []byte) error {
	x.sum.Write(text)
	x.sum.Write([]byte{'\n'})
	if _, err := x.w.Write(text); err != nil {
		return err
	}
	return x.w.WriteByte('\n')
}
