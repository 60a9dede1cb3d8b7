package storetest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"countersign/otp"
	"countersign/tms"
)

// excluded is a login for which a rule says that no code is needed.
func excluded(name string, rule uint64) *otp.Attempt {
	a := attempt(name, "")
	a.Preset, a.Rule, a.Trace = otp.Excluded, rule, []byte("because of rule "+fmt.Sprint(rule))
	return a
}

// asking is a login of a user who may hold no token, of which the caller wants to
// know before it asks further.
func asking(name, passcode string) *otp.Attempt {
	a := attempt(name, passcode)
	a.AskWithoutToken = true
	return a
}

// verify has an attempt decided.
func (w *world) verify(want otp.Verdict, a *otp.Attempt) {
	w.Helper()
	if got, err := w.verifier.Verify(w.Context(), a); got != want || err != nil {
		w.Errorf("login of %q: %v, error %v, want %v", a.User, got, err, want)
	}
}

// lastLogin is the newest event, which must be a login.
func (w *world) lastLogin() tms.Event {
	w.Helper()
	e := w.events(tms.Filter{Limit: 1})
	if len(e) != 1 || e[0].Kind != tms.LoginEvent {
		w.Fatalf("the newest event is %+v, want a login", e)
	}
	return e[0]
}

func excludedIsRecorded(w *world) {
	w.addUser("alice", hotp("T1"))
	w.addUser("bob", hotp("T2"))
	w.changeUser("bob", func(u *tms.User) { u.Disabled = true })
	for range 2 {
		for name, want := range map[string]otp.Verdict{"alice": otp.Excluded, "bob": otp.UserDisabled, "nobody": otp.Excluded} {
			a := excluded(name, 7)
			w.verify(want, a)
			e := w.lastLogin()
			if e.User != name || e.Decision.Verdict != want || e.Rule != 7 || !bytes.Equal(e.Trace, a.Trace) || e.ID != a.Event {
				w.Errorf("event %+v of %q, want %v", e, name, want)
			}
		}
		w.reopen() // and with accounts that are not in any cache
	}
	w.expect(otp.Accepted, "alice", pin+code(hotp("T1"), 0))
}

func outstandingIsNotRecorded(w *world) {
	holder, disabled := hotp("T1"), hotp("T2")
	w.addUser("holder", holder)
	w.addUser("without")
	w.addUser("disabled", disabled)
	w.changeToken("T2", func(t *tms.Token) { t.Disabled = true })
	w.addUser("barred")
	w.changeUser("barred", func(u *tms.User) { u.Disabled = true })
	for round := range uint64(2) {
		for range 2 {
			for _, name := range []string{"without", "stranger"} {
				w.outstanding(asking(name, "directory password"))
			}
		}
		for _, test := range []struct {
			name, passcode string
			want           otp.Verdict
		}{
			{"holder", pin + code(holder, round), otp.Accepted},
			{"holder", pin + code(holder, round), otp.Replayed},
			{"disabled", pin + code(disabled, 0), otp.NoToken},
			{"barred", "directory password", otp.UserDisabled},
		} {
			a := asking(test.name, test.passcode)
			w.verify(test.want, a)
			if e := w.lastLogin(); a.Decision.Outstanding || e.ID != a.Event || e.Decision.Verdict != test.want {
				w.Errorf("login of %q: decision %+v, event %+v", test.name, a.Decision, e)
			}
		}
		w.reopen()
	}
	w.changeToken("T1", func(t *tms.Token) { t.User = "" })
	w.outstanding(asking("holder", pin+code(holder, 2)))
	w.changeToken("T1", func(t *tms.Token) { t.User = "holder" })
	w.verify(otp.Accepted, asking("holder", pin+code(holder, 2)))
}

// outstanding expects that nothing is decided about an attempt, and nothing
// recorded.
func (w *world) outstanding(a *otp.Attempt) {
	w.Helper()
	before := w.events(tms.Filter{Limit: 1})
	w.verify(otp.Undecided, a)
	if want := (otp.Decision{Outstanding: true}); a.Decision != want || a.Event != (otp.EventID{}) {
		w.Errorf("login of %q: decision %+v, event %v, want it outstanding", a.User, a.Decision, a.Event)
	}
	if after := w.events(tms.Filter{Limit: 1}); after[0].ID != before[0].ID {
		w.Errorf("login of %q: recorded as %+v", a.User, after[0])
	}
}

// outstandingTakesNoPlace has more attempts left outstanding than the store lets be
// under way, of a user who is there and of one who is not.
func outstandingTakesNoPlace(w *world) {
	w.addUser("without")
	const each = 20_000
	for _, name := range []string{"without", "stranger"} {
		told := make(told, 64)
		for n := range each {
			if n >= cap(told) {
				w.must(<-told)
			}
			a := asking(name, "directory password")
			a.Waiter = told
			if !w.verifier.Submit(a) {
				w.Fatalf("attempt %d of %q was not taken", n, name)
			}
		}
		for range cap(told) {
			w.must(<-told)
		}
	}
	if n := len(w.events(tms.Filter{})); n != 1 {
		w.Errorf("%d events, want the act alone", n)
	}
}

// told is a waiter that passes on what it is told.
type told chan error

func (t told) Decided(_ *otp.Attempt, err error) { t <- err }

