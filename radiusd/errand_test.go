package radiusd

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// verifying is a server on which who is in the office passes with the password
// of the directory, and bob passes nowhere.
func verifying(tb testing.TB, change func(*Options, *NASConfig)) (*bench, *directory) {
	people := newDirectory(person("alice"), person("bob"), person("eve"))
	b := newRuledBench(tb, exclusions.PassDirectoryPassword, func(o *Options, c *NASConfig) {
		o.Users, o.Rules = people, rulesOf(tb, office)
		if change != nil {
			change(o, c)
		}
	})
	return b, people
}

func TestARuleThatAsksForThePassword(t *testing.T) {
	b, people := verifying(t, nil)
	b.wantVerdict(pap(1, "Alice", "secret of alice"), otp.Excluded)
	b.wantBinds(people, 1)
	b.wantVerdict(pap(2, "alice", "wrong"), otp.WrongPassword)
	b.wantBinds(people, 2)
	b.wantVerdict(pap(3, "alice", passcodeAt(0)), otp.Accepted) // a right code does as well, and the directory does not see it
	b.wantBinds(people, 2)
	b.wantVerdict(pap(12, "alice", passcodeAt(0)), otp.Replayed) // nor when it comes again
	b.wantBinds(people, 2)
	b.wantVerdict(pap(4, "alice", ""), otp.WrongPassword) // which a directory would take for no login at all
	b.wantVerdict(chap(5, "alice", "secret of alice"), otp.NeedsPAP)
	b.wantVerdict(mschap1(6, "alice"), otp.NeedsPAP)
	b.wantVerdict(mschap2(7, "alice", "secret of alice"), otp.NeedsPAP)
	b.wantVerdict(mschap2(11, "alice", passcodeAt(1)), otp.Accepted)
	b.wantVerdict(bare(8, "alice"), otp.NoCredentials)
	b.wantBinds(people, 2)
	b.wantVerdict(pap(9, "alice", "wrong").station("203.0.113.1"), otp.WrongPIN)
	b.wantVerdict(pap(10, "alice", passcodeAt(2)).station("203.0.113.1"), otp.Accepted)
	b.wantBinds(people, 2)
	b.wantLog(9, "rule=office")
}

func TestVerdictsOfTheDirectory(t *testing.T) {
	b, people := verifying(t, nil)
	for i, v := range []otp.Verdict{otp.PasswordExpired, otp.DirectoryDisabled, otp.DirectoryLocked, otp.DirectoryRefused, otp.UnknownUser} {
		people.verdicts["alice"] = v
		b.wantVerdict(pap(uint64(i), "alice", "secret of alice"), v)
	}
	b.wantBinds(people, 5)
	people.verdicts["alice"] = otp.Undecided
	b.wantSilence(pap(9, "alice", "secret of alice"), "directory_unavailable")

	// Whom no directory has nobody is asked about, unless it is only away.
	b.wantVerdict(pap(10, "mallory", "secret of mallory"), otp.WrongPIN)
	b.wantBinds(people, 6)
	people.source, people.down = exclusions.Unavailable, true
	b.wantSilence(pap(11, "mallory", "secret of mallory"), "directory_unavailable")
	b.wantBinds(people, 7)
	b.wantSilence(pap(12, "mallory", testPIN+"000000"), "directory_unavailable") // whoever that is
	b.wantVerdict(pap(13, "mallory", passcodeAt(0)), otp.Accepted)
	b.wantBinds(people, 7)
}

// TestTheDirectoryLocksNobodyOut: what VPN clients send again and again goes to
// it once.
func TestTheDirectoryLocksNobodyOut(t *testing.T) {
	for name, prepare := range map[string]func(*bench){
		"by a rule":       func(*bench) {},
		"without a token": func(b *bench) { b.server.SetRules(nil); b.without("alice", "bob") },
	} {
		t.Run(name, func(t *testing.T) {
			b, people := verifying(t, func(_ *Options, c *NASConfig) { c.Mode = exclusions.TokenHolders })
			prepare(b)
			serial := uint64(0)
			login := func(user, password string, v otp.Verdict, binds int) {
				t.Helper()
				serial++
				b.wantVerdict(pap(serial, user, password), v)
				b.wantBinds(people, binds)
			}
			for range 5 {
				login("alice", "wrong", otp.WrongPassword, 1)
				b.wait(otp.DefaultPolicy().WrongPasswordTime - time.Minute) // a client that reconnects for ever
			}
			login("bob", "wrong", otp.WrongPassword, 2) // another user
			login("alice", "wrong too", otp.WrongPassword, 3)
			login("alice", "secret of alice", otp.Excluded, 4)
			for i := range otp.DefaultPolicy().MaxWrongPasswords { // the right one has made up for the wrong ones
				login("alice", fmt.Sprint("wrong ", i), otp.WrongPassword, 5+i)
			}
			login("alice", "secret of alice", otp.Throttled, 7)
			b.wait(otp.DefaultPolicy().WrongPasswordTime + time.Second)
			login("alice", "secret of alice", otp.Excluded, 8)
		})
	}
}

