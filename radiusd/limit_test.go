package radiusd

import (
	"sync"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
)

// floor is a Sessions that is told how many there are.
type floor struct {
	mu    sync.Mutex
	users map[string]int
	pools map[string]int
	looks int
}

func (f *floor) OpenOf(user []byte) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	return f.users[string(user)]
}

func (f *floor) OpenIn(pool string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	return f.pools[pool]
}

// crowded is a server on which users may have two sessions, and which gives Classes. Alice
// has two, and eve one.
func crowded(t *testing.T, change func(*Options, *NASConfig)) (*bench, *floor) {
	f := &floor{users: map[string]int{"alice": 2, "eve": 1}, pools: map[string]int{}}
	b := newTalkingBench(t, func(o *Options, c *NASConfig) {
		classed(o, c)
		o.Sessions, o.Rules = f, &Rules{MaxSessions: 2}
		if change != nil {
			change(o, c)
		}
	})
	return b, f
}

// lastTrace is that of the last login that was recorded.
func (b *bench) lastTrace() exclusions.Trace {
	b.Helper()
	trace, err := exclusions.ParseTrace(b.store.traces[len(b.store.traces)-1])
	if err != nil {
		b.Fatal(err)
	}
	return trace
}

func (b *bench) wantSessions(want exclusions.Sessions) {
	b.Helper()
	if got := b.lastTrace().Sessions; got != want {
		b.Errorf("trace has %+v, want %+v", got, want)
	}
}

// TestTooManySessions: the passcode is not looked at, so its code is not burned.
func TestTooManySessions(t *testing.T) {
	b, f := crowded(t, nil)
	reply := b.wantVerdict(pap(1, "Alice", passcodeAt(0)), otp.TooManySessions)
	b.wantMessage(reply, rejection)
	b.wantClasses(reply)
	trace := b.lastTrace()
	if trace.Sessions != (exclusions.Sessions{Open: 2, Most: 2}) || string(trace.Typed) != "Alice" || trace.NASAddress.String() != "192.0.2.10" {
		t.Errorf("trace %+v", trace)
	}
	b.wantLog(1, "verdict=too_many_sessions")
	b.wantLog(1, "sessions=2")
	b.wantMetric(1, "sessions_refused_total", maxSessions)
	for i := range uint64(20) { // nor is a wrong one counted
		b.wantVerdict(pap(2+i, "alice", testPIN+"000000"), otp.TooManySessions)
	}
	b.wantVerdict(mschap2(30, "alice", passcodeAt(0)), otp.TooManySessions)
	b.wantClasses(b.wantVerdict(pap(31, "eve", passcodeAt(0)), otp.Accepted), "login 23-3 ")
	if trace := b.store.traces[len(b.store.traces)-1]; len(trace) != 0 {
		t.Errorf("a login like any other has the trace %x", trace)
	}
	f.users["alice"] = 1
	b.wantVerdict(pap(32, "alice", passcodeAt(0)), otp.Accepted)

	b.server.SetRules(&Rules{MaxSessions: 1})
	b.wantVerdict(pap(33, "alice", passcodeAt(1)), otp.TooManySessions)
	b.wantSessions(exclusions.Sessions{Open: 1, Most: 1})
	b.server.SetRules(nil)
	b.wantVerdict(pap(34, "alice", passcodeAt(1)), otp.Accepted)
}

// TestNobodyCounts who is refused anyway, and where no number is set.
func TestNobodyCounts(t *testing.T) {
	b, f := crowded(t, nil)
	b.wantVerdict(pap(1, " alice", passcodeAt(0)), otp.BadUserName)
	b.wantVerdict(bare(2, "alice"), otp.NoCredentials)
	b.wantVerdict(pap(3, "alice", "\x01"), otp.Unreadable)
	b.server.SetRules(nil)
	b.wantVerdict(pap(4, "alice", passcodeAt(0)), otp.Accepted)
	b.server.SetRules(rulesOf(t, staff))
	b.wantVerdict(pap(5, "alice", passcodeAt(1)), otp.Accepted)
	if f.looks != 0 {
		t.Errorf("%d looks at the sessions", f.looks)
	}
	b, _ = crowded(t, func(o *Options, _ *NASConfig) {
		o.Users = newDirectory(&exclusions.Identity{Name: "alice", Disabled: true})
	})
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.DirectoryDisabled)
	b, _ = crowded(t, func(o *Options, _ *NASConfig) { o.Sessions = nil })
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
}