// withoutToken submits attempts with what the caller has found out about users who
// hold no token. Of others it counts for nothing.
func withoutToken(w *world) {
	token := hotp("T1")
	w.addUser("holder", token)
	w.addUser("without")
	w.addUser("barred")
	w.changeUser("barred", func(u *tms.User) { u.Disabled = true })
	for round := range uint64(2) {
		for _, verdict := range []otp.Verdict{
			otp.Excluded, otp.NeedsPAP, otp.PasswordExpired, otp.DirectoryDisabled, otp.DirectoryLocked, otp.DirectoryRefused, otp.TokenCreated,
		} {
			for name, want := range map[string]otp.Verdict{
				"without": verdict, "stranger": verdict, "barred": otp.UserDisabled, "holder": otp.WrongPIN,
			} {
				a := asking(name, fmt.Sprint("password ", round, verdict))
				a.WithoutToken, a.Trace = verdict, []byte("mode")
				a.Station = []byte(name + verdict.String()) // so that no source has to wait
				w.verify(want, a)
				if e := w.lastLogin(); e.Decision.Verdict != want || e.User != name || e.Rule != 0 || string(e.Trace) != "mode" {
					w.Errorf("%v of %q: event %+v", verdict, name, e)
				}
			}
		}
		w.reopen()
	}
	if n := w.token("T1").State.Failures; n != 0 {
		w.Errorf("%d failures are counted", n)
	}
	w.expect(otp.Accepted, "holder", pin+code(token, 0))
}

// doubtfulIsUndecided logs in while the user repository does not answer: only the
// right code is answered, but wrong ones are counted as ever.
func doubtfulIsUndecided(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	doubtful := func(name, passcode string) *otp.Attempt {
		a := attempt(name, passcode)
		a.Doubtful, a.AskWithoutToken, a.Trace = true, true, []byte("in doubt")
		return a
	}
	w.verify(otp.Accepted, doubtful("alice", pin+code(token, 0)))
	w.verify(otp.Undecided, doubtful("alice", pin+code(token, 0)))
	w.verify(otp.Undecided, doubtful("nobody", "password"))
	for i := range otp.DefaultPolicy().MaxFailures {
		a := doubtful("alice", pin+wrongCode(token, i))
		w.verify(otp.Undecided, a)
		e := w.lastLogin()
		if e.Decision.Verdict != otp.Undecided || e.Decision.Serial != "T1" || string(e.Trace) != "in doubt" || a.Decision.Outstanding {
			w.Errorf("event %+v", e)
		}
		if n := int(w.token("T1").State.Failures); n != i+1 && i+1 < otp.DefaultPolicy().MaxFailures {
			w.Errorf("%d failures after %d wrong codes", n, i+1)
		}
	}
	w.verify(otp.Undecided, doubtful("alice", pin+code(token, 1)))
	w.reopen()
	w.expect(otp.Locked, "alice", pin+code(token, 1))
}

// tracesAreWhole has logins keep all that is to be kept of how they were decided,
// and nothing of it be found where it does not belong.
func tracesAreWhole(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	tests := []struct {
		rule  uint64
		trace []byte
	}{{0, nil}, {1, nil}, {0, []byte{0}}, {1 << 62, everyByte}, {3, bytes.Repeat(everyByte, 16)}, {4, []byte("T1 alice bob T2")}}
	var attempts []*otp.Attempt
	for n, test := range tests {
		a := attempt("alice", pin+code(token, uint64(n)))
		a.Rule, a.Trace = test.rule, slices.Clone(test.trace)
		w.verify(otp.Accepted, a)
		clear(a.Trace) // the store must not have kept it
		attempts = append(attempts, a)
	}
	for range 2 {
		events := w.events(tms.Filter{User: "alice", Serial: "T1", Limit: len(tests)})
		for n, test := range tests {
			e := events[len(tests)-1-n]
			if e.ID != attempts[n].Event || e.Rule != test.rule || !bytes.Equal(e.Trace, test.trace) || e.Decision.Offset != 0 {
				w.Errorf("event %+v, want rule %d and trace %x", e, test.rule, test.trace)
			}
		}
		for _, f := range []tms.Filter{{User: "bob"}, {Serial: "T2"}, {User: "ali"}} {
			if n := len(w.events(f)); n != 0 {
				w.Errorf("%+v: %d events", f, n)
			}
		}
		w.reopen()
	}
}

// eventByID finds every event by itself, and none where there is none.
func eventByID(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	var attempts []*otp.Attempt
	for range 20 {
		attempts = append(attempts, attempt("alice", pin+strings.Repeat("0", 6)), excluded("bob", 3))
	}
	w.atOnce(attempts...)
	w.must(w.store.Record(w.Context(), act("store.backup", "")))
	for range 2 {
		known := w.eventsByID()
		for _, a := range attempts {
			if e, err := w.store.Event(w.Context(), a.Event); err != nil || e.User != string(a.User) || e.Rule != a.Rule {
				w.Errorf("login of %q: event %+v, error %v", a.User, e, err)
			}
			w.noEvent(known, otp.EventID{Batch: a.Event.Batch, Index: a.Event.Index + 1})
		}
		for _, id := range []otp.EventID{{}, {Batch: 1 << 40}, {Batch: 1<<64 - 1}, {Batch: 1, Index: 1<<32 - 1}} {
			w.noEvent(known, id)
		}
		w.reopen()
	}
}

// eventsByID expects that every event is found as it is listed, and returns which
// there are.
func (w *world) eventsByID() map[otp.EventID]bool {
	w.Helper()
	known := map[otp.EventID]bool{}
	for _, want := range w.events(tms.Filter{}) {
		known[want.ID] = true
		if got, err := w.store.Event(w.Context(), want.ID); err != nil || !sameEvent(got, want) {
			w.Errorf("event %v: %+v, error %v, want %+v", want.ID, got, err, want)
		}
	}
	return known
}

func (w *world) noEvent(known map[otp.EventID]bool, id otp.EventID) {
	w.Helper()
	if e, err := w.store.Event(w.Context(), id); !known[id] && !isNotFound(err) {
		w.Errorf("event %v: %+v, error %v, want %v", id, e, err, tms.ErrNotFound)
	}
}
