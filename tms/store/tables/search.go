package tables

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// Events implements tms.Store. What of the journal is not indexed is read whole, from its
// end. Of each segment of the index only what may be wanted is read, and judged like
// all else; without an index the rest of the journal is read whole too.
func (s *Tables) Events(ctx context.Context, f tms.Filter, each func(*tms.Event) error) error {
	w := &search{Tables: s, filter: f, before: f.Before, left: f.Limit}
	if w.before == (otp.EventID{}) {
		w.before.Batch = math.MaxInt64
	}
	w.timed = !f.From.IsZero() || !f.To.IsZero()
	w.texts = [][]byte{[]byte(f.User), []byte(f.Serial), []byte(f.NAS)}
	w.wanted = wantedBy(&f, s.hasher)
	if w.floor, w.generation = s.history.Indexed(); w.floor < w.before.Batch {
		w.reading = true
	}
	return list(ctx, f.Limit, func() ([]tms.Event, error) { return w.page(ctx) }, each)
}

// search is a search under way, from the newest event to the oldest.
type search struct {
	*Tables
	filter     tms.Filter
	wanted     []wanted
	texts      [][]byte // of which each must be in a batch
	timed      bool     // the filter has From or To
	generation uint64   // of the index, at the beginning
	left       int      // events up to the limit; what is below 1 does not count

	before  otp.EventID // all from here on is done
	reading bool        // batches are read whole,
	floor   uint64      // down to this one, which is done or in the index
	pieces  []piece     // segments with events that may be wanted, the newest first
	ended   bool
}

// piece is what may be wanted of a segment.
type piece struct {
	segmentHead
	events []otp.EventID // the newest first; nil for all
}

// page returns the next events, none at the end.
func (w *search) page(ctx context.Context) (events []tms.Event, err error) {
	for len(events) == 0 && err == nil && !w.ended {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case w.reading:
			events, err = w.read()
		case len(w.pieces) == 0:
			w.look()
		default:
			events, err = w.take()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("searching the journal: %w", err)
	}
	w.left -= len(events)
	return events, nil
}

// size is how many events a page may have.
func (w *search) size() int {
	if w.left > 0 {
		return min(w.left, ListPage)
	}
	return ListPage
}

// read reads a page of batches whole.
func (w *search) read() (events []tms.Event, err error) {
	last := w.before.Batch // with the events before w.before.Index
	if w.before.Index == 0 {
		last--
	}
	more, err := w.ReadBatches("SELECT batch, records FROM journal WHERE batch > ? AND batch <= ? ORDER BY batch DESC", func(number uint64, records []byte) error {
		var err error
		if events, err = w.choose(events, number, records); err != nil {
			return fmt.Errorf("batch %d: %w", number, err)
		}
		w.before = otp.EventID{Batch: number}
		if len(events) >= w.size() {
			return errPageFull
		}
		return nil
	}, int64(w.floor), int64(min(last, math.MaxInt64)))
	if err == nil && !more {
		w.before = otp.EventID{Batch: w.floor + 1}
		w.reading = false
		w.ended = w.floor == 0
	}
	return events, err
}

// choose appends the events of a batch that are wanted, the newest first.
func (w *search) choose(events []tms.Event, number uint64, records []byte) ([]tms.Event, error) {
	first := len(events)
	if !w.mayHave(records) {
		return events, nil
	}
	err := store.Records(records, func(index uint32, record []byte) error {
		if number == w.before.Batch && index >= w.before.Index {
			return nil
		}
		if w.timed {
			if at := store.InstantOf(record); !store.Within(&w.filter, at, at) {
				return nil
			}
		}
		k, err := store.ParseKeys(record)
		if err != nil || !k.Selected(&w.filter) {
			return err
		}
		e, err := parseEvent(otp.EventID{Batch: number, Index: index}, record)
		events = append(events, e)
		return err
	})
	slices.Reverse(events[first:])
	return events, err
}

// mayHave reports whether some batch may have what is wanted. It spares reading most of
// them.
func (w *search) mayHave(records []byte) bool {
	for _, text := range w.texts {
		if !bytes.Contains(records, text) {
			return false
		}
	}
	return true
}

// look finds the next pieces. When the history fails, or was made again, all that is left
// is read whole.
func (w *search) look() {
	more := false
	err := w.history.ReadHistory(func(c Conn) (err error) {
		more, err = w.findPieces(c)
		return err
	})
	switch _, generation := w.history.Indexed(); {
	case err != nil || w.generation != generation:
		w.pieces = nil
		w.reading, w.floor = true, 0
	case !more && len(w.pieces) == 0:
		w.ended = true
	}
}

// take takes a page of events from the first piece.
func (w *search) take() ([]tms.Event, error) {
	p := &w.pieces[0]
	if p.events == nil {
		w.reading, w.floor = true, p.first-1
		w.before = earlier(w.before, otp.EventID{Batch: p.last + 1})
		w.pieces = w.pieces[1:]
		return nil, nil
	}
	events, err := w.verify(p)
	if len(p.events) == 0 {
		w.before = otp.EventID{Batch: p.first}
		w.pieces = w.pieces[1:]
	}
	return events, err
}

func earlier(a, b otp.EventID) otp.EventID {
	if later(a, b) {
		return b
	}
	return a
}

// verifyBatches is how many batches are read in one go.
const verifyBatches = 512

// verify reads the next events of a piece, and returns those that are wanted indeed.
func (w *search) verify(p *piece) (events []tms.Event, err error) {
	err = w.engine.Read(func(c Conn) error {
		for batches := 0; len(p.events) > 0 && len(events) < w.size() && batches < verifyBatches; batches++ {
			number := p.events[0].Batch
			n := 1
			for n < len(p.events) && p.events[n].Batch == number {
				n++
			}
			batch := p.events[:n]
			p.events = p.events[n:]
			err := c.Query("SELECT records FROM journal WHERE batch = ?", func(r Row) (err error) {
				events, err = w.judge(events, batch, r.Blob(0))
				return err
			}, int64(number))
			if err != nil {
				return fmt.Errorf("batch %d: %w", number, err)
			}
		}
		return nil
	})
	return events, err
}

// judge appends those of some events of a batch that are wanted.
func (w *search) judge(events []tms.Event, of []otp.EventID, records []byte) ([]tms.Event, error) {
	first := len(events)
	err := store.Records(records, func(index uint32, record []byte) error {
		if len(of) == 0 || index != of[len(of)-1].Index {
			return nil
		}
		id := of[len(of)-1]
		of = of[:len(of)-1]
		k, err := store.ParseKeys(record)
		if err != nil || !k.Selected(&w.filter) {
			return err
		}
		e, err := parseEvent(id, record)
		events = append(events, e)
		return err
	})
	slices.Reverse(events[first:])
	return events, err
}
