package radiusd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// agreeing is a store that accepts every passcode at once, so that only the
// server is measured.
type agreeing struct{}

func (agreeing) Submit(a *otp.Attempt) bool {
	a.Decision.Verdict, a.Decision.Serial = otp.Accepted, "ET1"
	a.Event = otp.EventID{Batch: 1 << 40, Index: 77}
	a.Waiter.Decided(a, nil)
	return true
}

// discard is a wire that ends at once.
type discard struct{}

func (discard) send([]outgoing) {}

// newServing is a loop whose replies go nowhere, and logins for it: all
// Identifiers again and again, each time with another Request Authenticator.
func newServing(tb testing.TB, logger *slog.Logger, change func(*Options, *NASConfig)) (*loop, [][]byte) {
	b := newBench(tb, func(o *Options) {
		o.Verifier = otp.NewVerifier(agreeing{}, otp.DefaultPolicy())
		o.Logger, o.Clock = logger, time.Now
		if change != nil {
			nas := testNAS(func(c *NASConfig) {
				preset, _ := Preset("")
				c.ClientIPFrom, c.MACFrom, c.Excluded = preset.ClientIPFrom, preset.MACFrom, exclusions.PassAccept
			})
			change(o, &nas)
			o.NASes = table(tb, nil, nas)
		}
	})
	l := newLoop(b.server, authPort, nil, discard{}, discard{})
	datagrams := make([][]byte, 16*256)
	for i := range datagrams {
		datagrams[i] = b.build(pap(uint64(i), "alice", "4711755224").signed())
	}
	return l, datagrams
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serveBatches serves n datagrams in batches, as the two goroutines of a loop do.
func serveBatches(l *loop, n int, datagram func(i int) []byte) {
	from := newPeer(netip.MustParseAddrPort(gateway))
	for i := 0; i < n; {
		l.tick()
		for end := min(n, i+batchSize); i < end; i++ {
			l.serve(&from, datagram(i))
		}
		l.answerDecided(&l.direct)
	}
}

// manyRules are rules of all kinds that the logins of newServing do not meet.
func manyRules(tb testing.TB, n int) *Rules {
	rules := make([]exclusions.Rule, n)
	for i := range rules {
		criteria := [...]exclusions.Criterion{
			criterion(exclusions.Users, fmt.Sprint("user", i)),
			criterion(exclusions.ClientIPs, fmt.Sprintf("10.%d.%d.0/24", i>>8&255, i&255)),
			criterion(exclusions.ClientMACs, fmt.Sprintf("00-10-a4-%02x-%02x-*", i>>8&255, i&255)),
			criterion(exclusions.Groups, fmt.Sprint("group", i)),
		}
		rules[i] = rule(fmt.Sprint("rule ", i), criteria[i%len(criteria)])
	}
	return rulesOf(tb, rules...)
}

// member is a UserRepository that knows one user.
type member struct{ exclusions.Identity }

func (m *member) Peek([]byte, time.Time) (*exclusions.Identity, exclusions.Source, bool) {
	return &m.Identity, exclusions.Fresh, true
}

func (m *member) Find(context.Context, []byte) (*exclusions.Identity, exclusions.Source) {
	return &m.Identity, exclusions.Fresh
}

func (m *member) VerifyPassword(context.Context, *exclusions.Identity, []byte) (otp.Verdict, error) {
	return otp.Accepted, nil
}

// servings are the ways in which it is decided whether a login needs a code.
var servings = []struct {
	name   string
	change func(testing.TB, *Options, *NASConfig)
}{
	{"10 rules", func(tb testing.TB, o *Options, _ *NASConfig) { o.Rules = manyRules(tb, 10) }},
	{"10000 rules", func(tb testing.TB, o *Options, _ *NASConfig) { o.Rules = manyRules(tb, 10000) }},
	{"an identity", func(_ testing.TB, o *Options, _ *NASConfig) { o.Users = aMember() }},
	{"an identity, 10000 rules", func(tb testing.TB, o *Options, _ *NASConfig) { o.Users, o.Rules = aMember(), manyRules(tb, 10000) }},
	{"an identity, an Enroller", func(tb testing.TB, o *Options, _ *NASConfig) {
		o.Users, o.Enroller, o.States = aMember(), &guide{}, box(tb, zeros{})
	}},
	{"orders and a Backend", func(tb testing.TB, o *Options, _ *NASConfig) {
		o.Users, o.Backend = aMember(), obliging{}
		o.Rules = &Rules{Orders: compile(tb, []exclusions.Rule{rule("vpn", criterion(exclusions.Groups, "group 7"))}), Order: []otp.Order{otp.LocalThenTMS}}
	}},
	{"a Class and a number of sessions", func(tb testing.TB, o *Options, c *NASConfig) {
		c.Class, o.Classes, o.Sessions, o.Rules = true, badges{}, &floor{}, &Rules{MaxSessions: 2}
	}},
	{"a Class and a session limit", func(tb testing.TB, o *Options, c *NASConfig) {
		c.Class, o.Classes, o.Sessions, o.Users = true, badges{}, &floor{}, aMember()
		o.Rules = &Rules{Limits: compile(tb, []exclusions.Rule{rule("vpn", criterion(exclusions.Groups, "group 7"))}), Limit: []SessionLimit{{Name: "vpn", PerUser: 3, Total: 9}}}
	}},
	{"other servers", func(_ testing.TB, o *Options, _ *NASConfig) { o.SharedKey = &[32]byte{7} }},
	{"an Enroller", func(_ testing.TB, o *Options, _ *NASConfig) { o.Enroller = &guide{} }},
	{"an identity, replies", func(tb testing.TB, o *Options, _ *NASConfig) {
		o.Users, o.Rules = aMember(), new(Rules).replying(tb, staff, office, rule("vpn", criterion(exclusions.Groups, "group 7")))
	}},
}

// badges are Classes that are all alike, and as long as they may be.
type badges struct{}

var badge = make([]byte, maxClass)

func (badges) Append(dst []byte, _ uint64, _ uint32, _ string) []byte { return append(dst, badge...) }

// obliging is a Backend that accepts everything at once.
type obliging struct{}

func (obliging) Verify(context.Context, *BackendLogin) (BackendReply, error) {
	return BackendReply{Verdict: otp.AcceptedByTMS}, nil
}

func (obliging) Probe(context.Context) error { return nil }

// passing is a store that leaves everything to the TMS.
type passing struct{}

func (passing) Submit(a *otp.Attempt) bool {
	ask := a.TMS == otp.TMSNotAsked
	a.Decision = otp.Decision{Outstanding: ask, AskTMS: ask, Verdict: otp.AcceptedByTMS}
	a.Waiter.Decided(a, nil)
	return true
}

// BenchmarkTMS takes datagrams to the signed reply through a Backend that answers at once,
// with one worker; ns/op and allocs/op are of one datagram.
func BenchmarkTMS(b *testing.B) {
	l, _ := newServing(b, quiet(), func(o *Options, c *NASConfig) {
		c.Order, o.Backend, o.Verifier = otp.TMSOnly, obliging{}, otp.NewVerifier(passing{}, otp.DefaultPolicy())
	})
	var scratch packet.Scratch
	datagrams := make([][]byte, 16*256)
	for i := range datagrams {
		var err error
		if datagrams[i], err = buildOrder(&scratch, pap(uint64(i), fmt.Sprint("user", i), "4711755224").signed()); err != nil {
			b.Fatal(err)
		}
	}
	from := newPeer(netip.MustParseAddrPort(gateway))
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		l.tick()
		for end := min(b.N, i+batchSize); i < end; i++ {
			l.serve(&from, datagrams[i%len(datagrams)])
		}
		for t := l.server.tms; t.len() > 0; {
			(<-t.queue).consultation(b.Context())
		}
		l.answerDecided(&l.direct)
	}
}

