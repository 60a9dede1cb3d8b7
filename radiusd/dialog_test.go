package radiusd

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

const challenge = packet.AccessChallenge

// prompt is the Reply-Message of challenges.
const prompt = "Enter your PIN and the next code."

// newTalkingBench makes a server whose NAS takes challenges.
func newTalkingBench(t *testing.T, change func(*Options, *NASConfig)) *bench {
	return newRuledBench(t, exclusions.PassAccept, func(o *Options, c *NASConfig) {
		c.Challenge, o.ChallengeMessage = true, prompt
		if change != nil {
			change(o, c)
		}
	})
}

// challenged sends a login that is asked for the next code and returns the State.
func (b *bench) challenged(o order) string {
	b.Helper()
	reply := b.want(o, challenge)
	states := valuesOf(reply, packet.State)
	if len(states) != 1 {
		b.Fatalf("States %q", states)
	}
	return states[0]
}

func (o order) state(state string) order { return o.adding(packet.State, state) }

func TestTheNextCodeIsAskedFor(t *testing.T) {
	b := newTalkingBench(t, nil)
	first := pap(1, "alice", passcodeAt(50)).adding(packet.ProxyState, "proxy")
	reply := b.want(first, challenge)
	var kinds []packet.Type
	for _, a := range attributesOf(reply) {
		kinds = append(kinds, a.kind)
	}
	if want := []packet.Type{packet.MessageAuthenticator, packet.State, packet.ReplyMessage, packet.ProxyState}; !slices.Equal(kinds, want) {
		t.Errorf("attributes %v, want %v", kinds, want)
	}
	state := valuesOf(reply, packet.State)[0]
	if !regexp.MustCompile(`^[A-Z2-7]{32}$`).MatchString(state) {
		t.Errorf("State %q", state)
	}
	if got := valuesOf(reply, packet.ReplyMessage)[0]; got != prompt {
		t.Errorf("Reply-Message %q", got)
	}
	b.wantMetric(1, "logins_total", "next_code")
	b.wantMetric(1, "replies_total", "Access-Challenge")
	b.wantMetric(1, "dialogs")

	again := b.want(first, challenge) // a retransmission: from the cache
	if !slices.Equal(attributesOf(again), attributesOf(reply)) {
		t.Errorf("%v, then %v", attributesOf(reply), attributesOf(again))
	}
	b.wantMetric(1, "dialogs")

	b.wantVerdict(pap(2, "alice", passcodeAt(51)).state(state), otp.Accepted)
	b.wantMetric(0, "dialogs")
}

func TestWhereNoChallengeIs(t *testing.T) {
	b := newTalkingBench(t, func(_ *Options, c *NASConfig) { c.Challenge = false })
	b.wantVerdict(pap(1, "alice", passcodeAt(50)), otp.NextCode)

	b = newTalkingBench(t, nil)
	b.challenged(pap(1, "alice", passcodeAt(50)))
	b.store.accounts["alice"].Tokens[0].State.MustResync = true
	b.wantVerdict(chap(2, "alice", passcodeAt(0)), otp.NextCode)
	b.wantVerdict(mschap2(3, "alice", passcodeAt(1)), otp.Accepted) // the second of two

	b = newTalkingBench(t, func(o *Options, _ *NASConfig) { o.Rand = silent{} })
	b.wantVerdict(pap(1, "alice", passcodeAt(50)), otp.NextCode)
	b.wantMetric(0, "dialogs")
}

// silent is a Rand that has nothing.
type silent struct{}

func (silent) Read([]byte) (int, error) { return 0, errors.New("no entropy") }

func TestAChallengeFollowsAChallenge(t *testing.T) {
	b := newTalkingBench(t, nil)
	one := b.challenged(pap(1, "alice", passcodeAt(50)))
	two := b.challenged(pap(2, "alice", passcodeAt(70)).state(one).station("").state(one)) // not the next one
	if one == two {
		t.Error("the same State twice")
	}
	b.wantMetric(1, "dialogs")
	b.wantVerdict(pap(3, "alice", passcodeAt(71)).state(two), otp.Accepted)
	b.wantLog(3, "station=198.51.100.7")
}

