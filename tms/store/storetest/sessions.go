package storetest

import (
	"errors"
	"fmt"
	"math"
	"net/netip"
	"reflect"
	"slices"
	"time"

	"countersign/radiusd/accounting"
)

// change runs something in a transaction on sessions.
func (w *world) change(change func(tx accounting.Tx)) {
	w.Helper()
	w.must(w.store.Change(w.Context(), func(tx accounting.Tx) error { change(tx); return nil }))
}

func (w *world) save(sessions ...accounting.Session) {
	w.Helper()
	w.change(func(tx accounting.Tx) {
		for i := range sessions {
			w.must(tx.Save(&sessions[i]))
		}
	})
}

// sessions are those that a filter chooses, the newest first.
func (w *world) sessions(f accounting.Filter) (sessions []accounting.Session) {
	w.Helper()
	w.must(w.store.Sessions(w.Context(), f, func(s *accounting.Session) error { sessions = append(sessions, *s); return nil }))
	return sessions
}

// session is an open one of a user.
func session(batch uint64, user string) accounting.Session {
	return accounting.Session{
		ID: accounting.Position{Batch: batch}, Key: accounting.Key{NAS: "ras", Gateway: "192.0.2.1", SessionID: fmt.Sprint("S", batch)},
		User: user, State: accounting.Open, Started: noon, Heard: noon, Last: noon, Records: 1,
	}
}

// fingerprint is one that follows from a text.
func fingerprint(text string) (f [16]byte) {
	copy(f[:], text)
	return f
}

func sessionsAreWhole(w *world) {
	bytes := string(everyByte)
	whole := accounting.Session{
		ID:     accounting.Position{Batch: 1 << 40, Index: 999},
		Key:    accounting.Key{NAS: "n" + bytes, Gateway: "g" + bytes, SessionID: "s" + bytes},
		Source: "[2001:db8::1%eth0]:1646", NASAddress: netip.MustParseAddr("2001:db8::1"), NASPort: "p" + bytes, User: "u" + bytes, Station: "c" + bytes,
		Address: netip.MustParseAddr("::ffff:192.0.2.9"),
		Login: accounting.Login{
			Event: "17-3", At: noon.Add(1), User: "alice", Serial: "T1", Rule: "r" + bytes, NAS: "ras", Pool: "partners",
		},
		State: accounting.Closed, Started: noon.Add(2), Heard: noon.Add(3), Last: noon.Add(4), Ended: noon.Add(5), Cause: math.MaxUint32,
		By: "accounting-on", Begun: true, Records: 1 << 40,
		Figures: accounting.Figures{
			Has: true, Time: math.MaxUint32 * time.Second, InputOctets: math.MaxUint64, OutputOctets: math.MaxUint64 - 1, InputPackets: math.MaxUint32, OutputPackets: 1,
		},
	}
	bare := accounting.Session{ID: accounting.Position{Batch: 1}, State: accounting.Open}
	changed := whole
	changed.State, changed.Ended, changed.Address, changed.Figures, changed.Records = accounting.Stale, time.Time{}, netip.Addr{}, accounting.Figures{}, 3
	for _, want := range []accounting.Session{whole, changed} {
		w.save(want, bare)
		for range 2 {
			if got := w.sessions(accounting.Filter{}); !reflect.DeepEqual(got, []accounting.Session{want, bare}) {
				w.Errorf("got  %+v\nwant %+v\nand  %+v", got, want, bare)
			}
			w.reopen()
		}
	}
}

// takeIsAtomic has what is done with entries fail, and takes them again.
func takeIsAtomic(w *world) {
	const records = 10
	for n := range records {
		w.account(noon, fmt.Sprint("record ", n))
	}
	refused := errors.New("refused")
	for range 2 {
		n, err := w.store.Take(w.Context(), 6, func(tx accounting.Tx, entries []accounting.Entry) error {
			w.make(tx, entries)
			return refused
		})
		if n != 0 || !errors.Is(err, refused) {
			w.Errorf("took %d, error %v", n, err)
		}
		if got := w.sessions(accounting.Filter{}); len(got) > 0 {
			w.Errorf("there are %d sessions", len(got))
		}
		if records, _, _, err := w.store.Waiting(w.Context(), accounting.Position{}); records != 0 || err != nil {
			w.Errorf("%d records wait, error %v", records, err)
		}
		w.reopen()
	}
	for _, want := range []int{6, 4, 0} {
		n, err := w.store.Take(w.Context(), 6, func(tx accounting.Tx, entries []accounting.Entry) error {
			w.make(tx, entries)
			return nil
		})
		if n != want || err != nil {
			w.Errorf("took %d, error %v, want %d", n, err, want)
		}
		w.reopen()
	}
	got := w.sessions(accounting.Filter{})
	if len(got) != records {
		w.Errorf("%d sessions, want %d", len(got), records)
	}
	for _, s := range got {
		if s.Records != 1 {
			w.Errorf("session of %q has %d records", s.User, s.Records)
		}
	}
	err := w.store.Change(w.Context(), func(tx accounting.Tx) error {
		w.make(tx, []accounting.Entry{{Position: accounting.Position{Batch: 99}, Attributes: []byte("another")}})
		return refused
	})
	if left := w.sessions(accounting.Filter{}); !errors.Is(err, refused) || !reflect.DeepEqual(left, got) {
		w.Errorf("error %v, %d sessions", err, len(left))
	}
}

