package storetest

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"time"

	"countersign/radiusd/accounting"
)

// forwardedOnce takes entries of which some are repeats, and forwards the others.
func forwardedOnce(w *world) {
	for n := range 60 {
		if w.account(noon.Add(time.Duration(n)), fmt.Sprint("record ", n)); n%4 == 0 {
			w.accountSeveral(n)
		}
	}
	// Who begins to forward now is to begin after all that there is, though nothing of it
	// was taken.
	_, _, end, err := w.store.Waiting(w.Context(), accounting.Position{})
	w.must(err)
	var fresh, all []accounting.Entry
	one := session(1, "alice")
	take := func(most int) int {
		n, err := w.store.Take(w.Context(), most, func(tx accounting.Tx, entries []accounting.Entry) error {
			w.must(tx.Save(&one))
			for i := range entries {
				repeat := len(all)%5 == 2 || len(all) > 40 && len(all) < 80
				session, print := one.ID, entries[i].Position.String()
				if repeat {
					print = "repeat"
				}
				if len(all)%7 == 3 {
					repeat, session = false, accounting.Position{} // of none
				}
				first, err := tx.Note(session, &entries[i], fingerprint(print))
				w.must(err)
				if all = append(all, entries[i]); first {
					fresh = append(fresh, entries[i])
				}
			}
			return nil
		})
		w.must(err)
		return n
	}
	for _, most := range []int{1, 2, 7, 13, 40, 1000, 1000} {
		take(most)
		w.forwardable(fresh, all, end)
	}
	if last := all[len(all)-1].Position; end != last {
		w.Errorf("the last entry is %v, want %v", end, last)
	}
	w.reopen()
	w.forwardable(fresh, all, end)
	w.recordsOf(one.ID, fresh, all)
}

// accountSeveral appends records that share commits, or may.
func (w *world) accountSeveral(n int) {
	w.Helper()
	done := make(chan error, 5)
	for i := range cap(done) {
		if !w.store.AppendAccounting(noon, "ras-gateway", "192.0.2.1", fmt.Appendf(nil, "record %d, %d", n, i), func(err error) { done <- err }) {
			w.Fatal("a record was not taken")
		}
	}
	for range cap(done) {
		w.must(<-done)
	}
}

// forwardable expects what can be forwarded after each entry, and how much waits of a log
// that goes up to end.
func (w *world) forwardable(fresh, all []accounting.Entry, end accounting.Position) {
	w.Helper()
	after := append([]accounting.Entry{{}}, all...)
	for i := range after {
		p := after[i].Position
		rest := fresh
		for len(rest) > 0 && !p.Before(rest[0].Position) {
			rest = rest[1:]
		}
		records, oldest, last, err := w.store.Waiting(w.Context(), p)
		want, wantLast := time.Time{}, accounting.Position{}
		if len(rest) > 0 {
			want = rest[0].At
		}
		if p.Before(end) {
			wantLast = end
		}
		if err != nil || records != int64(len(rest)) || !oldest.Equal(want) || last != wantLast {
			w.Fatalf("after %v wait %d since %v up to %v, error %v, want %d since %v up to %v", p, records, oldest, last, err, len(rest), want, wantLast)
		}
		if i%9 == 0 {
			w.forwards(p, rest)
		}
	}
}

// forwards expects these entries to be forwarded after a position.
func (w *world) forwards(p accounting.Position, want []accounting.Entry) {
	w.Helper()
	for _, most := range []int{1, 3, 1000} {
		var got []accounting.Entry
		for before, after := (accounting.Position{Batch: 1 << 40}), p; before != after; {
			before = after
			n := 0
			var err error
			after, err = w.store.Forwardable(w.Context(), after, most, func(e *accounting.Entry) error {
				n++
				got = append(got, *e)
				return nil
			})
			if w.must(err); n > most || after.Before(before) {
				w.Fatalf("%d entries of up to %d, from %v to %v", n, most, before, after)
			}
		}
		if len(got) != len(want) || len(got) > 0 && !reflect.DeepEqual(got, want) {
			w.Fatalf("after %v, %d at once: %d entries, want %d", p, most, len(got), len(want))
		}
	}
	refused := errors.New("refused")
	after, err := w.store.Forwardable(w.Context(), p, 1000, func(e *accounting.Entry) error {
		if len(want) > 2 && e.Position == want[2].Position {
			return refused
		}
		return nil
	})
	if len(want) > 2 && (!errors.Is(err, refused) || after != want[1].Position) {
		w.Errorf("refused at %v: looked up to %v, error %v", want[2].Position, after, err)
	}
}

// recordsOf expects the entries of a session, and that those that are removed are left
// out.
func (w *world) recordsOf(session accounting.Position, fresh, all []accounting.Entry) {
	w.Helper()
	var want []accounting.Entry
	for _, e := range fresh {
		if n := slices.IndexFunc(all, func(a accounting.Entry) bool { return a.Position == e.Position }); n%7 != 3 {
			want = append(want, e)
		}
	}
	list := func() (got []accounting.Entry) {
		w.must(w.store.Records(w.Context(), session, func(e *accounting.Entry) error { got = append(got, *e); return nil }))
		return got
	}
	if got := list(); !reflect.DeepEqual(got, want) {
		w.Errorf("%d records, want %d", len(got), len(want))
	}
	_, err := w.store.PruneAccounting(w.Context(), noon.Add(time.Hour), want[5].Position)
	w.must(err)
	got := list()
	if len(got) == 0 || len(got) > len(want)-5 || !reflect.DeepEqual(got, want[len(want)-len(got):]) {
		w.Errorf("%d records are left of %d", len(got), len(want))
	}
	w.must(w.store.Records(w.Context(), accounting.Position{Batch: 1 << 40}, func(*accounting.Entry) error { return errors.New("there is none") }))
	w.settle()
	for len(fresh) > 0 && fresh[0].Position.Batch < got[0].Position.Batch {
		fresh = fresh[1:]
	}
	if records, _, _, err := w.store.Waiting(w.Context(), accounting.Position{}); records != int64(len(fresh)) || err != nil {
		w.Errorf("%d records wait, error %v, want %d", records, err, len(fresh))
	}
}
