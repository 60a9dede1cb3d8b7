package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"

	"countersign/otp"
	"countersign/tms"
)

// behind is a login of a user whom a TMS behind us has, of which it said this.
func behind(name, passcode string, order otp.Order, said otp.TMSAnswer) *otp.Attempt {
	a := attempt(name, passcode)
	a.Order, a.TMS, a.WhenDown = order, said, otp.TMSDown
	return a
}

// asks expects that the TMS has to be asked about an attempt, and that nothing is
// recorded.
func (w *world) asks(a *otp.Attempt) {
	w.Helper()
	before := w.events(tms.Filter{Limit: 1})
	w.verify(otp.Undecided, a)
	if want := (otp.Decision{Outstanding: true, AskTMS: true}); a.Decision != want || a.Event != (otp.EventID{}) {
		w.Errorf("login of %q: decision %+v, event %v, want the TMS to be asked", a.User, a.Decision, a.Event)
	}
	if after := w.events(tms.Filter{Limit: 1}); len(after) != len(before) || len(after) > 0 && after[0].ID != before[0].ID {
		w.Errorf("login of %q: recorded as %+v", a.User, after[0])
	}
}

// nextLoginSeesHome has users cut over and rolled back between logins.
func nextLoginSeesHome(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	login := func(order otp.Order, counter uint64) *otp.Attempt {
		return behind("alice", pin+code(token, counter), order, otp.TMSNotAsked)
	}
	w.verify(otp.Accepted, login(otp.LocalThenTMS, 0))
	w.asks(login(otp.TMSOnly, 1))
	w.setHome("alice", otp.HomeLocal)
	w.verify(otp.Accepted, login(otp.TMSOnly, 1))
	w.changeHolder("alice", func(h *tms.Holder) { h.User.Home = otp.HomeTMS })
	w.asks(login(otp.LocalThenTMS, 2))
	w.verify(otp.Accepted, login(otp.LocalOnly, 2))
	w.reopen()
	w.asks(login(otp.LocalThenTMS, 3))
	w.setHome("alice", otp.HomeUnsaid)
	w.verify(otp.Accepted, login(otp.LocalThenTMS, 3))
	w.must(w.importRow(tms.User{Exists: true, Name: "bob", Home: otp.HomeTMS, PIN: otp.NewPIN([]byte(pin))},
		tms.Token{Exists: true, Token: hotp("T2"), User: "bob"}))
	w.asks(behind("bob", pin+code(hotp("T2"), 0), otp.LocalThenTMS, otp.TMSNotAsked))
}

// nextLoginSeesLearned logs in by a token that is learned until it has proven itself.
func nextLoginSeesLearned(w *world) {
	token := hotp("T1")
	w.addUser("alice")
	w.addToken("", token)
	login := func(counter uint64, said otp.TMSAnswer) *otp.Attempt {
		return behind("alice", pin+code(token, counter), otp.LocalThenTMS, said)
	}
	w.asks(login(0, otp.TMSNotAsked))
	w.learn("T1", "alice")
	for n := range uint64(otp.DefaultPolicy().Agreements) {
		w.asks(login(n, otp.TMSNotAsked))
		w.verify(otp.AcceptedByTMS, login(n, otp.TMSAccepted))
		if n == 0 {
			w.reopen() // with what it has shown so far
		}
	}
	next := w.token("T1").State.Counter
	w.verify(otp.Accepted, login(next, otp.TMSNotAsked))
	w.changeToken("T1", func(t *tms.Token) { t.State.Agreed = 0 })
	w.asks(login(next+1, otp.TMSNotAsked))
	w.changeToken("T1", func(t *tms.Token) { t.Learned = false })
	w.verify(otp.Accepted, login(next+1, otp.TMSNotAsked))
}

