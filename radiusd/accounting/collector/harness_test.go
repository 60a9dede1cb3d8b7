package collector

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

const patienceOfTests = time.Minute // longer than anything here takes

var secret = packet.NewSecret([]byte("behind-our-server"))

// store is a Queue and Cursors in memory.
type store struct {
	mu      sync.Mutex
	entries []accounting.Entry
	cursors map[string]accounting.Position
	saves   int
	err     error // of all calls, when there is one
}

func newStore() *store { return &store{cursors: map[string]accounting.Position{}} }

// append appends a record, one in a batch or ten, and returns its place.
func (s *store) append(e accounting.Entry) accounting.Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.entries)
	e.Position = accounting.Position{Batch: uint64(n/10 + 1), Index: uint32(n % 10)}
	s.entries = append(s.entries, e)
	return e.Position
}

func (s *store) after(p accounting.Position) []accounting.Entry {
	return s.entries[sort.Search(len(s.entries), func(i int) bool { return s.entries[i].Position.Compare(p) > 0 }):]
}

func (s *store) Forwardable(_ context.Context, after accounting.Position, most int, each func(*accounting.Entry) error) (accounting.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return after, s.err
	}
	for i, e := range s.after(after) {
		if i == most {
			break
		}
		e.Attributes = bytes.Clone(e.Attributes)
		if err := each(&e); err != nil {
			return after, err
		}
		clear(e.Attributes) // a queue may use its memory again
		after = e.Position
	}
	return after, nil
}

func (s *store) Waiting(_ context.Context, after accounting.Position) (int64, time.Time, accounting.Position, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.after(after)
	if s.err != nil || len(rest) == 0 {
		return 0, time.Time{}, accounting.Position{}, s.err
	}
	return int64(len(rest)), rest[0].At, rest[len(rest)-1].Position, nil
}

func (s *store) Cursor(_ context.Context, name string) (accounting.Position, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.cursors[name]
	return p, ok, s.err
}

func (s *store) SaveCursor(_ context.Context, name string, p accounting.Position) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.saves++
	s.cursors[name] = p
	return nil
}

func (s *store) cursor() accounting.Position {
	p, _, _ := s.Cursor(context.Background(), "billing")
	return p
}

// saved is how often a cursor was saved.
func (s *store) saved() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.saves
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// attribute encodes one attribute.
func attribute(t packet.Type, value []byte) []byte {
	return append([]byte{byte(t), byte(2 + len(value))}, value...)
}

func number(t packet.Type, n uint32) []byte {
	return attribute(t, binary.BigEndian.AppendUint32(nil, n))
}

// record is a record of the NAS vpn. Number tells it from others of its session.
func record(at time.Time, status accounting.Status, session string, serial uint32) accounting.Entry {
	return accounting.Entry{At: at, NAS: "vpn", Source: "192.0.2.7", Attributes: bytes.Join([][]byte{
		number(packet.AcctStatusType, uint32(status)), attribute(packet.AcctSessionID, []byte(session)),
		attribute(packet.NASIdentifier, []byte("gw1")), number(packet.AcctSessionTime, serial),
	}, nil)}
}

// fill appends records of so many sessions in turns: a Start, Interim-Updates, a Stop.
func (s *store) fill(at time.Time, records, sessions int) {
	for n := range records {
		serial := n / sessions
		status := accounting.InterimUpdate
		switch {
		case serial == 0:
			status = accounting.Start
		case n+sessions >= records:
			status = accounting.Stop
		}
		s.append(record(at, status, fmt.Sprintf("s%d", n%sessions), uint32(serial)))
	}
}

// logbook keeps what was logged.
type logbook struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logbook) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// kit is a Collector that a test runs.
type kit struct {
	*Collector
	t     testing.TB
	store *store
	log   *logbook
	end   context.CancelFunc
	ended chan struct{}
}

func newKit(t testing.TB, s *store, o Options) *kit {
	t.Helper()
	k := &kit{t: t, store: s, log: &logbook{}}
	o.Name, o.Queue, o.Cursors = "billing", s, s
	o.Logger = slog.New(slog.NewTextHandler(k.log, nil))
	o.Registerer = prometheus.NewRegistry()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	k.Collector = c
	return k
}

