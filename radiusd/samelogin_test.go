package radiusd

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// pair makes two servers that share a store and a key.
func pair(t *testing.T, policy otp.Policy, change func(*Options, *NASConfig)) (one, two *bench) {
	make := func(store *ledger) *bench {
		b := newTalkingBench(t, func(o *Options, c *NASConfig) {
			o.SharedKey = &[32]byte{7}
			if store != nil {
				o.Verifier = otp.NewVerifier(store, policy)
			}
			if change != nil {
				change(o, c)
			}
		})
		if store != nil {
			b.store = store
		}
		return b
	}
	store := &ledger{accounts: map[string]*otp.Account{}}
	return make(store), make(store)
}

// at gives an order another Identifier.
func (o order) at(identifier uint8) order {
	o.identifier = identifier
	return o
}

// wantElsewhere checks that a login is not answered because another server has done so.
func (b *bench) wantElsewhere(o order) {
	b.Helper()
	before := b.metric("logins_total", "answered_elsewhere")
	b.wantSilence(o, "answered_elsewhere")
	b.wantMetric(before+1, "logins_total", "answered_elsewhere")
}

// TestALoginThatIsAnsweredElsewhere gets no reply, and its retransmissions get none.
func TestALoginThatIsAnsweredElsewhere(t *testing.T) {
	one, two := pair(t, otp.DefaultPolicy(), nil)
	for i, login := range [][2]order{
		{pap(1, "alice", passcodeAt(0)), pap(2, "ALICE", passcodeAt(0))},
		{mschap2(3, "alice", passcodeAt(1)), mschap2(4, "alice", passcodeAt(1))},
		{chap(5, "alice", passcodeAt(2)), chap(5, "alice", passcodeAt(2)).at(6)},
	} {
		one.wantVerdict(login[0], otp.Accepted)
		two.wantElsewhere(login[1])
		two.wantLog(i+1, "verdict=answered_elsewhere")
		decided := two.store.decided
		two.wantSilence(login[1], "duplicate_unanswered")
		two.wantLog(i+1, "verdict=answered_elsewhere")
		if two.store.decided != decided {
			t.Error("a retransmission was an attempt")
		}
		one.wantElsewhere(login[1]) // the first one, too, does not answer it twice
		one.want(login[0], accept)  // but a retransmission gets its reply
	}
	two.wantVerdict(pap(10, "alice", passcodeAt(2)), otp.Replayed) // by another method it is another login
	one.wantVerdict(pap(11, "alice", passcodeAt(3)), otp.Accepted)
	two.wantVerdict(pap(12, "alice", passcodeAt(3)).station("203.0.113.1"), otp.Replayed)
	two.wantElsewhere(pap(13, "alice", passcodeAt(3)))
	two.wait(5*time.Second + 1)
	two.wantVerdict(pap(14, "alice", passcodeAt(3)), otp.Replayed)
}

// TestTheSameLoginOfAnotherNAS is a stranger's.
func TestTheSameLoginOfAnotherNAS(t *testing.T) {
	one, two := pair(t, otp.DefaultPolicy(), nil)
	two.server.SetNASes(table(t, nil, testNAS(func(c *NASConfig) { c.Name, c.MessageAuthenticator = "another", RequireNever })))
	one.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	two.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Replayed)
}

// TestAServerAlone knows no login by its key.
func TestAServerAlone(t *testing.T) {
	b := newTalkingBench(t, nil)
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Replayed)
}

// TestTheSameLoginGetsTheSameReply where that is wanted.
func TestTheSameLoginGetsTheSameReply(t *testing.T) {
	policy := otp.DefaultPolicy()
	policy.RepeatSameLogin = true
	one, two := pair(t, policy, func(o *Options, c *NASConfig) {
		c.Class, o.Classes, o.Rules = true, badges{}, new(Rules).replying(t, office)
	})
	kinds := func(reply *packet.Request) (kinds []packet.Type) {
		for _, a := range attributesOf(reply) {
			kinds = append(kinds, a.kind)
		}
		return kinds
	}
	for i, login := range [][2]order{
		{pap(1, "alice", passcodeAt(0)), pap(2, "alice", passcodeAt(0))},
		{mschap2(3, "alice", passcodeAt(1)), mschap2(4, "alice", passcodeAt(1))},
		{chap(5, "alice", passcodeAt(2)), chap(5, "alice", passcodeAt(2)).at(6)},
	} {
		first, second := one.wantVerdict(login[0], otp.Accepted), two.wantVerdict(login[1], otp.Accepted)
		if a, b := kinds(first), kinds(second); !slices.Equal(a, b) {
			t.Errorf("attributes %v, then %v", a, b)
		}
		if keys := [2]int{len(microsoft(first, 16)), len(microsoft(second, 16))}; keys[0] != keys[1] {
			t.Errorf("session keys of %v octets", keys)
		}
		two.wantLog(i+1, "repeated=true")
	}
	if counter := one.store.accounts["alice"].Tokens[0].State.Counter; counter != 3 {
		t.Errorf("counter %d: something was burned twice", counter)
	}
	two.wantVerdict(pap(7, "alice", passcodeAt(2)).station("203.0.113.1"), otp.Replayed)
}

// TestARefusalIsTheSameEverywhere, and counts once.
func TestARefusalIsTheSameEverywhere(t *testing.T) {
	one, two := pair(t, otp.DefaultPolicy(), nil)
	wrong := testPIN + "000000"
	one.wantVerdict(pap(1, "alice", wrong), otp.WrongCode)
	two.wantVerdict(pap(2, "alice", wrong), otp.WrongCode)
	if failures := one.store.accounts["alice"].Tokens[0].State.Failures; failures != 1 {
		t.Errorf("%d failures", failures)
	}
	two.wantLog(1, "repeated=true")
}

