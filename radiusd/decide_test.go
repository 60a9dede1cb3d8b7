package radiusd

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

func TestARuleThatAccepts(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, office) })
	b.wantVerdict(pap(1, "alice", "directory password"), otp.Excluded)
	b.wantVerdict(pap(2, "alice", ""), otp.Excluded)
	b.wantVerdict(chap(3, "alice", "directory password"), otp.Excluded)
	if keys := microsoft(b.wantVerdict(mschap1(4, "alice"), otp.Excluded), 12); keys != "" {
		t.Errorf("session keys of an unknown password: %x", keys)
	}
	b.wantVerdict(mschap2(5, "alice", "directory password"), otp.NeedsPAP)
	b.wantVerdict(bare(6, "alice"), otp.Excluded)
	b.wantVerdict(pap(7, "nobody", "x"), otp.Excluded) // the gateway knows them
	b.wantVerdict(pap(8, " alice", "x"), otp.BadUserName)
	b.wantVerdict(pap(9, "alice", "p\xe4ssword"), otp.Excluded) // in another charset: nobody looks at it
	b.wantVerdict(pap(20, "alice", "p\xe4ssword").station("203.0.113.1"), otp.Unreadable)
	eap := order{code: packet.AccessRequest, identifier: 10, serial: 10, placement: packet.First}.
		adding(packet.UserName, "alice").adding(packet.CallingStationID, "198.51.100.7").adding(packet.EAPMessage, "\x02")
	b.wantVerdict(eap, otp.NoCredentials)
	b.store.accounts["alice"].Disabled = true
	b.wantVerdict(pap(11, "alice", "x"), otp.UserDisabled)
	b.wantLog(9, "rule=office") // also those that were refused

	elsewhere := func(serial uint64, passcode string) order {
		return pap(serial, "bob", passcode).station("203.0.113.1")
	}
	b.wantVerdict(elsewhere(12, "directory password"), otp.WrongPIN)
	b.wantVerdict(elsewhere(13, passcodeAt(0)), otp.Accepted)
	b.wantVerdict(order{code: packet.AccessRequest, identifier: 14, serial: 14, placement: packet.First}.
		adding(packet.UserName, "bob"), otp.NoCredentials)
}

func TestARuleOfANASThatSaysNothing(t *testing.T) {
	for name, pass := range map[string]exclusions.Pass{
		"unsaid": exclusions.NoPass, "a password that nobody can verify": exclusions.PassDirectoryPassword,
	} {
		b := newRuledBench(t, pass, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, office) })
		b.wantVerdict(pap(1, "alice", "directory password"), otp.WrongPIN)
		b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Accepted)
		b.wantLog(0, "rule="+name)
	}
}

func TestTheUserOfAName(t *testing.T) {
	for _, warm := range []bool{false, true} {
		people := newDirectory(person("alice", "staff"))
		people.people[`corp\asmith`] = people.people["alice"]
		people.warm = warm
		b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) {
			o.Users, o.Rules = people, rulesOf(t, rule("other", criterion(exclusions.ClientIPs, "10.0.0.0/8")))
		})
		b.wantVerdict(pap(1, `CORP\ASmith`, passcodeAt(0)), otp.Accepted)
		b.wantLog(1, "user=alice")
		if b.store.accounts["alice"] == nil || len(b.store.accounts) != 1 {
			t.Errorf("accounts asked for: %v", b.store.accounts)
		}
		b.wantVerdict(mschap2(2, `CORP\ASmith`, passcodeAt(1)), otp.Accepted) // proved with the name as typed
		b.wantVerdict(pap(3, "stranger", passcodeAt(0)), otp.Accepted)        // in no directory, but here
		people.people["alice"].Disabled = true
		b.wantVerdict(pap(4, "alice", passcodeAt(2)), otp.DirectoryDisabled)
		b.wantVerdict(pap(5, "eve", "\x01"), otp.Unreadable)
		b.wantVerdict(pap(6, " alice", "x"), otp.BadUserName)
		b.wantVerdict(bare(7, "eve"), otp.NoCredentials)
		if want := 6; !warm && people.finds != want || warm && people.finds != 0 {
			t.Errorf("warm %t: %d names found", warm, people.finds)
		}
		b.wantBinds(people, 0)
	}
}