func TestADirectoryThatCannotVerify(t *testing.T) {
	for name, prepare := range map[string]func(*bench){
		"by a rule":       func(*bench) {},
		"without a token": func(b *bench) { b.server.SetRules(nil); b.without("alice") },
	} {
		t.Run(name, func(t *testing.T) {
			b, people := verifying(t, func(_ *Options, c *NASConfig) { c.Mode = exclusions.TokenHolders })
			prepare(b)
			people.down = true
			for range 3 { // the same packet, which goes to the directory once
				b.wantSilence(pap(1, "alice", "secret of alice"), "directory_unavailable")
			}
			b.wantLog(1, "connection refused")
			if len(b.store.traces) != 0 {
				t.Error("something was recorded")
			}
			b.wantBinds(people, 1)
			people.down = false
			b.wait(15 * time.Second)
			b.wantVerdict(pap(1, "alice", "secret of alice"), otp.Excluded)
		})
	}
}

func TestTokenHoldersWithTheirPassword(t *testing.T) {
	b, people := verifying(t, func(o *Options, c *NASConfig) { c.Mode, o.Rules = exclusions.TokenHolders, nil })
	b.without("eve", "frank")
	b.wantVerdict(pap(1, "eve", "secret of eve"), otp.Excluded)
	b.wantBinds(people, 1)
	b.wantVerdict(pap(2, "eve", "wrong"), otp.WrongPassword)
	b.wantBinds(people, 2)
	b.wantVerdict(pap(3, "eve", ""), otp.WrongPassword)
	b.wantVerdict(chap(4, "eve", "secret of eve"), otp.NeedsPAP)
	b.wantVerdict(pap(5, "alice", "secret of alice"), otp.WrongPIN) // holds a token
	b.wantVerdict(pap(6, "alice", passcodeAt(0)), otp.Accepted)
	b.wantBinds(people, 2)
	if traces := len(b.store.traces); traces != 6 {
		t.Errorf("%d records of six logins", traces)
	}
	b.store.accounts["eve"].Disabled = true
	b.wantVerdict(pap(7, "eve", "secret of eve"), otp.UserDisabled)
	b.wantBinds(people, 2)
}

// TestATokenThatCameMeanwhile: between the first look at the account and the
// second the user is given a token. Then the code counts.
func TestATokenThatCameMeanwhile(t *testing.T) {
	b, people := verifying(t, func(o *Options, c *NASConfig) { c.Mode, o.Rules = exclusions.TokenHolders, nil })
	b.without("eve")
	people.warm = true
	people.asking = func(context.Context) { b.store.set(func(s *ledger) { s.accounts["eve"] = newAccount() }) }
	b.wantVerdict(pap(1, "eve", "secret of eve"), otp.WrongPIN)
	b.wantVerdict(pap(2, "eve", passcodeAt(0)), otp.Accepted)
	b.wantBinds(people, 1)
}

