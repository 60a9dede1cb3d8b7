package radiustest

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
)

func dial(t *testing.T, server *responder) *NAS {
	t.Helper()
	nas, err := Dial(server.addr, testSecret, netip.MustParseAddrPort("127.0.0.2:0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nas.Close() })
	return nas
}

func access(t *testing.T, nas *NAS, user, passcode string) *radius.Packet {
	t.Helper()
	p, err := nas.AccessRequest(user, NewSecret(passcode))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func exchange(t *testing.T, nas *NAS, request *radius.Packet) Reply {
	t.Helper()
	reply, err := nas.Exchange(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

func TestExchange(t *testing.T) {
	server := respond(t, testSecret, func(user, passcode string) radius.Code {
		if user == "alice" && passcode == "1234755224" {
			return radius.CodeAccessAccept
		}
		return radius.CodeAccessReject
	})
	nas := dial(t, server)
	if got := nas.Addr().Addr(); got != netip.MustParseAddr("127.0.0.2") {
		t.Errorf("source address %v", got)
	}
	good := access(t, nas, "alice", "1234755224")
	reply := exchange(t, nas, good)
	if reply.Code != radius.CodeAccessAccept || reply.Identifier != good.Identifier {
		t.Errorf("code %v, identifier %d", reply.Code, reply.Identifier)
	}
	if !radius.IsAuthenticResponse(reply.Datagram, server.asked()[0], testSecret.Reveal()) {
		t.Error("the reply's datagram is not as it was on the wire")
	}
	if got := exchange(t, nas, access(t, nas, "alice", "1234000000")).Code; got != radius.CodeAccessReject {
		t.Errorf("code %v", got)
	}
	exchange(t, nas, good)
	if asked := server.asked(); !bytes.Equal(asked[0], asked[2]) {
		t.Error("the same packet is not the same datagram")
	}
}

func TestRetransmission(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	nas := dial(t, server)
	nas.Retry = 20 * time.Millisecond
	nas.Requests(Lose, Deliver)
	nas.Replies(Lose, Lose)
	exchange(t, nas, access(t, nas, "u", "p"))
	asked := server.asked()
	if len(asked) < 3 { // more if the machine was slow
		t.Fatalf("%d requests arrived, want 3: two whose replies were lost and one", len(asked))
	}
	for _, datagram := range asked {
		if !bytes.Equal(datagram, asked[0]) {
			t.Error("a retransmission differs")
		}
	}
}

func TestFates(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	nas := dial(t, server)
	nas.Requests(Hold, Repeat, Lose)
	for _, identifier := range []byte{1, 2, 3, 4} {
		p := access(t, nas, "u", "p")
		p.Identifier = identifier
		if err := nas.Send(p); err != nil {
			t.Fatal(err)
		}
	}
	nas.Replies(Hold, Deliver, Repeat)
	var got []byte
	for range 5 {
		b, err := nas.Receive(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b[1])
	}
	var arrived []byte
	for _, b := range server.asked() {
		arrived = append(arrived, b[1])
	}
	if want := []byte{2, 2, 1, 4}; !bytes.Equal(arrived, want) {
		t.Errorf("requests arrived in the order %v, want %v", arrived, want)
	}
	if want := []byte{2, 2, 1, 1, 4}; !bytes.Equal(got, want) {
		t.Errorf("replies arrived in the order %v, want %v", got, want)
	}
}

func TestExchangeTakesNoForgery(t *testing.T) {
	server := respond(t, NewSecret("another secret"), always(radius.CodeAccessAccept))
	nas := dial(t, server)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := nas.Exchange(ctx, access(t, nas, "u", "p")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one of a deadline", err)
	}
}

func TestReceiveStopsWithItsContext(t *testing.T) {
	nas := dial(t, respond(t, testSecret, always(0)))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := nas.Receive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want one of a cancelled context", err)
	}
	// The next one is not touched by it.
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := nas.Receive(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one of a deadline", err)
	}
}

func TestNobodyListens(t *testing.T) {
	nas, err := Dial(netip.MustParseAddrPort("127.0.0.1:47998"), testSecret, netip.AddrPort{})
	if err != nil {
		t.Fatal(err)
	}
	defer nas.Close()
	nas.Retry = 5 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	if _, err := nas.Exchange(ctx, access(t, nas, "u", "p")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want one of a deadline", err)
	}
}

func TestParallel(t *testing.T) {
	server := respond(t, testSecret, always(radius.CodeAccessAccept))
	nas := dial(t, server)
	var requests []*radius.Packet
	for range 200 {
		requests = append(requests, access(t, nas, "u", "p"))
	}
	replies, err := Parallel(t.Context(), server.addr, testSecret, requests)
	if err != nil {
		t.Fatal(err)
	}
	for i, reply := range replies {
		if reply.Packet == nil || reply.Identifier != requests[i].Identifier || reply.Code != radius.CodeAccessAccept {
			t.Errorf("request %d: reply %v", i, reply)
		}
	}
	replies, err = Parallel(t.Context(), netip.AddrPort{}, testSecret, requests[:2])
	if err == nil || len(replies) != 2 || replies[0].Packet != nil {
		t.Errorf("replies %v, error %v; want none and one", replies, err)
	}
}

// The library's own check takes what Encode makes of packets whose Request
// Authenticator is a hash, signed or not.
func TestEncodeAccounting(t *testing.T) {
	nas := dial(t, respond(t, testSecret, always(0)))
	for _, sign := range []bool{false, true} {
		p := radius.New(radius.CodeAccountingRequest, testSecret.Reveal())
		if sign {
			p.Add(attrMessageAuthenticator, make(radius.Attribute, 16))
		}
		if err := rfc2866.AcctSessionID_SetString(p, "a1"); err != nil {
			t.Fatal(err)
		}
		b, err := nas.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		if !radius.IsAuthenticRequest(b, testSecret.Reveal()) {
			t.Errorf("signed %v: wrong Request Authenticator", sign)
		}
	}
}

func TestEncodeFaults(t *testing.T) {
	nas := dial(t, respond(t, testSecret, always(0)))
	p := access(t, nas, "u", "p")
	p.Add(attrMessageAuthenticator, make(radius.Attribute, 16))
	if err := nas.Send(p); err == nil {
		t.Error("two Message-Authenticators were sent")
	}
	p = access(t, nas, "u", "p")
	for range 20 {
		p.Add(rfc2865.ReplyMessage_Type, make(radius.Attribute, 253))
	}
	if err := nas.Send(p); err == nil {
		t.Error("a packet of more than 4096 bytes was sent")
	}
	if _, err := nas.AccessRequest("u", NewSecret(make([]byte, 129))); err == nil {
		t.Error("a passcode of 129 bytes was taken")
	}
}
