package radiusd

import (
	"testing"
	"time"

	"countersign/otp"
)

func testGuard(change func(*Options)) *guard {
	o := &Options{BackendLogins: 1, BackendRepeatTime: time.Minute, AcceptedOnce: time.Hour}
	if change != nil {
		change(o)
	}
	return newGuard(o)
}

func TestWhatTheGuardRemembers(t *testing.T) {
	for _, c := range []struct {
		saw  sighting
		keep time.Duration
	}{{unseen, 0}, {sawAccepted, time.Hour}, {sawRefused, time.Minute}, {sawQuestion, time.Minute}, {sawNothing, time.Hour}} {
		g := testGuard(nil)
		const at = time.Second
		if saw := g.begin(7, at, false); saw != unseen {
			t.Fatalf("%d of what was not there", saw)
		}
		if saw := g.begin(7, at+time.Hour, false); saw != showing {
			t.Errorf("%d while it is shown", saw)
		}
		g.settle(7, c.saw, at)
		if c.keep > 0 {
			if saw := g.begin(7, at+c.keep-1, false); saw != c.saw {
				t.Errorf("%d, want %d", saw, c.saw)
			}
		}
		if saw := g.begin(7, at+c.keep, false); saw != unseen {
			t.Errorf("%d is remembered too long", c.saw)
		}
	}
	g := testGuard(func(o *Options) { o.AcceptedOnce = 0 })
	g.begin(1, 0, false)
	g.settle(1, sawNothing, 0)
	if saw := g.begin(1, unansweredTime-1, false); saw != sawNothing {
		t.Errorf("%d of what was not answered", saw)
	}
}

// TestTheGuardIsBounded, and lets go of what is over.
func TestTheGuardIsBounded(t *testing.T) {
	g := testGuard(nil)
	if g.limit != minGuarded {
		t.Errorf("limit %d", g.limit)
	}
	if many := testGuard(func(o *Options) { o.BackendLogins = 10000 }); many.limit != 340000 {
		t.Errorf("limit %d of a guard that many logins pass", many.limit)
	}
	g.limit = 100
	for key := range uint64(50) {
		g.begin(key, 0, false) // and they stay
	}
	for key := uint64(50); key < 1000; key++ {
		g.begin(key, 0, false)
		g.settle(key, sawRefused, 0)
		if n := g.len(); n > g.limit {
			t.Fatalf("%d logins remembered", n)
		}
	}
	if n := g.len(); n != g.limit {
		t.Errorf("%d logins remembered, want %d", n, g.limit)
	}
	for key := range uint64(50) {
		if saw := g.begin(key, 0, false); saw != showing {
			t.Fatalf("login %d is forgotten while it is shown", key)
		}
	}
	for key := range uint64(50) {
		g.settle(key, unseen, 0)
	}
	for key := uint64(2000); key < 2200; key++ { // one by one, when all is over
		g.begin(key, time.Hour, false)
		g.settle(key, unseen, time.Hour)
	}
	if n := g.len(); n != 0 {
		t.Errorf("%d logins remembered for ever", n)
	}
}

