package otp

import (
	"math/rand/v2"
	"testing"
	"time"

	"countersign/otp/oath"
)

// usage shows codes of a user with two tokens in any order, at gateways of any order,
// while a TMS, which may know another PIN, says what it likes.
type usage struct {
	*bench
	rand     *rand.Rand
	shown    []shownCode
	verdicts map[Verdict]int
	answers  int // to questions of the TMS, that were accepted
}

// shownCode is a code that a token has shown.
type shownCode struct {
	token  int
	factor uint64
	at     time.Time
	code   string
}

// lately is how old a code of a clock token may be that a TMS takes for a new one: there
// is no login with steps so old. Of an event token it may be any.
const lately = 5 * time.Minute

// fastest is how many steps the clock of the token is fast at most.
const fastest = 8

// newUsage makes the tokens. Their codes are long, so that none is shown by chance.
func newUsage(t *testing.T, seed uint64, verdicts map[Verdict]int) *usage {
	clock, event := clockToken("T"), eventToken("H")
	clock.Digits, event.Digits, event.Seed = 8, 10, oath.NewSeed([]byte("another seed of another"))
	return &usage{bench: newBench(t, clock, event), rand: rand.New(rand.NewPCG(seed, 5)), verdicts: verdicts}
}

// one reports true once in n times.
func (u *usage) one(n int) bool { return u.rand.IntN(n) == 0 }

// next is a code of a token, a new one or one that was shown before.
func (u *usage) next() shownCode {
	if n := len(u.shown); n > 0 && u.one(2) {
		c := u.shown[u.rand.IntN(n)]
		if u.one(2) {
			c = u.shown[n-1-u.rand.IntN(min(n, 8))]
		}
		if u.store.account.Tokens[c.token].Type == HOTP || u.at.Sub(c.at) <= lately {
			return c
		}
	}
	c := shownCode{token: u.rand.IntN(2), at: u.at}
	t := &u.store.account.Tokens[c.token]
	if c.factor = uint64(u.at.Unix()/30 + int64(u.rand.IntN(fastest+3)) - 2); t.Type == HOTP {
		c.factor = t.State.Counter + uint64(u.rand.IntN(30))
	}
	c.code = oath.HOTP(t.Algorithm, t.Seed, c.factor, int(t.Digits))
	u.shown = append(u.shown, c)
	return c
}

// change has an administrator at work: now and then the home of the user is another, and
// tokens may be used or not.
func (u *usage) change() {
	account := &u.store.account
	if u.one(40) {
		account.Home = Home(u.rand.IntN(3))
	}
	for i := range account.Tokens {
		t := &account.Tokens[i]
		t.Learned, t.State.MustResync = u.one(2), t.State.MustResync || u.one(50)
		t.Disabled, t.ValidUntil = u.one(12), 0
		if u.one(12) {
			t.ValidUntil = u.at.Unix()
		}
	}
}

// typed is what the user types: the code behind our PIN, or another the TMS knows. A
// proof by CHAP is of ours: what it is of another nobody can tell.
func (u *usage) typed(c shownCode, answer bool) *Attempt {
	pin := "4711"
	if u.one(3) {
		pin = "0815"
	}
	a := u.attempt(pin+c.code, string(rune('a'+u.rand.IntN(9))))
	a.Order, a.Shadow, a.Answer, a.WhenDown = Order(u.rand.IntN(4)), u.one(2), answer, TMSDown
	if !answer && u.one(4) {
		byCHAP("4711"+c.code, func(*Attempt) {})(a)
		a.Passcode = Passcode{}
	}
	return a
}

// submit shows an attempt as radiusd does: once, and once more with what the TMS says.
func (u *usage) submit(c shownCode, a *Attempt) Decision {
	a.Waiter = make(waiter, 2)
	token := &u.store.account.Tokens[c.token]
	before := token.State
	u.Submit(a)
	if a.Decision.AskTMS {
		a.TMS = answers[1+u.rand.IntN(len(answers)-1)]
		u.Submit(a)
	}
	d := a.Decision
	u.verdicts[d.Verdict]++
	burned, usable := c.factor < before.Counter, token.usable(u.at)
	switch {
	case d.Verdict.Accepts() && (burned || !usable):
		u.Fatalf("%+v for a code that must not pass: burned %v, usable %v", d, burned, usable)
	case (d.Verdict.Accepts() || a.TMS == TMSAccepted) && c.factor >= token.State.Counter:
		u.Fatalf("%+v, and the code can pass again: %+v", d, token.State)
	case d.Verdict == AskedByTMS && burned && (a.Challenge != nil || a.Passcode.bytes()[0] == '4'):
		u.Fatalf("%+v: a code that was burned has led to a question", d)
	case token.State.Counter < before.Counter, token.State.Agreed < before.Agreed:
		u.Fatalf("%+v: state %+v after %+v", d, token.State, before)
	case a.TMS == TMSAccepted && before.MustResync != token.State.MustResync:
		u.Fatalf("%+v: the TMS has ended a resync", d)
	}
	return d
}

// login shows a code, and answers with others what the TMS asks.
func (u *usage) login() {
	c := u.next()
	d := u.submit(c, u.typed(c, false))
	for d.Verdict == AskedByTMS {
		c = u.next()
		if d = u.submit(c, u.typed(c, true)); d.Verdict.Accepts() {
			u.answers++
		}
	}
}

// A code that a token of ours has burned is never accepted again, and what the TMS has
// accepted is burned here, whatever the order is and the PIN and the way to it.
func TestBurnedCodesAreNeverAccepted(t *testing.T) {
	verdicts, answers := map[Verdict]int{}, 0
	for seed := range uint64(40) {
		u := newUsage(t, seed, verdicts)
		for range 400 {
			u.at = u.at.Add(time.Duration(u.rand.IntN(60)) * time.Second)
			u.change()
			u.login()
		}
		u.rollBack()
		answers += u.answers
	}
	verdicts[Undecided] = answers
	for _, v := range []Verdict{Undecided, Accepted, AcceptedByTMS, RefusedByTMS, AskedByTMS, Replayed, NextCode, TMSDown, NoToken, TokenExpired} {
		if verdicts[v] < 100 {
			t.Errorf("%v came %d times only", v, verdicts[v])
		}
	}
}

// rollBack has the user log in here with hundreds of codes of the event token, and then
// at the TMS, whose counter stood still.
func (u *usage) rollBack() {
	account := &u.store.account
	account.Home = HomeLocal
	t := &account.Tokens[1]
	t.Disabled, t.ValidUntil, t.State.MustResync, t.State.LockedUntil = false, 0, false, 0
	for range 300 {
		c := shownCode{token: 1, factor: t.State.Counter, at: u.at, code: codeOf(t, u.at, 0)}
		u.shown = append(u.shown, c)
		if d := u.submit(c, u.attempt("4711"+c.code, "desk")); d.Verdict != Accepted {
			u.Fatalf("%+v", d)
		}
	}
	account.Home = HomeTMS
	for range 100 {
		u.login()
	}
}
