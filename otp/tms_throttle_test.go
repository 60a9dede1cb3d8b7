package otp

import (
	"strings"
	"testing"
	"time"

	"countersign/otp/oath"
)

// What the TMS refuses slows down the source, and the source is heard before the TMS.
func TestRefusalsOfTheTMSSlowDownTheirSource(t *testing.T) {
	for _, account := range []Account{{}, accountOf("no token"), accountOf("learned token"), accountOf("expired token")} {
		for _, order := range []Order{TMSOnly, TMSThenLocal} {
			b := newBench(t)
			b.store.account = account
			shown := func(i int, answer TMSAnswer) Decision {
				return b.decide(answered(order, answer), "0000"+oath.HOTP(oath.SHA1, oath.NewSeed(seed), uint64(1000+i), 6))
			}
			for i := range DefaultPolicy().ThrottleAfter + 1 {
				shown(i, TMSRefused)
				shown(i, TMSRefused) // a repeat, which does not count
			}
			if d := shown(9, TMSNotAsked); d.Verdict != Throttled || d.Outstanding {
				t.Errorf("%+v: %+v", account, d)
			}
			b.at = b.at.Add(DefaultPolicy().ThrottleFirst)
			if d := shown(9, TMSNotAsked); !d.AskTMS {
				t.Errorf("%+v, later: %+v", account, d)
			}
			shown(9, TMSAccepted) // which forgives
			shown(10, TMSRefused)
			if d := shown(11, TMSNotAsked); !d.AskTMS {
				t.Errorf("%+v, forgiven: %+v", account, d)
			}
		}
	}
}

// Without a station the user and a stranger are one source, so the TMS is asked.
func TestWithoutAStationTheTMSIsAsked(t *testing.T) {
	b := newBench(t)
	for i := range 100 {
		d := b.decide(func(a *Attempt) { answered(TMSOnly, TMSRefused)(a); a.Station = nil }, "x"+strings.Repeat("y", i))
		if d.Verdict != RefusedByTMS {
			t.Fatalf("%+v", d)
		}
	}
	if d := b.decide(func(a *Attempt) { a.Order, a.Station = TMSOnly, nil }, "right"); !d.AskTMS {
		t.Errorf("%+v", d)
	}
}

// spared is a user of whom no token counts failures: in the time of the wait the right
// passcode, shown from anywhere, does not pass.
type spared struct {
	*bench
	answer TMSAnswer
}

func (b spared) from(station int, passcode string, answer TMSAnswer) Decision {
	b.Helper()
	shown := func(answer TMSAnswer) Decision {
		return b.decide(func(a *Attempt) { answered(LocalThenTMS, answer)(a); a.Station = []byte{byte(station)} }, passcode)
	}
	d := shown(answer)
	if d.AskTMS { // the TMS does not know the codes of lists
		d = shown(TMSRefused)
	}
	return d
}

func (b spared) waits(want bool) {
	b.Helper()
	before := b.state()
	if d := b.from(99, "4711"+b.code(0), b.answer); (d.Verdict == Accepted) == want || want && b.state() != before {
		b.Errorf("%+v", d)
	}
}

// Nobody guesses at codes while no token counts them: neither when the TMS is away,
// nor at those of a list.
func TestGuessesAreSlowedDownWhereNoTokenCounts(t *testing.T) {
	list := eventToken("LIST")
	list.Type, list.Codes = CodeList, 5
	few := DefaultPolicy().ThrottleAfter + 1
	for _, b := range []spared{{newBench(t, clockToken("T")), TMSUnavailable}, {newBench(t, list), TMSNotAsked}} {
		for i := range 3 * few { // a stranger keeps nobody out
			b.from(i, "0815"+b.wrong(i), b.answer)
		}
		b.waits(false)
		for i := range few { // who knows the PIN
			b.from(i, "4711"+b.wrong(i), b.answer)
		}
		b.waits(true)
		b.from(0, "x", TMSAccepted) // the user
		b.at = b.at.Add(time.Minute)
		for i := range few { // who holds the token
			b.from(i, "081"+string(rune('0'+i))+b.code(0), b.answer)
		}
		b.waits(true)
		b.from(0, "y", TMSAccepted)
		b.waits(false)
	}
}

// Who mistypes a code a few times while the TMS is away gets in all the same, also with a
// list of codes beside the token: one login is one guess, though it is looked at twice.
func TestTyposWhileTheTMSIsAway(t *testing.T) {
	token, list := eventToken("T"), eventToken("LIST")
	list.Type, list.Codes = CodeList, 5
	token.Learned = true // so that it is for the TMS
	b := newBench(t, token, list)
	login := func(passcode string) Decision {
		b.at = b.at.Add(2 * time.Minute)
		d := b.decide(answered(LocalThenTMS, TMSNotAsked), passcode)
		if d.AskTMS {
			d = b.decide(answered(LocalThenTMS, TMSUnavailable), passcode)
		}
		return d
	}
	for i := range DefaultPolicy().ThrottleAfter {
		if d := login("4711" + b.wrong(i)); d.Verdict.Accepts() {
			t.Fatalf("%+v", d)
		}
	}
	for i := range uint64(3) {
		if d := login("4711" + codeOf(&token, noon, int64(i))); d.Verdict != Accepted {
			t.Errorf("code %d: %+v", i, d)
		}
	}
}
