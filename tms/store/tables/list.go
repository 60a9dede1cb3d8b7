package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// ListPage is how many users or tokens are read at once for a listing. A listing
// sees each page as it is when it comes to it, so that one that takes its time
// holds up nothing.
const ListPage = 256

// highest is above every name and serial, which are text in UTF-8.
const highest = string(utf8.MaxRune)

// following is above last and below every other name and serial that is above
// it, because these have no control characters.
func following(last string) string { return last + "\x01" }

// list calls each with what the pages hold until one is empty. A limit of 0 is
// none.
func list[T any](ctx context.Context, limit int, page func() ([]T, error), each func(*T) error) error {
	for count := 0; ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		values, err := page()
		if err != nil || len(values) == 0 {
			return err
		}
		for i := range values {
			if err := each(&values[i]); err != nil {
				return err
			}
			if count++; count == limit {
				return nil
			}
		}
	}
}

// pageBytes is after how many bytes of the journal, or of the accounting log, no more is
// read at once. A batch may be a megabyte by itself.
const pageBytes = 1 << 20

// pageLimit is the end of a statement that asks for a page of batches.
func pageLimit(batches int) string { return " LIMIT " + strconv.Itoa(batches) }

// ReadBatches calls each with the number and the records of the batches that a statement
// selects, until a page of them is read or each returns an error; errPageFull is none.
// more says that there may be others. The statement is without a LIMIT.
func (s *Tables) ReadBatches(sql string, each func(number uint64, records []byte) error, args ...driver.Value) (more bool, err error) {
	batches, size := 0, 0
	err = s.engine.Read(func(c Conn) error {
		return c.Query(sql+s.page, func(r Row) error {
			records := r.Blob(1)
			if err := each(uint64(r.Integer(0)), records); err != nil {
				return err
			}
			batches++
			if size += len(records); batches == s.dialect.PageBatches || size >= pageBytes {
				return errPageFull
			}
			return nil
		}, args...)
	})
	if errors.Is(err, errPageFull) {
		return true, nil
	}
	return false, err
}

// Event implements tms.Store.
func (s *Tables) Event(ctx context.Context, id otp.EventID) (tms.Event, error) {
	if err := ctx.Err(); err != nil {
		return tms.Event{}, err
	}
	event, found, err := s.readEvent(id)
	if err == nil && !found {
		err = tms.ErrNotFound
	}
	if err != nil {
		return tms.Event{}, fmt.Errorf("event %d-%d: %w", id.Batch, id.Index, err)
	}
	return event, nil
}

func (s *Tables) readEvent(id otp.EventID) (event tms.Event, found bool, err error) {
	err = s.engine.Read(func(c Conn) error {
		return c.Query("SELECT records FROM journal WHERE batch = ?", func(r Row) error {
			return store.Records(r.Blob(0), func(index uint32, record []byte) error {
				if index != id.Index {
					return nil
				}
				parsed, err := store.ParseRecord(record)
				event, found = parsed.Event, true
				event.ID = id
				return err
			})
		}, int64(id.Batch))
	})
	return event, found, err
}

// EventsAfter implements tms.Store.
func (s *Tables) EventsAfter(ctx context.Context, after otp.EventID, most int, each func(*tms.Event) error) error {
	if most <= 0 {
		return nil
	}
	more := true
	return list(ctx, most, func() (events []tms.Event, err error) {
		for more && len(events) == 0 && err == nil {
			more, err = s.ReadBatches("SELECT batch, records FROM journal WHERE batch >= ? ORDER BY batch", func(number uint64, records []byte) error {
				err := store.Records(records, func(index uint32, record []byte) error {
					id := otp.EventID{Batch: number, Index: index}
					if !later(id, after) || len(events) == ListPage {
						return nil
					}
					e, err := parseEvent(id, record)
					events, after = append(events, e), id
					return err
				})
				if err == nil && len(events) == ListPage {
					return errPageFull
				}
				return err
			}, int64(after.Batch))
		}
		if err != nil {
			err = fmt.Errorf("reading the journal after event %d-%d: %w", after.Batch, after.Index, err)
		}
		return events, err
	}, each)
}

func later(a, b otp.EventID) bool {
	return a.Batch > b.Batch || a.Batch == b.Batch && a.Index > b.Index
}

func parseEvent(id otp.EventID, record []byte) (tms.Event, error) {
	r, err := store.ParseRecord(record)
	r.Event.ID = id
	return r.Event, err
}

// LastEvent implements tms.Store.
func (s *Tables) LastEvent(ctx context.Context) (last otp.EventID, err error) {
	found := false // batches may be without records
	before := uint64(math.MaxInt64)
	for more := true; more && !found && err == nil; {
		if err := ctx.Err(); err != nil {
			return last, err
		}
		more, err = s.ReadBatches("SELECT batch, records FROM journal WHERE batch < ? ORDER BY batch DESC", func(number uint64, records []byte) error {
			before = number
			err := store.Records(records, func(index uint32, _ []byte) error {
				last, found = otp.EventID{Batch: number, Index: index}, true
				return nil
			})
			if found && err == nil {
				return errPageFull
			}
			return err
		}, int64(before))
	}
	if err != nil {
		err = fmt.Errorf("reading the end of the journal: %w", err)
	}
	return last, err
}
