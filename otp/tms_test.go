package otp

import (
	"context"
	"crypto/md5"
	"math"
	"strings"
	"testing"
	"time"

	"countersign/otp/oath"
)

// decisions says what becomes of a right passcode: for each account, for what the TMS
// said and the user's home, a letter for each of five orders: local, tms,
// local-then-tms, tms-then-local, and local-then-tms with Shadow.
const decisions = `
not asked   accepted    refused     unavailable asked more
unsaid tms  unsaid tms  unsaid tms  unsaid tms  unsaid tms
U???? U???? UTTTT UTTTT URRRR URRRR UXXXX UXXXX UQQQQ UQQQQ no user
DDDDD DDDDD DDDDD DDDDD DDDDD DDDDD DDDDD DDDDD DDDDD DDDDD disabled user
N???? N???? NTTTT NTTTT NRRRR NRRRR NXXXX NXXXX NQQQQ NQQQQ no token
NNNNN NNNNN NNNNN NNNNN NRRRR NRRRR NXXXX NXXXX NNNNN NNNNN disabled token
EEEEE EEEEE EEEEE EEEEE ERRRR ERRRR EXXXX EXXXX EEEEE EEEEE expired token
EEEEE EEEEE EEEEE EEEEE ERRRR ERRRR EXXXX EXXXX EEEEE EEEEE token before its time
a?a?? a???? aTTTT aTTTT aRRaR aRRRR aXaaa aXXXX aQQQQ aQQQQ active token
a???? a???? aTTTT aTTTT aRRaR aRRRR aXaaa aXXXX aQQQQ aQQQQ learned token
a?a?? a???? aTTTT aTTTT aRRaR aRRRR aXaaa aXXXX aQQQQ aQQQQ proven token
aaaaa aaaaa aTTTT aTTTT aRRaR aRRRR aXaaa aXXXX aQQQQ aQQQQ list of codes
`

// answersDecided is the same of answers to a question of the TMS, whatever order and home.
const answersDecided = `
?TRXQ no user
DDDDD disabled user
?TRXQ no token
NNRXN disabled token
EERXE expired token
EERXE token before its time
?TRXQ active token
?TRXQ learned token
?TRXQ proven token
?TRXQ list of codes
`

var letters = map[byte]Verdict{
	'?': Undecided, 'a': Accepted, 'T': AcceptedByTMS, 'R': RefusedByTMS, 'X': TMSDown, 'Q': AskedByTMS,
	'U': UnknownUser, 'D': UserDisabled, 'N': NoToken, 'E': TokenExpired,
}

var answers = []TMSAnswer{TMSNotAsked, TMSAccepted, TMSRefused, TMSUnavailable, TMSAsked}

// someState is what tokens start with in the table.
var someState = State{Counter: 5, Failures: 2, Agreed: 1, Disagreed: 3}

// accountOf makes the account of a row.
func accountOf(row string) Account {
	token := eventToken("H")
	token.State = someState
	account := Account{Exists: true, PIN: NewPIN([]byte("4711"))}
	switch row {
	case "no user":
		return Account{}
	case "no token":
		return account
	case "disabled user":
		account.Disabled = true
	case "disabled token":
		token.Disabled = true
	case "expired token":
		token.ValidUntil = noon.Unix()
	case "token before its time":
		token.ValidFrom = noon.Unix() + 1
	case "learned token":
		token.Learned = true
	case "proven token":
		token.Learned, token.State.Agreed = true, uint16(DefaultPolicy().Agreements)
	case "list of codes":
		token.Type, token.Codes = CodeList, 20
	}
	account.Tokens = []Token{token}
	return account
}

func TestOrdersHomesAndAnswers(t *testing.T) {
	for line := range strings.Lines(decisions) {
		cells := strings.SplitN(strings.TrimSpace(line), " ", 11)
		if len(cells) < 11 || len(cells[0]) != 5 {
			continue
		}
		for i, answer := range answers {
			for order := range 5 {
				testCell(t, cell{row: cells[10], said: answer, home: HomeUnsaid, order: order}, cells[2*i][order])
				testCell(t, cell{row: cells[10], said: answer, home: HomeTMS, order: order}, cells[2*i+1][order])
				testCell(t, cell{row: cells[10], said: answer, home: HomeLocal, order: order}, cells[2*i][LocalOnly])
			}
		}
	}
}

func TestAnswersToTheTMS(t *testing.T) {
	for line := range strings.Lines(strings.TrimSpace(answersDecided)) {
		said, row, _ := strings.Cut(strings.TrimSpace(line), " ")
		for i, answer := range answers {
			for order := range 5 {
				for _, home := range []Home{HomeUnsaid, HomeLocal, HomeTMS} {
					testCell(t, cell{row, answer, home, order, true}, said[i])
				}
			}
		}
	}
}

