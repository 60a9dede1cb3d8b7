package otp

import (
	"context"
	"testing"
	"time"
)

// decide shows a passcode in an attempt that was prepared.
func (b *bench) decide(prepare func(*Attempt), passcode string) Decision {
	b.Helper()
	a := b.attempt(passcode, "pc")
	prepare(a)
	if _, err := b.Verify(context.Background(), a); err != nil {
		b.Fatal(err)
	}
	return a.Decision
}

func TestExcludedPassesUnlessDisabled(t *testing.T) {
	b := newBench(t, clockToken("T"))
	excluded := func(a *Attempt) { a.Preset = Excluded }
	if d := b.decide(excluded, "whatever"); d.Verdict != Excluded || !d.Verdict.Accepts() || d.Changed != 0 {
		t.Errorf("%+v", d)
	}
	b.store.account.Disabled = true
	if d := b.decide(excluded, "whatever"); d.Verdict != UserDisabled {
		t.Errorf("%+v, want the disabled user refused", d)
	}
	b.store.account = Account{}
	if d := b.decide(excluded, "whatever"); d.Verdict != Excluded {
		t.Errorf("%+v, want an unknown user excluded", d)
	}
}

func TestOnlyTheAcceptedVerdictsAccept(t *testing.T) {
	for _, v := range append(Verdicts(), Undecided) {
		if v.Accepts() != (v == Accepted || v == Excluded || v == AcceptedByTMS) {
			t.Errorf("%v: %t", v, v.Accepts())
		}
	}
}

func TestWithoutToken(t *testing.T) {
	disabled := clockToken("T")
	disabled.Disabled = true
	for name, c := range map[string]struct {
		account Account
		want    Verdict
	}{
		"no such user":          {Account{}, Excluded},
		"no token":              {Account{Exists: true}, Excluded},
		"a disabled token":      {Account{Exists: true, Tokens: []Token{disabled}}, NoToken},
		"a disabled user":       {Account{Exists: true, Disabled: true}, UserDisabled},
		"a token, a wrong code": {Account{Exists: true, Tokens: []Token{clockToken("T")}}, WrongCode},
	} {
		b := newBench(t)
		b.store.account = c.account
		for _, ask := range []bool{true, false} {
			d := b.decide(func(a *Attempt) {
				if a.AskWithoutToken = ask; !ask {
					a.WithoutToken = Excluded
				}
			}, "000000")
			if outstanding := ask && c.want == Excluded; d.Outstanding != outstanding {
				t.Errorf("%s: outstanding %t", name, d.Outstanding)
			} else if !outstanding && d.Verdict != c.want {
				t.Errorf("%s: %v, want %v", name, d.Verdict, c.want)
			}
		}
	}
}

func TestDoubtfulIsAcceptedOrLeftUndecided(t *testing.T) {
	doubtful := func(a *Attempt) { a.Doubtful, a.WithoutToken, a.AskWithoutToken = true, Excluded, true }
	b := newBench(t, clockToken("T"))
	if d := b.decide(doubtful, "4711"+b.wrong(0)); d.Verdict != Undecided || b.state().Failures != 1 {
		t.Errorf("wrong code: %+v, %d failures; want it undecided and counted", d, b.state().Failures)
	}
	if d := b.decide(doubtful, "4711"+b.code(0)); d.Verdict != Accepted {
		t.Errorf("right code: %+v", d)
	}
	if d := b.decide(doubtful, "4711"+b.code(0)); d.Verdict != Undecided {
		t.Errorf("used code: %+v", d)
	}
	b.store.account = Account{}
	if d := b.decide(doubtful, "4711"+"000000"); d.Verdict != Undecided || d.Outstanding {
		t.Errorf("unknown user: %+v", d)
	}
}

func TestStrangersAreNotWithoutToken(t *testing.T) {
	b := newBench(t)
	stranger := func(a *Attempt) { a.WithoutToken, a.Stranger = Excluded, true }
	if d := b.decide(stranger, "x"); d.Verdict != Excluded {
		t.Errorf("one whom the store has: %v", d.Verdict)
	}
	b.store.account = Account{}
	if d := b.decide(stranger, "x"); d.Verdict != UnknownUser {
		t.Errorf("one whom nobody has: %v", d.Verdict)
	}
}

