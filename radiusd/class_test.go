package radiusd

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// stamps are Classes that say what they were told.
type stamps struct{}

func (stamps) Append(dst []byte, batch uint64, index uint32, pool string) []byte {
	return fmt.Appendf(dst, "login %d-%d %s", batch, index, pool)
}

// classed is a server whose NAS gets Classes.
func classed(o *Options, c *NASConfig) { o.Classes, c.Class = stamps{}, true }

func TestAnAcceptNamesItsLogin(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, classed)
	first := pap(1, "alice", passcodeAt(0))
	b.wantClasses(b.wantVerdict(first, otp.Accepted), "login 1-3 ")
	b.wantClasses(b.want(first, accept), "login 1-3 ") // the same, byte for byte
	b.wantClasses(b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Replayed))
	reply := b.wantVerdict(mschap2(3, "alice", passcodeAt(1)), otp.Accepted)
	b.wantClasses(reply, "login 3-3 ")

	b.server.SetRules(rulesOf(t, office).replying(t, office))
	reply = b.wantVerdict(pap(4, "alice", "x").signed().with(proxyStates("p")), otp.Excluded)
	b.wantClasses(reply, "office", "login 4-3 ")
	var kinds []packet.Type
	for _, a := range attributesOf(reply) {
		kinds = append(kinds, a.kind)
	}
	if want := []packet.Type{packet.MessageAuthenticator, packet.Class, packet.Class, packet.ProxyState}; !slices.Equal(kinds, want) {
		t.Errorf("attributes %v, want %v", kinds, want)
	}
}

func TestTheClassOfAChallengedLogin(t *testing.T) {
	b := newTalkingBench(t, classed)
	reply := b.want(pap(1, "alice", passcodeAt(50)), challenge)
	b.wantClasses(reply)
	state := valuesOf(reply, packet.State)[0]
	b.wantClasses(b.wantVerdict(pap(2, "alice", passcodeAt(51)).state(state), otp.Accepted), "login 2-3 ")
}

// TestTheClassBesideThoseOfTheTMS: the NAS sends back all of them.
func TestTheClassBesideThoseOfTheTMS(t *testing.T) {
	b, _ := behind(t, classed)
	b.wantClasses(b.wantVerdict(pap(1, "eve", "right"), otp.AcceptedByTMS), "tms", "login 1-3 ")
	b.wantClasses(b.wantVerdict(pap(2, "eve", "wrong"), otp.RefusedByTMS))
	b.inquired(pap(3, "eve", "ask"))
}

func TestWhereThereIsNoClass(t *testing.T) {
	for name, change := range map[string]func(*Options, *NASConfig){
		"not of this NAS": func(o *Options, _ *NASConfig) { o.Classes = stamps{} },
		"of nobody":       func(_ *Options, c *NASConfig) { c.Class = true },
	} {
		b := newRuledBench(t, exclusions.PassAccept, change)
		reply := b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
		if got := valuesOf(reply, packet.Class); len(got) != 0 {
			t.Errorf("%s: Class %q", name, got)
		}
	}
}

// TestAClassHasRoom, or no code is burned.
func TestAClassHasRoom(t *testing.T) {
	many := func(n int) []string { return slices.Repeat([]string{strings.Repeat("p", packet.MaxValue)}, n) }
	for name, c := range map[string]struct {
		rules         *Rules
		most, tooMuch int // Proxy-States
	}{
		"a plain login":       {nil, 14, 15},
		"one with facts":      {rulesOf(t, office), 14, 15},
		"one with a reply":    {new(Rules).replying(t, rule("all", criterion(exclusions.NASes, "gateway"))), 14, 15},
		"one with a long one": {long(t, maxReplyAttributes-2-maxClass), 0, 1},
	} {
		b := newRuledBench(t, exclusions.PassAccept, func(o *Options, c *NASConfig) { classed(o, c) })
		b.server.SetRules(c.rules)
		b.wantSilence(pap(1, "alice", passcodeAt(0)).station("").with(proxyStates(many(c.tooMuch)...)), "reply_too_long")
		if b.store.decided != 0 {
			t.Errorf("%s: it was decided", name)
		}
		b.wantVerdict(pap(2, "alice", passcodeAt(0)).station("").with(proxyStates(many(c.most)...)), otp.Accepted)
	}
}

// long are rules that give everybody so many octets of attributes.
func long(tb testing.TB, octets int) *Rules {
	r := &Rules{Replies: compile(tb, []exclusions.Rule{rule("all", criterion(exclusions.NASes, "gateway"))})}
	var attributes []byte
	for left := octets; left > 0; left = octets - len(attributes) {
		n := min(left, 2+packet.MaxValue)
		if rest := left - n; rest == 1 { // too short for an attribute
			n--
		}
		attributes = append(attributes, encoded(packet.ReplyMessage, strings.Repeat("m", n-2))...)
	}
	r.Attributes = [][]byte{attributes}
	return r
}