// make makes a session of each user, which is what entries have for attributes.
func (w *world) make(tx accounting.Tx, entries []accounting.Entry) {
	w.Helper()
	for i := range entries {
		w.must(makeSession(tx, &entries[i]))
	}
}

func makeSession(tx accounting.Tx, e *accounting.Entry) error {
	s := accounting.Session{ID: e.Position, Key: accounting.Key{NAS: e.NAS, SessionID: string(e.Attributes)}, User: string(e.Attributes), State: accounting.Open, Started: e.At}
	if err := tx.Find(s.Key, func(found *accounting.Session) bool { s = *found; return false }); err != nil {
		return err
	}
	fresh, err := tx.Note(s.ID, e, fingerprint(e.Position.String()))
	if err != nil || !fresh {
		return errors.Join(err, fmt.Errorf("entry %v is fresh: %v", e.Position, fresh))
	}
	s.Records++
	return tx.Save(&s)
}

func repeatsAreKnown(w *world) {
	one, two := session(1, "alice"), session(2, "bob")
	w.save(one, two)
	entry := func(batch uint64) *accounting.Entry {
		return &accounting.Entry{Position: accounting.Position{Batch: batch}}
	}
	note := func(session accounting.Position, e *accounting.Entry, print string, want bool) {
		w.Helper()
		w.change(func(tx accounting.Tx) {
			if fresh, err := tx.Note(session, e, fingerprint(print)); fresh != want || err != nil {
				w.Errorf("entry %v of %v: fresh %v, error %v, want %v", e.Position, session, fresh, err, want)
			}
		})
	}
	for range 2 {
		note(one.ID, entry(1), "a", true)
		note(one.ID, entry(2), "a", false)
		note(one.ID, entry(3), "b", true)
		note(two.ID, entry(4), "a", true)
		note(accounting.Position{}, entry(5), "a", true)
		note(accounting.Position{}, entry(6), "a", true)
		w.reopen()
	}
}

func foundByKey(w *world) {
	const many = 300
	key := accounting.Key{NAS: "ras", Gateway: "192.0.2.1", SessionID: "S"}
	var want []accounting.Position
	for n := range uint64(many) {
		s := session(many-n, "alice")
		s.Key = key
		want = append(want, s.ID)
		w.save(s)
	}
	for _, other := range []accounting.Key{{NAS: "ras2", Gateway: "192.0.2.1", SessionID: "S"}, {NAS: "ras", Gateway: "192.0.2.2", SessionID: "S"}, {NAS: "ras", Gateway: "192.0.2.1", SessionID: "s"}} {
		s := session(1000+uint64(len(other.NAS+other.SessionID+other.Gateway)), "bob")
		s.Key = other
		w.save(s)
	}
	find := func(k accounting.Key, most int) (found []accounting.Position) {
		w.change(func(tx accounting.Tx) {
			w.must(tx.Find(k, func(s *accounting.Session) bool {
				found = append(found, s.ID)
				s.Records++ // what is found may be written at once
				w.must(tx.Save(s))
				return len(found) < most
			}))
		})
		return found
	}
	for _, most := range []int{1, 3, 4, 5, many} {
		if got := find(key, most); !reflect.DeepEqual(got, want[:most]) {
			w.Errorf("found %v, want %v", got, want[:most])
		}
	}
	if got := find(accounting.Key{NAS: "ras", SessionID: "S"}, many+2); len(got) != many+1 || got[0].Batch < many {
		w.Errorf("found %v of all gateways", got)
	}
	if got := find(accounting.Key{NAS: "ra", SessionID: "S"}, 9); len(got) > 0 {
		w.Errorf("found %v of another NAS", got)
	}
}