// cell is a place in one of the tables.
type cell struct {
	row    string
	said   TMSAnswer
	home   Home
	order  int
	answer bool // to a question of the TMS
}

// ofTMS reports whether the TMS has a part in it.
func (c *cell) ofTMS() bool { return c.answer || Order(c.order) != LocalOnly && c.home != HomeLocal }

// testCell shows the right passcode and looks at all that comes of it.
func testCell(t *testing.T, c cell, letter byte) {
	b := newBench(t)
	account := &b.store.account
	*account = accountOf(c.row)
	account.Home = c.home
	passcode := "4711000000"
	var before State
	if len(account.Tokens) > 0 {
		before, passcode = b.state(), "4711"+b.code(0)
	}
	d := b.decide(func(a *Attempt) {
		a.Order, a.TMS, a.Answer, a.WhenDown = Order(c.order), c.said, c.answer, TMSDown
		if c.order == 4 {
			a.Order, a.Shadow = LocalThenTMS, true
		}
	}, passcode)
	ask := letter == '?'
	if d.Verdict != letters[letter] || d.Outstanding != ask || d.AskTMS != ask {
		t.Errorf("%+v: %+v, want %c", c, d, letter)
	}
	if len(account.Tokens) == 0 {
		return
	}
	want, own := after(before, c, letter, &account.Tokens[0])
	if b.state() != want || d.Own != own || (d.Changed != 0) != (want != before) {
		t.Errorf("%+v: own %v, state %+v; want %v, %+v", c, d.Own, b.state(), own, want)
	}
}

// after is the state of the token after a letter of the table, and what it says.
func after(s State, c cell, letter byte, t *Token) (State, Verdict) {
	compared := t.compared(noon) && !c.answer
	taken := c.ofTMS() && (c.said == TMSAccepted || c.said == TMSAsked) && t.Type != CodeList
	switch {
	case letter == 'a':
		s.Counter, s.Failures = s.Counter+1, 0
	case letter == 'T' && compared:
		s.Counter, s.Failures, s.Agreed, s.Disagreed = s.Counter+1, 0, s.Agreed+1, 0
		return s, Accepted
	case letter != 'D' && taken:
		s.Counter++
	case letter == 'R' && compared:
		s.Disagreed++
		return s, Accepted
	}
	return s, Undecided
}

// answered is an attempt under an order to which the TMS gives an answer.
func answered(order Order, answer TMSAnswer) func(*Attempt) {
	return func(a *Attempt) { a.Order, a.TMS, a.WhenDown = order, answer, TMSDown }
}

// What is no agreement changes nothing but Disagreed; only the code is burned where the
// token shows it.
func TestTheTMSAcceptsWhatOurTokenDoesNot(t *testing.T) {
	token := clockToken("T")
	token.State = State{Counter: 7, Failures: 2, Agreed: 4, Disagreed: 1, LockedUntil: noon.Add(time.Hour).Unix()}
	for name, c := range map[string]struct {
		pin      string
		distance int64
		own      Verdict
		shown    bool
	}{
		"wrong code": {"4711", 1000, WrongCode, false}, "wrong PIN": {"0815", 1000, WrongPIN, false},
		"wrong PIN, right code": {"0815", 0, WrongPIN, true}, "wrong PIN, far code": {"0815", 9, WrongPIN, true},
	} {
		b, want := newBench(t, token), token.State
		want.Disagreed = 2
		if c.shown {
			want.Counter, want.Drift = uint64(noon.Unix()/30+c.distance+1), int32(c.distance)
		}
		d := b.decide(answered(TMSOnly, TMSAccepted), c.pin+b.code(c.distance))
		if d.Verdict != AcceptedByTMS || d.Own != c.own || b.state() != want || d.Changed != 1 {
			t.Errorf("%s: %+v, state %+v", name, d, b.state())
		}
	}
}