// TestLimits: the first that a login meets counts, in place of the number for everybody.
func TestLimits(t *testing.T) {
	people := newDirectory(person("alice", "admins"), person("bob", "contractors"), person("carol", "admins", "contractors"), person("eve"))
	b, f := crowded(t, func(o *Options, _ *NASConfig) {
		o.Users = people
		o.Rules.Limits = compile(t, []exclusions.Rule{
			rule("admins", criterion(exclusions.Groups, "admins")),
			rule("contractors", criterion(exclusions.Groups, "contractors")),
			rule("far", criterion(exclusions.ClientIPs, "203.0.113.0/24")),
		})
		o.Rules.Limit = []SessionLimit{{Name: "admins"}, {Name: "contractors", PerUser: 3, Total: 5}, {Name: "far", Total: 1}}
	})
	b.wantClasses(b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted), "login 1-3 admins") // any number
	f.users["bob"], f.users["carol"] = 3, 3
	b.wantVerdict(pap(2, "bob", passcodeAt(0)), otp.TooManySessions)
	b.wantSessions(exclusions.Sessions{Limit: "contractors", Open: 3, Most: 3})
	if trace := b.lastTrace(); len(trace.Groups) != 1 || trace.Groups[0] != "contractors" || string(trace.User) != "bob" {
		t.Errorf("trace %+v", trace)
	}
	b.wantMetric(1, "sessions_refused_total", "contractors")
	b.wantMetric(0, "sessions_refused_total", maxSessions)
	b.wantClasses(b.wantVerdict(pap(3, "carol", passcodeAt(0)), otp.Accepted), "login 3-3 admins")
	f.users["bob"], f.pools["contractors"] = 2, 5
	b.wantVerdict(pap(4, "bob", passcodeAt(0)), otp.TooManySessions)
	b.wantSessions(exclusions.Sessions{Limit: "contractors", Together: true, Open: 5, Most: 5})
	f.pools["contractors"] = 4
	b.wantClasses(b.wantVerdict(pap(5, "bob", passcodeAt(0)), otp.Accepted), "login 5-3 contractors")

	b.wantClasses(b.wantVerdict(pap(6, "eve", passcodeAt(0)), otp.Accepted), "login 6-3 ")
	f.users["eve"] = 7
	b.wantVerdict(pap(7, "eve", passcodeAt(1)), otp.TooManySessions)
	b.wantSessions(exclusions.Sessions{Open: 7, Most: 2})
	b.wantClasses(b.wantVerdict(pap(8, "eve", passcodeAt(1)).station("203.0.113.7"), otp.Accepted), "login 8-3 far")
	f.pools["far"] = 1
	b.wantVerdict(pap(9, "eve", passcodeAt(2)).station("203.0.113.7"), otp.TooManySessions)
}

// TestLimitsBoundWhoNeedsNoCode as well: excluded, by the directory password, or without
// credentials.
func TestLimitsBoundWhoNeedsNoCode(t *testing.T) {
	b, f := crowded(t, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, office); o.Rules.MaxSessions = 2 })
	b.wantVerdict(pap(1, "alice", "x"), otp.TooManySessions)
	b.wantVerdict(bare(2, "alice"), otp.TooManySessions)
	if trace := b.lastTrace(); trace.Rule != "office" {
		t.Errorf("the trace has the rule %q, so nothing tells why no code was needed", trace.Rule)
	}
	f.users["alice"] = 1
	b.wantVerdict(bare(3, "alice"), otp.Excluded)

	people := newDirectory(person("alice"), person("eve"))
	b, _ = crowded(t, func(o *Options, c *NASConfig) {
		o.Users, c.Mode, c.Excluded = people, exclusions.TokenHolders, exclusions.PassDirectoryPassword
	})
	b.without("alice", "eve")
	b.wantVerdict(pap(1, "alice", "secret of alice"), otp.TooManySessions)
	b.wantBinds(people, 0)
	b.wantVerdict(pap(2, "eve", "secret of eve"), otp.Excluded)
}

// TestTooManySessionsForOthers: neither the TMS nor the Enroller sees such a login.
func TestTooManySessionsForOthers(t *testing.T) {
	f := &floor{users: map[string]int{"eve": 2}}
	b, o := behind(t, func(o *Options, _ *NASConfig) { o.Sessions, o.Rules = f, &Rules{MaxSessions: 2} })
	b.wantVerdict(pap(1, "eve", "right"), otp.TooManySessions)
	b.wantAsked(o, 0)
	f.users["eve"] = 1
	b.wantVerdict(pap(2, "eve", "right"), otp.AcceptedByTMS)
	b.wantAsked(o, 1)

	e, people, g := enrolling(t, func(o *Options, _ *NASConfig) { o.Sessions, o.Rules = f, &Rules{MaxSessions: 1} })
	e.wantVerdict(pap(1, "eve", "secret of eve"), otp.TooManySessions)
	e.wantBinds(people, 0)
	g.invited["eve"] = true
	e.wantVerdict(pap(2, "eve", passcodeAt(0)), otp.TooManySessions)
	if len(g.asked) != 0 || g.tries != 0 || !g.invited["eve"] {
		t.Errorf("the Enroller was asked %d times, and tried %d", len(g.asked), g.tries)
	}
}

