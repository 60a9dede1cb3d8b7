package remote

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/radiusd/packet"
	"countersign/radiusd/remote/remotetest"
)

const sharedSecret = remotetest.Secret

func secret() packet.Secret { return packet.NewSecret([]byte(sharedSecret)) }

// kit is a Client under test, with its log and metrics.
type kit struct {
	*Client
	testing.TB
	log      *transcript
	registry *prometheus.Registry
}

// transcript keeps what is logged, and has tests wait for it.
type transcript struct {
	mu    sync.Mutex
	text  string
	lines chan string
}

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.text += string(b)
	tr.lines <- string(b)
	return len(b), nil
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.text
}

// newKit makes a Client of the options, whose servers it adds.
func newKit(t testing.TB, o Options, addresses ...string) *kit {
	t.Helper()
	k := &kit{TB: t, log: &transcript{lines: make(chan string, 10000)}, registry: prometheus.NewRegistry()}
	for _, address := range addresses {
		o.Servers = append(o.Servers, Server{Address: address, Secret: secret()})
	}
	o.Logger, o.Registerer = slog.New(slog.NewTextHandler(k.log, nil)), k.registry
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second // machines may be slow
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	k.Client = c
	return k
}

// run has the watchdogs run until the end of the test.
func (k *kit) run() *kit {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); k.Run(ctx) }()
	k.Cleanup(func() { cancel(); <-done })
	return k
}

// waitFor waits until a text and an address are logged in one line.
func (k *kit) waitFor(text, address string) {
	k.Helper()
	deadline := time.After(30 * time.Second)
	for {
		select {
		case line := <-k.log.lines:
			if strings.Contains(line, text) && strings.Contains(line, address) {
				return
			}
		case <-deadline:
			k.Fatalf("%q of %s was never logged:\n%s", text, address, k.log)
		}
	}
}

// speaks has a server answer a Status-Server, so that one lost login brings it down.
func (k *kit) speaks(i int) {
	k.Helper()
	if err := k.servers[i].probe(context.Background()); err != nil || !k.States()[i].StatusServer {
		k.Fatalf("it does not speak: %v", err)
	}
}

// verify shows a login and demands an answer.
func (k *kit) verify(l *Login, want packet.Code) Reply {
	k.Helper()
	reply, err := k.Verify(context.Background(), l)
	if err != nil || reply.Code != want {
		k.Fatalf("the answer is %v, %v instead of %v\n%s", reply.Code, err, want, k.log)
	}
	return reply
}

// metric is the value of a counter or gauge with its labels.
func (k *kit) metric(name string) float64 {
	k.Helper()
	families, err := k.registry.Gather()
	if err != nil {
		k.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			if family.GetName()+"{"+strings.Join(labels, ",")+"}" == "countersign_tms_server_"+name {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	k.Fatalf("there is no metric %s", name)
	return 0
}

// peer is a server that answers as a test says.
type peer struct {
	conn *net.UDPConn
	// answer returns the replies to a request.
	answer func(r *packet.Request) [][]byte

	mu       sync.Mutex
	requests [][]byte
}

// newPeer starts a peer. Its answer may be changed between requests.
func newPeer(t testing.TB, answer func(r *packet.Request) [][]byte) *peer {
	t.Helper()
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0")))
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{conn: conn, answer: answer}
	done := make(chan struct{})
	go func() { defer close(done); p.serve() }()
	t.Cleanup(func() { _ = conn.Close(); <-done })
	return p
}

func (p *peer) address() string { return p.conn.LocalAddr().String() }

func (p *peer) serve() {
	buf := make([]byte, packet.MaxLength)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		var r packet.Request
		if r.Parse(buf[:n]) != nil {
			continue
		}
		p.mu.Lock()
		p.requests = append(p.requests, bytes.Clone(buf[:n]))
		answer := p.answer
		p.mu.Unlock()
		for _, reply := range answer(&r) {
			_, _ = p.conn.WriteToUDPAddrPort(reply, from)
		}
	}
}

func (p *peer) change(answer func(r *packet.Request) [][]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = answer
}

// received returns the requests of a kind.
func (p *peer) received(t testing.TB, code packet.Code) []*packet.Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*packet.Request
	for _, wire := range p.requests {
		r := new(packet.Request)
		if err := r.Parse(wire); err != nil {
			t.Fatal(err)
		}
		if r.Code == code {
			all = append(all, r)
		}
	}
	return all
}

// reply makes a reply with attributes, signed by a secret.
func reply(r *packet.Request, code packet.Code, attributes []byte, s packet.Secret, placement packet.Placement) []byte {
	var b packet.Builder
	b.Begin(code, r.Identifier, nil, placement)
	b.AddEncoded(attributes)
	wire, err := new(packet.Scratch).Sign(s, &b, &r.Authenticator)
	if err != nil {
		panic(err)
	}
	return wire
}

// always answers every request alike.
func always(code packet.Code, attributes ...byte) func(*packet.Request) [][]byte {
	return func(r *packet.Request) [][]byte {
		return [][]byte{reply(r, code, attributes, secret(), packet.First)}
	}
}

func silence(*packet.Request) [][]byte { return nil }

// onlyStatus answers Status-Servers and no logins.
func onlyStatus(r *packet.Request) [][]byte {
	if r.Code == packet.StatusServer {
		return always(packet.AccessAccept)(r)
	}
	return nil
}

// onlyLogins is the opposite.
func onlyLogins(r *packet.Request) [][]byte {
	if r.Code == packet.StatusServer {
		return nil
	}
	return always(packet.AccessAccept)(r)
}

// request makes a request of a NAS, parsed.
func request(t testing.TB, code packet.Code, write func(s *packet.Scratch, b *packet.Builder, authenticator *[16]byte)) *packet.Request {
	t.Helper()
	var s packet.Scratch
	var b packet.Builder
	authenticator := [16]byte([]byte("of the NAS's own"))
	b.Begin(code, 7, nil, packet.First)
	write(&s, &b, &authenticator)
	wire, err := s.SignRequest(packet.NewSecret([]byte("the NAS's")), &b, &authenticator)
	if err != nil {
		t.Fatal(err)
	}
	r := new(packet.Request)
	if err := r.Parse(wire); err != nil {
		t.Fatal(err)
	}
	return r
}

func pap(user, passcode string) *Login {
	return &Login{UserName: []byte(user), Passcode: []byte(passcode)}
}

// attribute encodes one attribute.
func attribute(kind packet.Type, value ...byte) []byte { return appendAttribute(nil, kind, value) }
