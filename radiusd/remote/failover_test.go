package remote

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

const (
	down = "does not answer"
	back = "answers again"
)

// TestFailover follows two servers, of which the first answers no logins for a time.
func TestFailover(t *testing.T) {
	first, second := newPeer(t, onlyStatus), newPeer(t, always(packet.AccessReject))
	k := newKit(t, Options{Timeout: time.Second, Watchdog: 20 * time.Millisecond}, first.address(), second.address())
	k.speaks(0)
	_, err := k.Verify(context.Background(), pap("alice", "1"))
	if !errors.Is(err, ErrLost) || !errors.Is(err, errUnanswered) {
		t.Fatalf("the lost one: %v", err)
	}
	k.verify(pap("bob", "2"), packet.AccessReject)
	first.change(always(packet.AccessAccept))
	k.run().waitFor(back, first.address())
	statuses := len(first.received(t, packet.StatusServer))
	k.verify(pap("carol", "3"), packet.AccessAccept)

	if statuses < 1+answersToRise {
		t.Errorf("it came back after %d Status-Servers", statuses)
	}
	for _, r := range first.received(t, packet.StatusServer) {
		if r.MessageAuthenticator != 22 || string(r.NASIdentifier) != "countersign" || !new(packet.Scratch).VerifyMessageAuthenticator(secret(), r) {
			t.Errorf("a Status-Server is %+v", r)
		}
	}
	var users []string
	for _, p := range []*peer{first, second} {
		for _, r := range p.received(t, packet.AccessRequest) {
			users = append(users, string(r.UserName))
		}
	}
	if got := fmt.Sprint(users); got != "[alice carol bob]" {
		t.Errorf("the servers were sent %v", users)
	}
	for i, s := range k.States() {
		if !s.Up || !s.StatusServer || s.Since.IsZero() || s.Server != []*peer{first, second}[i].address() {
			t.Errorf("%+v", s)
		}
	}
	for name, want := range map[string]float64{
		`requests_total{kind="login",server=%q}`: 2, `unanswered_total{kind="login",server=%q}`: 1, "up{server=%q}": 1,
	} {
		if got := k.metric(fmt.Sprintf(name, first.address())); got != want {
			t.Errorf(name+" is %v", first.address(), got)
		}
	}
}

// TestWatchdogNotices a death before a login does.
func TestWatchdogNotices(t *testing.T) {
	first, second := newPeer(t, always(packet.AccessAccept)), newPeer(t, always(packet.AccessReject))
	k := newKit(t, Options{Timeout: time.Second, Watchdog: 20 * time.Millisecond}, first.address(), second.address())
	k.speaks(0)
	first.change(silence)
	k.run().waitFor(down, first.address())
	if n := len(first.received(t, packet.AccessRequest)); n != 0 {
		t.Errorf("%d logins were lost", n)
	}
	k.verify(pap("alice", "1"), packet.AccessReject)
	if up := k.metric(fmt.Sprintf("up{server=%q}", first.address())); up != 0 {
		t.Errorf("up is %v", up)
	}
}

// TestSecondMissAtOnce: a Status-Server without an answer is followed by the second at
// once, and not after the interval, which is longer than this test.
func TestSecondMissAtOnce(t *testing.T) {
	server := newPeer(t, always(packet.AccessAccept))
	k := newKit(t, Options{Timeout: 300 * time.Millisecond, Watchdog: time.Hour}, server.address())
	k.speaks(0)
	server.change(silence)
	k.run().waitFor(down, server.address())
	if n := len(server.received(t, packet.StatusServer)); n < 1+missesToFall {
		t.Errorf("it is down after %d", n)
	}
}

// TestOnlyServer is up again with the first answer, and Probe finds it.
func TestOnlyServer(t *testing.T) {
	server := newPeer(t, onlyStatus)
	k := newKit(t, Options{Timeout: time.Second}, server.address())
	ctx := context.Background()
	if err := k.Probe(ctx); err != nil || len(server.received(t, packet.StatusServer)) != 0 {
		t.Errorf("while it is up: %v", err)
	}
	k.speaks(0)
	if _, err := k.Verify(ctx, pap("alice", "1")); !errors.Is(err, errUnanswered) || errors.Is(err, ErrLost) {
		t.Fatalf("the lost one: %v", err)
	}
	if _, err := k.Verify(ctx, pap("alice", "1")); !errors.Is(err, errNone) {
		t.Fatalf("the next: %v", err)
	}
	server.change(always(packet.AccessReject)) // any answer will do
	if err := k.Probe(ctx); err != nil || !k.States()[0].Up {
		t.Fatalf("probed: %v, %+v", err, k.States())
	}
	k.verify(pap("bob", "1"), packet.AccessReject)
	if n := len(server.received(t, packet.AccessRequest)); n != 2 {
		t.Errorf("%d logins came", n)
	}
}

