package remote

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

// slow is a server that takes its time for each answer, and any number at once. It
// counts the logins of each user.
type slow struct {
	conn *net.UDPConn
	mu   sync.Mutex
	seen map[string]int
}

func newSlow(t testing.TB, delay time.Duration) *slow {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	s := &slow{conn: conn, seen: make(map[string]int)}
	done := make(chan struct{})
	go func() { defer close(done); s.serve(delay) }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return s
}

func (s *slow) serve(delay time.Duration) {
	buf := make([]byte, packet.MaxLength)
	var r packet.Request
	var scratch packet.Scratch
	var b packet.Builder
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if r.Parse(buf[:n]) != nil {
			continue
		}
		s.mu.Lock()
		s.seen[string(r.UserName)]++
		s.mu.Unlock()
		b.Begin(packet.AccessAccept, r.Identifier, nil, packet.First)
		wire, err := scratch.Sign(secret(), &b, &r.Authenticator)
		if err != nil {
			panic(err)
		}
		time.AfterFunc(delay, func() { _, _ = s.conn.WriteToUDPAddrPort(wire, from) })
	}
}

// crowd shows logins, so many at the same time, and returns how many were accepted.
func crowd(c *Client, logins, at int) int64 {
	var next, accepted atomic.Int64
	var workers sync.WaitGroup
	for range at {
		workers.Go(func() {
			for n := next.Add(1); n <= int64(logins); n = next.Add(1) {
				l := pap(fmt.Sprintf("user%d", n), "1234755224")
				if r, err := c.Verify(context.Background(), l); err == nil && r.Code == packet.AccessAccept {
					accepted.Add(1)
				}
			}
		})
	}
	workers.Wait()
	return accepted.Load()
}

// TestCrowd: hundreds of logins in flight, each sent once and answered, by few
// goroutines and sockets.
func TestCrowd(t *testing.T) {
	const logins, at = 3000, 600
	server := newSlow(t, 50*time.Millisecond)
	before := runtime.NumGoroutine()
	k := newKit(t, Options{}, server.conn.LocalAddr().String())
	if n := crowd(k.Client, logins, at); n != logins {
		t.Errorf("%d of %d were accepted\n%s", n, logins, k.log)
	}
	if n := runtime.NumGoroutine() - before; n > maxSockets {
		t.Errorf("%d goroutines are left", n)
	}
	server.mu.Lock()
	defer server.mu.Unlock()
	if len(server.seen) != logins {
		t.Errorf("%d users were seen", len(server.seen))
	}
	for user, n := range server.seen {
		if n != 1 {
			t.Errorf("%s was sent %d times", user, n)
		}
	}
}

// BenchmarkVerify is of 256 logins at the same time, with a server that takes 50 ms: at
// most 5,120 a second.
func BenchmarkVerify(b *testing.B) {
	server := newSlow(b, 50*time.Millisecond)
	k := newKit(b, Options{}, server.conn.LocalAddr().String())
	b.ReportAllocs()
	begun := time.Now()
	accepted := crowd(k.Client, b.N, 256)
	b.ReportMetric(float64(accepted)/time.Since(begun).Seconds(), "logins/s")
	b.ReportMetric(float64(len(k.servers[0].pool.sockets)), "sockets")
	b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
	var memory runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&memory)
	b.ReportMetric(float64(memory.HeapAlloc)/(1<<20), "MiB")
	if accepted != int64(b.N) {
		b.Errorf("%d of %d were accepted", accepted, b.N)
	}
}

// BenchmarkExchange is of one login after the other, with a server that answers at once.
func BenchmarkExchange(b *testing.B) {
	server := newSlow(b, 0)
	k := newKit(b, Options{}, server.conn.LocalAddr().String())
	b.ReportAllocs()
	if n := crowd(k.Client, b.N, 1); n != int64(b.N) {
		b.Errorf("%d of %d were accepted", n, b.N)
	}
}
