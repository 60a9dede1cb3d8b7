package radiusd

import (
	"io"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// agreeing is a store that accepts every passcode at once, so that only the
// server is measured.
type agreeing struct{}

func (agreeing) Submit(a *otp.Attempt) bool {
	a.Decision.Verdict = otp.Accepted
	a.Waiter.Decided(a, nil)
	return true
}

// discard is a wire that ends at once.
type discard struct{}

func (discard) send([]outgoing) {}

// newServing is a loop whose replies go nowhere, and logins for it: all
// Identifiers again and again, each time with another Request Authenticator.
func newServing(tb testing.TB, logger *slog.Logger) (*loop, [][]byte) {
	b := newBench(tb, func(o *Options) {
		o.Verifier = otp.NewVerifier(agreeing{}, otp.DefaultPolicy())
		o.Logger, o.Clock = logger, time.Now
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

// BenchmarkServeDatagram takes datagrams from the receive path to the signed
// reply; ns/op and allocs/op are of one datagram.
func BenchmarkServeDatagram(b *testing.B) {
	logged := slog.New(slog.NewTextHandler(io.Discard, nil))
	b.Run("login", func(b *testing.B) {
		l, datagrams := newServing(b, quiet())
		b.ReportAllocs()
		b.ResetTimer()
		serveBatches(l, b.N, func(i int) []byte { return datagrams[i%len(datagrams)] })
	})
	b.Run("login, logged", func(b *testing.B) {
		l, datagrams := newServing(b, logged)
		b.ReportAllocs()
		b.ResetTimer()
		serveBatches(l, b.N, func(i int) []byte { return datagrams[i%len(datagrams)] })
	})
	b.Run("retransmission", func(b *testing.B) {
		l, datagrams := newServing(b, quiet())
		b.ReportAllocs()
		b.ResetTimer()
		serveBatches(l, b.N, func(i int) []byte { return datagrams[i%256] })
	})
	b.Run("Status-Server", func(b *testing.B) {
		l, _ := newServing(b, quiet())
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
// no allocation at all.
func TestServingDoesNotAllocate(t *testing.T) {
	l, datagrams := newServing(t, quiet())
	at := 0
	serve := func() {
		serveBatches(l, batchSize, func(i int) []byte { return datagrams[(at+i)%len(datagrams)] })
		at += batchSize
	}
	for range 16 { // the pools fill
		serve()
	}
	if n := testing.AllocsPerRun(100, serve); n > 0 {
		t.Errorf("%v allocations a batch of %d logins", n, batchSize)
	}
	repeat := func() { serveBatches(l, batchSize, func(i int) []byte { return datagrams[i%256] }) }
	repeat()
	if n := testing.AllocsPerRun(100, repeat); n > 0 {
		t.Errorf("%v allocations a batch of %d retransmissions", n, batchSize)
	}
}
