package radiusd

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// patience is how long a test waits for what must come.
const patience = 10 * time.Second

func addresses(texts ...string) []netip.AddrPort {
	var all []netip.AddrPort
	for _, text := range texts {
		all = append(all, netip.MustParseAddrPort(text))
	}
	return all
}

// live is a server on real sockets, for all of loopback.
type live struct {
	*bench
	stop   func()
	served chan error
}

// listen starts a server; change may change its options.
func listen(t testing.TB, change func(*Options)) *live {
	t.Helper()
	b := newBench(t, func(o *Options) {
		o.NASes = table(t, nil, loopbackNAS())
		o.Logger = slog.New(slog.DiscardHandler)
		o.Clock = time.Now
		o.Loops = 2
		if change != nil {
			change(o)
		}
	})
	b.server.loops = nil
	if err := b.server.Listen(); err != nil {
		t.Fatal(err)
	}
	l := &live{bench: b, served: make(chan error, 1)}
	ctx, cancel := context.WithCancelCause(context.Background())
	l.stop = func() { cancel(errors.New("terminated")) } // as signal.NotifyContext does
	go func() { l.served <- b.server.Serve(ctx) }()
	t.Cleanup(l.close)
	return l
}

func loopbackNAS() NASConfig {
	return testNAS(func(n *NASConfig) { n.Prefixes = prefixes("127.0.0.0/8", "::1/128") })
}

// close stops the server and waits for it.
func (l *live) close() {
	l.stop()
	if err := <-l.served; err != nil {
		l.Error(err)
	}
	l.served <- nil
}

// dial is a socket that hears the server at an address and nobody else.
func (l *live) dial(to netip.AddrPort) *net.UDPConn {
	l.Helper()
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		l.Fatal(err)
	}
	return conn
}

// exchange sends a datagram and returns the reply.
func exchange(conn *net.UDPConn, datagram []byte) ([]byte, error) {
	if _, err := conn.Write(datagram); err != nil {
		return nil, err
	}
	reply := make([]byte, packet.MaxLength)
	n, err := conn.Read(reply)
	return reply[:n], err
}

// login sends an order and checks the reply.
func (l *live) login(conn *net.UDPConn, o order, code packet.Code) {
	l.Helper()
	reply, err := exchange(conn, l.build(o))
	if err != nil {
		l.Fatal(err)
	}
	l.wantCode(l.verify(o, reply), code)
}

func TestEveryAddressAnswers(t *testing.T) {
	l := listen(t, func(o *Options) {
		o.Auth = addresses("127.0.0.1:0", "[::1]:0", "0.0.0.0:0", "[::]:0")
		o.Acct = addresses("127.0.0.1:0", "[::1]:0")
	})
	all := l.server.Addrs()
	if len(all) != 6 {
		t.Fatalf("addresses %v", all)
	}
	for i, to := range []netip.AddrPort{
		all[0], all[1],
		netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), all[2].Port()),
		netip.AddrPortFrom(netip.MustParseAddr("127.9.8.7"), all[2].Port()), // the reply must come from there
		netip.AddrPortFrom(netip.MustParseAddr("::1"), all[3].Port()),
	} {
		conn := l.dial(to)
		l.login(conn, pap(uint64(i), "alice", passcodeAt(uint64(i))), accept)
		l.login(conn, pap(uint64(i), "alice", passcodeAt(uint64(i))), accept) // from the cache
	}
	for i, to := range all[4:] {
		l.login(l.dial(to), record(byte(i), "s"), response)
	}
}

func TestATakenPortIsSaid(t *testing.T) {
	// With SO_REUSEPORT too: the kernel would let us share the port.
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, 0xf, 1) })
	}}
	other, err := config.ListenPacket(t.Context(), "udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	taken := other.LocalAddr().(*net.UDPAddr).AddrPort()
	b := newBench(t, func(o *Options) { o.Auth, o.Acct = addresses("127.0.0.1:0"), []netip.AddrPort{taken} })
	b.server.loops = nil
	err = b.server.Listen()
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), taken.String()) {
		t.Errorf("error is %v", err)
	}
	if n := len(b.server.Addrs()); n != 0 {
		t.Errorf("%d addresses are open", n)
	}
}

