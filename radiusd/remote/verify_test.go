package remote

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/radiusd/packet"
)

// TestRequest holds what a server gets against what the NAS sent.
func TestRequest(t *testing.T) {
	server := newPeer(t, always(packet.AccessAccept))
	k := newKit(t, Options{}, server.address())
	nas := request(t, packet.AccessRequest, func(s *packet.Scratch, b *packet.Builder, authenticator *[16]byte) {
		b.AddString(packet.UserName, `CORP\alice`)
		s.AddUserPassword(b, packet.NewSecret([]byte("the NAS's")), authenticator, []byte("1234755224"))
		b.AddString(packet.State, "of a dialog with us")
		b.Add(packet.NASIPAddress, []byte{192, 0, 2, 1})
		b.AddString(packet.CallingStationID, "198.51.100.7")
		b.AddVendor(packet.VendorCisco, packet.CiscoAVPair, []byte("ip:source-ip=198.51.100.7"))
		b.AddString(packet.ProxyState, "254")
		b.Add(arapPassword, make([]byte, 16))
	})
	k.verify(&Login{UserName: []byte("alice"), Passcode: []byte("1234755224"), Packet: nas}, packet.AccessAccept)
	k.verify(pap("bob", ""), packet.AccessAccept)

	got := server.received(t, packet.AccessRequest)
	r := got[0]
	var s packet.Scratch
	if !s.VerifyMessageAuthenticator(secret(), r) || r.MessageAuthenticator != 22 {
		t.Errorf("the Message-Authenticator is wrong, or at %d", r.MessageAuthenticator)
	}
	passcode, err := s.UserPassword(nil, secret(), &r.Authenticator, r.UserPassword)
	if err != nil || string(passcode) != "1234755224" || string(r.UserName) != "alice" {
		t.Errorf("user %q, passcode %q, %v", r.UserName, passcode, err)
	}
	if r.State != nil || r.ProxyStates != 0 || r.Authenticator == nas.Authenticator || r.NASIdentifier != nil {
		t.Errorf("what is of one hop went on: %+v", r)
	}
	if !bytes.Equal(r.NASIPAddress, nas.NASIPAddress) || string(r.CallingStationID) != "198.51.100.7" ||
		string(r.VendorValue(packet.VendorCisco, packet.CiscoAVPair)) != "ip:source-ip=198.51.100.7" {
		t.Errorf("what the NAS says did not go on: %+v", r)
	}
	for kind := range r.Attributes() {
		if kind == arapPassword {
			t.Error("another credential went on")
		}
	}
	if string(got[1].NASIdentifier) != "countersign" || len(got[1].UserPassword) != 16 {
		t.Errorf("without a packet: NAS-Identifier %q, %d octets of password", got[1].NASIdentifier, len(got[1].UserPassword))
	}
}

// TestCHAPWithoutChallenge: the NAS's Request Authenticator was the challenge, and ours is
// another.
func TestCHAPWithoutChallenge(t *testing.T) {
	server := newPeer(t, always(packet.AccessAccept))
	k := newKit(t, Options{}, server.address())
	nas := request(t, packet.AccessRequest, func(s *packet.Scratch, b *packet.Builder, authenticator *[16]byte) {
		s.AddCHAPPassword(b, 3, []byte("1234755224"), authenticator[:])
	})
	k.verify(&Login{UserName: []byte("alice"), Packet: nas}, packet.AccessAccept)
	id, challenge, response, ok := server.received(t, packet.AccessRequest)[0].CHAP()
	if !ok || !new(packet.Scratch).CHAPMatches(id, []byte("1234755224"), challenge, response) {
		t.Error("the server cannot verify the response")
	}
}