func TestADirectoryThatIsAway(t *testing.T) {
	people := newDirectory(person("alice", "staff"))
	people.source = exclusions.Unavailable
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) { o.Users = people })
	b.wantVerdict(pap(20, "nobody", "\x01"), otp.Unreadable) // whoever that is
	b.wantSilence(pap(1, "alice", testPIN+"000000"), "directory_unavailable")
	if n := b.store.accounts["alice"].Tokens[0].State.Failures; n != 1 {
		t.Errorf("%d wrong codes counted, want 1", n)
	}
	b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Accepted)
	b.wantSilence(pap(3, "alice", passcodeAt(0)), "directory_unavailable") // used
	b.wantLog(1, "directory=unavailable")
	b.wantLog(1, "reason=directory_unavailable")

	people.source = exclusions.Stale
	b.wantVerdict(pap(4, "alice", passcodeAt(0)), otp.Replayed)
	b.wantLog(1, "directory=stale")
}

// TestDoubt: the user may be in the group that needs no code.
func TestDoubt(t *testing.T) {
	for _, warm := range []bool{false, true} {
		testDoubt(t, warm)
	}
}

func testDoubt(t *testing.T, warm bool) {
	people := newDirectory(person("alice", "staff"))
	people.warm = warm
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) {
		o.Users, o.Rules = people, rulesOf(t, staff, office)
	})
	b.wantVerdict(pap(1, "alice", "directory password"), otp.Excluded)
	b.wantLog(1, "rule=staff")
	people.source = exclusions.Unavailable
	away := func(o order) order { return o.station("203.0.113.1") }
	b.wantSilence(away(pap(2, "alice", "directory password")), "directory_unavailable")
	b.wantVerdict(away(pap(3, "alice", passcodeAt(0))), otp.Accepted)
	b.wantSilence(order{code: packet.AccessRequest, identifier: 4, serial: 4}.adding(packet.UserName, "alice"), "directory_unavailable")
	b.wantVerdict(pap(5, "alice", "directory password"), otp.Excluded) // by the other rule, which has no doubt
	b.wantLog(1, "rule=office")
}

func TestReplyAttributes(t *testing.T) {
	people := newDirectory(person("alice", "staff", "vpn"), person("bob"))
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) {
		o.Users = people
		o.Rules = rulesOf(t, office).replying(t, rule("vpn", criterion(exclusions.Groups, "vpn")), staff, rule("everybody", criterion(exclusions.NASes, "gateway")))
	})
	classes := func(reply *packet.Request, want ...string) {
		t.Helper()
		if got := valuesOf(reply, packet.Class); !slices.Equal(got, want) {
			t.Errorf("Class is %q, want %q", got, want)
		}
	}
	reply := b.wantVerdict(pap(1, "alice", passcodeAt(0)).station("203.0.113.1"), otp.Accepted)
	classes(reply, "vpn", "staff", "everybody")
	if all := attributesOf(reply); all[0].kind != packet.MessageAuthenticator {
		t.Errorf("attributes %v, want the Message-Authenticator first", all)
	}
	classes(b.wantVerdict(pap(2, "bob", "x"), otp.Excluded), "everybody")
	classes(b.wantVerdict(pap(3, "bob", "x").station("203.0.113.1"), otp.WrongPIN))
	classes(b.wantVerdict(mschap2(4, "alice", "secret of alice"), otp.NeedsPAP))

	// Without the groups an Access-Accept could lack what restricts it.
	people.source = exclusions.Unavailable
	decided := b.store.decided
	b.wantSilence(pap(5, "alice", passcodeAt(2)).station("203.0.113.1"), "directory_unavailable")
	b.wantSilence(pap(6, "alice", "x"), "directory_unavailable") // excluded, too
	if b.store.decided != decided {
		t.Error("a code was burned for an answer that could not be given")
	}
	people.source = exclusions.Fresh
	classes(b.wantVerdict(pap(7, "alice", passcodeAt(2)).station("203.0.113.1"), otp.Accepted), "vpn", "staff", "everybody")
}