func TestOptionsThatCannotBeUsed(t *testing.T) {
	good := func() Options {
		return Options{Auth: addresses("127.0.0.1:0"), NASes: table(t, nil), Verifier: newBench(t, nil).server.verifier}
	}
	for name, change := range map[string]func(*Options){
		"no address":        func(o *Options) { o.Auth = nil },
		"no NASes":          func(o *Options) { o.NASes = nil },
		"no verifier":       func(o *Options) { o.Verifier = nil },
		"no accounting":     func(o *Options) { o.Acct = o.Auth },
		"long message":      func(o *Options) { o.RejectMessage = strings.Repeat("x", 254) },
		"long challenge":    func(o *Options) { o.ChallengeMessage = strings.Repeat("x", 254) },
		"long over":         func(o *Options) { o.EnrolmentOverMessage = strings.Repeat("x", 254) },
		"long no-token":     func(o *Options) { o.NoTokenMessage = strings.Repeat("x", 254) },
		"metrics are there": func(o *Options) { o.Registerer = newBench(t, nil).registry },
	} {
		o := good()
		change(&o)
		if _, err := New(o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := New(good()); err != nil {
		t.Error(err)
	}
}

// TestOneCodeFromManySockets: of 200 parallel requests with one code one is
// accepted, and all are answered.
func TestOneCodeFromManySockets(t *testing.T) {
	l := listen(t, nil)
	var accepts, rejects atomic.Int32
	var all sync.WaitGroup
	for i := range uint64(200) {
		conn, o := l.dial(l.server.Addrs()[0]), pap(i, "alice", passcodeAt(0))
		datagram := l.build(o)
		all.Go(func() {
			reply, err := exchange(conn, datagram)
			switch {
			case err != nil:
				t.Error(err)
			case packet.Code(reply[0]) == accept:
				accepts.Add(1)
			case packet.Code(reply[0]) == reject:
				rejects.Add(1)
			}
		})
	}
	all.Wait()
	if accepts.Load() != 1 || rejects.Load() != 199 {
		t.Errorf("%d accepts and %d rejects, want 1 and 199", accepts.Load(), rejects.Load())
	}
}

// elsewhere is a store that decides on a goroutine of its own.
type elsewhere struct{ attempts chan *otp.Attempt }

func (e elsewhere) Submit(a *otp.Attempt) bool {
	e.attempts <- a
	return true
}

// TestNoDecisionIsForgotten: whether a loop's receiving goroutine is at work or
// asleep when the store decides, every login is answered.
func TestNoDecisionIsForgotten(t *testing.T) {
	store := elsewhere{make(chan *otp.Attempt, 64)}
	go func() {
		for a := range store.attempts {
			a.Decision.Verdict = otp.Accepted
			a.Waiter.Decided(a, nil)
		}
	}()
	l := listen(t, func(o *Options) { o.Verifier = otp.NewVerifier(store, otp.DefaultPolicy()) })
	var all sync.WaitGroup
	for range 8 {
		conn := l.dial(l.server.Addrs()[0])
		var datagrams [][]byte
		for i := range uint64(300) {
			datagrams = append(datagrams, l.build(pap(i, "alice", "x")))
		}
		all.Go(func() {
			for i, datagram := range datagrams {
				if _, err := exchange(conn, datagram); err != nil {
					t.Errorf("login %d: %v", i, err)
					return
				}
			}
		})
	}
	all.Wait()
	l.close()
	close(store.attempts)
}

func TestALostReplyIsCounted(t *testing.T) {
	b := newBench(t, nil)
	to := newPeer(netip.MustParseAddrPort(gateway))
	b.auth.lost(&to, syscall.EPERM)
	b.wantMetric(1, "dropped_total", "send_failed")
	b.wantLog(1, `error="operation not permitted"`)
}

// TestABurstFromOneSocket: the replies to it go out many at a time.
func TestABurstFromOneSocket(t *testing.T) {
	l := listen(t, nil)
	conn := l.dial(l.server.Addrs()[0])
	const n = 128 // fit into the default receive buffer
	for i := range uint64(n) {
		user := "alice"
		if i%3 == 0 {
			user = "nobody" // whose replies have another length
		}
		if _, err := conn.Write(l.build(pap(i, user, passcodeAt(i)))); err != nil {
			t.Fatal(err)
		}
	}
	answered := map[byte]bool{}
	buffer := make([]byte, packet.MaxLength)
	for range n {
		size, err := conn.Read(buffer)
		if err != nil {
			t.Fatalf("after %d replies: %v", len(answered), err)
		}
		id := buffer[1]
		want, user := accept, "alice"
		if id%3 == 0 {
			want, user = reject, "nobody"
		}
		l.wantCode(l.verify(pap(uint64(id), user, passcodeAt(uint64(id))), buffer[:size]), want)
		answered[id] = true
	}
	if len(answered) != n {
		t.Errorf("%d requests answered, want %d", len(answered), n)
	}
}

// TestReloadLosesNoPacket: while the NAS table is replaced again and again every
// request is answered, without retransmission.
func TestReloadLosesNoPacket(t *testing.T) {
	l := listen(t, nil)
	done := make(chan struct{})
	var reloads sync.WaitGroup
	reloads.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				t, _ := NewNASTable([]NASConfig{loopbackNAS()}, nil)
				l.server.SetNASes(t)
			}
		}
	})
	conn := l.dial(l.server.Addrs()[0])
	for i := range uint64(500) {
		l.login(conn, pap(i, "alice", passcodeAt(i)), accept)
	}
	close(done)
	reloads.Wait()
}

