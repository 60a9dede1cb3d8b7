package radiusd

import (
	"fmt"
	"sync"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/radiusd/packet"
)

// TestTheInvited takes them through all modes.
func TestTheInvited(t *testing.T) {
	far := func(o order) order { return o.station("203.0.113.1") }
	for name, c := range map[string]struct {
		mode     exclusions.Mode
		pass     exclusions.Pass
		people   bool
		password otp.Verdict // what the right one gets
		code     otp.Verdict // what a wrong first passcode gets
		binds    int
	}{
		"create-token":                     {exclusions.CreateToken, exclusions.NoPass, true, otp.Enrolling, otp.WrongPassword, 2},
		"mandatory":                        {exclusions.Mandatory, exclusions.PassAccept, true, otp.Enrolling, otp.WrongPassword, 2},
		"mandatory without a directory":    {exclusions.Mandatory, exclusions.NoPass, false, otp.NoToken, otp.NoToken, 0},
		"create-token without a directory": {exclusions.CreateToken, exclusions.NoPass, false, otp.NoToken, otp.NoToken, 0},
		"token-holders, unsaid":            {exclusions.TokenHolders, exclusions.NoPass, true, otp.Enrolling, otp.WrongPassword, 2},
		"token-holders, directory":         {exclusions.TokenHolders, exclusions.PassDirectoryPassword, true, otp.Excluded, otp.WrongPassword, 2},
	} {
		t.Run(name, func(t *testing.T) {
			b, people, g := enrolling(t, func(o *Options, n *NASConfig) {
				if n.Mode, n.Excluded = c.mode, c.pass; !c.people {
					o.Users = nil
				}
			})
			g.invited["eve"], g.invited["mallory"], g.invited["nobody@other"] = true, true, true
			b.without("mallory") // whom only we know
			if c.password == otp.Enrolling {
				b.led(pap(1, "eve", "secret of eve"), askPIN)
			} else {
				b.wantVerdict(pap(1, "eve", "secret of eve"), c.password)
			}
			b.wantVerdict(far(pap(2, "eve", testPIN+"000000")), c.code)
			b.wantVerdict(mschap2(3, "eve", passcodeAt(0)), otp.NeedsPAP)
			b.wantVerdict(pap(4, "mallory", "x"), otp.NoToken)
			b.wantVerdict(pap(5, "nobody@other", "x"), otp.UnknownUser)
			for i, user := range []string{"eve", "mallory", "nobody@other"} {
				b.wantVerdict(far(pap(6+uint64(i), user, passcodeAt(0))), otp.Accepted)
				b.wantVerdict(far(pap(10+uint64(i), user, passcodeAt(0))), otp.Replayed)
			}
			if len(g.invited) != 0 {
				t.Errorf("invited: %v", g.invited)
			}
			b.wantBinds(people, c.binds)
		})
	}
}

// TestWhoIsNotAskedAbout: only who is to show a code can be invited, and only the
// invited come to Activate, each login once.
func TestWhoIsNotAskedAbout(t *testing.T) {
	b, _, g := enrolling(t, func(o *Options, c *NASConfig) {
		c.Mode, c.Excluded, o.Rules = exclusions.TokenHolders, exclusions.PassAccept, rulesOf(t, office)
	})
	g.invited["eve"] = true
	b.wantVerdict(pap(1, "eve", passcodeAt(0)), otp.Excluded)
	if g.checks+g.tries != 0 {
		t.Errorf("%d looked up, %d tried, of who needs no code", g.checks, g.tries)
	}
	b, _, g = enrolling(t, nil)
	g.invited["eve"] = true
	b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Accepted)
	b.wantVerdict(chap(3, "eve", passcodeAt(0)), otp.NeedsPAP)
	b.wantVerdict(pap(4, "eve", ""), otp.WrongPassword)
	if g.tries != 0 {
		t.Errorf("%d tried", g.tries)
	}
	b.led(pap(5, "eve", "secret of eve"), askPIN)
	b.wantVerdict(pap(6, "eve", "wrong"), otp.WrongPassword)
	if g.tries != 2 {
		t.Errorf("%d tried in two logins", g.tries)
	}
}