func TestCreateToken(t *testing.T) {
	var m *mint
	b, people := verifying(t, func(o *Options, c *NASConfig) {
		m = &mint{}
		c.Mode, c.Excluded = exclusions.CreateToken, exclusions.NoPass
		o.Rules, o.Enroller, o.NoTokenMessage = nil, m, "Your token is on its way."
	})
	m.store = b.store
	b.without("eve", "bob")
	b.wantVerdict(pap(1, "eve", "wrong"), otp.WrongPassword)
	b.wantVerdict(chap(2, "eve", "secret of eve"), otp.NeedsPAP)
	if len(m.made) != 0 {
		t.Errorf("tokens made: %q", m.made)
	}
	reply := b.wantVerdict(pap(3, "Eve", "secret of eve"), otp.TokenCreated)
	if got := valuesOf(reply, packet.ReplyMessage); !slices.Equal(got, []string{"Your token is on its way."}) {
		t.Errorf("Reply-Message %q", got)
	}
	if !slices.Equal(m.made, []string{"eve at gateway"}) {
		t.Errorf("tokens made: %q", m.made)
	}
	b.wantBinds(people, 2)
	b.wantVerdict(pap(4, "eve", "secret of eve"), otp.WrongPIN)
	b.wantVerdict(pap(5, "eve", passcodeAt(0)), otp.Accepted)
	b.wantBinds(people, 2)

	m.fail = errDisk
	b.wantSilence(pap(6, "bob", "secret of bob"), "undecided")
	b.wantLog(1, errDisk.Error())
	m.fail = nil
	b.wantVerdict(pap(6, "bob", "secret of bob"), otp.TokenCreated)
}

func TestCreateTokenNeedsSomebodyWhoDoes(t *testing.T) {
	b, people := verifying(t, func(o *Options, c *NASConfig) { c.Mode, o.Rules = exclusions.CreateToken, nil })
	b.without("eve")
	b.wantVerdict(pap(1, "eve", "secret of eve"), otp.NoToken)
	b.wantBinds(people, 0)
}

func TestARepeatDuringAnErrand(t *testing.T) {
	b, people := verifying(t, nil)
	b.away = true
	datagram := b.build(pap(1, "alice", "secret of alice"))
	for range 3 {
		if replies := b.hand(b.auth, gateway, datagram); len(replies) != 0 {
			t.Fatal("answered before it is decided")
		}
	}
	b.wantMetric(2, "dropped_total", "duplicate_in_flight")
	b.wantMetric(1, "errands")
	b.wantMetric(1, "in_flight", "auth")
	b.away = false
	first := b.collect()
	b.wantCode(b.verified(pap(1, "alice", "secret of alice"), first), accept)
	again := b.hand(b.auth, gateway, datagram)
	if len(again) != 1 || !bytes.Equal(first[0].reply, again[0].reply) {
		t.Errorf("first reply %v, then %v", first, again)
	}
	b.wantBinds(people, 1)
	b.wantMetric(0, "errands")
}

func TestTooManyErrands(t *testing.T) {
	b, people := verifying(t, func(o *Options, c *NASConfig) { o.Errands, c.Mode = 1, exclusions.TokenHolders })
	b.without("eve")
	b.away = true
	for i := range uint64(errandQueue) {
		b.want(pap(i, "alice", "secret of alice"), silence)
	}
	b.want(pap(50, "alice", "secret of alice"), silence)
	b.wantMetric(1, "dropped_total", "directory_busy")
	b.wantMetric(errandQueue, "in_flight", "auth")
	b.wantLog(1, "reason=directory_busy")

	// One that comes back from the store finds no room either.
	people.warm = true
	b.wantSilenceInFlight(pap(51, "eve", "secret of eve").station("203.0.113.1"), "directory_busy", errandQueue)
	b.away = false
	if n := len(b.collect()); n != errandQueue {
		t.Errorf("%d replies, want %d", n, errandQueue)
	}
	b.wantMetric(0, "in_flight", "auth")
}

// wantSilenceInFlight is wantSilence while other requests are in flight.
func (b *bench) wantSilenceInFlight(o order, why string, others float64) {
	b.Helper()
	before := b.metric("dropped_total", why)
	b.want(o, silence)
	b.wantMetric(before+1, "dropped_total", why)
	b.wantMetric(others, "in_flight", "auth")
}

func TestAnErrandThatCameTooLate(t *testing.T) {
	b, people := verifying(t, nil)
	b.away = true
	b.want(pap(1, "alice", "secret of alice"), silence)
	b.wait(10 * time.Second)
	b.away = false
	if replies := b.collect(); len(replies) != 0 {
		t.Error("answered after the NAS has given up")
	}
	b.wantMetric(1, "dropped_total", "directory_busy")
	b.wantMetric(0, "in_flight", "auth")
	if people.finds != 0 {
		t.Error("the directory was asked for nothing")
	}
}