// TestRequestsThatCannotBe are lost, whatever the servers are.
func TestRequestsThatCannotBe(t *testing.T) {
	server := newPeer(t, always(packet.AccessAccept))
	k := newKit(t, Options{}, server.address())
	eap := request(t, packet.AccessRequest, func(_ *packet.Scratch, b *packet.Builder, _ *[16]byte) { b.Add(packet.EAPMessage, []byte{2}) })
	full := request(t, packet.AccessRequest, func(_ *packet.Scratch, b *packet.Builder, _ *[16]byte) {
		for range 16 {
			b.Add(packet.ReplyMessage, make([]byte, 250))
		}
		b.Add(packet.UserPassword, make([]byte, 16))
	})
	for name, l := range map[string]*Login{
		"EAP":               {UserName: []byte("alice"), Packet: eap},
		"too long a name":   pap(strings.Repeat("a", 254), "x"),
		"too long a packet": {UserName: bytes.Repeat([]byte("a"), 200), Packet: full},
		"too long a code":   pap("alice", strings.Repeat("1", 129)),
	} {
		if _, err := k.Verify(context.Background(), l); !errors.Is(err, ErrLost) || !errors.Is(err, errUnsendable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(server.received(t, packet.AccessRequest)); n != 0 || !k.States()[0].Up {
		t.Errorf("%d were sent, %+v", n, k.States())
	}
	k.verify(pap("alice", "x"), packet.AccessAccept)
}

// TestRepliesThatDoNotCount come before the right one.
func TestRepliesThatDoNotCount(t *testing.T) {
	other := packet.NewSecret([]byte("another"))
	wrongMA := func(r *packet.Request) []byte { // the Response Authenticator is right
		var b packet.Builder
		b.Begin(packet.AccessAccept, r.Identifier, nil, packet.Off)
		b.Add(packet.MessageAuthenticator, make([]byte, 16))
		wire, err := new(packet.Scratch).Sign(secret(), &b, &r.Authenticator)
		if err != nil {
			panic(err)
		}
		return wire
	}
	elsewhere := func(r *packet.Request) []byte {
		moved := *r
		moved.Identifier++
		return reply(&moved, packet.AccessAccept, nil, secret(), packet.First)
	}
	for _, test := range []struct {
		name  string
		reply func(r *packet.Request) []byte
		flaw  flaw
	}{
		{"wrong Message-Authenticator", wrongMA, unproved},
		{"wrong secret", func(r *packet.Request) []byte { return reply(r, packet.AccessAccept, nil, other, packet.First) }, unproved},
		{"no Message-Authenticator", func(r *packet.Request) []byte { return reply(r, packet.AccessAccept, nil, secret(), packet.Off) }, unsigned},
		{"another Identifier", elsewhere, unexpected},
		{"another code", func(r *packet.Request) []byte {
			return reply(r, packet.AccountingResponse, nil, secret(), packet.First)
		}, otherCode},
		{"garbage", func(*packet.Request) []byte { return []byte("hello") }, malformed},
		{"bad attributes", func(r *packet.Request) []byte {
			wire := reply(r, packet.AccessAccept, nil, secret(), packet.First)
			wire[21] = 99
			return wire
		}, malformed},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := newPeer(t, func(r *packet.Request) [][]byte {
				right := reply(r, packet.AccessReject, nil, secret(), packet.First)
				return [][]byte{test.reply(r), right}
			})
			k := newKit(t, Options{}, server.address())
			k.verify(pap("alice", "x"), packet.AccessReject)
			label := fmt.Sprintf("ignored_replies_total{reason=%q,server=%q}", test.flaw.String(), server.address())
			if n := k.metric(label); n != 1 {
				t.Errorf("%s is %v", label, n)
			}
		})
	}
}

// TestUnsignedReplies are taken where the administrator says so; they need their
// Response Authenticator, and a Message-Authenticator that is there has to be right.
func TestUnsignedReplies(t *testing.T) {
	server := newPeer(t, func(r *packet.Request) [][]byte {
		forged := reply(r, packet.AccessAccept, nil, packet.NewSecret([]byte("x")), packet.Off)
		return [][]byte{forged, reply(r, packet.AccessReject, nil, secret(), packet.Off)}
	})
	k := newKit(t, Options{UnsignedReplies: true}, server.address())
	k.verify(pap("alice", "x"), packet.AccessReject)

	strict := newKit(t, Options{Timeout: 50 * time.Millisecond}, server.address())
	_, err := strict.Verify(context.Background(), pap("alice", "x"))
	if !errors.Is(err, errUnanswered) || !errors.Is(err, unsigned) {
		t.Errorf("without: %v", err)
	}
}