// TestServerThatNeverSpeaks is down after three lost logins in a row, and tried again after
// a pause, with one.
func TestServerThatNeverSpeaks(t *testing.T) {
	var now atomic.Int64
	clock := func() time.Time { return start.Add(time.Duration(now.Load())) }
	server := newPeer(t, silence)
	k := newKit(t, Options{Timeout: 50 * time.Millisecond, Watchdog: time.Minute, Clock: clock}, server.address())
	ctx := context.Background()
	silent := func(users ...string) {
		t.Helper()
		server.change(silence)
		for _, user := range users {
			_, err := k.Verify(ctx, pap(user, "1"))
			up := k.metric(fmt.Sprintf("up{server=%q}", server.address())) == 1
			if !errors.Is(err, errUnanswered) || errors.Is(err, ErrLost) != up || up != k.States()[0].Up || strings.Contains(k.log.String(), down) == up {
				t.Fatalf("%s: %v, %+v, and the log is %s", user, err, k.States(), k.log)
			}
		}
	}
	silent("mallory", "mallory")
	if !k.States()[0].Up {
		t.Fatal("it is down by two")
	}
	server.change(onlyLogins)
	k.timeout = 30 * time.Second
	k.verify(pap("bob", "1"), packet.AccessAccept)
	k.timeout = 50 * time.Millisecond
	silent("mallory", "mallory", "alice")
	if k.States()[0].Up {
		t.Fatal("it is up after three")
	}
	if _, err := k.Verify(ctx, pap("alice", "1")); !errors.Is(err, ErrNotSent) {
		t.Errorf("the next: %v", err)
	}
	if n := k.metric(fmt.Sprintf("unanswered_total{kind=\"login\",server=%q}", server.address())); n != 5 {
		t.Errorf("%v logins were not answered", n)
	}
	if err := k.Probe(ctx); !errors.Is(err, errUnanswered) {
		t.Errorf("probed in the pause: %v", err)
	}
	now.Store(int64(time.Minute))
	server.change(onlyLogins)
	if err := k.Probe(ctx); err != nil {
		t.Errorf("probed after it: %v", err)
	}
	k.timeout = 30 * time.Second
	k.verify(pap("bob", "2"), packet.AccessAccept)
	if !k.States()[0].Up || k.States()[0].StatusServer || len(server.received(t, packet.AccessRequest)) != 7 {
		t.Errorf("%+v", k.States())
	}
}

// TestServerThatMoves: its name stands for another address when it is down.
func TestServerThatMoves(t *testing.T) {
	old := newPeer(t, always(packet.AccessReject))
	_, port, _ := net.SplitHostPort(old.address())
	k := newKit(t, Options{Timeout: time.Second}, "tms.example:"+port)
	var address atomic.Pointer[string]
	set := func(s string) { address.Store(&s) }
	k.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
		return []netip.Addr{netip.MustParseAddr(*address.Load())}, nil
	}
	set("127.0.0.1")
	k.verify(pap("alice", "1"), packet.AccessReject)
	set("127.0.0.9") // where nobody listens yet
	_ = old.conn.Close()
	if _, err := k.Verify(context.Background(), pap("bob", "1")); !errors.Is(err, errNotReceived) {
		t.Fatalf("at the old address: %v", err)
	}
	conn, err := net.ListenPacket("udp", "127.0.0.9:"+port)
	if err != nil {
		t.Fatal(err)
	}
	moved := &peer{conn: conn.(*net.UDPConn), answer: always(packet.AccessAccept)}
	done := make(chan struct{})
	go func() { defer close(done); moved.serve() }()
	defer func() { _ = conn.Close(); <-done }()
	if err := k.Probe(context.Background()); err != nil {
		t.Fatalf("at the new address: %v", err)
	}
	k.verify(pap("bob", "1"), packet.AccessAccept)
}

// TestIdentifiers: more requests than one socket has Identifiers, and no Identifier
// again while its old request might be answered.
func TestIdentifiers(t *testing.T) {
	var now atomic.Int64
	clock := func() time.Time { return start.Add(time.Duration(now.Load())) }
	server := newPeer(t, silence)
	k := newKit(t, Options{Clock: clock}, server.address())
	p := &k.servers[0].pool
	taken := make(map[slot]bool)
	take := func() (slot, *exchange) {
		s, err := p.take(k.servers[0].at, clock())
		if err != nil {
			t.Fatal(err)
		}
		x := newExchange(packet.AccessRequest, false)
		p.expect(s, x)
		s.used = time.Time{}
		if taken[s] {
			t.Fatalf("Identifier %d of a socket is taken twice", s.identifier)
		}
		taken[s] = true
		return s, x
	}
	for range maxSockets * identifiers / 2 {
		s, x := take()
		if !p.abandon(s, x) || p.abandon(s, x) {
			t.Fatal("it is not abandoned once")
		}
	}
	for range maxSockets * identifiers / 2 {
		s, x := take()
		p.finish(s, x, nil, nil)
	}
	if len(p.sockets) != maxSockets {
		t.Errorf("there are %d sockets", len(p.sockets))
	}
	for range maxSockets * identifiers / 2 { // those that were answered, in their order
		s, err := p.take(k.servers[0].at, clock())
		if s.used = (time.Time{}); err != nil || !taken[s] {
			t.Fatalf("%v: %v", s.identifier, err)
		}
	}
	if _, err := p.take(k.servers[0].at, clock()); !errors.Is(err, errBusy) {
		t.Fatalf("when none is left: %v", err)
	}
	if _, err := k.Verify(context.Background(), pap("alice", "1")); !errors.Is(err, ErrLost) || !k.States()[0].Up {
		t.Errorf("a login then: %v", err)
	}
	now.Store(int64(quarantine))
	if _, err := p.take(k.servers[0].at, clock()); err != nil {
		t.Errorf("after the quarantine: %v", err)
	}
}