// TestTheFirstPacketDecides: of a NAS that leaves the station out of the second,
// or says another, while the time and the rules change.
func TestTheFirstPacketDecides(t *testing.T) {
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) {
		far := rule("far", criterion(exclusions.ClientIPs, "203.0.113.0/24"))
		o.Rules = rulesOf(t, far, rule("soon", criterion(exclusions.Times, "daily 22:14-23:00 UTC"))).replying(t, office)
	})
	one := b.challenged(pap(1, "alice", passcodeAt(50)))
	two := b.challenged(pap(2, "alice", passcodeAt(60)).adding(packet.NASIdentifier, "vpn-1"))
	b.wait(time.Minute) // to when nobody needs a code
	other := rulesOf(t, office)
	other.Revision = 8
	b.server.SetRules(other) // by which nobody there needs one either
	b.wantVerdict(pap(3, "alice", "wrong").station("").state(one), otp.WrongPIN)
	reply := b.wantVerdict(pap(4, "alice", passcodeAt(61)).station("203.0.113.9").state(two), otp.Accepted)
	if got := valuesOf(reply, packet.Class); !slices.Equal(got, []string{"office"}) {
		t.Errorf("Class is %q", got)
	}
	trace, err := exclusions.ParseTrace(b.store.traces[len(b.store.traces)-1])
	if err != nil || trace.ClientIP.String() != "198.51.100.7" || string(trace.NASIdentifier) != "vpn-1" || trace.Rule != "" || trace.Revision != 7 {
		t.Errorf("trace %+v, %v", trace, err)
	}
	b.wantLog(0, "rule=")
	b.wantVerdict(pap(5, "alice", "x").state(two), otp.Excluded) // which is over: a login like any other
}

// TestTheFirstStationWaits: wrong PINs of a dialog count against the station of
// its first packet.
func TestTheFirstStationWaits(t *testing.T) {
	b := newTalkingBench(t, nil)
	for i := range uint64(4) {
		state := b.challenged(pap(2*i, "alice", passcodeAt(20+5*i)))
		b.wantVerdict(pap(2*i+1, "alice", fmt.Sprintf("999%d000000", i)).station("").state(state), otp.WrongPIN)
	}
	b.wantVerdict(pap(50, "alice", passcodeAt(0)), otp.Throttled)
	b.wantVerdict(pap(51, "alice", passcodeAt(0)).station(""), otp.Accepted) // another source
}

func TestStatesOfOthers(t *testing.T) {
	other := testNAS(func(c *NASConfig) {
		c.Name, c.Prefixes, c.Challenge, c.MessageAuthenticator = "other", prefixes("198.51.100.1/32"), true, RequireNever
	})
	b := newTalkingBench(t, nil)
	nases := func(change func(*NASConfig)) {
		b.server.SetNASes(table(t, nil, other, testNAS(func(c *NASConfig) {
			c.Challenge, c.MessageAuthenticator = true, RequireNever
			if change != nil {
				change(c)
			}
		})))
	}
	nases(nil)
	state := b.challenged(pap(1, "alice", passcodeAt(50)))
	for i, o := range []order{
		pap(10, "Alice", "x").station("").state(state),
		pap(11, "bob", "x").station("").state(state),
		pap(12, "alice", "x").station("").state(state[1:]),
		pap(13, "alice", "x").station("").state(state + "\x00"),
		pap(14, "alice", "x").station("").state(""),
	} {
		b.wantVerdict(o, otp.WrongPIN)
		b.wantLog(i+1, `station=""`)
	}
	o := pap(15, "alice", "x").station("").state(state)
	b.wantCode(b.verified(o, b.hand(b.auth, "198.51.100.1:1", b.build(o))), reject)
	b.wantLog(1, `nas=other station=""`)

	nases(func(c *NASConfig) { c.Challenge = false }) // not any more
	b.wantVerdict(pap(16, "alice", "x").station("").state(state), otp.WrongPIN)
	nases(nil)
	b.wantLog(1, "station=198.51.100.7")
	b.wantVerdict(pap(17, "alice", "y").station("").state(state), otp.WrongPIN) // it was still open
	b.wantLog(2, "station=198.51.100.7")
	b.wantVerdict(pap(18, "alice", "z").station("").state(state), otp.WrongPIN) // and is not any more
	b.wantLog(2, "station=198.51.100.7")
}

