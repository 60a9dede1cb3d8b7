package otp

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// shelf is a TokenStore with one account that several Verifiers share. It keeps the last
// login as a store does.
type shelf struct {
	memory
	at   time.Time // of the last login
	race func()    // another server is faster, once
}

func (s *shelf) Submit(a *Attempt) bool {
	s.mu.Lock()
	s.account.Last.Age = a.At.Sub(s.at)
	if race := s.race; race != nil {
		before := s.account
		before.Tokens = append([]Token(nil), before.Tokens...)
		a.Decide(&before)
		s.race = nil
		s.mu.Unlock()
		race()
		s.mu.Lock()
		s.account.Last.Age = a.At.Sub(s.at)
	}
	a.Decide(&s.account)
	if a.Decision.Renews {
		s.account.Last, s.at = LastLogin{Key: a.Login, Verdict: a.Decision.Verdict}, a.At
	}
	s.mu.Unlock()
	a.Waiter.Decided(a, nil)
	return true
}

// cluster are servers over one account with PIN 4711.
type cluster struct {
	*bench
	shelf *shelf
	nodes [2]*Verifier
	keyer *Keyer
}

func newCluster(t *testing.T, change func(*Policy), tokens ...Token) *cluster {
	b := newBench(t, tokens...)
	c := &cluster{bench: b, shelf: &shelf{memory: memory{account: b.store.account}}, keyer: NewKeyer([32]byte{7}, "login")}
	policy := DefaultPolicy()
	if change != nil {
		change(&policy)
	}
	for i := range c.nodes {
		c.nodes[i] = NewVerifier(c.shelf, policy)
		c.nodes[i].ShareMisses([32]byte{7})
	}
	b.store = &c.shelf.memory
	return c
}

// keyed is an attempt with its key.
func (c *cluster) keyed(nas, station, passcode string) *Attempt {
	a := c.attempt(passcode, station)
	a.NAS = nas
	for _, part := range []string{nas, string(a.User), station, passcode} {
		c.keyer.AddString(part)
	}
	a.Login = c.keyer.Sum()
	return a
}

// shows has a node decide and demands a verdict.
func (c *cluster) shows(node int, a *Attempt, want Verdict) Decision {
	c.Helper()
	got, err := c.nodes[node].Verify(context.Background(), a)
	if err != nil || got != want {
		c.Fatalf("node %d: verdict %v, error %v; want %v", node, got, err, want)
	}
	return a.Decision
}

func repeating(p *Policy) { p.RepeatSameLogin = true }

func TestTheSameLoginAtAnotherServer(t *testing.T) {
	for _, token := range []Token{clockToken("T"), eventToken("H")} {
		c := newCluster(t, nil, token)
		passcode := "4711" + c.code(0)
		c.shows(0, c.keyed("gateway", "pc", passcode), Accepted)
		before := c.state()
		for _, node := range []int{1, 0, 1} {
			if d := c.shows(node, c.keyed("gateway", "pc", passcode), AnsweredElsewhere); d.Changed != 0 || d.Renews {
				t.Errorf("%+v", d)
			}
		}
		c.shows(1, c.keyed("gateway", "another pc", passcode), Replayed)
		c.shows(1, c.keyed("another gateway", "pc", passcode), Replayed)
		c.shows(1, c.attempt(passcode, "pc"), Replayed) // of which no key is known
		c.shows(1, c.keyed("gateway", "pc", passcode), AnsweredElsewhere)
		c.at = c.at.Add(5 * time.Second)
		c.shows(1, c.keyed("gateway", "pc", passcode), AnsweredElsewhere)
		c.at = c.at.Add(time.Millisecond)
		c.shows(1, c.keyed("gateway", "pc", passcode), Replayed)
		if c.state() != before {
			t.Error("something changed")
		}
	}
}

func TestTheSameLoginIsRepeated(t *testing.T) {
	c := newCluster(t, repeating, eventToken("H"))
	passcode := "4711" + c.code(0)
	c.shows(0, c.keyed("gateway", "pc", passcode), Accepted)
	before := c.state()
	if d := c.shows(1, c.keyed("gateway", "pc", passcode), Accepted); !d.Same || !d.Repeated || d.Renews || d.Changed != 0 || d.Serial != "H" {
		t.Errorf("%+v", d)
	}
	c.shows(1, c.keyed("gateway", "another pc", passcode), Replayed)
	c.at = c.at.Add(5*time.Second + 1)
	c.shows(1, c.keyed("gateway", "pc", passcode), Replayed)
	if c.state() != before {
		t.Error("something changed")
	}
}