func TestTokenHolders(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, func(_ *Options, c *NASConfig) { c.Mode = exclusions.TokenHolders })
	b.without("eve")
	b.wantVerdict(pap(1, "eve", "directory password"), otp.Excluded)
	b.wantVerdict(pap(2, "nobody", "directory password"), otp.Excluded)
	b.wantVerdict(chap(3, "eve", "directory password"), otp.Excluded)
	b.wantVerdict(mschap2(4, "eve", "directory password"), otp.NeedsPAP)
	b.wantVerdict(bare(5, "eve"), otp.NoCredentials)
	b.wantVerdict(pap(6, "alice", "directory password"), otp.WrongPIN)
	b.wantVerdict(pap(7, "alice", passcodeAt(0)), otp.Accepted)
	b.store.accounts["alice"].Tokens[0].Disabled = true
	b.wantVerdict(pap(8, "alice", passcodeAt(1)), otp.NoToken)
	b.store.accounts["eve"].Disabled = true
	b.wantVerdict(pap(9, "eve", "directory password"), otp.UserDisabled)
	b.wantLog(9, "mode=token-holders")

	b = newRuledBench(t, exclusions.NoPass, func(_ *Options, c *NASConfig) { c.Mode = exclusions.TokenHolders })
	b.without("eve")
	b.wantVerdict(pap(1, "eve", "directory password"), otp.NoToken)

	// Who cannot be found may hold a token under another name.
	people := newDirectory()
	people.source = exclusions.Unavailable
	b = newRuledBench(t, exclusions.PassAccept, func(o *Options, c *NASConfig) { c.Mode, o.Users = exclusions.TokenHolders, people })
	b.without("eve")
	b.wantSilence(pap(1, "eve", "directory password"), "directory_unavailable")
}

func TestNoTokenMessage(t *testing.T) {
	message := func(r *packet.Request) string { return valuesOf(r, packet.ReplyMessage)[0] }
	for _, want := range []string{"Ask the help desk for a token.", rejection} {
		b := newBench(t, func(o *Options) {
			if want != rejection {
				o.NoTokenMessage = want
			}
		})
		b.without("eve")
		unknown, none := b.wantVerdict(pap(1, "nobody", "x"), otp.UnknownUser), b.wantVerdict(pap(2, "eve", "x"), otp.NoToken)
		if message(unknown) != want || message(none) != want || !slices.Equal(visible(unknown), visible(none)) {
			t.Errorf("%q to who is unknown, %q to who holds no token, want %q", message(unknown), message(none), want)
		}
		if got := message(b.wantVerdict(pap(3, "alice", "x"), otp.WrongPIN)); got != rejection {
			t.Errorf("%q to who holds a token", got)
		}
	}
}

func TestSetRules(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, nil)
	b.wantVerdict(pap(1, "alice", "x"), otp.WrongPIN)
	b.server.SetRules(rulesOf(t, office).replying(t, office))
	b.wantVerdict(pap(2, "alice", "x"), otp.Excluded)

	// What is in flight keeps its rules.
	b.store.hold = true
	o := pap(3, "alice", "x")
	b.want(o, silence)
	b.server.SetRules(nil)
	b.store.release()
	reply := b.verified(o, b.collect())
	b.wantCode(reply, accept)
	if got := valuesOf(reply, packet.Class); !slices.Equal(got, []string{"office"}) {
		t.Errorf("Class is %q", got)
	}
	b.wantVerdict(pap(4, "alice", "y"), otp.WrongPIN)
}

