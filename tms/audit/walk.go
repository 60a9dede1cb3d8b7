package audit

import (
	"bytes"
	"context"
	"errors"
	"math"
)

// pageSize is how many checkpoints are held in memory.
const pageSize = 1024

var (
	// errStop ends a walk from within.
	errStop  = errors.New("stop")
	errPause = errors.New("pause")
)

// walk goes along a log: each checkpoint comes after the batch it is of, or after all
// batches when that one is not there. The log may grow meanwhile, so checkpoints are read
// before batches: what was signed by then is there by then. No reading is done
// within another.
type walk struct {
	log        Log
	batch      func(*Batch) error
	checkpoint func(*Checkpoint) error

	listed uint64       // number of the last batch
	page   []Checkpoint // that are still to come
	read   uint64       // batch of the last checkpoint that was read
	more   bool         // there may be more than those in page
}

// run goes from the batch after one to the end, or until batch or checkpoint
// returns errStop.
func (w *walk) run(ctx context.Context, after uint64) error {
	w.listed, w.read, w.more = after, after, true
	err := w.toEnd(ctx)
	for err == nil && len(w.page) > 0 { // of batches that are not there
		if err = w.upTo(math.MaxUint64); err == nil {
			err = w.fill(ctx)
		}
	}
	if errors.Is(err, errStop) {
		return nil
	}
	return err
}

// toEnd goes on until there are no more batches.
func (w *walk) toEnd(ctx context.Context) error {
	for {
		if err := w.fill(ctx); err != nil {
			return err
		}
		n, err := w.round(ctx)
		switch {
		case errors.Is(err, errPause):
		case err != nil:
			return err
		case len(w.page) == 0 && w.more:
		case n == 0 || len(w.page) == 0:
			return nil
		}
		// A checkpoint that was read after the list of batches began may be of a later one.
	}
}

// round lists batches until checkpoints have to be read, and says how many there were.
func (w *walk) round(ctx context.Context) (n int, err error) {
	err = w.log.Batches(ctx, w.listed, func(b *Batch) error {
		if err := w.upTo(b.Number); err != nil {
			return err
		}
		if len(w.page) == 0 && w.more {
			return errPause
		}
		w.listed = max(w.listed, b.Number)
		n++
		return w.batch(b)
	})
	return n, err
}

// upTo passes on the checkpoints of batches before one; none is of the highest number.
func (w *walk) upTo(number uint64) error {
	for len(w.page) > 0 && w.page[0].Batch < number {
		c := w.page[0]
		w.page = w.page[1:]
		if err := w.checkpoint(&c); err != nil {
			return err
		}
	}
	return nil
}

// fill reads checkpoints if there are none in memory.
func (w *walk) fill(ctx context.Context) error {
	if len(w.page) > 0 || !w.more {
		return nil
	}
	w.page, w.more = nil, false
	err := w.log.Checkpoints(ctx, w.read, func(c *Checkpoint) error {
		if len(w.page) == pageSize {
			w.more = true
			return errStop
		}
		held := *c
		held.Signature = bytes.Clone(c.Signature)
		w.page = append(w.page, held)
		return nil
	})
	if errors.Is(err, errStop) {
		err = nil
	}
	if len(w.page) > 0 {
		w.read = w.page[len(w.page)-1].Batch
	}
	return err
}
