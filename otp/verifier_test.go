package otp

import (
	"context"
	"crypto/md5"
	"sync"
	"testing"
	"time"

	"countersign/otp/oath"
)

var (
	noon = time.Date(2026, 11, 22, 12, 0, 5, 0, time.UTC)
	seed = []byte("12345678901234567890")
)

// memory is a TokenStore with one account and nothing durable.
type memory struct {
	mu      sync.Mutex
	account Account
}

func (m *memory) Submit(a *Attempt) bool {
	m.mu.Lock()
	a.Decide(&m.account)
	m.mu.Unlock()
	a.Waiter.Decided(a, nil)
	return true
}

func clockToken(serial Serial) Token {
	return Token{Serial: serial, Type: TOTP, Digits: 6, Period: 30, Seed: oath.NewSeed(seed)}
}

func eventToken(serial Serial) Token {
	return Token{Serial: serial, Type: HOTP, Digits: 6, Seed: oath.NewSeed(seed)}
}

// bench is a verifier over one account with PIN 4711.
type bench struct {
	*testing.T
	*Verifier
	store *memory
	at    time.Time
}

func newBench(t *testing.T, tokens ...Token) *bench {
	store := &memory{account: Account{Exists: true, PIN: NewPIN([]byte("4711")), Tokens: tokens}}
	return &bench{T: t, Verifier: NewVerifier(store, DefaultPolicy()), store: store, at: noon}
}

func (b *bench) attempt(passcode, station string) *Attempt {
	return &Attempt{
		At: b.at, User: []byte("alice"), NAS: "gateway", Station: []byte(station),
		Method: PAP, Passcode: NewPasscode([]byte(passcode)),
	}
}

// login shows a passcode and demands a verdict.
func (b *bench) login(passcode string, want Verdict) Decision {
	b.Helper()
	return b.loginFrom("pc", passcode, want)
}

func (b *bench) loginFrom(station, passcode string, want Verdict) Decision {
	b.Helper()
	a := b.attempt(passcode, station)
	got, err := b.Verify(context.Background(), a)
	if err != nil || got != want {
		b.Fatalf("verdict %v, error %v; want %v", got, err, want)
	}
	return a.Decision
}

// code is the code of token 0 at a distance in steps or counts from where the
// server expects it.
func (b *bench) code(distance int64) string {
	return codeOf(&b.store.account.Tokens[0], b.at, distance)
}

func codeOf(t *Token, at time.Time, distance int64) string {
	factor := int64(t.State.Counter) + distance
	if t.Type.Clock() {
		factor = oath.TimeStep(at, t.T0, t.Period) + distance
	}
	return oath.HOTP(t.Algorithm, t.Seed, uint64(factor), int(t.Digits))
}

// wrong is a code that no factor near the present shows.
func (b *bench) wrong(i int) string {
	t := &b.store.account.Tokens[0]
	return oath.HOTP(t.Algorithm, t.Seed, uint64(1<<40+i), int(t.Digits))
}

func (b *bench) state() State { return b.store.account.Tokens[0].State }

func TestAcceptsACodeOnce(t *testing.T) {
	for _, token := range []Token{clockToken("T"), eventToken("H")} {
		b := newBench(t, token)
		code := b.code(0)
		if d := b.login("4711"+code, Accepted); d.Serial != token.Serial || d.Offset != 0 || d.Changed != 1 {
			t.Errorf("decision %+v", d)
		}
		for range 3 {
			if d := b.login("4711"+code, Replayed); d.Changed != 0 {
				t.Errorf("a replay changed states: %+v", d)
			}
		}
		if f := b.state().Failures; f != 0 {
			t.Errorf("%d failures after replays, want none", f)
		}
	}
}

