package radiusd

import (
	"context"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// lenient makes a server that lets in whom a rule excludes, whatever the store does.
func lenient(t *testing.T, change func(*Options, *NASConfig)) *bench {
	return newRuledBench(t, exclusions.PassAccept, func(o *Options, c *NASConfig) {
		o.ExcludedWhenStoreDown, o.Rules, o.Classes, c.Class = true, rulesOf(t, office), badges{}, true
		if change != nil {
			change(o, c)
		}
	})
}

// The ways in which a store is away.
var ways = map[string]func(*ledger){
	"it refuses": func(s *ledger) { s.busy = true },
	"it fails":   func(s *ledger) { s.fail = errDisk },
}

func back(s *ledger) { s.busy, s.fail = false, nil }

func TestWhoIsExcludedWhileTheStoreIsAway(t *testing.T) {
	for name, away := range ways {
		t.Run(name, func(t *testing.T) {
			b := lenient(t, nil)
			b.wantClasses(b.wantVerdict(pap(1, "alice", "x"), otp.Excluded), string(badge))
			b.store.set(away)
			b.wantClasses(b.wantVerdict(pap(2, "Alice", "x"), otp.Excluded)) // there is no record to name
			b.wantLog(1, "event=0-0 took_us=0 unrecorded=true rule=office")
			b.want(pap(2, "Alice", "x"), accept) // a retransmission
			b.want(pap(3, "alice", passcodeAt(0)).station("203.0.113.1"), silence)
			b.wantMetric(1, "let_in_unrecorded_total")
			b.wantMetric(1, "unrecorded_logins")
			b.wantLog(1, "let in without a record")

			b.wait(time.Minute)
			b.server.recordArrears(t.Context())
			b.wantMetric(1, "unrecorded_logins")
			b.store.set(back)
			b.store.accounts["alice"].Disabled = true // which does not undo it
			b.server.recordArrears(t.Context())
			b.wantMetric(0, "unrecorded_logins")
			b.wantLog(1, `logins=1 left=0`)
			if len(b.store.records) != 1 {
				t.Fatalf("%d records", len(b.store.records))
			}
			a := b.store.records[0]
			trace, err := exclusions.ParseTrace(a.Trace)
			if !a.At.Equal(epoch) || string(a.User) != "alice" || a.NAS != "gateway" || string(a.Station) != "198.51.100.7" ||
				a.Method != otp.PAP || a.Rule != 100 || a.Decision.Verdict != otp.Excluded || err != nil || string(trace.Typed) != "Alice" || !trace.Late {
				t.Errorf("recorded %+v with %+v, %v", a.Decision, trace, err)
			}
			b.wantVerdict(pap(4, "alice", "x"), otp.UserDisabled)
		})
	}
}

// TestWhatTheStoreIsNeededFor gets no reply while it is away.
func TestWhatTheStoreIsNeededFor(t *testing.T) {
	people := newDirectory(person("alice"), person("eve"))
	for name, change := range map[string]func(*Options, *NASConfig){
		"switched off":              func(o *Options, _ *NASConfig) { o.ExcludedWhenStoreDown = false },
		"no rule":                   func(o *Options, _ *NASConfig) { o.Rules = nil },
		"the directory is to agree": func(o *Options, c *NASConfig) { o.Users, c.Excluded = people, exclusions.PassDirectoryPassword },
		"who holds no token":        func(o *Options, c *NASConfig) { o.Users, o.Rules, c.Mode = people, nil, exclusions.TokenHolders },
	} {
		for way, away := range ways {
			b := lenient(t, change)
			b.store.set(away)
			b.want(pap(1, "alice", "secret of alice"), silence)
			b.wantMetric(0, "let_in_unrecorded_total")
			if t.Failed() {
				t.Fatal(name, way)
			}
		}
	}
	b := lenient(t, nil)
	b.store.set(func(s *ledger) { s.fail = errDisk })
	b.want(pap(1, "alice", "x").station("203.0.113.1"), silence)
	b.want(bare(2, "").station("203.0.113.1"), silence)
}

// TestWhoIsDisabledIsNotLetIn when the store knew it, and could not record it.
func TestWhoIsDisabledIsNotLetIn(t *testing.T) {
	b := lenient(t, func(o *Options, _ *NASConfig) { o.Verifier = otp.NewVerifier(forgetful{}, otp.DefaultPolicy()) })
	b.want(pap(1, "alice", "x"), silence)
	b.wantMetric(0, "let_in_unrecorded_total")
}

// forgetful is a store that has disabled everybody and records nothing.
type forgetful struct{}

func (forgetful) Submit(a *otp.Attempt) bool {
	a.Decide(&otp.Account{Exists: true, Disabled: true})
	a.Waiter.Decided(a, errDisk)
	return true
}

// TestArrearsAreBounded, and beyond the bound nobody is let in.
func TestArrearsAreBounded(t *testing.T) {
	b := lenient(t, nil)
	if b.server.arrears.limit != 100_000 {
		t.Errorf("limit %d", b.server.arrears.limit)
	}
	b.server.arrears.limit = 600
	b.store.set(func(s *ledger) { s.busy = true })
	for i := range uint64(603) {
		want := accept
		if i >= 600 {
			want = silence
		}
		b.wait(time.Millisecond)
		b.want(pap(i, "alice", "x"), want)
	}
	b.wantMetric(600, "unrecorded_logins")
	b.store.set(back)
	b.server.recordArrears(t.Context())
	b.wantMetric(0, "unrecorded_logins")
	for i := range b.store.records {
		if at := epoch.Add(time.Duration(i+1) * time.Millisecond); !b.store.records[i].At.Equal(at) {
			t.Fatalf("record %d of %v, want %v", i, b.store.records[i].At, at)
		}
	}
	if n := len(b.store.records); n != 600 {
		t.Errorf("%d records", n)
	}
}

// TestArrearsAreKept as long as the store does not record them, and in order.
func TestArrearsAreKept(t *testing.T) {
	b := lenient(t, nil)
	b.store.set(func(s *ledger) { s.busy = true })
	for i := range uint64(3) {
		b.wait(time.Second)
		b.want(pap(i, "alice", "x"), accept)
	}
	b.store.set(func(s *ledger) { s.busy, s.fail = false, errDisk })
	b.server.recordArrears(t.Context())
	b.store.set(func(s *ledger) { s.fail, s.hold = nil, true })
	cut, cancel := context.WithCancel(t.Context())
	cancel()
	b.server.recordArrears(cut) // nobody waits for ever
	b.wantMetric(3, "unrecorded_logins")
	b.store.set(func(s *ledger) { s.hold, s.held = false, nil })
	b.server.recordArrears(t.Context())
	b.wantMetric(0, "unrecorded_logins")
	for i, a := range b.store.records {
		if !a.At.Equal(epoch.Add(time.Duration(i+1) * time.Second)) {
			t.Errorf("record %d of %v", i, a.At)
		}
	}
}

// TestTheEndOfAServerThatOwes: it tries once more, and says what is lost.
func TestTheEndOfAServerThatOwes(t *testing.T) {
	for _, away := range []bool{false, true} {
		l := listen(t, func(o *Options) {
			nas := testNAS(func(c *NASConfig) {
				preset, _ := Preset("")
				c.Prefixes, c.ClientIPFrom, c.Excluded = prefixes("127.0.0.0/8"), preset.ClientIPFrom, exclusions.PassAccept
			})
			o.ExcludedWhenStoreDown, o.Rules, o.NASes = true, rulesOf(t, office), table(t, nil, nas)
		})
		l.store.set(func(s *ledger) { s.busy = true })
		conn := l.dial(l.server.Addrs()[0])
		if _, err := conn.Write(l.build(pap(1, "alice", "x"))); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, packet.MaxLength)
		if n, err := conn.Read(reply); err != nil || packet.Code(reply[0]) != accept {
			t.Fatal(n, err)
		}
		if !away {
			l.store.set(back)
		}
		l.close()
		if lost := l.server.arrears.len(); lost == 0 == away {
			t.Errorf("%d logins owed at the end", lost)
		}
	}
}
