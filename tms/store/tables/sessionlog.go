package tables

import (
	"context"
	"fmt"
	"math"
	"time"

	"countersign/radiusd/accounting"
	"countersign/tms/store"
)

// beyondLog is above every position.
var beyondLog = accounting.Position{Batch: math.MaxInt64 >> indexBits, Index: maxIndex}

// readLog reads up to so many entries of the accounting log after a position and up to
// another, in order.
func (s *Tables) readLog(after, upTo accounting.Position, most int) (entries []accounting.Entry, err error) {
	for more := true; more && len(entries) < most && err == nil; {
		more, err = s.ReadBatches("SELECT batch, records FROM accounting WHERE batch >= ? AND batch <= ? ORDER BY batch", func(batch uint64, records []byte) error {
			err := store.Records(records, func(index uint32, record []byte) error {
				p := accounting.Position{Batch: batch, Index: index}
				if number(p) <= number(after) || number(p) > number(upTo) || len(entries) == most {
					return nil
				}
				e, err := parseEntry(p, record)
				entries, after = append(entries, e), p
				return err
			})
			if err == nil && len(entries) == most {
				return errPageFull
			}
			after = accounting.Position{Batch: batch, Index: maxIndex} // or a large batch would be read again for ever
			return err
		}, int64(after.Batch), int64(upTo.Batch))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the accounting log after %v: %w", after, err)
	}
	return entries, nil
}

func parseEntry(p accounting.Position, record []byte) (accounting.Entry, error) {
	at, a, err := store.ParseAccounting(record)
	return accounting.Entry{Position: p, At: at, NAS: a.AccountingNAS, Source: a.Source, Attributes: a.Attributes}, err
}

// Records implements accounting.Store. Entries that the log has no more are left out.
func (s *Tables) Records(ctx context.Context, session accounting.Position, each func(*accounting.Entry) error) error {
	after := int64(-1)
	err := list(ctx, 0, func() (entries []accounting.Entry, err error) {
		for len(entries) == 0 && err == nil {
			var ids []accounting.Position
			if ids, err = s.entriesOf(session, after); len(ids) == 0 {
				break
			}
			after = number(ids[len(ids)-1])
			if err == nil {
				entries, err = s.readEntries(ids)
			}
		}
		return entries, err
	}, each)
	if err != nil {
		return fmt.Errorf("listing the records of session %v: %w", session, err)
	}
	return nil
}

// entriesOf lists which entries belong to a session, a page of those after one.
func (s *Tables) entriesOf(session accounting.Position, after int64) (ids []accounting.Position, err error) {
	err = s.history.ReadHistory(func(c Conn) error {
		return c.Query("SELECT id FROM entry WHERE session = ? AND id > ? ORDER BY id LIMIT ?", func(r Row) error {
			ids = append(ids, position(r.Integer(0)))
			return nil
		}, number(session), after, int64(ListPage))
	})
	return ids, err
}

// readEntries reads those of some entries that are in the log.
func (s *Tables) readEntries(ids []accounting.Position) (entries []accounting.Entry, err error) {
	err = s.engine.Read(func(c Conn) error {
		for len(ids) > 0 {
			batch := ids[0].Batch
			err := c.Query("SELECT records FROM accounting WHERE batch = ?", func(r Row) error {
				return store.Records(r.Blob(0), func(index uint32, record []byte) error {
					if len(ids) == 0 || ids[0] != (accounting.Position{Batch: batch, Index: index}) {
						return nil
					}
					e, err := parseEntry(ids[0], record)
					entries, ids = append(entries, e), ids[1:]
					return err
				})
			}, int64(batch))
			if err != nil {
				return fmt.Errorf("batch %d of the accounting log: %w", batch, err)
			}
			for len(ids) > 0 && ids[0].Batch == batch {
				ids = ids[1:] // not in the log any more
			}
		}
		return nil
	})
	return entries, err
}

// Forwardable implements accounting.Store.
func (s *Tables) Forwardable(ctx context.Context, after accounting.Position, most int, each func(*accounting.Entry) error) (accounting.Position, error) {
	entries, looked, err := s.forwardable(ctx, after, most)
	if err != nil {
		return after, fmt.Errorf("listing the accounting log after %v: %w", after, err)
	}
	for i := range entries {
		if err := each(&entries[i]); err != nil {
			return after, err
		}
		after = entries[i].Position
	}
	return looked, nil
}