func TestParallelAttemptsWithOneCode(t *testing.T) {
	b := newBench(t, clockToken("T"))
	passcode := "4711" + b.code(0)
	var wg sync.WaitGroup
	var mu sync.Mutex
	count := map[Verdict]int{}
	for range 100 {
		wg.Go(func() {
			v, err := b.Verify(context.Background(), b.attempt(passcode, "pc"))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			count[v]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if count[Accepted] != 1 || count[Replayed] != 99 {
		t.Fatalf("verdicts %v, want 1 accepted and 99 replayed", count)
	}
}

func TestAnOldReplayIsStillAReplay(t *testing.T) {
	b := newBench(t, clockToken("T"))
	passcode := "4711" + b.code(0)
	b.login(passcode, Accepted)
	b.at = b.at.Add(5 * time.Hour)
	b.login(passcode, Replayed)
}

func TestAnEarlierStepIsBurnedWithALaterOne(t *testing.T) {
	b := newBench(t, clockToken("T"))
	earlier, later := b.code(0), b.code(1)
	b.login("4711"+later, Accepted)
	b.login("4711"+earlier, Replayed)
}

func TestRefusalsWithoutALook(t *testing.T) {
	b := newBench(t, clockToken("T"))
	passcode := "4711" + b.code(0)
	account := &b.store.account
	account.Exists = false
	b.login(passcode, UnknownUser)
	account.Exists, account.Disabled = true, true
	b.login(passcode, UserDisabled)
	account.Disabled, account.Tokens[0].Disabled = false, true
	b.login(passcode, NoToken)
	account.Tokens = nil
	b.login(passcode, NoToken)
}

func TestPresetIsKept(t *testing.T) {
	b := newBench(t, clockToken("T"))
	a := b.attempt("4711"+b.code(0), "pc")
	a.Preset = Unreadable
	if v, err := b.Verify(context.Background(), a); v != Unreadable || err != nil {
		t.Fatal(v, err)
	}
	if b.state() != (State{}) {
		t.Fatal("a preset verdict changed a state")
	}
}

func TestSplitByEachTokensDigits(t *testing.T) {
	eight := clockToken("EIGHT")
	eight.Digits, eight.Algorithm = 8, oath.SHA256
	b := newBench(t, clockToken("SIX"), eight)
	if d := b.login("4711"+codeOf(&eight, b.at, 0), Accepted); d.Serial != "EIGHT" || d.Changed != 2 {
		t.Errorf("decision %+v", d)
	}
	if d := b.login("4711"+b.code(0), Accepted); d.Serial != "SIX" || d.Changed != 1 {
		t.Errorf("decision %+v", d)
	}
	for _, short := range []string{"", "4", "4711", "471112345"} {
		b.login(short, WrongPIN)
		b.at = b.at.Add(time.Hour)
	}
}

func TestNoPIN(t *testing.T) {
	b := newBench(t, clockToken("T"))
	b.store.account.PIN = PIN{}
	code := b.code(0)
	b.login("4711"+code, WrongPIN)
	b.login(code, Accepted)
}

func TestOneCodeOnTwoTokensPassesOnce(t *testing.T) {
	b := newBench(t, clockToken("A"), clockToken("B"))
	passcode := "4711" + b.code(0)
	if d := b.login(passcode, Accepted); d.Changed != 3 {
		t.Errorf("changed %b, want both tokens", d.Changed)
	}
	b.login(passcode, Replayed)
}

func TestWindowAndDrift(t *testing.T) {
	b := newBench(t, clockToken("T"))
	b.login("4711"+b.code(1), Accepted)
	if d := b.state().Drift; d != 1 {
		t.Fatalf("drift %d, want 1", d)
	}
	b.at = b.at.Add(time.Hour)
	if d := b.login("4711"+b.code(2), Accepted); d.Offset != 2 {
		t.Errorf("offset %d, want 2", d.Offset)
	}
	b.at = b.at.Add(time.Hour)
	b.login("4711"+b.code(4), NextCode) // two steps from the drift of 2
}

func TestDriftIsBounded(t *testing.T) {
	b := newBench(t, clockToken("T"))
	limit := int64(DefaultPolicy().MaxDrift)
	for drift := int64(1); drift <= limit; drift++ {
		b.login("4711"+b.code(drift), Accepted)
		b.at = b.at.Add(time.Hour)
	}
	b.login("4711"+b.code(limit+1), NextCode)
	b.login("4711"+b.code(limit+2), Accepted) // a resync may go further
	b.at = b.at.Add(time.Hour)
	b.login("4711"+b.code(limit+2), Accepted)
	b.login("4711"+b.code(int64(DefaultPolicy().ResyncSteps)+1), WrongCode)
}

func TestStepsBeforeT0AreNotSearched(t *testing.T) {
	token := clockToken("T")
	token.T0 = noon.Unix() - 5
	b := newBench(t, token)
	b.login("4711"+b.code(0), Accepted)
}

func TestEpochOf2000(t *testing.T) {
	token := clockToken("T")
	token.T0 = 946684800
	b := newBench(t, token)
	b.login("4711"+oath.TOTP(oath.SHA1, token.Seed, b.at, 946684800, 30, 6), Accepted)
}

func TestLookAhead(t *testing.T) {
	b := newBench(t, eventToken("H"))
	if d := b.login("4711"+b.code(10), Accepted); d.Offset != 10 {
		t.Errorf("offset %d, want 10", d.Offset)
	}
	if c := b.state().Counter; c != 11 {
		t.Errorf("counter %d, want 11", c)
	}
	b.login("4711"+b.code(11), NextCode)
	b.login("4711"+b.code(101), WrongCode)
}

func TestResyncByTwoConsecutiveCodes(t *testing.T) {
	for _, token := range []Token{clockToken("T"), eventToken("H")} {
		b := newBench(t, token)
		far := int64(15)
		first, second := b.code(far), b.code(far+1)
		b.login("4711"+first, NextCode)
		b.login("4711"+first, NextCode)
		b.login("4711"+second, Accepted)
		b.login("4711"+second, Replayed)
	}
}

func TestResyncNeedsTheVeryNextCodeSoon(t *testing.T) {
	b := newBench(t, eventToken("H"))
	b.login("4711"+b.code(50), NextCode)
	b.login("4711"+b.code(52), NextCode)
	b.login("4711"+b.code(53), Accepted)
	b.login("4711"+b.code(50), NextCode)
	b.at = b.at.Add(DefaultPolicy().ResyncTime + time.Second)
	b.login("4711"+b.code(51), NextCode)
	b.login("4711"+b.wrong(0), WrongCode) // between the two: a guess
	b.login("4711"+b.code(52), NextCode)
}

func TestMustResync(t *testing.T) {
	token := eventToken("H")
	token.State.MustResync = true
	b := newBench(t, token)
	b.login("4711"+b.code(0), NextCode)
	b.login("4711"+b.code(1), Accepted)
	if b.state().MustResync {
		t.Error("still has to resync")
	}
}

func TestLockOut(t *testing.T) {
	b := newBench(t, clockToken("T"))
	limit := DefaultPolicy().MaxFailures
	for i := range limit {
		if d := b.login("4711"+b.wrong(i), WrongCode); d.LockedNow != (i == limit-1) || d.Serial != "T" {
			t.Fatalf("wrong code %d: %+v", i+1, d)
		}
	}
	b.login("4711"+b.wrong(99), Locked)
	b.login("4711"+b.code(0), Locked)
	b.at = b.at.Add(DefaultPolicy().LockTime)
	b.login("4711"+b.code(0), Accepted)
}

func TestTwoConsecutiveCodesEndALock(t *testing.T) {
	b := newBench(t, clockToken("T"))
	for i := range DefaultPolicy().MaxFailures {
		b.login("4711"+b.wrong(i), WrongCode)
	}
	b.login("4711"+b.code(0), Locked)
	b.login("4711"+b.wrong(50), Locked) // a guess between them starts it anew
	b.login("4711"+b.code(1), Locked)
	b.at = b.at.Add(30 * time.Second)
	b.login("4711"+b.code(1), Accepted)
	if s := b.state(); s.locked(b.at) || s.Failures != 0 {
		t.Errorf("state %+v after the lock ended", s)
	}
}

func TestASuccessForgetsFailures(t *testing.T) {
	b := newBench(t, clockToken("T"))
	for i := range DefaultPolicy().MaxFailures - 1 {
		b.login("4711"+b.wrong(i), WrongCode)
	}
	b.login("4711"+b.code(0), Accepted)
	if f := b.state().Failures; f != 0 {
		t.Errorf("%d failures", f)
	}
}

func TestTheSameWrongPasscodeCountsOnce(t *testing.T) {
	b := newBench(t, clockToken("T"))
	for i := range 50 {
		if d := b.login("4711"+b.wrong(0), WrongCode); d.Repeated != (i > 0) {
			t.Fatalf("repeat %d: %+v", i, d)
		}
	}
	if f := b.state().Failures; f != 1 {
		t.Errorf("%d failures, want 1", f)
	}
	b.at = b.at.Add(DefaultPolicy().RepeatTime + time.Second)
	if d := b.login("4711"+b.wrong(0), WrongCode); d.Repeated {
		t.Error("a repeat after RepeatTime did not count")
	}
	for range 50 {
		b.login("0000"+b.wrong(1), WrongPIN)
	}
	b.login("4711"+b.code(0), Accepted)
}

func TestAWrongPasscodeMayComeRight(t *testing.T) {
	b := newBench(t, clockToken("T"))
	soon := b.code(int64(DefaultPolicy().ResyncSteps) + 1)
	b.login("4711"+soon, WrongCode)
	b.at = b.at.Add(50 * time.Second)
	b.login("4711"+soon, NextCode)
}

func TestWrongPINsSlowDownTheirSourceOnly(t *testing.T) {
	b := newBench(t, clockToken("T"))
	p := DefaultPolicy()
	free := p.ThrottleAfter
	for i := range free + 1 {
		b.login("0000"+b.wrong(i), WrongPIN)
	}
	good := "4711" + b.code(0)
	b.login(good, Throttled)
	if s := b.state(); s != (State{}) {
		t.Errorf("wrong PINs changed the token: %+v", s)
	}
	b.loginFrom("the user's own", good, Accepted)
	b.at = b.at.Add(p.ThrottleFirst)
	b.login("4711"+b.code(1), Accepted)
	b.login("0000"+b.wrong(9), WrongPIN) // forgiven: the count starts anew
	b.login("4711"+b.code(1), Replayed)
}

func TestTheWaitGrowsToItsLimit(t *testing.T) {
	b := newBench(t, clockToken("T"))
	p := DefaultPolicy()
	want := time.Duration(0)
	for i := range 15 {
		b.login("0000"+b.wrong(i), WrongPIN)
		if i >= p.ThrottleAfter {
			want = min(max(2*want, p.ThrottleFirst), p.ThrottleMax)
			b.at = b.at.Add(want - 1)
			b.login("0000"+b.wrong(i+100), Throttled)
			b.at = b.at.Add(1)
		}
	}
	if want != p.ThrottleMax {
		t.Fatalf("the wait grew to %v only", want)
	}
	b.at = b.at.Add(p.ThrottleForget + time.Second)
	b.login("0000"+b.wrong(1000), WrongPIN)
	b.login("4711"+b.code(0), Accepted)
}

func TestTheThrottleIsBounded(t *testing.T) {
	b := newBench(t, clockToken("T"))
	p := DefaultPolicy()
	p.ThrottleEntries = 10
	b.SetPolicy(p)
	for i := range 1000 {
		b.loginFrom(string(rune('a'+i)), "0000"+b.wrong(i), WrongPIN)
	}
	if n := len(b.misses.entries); n != 10 {
		t.Errorf("%d entries, want 10", n)
	}
}

// A NAS that does not say where the user sits makes one source of the user and
// a stranger: the stranger must not be able to keep the user out.
func TestWithoutAStationTheRightPasscodeNeedNotWait(t *testing.T) {
	b := newBench(t, clockToken("T"))
	for i := range 100 {
		want := WrongPIN
		if i > DefaultPolicy().ThrottleAfter {
			want = Throttled
		}
		b.loginFrom("", "0000"+b.wrong(i), want)
	}
	b.loginFrom("", "4711"+b.code(0), Accepted)
}

// Who holds the token, and guesses at the PIN, is stopped wherever they are.
func TestGuessingThePINWithTheTokenLocksIt(t *testing.T) {
	b := newBench(t, clockToken("T"))
	limit := DefaultPolicy().MaxFailures
	for i := range limit {
		station := string(rune('a' + i))
		if d := b.loginFrom(station, "000"+string(rune('0'+i))+b.code(0), WrongPIN); d.LockedNow != (i == limit-1) {
			t.Fatalf("guess %d: %+v", i+1, d)
		}
	}
	b.loginFrom("another", "4711"+b.code(0), Locked)
}

func TestCodesTypedLateDoNotShutOutThoseTypedAtOnce(t *testing.T) {
	b := newBench(t, clockToken("T"))
	for drift := int64(-1); drift >= -3; drift-- {
		b.at = b.at.Add(time.Hour)
		b.login("4711"+b.code(drift), Accepted)
	}
	b.at = b.at.Add(time.Hour)
	b.login("4711"+b.code(0), Accepted)
	b.at = b.at.Add(time.Hour)
	b.login("4711"+b.code(1), Accepted)
}

func TestASuccessForgetsTheFailuresOfAllTokens(t *testing.T) {
	other := clockToken("OTHER")
	other.Seed = oath.NewSeed([]byte("another seed, never used"))
	b := newBench(t, clockToken("T"), other)
	for range 3 * DefaultPolicy().MaxFailures {
		b.at = b.at.Add(time.Hour)
		b.login("4711"+b.wrong(0), WrongCode)
		b.login("4711"+b.code(0), Accepted)
	}
	if f := b.store.account.Tokens[1].State.Failures; f != 0 {
		t.Errorf("%d failures of the token that was not used", f)
	}
}

// After a clock was a day ahead, its codes of that day count as used.
func TestRewindAfterAClockWasWrong(t *testing.T) {
	token := clockToken("T")
	token.State.Counter = uint64(oath.TimeStep(noon, 0, 30)) + 24*120
	first, second := codeOf(&token, noon, 0), codeOf(&token, noon, 1)
	before := token.State
	if err := Resync(&token, first, second, false, noon, DefaultPolicy()); err == nil {
		t.Error("without rewind a used code passed")
	}
	if err := Resync(&token, first, first, true, noon, DefaultPolicy()); err == nil || token.State != before {
		t.Errorf("%v, state %+v", err, token.State)
	}
	if err := Resync(&token, first, second, true, noon, DefaultPolicy()); err != nil {
		t.Fatal(err)
	}
	b := newBench(t, token)
	b.login("4711"+second, Replayed)
	b.at = b.at.Add(time.Minute)
	b.login("4711"+b.code(0), Accepted)
}

// chap is CHAP as RFC 1994 has it.
type chap struct{ response [md5.Size]byte }

func (c *chap) Matches(passcode []byte) bool { return c.response == md5.Sum(passcode) }

func TestChallengeMethods(t *testing.T) {
	b := newBench(t, clockToken("T"))
	login := func(passcode string, want Verdict) {
		t.Helper()
		a := b.attempt("", "pc")
		a.Method, a.Challenge = CHAP, &chap{md5.Sum([]byte(passcode))}
		if got, err := b.Verify(context.Background(), a); got != want || err != nil {
			t.Fatalf("verdict %v, error %v; want %v", got, err, want)
		}
	}
	login("4711"+b.code(1), Accepted)
	login("4711"+b.code(1), Replayed)
	login("0000"+b.code(2), WrongPasscode)
	if f := b.state().Failures; f != 0 {
		t.Errorf("%d failures", f)
	}
	login("4711"+b.code(2), Accepted)
	for range DefaultPolicy().ThrottleAfter + 1 {
		login("4711"+b.wrong(0), WrongPasscode)
	}
	login("4711"+b.code(3), Throttled)
}

func TestResyncByAnAdministrator(t *testing.T) {
	token := eventToken("H")
	token.State = State{LockedUntil: noon.Add(time.Hour).Unix(), Failures: 3}
	first, second := codeOf(&token, noon, 60), codeOf(&token, noon, 61)
	for _, bad := range [][2]string{{first, first}, {second, first}, {"", ""}, {"12345", "123456"}, {first, "x23456"}} {
		if err := Resync(&token, bad[0], bad[1], false, noon, DefaultPolicy()); err == nil {
			t.Errorf("%v: no error", bad)
		}
	}
	if err := Resync(&token, first, second, false, noon, DefaultPolicy()); err != nil {
		t.Fatal(err)
	}
	if want := (State{Counter: 62}); token.State != want {
		t.Errorf("state %+v, want %+v", token.State, want)
	}
}

func BenchmarkDecide(b *testing.B) {
	store := &memory{account: Account{Exists: true, PIN: NewPIN([]byte("4711")), Tokens: []Token{clockToken("T")}}}
	v := NewVerifier(store, DefaultPolicy())
	token := &store.account.Tokens[0]
	a := &Attempt{At: noon, User: []byte("alice"), NAS: "gateway", verifier: v, Passcode: NewPasscode([]byte("4711" + codeOf(token, noon, 0)))}
	used := State{Counter: 1}
	b.ReportAllocs()
	for b.Loop() {
		token.State = used
		if a.Decide(&store.account); a.Decision.Verdict != Accepted {
			b.Fatal(a.Decision.Verdict)
		}
	}
}
