package storetest

import (
	"context"
	"reflect"
	"strings"
	"sync"

	"countersign/otp"
	"countersign/tms"
)

// everyByte are all bytes: what a NAS may send in an attribute.
var everyByte = func() (all []byte) {
	for i := range 253 {
		all = append(all, byte(i))
	}
	return all
}()

func eventsAreWholeAndInOrder(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	a := attempt("alice", pin+code(token, 2))
	a.Station, a.NAS, a.Method = everyByte, strings.Repeat("n", 300), otp.PAP
	if _, err := w.verifier.Verify(w.Context(), a); err != nil {
		w.Fatal(err)
	}
	w.changeUser("alice", func(u *tms.User) { u.Disabled = true })
	w.expect(otp.UserDisabled, "alice", pin+code(token, 3))
	for range 2 {
		events := w.events(tms.Filter{})
		w.inOrder(events, tms.LoginEvent, tms.ActEvent, tms.LoginEvent, tms.ActEvent, tms.ActEvent)
		login := tms.Login{User: "alice", NAS: a.NAS, Station: string(everyByte), Method: otp.PAP, Decision: otp.Decision{
			Verdict: otp.Accepted, Serial: "T1", Offset: 2,
		}}
		if !reflect.DeepEqual(events[2].Login, login) || events[2].ID != a.Event {
			w.Errorf("login %+v of event %v, want %+v of %v", events[2].Login, events[2].ID, login, a.Event)
		}
		added := act("user.add", "alice")
		if got := events[4].Act; !got.At.Equal(added.At) {
			w.Errorf("act at %v, want %v", got.At, added.At)
		} else if got.At = added.At; got != added {
			w.Errorf("act %+v, want %+v", got, added)
		}
		w.reopen()
	}
}

// inOrder expects events of these kinds, each older than the one before.
func (w *world) inOrder(events []tms.Event, kinds ...tms.EventKind) {
	w.Helper()
	if len(events) != len(kinds) {
		w.Fatalf("%d events, want %d", len(events), len(kinds))
	}
	for i, e := range events {
		if e.Kind != kinds[i] || !e.At.Equal(noon) {
			w.Errorf("event %d: kind %d at %v, want %d at %v", i, e.Kind, e.At, kinds[i], noon)
		}
		if e.ID == (otp.EventID{}) || i > 0 && !older(e.ID, events[i-1].ID) {
			w.Errorf("event %d has id %v", i, e.ID)
		}
	}
}

func older(a, b otp.EventID) bool {
	return a.Batch < b.Batch || a.Batch == b.Batch && a.Index < b.Index
}

func eventsByFilter(w *world) {
	alice, bob := hotp("T1"), hotp("T11")
	w.addUser("alice", alice)
	w.addUser("alice2", bob)
	for n := range uint64(30) {
		w.expect(otp.Accepted, "alice", pin+code(alice, n))
		w.expect(otp.Accepted, "alice2", pin+code(bob, n))
	}
	for _, test := range []struct {
		filter tms.Filter
		want   int
	}{
		{tms.Filter{}, 64},
		{tms.Filter{User: "alice"}, 31},
		{tms.Filter{Serial: "T1"}, 31},
		{tms.Filter{User: "alice", Serial: "T1"}, 30},
		{tms.Filter{User: "alice", Serial: "T11"}, 0},
		{tms.Filter{User: "nobody"}, 0},
		{tms.Filter{Limit: 7}, 7},
		{tms.Filter{User: "alice2", Limit: 1}, 1},
	} {
		if n := len(w.events(test.filter)); n != test.want {
			w.Errorf("%+v: %d events, want %d", test.filter, n, test.want)
		}
	}
}

// holdUp is a waiter who does not return until told to.
type holdUp struct {
	release chan struct{}
	told    sync.WaitGroup
}

func (h *holdUp) Decided(*otp.Attempt, error) {
	<-h.release
	h.told.Done()
}

// queueIsBounded lets nobody take an answer: then the store has to refuse before
// its memory is full, and to answer all that it did take.
func queueIsBounded(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	w.expect(otp.Accepted, "alice", pin+code(token, 0))
	h := &holdUp{release: make(chan struct{})}
	verifier := otp.NewVerifier(w.store, otp.DefaultPolicy())
	taken, limit := 0, 1_000_000
	for ; taken < limit; taken++ {
		a := attempt("alice", pin+code(token, 0))
		a.Waiter = h
		h.told.Add(1)
		if !verifier.Submit(a) {
			h.told.Done()
			break
		}
	}
	if taken == limit {
		w.Errorf("%d logins were taken, and not one answered", taken)
	}
	close(h.release)
	h.told.Wait()
	w.expect(otp.Accepted, "alice", pin+code(token, 1))
	if n := len(w.events(tms.Filter{User: "alice"})); n != taken+3 {
		w.Errorf("%d events of %d logins", n, taken+3)
	}
}

func messageAuthenticatorSeen(w *world) {
	if seen, err := w.store.MessageAuthenticatorSeen(w.Context()); err != nil || len(seen) != 0 {
		w.Errorf("seen %q, error %v, want none", seen, err)
	}
	for _, nas := range []string{"b", "a", "b"} {
		w.must(w.store.RememberMessageAuthenticator(context.Background(), nas))
	}
	w.reopen()
	if seen, err := w.store.MessageAuthenticatorSeen(w.Context()); err != nil || !reflect.DeepEqual(seen, []string{"a", "b"}) {
		w.Errorf("seen %q, error %v, want a and b", seen, err)
	}
}