func TestTheTraceOfALogin(t *testing.T) {
	people := newDirectory(person("alice", "staff", "vpn", "wiki"))
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, c *NASConfig) {
		o.Users, c.TrustNASIPAddress = people, true
		o.Rules = rulesOf(t, office, staff).replying(t, rule("vpn", criterion(exclusions.Groups, "vpn", "staff")))
	})
	last := func() exclusions.Trace {
		t.Helper()
		trace, err := exclusions.ParseTrace(b.store.traces[len(b.store.traces)-1])
		if err != nil {
			t.Fatal(err)
		}
		return trace
	}
	b.wantVerdict(pap(1, "Alice", "x").adding(packet.NASIdentifier, "vpn-1").adding(packet.NASIPAddress, "\x0a\x00\x00\x01"), otp.Excluded)
	want := exclusions.Trace{
		Login: exclusions.Login{
			User: []byte("alice"), Realm: "corp", Groups: []string{"staff", "vpn"}, NASAddress: netip.MustParseAddr("192.0.2.10"),
			NASIPAddress: netip.MustParseAddr("10.0.0.1"), NASIdentifier: []byte("vpn-1"), ClientIP: netip.MustParseAddr("198.51.100.7"),
		},
		Typed: []byte("Alice"), Directory: "corp", Source: exclusions.Fresh, ClientIPFrom: exclusions.CallingStationID,
		Pass: exclusions.PassAccept, Revision: 7, Rule: "office",
	}
	if got := fmt.Sprint(last()); got != fmt.Sprint(want) {
		t.Errorf("trace %s\nwant  %v", got, want)
	}

	// Of who is refused at once as well.
	b.wantVerdict(pap(2, " alice", "x"), otp.BadUserName)
	if got := last(); string(got.Typed) != " alice" || got.Rule != "" || got.ClientIPFrom != exclusions.CallingStationID || got.Source != exclusions.NotAsked {
		t.Errorf("trace of a bad user name: %v", got)
	}
	people.source = exclusions.Unavailable
	b.wantSilence(pap(3, "bob", "x").station(""), "directory_unavailable")

	// Where nothing but the code counts there is nothing to tell.
	b = newBench(t, nil)
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	if len(b.store.traces[0]) > 0 {
		t.Error("a trace of nothing")
	}
	// But of several servers which it was, without an allocation more.
	b = newBench(t, func(o *Options) { o.Node = "a" })
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	if got := last(); got.Node != "a" || got.Late || got.Mode != exclusions.Mandatory {
		t.Errorf("trace of a server among several: %+v", got)
	}
}

func TestTimeWindowsGoByTheServersClock(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) {
		window := rule("night", criterion(exclusions.Times, "daily 22:00-06:00 UTC"))
		window.Expires = epoch.Add(24 * time.Hour)
		o.Rules = rulesOf(t, window)
	})
	b.wantVerdict(pap(1, "alice", "x"), otp.Excluded) // at 22:13:20
	b.wait(8 * time.Hour)
	b.wantVerdict(pap(2, "alice", "x"), otp.WrongPIN)
	b.wait(16 * time.Hour) // at night again, when it has expired
	b.wantVerdict(pap(3, "alice", "y"), otp.WrongPIN)
}

// TestStrangersNeedTheCode: another way to write a name makes nobody a user who
// holds no token, nor one who is not excepted.
func TestStrangersNeedTheCode(t *testing.T) {
	visitors := rule("visitors", criterion(exclusions.ClientIPs, "198.51.100.0/24"), exclusions.Criterion{Kind: exclusions.Users, Not: true, Values: []string{"alice"}})
	for name, c := range map[string]struct {
		people  *directory
		refused []string
		passes  []string
	}{
		"with a directory":    {newDirectory(person("alice"), person("eve")), []string{"nobody@other", `.\nobody`, "nobody"}, []string{"eve"}},
		"without a directory": {nil, []string{"nobody@other", `corp\nobody`}, []string{"nobody", "eve"}},
	} {
		t.Run(name, func(t *testing.T) {
			for _, rules := range []*Rules{nil, rulesOf(t, visitors)} {
				b := newRuledBench(t, exclusions.PassAccept, func(o *Options, n *NASConfig) {
					if o.Rules = rules; rules == nil {
						n.Mode = exclusions.TokenHolders
					}
					if c.people != nil {
						o.Users = c.people
					}
				})
				b.without("eve")
				serial := uint64(0)
				for _, user := range c.refused {
					serial++
					b.wantVerdict(pap(serial, user, "x"), otp.UnknownUser)
				}
				for _, user := range c.passes {
					serial++
					b.wantVerdict(pap(serial, user, "x"), otp.Excluded)
				}
			}
		})
	}
}