func (k *kit) start() *kit {
	ctx, cancel := context.WithCancel(context.Background())
	k.end, k.ended = cancel, make(chan struct{})
	go func() {
		k.Run(ctx)
		close(k.ended)
	}()
	k.t.Cleanup(k.stop)
	return k
}

func (k *kit) stop() {
	k.end()
	<-k.ended
}

// state is State without an error.
func (k *kit) state() State {
	k.t.Helper()
	s, err := k.State(context.Background())
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

// until waits for something to become true.
func (k *kit) until(what string, is func() bool) {
	k.t.Helper()
	for deadline := time.Now().Add(patienceOfTests); !is(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			k.log.mu.Lock()
			defer k.log.mu.Unlock()
			k.t.Fatalf("it does not come to this: %s\n%+v\n%s", what, k.state(), k.log.text.String())
		}
	}
}

func (k *kit) untilDone() {
	k.t.Helper()
	k.until("all is done", func() bool { return k.state().Waiting == 0 })
}

// peer is an accounting server that does what a test wants.
type peer struct {
	t      testing.TB
	conn   *net.UDPConn
	secret packet.Secret

	mu     sync.Mutex
	answer func(*arrival) bool
	delay  time.Duration
	got    []arrival // what was answered
	heard  int
}

// arrival is a request that came.
type arrival struct {
	session    string
	serial     uint32
	status     uint32
	delay      uint32
	delayed    bool
	identifier uint8
	from       netip.AddrPort
}

func newPeer(t testing.TB) *peer {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetReadBuffer(4 << 20)
	p := &peer{t: t, conn: conn, secret: secret}
	var loop sync.WaitGroup
	loop.Go(p.serve)
	t.Cleanup(func() { _ = conn.Close(); loop.Wait() })
	return p
}

func (p *peer) server() Server {
	return Server{Address: p.conn.LocalAddr().(*net.UDPAddr).AddrPort(), Secret: secret}
}

func (p *peer) serve() {
	buf := make([]byte, packet.MaxLength)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil {
			p.take(buf[:n], from)
		}
	}
}

func (p *peer) take(datagram []byte, from netip.AddrPort) {
	var r packet.Request
	var scratch packet.Scratch
	if err := r.Parse(datagram); err != nil || r.Code != packet.AccountingRequest || !scratch.VerifyAccountingRequest(secret, &r) {
		p.t.Errorf("what came is no Accounting-Request: %v %v", r.Code, err)
		return
	}
	a := arrival{session: string(r.AcctSessionID), status: r.AcctStatusType(), identifier: r.Identifier, from: from}
	for t, value := range r.Attributes() {
		switch t {
		case packet.AcctSessionTime:
			a.serial = binary.BigEndian.Uint32(value)
		case packet.AcctDelayTime:
			a.delay, a.delayed = binary.BigEndian.Uint32(value), true
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.heard++
	if p.answer != nil && !p.answer(&a) {
		return
	}
	p.got = append(p.got, a)
	var b packet.Builder
	b.Begin(packet.AccountingResponse, r.Identifier, nil, packet.Off)
	wire, err := scratch.Sign(p.secret, &b, &r.Authenticator)
	if err != nil {
		p.t.Error(err)
		return
	}
	time.AfterFunc(p.delay, func() { _, _ = p.conn.WriteToUDPAddrPort(wire, from) })
}

// answers sets what is answered: all when nil.
func (p *peer) answers(answer func(*arrival) bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

func (p *peer) arrivals() []arrival {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]arrival(nil), p.got...)
}

// requests is how many came, repeats and what was not answered among them.
func (p *peer) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.heard
}

func never(*arrival) bool { return false }

// inOrder verifies that each session's records came first in their order, and tells how
// many there were without repeats.
func inOrder(t testing.TB, got []arrival) int {
	t.Helper()
	next := map[string]uint32{}
	n := 0
	for _, a := range got {
		switch {
		case a.serial > next[a.session]:
			t.Fatalf("record %d of session %s came before %d", a.serial, a.session, next[a.session])
		case a.serial == next[a.session]:
			next[a.session]++
			n++
		}
	}
	return n
}
