package otp

import (
	"crypto/md5"
	"fmt"
	"testing"
	"time"

	"countersign/otp/oath"
)

// asAnswer makes an attempt an answer to a question of the TMS.
func asAnswer(said TMSAnswer) func(*Attempt) {
	return func(a *Attempt) { answered(LocalOnly, said)(a); a.Answer = true }
}

// byCHAP makes an attempt one by CHAP.
func byCHAP(passcode string, set func(*Attempt)) func(*Attempt) {
	return func(a *Attempt) {
		set(a)
		a.Method, a.Challenge = CHAP, &chap{md5.Sum([]byte(passcode))}
	}
}

// passesNowhere shows a passcode behind our own PIN wherever it might still be taken.
func (b *bench) passesNowhere(name, code string) {
	b.Helper()
	passcode := "4711" + code
	for way, set := range map[string]func(*Attempt){
		"here":                     answered(LocalOnly, TMSNotAsked),
		"here, as the TMS refuses": answered(TMSThenLocal, TMSRefused),
		"here, as the TMS is away": answered(LocalThenTMS, TMSUnavailable),
		"at the TMS":               answered(TMSOnly, TMSAccepted),
		"here, by CHAP":            byCHAP(passcode, answered(LocalOnly, TMSNotAsked)),
		"as an answer to the TMS":  asAnswer(TMSAccepted),
	} {
		if d := b.decide(set, passcode); d.Verdict.Accepts() {
			b.Errorf("%s, then %s: %+v", name, way, d)
		}
	}
}

// What the TMS accepted is used up here, and what was used here does not pass there:
// behind another PIN, as an answer, and of clocks that are fast.
func TestACodePassesHereOrAtTheTMS(t *testing.T) {
	for _, token := range []Token{clockToken("T"), eventToken("H")} {
		for _, distance := range []int64{0, 4} {
			for name, show := range map[string]func(code string) (string, func(*Attempt)){
				"another PIN": func(code string) (string, func(*Attempt)) { return "0815" + code, answered(TMSOnly, TMSAccepted) },
				"an answer":   func(code string) (string, func(*Attempt)) { return code, asAnswer(TMSAccepted) },
				"CHAP": func(code string) (string, func(*Attempt)) {
					return "", byCHAP("4711"+code, answered(TMSOnly, TMSAccepted))
				},
			} {
				b := newBench(t, token)
				code := b.code(distance)
				passcode, set := show(code)
				if d := b.decide(set, passcode); d.Verdict != AcceptedByTMS || d.Serial != token.Serial || d.Offset != distance {
					t.Errorf("%s of %s: %+v", name, token.Serial, d)
				}
				b.at = b.at.Add(time.Duration(distance) * 30 * time.Second)
				b.passesNowhere(name, code)
				if d := b.decide(set, passcode); d.Verdict != Replayed {
					t.Errorf("%s of %s, again: %+v", name, token.Serial, d)
				}
			}
		}
	}
}

// What was accepted here long ago is new to a TMS whose counter stood still.
func TestRollbackAfterHundredsOfLogins(t *testing.T) {
	b := newBench(t, eventToken("H"))
	var codes []string
	for range 400 {
		codes = append(codes, b.code(0))
		b.login("4711"+b.code(0), Accepted)
	}
	b.store.account.Home = HomeTMS
	for i := 0; i < len(codes); i += 57 {
		for _, pin := range []string{"4711", "0815"} {
			if d := b.decide(answered(LocalThenTMS, TMSAccepted), pin+codes[i]); d.Verdict != Replayed {
				t.Errorf("code %d behind %s: %+v", i, pin, d)
			}
		}
		if d := b.decide(asAnswer(TMSAccepted), codes[i]); d.Verdict != Replayed || d.Own != Undecided {
			t.Errorf("code %d as an answer: %+v", i, d)
		}
	}
	if b.state() != (State{Counter: 400}) {
		t.Errorf("state %+v", b.state())
	}
}

// A new code of one token passes behind the right PIN though another one has burned its
// like; behind another PIN it does not.
func TestUsedOnOneTokenAndNewOnAnother(t *testing.T) {
	used := eventToken("USED")
	used.State.Counter = 3
	for _, tokens := range [][]Token{{used, eventToken("NEW")}, {eventToken("NEW"), used}} {
		b := newBench(t, tokens...)
		if d := b.decide(answered(TMSOnly, TMSAccepted), "0815"+codeOf(&used, noon, -3)); d.Verdict != Replayed || d.Serial != "USED" {
			t.Errorf("behind another PIN: %+v", d)
		}
		if d := b.decide(answered(TMSOnly, TMSAccepted), "4711"+codeOf(&used, noon, -2)); d.Verdict != AcceptedByTMS || d.Serial != "NEW" || d.Own != Accepted {
			t.Errorf("%+v", d)
		}
		if d := b.decide(answered(TMSOnly, TMSAccepted), "4711"+codeOf(&used, noon, -2)); d.Verdict != Replayed {
			t.Errorf("again: %+v", d)
		}
	}
}