func TestDialogsEnd(t *testing.T) {
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.Dialogs = 2 })
	state := b.challenged(pap(1, "alice", passcodeAt(50)))
	b.wait(2*time.Minute - 1)
	b.wantMetric(1, "dialogs")
	b.wait(1)
	b.wantMetric(0, "dialogs")
	b.wantVerdict(pap(2, "alice", "x").station("").state(state), otp.WrongPIN)
	b.wantLog(1, `station=""`)

	// There is room for two: the oldest goes.
	oldest := b.challenged(pap(3, "alice", passcodeAt(50)))
	b.challenged(pap(4, "bob", passcodeAt(50)))
	b.challenged(pap(5, "carol", passcodeAt(50)))
	b.wantMetric(2, "dialogs")
	b.wantVerdict(pap(6, "alice", "y").station("").state(oldest), otp.WrongPIN)
	b.wantLog(2, `station=""`)
}

// TestAnUnansweredFollowUp comes again, and still continues its dialog. One that
// is in flight cannot be overtaken by another.
func TestAnUnansweredFollowUp(t *testing.T) {
	b := newTalkingBench(t, nil)
	state := b.challenged(pap(1, "alice", passcodeAt(50)))
	followUp := pap(2, "alice", passcodeAt(51)).station("").state(state)
	b.store.busy = true
	b.wantSilence(followUp, "store_busy")
	b.store.busy, b.store.fail = false, errDisk
	b.wantSilence(followUp, "undecided")
	b.store.fail, b.store.hold = nil, true
	b.want(followUp, silence)
	b.want(pap(3, "alice", "x").station("").state(state), silence)
	b.store.release()
	if n := len(b.collect()); n != 2 {
		t.Fatalf("%d replies", n)
	}
	b.wantLog(1, "verdict=accepted nas=gateway station=198.51.100.7")
	b.wantLog(1, `verdict=wrong_pin nas=gateway station=""`)
	b.wantMetric(0, "dialogs")
}

// TestADialogOfADirectoryUser: the user is looked up for each packet.
func TestADialogOfADirectoryUser(t *testing.T) {
	people := newDirectory(person("alice", "staff"))
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) {
		o.Users, o.Rules = people, new(Rules).replying(t, staff)
	})
	state := b.challenged(pap(1, "ALICE", passcodeAt(50)))
	people.source = exclusions.Unavailable
	b.wantSilence(pap(2, "ALICE", passcodeAt(51)).state(state), "directory_unavailable")
	people.source = exclusions.Fresh
	reply := b.wantVerdict(pap(2, "ALICE", passcodeAt(51)).state(state), otp.Accepted)
	if got := valuesOf(reply, packet.Class); !slices.Equal(got, []string{"staff"}) {
		t.Errorf("Class is %q", got)
	}
}

// TestADialogKeepsNothingThatWasTyped, nor memory of the request.
func TestADialogKeepsNothingThatWasTyped(t *testing.T) {
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, staff) })
	b.store.hold = true
	b.want(pap(1, "alice", passcodeAt(50)).adding(packet.NASIdentifier, "vpn-1"), silence)
	r := b.store.held[0].Waiter.(*request)
	b.store.release()
	b.collect()
	clear(r.datagram) // as the next request does
	for _, d := range b.server.dialogs.byState {
		if string(d.facts.NASIdentifier) != "vpn-1" || string(d.station) != "198.51.100.7" || d.facts.User != nil {
			t.Errorf("%+v", d)
		}
		if text := fmt.Appendf(nil, "%+v", d); bytes.Contains(text, []byte(codeAt(50))) || bytes.Contains(text, []byte(testPIN)) {
			t.Errorf("a dialog keeps a passcode: %s", text)
		}
	}
}