// TestTheInvitedWhoHoldTokens: one that was lost, and codes on paper. In no mode do
// these keep a user from the first code of the token to be, nor that from them.
func TestTheInvitedWhoHoldTokens(t *testing.T) {
	for _, mode := range []exclusions.Mode{exclusions.Mandatory, exclusions.TokenHolders, exclusions.CreateToken} {
		for _, people := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %t", mode, people), func(t *testing.T) {
				b, directory, g := enrolling(t, func(o *Options, c *NASConfig) {
					if c.Mode, c.Excluded = mode, exclusions.PassAccept; !people {
						o.Users, c.Excluded = nil, exclusions.NoPass
					}
				})
				lost, paper := newAccount().Tokens[0], newAccount().Tokens[0]
				lost.Serial, lost.Disabled, lost.Seed = "ET8", true, oath.NewSeed([]byte("lost"))
				paper.Serial, paper.Seed = "ET9", oath.NewSeed([]byte("on paper"))
				b.store.accounts["eve"] = &otp.Account{Exists: true, PIN: newAccount().PIN, Tokens: []otp.Token{lost, paper}}
				b.store.accounts["bob"] = &otp.Account{Exists: true, PIN: newAccount().PIN, Tokens: []otp.Token{lost}}
				g.invited["eve"], g.invited["bob"] = true, true
				b.wantVerdict(pap(1, "eve", testPIN+oath.HOTP(paper.Algorithm, paper.Seed, 0, 6)), otp.Accepted)
				b.wantVerdict(pap(2, "eve", "secret of eve"), otp.WrongPIN)
				b.wantVerdict(pap(3, "bob", "secret of bob"), otp.NoToken)
				for i, user := range []string{"eve", "bob"} {
					b.wantVerdict(pap(4+uint64(i), user, passcodeAt(0)), otp.Accepted)
					b.wantVerdict(pap(6+uint64(i), user, passcodeAt(0)), otp.Replayed)
				}
				if g.tries != 5 {
					t.Errorf("%d tried", g.tries)
				}
				b.wantBinds(directory, 0)
			})
		}
	}
}

// TestAPasscodeOfTheTokenIsNoPassword, though it is not right: the directory does not
// see it, and nobody passes by it.
func TestAPasscodeOfTheTokenIsNoPassword(t *testing.T) {
	for name, change := range map[string]func(*Options, *NASConfig){
		"create-token":  nil,
		"mandatory":     func(_ *Options, c *NASConfig) { c.Mode = exclusions.Mandatory },
		"token-holders": func(_ *Options, c *NASConfig) { c.Mode, c.Excluded = exclusions.TokenHolders, exclusions.PassAccept },
		"by a rule": func(o *Options, c *NASConfig) {
			c.Mode, c.Excluded, o.Rules = exclusions.TokenHolders, exclusions.PassDirectoryPassword, rulesOf(t, office)
		},
		"cold": func(o *Options, _ *NASConfig) { o.Users.(*directory).warm = false },
	} {
		t.Run(name, func(t *testing.T) {
			b, people, g := enrolling(t, func(o *Options, c *NASConfig) {
				o.Users.(*directory).warm = true
				if change != nil {
					change(o, c)
				}
			})
			g.invited["eve"] = true
			b.wantVerdict(pap(1, "eve", passcodeAt(50)), otp.WrongCode)
			b.wantVerdict(pap(2, "eve", "8150"+codeAt(0)), otp.WrongPIN)
			b.wantBinds(people, 0)
			b.wantVerdict(pap(3, "eve", passcodeAt(0)), otp.Accepted)
			b.wantBinds(people, 0)
			if g.tries != 3 {
				t.Errorf("%d tried", g.tries)
			}
		})
	}
}

// TestTheInvitedWhileTheDirectoryIsAway: as of any login, only a right code counts.
func TestTheInvitedWhileTheDirectoryIsAway(t *testing.T) {
	b, people, g := enrolling(t, nil)
	people.source = exclusions.Unavailable
	g.invited["eve"] = true
	for i, typed := range []string{passcodeAt(50), "8150" + codeAt(0), testPIN + "000000", "secret of eve"} {
		b.wantSilence(pap(uint64(i), "eve", typed), "directory_unavailable")
	}
	b.wantVerdict(pap(5, "eve", passcodeAt(0)), otp.Accepted)
	b.wantSilence(pap(6, "eve", passcodeAt(0)), "directory_unavailable")
	b.wantBinds(people, 0)
}

// TestATokenThatGoesAtOnce: a first passcode is no password, whatever became of the
// token meanwhile.
func TestATokenThatGoesAtOnce(t *testing.T) {
	for name, change := range map[string]func(*Options, *NASConfig){
		"in a mode": nil,
		"by a rule": func(o *Options, c *NASConfig) {
			c.Mode, c.Excluded, o.Rules = exclusions.TokenHolders, exclusions.PassDirectoryPassword, rulesOf(t, office)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, people, g := enrolling(t, change)
			g.invited["eve"], b.store.hold = true, true
			order := pap(1, "eve", passcodeAt(0))
			b.want(order, silence)
			b.store.set(func(s *ledger) { s.accounts["eve"] = &otp.Account{Exists: true} })
			b.store.release()
			b.runErrands()
			b.collect()
			b.wantMetric(1, "logins_total", "no_token")
			b.wantBinds(people, 0)
		})
	}
}

