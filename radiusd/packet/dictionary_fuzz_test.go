package packet

import (
	"bytes"
	"strings"
	"testing"

	"layeh.com/radius"
)

// FuzzDictionaryLoad: any text is loaded or refused with the name of a file, and
// a dictionary that has loaded it encodes and formats what it says it knows.
func FuzzDictionaryLoad(f *testing.F) {
	for _, name := range []string{"rfc", "microsoft"} {
		text, err := builtin.ReadFile("dictionary/" + name)
		must(f, err)
		f.Add(string(text), "")
	}
	for _, text := range []string{
		"$INCLUDE b\n", "$INCLUDE a\n", "$INCLUDE- c\nBEGIN-VENDOR Cisco\n$INCLUDE b\nEND-VENDOR Cisco\n",
		"VENDOR W 5 format=2,2\nBEGIN-VENDOR W\nATTRIBUTE A 0x1234 octets[3] has_tag\nVALUE A b 0xff\nEND-VENDOR W\n",
		"VENDOR W 5 format=1,1,c\nVENDOR X 0x5 format=1,1\nBEGIN-VENDOR W\nBEGIN-TLV X\nATTRIBUTE A .1 string\nEND-TLV X\nEND-VENDOR W\n",
	} {
		f.Add(text, "ATTRIBUTE Mine 250 uint32 encrypt=1,has_tag,array\nFLAGS internal\n")
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		d := emptyDictionary()
		must(t, d.Load("cisco", files{"cisco": "VENDOR Cisco 9\nBEGIN-VENDOR Cisco\nATTRIBUTE Cisco-AVPair 1 string\nEND-VENDOR Cisco\n"}.open))
		if err := d.Load("a", files{"a": a, "b": b}.open); err != nil {
			if !strings.HasPrefix(err.Error(), "reading dictionary ") || strings.ContainsAny(err.Error()[:20], "\n") {
				t.Fatalf("error %q", err)
			}
			return
		}
		for name, def := range d.byName {
			for _, value := range []string{"1", "0x01", "192.0.2.1", "text"} {
				encoded, err := d.Encode(name, value)
				if err == nil {
					checkEncoded(t, d, def, encoded)
				}
			}
		}
	})
}

// checkEncoded: what was encoded is one attribute with the number of its
// definition, and no other name is given to it than that of the definition or a
// later one.
func checkEncoded(t *testing.T, d *Dictionary, def *definition, encoded []byte) {
	t.Helper()
	attributes, err := radius.ParseAttributes(encoded)
	if err != nil || len(attributes) != 1 {
		t.Fatalf("%s is encoded as %x: %d attributes, %v", def.Name, encoded, len(attributes), err)
	}
	lines := d.Format(encoded)
	name, _, _ := strings.Cut(d.byNumber[def.number].Name+":", ":")
	if len(lines) != 1 || !strings.HasPrefix(lines[0], name) {
		t.Fatalf("%s, encoded as %x, is formatted as %q", def.Name, encoded, lines)
	}
}

// FuzzEncode: what is encoded is formatted so that it is encoded the same again.
func FuzzEncode(f *testing.F) {
	d := NewDictionary()
	must(f, d.Load("own", files{"own": `
ATTRIBUTE My-Byte 200 byte
ATTRIBUTE My-Short 201 short
ATTRIBUTE My-Large 202 integer64
ATTRIBUTE My-Signed 203 signed
ATTRIBUTE My-Date 204 date
ATTRIBUTE My-Net 205 ipv4prefix
ATTRIBUTE My-MAC 206 ether
ATTRIBUTE My-Filter 207 abinary
ATTRIBUTE My-Tagged-Octets 208 octets has_tag
`}.open))
	for _, seed := range [][2]string{
		{"Filter-Id", "a b"}, {"Class", "0x00ff"}, {"Class", "0x3078"}, {"Tunnel-Type:1", "VLAN"}, {"tunnel-private-group-id:31", "\x01"},
		{"Framed-IPv6-Prefix", "2001:db8::/56"}, {"Framed-Interface-Id", "1:2:3:4"}, {"Framed-IP-Address", "192.0.2.1"},
		{"Service-Type", "login"}, {"Cisco-AVPair", "a=b"}, {"My-Byte", "255"}, {"My-Short", "0xffff"}, {"My-Large", "18446744073709551615"},
		{"My-Signed", "-1"}, {"My-Date", "2026-01-02T03:04:05Z"}, {"My-Net", "192.0.2.0/24"}, {"My-MAC", "00:00:5e:00:53:01"},
		{"My-Filter", "0x01"}, {"My-Tagged-Octets:1", "0x1f00"}, {"My-Tagged-Octets", "\x1f"}, {"User-Password", "x"}, {"Group-Name", "x"},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		encoded, err := d.Encode(name, value)
		if err != nil {
			if encoded != nil || !strings.HasPrefix(err.Error(), "attribute ") {
				t.Fatalf("%x, error %q", encoded, err)
			}
			return
		}
		lines := d.Format(encoded)
		if len(lines) != 1 {
			t.Fatalf("Encode(%q, %q) = %x, formatted as %q", name, value, encoded, lines)
		}
		again, shown, _ := strings.Cut(lines[0], " = ")
		if strings.HasPrefix(shown, `"`) {
			return // quoted, since it cannot be seen
		}
		if got, err := d.Encode(again, shown); err != nil || !bytes.Equal(got, encoded) {
			t.Fatalf("Encode(%q, %q) = %x, formatted as %q, encoded as %x, %v", name, value, encoded, lines[0], got, err)
		}
	})
}

// FuzzFormat: any octets are formatted, a line for each attribute at least, with
// nothing in them that a terminal would obey.
func FuzzFormat(f *testing.F) {
	d := NewDictionary()
	must(f, d.Load("own", files{"own": "VENDOR Wide 50001 format=2,2\nVENDOR Bare 50002 format=4,0\nVENDOR Short 50003 format=1,0\n"}.open))
	for _, wire := range []string{
		"0b0361 1b06000000ff", "1a0c 00003044 6303ff 010361", "1a09 0000c352 000001", "1a0a 0000c351 00010004", "1a08 0000c353 0161",
		"4006 2000000d 5102 510301 6104 0081 0b00", "1a06 00000000 1a05 000000", "0203ff 1a09 00000137 1003ff",
	} {
		f.Add(unhex(f, wire))
	}
	f.Fuzz(func(t *testing.T, attributes []byte) {
		before := bytes.Clone(attributes)
		lines := d.Format(attributes)
		if !bytes.Equal(before, attributes) {
			t.Fatal("the attributes were written to")
		}
		if parsed, err := radius.ParseAttributes(attributes); err == nil && len(lines) < len(parsed) {
			t.Fatalf("%d attributes in %d lines", len(parsed), len(lines))
		}
		for _, line := range lines {
			if !visible(line) {
				t.Fatalf("line %q", line)
			}
		}
	})
}
