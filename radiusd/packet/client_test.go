package packet

import (
	"testing"
)

// TestClientAddresses: what tells of the client is read where it makes sense,
// and never a reason to refuse the packet.
func TestClientAddresses(t *testing.T) {
	const none = ""
	for _, test := range []struct {
		name, attributes            string
		endpoint, address, address6 string // in hex; none is absent
	}{
		{"absent", "0103 61", none, none, none},
		{"text without tag", "42 0b" + hexOf([]byte("192.0.2.1")), hexOf([]byte("192.0.2.1")), none, none},
		{"tag 0", "42 05 00 3161", "3161", none, none},
		{"tag 1f, the largest", "42 05 1f 3161", "3161", none, none},
		{"20, a space, is text", "42 05 20 3161", "203161", none, none},
		{"only one tag is taken away", "42 05 01 0131", "0131", none, none},
		{"ff is text", "42 03 ff", "ff", none, none},
		{"empty", "42 02", none, none, none},
		{"a tag alone", "42 03 01", none, none, none},
		{"the first that is not empty counts", "4202 420301 42040131 42040232", "31", none, none},
		{"IPv4", "08 06 c0000201", none, "c0000201", none},
		{"the first IPv4 counts", "0806c0000201 0806c0000202", none, "c0000201", none},
		{"IPv4 of 3 and of 5 octets", "0805c00002 0807c000020100 0806c0000202", none, "c0000202", none},
		{"IPv4 that the NAS is to choose", "0806ffffffff 0806fffffffe 080600000000 0806fffffffd", none, "fffffffd", none},
		{"IPv6", "a812 20010db8000000000000000000000001", none, none, "20010db8000000000000000000000001"},
		{"IPv6 of 4 octets, and none", "a806c0000201 a81200000000000000000000000000000000 a81220010db8000000000000000000000001", none, none,
			"20010db8000000000000000000000001"},
		{"all of them, odd", "4202 0802 a802 4203ff 0803ff a803ff", "ff", none, none},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := parse(t, datagram(t, AccessRequest, test.attributes))
			for _, field := range []struct {
				name string
				got  []byte
				want string
			}{
				{"TunnelClientEndpoint", r.TunnelClientEndpoint, test.endpoint},
				{"FramedIPAddress", r.FramedIPAddress, test.address},
				{"FramedIPv6Address", r.FramedIPv6Address, test.address6},
			} {
				if (field.got == nil) != (field.want == none) {
					t.Errorf("%s is %x", field.name, field.got)
				}
				equal(t, field.name, field.got, unhex(t, field.want))
			}
		})
	}
}

func TestVendorValues(t *testing.T) {
	const cisco = " 00000009 "
	for _, test := range []struct {
		name, attributes string
		want             []string // of Cisco-AVPair, in hex
	}{
		{"absent", "010361", nil},
		{"one", "1a 09" + cisco + "01 03 61", []string{"61"}},
		{"empty", "1a 08" + cisco + "01 02", []string{""}},
		{"several in one", "1a 0f" + cisco + "01 03 61  02 03 ff  01 03 62", []string{"61", "62"}},
		{"several in several", "1a09" + cisco + "010361 010378 1a09" + cisco + "010362", []string{"61", "62"}},
		{"other vendors", "1a09 0000000a 010361 1a09 01000009 010361", nil},
		{"other attribute", "1a09" + cisco + "020361", nil},
		{"after too short a Vendor-Specific", "1a02 1a05000009 1a09" + cisco + "010361", []string{"61"}},
		{"vendor alone", "1a06" + cisco, nil},
		{"type alone", "1a07" + cisco + "01", nil},
		{"length 0", "1a08" + cisco + "0100", nil},
		{"length 1", "1a08" + cisco + "0101", nil},
		{"overrun", "1a09" + cisco + "010461", nil},
		{"good, then overrun, then good", "1a0c" + cisco + "010361 01ff62 1a09" + cisco + "010363", []string{"61", "63"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := parse(t, datagram(t, AccessRequest, test.attributes))
			var got []string
			for value := range r.VendorValues(VendorCisco, CiscoAVPair) {
				if value == nil || cap(value) != len(value) {
					t.Errorf("value %x, capacity %d", value, cap(value))
				}
				got = append(got, hexOf(value))
			}
			if len(got) != len(test.want) {
				t.Fatalf("values %q, want %q", got, test.want)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("values %q, want %q", got, test.want)
				}
			}
			first := r.VendorValue(VendorCisco, CiscoAVPair)
			if (first == nil) != (len(got) == 0) || first != nil && hexOf(first) != got[0] {
				t.Errorf("the first value is %x", first)
			}
		})
	}
	var r Request
	if r.VendorValue(VendorCisco, CiscoAVPair) != nil || r.Parse([]byte{1}) == nil || r.VendorValue(VendorCisco, CiscoAVPair) != nil {
		t.Error("a value without a packet")
	}
}

// gatewayRequest is what an ASA tells of its client.
func gatewayRequest(t testing.TB) []byte {
	attributes := "010361 1f0b" + hexOf([]byte("192.0.2.1")) + "420c00" + hexOf([]byte("192.0.2.1"))
	for _, pair := range []string{"mdm-tlv=device-platform=win", "mdm-tlv=device-mac=00-00-5e-00-53-01", "ip:source-ip=192.0.2.1"} {
		attributes += hexOf([]byte{26, byte(8 + len(pair)), 0, 0, 0, 9, 1, byte(2 + len(pair))}) + hexOf([]byte(pair))
	}
	return datagram(t, AccessRequest, attributes)
}

func BenchmarkParseGateway(b *testing.B) {
	wire := gatewayRequest(b)
	var r Request
	b.ReportAllocs()
	for b.Loop() {
		if r.Parse(wire) != nil {
			b.Fatal("refused")
		}
	}
}

func BenchmarkVendorValues(b *testing.B) {
	r := parse(b, gatewayRequest(b))
	b.ReportAllocs()
	for b.Loop() {
		n := 0
		for value := range r.VendorValues(VendorCisco, CiscoAVPair) {
			n += len(value)
		}
		if n == 0 {
			b.Fatal("none")
		}
	}
}

func BenchmarkVendorValueAbsent(b *testing.B) {
	r := parse(b, loginRequest(b, NewSecret([]byte(exampleSecret))))
	b.ReportAllocs()
	for b.Loop() {
		if r.VendorValue(VendorPaloAlto, PaloAltoClientSourceIP) != nil {
			b.Fatal("one")
		}
	}
}
