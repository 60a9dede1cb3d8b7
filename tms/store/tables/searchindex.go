package tables

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"time"

	"countersign/tms/store"
)

// ErrUselessHistory is what errors wrap that have the history made again.
var ErrUselessHistory = errors.New("it cannot be used")

// SegmentSize is how many records a segment of the index has, or how many batches if they
// are that many before.
type SegmentSize struct{ Records, Batches int }

// IndexSegment makes a segment of what comes in the journal after a batch, if there is enough
// for one, and returns its last batch, 0 if there is not, and how many records and batches
// it has. After each page of the journal pause is called with how long that took, so that
// logins come first on a busy machine.
func (s *Tables) IndexSegment(ctx context.Context, after uint64, size SegmentSize, pause func(took time.Duration)) (last uint64, records, batches int, err error) {
	s.indexing.Lock()
	defer s.indexing.Unlock()
	g := s.newSegment(after, size)
	for more := true; more && !g.full; {
		began := time.Now()
		if more, err = s.ReadBatches("SELECT batch, records FROM journal WHERE batch > ? ORDER BY batch", g.add, int64(g.last)); err != nil {
			return 0, 0, 0, fmt.Errorf("indexing the journal: %w", err)
		}
		if err := ctx.Err(); err != nil {
			return 0, 0, 0, err
		}
		pause(time.Since(began))
	}
	if !g.full {
		return 0, 0, 0, nil
	}
	if err := s.writeSegment(g); err != nil {
		return 0, 0, 0, fmt.Errorf("indexing the journal: %w", err)
	}
	return g.last, int(g.records), g.batches, nil
}

// segment is a segment of the index that is being made.
type segment struct {
	size         SegmentSize
	first, last  uint64
	batches      int
	records      uint64
	fromAt, toAt int64
	counts       []byte
	postings     *postings
	full         bool
	hasher       hasher
}

// newSegment begins a segment after a batch. There is one at a time.
func (s *Tables) newSegment(after uint64, size SegmentSize) *segment {
	s.postings.clear()
	return &segment{size: size, last: after, hasher: s.hasher, postings: &s.postings, fromAt: math.MaxInt64, toAt: math.MinInt64}
}

// add adds a batch, or finds that the segment is full. What is damaged is in the segment
// and cannot be found: a listing that comes to it says so.
func (g *segment) add(number uint64, records []byte) error {
	if g.batches == 0 {
		g.first, g.last = number, number-1
	}
	runtime.Gosched()
	count := uint32(0)
	_ = store.Records(records, func(index uint32, record []byte) error {
		count = index + 1
		if k, err := store.ParseKeys(record); err == nil {
			g.postings.add(g.hasher, &k, uint32(g.records)+index)
			g.fromAt, g.toAt = min(g.fromAt, k.At), max(g.toAt, k.At)
		}
		return nil
	})
	missing := number - g.last - 1
	if count == 0 {
		missing++
	}
	g.counts = appendCount(g.counts, uint64(count), missing)
	g.last = number
	g.batches++
	g.records += uint64(count)
	if g.full = g.records >= uint64(g.size.Records) || g.batches >= g.size.Batches; g.full {
		return errPageFull
	}
	return nil
}

// groupSegments is how many segments lie side by side. With more, a search reads fewer
// pages, because the rows for a value in a group follow each other; with fewer, a segment
// is written to fewer pages.
const groupSegments = 4

// postingID is the number of the row with the lists of a bucket. A group comes after all
// groups before it, so that its pages are at the end of the table.
func postingID(segment int64, f field, bucket byte) int64 {
	group, member := segment/groupSegments, segment%groupSegments
	return ((group<<8|int64(f))<<8|int64(bucket))*groupSegments + member
}

// writeSegment makes a segment durable, in one transaction of some milliseconds.
func (s *Tables) writeSegment(g *segment) error {
	return s.history.WriteHistory(func(w Conn) error {
		number, err := w.Number("SELECT number + 1 FROM segment ORDER BY first DESC LIMIT 1")
		if err != nil {
			return err
		}
		for f := userField; f < fieldsEnd; f++ {
			err := g.postings.lists(f, func(bucket byte, lists []byte) error {
				runtime.Gosched() // on a machine with one CPU logins wait for the next row, not for the segment
				return w.Exec("INSERT INTO posting (id, lists) VALUES (?, ?)", postingID(number, f, bucket), lists)
			})
			if err != nil {
				return err
			}
		}
		return w.Exec("INSERT INTO segment (first, last, number, records, from_at, to_at, counts) VALUES (?, ?, ?, ?, ?, ?, ?)",
			int64(g.first), int64(g.last), number, int64(g.records), g.fromAt, g.toAt, g.counts)
	})
}

// PruneHistory removes what is about batches that are removed, a segment at a time.
func (s *Tables) PruneHistory(ctx context.Context) error {
	var journal, log int64
	err := s.engine.Read(func(c Conn) (err error) {
		if journal, err = c.Number(s.dialect.ReadNumber, MetaPruned); err == nil {
			log, err = c.Number(s.dialect.ReadNumber, MetaForgot)
		}
		return err
	})
	if err == nil {
		err = s.pruneMarks(log)
	}
	for more := true; more && err == nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err = s.pruneSegment(journal)
	}
	return err
}

// pruneSegment removes the first segment, if it is only of batches that are removed.
func (s *Tables) pruneSegment(pruned int64) (done bool, err error) {
	var first, number int64
	err = s.history.ReadHistory(func(c Conn) error {
		return c.Query("SELECT first, last, number FROM segment ORDER BY first LIMIT 1", func(r Row) error {
			if done = r.Integer(1) <= pruned; done {
				first, number = r.Integer(0), r.Integer(2)
			}
			return nil
		})
	})
	if err != nil || !done {
		return false, err
	}
	end := postingID(number-number%groupSegments+groupSegments, 0, 0)
	return true, s.history.WriteHistory(func(w Conn) error {
		if err := w.Exec("DELETE FROM posting WHERE id < ? AND id % ? = ?", end, int64(groupSegments), number%groupSegments); err != nil {
			return err
		}
		return w.Exec("DELETE FROM segment WHERE first = ?", first)
	})
}

// pruneMarks removes the marks of batches of the accounting log that are removed.
func (s *Tables) pruneMarks(pruned int64) error {
	marked := int64(0)
	err := s.history.ReadHistory(func(c Conn) (err error) {
		marked, err = c.Number("SELECT count(*) FROM (SELECT 1 FROM taken WHERE batch <= ? LIMIT 2) t", pruned)
		return err
	})
	if err != nil || marked < 2 { // the last has the number to go on with
		return err
	}
	return s.history.WriteHistory(func(w Conn) error {
		if err := w.Exec("DELETE FROM repeat WHERE id < ?", (pruned+1)<<indexBits); err != nil {
			return err
		}
		return w.Exec("DELETE FROM taken WHERE batch <= ? AND batch < (SELECT max(batch) FROM taken)", pruned)
	})
}