// TestLateReply comes when the next login is in flight, and is not taken for its answer.
func TestLateReply(t *testing.T) {
	var first *packet.Request
	server := newPeer(t, nil)
	server.change(func(r *packet.Request) [][]byte {
		if first == nil {
			kept := *r
			first = &kept
			return nil
		}
		return [][]byte{reply(first, packet.AccessAccept, nil, secret(), packet.First), reply(r, packet.AccessReject, nil, secret(), packet.First)}
	})
	k := newKit(t, Options{}, server.address())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err := k.Verify(ctx, pap("alice", "1"))
	if !errors.Is(err, ErrLost) || !errors.Is(err, context.DeadlineExceeded) || !k.States()[0].Up {
		t.Fatalf("who cannot wait: %v, %+v", err, k.States())
	}
	k.verify(pap("alice", "2"), packet.AccessReject)
	if n := k.metric(fmt.Sprintf("ignored_replies_total{reason=\"late\",server=%q}", server.address())); n != 1 {
		t.Errorf("%v replies were late", n)
	}
}

// TestCallersWhoGiveUp say nothing about the server, unless they gave it the most of its time.
func TestCallersWhoGiveUp(t *testing.T) {
	server := newPeer(t, silence)
	for _, test := range []struct {
		name  string
		limit time.Duration
		want  error
		up    bool
	}{
		{"cancelled", time.Hour, errAbandoned, true},
		{"hasty", 50 * time.Millisecond, errAbandoned, true},
		{"patient", 900 * time.Millisecond, errUnanswered, false},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), test.limit)
		server.change(func(*packet.Request) [][]byte {
			if test.name == "cancelled" {
				cancel()
			}
			return nil
		})
		k := newKit(t, Options{Timeout: time.Second}, server.address())
		k.servers[0].health.lost = lossesToFall - 1
		_, err := k.Verify(ctx, pap("alice", "1"))
		if !errors.Is(err, test.want) || !errors.Is(err, context.Cause(ctx)) || errors.Is(err, ErrLost) != test.up || k.States()[0].Up != test.up {
			t.Errorf("%s: %v, %+v", test.name, err, k.States())
		}
		if text := err.Error(); !test.up && (!strings.Contains(text, "no answer within ") || strings.Contains(text, "deadline")) {
			t.Errorf("%s: %v", test.name, err)
		}
		cancel()
	}
}

// TestRefusedAmongOthers: only the login that was refused goes to the next server, and
// not the one before it that was received.
func TestRefusedAmongOthers(t *testing.T) {
	arrived := make(chan struct{})
	dying := newPeer(t, func(*packet.Request) [][]byte { close(arrived); return nil })
	second := newPeer(t, always(packet.AccessAccept))
	k := newKit(t, Options{Timeout: time.Second}, dying.address(), second.address())
	lost := make(chan error)
	go func() {
		_, err := k.Verify(context.Background(), pap("alice", "1"))
		lost <- err
	}()
	<-arrived
	_ = dying.conn.Close() // it has read the first
	k.verify(pap("bob", "2"), packet.AccessAccept)
	if err := <-lost; !errors.Is(err, ErrLost) || !errors.Is(err, errUnanswered) {
		t.Errorf("the first login: %v", err)
	}
	for _, r := range second.received(t, packet.AccessRequest) {
		if string(r.UserName) != "bob" {
			t.Errorf("%s was sent twice", r.UserName)
		}
	}
	if states := k.States(); states[0].Up || !states[1].Up {
		t.Errorf("%+v", states)
	}
}