// forwardable reads up to so many entries after a position that were taken and are no
// repeats, and returns how far it looked. It returns none only at the end.
func (s *Tables) forwardable(ctx context.Context, after accounting.Position, most int) (fresh []accounting.Entry, looked accounting.Position, err error) {
	taken, err := s.taken()
	if err != nil || number(taken) <= number(after) {
		return nil, after, err
	}
	for len(fresh) == 0 {
		if err := ctx.Err(); err != nil {
			return nil, after, err
		}
		entries, err := s.readLog(after, taken, most)
		if err != nil || len(entries) == 0 {
			return nil, taken, err
		}
		after = entries[len(entries)-1].Position
		if fresh, err = s.leaveRepeats(entries); err != nil {
			return nil, after, err
		}
	}
	return fresh, after, nil
}

// leaveRepeats leaves out what is a repeat.
func (s *Tables) leaveRepeats(entries []accounting.Entry) ([]accounting.Entry, error) {
	repeats := map[int64]bool{}
	err := s.history.ReadHistory(func(c Conn) error {
		return c.Query("SELECT id FROM repeat WHERE id BETWEEN ? AND ?", func(r Row) error {
			repeats[r.Integer(0)] = true
			return nil
		}, number(entries[0].Position), number(entries[len(entries)-1].Position))
	})
	fresh := entries[:0]
	for _, e := range entries {
		if !repeats[number(e.Position)] {
			fresh = append(fresh, e)
		}
	}
	return fresh, err
}

// Waiting implements accounting.Store.
func (s *Tables) Waiting(ctx context.Context, after accounting.Position) (records int64, oldest time.Time, last accounting.Position, err error) {
	first, _, err := s.forwardable(ctx, after, waitingPage)
	if err == nil && len(first) > 0 {
		oldest = first[0].At
		err = s.history.ReadHistory(func(c Conn) error {
			before, err := countedUpTo(c, first[0].Position)
			if err != nil {
				return err
			}
			number, err := c.Number("SELECT number FROM taken ORDER BY batch DESC LIMIT 1")
			records = number - before + 1
			return err
		})
	}
	if err == nil {
		last, err = s.endOfLog()
	}
	if err != nil {
		err = fmt.Errorf("counting the accounting log after %v: %w", after, err)
	}
	if !after.Before(last) {
		last = accounting.Position{}
	}
	return records, oldest, last, err
}

// endOfLog is the last entry of the log, be it taken or not, and zero when there is none.
func (s *Tables) endOfLog() (last accounting.Position, err error) {
	err = s.engine.Read(func(c Conn) error {
		return c.Query("SELECT batch, records FROM accounting ORDER BY batch DESC LIMIT 1", func(r Row) error {
			return store.Records(r.Blob(1), func(index uint32, _ []byte) error {
				last = accounting.Position{Batch: uint64(r.Integer(0)), Index: index}
				return nil
			})
		})
	})
	return last, err
}

// waitingPage is how many entries are read to find one that is no repeat.
const waitingPage = 16

// countedUpTo is the number of the last entry up to a position that is no repeat. In
// between two rows of table taken there are only repeats.
func countedUpTo(c Conn, p accounting.Position) (int64, error) {
	before, err := c.Number("SELECT number FROM taken WHERE batch < ? ORDER BY batch DESC LIMIT 1", int64(p.Batch))
	if err != nil {
		return 0, err
	}
	upTo, within := before, false
	err = c.Query("SELECT number, last FROM taken WHERE batch = ?", func(r Row) error {
		upTo, within = r.Integer(0), int64(p.Index) < r.Integer(1)
		return nil
	}, int64(p.Batch))
	if err != nil || !within {
		return upTo, err
	}
	repeats, err := c.Number("SELECT count(*) FROM repeat WHERE id BETWEEN ? AND ?", int64(p.Batch)<<indexBits, number(p))
	return before + int64(p.Index) + 1 - repeats, err
}