// TestTooManySessionsInADialog: each packet is judged by how many there are when it comes.
func TestTooManySessionsInADialog(t *testing.T) {
	b, f := crowded(t, nil)
	state := b.challenged(pap(1, "eve", passcodeAt(50)))
	f.users["eve"] = 2
	b.wantVerdict(pap(2, "eve", passcodeAt(51)).state(state), otp.TooManySessions)
	f.users["eve"] = 1
	b.wantVerdict(pap(3, "eve", passcodeAt(51)).state(state), otp.Accepted)

	f = &floor{users: map[string]int{}}
	limit := func(o *Options, _ *NASConfig) { o.Sessions, o.Rules = f, &Rules{MaxSessions: 1} }
	b, o := behind(t, limit)
	state = b.inquired(pap(1, "eve", "ask"))
	f.users["eve"] = 1
	b.wantVerdict(pap(2, "eve", "answer").state(state), otp.TooManySessions)
	b.wantAsked(o, 1)
	f.users["eve"] = 0
	b.wantVerdict(pap(3, "eve", "answer").state(state), otp.AcceptedByTMS)

	b, _, g := enrolling(t, limit)
	state = b.led(pap(1, "eve", "secret of eve"), askPIN)
	f.users["eve"] = 1
	b.wantVerdict(pap(2, "eve", "1234").state(state), otp.TooManySessions)
	if len(g.asked) != 1 {
		t.Errorf("the Enroller was asked %d times", len(g.asked))
	}
	f.users["eve"] = 0
	b.led(pap(3, "eve", "1234").state(state), askAgain)
}

// TestLimitsInDoubt: while the directory is away a login goes on if each limit that could
// be its own allows it.
func TestLimitsInDoubt(t *testing.T) {
	people := newDirectory()
	people.source = exclusions.Unavailable
	b, f := crowded(t, func(o *Options, _ *NASConfig) {
		o.Users = people
		o.Rules.Limits = compile(t, []exclusions.Rule{
			rule("admins", criterion(exclusions.Groups, "admins")),
			rule("near", criterion(exclusions.ClientIPs, "198.51.100.0/24")),
			rule("behind", criterion(exclusions.Groups, "staff")),
		})
		o.Rules.Limit = []SessionLimit{{Name: "admins", Total: 1}, {Name: "near", PerUser: 5}, {Name: "behind", PerUser: 1}}
	})
	f.users["eve"] = 4
	b.wantClasses(b.wantVerdict(pap(1, "eve", passcodeAt(0)), otp.Accepted), "login 1-3 ") // whichever it is
	b.wantSilence(pap(2, "eve", passcodeAt(1)).station("203.0.113.1"), "directory_unavailable")
	f.users["eve"] = 0
	b.wantVerdict(pap(3, "eve", passcodeAt(1)).station("203.0.113.1"), otp.Accepted)
	f.pools["admins"] = 1
	b.wantSilence(pap(4, "eve", passcodeAt(2)), "directory_unavailable")

	b.server.SetRules(&Rules{MaxSessions: 2})
	b.wantVerdict(pap(5, "eve", passcodeAt(2)), otp.Accepted)
	b.wantSilence(pap(6, "alice", passcodeAt(0)), "directory_unavailable") // nobody is refused
	b.server.SetRules(&Rules{
		Limits: compile(t, []exclusions.Rule{rule("near", criterion(exclusions.ClientIPs, "198.51.100.0/24"))}),
		Limit:  []SessionLimit{{Name: "near", PerUser: 5}},
	})
	b.wantClasses(b.wantVerdict(pap(7, "alice", passcodeAt(0)), otp.Accepted), "login 4-3 near") // there is no doubt
}

func TestLimitOf(t *testing.T) {
	var none *Rules
	if limit, doubt := none.LimitOf(&exclusions.Login{}); limit != (SessionLimit{}) || doubt {
		t.Errorf("%+v, %t without rules", limit, doubt)
	}
	rules := &Rules{MaxSessions: 3}
	if limit, doubt := rules.LimitOf(&exclusions.Login{GroupsUnknown: true}); limit != (SessionLimit{PerUser: 3}) || doubt {
		t.Errorf("%+v, %t without limits", limit, doubt)
	}
	rules.Limits, rules.Limit = compile(t, []exclusions.Rule{staff}), []SessionLimit{{Name: "staff", Total: 9}}
	if limit, doubt := rules.LimitOf(&exclusions.Login{Groups: []string{"staff"}}); limit.Total != 9 || doubt {
		t.Errorf("%+v, %t", limit, doubt)
	}
	if _, doubt := rules.LimitOf(&exclusions.Login{GroupsUnknown: true}); !doubt {
		t.Error("no doubt while the groups are unknown")
	}
}