// TestRefusedIsTheVeryDatagram: an ICMP error about an old request does not end the one
// that has its Identifier now, which was received. It would go to the next server.
func TestRefusedIsTheVeryDatagram(t *testing.T) {
	k := newKit(t, Options{}, newPeer(t, silence).address())
	p := &k.servers[0].pool
	place, err := p.take(k.servers[0].at, start)
	if err != nil {
		t.Fatal(err)
	}
	x := newExchange(packet.AccessRequest, false)
	x.authenticator = [packet.AuthenticatorLength]byte([]byte("of this request."))
	p.expect(place, x)
	came := func(identifier byte, authenticator string) []byte {
		return append([]byte{byte(packet.AccessRequest), identifier, 0, 50}, authenticator...)
	}
	for what, datagram := range map[string][]byte{
		"another authenticator": came(place.identifier, "of an older one."),
		"another Identifier":    came(place.identifier+1, "of this request."),
		"too little of it":      came(place.identifier, "of this request"),
		"nothing":               nil,
	} {
		if place.socket.refuse(datagram, syscall.ECONNREFUSED); x.over {
			t.Fatalf("%s: it is over: %v", what, x.err)
		}
	}
	place.socket.refuse(came(place.identifier, "of this request."), syscall.ECONNREFUSED)
	if !x.over || !errors.Is(x.err, errNotReceived) || !errors.Is(x.err, syscall.ECONNREFUSED) {
		t.Errorf("refused itself: %v, %v", x.over, x.err)
	}
}

// TestNobodyListens is about every server being refused, over both families.
func TestNobodyListens(t *testing.T) {
	free := func(host string) string {
		conn, err := net.ListenPacket("udp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.LocalAddr().String()
	}
	k := newKit(t, Options{}, free("127.0.0.1"), free("[::1]"))
	_, err := k.Verify(context.Background(), pap("alice", "1"))
	if !errors.Is(err, errNotReceived) || errors.Is(err, ErrLost) {
		t.Errorf("refused: %v", err)
	}
	err = k.Probe(context.Background())
	if !errors.Is(err, errNotReceived) || strings.Contains(err.Error(), "\n") || strings.Count(err.Error(), "; Status-Server to ") != 1 {
		t.Errorf("nobody answers a Status-Server, and Probe says %v", err)
	}
}

// TestNames are looked up when they are needed, and again while the server is down.
func TestNames(t *testing.T) {
	_, port, _ := net.SplitHostPort(newPeer(t, always(packet.AccessAccept)).address())
	k := newKit(t, Options{}, "localhost:"+port)
	k.verify(pap("alice", "1"), packet.AccessAccept)

	k = newKit(t, Options{}, "tms.invalid:1812")
	if _, err := k.Verify(context.Background(), pap("alice", "1")); !errors.Is(err, errNotReceived) || k.States()[0].Up {
		t.Errorf("a name that is not known: %v, %+v", err, k.States())
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	good := Server{Address: "127.0.0.1:1812", Secret: secret()}
	for want, servers := range map[string][]Server{
		"no RADIUS servers":                          nil,
		"host:port":                                  {{Address: "127.0.0.1", Secret: secret()}},
		"a port of 1 to 65535":                       {{Address: "127.0.0.1:0", Secret: secret()}},
		"a host and a port":                          {{Address: ":1812", Secret: secret()}},
		"needs a shared secret":                      {{Address: "127.0.0.1:1812"}},
		`"127.0.0.1:1812" of the TMS is given twice`: {good, good},
	} {
		if _, err := New(Options{Servers: servers}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v instead of %q", err, want)
		}
	}
}

// TestNothingSecretIsPrinted plants what must not be seen and looks for it.
func TestNothingSecretIsPrinted(t *testing.T) {
	const planted = "planted"
	l := Login{UserName: []byte("alice"), Passcode: []byte(planted), Dialog: []byte(planted)}
	r := Reply{SendKey: []byte(planted), RecvKey: []byte(planted), MSCHAPKeys: []byte(planted), Dialog: []byte(planted)}
	s := Server{Address: "a:1", Secret: packet.NewSecret([]byte(planted))}
	var out bytes.Buffer
	for _, v := range []any{l, &l, r, &r, s, &s, struct{ L *Login }{&l}, []Reply{r}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		if b, err := json.Marshal(v); err == nil {
			out.Write(b)
		}
		slog.New(slog.NewTextHandler(&out, nil)).Info("x", "v", v)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "v", v)
	}
	for _, form := range []string{planted, fmt.Sprintf("%x", planted), fmt.Sprint([]byte(planted)), "cGxhbnRlZA"} {
		if strings.Contains(out.String(), form) {
			t.Errorf("%q is printed", form)
		}
	}
}