// TestARepeatedProofKnowsItsPasscode, of which session keys are made.
func TestARepeatedProofKnowsItsPasscode(t *testing.T) {
	c := newCluster(t, repeating, eventToken("H"))
	passcode := "4711" + c.code(0)
	for node := range 2 {
		proof := &noting{passcode: passcode}
		a := c.keyed("gateway", "pc", passcode)
		a.Passcode, a.Challenge, a.Method = Passcode{}, proof, CHAP
		if d := c.shows(node, a, Accepted); d.Same != (node == 1) || proof.found != passcode {
			t.Errorf("node %d: %+v, found %q", node, d, proof.found)
		}
	}
}

// noting is a Challenge that keeps what matched.
type noting struct{ passcode, found string }

func (n *noting) Matches(passcode []byte) bool {
	if string(passcode) != n.passcode {
		return false
	}
	n.found = string(passcode)
	return true
}

// TestASameRefusalCountsOnce on tokens and on sources.
func TestASameRefusalCountsOnce(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	for _, passcode := range []string{"4711" + c.wrong(1), "9999" + c.wrong(2), "4711" + c.code(10)} {
		first := c.keyed("gateway", "pc", passcode)
		v, err := c.nodes[0].Verify(context.Background(), first)
		if err != nil || v.Accepts() || !first.Decision.Renews {
			t.Fatal(v, err, first.Decision)
		}
		before := c.state()
		if d := c.shows(1, c.keyed("gateway", "pc", passcode), v); !d.Repeated || d.Changed != 0 || d.Renews {
			t.Errorf("%v: %+v", v, d)
		}
		if c.state() != before || len(c.nodes[1].misses.entries) != 0 {
			t.Errorf("%v counted twice", v)
		}
	}
}

// TestAThrottledLoginMayComeAgain when its time is over.
func TestAThrottledLoginMayComeAgain(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	for i := range 4 {
		c.shows(0, c.keyed("gateway", "pc", fmt.Sprint(9990+i)+c.wrong(i)), WrongPIN)
	}
	passcode := "4711" + c.code(0)
	if d := c.shows(0, c.keyed("gateway", "pc", passcode), Throttled); d.Renews {
		t.Errorf("%+v", d)
	}
	c.at = c.at.Add(time.Second)
	c.shows(1, c.keyed("gateway", "pc", passcode), Accepted)
	for range 4 { // node 0 has a source wait that was let in elsewhere
		c.nodes[0].misses.count(c.nodes[0].misses.source(c.keyed("gateway", "pc", "")), ofSource, c.attempt("", "pc"), c.nodes[0].policy.Load())
	}
	c.shows(0, c.keyed("gateway", "pc", passcode), AnsweredElsewhere)
}

// TestWhoIsDisabledIsRefused, also when the login is the same.
func TestWhoIsDisabledIsRefused(t *testing.T) {
	for _, change := range []func(*Policy){nil, repeating} {
		c := newCluster(t, change, clockToken("T"))
		passcode := "4711" + c.code(0)
		c.shows(0, c.keyed("gateway", "pc", passcode), Accepted)
		c.shelf.account.Disabled = true
		c.shows(1, c.keyed("gateway", "pc", passcode), UserDisabled)
	}
}

// TestATokenThatIsGoneAcceptsNothingAgain although nobody has forgotten the last login.
func TestATokenThatIsGoneAcceptsNothingAgain(t *testing.T) {
	for _, spoil := range []func(*Account){
		func(a *Account) { a.Tokens[0].Disabled = true },
		func(a *Account) { a.PIN = NewPIN([]byte("4712")) },
		func(a *Account) { a.Tokens = nil },
	} {
		c := newCluster(t, repeating, clockToken("T"))
		passcode := "4711" + c.code(0)
		c.shows(0, c.keyed("gateway", "pc", passcode), Accepted)
		spoil(&c.shelf.account)
		c.shows(1, c.keyed("gateway", "pc", passcode), AnsweredElsewhere)
	}
}