// A token that was disabled or reported lost here, or whose time it is not, does not let
// in at the TMS who has it.
func TestTokensThatMayNotBeUsedSpeak(t *testing.T) {
	disabled, expired := eventToken("H"), clockToken("T")
	disabled.Disabled, expired.ValidUntil = true, noon.Unix()
	disabled.State.Counter, expired.State.Counter = 30, uint64(noon.Unix()/30)
	for _, c := range []struct {
		token Token
		want  Verdict
	}{{disabled, NoToken}, {expired, TokenExpired}} {
		for _, home := range []Home{HomeUnsaid, HomeTMS} {
			for _, distance := range []int64{-1, 0, 5} {
				for _, passcode := range []string{"4711", "0815", ""} {
					b := newBench(t, c.token)
					b.store.account.Home = home
					passcode += b.code(distance)
					d := b.decide(answered(LocalThenTMS, TMSNotAsked), passcode)
					if d.Verdict != c.want || d.Outstanding || d.Serial != c.token.Serial || d.Changed != 0 {
						t.Errorf("%v, code %d: %+v", home, distance, d)
					}
					if d := b.decide(asAnswer(TMSNotAsked), passcode); d.Verdict != c.want || d.Outstanding {
						t.Errorf("%v, code %d as an answer: %+v", home, distance, d)
					}
					if d := b.decide(answered(TMSOnly, TMSAccepted), passcode); d.Verdict != c.want || d.Own != Undecided {
						t.Errorf("%v, code %d that the TMS accepted: %+v", home, distance, d)
					}
				}
			}
		}
		b := newBench(t, c.token)
		chap := "4711" + b.code(5)
		if d := b.decide(byCHAP(chap, answered(TMSOnly, TMSNotAsked)), ""); !d.AskTMS {
			t.Errorf("CHAP: %+v", d)
		}
		if d := b.decide(byCHAP(chap, answered(TMSOnly, TMSAccepted)), ""); d.Verdict != c.want {
			t.Errorf("CHAP: %+v", d)
		}
		if d := b.decide(answered(TMSOnly, TMSNotAsked), "4711"+b.wrong(0)); !d.AskTMS {
			t.Errorf("another code: %+v", d)
		}
	}
	b := newBench(t, disabled)
	if d := b.decide(answered(TMSOnly, TMSAccepted), "4711"+b.code(-25)); d.Verdict != NoToken {
		t.Errorf("a code used long ago: %+v", d)
	}
}

// A code of a list is ours, even if a disabled token shows the same.
func TestListsComeBeforeTokensThatMayNotBeUsed(t *testing.T) {
	list, disabled := eventToken("LIST"), eventToken("H")
	list.Type, list.Codes, disabled.Disabled = CodeList, 5, true
	b := newBench(t, list, disabled)
	if d := b.decide(answered(TMSOnly, TMSNotAsked), "4711"+b.code(1)); d.Verdict != Accepted || d.Serial != "LIST" {
		t.Errorf("%+v", d)
	}
	if d := b.decide(asAnswer(TMSNotAsked), "4711"+b.code(1)); d.Verdict != NoToken {
		t.Errorf("an answer: %+v", d)
	}
}

// A question of the TMS burns what was shown to get there, and is not put to who shows
// what was used.
func TestTheTMSAsksMore(t *testing.T) {
	token := eventToken("H")
	token.State = State{Counter: 300, Failures: 1, LockedUntil: noon.Add(time.Hour).Unix(), MustResync: true, Agreed: 2, Disagreed: 1}
	for _, c := range []struct {
		pin      string
		distance int64
		want     Verdict
		burned   bool
	}{
		{"4711", -1, Replayed, false}, {"4711", -290, Replayed, false}, {"0815", -1, AskedByTMS, false},
		{"4711", 0, AskedByTMS, true}, {"0815", 7, AskedByTMS, true}, {"4711", 50, AskedByTMS, true}, {"", 50, AskedByTMS, false},
		{"4711", 1000, AskedByTMS, false},
	} {
		for _, answer := range []bool{false, true} {
			b, want := newBench(t, token), token.State
			if c.burned {
				want.Counter += uint64(c.distance + 1)
			}
			d := b.decide(func(a *Attempt) { answered(TMSThenLocal, TMSAsked)(a); a.Answer = answer }, c.pin+b.code(c.distance))
			if d.Verdict != c.want || d.Own != Undecided || b.state() != want || d.Outstanding {
				t.Errorf("%+v, answer %v: %+v, state %+v", c, answer, d, b.state())
			}
		}
	}
	b := newBench(t, clockToken("T"))
	code := b.code(4)
	if d := b.decide(byCHAP("4711"+code, answered(TMSOnly, TMSAsked)), ""); d.Verdict != AskedByTMS {
		t.Errorf("CHAP: %+v", d)
	}
	b.at = b.at.Add(2 * time.Minute)
	b.passesNowhere("asked after CHAP", code)
}

