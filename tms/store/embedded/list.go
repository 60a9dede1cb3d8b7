package embedded

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// listPage is how many users or tokens are read at once for a listing. A listing
// sees each page as it is when it comes to it, so that one that takes its time
// holds up nothing.
const listPage = 256

// highest is above every name and serial, which are text in UTF-8.
const highest = "\xff"

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

// journalPage is how many batches are read at once. One may be a megabyte.
const journalPage = 16

// Events implements tms.Store.
func (s *Store) Events(ctx context.Context, f tms.Filter, each func(*tms.Event) error) error {
	before := int64(-1) // all
	return list(ctx, f.Limit, func() ([]tms.Event, error) {
		for {
			batches, err := s.readJournal(before)
			if err != nil || len(batches) == 0 {
				return nil, err
			}
			before = batches[len(batches)-1].number
			events, err := selectEvents(&f, batches)
			if err != nil || len(events) > 0 {
				return events, err
			}
			if err := ctx.Err(); err != nil {
				return nil, err
			}
		}
	}, each)
}

// journalRow is a row of table journal.
type journalRow struct {
	number  int64
	records []byte
}

// readJournal reads the batches before one, the newest first.
func (s *Store) readJournal(before int64) ([]journalRow, error) {
	var batches []journalRow
	err := s.read(func(c *conn) error {
		return c.query("SELECT batch, records FROM journal WHERE ? < 0 OR batch < ? ORDER BY batch DESC LIMIT ?", func(r row) error {
			batches = append(batches, journalRow{r.integer(0), r.blob(1)})
			return nil
		}, before, before, int64(journalPage))
	})
	if err != nil {
		return nil, fmt.Errorf("reading the journal: %w", err)
	}
	return batches, nil
}

// Event implements tms.Store.
func (s *Store) Event(ctx context.Context, id otp.EventID) (tms.Event, error) {
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

func (s *Store) readEvent(id otp.EventID) (event tms.Event, found bool, err error) {
	err = s.read(func(c *conn) error {
		return c.query("SELECT records FROM journal WHERE batch = ?", func(r row) error {
			return store.Records(r.blob(0), func(index uint32, record []byte) error {
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

// selectEvents returns the events of some batches that a filter wants, the newest
// first.
func selectEvents(f *tms.Filter, batches []journalRow) ([]tms.Event, error) {
	var events []tms.Event
	user, serial := []byte(f.User), []byte(f.Serial)
	for _, b := range batches {
		first := len(events)
		err := store.Records(b.records, func(index uint32, record []byte) error {
			if !bytes.Contains(record, user) || !bytes.Contains(record, serial) || f.Differing && !store.Differs(record) {
				return nil // spares parsing nearly all of them
			}
			r, err := store.ParseRecord(record)
			if err != nil {
				return err
			}
			r.Event.ID = otp.EventID{Batch: uint64(b.number), Index: index}
			if store.Selects(f, &r.Event) {
				events = append(events, r.Event)
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading batch %d of the journal: %w", b.number, err)
		}
		slices.Reverse(events[first:])
	}
	return events, nil
}
