package embedded

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"time"

	"countersign/radiusd/accounting"
	"countersign/tms/store"
)

// indexedBatch is up to which batch the journal is in the index. A search reads what
// comes after it whole.
func (s *Store) indexedBatch() uint64 { return s.history.indexed.Load() }

// journalGrew is for the committer: it counts what has become durable, and has the index
// go on when that is worth it.
func (s *Store) journalGrew() {
	c, h := &s.committer, &s.history
	if c.untold == 0 {
		return
	}
	h.journal.grew(c.lastBatch, c.untold)
	c.untold = 0
	if s.indexDue() {
		signal(h.due)
	}
}

// indexDue reports whether there is enough for a segment.
func (s *Store) indexDue() bool {
	records, batches := s.history.journal.size()
	return records >= int64(s.options.history.records) || batches >= int64(s.options.history.batches)
}

// countTails counts what is not in the history, when it was opened.
func (s *Store) countTails(ctx context.Context) error {
	h := &s.history
	if !h.uncounted.Swap(false) {
		return nil
	}
	err := s.countTail(ctx, &h.journal, "SELECT batch, records FROM journal WHERE batch >= ? AND batch <= ? ORDER BY batch", func() (accounting.Position, error) {
		return accounting.Position{Batch: s.indexedBatch() + 1}, nil
	})
	if err == nil {
		err = s.countTail(ctx, &h.log, "SELECT batch, records FROM accounting WHERE batch >= ? AND batch <= ? ORDER BY batch", func() (accounting.Position, error) {
			taken, err := s.taken()
			return accounting.Position{Batch: taken.Batch, Index: taken.Index + 1}, err
		})
	}
	if err != nil {
		h.uncounted.Store(true)
	}
	return err
}

// countTail counts a tail anew, from where a mark says.
func (s *Store) countTail(ctx context.Context, t *tail, sql string, mark func() (accounting.Position, error)) error {
	s.history.taking.Lock()
	last := t.recount()
	from, err := mark()
	s.history.taking.Unlock()
	for more := true; more && err == nil; {
		records, batches := 0, 0
		more, err = s.readBatches(sql, func(number uint64, b []byte) error {
			batches++
			err := store.Records(b, func(index uint32, _ []byte) error {
				if number > from.Batch || index >= from.Index {
					records++
				}
				return nil
			})
			from = accounting.Position{Batch: number + 1}
			return err
		}, int64(from.Batch), int64(last))
		t.shrank(-records, -batches)
		if err == nil {
			err = ctx.Err()
		}
	}
	return err
}

// index makes segments of the journal for as long as there is enough of it. It steps
// aside for logins.
func (s *Store) index(ctx context.Context) error {
	for s.indexDue() {
		g := s.newSegment()
		for more := true; more && !g.full; {
			began := time.Now()
			var err error
			if more, err = s.readBatches("SELECT batch, records FROM journal WHERE batch > ? ORDER BY batch", g.add, int64(g.last)); err != nil {
				return fmt.Errorf("indexing the journal: %w", err)
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			if s.queue.depth.Load() > 0 {
				pause(ctx, time.Since(began))
			}
		}
		if !g.full {
			return nil // less than was counted
		}
		if err := s.writeSegment(g); err != nil {
			return fmt.Errorf("indexing the journal: %w", err)
		}
		s.history.journal.shrank(int(g.records), g.batches)
		s.history.indexed.Store(g.last)
	}
	return nil
}

// segment is a segment of the index that is being made.
type segment struct {
	limits       *historyOptions
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
func (s *Store) newSegment() *segment {
	h := &s.history
	h.postings.clear()
	return &segment{limits: &s.options.history, last: s.indexedBatch(), hasher: h.hasher, postings: &h.postings, fromAt: math.MaxInt64, toAt: math.MinInt64}
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
	if g.full = g.records >= uint64(g.limits.records) || g.batches >= g.limits.batches; g.full {
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
func (s *Store) writeSegment(g *segment) error {
	return s.writeHistory(func(w *conn) error {
		number, err := w.number("SELECT number + 1 FROM segment ORDER BY first DESC LIMIT 1")
		if err != nil {
			return err
		}
		for f := userField; f < fieldsEnd; f++ {
			err := g.postings.lists(f, func(bucket byte, lists []byte) error {
				runtime.Gosched() // on a machine with one CPU logins wait for the next row, not for the segment
				return w.exec("INSERT INTO posting (id, lists) VALUES (?, ?)", postingID(number, f, bucket), lists)
			})
			if err != nil {
				return err
			}
		}
		return w.exec("INSERT INTO segment (first, last, number, records, from_at, to_at, counts) VALUES (?, ?, ?, ?, ?, ?, ?)",
			int64(g.first), int64(g.last), number, int64(g.records), g.fromAt, g.toAt, g.counts)
	})
}

// pruneHistory removes what is about batches that are removed, a segment at a time.
func (s *Store) pruneHistory(ctx context.Context) error {
	m, err := s.marks()
	if err != nil {
		return err
	}
	if err := s.pruneMarks(m); err != nil {
		return err
	}
	for more := true; more && err == nil; {
		if err := ctx.Err(); err != nil {
			return err
		}
		more, err = s.pruneSegment(m.journalPruned)
	}
	return err
}

// pruneSegment removes the first segment, if it is only of batches that are removed.
func (s *Store) pruneSegment(pruned int64) (done bool, err error) {
	var first, number int64
	err = s.readHistory(func(c *conn) error {
		return c.query("SELECT first, last, number FROM segment ORDER BY first LIMIT 1", func(r row) error {
			if done = r.integer(1) <= pruned; done {
				first, number = r.integer(0), r.integer(2)
			}
			return nil
		})
	})
	if err != nil || !done {
		return false, err
	}
	end := postingID(number-number%groupSegments+groupSegments, 0, 0)
	return true, s.writeHistory(func(w *conn) error {
		if err := w.exec("DELETE FROM posting WHERE id < ? AND id % ? = ?", end, int64(groupSegments), number%groupSegments); err != nil {
			return err
		}
		return w.exec("DELETE FROM segment WHERE first = ?", first)
	})
}

// pruneMarks removes the marks of batches of the accounting log that are removed.
func (s *Store) pruneMarks(m marks) error {
	marked := int64(0)
	err := s.readHistory(func(c *conn) (err error) {
		marked, err = c.number("SELECT count(*) FROM (SELECT 1 FROM taken WHERE batch <= ? LIMIT 2)", m.logPruned)
		return err
	})
	if err != nil || marked < 2 { // the last has the number to go on with
		return err
	}
	return s.writeHistory(func(w *conn) error {
		if err := w.exec("DELETE FROM repeat WHERE id < ?", (m.logPruned+1)<<indexBits); err != nil {
			return err
		}
		return w.exec("DELETE FROM taken WHERE batch <= ? AND batch < (SELECT max(batch) FROM taken)", m.logPruned)
	})
}