// Who guesses at what the TMS asks waits like one who guesses at PINs.
func TestWrongAnswersSlowDownTheirSource(t *testing.T) {
	b := newBench(t, clockToken("T"))
	for i := range DefaultPolicy().ThrottleAfter + 1 {
		answer := fmt.Sprint("answer ", i)
		for j, repeated := range []bool{false, true} {
			if d := b.decide(asAnswer(TMSRefused), answer); d != (Decision{Verdict: RefusedByTMS, Repeated: repeated}) {
				t.Fatalf("%d: %+v", j, d)
			}
		}
	}
	for _, set := range []func(*Attempt){asAnswer(TMSNotAsked), answered(TMSOnly, TMSNotAsked)} {
		if d := b.decide(set, "another"); d.Verdict != Throttled || d.Outstanding {
			t.Errorf("%+v", d)
		}
	}
	b.decide(asAnswer(TMSAccepted), "the right one")
	if d := b.decide(asAnswer(TMSNotAsked), "another"); !d.AskTMS {
		t.Errorf("after an accept: %+v", d)
	}
}

// Where the order is in doubt our own tokens alone may accept, and not those of a user
// whose home is the TMS.
func TestTheOrderIsInDoubt(t *testing.T) {
	inDoubt := func(a *Attempt) {
		a.Order, a.TMS, a.WhenDown, a.Doubtful = LocalThenTMS, TMSUnavailable, Undecided, true
	}
	for home, want := range map[Home]Verdict{HomeUnsaid: Accepted, HomeLocal: Accepted, HomeTMS: Undecided} {
		b := newBench(t, clockToken("T"))
		b.store.account.Home = home
		if d := b.decide(inDoubt, "4711"+b.wrong(0)); d.Verdict != Undecided || d.Outstanding {
			t.Errorf("home %v, wrong: %+v", home, d)
		}
		if d := b.decide(inDoubt, "4711"+b.code(0)); d.Verdict != want || d.Outstanding {
			t.Errorf("home %v: %+v", home, d)
		}
	}
}

// BenchmarkTakenByTMS is the dearest decision: the TMS accepted, and no token shows it.
func BenchmarkTakenByTMS(b *testing.B) {
	token := eventToken("H")
	token.State.Counter = maxBack
	store := &memory{account: Account{Exists: true, PIN: NewPIN([]byte("4711")), Tokens: []Token{token}}}
	code := oath.HOTP(token.Algorithm, token.Seed, 1<<40, 6)
	a := &Attempt{At: noon, User: []byte("alice"), Order: TMSOnly, TMS: TMSAccepted, verifier: NewVerifier(store, DefaultPolicy())}
	a.Passcode = NewPasscode([]byte("4711" + code))
	for b.Loop() {
		a.Decide(&store.account)
	}
}

// twice finds a seed whose token shows a used code once more where resync looks.
func twice(t *testing.T, used uint64) (token Token, factor uint64) {
	token = eventToken("H")
	token.State.Counter = used
	reach := uint64(DefaultPolicy().ResyncWindow)
	for i := range 1000 {
		token.Seed = oath.NewSeed(fmt.Appendf(nil, "a seed of the token %d", i))
		was := map[string]uint64{}
		for factor := range used + reach {
			code := oath.HOTP(token.Algorithm, token.Seed, factor, 6)
			if old, ok := was[code]; ok && old+reach < used && factor > used+20 {
				return token, old
			}
			was[code] = factor
		}
	}
	t.Fatal("no seed shows a code twice")
	return
}

// Of what the TMS has accepted it is likelier that it was used here than that the token is
// out of step.
func TestAUsedCodeThatAlsoResyncWouldFind(t *testing.T) {
	token, factor := twice(t, 500)
	b := newBench(t, token)
	code := b.code(int64(factor) - 500)
	if d := b.decide(answered(TMSOnly, TMSAccepted), "4711"+code); d.Verdict != Replayed {
		t.Errorf("%+v", d)
	}
}