func aMember() *member {
	m := &member{exclusions.Identity{Name: "alice", Realm: "corp", Directory: "corp"}}
	for i := range 20 {
		m.Groups = append(m.Groups, fmt.Sprint("group ", i))
	}
	slices.Sort(m.Groups)
	return m
}

// BenchmarkServeDatagram takes datagrams from the receive path to the signed
// reply; ns/op and allocs/op are of one datagram.
func BenchmarkServeDatagram(b *testing.B) {
	logged := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.Run("login", func(b *testing.B) {
		l, datagrams := newServing(b, quiet(), nil)
		b.ReportAllocs()
		b.ResetTimer()
		serveBatches(l, b.N, func(i int) []byte { return datagrams[i%len(datagrams)] })
	})
	b.Run("login, logged", func(b *testing.B) {
		l, datagrams := newServing(b, logged, nil)
		b.ReportAllocs()
		b.ResetTimer()
		serveBatches(l, b.N, func(i int) []byte { return datagrams[i%len(datagrams)] })
	})
	for _, s := range servings {
		b.Run("login, "+s.name, func(b *testing.B) {
			l, datagrams := newServing(b, quiet(), func(o *Options, c *NASConfig) { s.change(b, o, c) })
			b.ReportAllocs()
			b.ResetTimer()
			serveBatches(l, b.N, func(i int) []byte { return datagrams[i%len(datagrams)] })
		})
	}
	b.Run("retransmission", func(b *testing.B) {
		l, datagrams := newServing(b, quiet(), nil)
		b.ReportAllocs()
		b.ResetTimer()
		serveBatches(l, b.N, func(i int) []byte { return datagrams[i%256] })
	})
	b.Run("Status-Server", func(b *testing.B) {
		l, _ := newServing(b, quiet(), nil)
		status, err := buildOrder(new(packet.Scratch), order{code: packet.StatusServer})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		b.ResetTimer()
		serveBatches(l, b.N, func(int) []byte { return status })
	})
}

// TestServingDoesNotAllocate holds the path of a login that needs no log line to
// no allocation at all, whatever is asked to decide whether it needs a code.
func TestServingDoesNotAllocate(t *testing.T) {
	l, datagrams := newServing(t, quiet(), nil)
	wantNoAllocations(t, "plain", l, func(i int) []byte { return datagrams[i%len(datagrams)] })
	wantNoAllocations(t, "retransmissions", l, func(i int) []byte { return datagrams[i%256] })
	for _, s := range servings {
		l, datagrams := newServing(t, quiet(), func(o *Options, c *NASConfig) { s.change(t, o, c) })
		wantNoAllocations(t, s.name, l, func(i int) []byte { return datagrams[i%len(datagrams)] })
	}
}

func wantNoAllocations(t *testing.T, what string, l *loop, datagram func(i int) []byte) {
	t.Helper()
	at := 0
	serve := func() {
		serveBatches(l, batchSize, func(i int) []byte { return datagram(at + i) })
		at += batchSize
	}
	for range 16 { // the pools fill
		serve()
	}
	if n := testing.AllocsPerRun(100, serve); n > 0 {
		t.Errorf("%s: %v allocations a batch of %d", what, n, batchSize)
	}
}
