package embedded

import (
	"context"
	"time"

	"countersign/radiusd/accounting"
	"countersign/tms/store"
	"countersign/tms/store/tables"
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
	h.journal.grew(c.Batch, c.untold)
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
			var taken accounting.Position
			err := s.readHistory(func(c *conn) (err error) {
				taken, err = s.TakenUpTo(c)
				return err
			})
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
		more, err = s.ReadBatches(sql, func(number uint64, b []byte) error {
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
	o := &s.options.history
	aside := func(took time.Duration) {
		if s.queue.depth.Load() > 0 {
			pause(ctx, took)
		}
	}
	for s.indexDue() {
		last, records, batches, err := s.IndexSegment(ctx, s.indexedBatch(), tables.SegmentSize{Records: o.records, Batches: o.batches}, aside)
		if err != nil || last == 0 { // or there is less than was counted
			return err
		}
		s.history.journal.shrank(records, batches)
		s.history.indexed.Store(last)
	}
	return nil
}