func TestTheSameLoginAndTheTMS(t *testing.T) {
	for said, want := range map[TMSAnswer][2]Verdict{
		TMSAccepted: {AcceptedByTMS, AnsweredElsewhere}, TMSAsked: {AskedByTMS, AnsweredElsewhere}, TMSRefused: {RefusedByTMS, RefusedByTMS},
	} {
		c := newCluster(t, repeating, eventToken("H"))
		login := func(said TMSAnswer) *Attempt {
			a := c.keyed("gateway", "pc", "something that the TMS knows")
			a.Order, a.TMS = TMSOnly, said
			return a
		}
		if d := c.shows(0, login(TMSNotAsked), Undecided); !d.AskTMS || d.Renews {
			t.Fatalf("%+v", d)
		}
		c.shows(0, login(said), want[0])
		if d := c.shows(1, login(TMSNotAsked), want[1]); d.Outstanding || d.Renews {
			t.Errorf("%+v", d)
		}
		c.shows(1, login(said), map[TMSAnswer]Verdict{TMSAccepted: AnsweredElsewhere, TMSAsked: AnsweredElsewhere, TMSRefused: RefusedByTMS}[said])
		if said == TMSRefused { // what the TMS has taken after all is not refused
			if d := c.shows(1, login(TMSAccepted), AcceptedByTMS); !d.Renews {
				t.Errorf("%+v", d)
			}
		}
	}
}

// TestTheLoserOfARace is decided once more, by an account with the code burned.
func TestTheLoserOfARace(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	passcode := "4711" + c.code(0)
	winner := c.keyed("gateway", "pc", passcode)
	c.shelf.race = func() { c.shows(0, winner, Accepted) }
	c.shows(1, c.keyed("gateway", "pc", passcode), AnsweredElsewhere)
	c.shelf.race = nil
	c.shows(1, c.keyed("gateway", "another pc", passcode), Replayed)
}

// TestALostRaceCountsOnce and is not taken for a repeat.
func TestALostRaceCountsOnce(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	c.shelf.race = func() {}
	if d := c.shows(0, c.keyed("gateway", "pc", "4711"+c.wrong(1)), WrongCode); d.Repeated || d.Changed != 1 || c.state().Failures != 1 {
		t.Errorf("%+v, %+v", d, c.state())
	}
	c.shelf.race = func() {}
	c.shows(0, c.keyed("gateway", "pc", "9999"+c.wrong(1)), WrongPIN)
	if e := c.nodes[0].misses.entries[c.nodes[0].misses.source(c.attempt("", "pc"))]; e == nil || e.wrongPINs != 1 {
		t.Errorf("%+v", e)
	}
}

// TestALoserTakesBack what it counted, as the winner has counted the same login: also when it
// was told to the others already, and only of the source whose wait it ends then.
func TestALoserTakesBack(t *testing.T) {
	for _, told := range []bool{false, true} {
		c := newCluster(t, nil, clockToken("T"))
		table := ledger{}
		for i := range 3 { // each sent to both
			passcode := fmt.Sprint(9000+i) + c.wrong(i)
			c.shelf.race = func() {
				if told {
					table.tick(c.nodes[1], c.at)
				}
				c.shows(0, c.keyed("gateway", "pc", passcode), WrongPIN)
			}
			if d := c.shows(1, c.keyed("gateway", "pc", passcode), WrongPIN); !d.Repeated {
				t.Errorf("%+v", d)
			}
			if told {
				table.tick(c.nodes[0], c.at)
				table.tick(c.nodes[1], c.at)
			}
		}
		for _, v := range c.nodes {
			table.tick(v, c.at)
		}
		if len(table) != 1 {
			t.Errorf("%d sources", len(table))
		}
		for _, e := range table {
			if e.wrong != 3 {
				t.Errorf("told %v: 3 logins count as %d", told, e.wrong)
			}
		}
		table.tick(c.nodes[0], c.at)
		for node := range c.nodes { // nobody waits after 3
			c.shows(node, c.keyed("gateway", "pc", "4711"+c.code(int64(node))), Accepted)
		}
	}
}

func TestWithoutAWindowNothingIsTheSame(t *testing.T) {
	c := newCluster(t, func(p *Policy) { p.SameLoginWindow = 0 }, clockToken("T"))
	passcode := "4711" + c.code(0)
	if d := c.shows(0, c.keyed("gateway", "pc", passcode), Accepted); d.Renews {
		t.Errorf("%+v", d)
	}
	c.shows(1, c.keyed("gateway", "pc", passcode), Replayed)
}

