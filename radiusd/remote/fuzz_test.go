package remote

import (
	"bytes"
	"testing"

	"countersign/radiusd/packet"
)

// unused is a Client that sends nothing.
func unused(t *testing.T) *Client {
	c, err := New(Options{Servers: []Server{{Address: "127.0.0.1:9", Secret: secret()}}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// FuzzReply has a socket take a datagram for the answer to a login, as it is and then
// as the server would have signed it. What is not proved never ends an exchange, and
// what is gives a Reply that the NAS may get.
func FuzzReply(f *testing.F) {
	f.Add([]byte{2, 0, 0, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, datagram []byte) {
		s := unused(t).servers[0]
		place := slot{socket: &socket{pool: &s.pool}}
		x := newExchange(packet.AccessRequest, false)
		x.authenticator = [16]byte([]byte("unpredictable 16"))
		s.pool.expect(place, x)
		tools := new(tools)
		place.socket.take(tools, datagram)
		if x.over {
			t.Fatalf("%x is not proved, and taken", datagram)
		}
		header, err := packet.ParseHeader(datagram)
		if err != nil {
			return
		}
		var b packet.Builder
		b.Begin(header.Code, 0, nil, packet.First)
		b.AddEncoded(datagram[packet.HeaderLength:header.Length])
		signed, err := tools.scratch.Sign(secret(), &b, &x.authenticator)
		if err != nil {
			return
		}
		place.socket.take(tools, signed)
		if !x.over {
			return // two of one attribute, or another code
		}
		r, err := s.read(x)
		if err != nil {
			t.Fatal(err)
		}
		checkReply(t, r)
	})
}

func checkReply(t *testing.T, r Reply) {
	if !answers(r.Code) || r.Code == packet.AccessReject && r.Attributes != nil || (r.Dialog != nil) != (r.Code == packet.AccessChallenge) || len(r.Dialog) > maxDialog {
		t.Fatalf("%v with %x, Dialog %x", r.Code, r.Attributes, r.Dialog)
	}
	if n := len(r.SendKey); n != len(r.RecvKey) || n != 0 && n != 16 || r.MSCHAPKeys != nil && len(r.MSCHAPKeys) != 24 {
		t.Fatalf("keys %x, %x, %x", r.SendKey, r.RecvKey, r.MSCHAPKeys)
	}
	if d, ok := parseDialog(r.Dialog); r.Dialog != nil && (!ok || d.server != identityOf("127.0.0.1:9")) {
		t.Fatalf("Dialog %x", r.Dialog)
	}
	var b packet.Builder
	b.Begin(r.Code, 0, nil, packet.Off)
	b.AddEncoded(r.Attributes)
	wire, err := new(packet.Scratch).Sign(secret(), &b, new([16]byte))
	var p packet.Request
	if err != nil || p.Parse(wire) != nil {
		t.Fatalf("%x is not well formed: %v", r.Attributes, err)
	}
	for kind := range p.Attributes() {
		if treatments[kind] != pass {
			t.Fatalf("the NAS gets an attribute of type %d", kind)
		}
	}
	for vendor, types := range vendorTreatments {
		for kind := range types {
			if p.VendorValue(vendor, kind) != nil {
				t.Fatalf("the NAS gets attribute %d of vendor %d", kind, vendor)
			}
		}
	}
}

// FuzzDialog reads Dialogs. What can be read is written the same again.
func FuzzDialog(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, ok := parseDialog(b)
		if !ok {
			return
		}
		if len(b) > maxDialog || !bytes.Equal(d.append(nil), b) {
			t.Fatalf("%x is read as %+v", b, d)
		}
		if state, ok := unused(t).states.of(d, start); d.kind == namedState && ok || len(state) > maxDialog {
			t.Fatalf("%x has the State %x", b, state)
		}
	})
}
