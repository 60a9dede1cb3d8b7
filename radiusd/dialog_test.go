package radiusd

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/seal"
	"countersign/radiusd/packet"
)

const challenge = packet.AccessChallenge

// prompt is the Reply-Message of challenges.
const prompt = "Enter your PIN and the next code."

// box makes a Sealer; all of one root open what the others have sealed.
func box(tb testing.TB, rand io.Reader) Sealer {
	tb.Helper()
	b, err := seal.NewBox(make([]byte, seal.BoxKeySize), "State", rand)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// newTalkingBench makes a server whose NAS takes challenges.
func newTalkingBench(t *testing.T, change func(*Options, *NASConfig)) *bench {
	return newRuledBench(t, exclusions.PassAccept, func(o *Options, c *NASConfig) {
		c.Challenge, o.ChallengeMessage, o.States = true, prompt, box(t, rand.Reader)
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
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{80,100}$`).MatchString(state) {
		t.Errorf("State %q", state)
	}
	if got := valuesOf(reply, packet.ReplyMessage)[0]; got != prompt {
		t.Errorf("Reply-Message %q", got)
	}
	b.wantMetric(1, "logins_total", "next_code")
	b.wantMetric(1, "replies_total", "Access-Challenge")

	again := b.want(first, challenge) // a retransmission: from the cache
	if !slices.Equal(attributesOf(again), attributesOf(reply)) {
		t.Errorf("%v, then %v", attributesOf(reply), attributesOf(again))
	}

	b.wantVerdict(pap(2, "alice", passcodeAt(51)).state(state), otp.Accepted)
}

func TestWhereNoChallengeIs(t *testing.T) {
	b := newTalkingBench(t, func(_ *Options, c *NASConfig) { c.Challenge = false })
	b.wantVerdict(pap(1, "alice", passcodeAt(50)), otp.NextCode)

	b = newTalkingBench(t, nil)
	b.challenged(pap(1, "alice", passcodeAt(50)))
	b.store.accounts["alice"].Tokens[0].State.MustResync = true
	b.wantVerdict(chap(2, "alice", passcodeAt(0)), otp.NextCode)
	b.wantVerdict(mschap2(3, "alice", passcodeAt(1)), otp.Accepted) // the second of two

	for name, states := range map[string]Sealer{
		"none": nil, "one without entropy": box(t, silent{}), "one that makes too much of it": bloated{box(t, rand.Reader)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.States = states })
			b.wantVerdict(pap(1, "alice", passcodeAt(50)), otp.NextCode)
			b.wantVerdict(pap(2, "alice", passcodeAt(51)).state("anything"), otp.Accepted)
		})
	}
}

// bloated is a Sealer whose values no State can hold.
type bloated struct{ Sealer }

func (b bloated) Seal(dst, value, context []byte) ([]byte, error) {
	return b.Sealer.Seal(dst, append(bytes.Clone(value), make([]byte, packet.MaxValue)...), context)
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
	b.wantVerdict(pap(3, "alice", passcodeAt(71)).state(two), otp.Accepted)
	b.wantLog(3, "station=198.51.100.7")
}

// TestTheFirstPacketDecides: of a NAS that leaves the station out of the second,
// or says another, while time goes on. The rules are the present ones.
func TestTheFirstPacketDecides(t *testing.T) {
	far, soon := rule("far", criterion(exclusions.ClientIPs, "203.0.113.0/24")), rule("soon", criterion(exclusions.Times, "daily 22:14-23:00 UTC"))
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, far, soon) })
	one := b.challenged(pap(1, "alice", passcodeAt(50)))
	two := b.challenged(pap(2, "alice", passcodeAt(60)).adding(packet.NASIdentifier, "vpn-1"))
	b.wait(time.Minute) // to when nobody needs a code
	rules := rulesOf(t, far, soon).replying(t, office)
	rules.Revision = 8
	b.server.SetRules(rules)
	b.wantVerdict(pap(3, "alice", "wrong").station("").state(one), otp.WrongPIN)
	reply := b.wantVerdict(pap(4, "alice", passcodeAt(61)).station("203.0.113.9").state(two), otp.Accepted)
	if got := valuesOf(reply, packet.Class); !slices.Equal(got, []string{"office"}) {
		t.Errorf("Class is %q", got)
	}
	trace, err := exclusions.ParseTrace(b.store.traces[len(b.store.traces)-1])
	if err != nil || trace.ClientIP.String() != "198.51.100.7" || string(trace.NASIdentifier) != "vpn-1" || trace.Rule != "" || trace.Revision != 8 {
		t.Errorf("trace %+v, %v", trace, err)
	}
	b.wantLog(0, "rule=")
	b.server.SetRules(rulesOf(t, office)) // by which nobody there needs a code
	b.wantVerdict(pap(5, "alice", "x").station("").state(two), otp.Excluded)
	b.server.SetRules(rulesOf(t, soon))
	b.wantVerdict(pap(6, "alice", "y").state(two), otp.WrongPIN)
	b.wait(2 * time.Minute)
	b.wantVerdict(pap(7, "alice", "z").state(two), otp.Excluded) // which is over: a login like any other
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
	b.wantVerdict(pap(17, "alice", "y").station("").state(state), otp.WrongPIN) // it is still open
	b.wantLog(2, "station=198.51.100.7")

	// Of a server with another key.
	root := bytes.Repeat([]byte{1}, seal.BoxKeySize)
	alien, err := seal.NewBox(root, "State", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b = newTalkingBench(t, func(o *Options, _ *NASConfig) { o.States = alien })
	b.wantVerdict(pap(18, "alice", "z").station("").state(state), otp.WrongPIN)
	b.wantLog(1, `station=""`)
}

func TestDialogsEnd(t *testing.T) {
	b := newTalkingBench(t, nil)
	state := b.challenged(pap(1, "alice", passcodeAt(50)))
	b.wait(2*time.Minute - 1)
	b.wantVerdict(pap(2, "alice", "x").station("").state(state), otp.WrongPIN)
	b.wantLog(2, "station=198.51.100.7")
	b.wait(1)
	b.wantVerdict(pap(3, "alice", "y").station("").state(state), otp.WrongPIN)
	b.wantLog(1, `station=""`)
}

// TestADialogIsAnsweredAgain: a State is no proof of anything, so a second answer
// to it is a login with the facts of the first packet, and no more.
func TestADialogIsAnsweredAgain(t *testing.T) {
	b := newTalkingBench(t, nil)
	state := b.challenged(pap(1, "alice", passcodeAt(50)))
	b.wantVerdict(pap(2, "alice", passcodeAt(51)).state(state), otp.Accepted)
	b.wantVerdict(pap(3, "alice", passcodeAt(51)).state(state), otp.Replayed)
	for i := range uint64(10) {
		b.wantVerdict(pap(5+i, "alice", fmt.Sprintf("%s00000%d", testPIN, i)).state(state), otp.WrongCode)
	}
	b.wantVerdict(pap(20, "alice", passcodeAt(52)).state(state), otp.Locked)
}

// TestADialogHasAnEnd: however many challenges are answered wrong.
func TestADialogHasAnEnd(t *testing.T) {
	b := newTalkingBench(t, nil)
	state := b.challenged(pap(1, "alice", passcodeAt(20)))
	for i := range uint64(maxDepth[nextCodeDialog]) {
		state = b.challenged(pap(2+i, "alice", passcodeAt(30+10*i)).state(state))
	}
	b.wantVerdict(pap(10, "alice", passcodeAt(70)).state(state), otp.NextCode)
}

// TestAnotherServerGoesOn with a dialog, as does the same one after a restart.
func TestAnotherServerGoesOn(t *testing.T) {
	one := newTalkingBench(t, nil)
	two := newTalkingBench(t, func(o *Options, _ *NASConfig) {
		o.Verifier = otp.NewVerifier(one.store, otp.DefaultPolicy())
	})
	state := one.challenged(pap(1, "alice", passcodeAt(50)))
	state = two.challenged(pap(2, "alice", passcodeAt(70)).station("").state(state))
	reply := one.wantVerdict(pap(3, "alice", passcodeAt(71)).station("").state(state), otp.Accepted)
	one.wantLog(2, "station=198.51.100.7")
	two.wantLog(1, "station=198.51.100.7")
	if reply == nil {
		t.Error("no reply")
	}
}

// TestAnUnansweredFollowUp comes again, and still continues its dialog.
func TestAnUnansweredFollowUp(t *testing.T) {
	b := newTalkingBench(t, nil)
	state := b.challenged(pap(1, "alice", passcodeAt(50)))
	followUp := pap(2, "alice", passcodeAt(51)).station("").state(state)
	b.store.busy = true
	b.wantSilence(followUp, "store_busy")
	b.store.busy, b.store.fail = false, errDisk
	b.wantSilence(followUp, "undecided")
	b.store.fail = nil
	b.wantVerdict(followUp, otp.Accepted)
	b.wantLog(1, "verdict=accepted nas=gateway station=198.51.100.7")
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

// TestADialogKeepsNothingThatWasTyped, and what it keeps cannot be read.
func TestADialogKeepsNothingThatWasTyped(t *testing.T) {
	sealed := &notary{Sealer: box(t, rand.Reader)}
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.Rules, o.States = rulesOf(t, staff), sealed })
	state := b.challenged(pap(1, "alice", passcodeAt(50)).adding(packet.NASIdentifier, "vpn-1"))
	text, err := base64.RawURLEncoding.DecodeString(state)
	if err != nil {
		t.Fatal(err)
	}
	for _, told := range []string{"vpn-1", "198.51.100.7"} {
		if !bytes.Contains(sealed.values[0], []byte(told)) || bytes.Contains(text, []byte(told)) {
			t.Errorf("%q in a State, or not in what is sealed", told)
		}
	}
	for _, typed := range []string{codeAt(50), testPIN} {
		if bytes.Contains(sealed.values[0], []byte(typed)) {
			t.Errorf("a dialog keeps %q: %q", typed, sealed.values[0])
		}
	}
}

// notary is a Sealer that keeps copies.
type notary struct {
	Sealer
	values [][]byte
}

func (n *notary) Seal(dst, value, context []byte) ([]byte, error) {
	n.values = append(n.values, bytes.Clone(value))
	return n.Sealer.Seal(dst, value, context)
}
