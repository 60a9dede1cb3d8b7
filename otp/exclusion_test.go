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
		if v.Accepts() != (v == Accepted || v == Excluded) {
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

// A wrong directory password is not shown to the directory again and again.
func TestDirectoryIsNotAskedAgain(t *testing.T) {
	b := newBench(t)
	may := func(password string, want Verdict) {
		t.Helper()
		a := b.attempt(password, "pc")
		if instead, may := b.MayAskDirectory(a); instead != want || may != (want == Undecided) {
			t.Errorf("%q: %v, %t; want %v", password, instead, may, want)
		}
	}
	refuse := func(password string) {
		b.decide(func(a *Attempt) { a.Preset = WrongPassword }, password)
	}
	may("first", Undecided)
	refuse("first")
	may("first", WrongPassword)
	may("second", Undecided)
	b.at = b.at.Add(DefaultPolicy().RepeatTime + time.Second)
	may("first", Undecided)
	for _, password := range []string{"a", "b", "c"} {
		refuse(password)
	}
	may("d", Throttled)
	b.DirectoryAgreed(b.attempt("", "pc"))
	may("d", Undecided)

	// The same over the way by which it comes out first that there is no token.
	for _, password := range []string{"a", "b", "c", "d"} {
		b.decide(func(a *Attempt) { a.WithoutToken = WrongPassword }, password)
	}
	may("e", Throttled)
}