// The TMS vouches for the code: neither a lock nor a resync is in the way, and what
// only resync would find is burned too. That a resync is due stays so.
func TestTheTMSVouchesForTheCode(t *testing.T) {
	locked, restored := eventToken("H"), eventToken("H")
	locked.State = State{Counter: 3, Failures: 1, LockedUntil: noon.Add(time.Hour).Unix(), Agreed: math.MaxUint16, Disagreed: 9}
	restored.State = State{Counter: 3, MustResync: true, Agreed: 4, Disagreed: math.MaxUint16}
	for _, c := range []struct {
		token    Token
		distance int64
		own      Verdict
		want     State
	}{
		{locked, 2, Accepted, State{Counter: 6, Agreed: math.MaxUint16}},
		{locked, 60, NextCode, State{Counter: 64, Agreed: math.MaxUint16, Disagreed: 10}},
		{restored, 2, Accepted, State{Counter: 6, MustResync: true, Agreed: 5}},
		{restored, 60, NextCode, State{Counter: 64, MustResync: true, Agreed: 4, Disagreed: math.MaxUint16}},
	} {
		b := newBench(t, c.token)
		passcode := "4711" + b.code(c.distance)
		d := b.decide(answered(LocalThenTMS, TMSAccepted), passcode)
		if d.Verdict != AcceptedByTMS || d.Own != c.own || b.state() != c.want || d.Serial != "H" || d.Offset != c.distance {
			t.Errorf("%+v: %+v, state %+v; want %+v", c.token.State, d, b.state(), c.want)
		}
		b.login(passcode, Replayed)
	}
}

// A refusal of the TMS counts on no token; only what ours would have accepted is a
// difference.
func TestTheTMSRefuses(t *testing.T) {
	locked, restored, astray := eventToken("H"), eventToken("H"), eventToken("H")
	locked.State = State{Counter: 3, LockedUntil: noon.Add(time.Hour).Unix()}
	restored.State = State{Counter: 3, MustResync: true}
	astray.State = State{Counter: 3, Failures: 5}
	for name, c := range map[string]struct {
		token    Token
		pin      string
		distance int64
		own      Verdict
		differ   uint16
	}{
		"right": {astray, "4711", 0, Accepted, 1}, "used": {astray, "4711", -1, Replayed, 0}, "far": {astray, "4711", 50, NextCode, 0},
		"wrong": {astray, "4711", 1000, WrongCode, 0}, "wrong PIN": {astray, "0815", 0, WrongPIN, 0},
		"locked": {locked, "4711", 0, Locked, 0}, "restored": {restored, "4711", 0, NextCode, 0},
	} {
		b := newBench(t, c.token)
		d := b.decide(answered(LocalThenTMS, TMSRefused), c.pin+b.code(c.distance))
		want := c.token.State
		want.Disagreed = c.differ
		if d.Verdict != RefusedByTMS || d.Own != c.own || b.state() != want {
			t.Errorf("%s: %+v, state %+v", name, d, b.state())
		}
		if again := b.decide(answered(LocalThenTMS, TMSRefused), c.pin+b.code(c.distance)); !again.Repeated || b.state() != want {
			t.Errorf("%s, repeated: %+v, state %+v", name, again, b.state())
		}
	}
}

func TestOneOfTwoTokensAgrees(t *testing.T) {
	other := eventToken("OTHER")
	other.Seed = oath.NewSeed([]byte("another seed, never used"))
	other.State = State{Failures: 2, Disagreed: 1}
	b := newBench(t, other, eventToken("H"))
	tokens := b.store.account.Tokens
	d := b.decide(answered(TMSOnly, TMSAccepted), "4711"+codeOf(&tokens[1], b.at, 0))
	if d.Serial != "H" || d.Own != Accepted || d.Changed != 3 || tokens[1].State != (State{Counter: 1, Agreed: 1}) || tokens[0].State != (State{Disagreed: 1}) {
		t.Errorf("%+v, states %+v, %+v", d, tokens[0].State, tokens[1].State)
	}
	d = b.decide(answered(TMSOnly, TMSAccepted), "4711"+b.wrong(0))
	if d.Serial != "" || d.Own != WrongCode || d.Changed != 3 || tokens[0].State.Disagreed != 2 || tokens[1].State.Disagreed != 1 {
		t.Errorf("neither: %+v, states %+v, %+v", d, tokens[0].State, tokens[1].State)
	}
}

// A code that was accepted here while the TMS was away must not pass there again.
func TestWhatWasUsedHereIsNotUsedAtTheTMS(t *testing.T) {
	for _, token := range []Token{clockToken("T"), eventToken("H")} {
		b := newBench(t, token)
		first := "4711" + b.code(0)
		if d := b.decide(answered(TMSThenLocal, TMSUnavailable), first); d.Verdict != Accepted {
			t.Fatalf("%+v", d)
		}
		b.at = b.at.Add(4 * time.Minute)
		second := "4711" + b.code(1)
		if d := b.decide(answered(TMSThenLocal, TMSUnavailable), second); d.Verdict != Accepted {
			t.Fatalf("%+v", d)
		}
		for i, passcode := range []string{first, second} {
			want := b.state() // both refuse, so they agree
			d := b.decide(answered(TMSThenLocal, TMSAccepted), passcode)
			if d.Verdict != Replayed || d.Own != Replayed || d.Serial != token.Serial || b.state() != want {
				t.Errorf("%s, code %d: %+v, state %+v", token.Serial, i, d, b.state())
			}
		}
	}
}