// Where the directory password will do, a right code does too; what is a passcode
// is judged as ever, and only the rest is left to the directory.
func TestOrPassword(t *testing.T) {
	b := newBench(t, clockToken("T"))
	either := func(a *Attempt) { a.OrPassword = true }
	for _, password := range []string{"a password", "password1", "0000" + b.wrong(0), ""} {
		before := b.state()
		if d := b.decide(either, password); !d.Outstanding || d.Verdict != Undecided || b.state() != before {
			t.Errorf("%q: %+v, state %+v", password, d, b.state())
		}
	}
	for i, c := range []struct {
		passcode string
		want     Verdict
	}{
		{"4711" + b.wrong(0), WrongCode}, {"0000" + b.code(0), WrongPIN}, {"4711" + b.code(0), Accepted}, {"4711" + b.code(0), Replayed},
	} {
		if d := b.decide(either, c.passcode); d.Verdict != c.want || d.Outstanding {
			t.Errorf("%d: %+v, want %v", i, d, c.want)
		}
	}
	for range DefaultPolicy().MaxFailures {
		b.at = b.at.Add(2 * time.Minute)
		b.decide(either, "4711"+b.wrong(1))
	}
	if d := b.decide(either, "4711"+b.code(0)); d.Verdict == Accepted {
		t.Errorf("%+v after guessing at codes", d)
	}
	b.store.account.Disabled = true
	if d := b.decide(either, "a password"); d.Verdict != UserDisabled || d.Outstanding {
		t.Errorf("disabled user: %+v", d)
	}
}

// directoryBench asks a directory that says what the test wants.
type directoryBench struct{ *bench }

// asked demands whether the directory is asked, and what is said instead.
func (b directoryBench) asked(station, password string, want bool, instead Verdict) *Attempt {
	b.Helper()
	a := b.attempt(password, station)
	if got, ask := b.AskDirectory(context.Background(), a); ask != want || got != instead {
		b.Errorf("%q from %s: asked %t, %v instead; want %t, %v", password, station, ask, got, want, instead)
	}
	return a
}

func (b directoryBench) answer(password string, answer Verdict) {
	b.Helper()
	b.DirectoryAnswered(b.asked("pc", password, true, Undecided), answer)
}

// Nobody is locked out of the directory by what it is shown.
func TestDirectoryIsAskedSparingly(t *testing.T) {
	b := directoryBench{newBench(t)}
	wait := DefaultPolicy().WrongPasswordTime
	b.answer("first", WrongPassword)
	for range 5 { // a client that reconnects for ever
		b.at = b.at.Add(wait - time.Minute)
		b.asked("pc", "first", false, WrongPassword)
		b.asked("other", "first", false, WrongPassword)
	}
	b.answer("second", WrongPassword)
	b.answer("third", WrongPassword)
	for _, station := range []string{"pc", "x", "y"} {
		b.asked(station, "fourth", false, Throttled)
	}
	b.at = b.at.Add(wait + time.Second)
	b.answer("fourth", Accepted)
	b.answer("fifth", WrongPassword)
	b.answer("right", Accepted)
	b.answer("fifth", DirectoryLocked) // forgotten, and not the password's fault
	b.asked("pc", "fifth", true, Undecided)
}

func TestDirectoryIsAskedOneThingAtATime(t *testing.T) {
	b := directoryBench{newBench(t)}
	first := b.asked("pc", "x", true, Undecided)
	impatient, cancel := context.WithCancel(context.Background())
	cancel()
	if instead, ask := b.AskDirectory(impatient, b.attempt("y", "other")); ask || instead != Undecided {
		t.Errorf("%v, %t while somebody asks", instead, ask)
	}
	patient := make(chan Verdict)
	go func() {
		instead, _ := b.AskDirectory(context.Background(), b.attempt("x", "other"))
		patient <- instead
	}()
	b.DirectoryAnswered(first, Undecided)
	if instead := <-patient; instead != Undecided {
		t.Errorf("%v for what got no answer", instead)
	}
	b.asked("pc", "x", false, Undecided) // a retransmission
	b.at = b.at.Add(unansweredTime)
	b.answer("x", Accepted)
}

// Passwords that were left without an answer may have been counted.
func TestUnansweredPasswordsAreFew(t *testing.T) {
	b := directoryBench{newBench(t)}
	for _, password := range []string{"a", "b", "c"} {
		b.answer(password, Undecided)
	}
	b.asked("pc", "d", false, Undecided)
	b.at = b.at.Add(lostTime + time.Second)
	b.answer("d", DirectoryLocked)
	b.answer("e", Undecided)
	b.answer("f", WrongPassword)
	b.answer("g", Accepted)
}

func TestQuestionsAreBounded(t *testing.T) {
	b := newBench(t)
	policy := DefaultPolicy()
	policy.ThrottleEntries = 8
	b.SetPolicy(policy)
	for i := range 100 {
		a := b.attempt("x", "pc")
		a.User = []byte{'a' + byte(i%26), 'a' + byte(i/26)}
		if _, ask := b.AskDirectory(context.Background(), a); !ask {
			t.Fatal("not asked")
		}
		b.DirectoryAnswered(a, WrongPassword)
	}
	if n := len(b.questions.entries); n > 8 {
		t.Errorf("%d users are remembered", n)
	}
}
