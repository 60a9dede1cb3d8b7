package packet

import (
	"bytes"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/vendors/microsoft"
)

// TestOpenMPPEKeys opens keys that we have hidden, and such of another length that layeh's
// package has.
func TestOpenMPPEKeys(t *testing.T) {
	var s Scratch
	octets := []byte(exampleSecret)
	secret, authenticator := NewSecret(octets), [16]byte([]byte("unpredictable 16"))
	open := func(wire []byte, secret Secret) (send, recv, legacy []byte, err error) {
		return s.OpenMPPEKeys(secret, parse(t, wire), &authenticator)
	}
	accept := func(add func(b *Builder)) []byte {
		var b Builder
		b.Begin(AccessAccept, 1, nil, First)
		add(&b)
		wire, err := s.Sign(secret, &b, &authenticator)
		must(t, err)
		return wire
	}

	ours := accept(func(b *Builder) {
		s.AddMPPEKeys(b, secret, &authenticator, 0x1234, [16]byte{1, 2}, [16]byte{3, 4})
		s.AddMSCHAPKeys(b, secret, &authenticator, [24]byte{5, 6, 23: 7})
	})
	send, recv, legacy, err := open(ours, secret)
	must(t, err)
	equal(t, "send key", send, append([]byte{1, 2}, make([]byte, 14)...))
	equal(t, "receive key", recv, append([]byte{3, 4}, make([]byte, 14)...))
	equal(t, "MS-CHAP keys", legacy, append(append([]byte{5, 6}, make([]byte, 21)...), 7))
	if again := parse(t, ours); !bytes.Equal(again.packet, ours) {
		t.Error("the reply was written to")
	}

	p := radius.New(radius.CodeAccessAccept, octets)
	p.Authenticator = authenticator
	must(t, microsoft.MSMPPESendKey_Add(p, bytes.Repeat([]byte{9}, 32)))
	must(t, microsoft.MSMPPERecvKey_Add(p, []byte{8}))
	wire, err := p.MarshalBinary()
	must(t, err)
	send, recv, legacy, err = open(wire, secret)
	if err != nil || !bytes.Equal(send, bytes.Repeat([]byte{9}, 32)) || !bytes.Equal(recv, []byte{8}) || legacy != nil {
		t.Errorf("layeh's keys are %x, %x, %x, %v", send, recv, legacy, err)
	}

	if send, recv, legacy, err := open(accept(func(*Builder) {}), secret); send != nil || recv != nil || legacy != nil || err != nil {
		t.Errorf("without keys: %x, %x, %x, %v", send, recv, legacy, err)
	}
	for name, wire := range map[string][]byte{
		"short send key":       accept(func(b *Builder) { b.AddVendor(VendorMicrosoft, msMPPESendKey, []byte{0x80, 1, 2}) }),
		"receive key unsalted": accept(func(b *Builder) { b.AddVendor(VendorMicrosoft, msMPPERecvKey, make([]byte, 34)) }),
		"short MS-CHAP keys":   accept(func(b *Builder) { b.AddVendor(VendorMicrosoft, msCHAPMPPEKeys, make([]byte, 24)) }),
	} {
		if send, recv, legacy, err := open(wire, secret); err == nil || send != nil || recv != nil || legacy != nil {
			t.Errorf("%s: %x, %x, %x", name, send, recv, legacy)
		}
	}
	if _, _, _, err := open(ours, Secret{}); err == nil {
		t.Error("opened without a secret")
	}
	if send, _, legacy, err := open(ours, NewSecret([]byte("another"))); err == nil && (bytes.Equal(send, append([]byte{1, 2}, make([]byte, 14)...)) || legacy[0] == 5 && legacy[1] == 6) {
		t.Error("opened with another secret")
	}
}