// TestClocksThatDiffer by two seconds between servers let no code through twice, nor hide
// that a login is the same.
func TestClocksThatDiffer(t *testing.T) {
	for _, apart := range []time.Duration{-2 * time.Second, 2 * time.Second} {
		c := newCluster(t, nil, clockToken("T"))
		passcode := "4711" + c.code(0)
		c.shows(0, c.keyed("gateway", "pc", passcode), Accepted)
		a := c.keyed("gateway", "pc", passcode)
		a.At = a.At.Add(apart)
		c.shelf.at = c.shelf.at.Add(apart) // the age is by one clock
		c.shows(1, a, AnsweredElsewhere)
		a = c.keyed("gateway", "another pc", passcode)
		a.At = a.At.Add(apart)
		c.shows(1, a, Replayed)
	}
}

// TestNobodyIsRepeatedWithoutStation: all who sit behind a NAS that does not say which
// station asks would be the same.
func TestNobodyIsRepeatedWithoutStation(t *testing.T) {
	c := newCluster(t, repeating, clockToken("T"))
	passcode := "4711" + c.code(0)
	c.shows(0, c.keyed("gateway", "", passcode), Accepted)
	c.shows(1, c.keyed("gateway", "", passcode), AnsweredElsewhere)
}

// TestNoKeyIsAcceptedTwice whatever comes in which order.
func TestNoKeyIsAcceptedTwice(t *testing.T) {
	for round := range uint64(16) {
		random := rand.New(rand.NewPCG(round, 1))
		repeat := round%2 == 1
		c := newCluster(t, func(p *Policy) { p.RepeatSameLogin = repeat }, eventToken("H"), clockToken("T"))
		accepted, when := map[string]int{}, map[LoginKey]time.Time{} // by code; by login
		var codes []string
		for range 300 {
			c.at = c.at.Add(time.Duration(random.IntN(3000)) * time.Millisecond)
			if len(codes) == 0 || random.IntN(4) == 0 {
				token := &c.shelf.account.Tokens[random.IntN(2)]
				codes = append(codes, codeOf(token, c.at, 0))
			}
			code := codes[max(0, len(codes)-1-random.IntN(4))]
			a := c.keyed([]string{"gateway", "another"}[random.IntN(2)], []string{"pc", "phone"}[random.IntN(2)], "4711"+code)
			if random.IntN(10) == 0 {
				c.shelf.race = func() {
					tablet := c.keyed("gateway", "tablet", "4711"+code)
					if v, _ := c.nodes[0].Verify(context.Background(), tablet); v == Accepted && !tablet.Decision.Same {
						accepted[code]++
					}
				}
			}
			v, err := c.nodes[random.IntN(2)].Verify(context.Background(), a)
			if err != nil {
				t.Fatal(err)
			}
			at, known := when[a.Login]
			same := known && c.at.Sub(at) <= 5*time.Second
			switch d := &a.Decision; {
			case v == AnsweredElsewhere && (!same || repeat), d.Same && (!same || !repeat || v != Accepted):
				t.Fatalf("round %d: %v, %+v of a login that is the same: %v", round, v, d, same)
			case v == Accepted && !d.Same:
				accepted[code]++
				when[a.Login] = c.at
			}
			if accepted[code] > 1 {
				t.Fatalf("round %d: a code was accepted twice", round)
			}
		}
	}
}

// TestNoRefusalHidesAnAccept that may be on its way: a stranger's attempt between two
// servers has nobody refused at the second.
func TestNoRefusalHidesAnAccept(t *testing.T) {
	c := newCluster(t, nil, clockToken("T"))
	passcode := "4711" + c.code(0)
	c.shows(0, c.keyed("gateway", "pc", passcode), Accepted)
	for _, typed := range []string{"9999" + c.wrong(1), "4711" + c.wrong(2)} {
		a := c.keyed("gateway", "stranger", typed)
		if v, err := c.nodes[0].Verify(context.Background(), a); err != nil || v.Accepts() || a.Decision.Renews {
			t.Fatal(v, err, a.Decision)
		}
	}
	c.shows(1, c.keyed("gateway", "pc", passcode), AnsweredElsewhere)
	c.at = c.at.Add(6 * time.Second) // then it may
	if d := c.shows(0, c.keyed("gateway", "stranger", "9998"+c.wrong(3)), WrongPIN); !d.Renews {
		t.Errorf("%+v", d)
	}
}