// TestTheFirstCodeWhereThePasswordDoes: a rule excludes the login.
func TestTheFirstCodeWhereThePasswordDoes(t *testing.T) {
	b, people, g := enrolling(t, func(o *Options, c *NASConfig) {
		c.Excluded, o.Rules = exclusions.PassDirectoryPassword, rulesOf(t, office)
	})
	g.invited["eve"] = true
	b.wantVerdict(pap(1, "eve", "secret of eve"), otp.Excluded)
	b.wantVerdict(pap(2, "eve", passcodeAt(0)), otp.Accepted)
	b.wantBinds(people, 1)
}

// TestSomebodyWasQuicker: while one packet waits another activates the token. The
// directory does not see the passcode, and the code passes once.
func TestSomebodyWasQuicker(t *testing.T) {
	for name, mode := range map[string]exclusions.Mode{"in a mode": exclusions.CreateToken, "by a rule": exclusions.TokenHolders} {
		t.Run(name, func(t *testing.T) {
			b, people, g := enrolling(t, func(o *Options, c *NASConfig) {
				if c.Mode = mode; mode == exclusions.TokenHolders {
					c.Excluded, o.Rules = exclusions.PassDirectoryPassword, rulesOf(t, office)
				}
			})
			g.invited["eve"] = true
			g.trying = func() {
				g.mu.Lock()
				defer g.mu.Unlock()
				g.activate("eve", otp.NewPasscode([]byte(passcodeAt(0))))
				g.store.set(func(s *ledger) { s.accounts["eve"].Tokens[0].State.Counter = 1 })
			}
			b.wantVerdict(pap(1, "eve", passcodeAt(0)), otp.Replayed)
			b.wantBinds(people, 0)

			// The invitation was withdrawn instead.
			g.invited["bob"] = true
			g.trying = func() { delete(g.invited, "bob") }
			if mode == exclusions.CreateToken {
				b.led(pap(2, "bob", "secret of bob"), askPIN)
			} else {
				b.wantVerdict(pap(2, "bob", "secret of bob"), otp.Excluded)
			}
			b.wantBinds(people, 1)
		})
	}
}

// TestTheFirstCodeIsAcceptedOnce, of 200 packets at the same time (laws 1 and 2).
func TestTheFirstCodeIsAcceptedOnce(t *testing.T) {
	lost := newAccount()
	lost.Tokens[0].Disabled = true
	for name, c := range map[string]struct {
		mode    exclusions.Mode
		account *otp.Account
	}{
		"mandatory":       {exclusions.Mandatory, &otp.Account{Exists: true}},
		"create-token":    {exclusions.CreateToken, &otp.Account{Exists: true}},
		"lost one before": {exclusions.Mandatory, lost},
		"a new user":      {exclusions.TokenHolders, &otp.Account{}},
	} {
		t.Run(name, func(t *testing.T) {
			people, g := newDirectory(person("eve")), &guide{invited: map[string]bool{"eve": true}}
			l := listen(t, func(o *Options) {
				nas := loopbackNAS()
				nas.Mode = c.mode
				o.NASes, o.Enroller, o.Errands = table(t, nil, nas), g, 8
				if c.mode != exclusions.Mandatory {
					o.Users = people
				}
			})
			g.mu.Lock() // the workers are there already
			g.store = l.store
			g.mu.Unlock()
			l.store.set(func(s *ledger) { s.accounts["eve"] = c.account })
			var all sync.WaitGroup
			var mu sync.Mutex
			codes := map[packet.Code]int{}
			for client := range uint64(20) {
				conn := l.dial(l.server.Addrs()[0])
				var datagrams [][]byte
				for i := range uint64(10) {
					datagrams = append(datagrams, l.build(pap(10*client+i, "eve", passcodeAt(0))))
				}
				all.Go(func() {
					for _, datagram := range datagrams {
						reply, err := exchange(conn, datagram)
						if err != nil {
							t.Error(err)
							return
						}
						mu.Lock()
						codes[packet.Code(reply[0])]++
						mu.Unlock()
					}
				})
			}
			all.Wait()
			if codes[accept] != 1 || codes[reject] != 199 {
				t.Errorf("replies %v, want 1 accept and 199 rejects", codes)
			}
			if n := l.metric("logins_total", "accepted"); n != 1 {
				t.Errorf("%v recorded as accepted", n)
			}
			l.wantBinds(people, 0)
		})
	}
}