// submittedTwice has attempts decided that came back once because the TMS had to be
// asked.
func submittedTwice(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	for n, said := range []otp.TMSAnswer{otp.TMSAccepted, otp.TMSRefused, otp.TMSUnavailable} {
		for _, name := range []string{"alice", "stranger"} {
			a := behind(name, pin+code(token, uint64(n)), otp.TMSOnly, otp.TMSNotAsked)
			w.asks(a)
			a.TMS = said
			w.verify([]otp.Verdict{otp.AcceptedByTMS, otp.RefusedByTMS, otp.TMSDown}[n], a)
			d := a.Decision
			if d.Outstanding || d.AskTMS || (d.Own == otp.Accepted) != (name == "alice" && n < 2) {
				w.Errorf("login of %q, of which the TMS said %v: decision %+v", name, said, d)
			}
			d.Changed = 0
			if e := w.lastLogin(); e.ID != a.Event || e.Decision != d || a.Event == (otp.EventID{}) {
				w.Errorf("login of %q: decision %+v, event %+v is %+v", name, d, a.Event, e)
			}
		}
	}
	if n := len(w.events(tms.Filter{})); n != 2+6 {
		w.Errorf("%d events, want 8", n)
	}
}

// agreementsAreKept compares tokens with what the TMS says, and opens the store again
// and again.
func agreementsAreKept(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	compare := func(said otp.TMSAnswer, passcode string, own otp.Verdict) {
		w.Helper()
		a := behind("alice", passcode, otp.TMSOnly, said)
		_, err := w.verifier.Verify(w.Context(), a)
		w.must(err)
		if e := w.lastLogin(); a.Decision.Own != own || e.Decision.Own != own || e.Decision.Verdict != a.Decision.Verdict {
			w.Errorf("decision %+v, recorded as %+v, want %v of our own", a.Decision, e.Decision, own)
		}
	}
	state := func(agreed, disagreed uint16) {
		w.Helper()
		for range 2 {
			if s := w.token("T1").State; s.Agreed != agreed || s.Disagreed != disagreed {
				w.Errorf("state %+v, want agreed %d and disagreed %d", s, agreed, disagreed)
			}
			w.reopen() // folded in between
		}
	}
	compare(otp.TMSAccepted, pin+code(token, 0), otp.Accepted)
	compare(otp.TMSAccepted, pin+code(token, 1), otp.Accepted)
	state(2, 0)
	compare(otp.TMSAccepted, pin+wrongCode(token, 0), otp.WrongCode)
	compare(otp.TMSRefused, pin+code(token, 5), otp.Accepted)
	state(2, 2)
	w.expect(otp.Accepted, "alice", pin+code(token, 2)) // of ours alone
	state(2, 2)
	compare(otp.TMSAccepted, pin+code(token, 3), otp.Accepted)
	state(3, 0)
	w.changeToken("T1", func(t *tms.Token) { t.State.Agreed, t.State.Disagreed = 65535, 65535 })
	state(65535, 65535)
	compare(otp.TMSAccepted, pin+code(token, 4), otp.Accepted)
	state(65535, 0)
	w.changeToken("T1", func(t *tms.Token) { t.State.Agreed, t.State.Disagreed = 0, 0 })
	state(0, 0)
}