// livingAndSilent has 600 sessions of two NASes in all states.
func livingAndSilent(w *world) {
	var all []accounting.Session
	for n := range uint64(600) {
		s := session(n+1, "alice")
		s.NAS, s.Gateway = fmt.Sprint("ras", n%2), fmt.Sprint("gateway", n%3)
		s.State = accounting.State(1 + n%5/2)
		s.Heard = noon.Add(time.Duration(n*7919%600) * time.Second)
		all = append(all, s)
	}
	w.save(all...)
	for _, gateway := range []string{"", "gateway1", "gateway9"} {
		got, want := []accounting.Session(nil), choose(all, func(s *accounting.Session) bool {
			return s.NAS == "ras1" && (gateway == "" || s.Gateway == gateway) && s.State != accounting.Closed
		})
		w.change(func(tx accounting.Tx) {
			w.must(tx.Living("ras1", gateway, func(s *accounting.Session) error {
				got = append(got, *s)
				return tx.Save(s)
			}))
		})
		if byID(got); !reflect.DeepEqual(got, want) {
			w.Errorf("%d live at %q, want %d", len(got), gateway, len(want))
		}
	}
	since := noon.Add(200 * time.Second)
	silent := choose(all, func(s *accounting.Session) bool { return s.State == accounting.Open && s.Heard.Before(since) })
	for _, most := range []int{1, 10, 600} {
		got := []accounting.Session(nil)
		w.change(func(tx accounting.Tx) {
			w.must(tx.Silent(since, most, func(s *accounting.Session) error { got = append(got, *s); return nil }))
		})
		if len(got) != min(most, len(silent)) {
			w.Errorf("%d are silent, want %d of %d", len(got), most, len(silent))
		}
		if byID(got); most == 600 && !reflect.DeepEqual(got, silent) {
			w.Error("others are silent")
		}
	}
	w.forgets(all, since)
}

// forgets expects that some sessions are forgotten, with their records.
func (w *world) forgets(all []accounting.Session, since time.Time) {
	w.Helper()
	old := func(s *accounting.Session) bool { return s.State != accounting.Open && s.Heard.Before(since) }
	gone := choose(all, old)
	first := &accounting.Entry{Position: gone[0].ID}
	forgotten := 0
	w.change(func(tx accounting.Tx) {
		if fresh, err := tx.Note(gone[0].ID, first, fingerprint("a")); !fresh || err != nil {
			w.Errorf("fresh %v, error %v", fresh, err)
		}
	})
	for n := 1; n > 0; forgotten += n {
		w.change(func(tx accounting.Tx) {
			var err error
			n, err = tx.Forget(since, 50)
			w.must(err)
		})
		if n > 50 {
			w.Errorf("%d were forgotten in one go", n)
		}
	}
	if forgotten != len(gone) {
		w.Errorf("%d were forgotten, want %d", forgotten, len(gone))
	}
	left := choose(all, func(s *accounting.Session) bool { return !old(s) })
	if got := w.sessions(accounting.Filter{}); len(got) != len(left) {
		w.Errorf("%d sessions are left, want %d", len(got), len(left))
	}
	w.change(func(tx accounting.Tx) {
		if fresh, err := tx.Note(gone[0].ID, &accounting.Entry{Position: accounting.Position{Batch: 1 << 30}}, fingerprint("a")); !fresh || err != nil {
			w.Errorf("the records of a forgotten session are still known: %v", err)
		}
	})
}

func choose(all []accounting.Session, wanted func(*accounting.Session) bool) (chosen []accounting.Session) {
	for i := range all {
		if wanted(&all[i]) {
			chosen = append(chosen, all[i])
		}
	}
	return chosen
}

func byID(sessions []accounting.Session) {
	slices.SortFunc(sessions, func(a, b accounting.Session) int { return int(a.ID.Batch) - int(b.ID.Batch) })
}

// appendedTells expects to be told of what is in the log.
func appendedTells(w *world) {
	take := func(records int) {
		for n := 0; n < records; { // it tells as long as there may be more
			<-w.store.Appended()
			took, err := w.store.Take(w.Context(), 2, func(accounting.Tx, []accounting.Entry) error { return nil })
			w.must(err)
			n += took
		}
	}
	for range 2 {
		w.account(noon, "alice")
		take(1)
	}
	for n := range 5 {
		w.account(noon, fmt.Sprint(n))
	}
	w.reopen()
	take(5)
}