func TestUserDisabledWhileTheTMSWasAsked(t *testing.T) {
	b := newBench(t, clockToken("T"))
	if d := b.decide(answered(TMSOnly, TMSNotAsked), "4711"+b.code(0)); !d.AskTMS {
		t.Fatalf("%+v", d)
	}
	b.store.account.Disabled = true
	if d := b.decide(answered(TMSOnly, TMSAccepted), "4711"+b.code(0)); d.Verdict != UserDisabled || d.Changed != 0 {
		t.Errorf("%+v", d)
	}
}

// Codes of a list pass whatever the TMS is, and are used up.
func TestListsOfCodesPassWithoutTheTMS(t *testing.T) {
	list, token := eventToken("LIST"), clockToken("T")
	list.Type, list.Codes, list.Seed = CodeList, 5, oath.NewSeed([]byte("a list of codes, another seed"))
	b := newBench(t, list, token)
	b.store.account.Home = HomeTMS
	code := "4711" + b.code(1)
	for i, want := range []Verdict{Accepted, Replayed, Replayed} {
		if d := b.decide(answered(TMSOnly, TMSNotAsked), code); d.Verdict != want || d.Outstanding || d.Serial != "LIST" {
			t.Errorf("%d: %+v", i, d)
		}
	}
	if s := b.state(); s != (State{Counter: 2}) {
		t.Errorf("state %+v", s)
	}
	for _, passcode := range []string{"4711" + codeOf(&token, b.at, 0), "4711" + b.wrong(0), "0815" + b.code(0)} {
		if d := b.decide(answered(TMSOnly, TMSNotAsked), passcode); !d.AskTMS || d.Changed != 0 {
			t.Errorf("%+v", d)
		}
	}
}

// While the TMS is away our tokens may accept, and nothing else comes of it.
func TestTheTMSIsAway(t *testing.T) {
	locked, restored := eventToken("H"), eventToken("H")
	locked.State.LockedUntil, restored.State.MustResync = noon.Add(time.Hour).Unix(), true
	for name, c := range map[string]struct {
		token    Token
		pin      string
		distance int64
	}{
		"wrong code": {eventToken("H"), "4711", 1000}, "wrong PIN": {eventToken("H"), "0815", 0}, "far": {eventToken("H"), "4711", 50},
		"locked": {locked, "4711", 0}, "restored": {restored, "4711", 0},
	} {
		for _, down := range []Verdict{TMSDown, Undecided} {
			b := newBench(t, c.token)
			away := func(a *Attempt) { answered(LocalThenTMS, TMSUnavailable)(a); a.WhenDown = down }
			for range 20 {
				d := b.decide(away, c.pin+b.code(c.distance))
				if d != (Decision{Verdict: down}) || b.state() != c.token.State {
					t.Fatalf("%s: %+v, state %+v", name, d, b.state())
				}
			}
			if d := b.decide(answered(LocalThenTMS, TMSNotAsked), c.pin+b.code(c.distance)); d.Verdict == Throttled {
				t.Errorf("%s: the source has to wait", name)
			}
		}
	}
}

func TestDoubtfulWithTheTMS(t *testing.T) {
	for _, c := range []struct {
		answer TMSAnswer
		want   Verdict
	}{{TMSAccepted, AcceptedByTMS}, {TMSRefused, Undecided}, {TMSUnavailable, Undecided}, {TMSAsked, AskedByTMS}} {
		b := newBench(t, clockToken("T"))
		d := b.decide(func(a *Attempt) { answered(TMSOnly, c.answer)(a); a.Doubtful = true }, "4711"+b.wrong(0))
		if d.Verdict != c.want || d.Outstanding {
			t.Errorf("answer %d: %+v", c.answer, d)
		}
	}
	b := newBench(t)
	if d := b.decide(func(a *Attempt) { a.Order, a.Doubtful = TMSOnly, true }, "x"); !d.AskTMS {
		t.Errorf("not asked: %+v", d)
	}
}