// Attributes that do not fit cost no code.
func TestTooManyReplyAttributes(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) {
		o.Rules = rulesOf(t, office).replying(t, rule("everybody", criterion(exclusions.NASes, "gateway")))
		o.Rules.Attributes[0] = bytes.Repeat(o.Rules.Attributes[0], maxReplyAttributes/len(o.Rules.Attributes[0])+1)
	})
	b.wantSilence(pap(1, "alice", passcodeAt(0)).station("203.0.113.1"), "reply_too_long")
	b.server.SetRules(nil)
	b.wantVerdict(pap(1, "alice", passcodeAt(0)).station("203.0.113.1"), otp.Accepted)
}

// TestNothingIsLostSilently of what a record is made of.
func TestNothingIsLostSilently(t *testing.T) {
	long := strings.Repeat("n", packet.MaxValue)
	var groups []string
	for i := range 300 {
		groups = append(groups, "group "+string(rune('a'+i/26%26))+string(rune('a'+i%26))+string(rune('a'+i/676)))
	}
	b := newRuledBench(t, exclusions.PassAccept, func(o *Options, _ *NASConfig) {
		o.Users, o.Rules = newDirectory(person(long, slices.Sorted(slices.Values(groups))...)), new(Rules).replying(t, rule("many", criterion(exclusions.Groups, groups...)))
	})
	b.want(pap(1, long, passcodeAt(0)).station(strings.Repeat("s", packet.MaxValue)).adding(packet.NASIdentifier, long), accept)
	trace := b.lastTrace()
	if len(trace.Groups) != maxTraceGroups || trace.GroupsLeft != 300-maxTraceGroups {
		t.Errorf("%d groups, and %d left", len(trace.Groups), trace.GroupsLeft)
	}
	if string(trace.User) != long || string(trace.NASIdentifier) != long {
		t.Errorf("trace %+v", trace)
	}
	b.wantLog(1, "station="+strings.Repeat("s", packet.MaxValue)+" ")

	// What is no text has no other place, and so it has one where nothing else is told.
	b = newBench(t, nil)
	odd := strings.Repeat("\xff\x00", 126)
	b.wantVerdict(pap(2, odd, passcodeAt(0)), otp.BadUserName)
	if trace := b.lastTrace(); string(trace.Typed) != odd || len(trace.User) != 0 {
		t.Errorf("trace %+v", trace)
	}
	b.wantVerdict(pap(3, "", passcodeAt(0)), otp.BadUserName)
	if trace := b.store.traces[1]; len(trace) != 0 {
		t.Errorf("a login without User-Name has the trace %x", trace)
	}
}

// TestMACsThatAreTooMany are counted, in a dialog too.
func TestMACsThatAreTooMany(t *testing.T) {
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, staff) })
	o := pap(1, "alice", passcodeAt(50))
	for i := range 11 {
		pair := cisco("mdm-tlv=device-mac=00-10-a4-23-19-0" + string(rune('0'+i%10)))
		o = o.adding(pair.kind, pair.value)
	}
	state := b.challenged(o)
	for range 2 {
		if trace := b.lastTrace(); len(trace.ClientMACs) != maxMACs || trace.MACsLeft != 2 {
			t.Errorf("%d MACs, and %d left", len(trace.ClientMACs), trace.MACsLeft)
		}
		b.want(pap(2, "alice", passcodeAt(51)).state(state), accept)
	}
}
