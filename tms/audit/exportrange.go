package audit

import (
	"bytes"
	"context"
	"errors"
	"time"
)

// begin finds the last batch before the range and its hash; the number is 0 when there
// is none. retained says that it is where the log begins, because retention has ended there.
func (e *Exporter) begin(ctx context.Context) (begin Checkpoint, retained bool, err error) {
	begin, ok, err := e.Log.Begin(ctx)
	if err != nil {
		return begin, false, err
	}
	if !ok {
		begin = Checkpoint{}
	}
	first := max(begin.Batch+1, e.First)
	if !e.From.IsZero() {
		since, err := e.firstSince(ctx, begin.Batch)
		if err != nil {
			return begin, false, err
		}
		first = max(first, since)
	}
	if first == begin.Batch+1 {
		return begin, ok, nil
	}
	at, err := e.before(ctx, begin, first)
	return at, ok && at.Batch == begin.Batch, err
}

// before finds the last batch before one, its hash, and its checkpoint if it has one.
func (e *Exporter) before(ctx context.Context, begin Checkpoint, first uint64) (Checkpoint, error) {
	b, err := firstBatch(ctx, e.Log, first-2)
	if err != nil {
		return begin, err
	}
	at := Checkpoint{Batch: first - 1, Chain: b.Chain}
	if b.Number != first-1 || b.Bare {
		if at, err = follow(ctx, e.Log, begin, first); err != nil {
			return at, err
		}
	}
	if at.Batch == begin.Batch {
		return begin, nil
	}
	c, err := firstCheckpoint(ctx, e.Log, at.Batch)
	if err == nil && c.Batch == at.Batch && c.Chain == at.Chain {
		return c, nil
	}
	return at, err
}

// follow goes along the chain up to the last batch before one, for the hash of one that
// has none of its own.
func follow(ctx context.Context, log Log, begin Checkpoint, first uint64) (Checkpoint, error) {
	at := begin
	err := log.Batches(ctx, begin.Batch, func(b *Batch) error {
		if b.Number >= first {
			return errStop
		}
		chain := b.Chain
		if b.Bare {
			chain = Link(at.Chain, b.Number, b.Records)
		}
		at = Checkpoint{Batch: b.Number, Chain: chain}
		return ctx.Err()
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return at, err
}

// firstSince finds the number of the first batch that is not before From, or of the one
// that would come next. It looks at some batches only, because times grow.
func (e *Exporter) firstSince(ctx context.Context, begin uint64) (uint64, error) {
	low, high := begin, begin // in between is the last batch that is before From
	for step := uint64(1); ; step *= 2 {
		since, err := e.since(ctx, high)
		if err != nil {
			return 0, err
		}
		if since {
			break
		}
		low, high = high+1, high+step
	}
	for low < high {
		middle := low + (high-low)/2
		since, err := e.since(ctx, middle)
		if err != nil {
			return 0, err
		}
		if since {
			high = middle
		} else {
			low = middle + 1
		}
	}
	return low + 1, nil
}

// since reports whether the first batch after one is not before From, or is not there.
// Batches that cannot be read are passed over.
func (e *Exporter) since(ctx context.Context, after uint64) (bool, error) {
	since := true
	err := e.Log.Batches(ctx, after, func(b *Batch) error {
		_, last, ok := e.Format.times(b)
		if !ok {
			return ctx.Err()
		}
		since = !last.Before(e.From)
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return since, err
}

// times tells when the first and the last record of a batch were made, of those that can
// be read.
func (f *Format) times(b *Batch) (first, last time.Time, ok bool) {
	// What cannot be split has no times; what was read before stays.
	_ = f.Split(b.Records, func(_ uint32, record []byte) error {
		at, err := f.Parse(record)
		if err != nil {
			return nil
		}
		if !ok {
			first, ok = at, true
		}
		last = at
		return nil
	})
	return first, last, ok
}

// firstBatch is the first batch after one, without its records, and the zero Batch when
// there is none.
func firstBatch(ctx context.Context, log Log, after uint64) (found Batch, err error) {
	err = log.Batches(ctx, after, func(b *Batch) error {
		found = Batch{Number: b.Number, Chain: b.Chain, Bare: b.Bare}
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}

// firstCheckpoint is the first checkpoint of a batch or a later one, and the zero
// Checkpoint when there is none.
func firstCheckpoint(ctx context.Context, log Log, batch uint64) (found Checkpoint, err error) {
	err = log.Checkpoints(ctx, batch-1, func(c *Checkpoint) error {
		found = *c
		found.Signature = bytes.Clone(c.Signature)
		return errStop
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	return found, err
}