// TestActiveActive: a gateway asks both servers at once, and takes the first answer.
func TestActiveActive(t *testing.T) {
	one, two := pair(t, otp.DefaultPolicy(), nil)
	for i := range uint64(20) {
		passcode := passcodeAt(i)
		one.store.set(func(s *ledger) { s.hold = true })
		for j, b := range []*bench{one, two, one} {
			if replies := b.hand(b.auth, gateway, b.build(pap(10*i+uint64(j), "alice", passcode))); len(replies) != 0 {
				t.Fatal("answered too early")
			}
		}
		if i%2 == 1 {
			slices.Reverse(one.store.held)
		}
		one.store.release()
		replies := append(one.collect(), two.collect()...)
		if len(replies) != 1 || packet.Code(replies[0].reply[0]) != accept {
			t.Fatalf("%d replies", len(replies))
		}
	}
}

// TestANextCodeDialogGoesOnElsewhere, each packet at another server.
func TestANextCodeDialogGoesOnElsewhere(t *testing.T) {
	one, two := pair(t, otp.DefaultPolicy(), nil)
	state := one.challenged(pap(1, "alice", passcodeAt(50)))
	again := two.challenged(pap(1, "alice", passcodeAt(50))) // its answer was lost
	two.wantVerdict(pap(2, "alice", passcodeAt(51)).station("").state(state), otp.Accepted)
	one.wantElsewhere(pap(3, "alice", passcodeAt(51)).station("").state(state))
	one.wantVerdict(pap(4, "alice", passcodeAt(51)).station("").state(again), otp.Replayed)
	one.wantLog(0, `station=""`)
}

// TestATMSDialogGoesOnElsewhere.
func TestATMSDialogGoesOnElsewhere(t *testing.T) {
	one, two, o, _ := watching(t, nil)
	state := one.inquired(pap(1, "eve", "ask"))
	state = two.inquired(pap(2, "eve", "ask").station("").state(state))
	one.wantClasses(one.wantVerdict(pap(3, "eve", "answer").station("").state(state), otp.AcceptedByTMS), "tms")
	if got := o.last(); got.dialog != "sms" || got.passcode != "answer" {
		t.Errorf("asked %+v", got)
	}
	two.wantElsewhere(pap(4, "eve", "answer").station("").state(state))
	two.wantAsked(o, 3)
}

// TestAnEnrolmentGoesOnElsewhere, and its last step is answered once.
func TestAnEnrolmentGoesOnElsewhere(t *testing.T) {
	people, g := newDirectory(person("eve")), &guide{invited: map[string]bool{}}
	one, two := pair(t, otp.DefaultPolicy(), func(o *Options, c *NASConfig) {
		c.Mode, c.Excluded = exclusions.CreateToken, exclusions.NoPass
		o.Users, o.Enroller = people, g
	})
	g.store = one.store
	one.without("eve")
	state := one.led(pap(1, "eve", "secret of eve"), askPIN)
	state = two.led(pap(2, "eve", testPIN).station("").state(state), askAgain)
	state = one.led(pap(3, "eve", testPIN).station("").state(state), askFirst)
	last := pap(4, "eve", passcodeAt(0)).station("").state(state)
	two.wantVerdict(last, otp.Accepted)
	one.wantElsewhere(last)
}

// TestSendersOfOthers are known without a restart.
func TestSendersOfOthers(t *testing.T) {
	b := newBench(t, nil)
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.server.SetSenders([]string{"nobody", "gateway"})
	b.wantSilence(pap(2, "alice", passcodeAt(1)), "message_authenticator_missing")
	b.wantMetric(1, "nas_message_authenticator", "gateway")
	b.server.SetSenders(nil)
	b.server.SetNASes(table(t, nil, testNAS(nil)))
	b.wantSilence(pap(3, "alice", passcodeAt(1)), "message_authenticator_missing")
	b.wantVerdict(pap(4, "alice", passcodeAt(1)).signed(), otp.Accepted)
	if len(b.memo.names)+len(b.server.senders) != 0 {
		t.Error("remembered once more")
	}
}

// TestLoginKeys differ in all that tells logins apart.
func TestLoginKeys(t *testing.T) {
	b := newBench(t, func(o *Options) { o.SharedKey = &[32]byte{7} })
	var last otp.LoginKey
	b.store.set(func(s *ledger) { s.hold = true })
	key := func(o order) otp.LoginKey {
		b.Helper()
		b.want(o, silence)
		last = b.store.held[len(b.store.held)-1].Login
		return last
	}
	first := key(pap(1, "alice", "4711755224"))
	if again := key(pap(2, "Alice", "4711755224")); again != first || first == (otp.LoginKey{}) {
		t.Error("one login has two keys, or none")
	}
	distinct := map[otp.LoginKey]string{}
	for i, o := range []order{
		pap(1, "alice", "4711755224"), pap(1, "alice", "4711755225"), pap(1, "bob", "4711755224"),
		pap(1, "alice", "4711755224").station("203.0.113.1"), pap(1, "alice", "4711755224").station(""),
		pap(1, "alice", "4711755224").state("x"), pap(1, "alice4", "711755224"),
		chap(1, "alice", "4711755224"), chap(1, "alice", "4711755225"),
		mschap1(1, "alice"), mschap2(1, "alice", "4711755224"), mschap2(1, "alice", "4711755225"),
	} {
		o.serial, o.identifier = uint64(10+i), uint8(10+i)
		distinct[key(o)] = fmt.Sprint(i)
	}
	if len(distinct) != 12 {
		t.Errorf("%d distinct keys: %v", len(distinct), distinct)
	}
	b.store.release()
	b.collect()
}