func TestAnErrandHasLimitedTime(t *testing.T) {
	b, people := verifying(t, func(o *Options, _ *NASConfig) { o.DirectoryTime = 5 * time.Second })
	b.away = true
	b.want(pap(1, "alice", "secret of alice"), silence)
	b.wait(3 * time.Second)
	limits := 0
	people.asking = func(ctx context.Context) {
		if end, limited := ctx.Deadline(); limited && time.Until(end) <= 2*time.Second {
			limits++
		}
	}
	b.away = false
	b.wantCode(b.verified(pap(1, "alice", "secret of alice"), b.collect()), accept)
	if limits != 2 {
		t.Errorf("%d of 2 questions had the rest of the time as their limit", limits)
	}
}

// TestAnAnswerThatCameTooLate burns no code.
func TestAnAnswerThatCameTooLate(t *testing.T) {
	b, people := verifying(t, func(o *Options, _ *NASConfig) { o.DirectoryTime = time.Millisecond })
	people.asking = func(ctx context.Context) { <-ctx.Done() }
	b.wantSilence(pap(1, "alice", passcodeAt(0)).station("203.0.113.1"), "directory_unavailable")
	if b.store.decided != 0 {
		t.Error("a passcode was looked at")
	}
}

func TestAStoreThatIsBusyAfterAnErrand(t *testing.T) {
	b, _ := verifying(t, nil)
	b.store.busy = true
	b.wantSilence(pap(1, "alice", "secret of alice"), "store_busy")
	b.store.busy = false
	b.wantVerdict(pap(1, "alice", "secret of alice"), otp.Excluded)
}

// serving is a server on real sockets with a directory.
func serving(t *testing.T, people *directory, change func(*Options)) *live {
	return listen(t, func(o *Options) {
		nas := loopbackNAS()
		nas.Mode, nas.Excluded = exclusions.TokenHolders, exclusions.PassDirectoryPassword
		o.NASes, o.Users = table(t, nil, nas), people
		if change != nil {
			change(o)
		}
	})
}

// TestManyErrands: logins that ask for the user and for the password, from many
// sockets at once, with the rules replaced all the time.
func TestManyErrands(t *testing.T) {
	people := newDirectory(person("alice"), person("eve"))
	l := serving(t, people, func(o *Options) { o.Errands = 4 })
	l.store.set(func(s *ledger) { s.accounts["eve"] = &otp.Account{Exists: true} })
	var all sync.WaitGroup
	for range 8 {
		conn := l.dial(l.server.Addrs()[0])
		var datagrams [][]byte
		for i := range uint64(50) {
			datagrams = append(datagrams, l.build(pap(i, "eve", "secret of eve")), l.build(pap(100+i, "alice", "wrong")))
		}
		all.Go(func() {
			for i, datagram := range datagrams {
				reply, err := exchange(conn, datagram)
				if want := []packet.Code{accept, reject}[i%2]; err != nil || packet.Code(reply[0]) != want {
					t.Errorf("login %d: %v, want %s", i, err, want)
					return
				}
			}
		})
	}
	rules := rulesOf(t, rule("other", criterion(exclusions.Users, "mallory")))
	for range 200 {
		l.server.SetRules(rules)
		l.server.SetRules(nil)
	}
	all.Wait()
	l.wantBinds(people, 8*50) // one for each login of the user without a token
}

func TestTheEndWaitsForErrands(t *testing.T) {
	people := newDirectory(person("eve"))
	answer := make(chan struct{})
	people.asking = func(context.Context) { <-answer }
	l := serving(t, people, nil)
	conn, o := l.dial(l.server.Addrs()[0]), pap(1, "eve", passcodeAt(0))
	if _, err := conn.Write(l.build(o)); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return l.metric("errands") == 1 })
	l.stop()
	l.until(func() bool { return l.server.draining() })
	close(answer)
	reply := make([]byte, packet.MaxLength)
	n, err := conn.Read(reply)
	if err != nil {
		t.Fatal(err)
	}
	l.wantCode(l.verify(o, reply[:n]), accept)
}

func TestTheEndLetsGoOfErrands(t *testing.T) {
	people := newDirectory(person("eve"))
	people.asking = func(ctx context.Context) { <-ctx.Done() }
	l := serving(t, people, nil)
	l.server.drainTime = time.Millisecond
	if _, err := l.dial(l.server.Addrs()[0]).Write(l.build(pap(1, "eve", passcodeAt(0)))); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return l.metric("errands") == 1 })
	l.close()
}