func TestTheEndAnswersWhatIsInFlight(t *testing.T) {
	l := listen(t, nil)
	l.store.set(func(s *ledger) { s.hold = true })
	conn, o := l.dial(l.server.Addrs()[0]), pap(1, "alice", passcodeAt(0))
	if _, err := conn.Write(l.build(o)); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return l.metric("in_flight", "auth") == 1 })
	l.stop()
	l.until(func() bool { return l.server.draining() })
	l.store.release()
	reply := make([]byte, packet.MaxLength)
	n, err := conn.Read(reply)
	if err != nil {
		t.Fatal(err)
	}
	l.wantCode(l.verify(o, reply[:n]), accept)
}

func TestTheEndDoesNotWaitForEver(t *testing.T) {
	l := listen(t, nil)
	l.server.drainTime = time.Millisecond
	l.store.set(func(s *ledger) { s.hold = true })
	if _, err := l.dial(l.server.Addrs()[0]).Write(l.build(pap(1, "alice", passcodeAt(0)))); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return l.metric("in_flight", "auth") == 1 })
	l.close()
	l.store.release() // comes too late and does no harm
}

// draining reports whether Serve waits for what is in flight.
func (s *Server) draining() bool {
	for _, l := range s.currentLoops() {
		l.pool.mu.Lock()
		waits := l.pool.idle != nil
		l.pool.mu.Unlock()
		if waits {
			return true
		}
	}
	return false
}

// until looks again and again for what will be so.
func (l *live) until(so func() bool) {
	l.Helper()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for end := time.Now().Add(patience); !so(); <-look.C {
		if time.Now().After(end) {
			l.Fatal("it never came to be so")
		}
	}
}

// radclient sends one packet of attributes and returns what it prints.
func (l *live) radclient(kind string, to netip.AddrPort, attributes string) string {
	l.Helper()
	cmd := exec.Command("radclient", "-x", "-r", "1", "-t", "10", to.String(), kind, testSecret)
	cmd.Stdin = strings.NewReader(attributes)
	out, err := cmd.CombinedOutput() // its exit code is 1 for a reject
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		l.Fatalf("running radclient (of the package freeradius-utils): %v", err)
	}
	return string(out)
}

func TestRadclient(t *testing.T) {
	l := listen(t, nil)
	auth, acct := l.server.Addrs()[0], l.server.Addrs()[1]
	for _, c := range []struct {
		kind       string
		to         netip.AddrPort
		attributes string
		want       []string
	}{
		{"auth", auth, "User-Name=pap,User-Password=" + passcodeAt(0),
			[]string{"Received Access-Accept", "Message-Authenticator = "}},
		{"auth", auth, "User-Name=pap,User-Password=" + passcodeAt(0),
			[]string{"Received Access-Reject", `Reply-Message = "` + rejection + `"`}},
		{"auth", auth, "User-Name=chap,CHAP-Password=" + passcodeAt(1),
			[]string{"Received Access-Accept"}},
		{"auth", auth, "User-Name=mschap,MS-CHAP-Password=" + passcodeAt(2),
			[]string{"Received Access-Accept", "MS-CHAP-MPPE-Keys = 0x", "MS-MPPE-Encryption-Policy", "MS-MPPE-Encryption-Types"}},
		{"auth", auth, "User-Name=mschap,MS-CHAP-Password=" + passcodeAt(2),
			[]string{"Received Access-Reject", `MS-CHAP-Error = "`}},
		{"auth", auth, "User-Name=pap,User-Password=" + passcodeAt(5) + ",Message-Authenticator=0x00,Proxy-State=0x3132",
			[]string{"Received Access-Accept", "Proxy-State = 0x3132"}},
		{"status", auth, "Message-Authenticator=0x00", []string{"Received Access-Accept"}},
		{"status", acct, "Message-Authenticator=0x00", []string{"Received Accounting-Response"}},
		{"acct", acct, "Acct-Status-Type=Start,Acct-Session-Id=a1,User-Name=alice", []string{"Received Accounting-Response"}},
	} {
		out := l.radclient(c.kind, c.to, c.attributes)
		for _, want := range c.want {
			if !strings.Contains(out, want) {
				t.Errorf("radclient %s with %s: no %q in\n%s", c.kind, c.attributes, want, out)
			}
		}
	}
}