// Who belongs to the TMS holds a token, if not one of ours.
func TestUsersOfTheTMSAreNotWithoutToken(t *testing.T) {
	b := newBench(t)
	for _, order := range []Order{TMSOnly, LocalThenTMS, TMSThenLocal} {
		for answer, want := range map[TMSAnswer]Verdict{TMSNotAsked: Undecided, TMSRefused: RefusedByTMS, TMSUnavailable: TMSDown} {
			d := b.decide(func(a *Attempt) { answered(order, answer)(a); a.WithoutToken = Excluded }, "x"+order.String())
			if d.Verdict != want {
				t.Errorf("%v, answer %d: %+v", order, answer, d)
			}
		}
	}
	b.store.account.Home = HomeLocal
	if d := b.decide(func(a *Attempt) { a.Order, a.WithoutToken = TMSOnly, Excluded }, "y"); d.Verdict != Excluded {
		t.Errorf("cut over: %+v", d)
	}
}

func TestComparingByChallenge(t *testing.T) {
	b := newBench(t, eventToken("H"))
	shown := func(passcode string, order Order, answer TMSAnswer) Decision {
		return b.decide(func(a *Attempt) {
			answered(order, answer)(a)
			a.Method, a.Challenge = CHAP, &chap{md5.Sum([]byte(passcode))}
		}, "")
	}
	right := "4711" + b.code(1)
	if d := shown(right, TMSOnly, TMSAccepted); d.Verdict != AcceptedByTMS || d.Own != Accepted || b.state() != (State{Counter: 2, Agreed: 1}) {
		t.Errorf("%+v, state %+v", d, b.state())
	}
	if d := shown(right, TMSOnly, TMSAccepted); d.Verdict != Replayed || d.Own != Replayed {
		t.Errorf("replay: %+v", d)
	}
	if d := shown("0815"+b.code(0), TMSOnly, TMSAccepted); d.Verdict != AcceptedByTMS || d.Own != WrongPasscode || b.state().Disagreed != 1 {
		t.Errorf("wrong PIN: %+v, state %+v", d, b.state())
	}
	if d := shown("4711"+b.code(0), TMSOnly, TMSRefused); d.Verdict != RefusedByTMS || d.Own != Accepted || b.state().Disagreed != 2 {
		t.Errorf("refused: %+v, state %+v", d, b.state())
	}
	if d := shown("0815"+b.code(0), TMSOnly, TMSRefused); d.Own != WrongPasscode {
		t.Errorf("refused, wrong PIN: %+v", d)
	}
	for i := range DefaultPolicy().ThrottleAfter + 1 {
		shown("4711"+b.wrong(i), LocalThenTMS, TMSUnavailable)
	}
	if d := shown("4711"+b.code(0), LocalThenTMS, TMSUnavailable); d.Verdict != TMSDown {
		t.Errorf("after guesses: %+v", d)
	}
	if d := shown("4711"+b.code(0), LocalThenTMS, TMSNotAsked); d.Verdict == Throttled {
		t.Error("the TMS is back, and the source has to wait")
	}
}

func TestWhatTheTMSCouldNotAskIsOnlyRecorded(t *testing.T) {
	b := newBench(t, clockToken("T"))
	a := b.attempt("4711"+b.code(0), "pc")
	a.Preset, a.Order = CannotAsk, TMSOnly
	if got, err := b.Verify(context.Background(), a); got != CannotAsk || err != nil || a.NeedsAccount() || got.Accepts() || b.state() != (State{}) {
		t.Errorf("%v, %v", got, err)
	}
	b = newBench(t)
	b.store.account.Disabled = true
	if d := b.decide(func(a *Attempt) { a.Preset = AcceptedByTMS }, "x"); d.Verdict != UserDisabled {
		t.Errorf("disabled user: %+v", d)
	}
	if a := (&Attempt{TMS: TMSRefused}); !a.NeedsAccount() {
		t.Error("the account matters to an attempt that the TMS answered")
	}
}

// What TMS and token agreed about outlives what happens to the token here.
func TestAgreementsStay(t *testing.T) {
	token := clockToken("T")
	token.State = State{Agreed: 7, Disagreed: 2}
	b := newBench(t, token)
	kept := func() bool { return b.state().Agreed == 7 && b.state().Disagreed == 2 }
	b.login("4711"+b.code(0), Accepted)
	if !kept() {
		t.Errorf("after an accept: %+v", b.state())
	}
	for _, rewind := range []bool{false, true} {
		b.at = b.at.Add(time.Hour)
		if err := Resync(&b.store.account.Tokens[0], b.code(0), b.code(1), rewind, b.at, DefaultPolicy()); err != nil || !kept() {
			t.Errorf("after a resync: %v, %+v", err, b.state())
		}
	}
	for i := range DefaultPolicy().MaxFailures {
		b.login("4711"+b.wrong(i), WrongCode)
	}
	if !kept() {
		t.Errorf("after a lock: %+v", b.state())
	}
}