// TestKeys tell logins apart by all that matters and nothing else.
func TestKeys(t *testing.T) {
	b, _ := behind(t, nil)
	key := func(o order) uint64 {
		r := b.auth.pool.make()
		r.nas = b.server.setup.Load().nases.byName["gateway"]
		r.datagram = b.build(o)
		if err := r.packet.Parse(r.datagram); err != nil {
			t.Fatal(err)
		}
		r.readCredentials(&b.scratch)
		r.resume()
		return b.server.tms.guard.key(r)
	}
	state := func(kept string) string {
		r := b.auth.pool.make()
		r.nas, r.packet.UserName, r.at = b.server.setup.Load().nases.byName["gateway"], []byte("eve"), epoch
		r.trace.At = epoch
		r.attempt.Method = otp.PAP
		if err := r.seal(r.newDialog(tmsDialog, []byte(kept))); err != nil {
			t.Fatal(err)
		}
		return string(r.state)
	}
	one := state("one")
	for i, same := range [][2]order{
		{pap(1, "eve", "x"), pap(2, "EVE", "x").station("203.0.113.1")},
		{pap(1, "eve", "x").state(one), pap(2, "eve", "x").state(one)},
		{mschap2(1, "eve", "x"), mschap2(2, "eve", "x")},
		{mschap1(1, "eve"), mschap1(2, "eve")},
		{chap(1, "eve", "x"), chap(1, "eve", "x")},
	} {
		if key(same[0]) != key(same[1]) {
			t.Errorf("pair %d: two keys of one login", i)
		}
	}
	seen := map[uint64]int{}
	for i, o := range []order{
		pap(1, "eve", "x"), pap(1, "ev", "ex"), pap(1, "bob", "x"), pap(1, "eve", "y"), pap(1, "eve", ""), pap(1, "eve", "x").state(one),
		pap(1, "eve", "x").state(state("two")), chap(1, "eve", "x"), chap(2, "eve", "x"), mschap1(1, "eve"), mschap2(1, "eve", "x"), mschap2(1, "eve", "y"),
	} {
		k := key(o)
		if other, twice := seen[k]; twice {
			t.Errorf("one key of logins %d and %d", other, i)
		}
		seen[k] = i
	}
}

// TestALoginIsShownOnce, however often it comes.
func TestALoginIsShownOnce(t *testing.T) {
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.AcceptedOnce = time.Hour })
	b.asleep = true
	first := pap(1, "eve", "right")
	b.want(first, silence)
	for i := range uint64(10) {
		b.want(first, silence)
		b.want(pap(2+i, "Eve", "right").station("203.0.113.1"), silence) // with another Identifier, from elsewhere
	}
	b.wantMetric(10, "dropped_total", "duplicate_in_flight")
	b.wantMetric(10, "dropped_total", "tms_in_flight")
	b.wantMetric(1, "countersign_tms_queue")
	b.wantMetric(1, "in_flight", "auth")
	b.asleep = false
	b.wantCode(b.verified(first, b.collect()), accept)
	for i := range uint64(10) {
		b.want(first, accept)
		b.wantVerdict(pap(2+i, "Eve", "right").station("203.0.113.1"), otp.Replayed)
	}
	b.wantAsked(o, 1)
	b.wantVerdict(pap(30, "eve", "right"), otp.Replayed)
	b.wantVerdict(pap(31, "bob", "right"), otp.AcceptedByTMS)
	b.wait(time.Hour)
	b.wantVerdict(pap(32, "eve", "right"), otp.AcceptedByTMS)
	b.wantAsked(o, 3)

	for i := range uint64(10) {
		b.wantVerdict(pap(40+i, "eve", "wrong"), otp.RefusedByTMS)
	}
	b.wantAsked(o, 4)
	b.wait(time.Minute)
	b.wantVerdict(pap(80, "eve", "wrong"), otp.RefusedByTMS)
	b.wantAsked(o, 5)
}

func TestAcceptedOnceMayBeOff(t *testing.T) {
	b, o := behind(t, nil)
	b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS)
	b.wantVerdict(pap(2, "eve", "right"), otp.AcceptedByTMS)
	b.wantAsked(o, 2)
	if n := b.server.tms.guard.len(); n != 0 {
		t.Errorf("%d logins remembered", n)
	}
}

// TestProofsAreShownOnce: of CHAP and MS-CHAP the same response to the same challenge.
func TestProofsAreShownOnce(t *testing.T) {
	b, o := behind(t, nil)
	b.wantVerdict(chap(1, "eve", "x"), otp.RefusedByTMS)
	b.wantVerdict(chap(2, "eve", "x"), otp.RefusedByTMS) // the Request Authenticator is the challenge
	b.wantAsked(o, 2)
	b.wantVerdict(mschap2(3, "bob", "x"), otp.RefusedByTMS)
	b.wantVerdict(mschap2(4, "bob", "x"), otp.RefusedByTMS)
	b.wantAsked(o, 3)
	b.wantVerdict(mschap2(5, "bob", "y"), otp.RefusedByTMS)
	b.wantVerdict(mschap1(6, "carol"), otp.RefusedByTMS)
	b.wantVerdict(mschap1(7, "carol"), otp.RefusedByTMS)
	b.wantAsked(o, 5)
}