// differingLogins lists those about which the TMS and our own tokens did not agree.
func differingLogins(w *world) {
	tokens := []otp.Token{hotp("T0"), hotp("T1")}
	for i, t := range tokens {
		w.addUser(fmt.Sprint("user", i), t)
	}
	want := 0
	for n := range uint64(30) {
		for i, t := range tokens {
			a := behind(fmt.Sprint("user", i), pin+code(t, n), otp.TMSOnly, otp.TMSAccepted)
			w.verify(otp.AcceptedByTMS, a)
			if n%10 != 0 {
				continue
			}
			w.verify(otp.AcceptedByTMS, behind(fmt.Sprint("user", i), pin+wrongCode(t, int(n)), otp.TMSOnly, otp.TMSAccepted))
			w.verify(otp.RefusedByTMS, behind(fmt.Sprint("user", i), pin+code(t, n+1), otp.TMSOnly, otp.TMSRefused))
			w.verify(otp.RefusedByTMS, behind(fmt.Sprint("user", i), pin+wrongCode(t, 0), otp.TMSOnly, otp.TMSRefused))
			w.verify(otp.TMSDown, behind(fmt.Sprint("user", i), pin+wrongCode(t, 0), otp.TMSOnly, otp.TMSUnavailable))
			want += 2
		}
	}
	for _, test := range []struct {
		filter tms.Filter
		want   int
	}{
		{tms.Filter{Differing: true}, want},
		{tms.Filter{Differing: true, Limit: 3}, 3},
		{tms.Filter{Differing: true, User: "user1"}, want / 2},
		{tms.Filter{Differing: true, User: "user"}, 0},
	} {
		events := w.events(test.filter)
		if len(events) != test.want {
			w.Errorf("%+v: %d events, want %d", test.filter, len(events), test.want)
		}
		for _, e := range events {
			if d := e.Decision; e.Kind != tms.LoginEvent || d.Own.Accepts() == d.Verdict.Accepts() || d.Own == otp.Undecided {
				w.Errorf("event %+v", e)
			}
		}
	}
}

// comparedOnce has many logins at once with one code that the TMS has accepted: our own
// token sees it fresh once.
func comparedOnce(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	for round := range uint64(10) {
		var attempts []*otp.Attempt
		for range 40 {
			attempts = append(attempts, behind("alice", pin+code(token, round), otp.TMSOnly, otp.TMSAccepted))
		}
		w.atOnce(attempts...)
		fresh := 0
		for _, a := range attempts {
			if a.Decision.Own == otp.Accepted {
				fresh++
			}
		}
		if s := w.token("T1").State; fresh != 1 || s.Counter != round+1 || s.Agreed != uint16(round)+1 {
			w.Errorf("round %d: fresh %d times, state %+v", round, fresh, s)
		}
	}
}

// homesAgainstLogins cuts users over and rolls them back while they log in and others
// change everything else of them. Each login has to see the home that was set before
// it, and no change undoes another.
func homesAgainstLogins(w *world) {
	const users, rounds = 6, 30
	var all, others sync.WaitGroup
	var over atomic.Bool
	for i := range users {
		name, token := fmt.Sprint("user", i), hotp(fmt.Sprint("T", i))
		w.addUser(name, token)
		all.Go(func() {
			for n := range uint64(rounds) {
				passcode := pin + code(token, n)
				w.setHome(name, otp.HomeTMS)
				a := behind(name, passcode, otp.LocalThenTMS, otp.TMSNotAsked)
				if w.verify(otp.Undecided, a); !a.Decision.AskTMS {
					w.Errorf("%q is on the TMS, and the decision is %+v", name, a.Decision)
				}
				w.setHome(name, otp.HomeLocal)
				w.verify(otp.Accepted, behind(name, passcode, otp.TMSOnly, otp.TMSNotAsked))
			}
		})
		others.Go(func() {
			for n := 0; !over.Load(); n++ {
				w.changeHolder(name, func(h *tms.Holder) { h.User.Created = noon.AddDate(0, 0, n%100) })
				w.changeToken(token.Serial, func(t *tms.Token) { t.Learned = n%2 == 0 })
				w.changeUser(name, func(u *tms.User) { u.PIN = otp.NewPIN([]byte(pin)) })
			}
		})
	}
	all.Wait()
	over.Store(true)
	others.Wait()
	for i := range users {
		if u, t := w.user(fmt.Sprint("user", i)), w.token(otp.Serial(fmt.Sprint("T", i))); u.Home != otp.HomeLocal || t.State.Counter != rounds {
			w.Errorf("user %+v, counter %d", u, t.State.Counter)
		}
	}
}
