package packet

import (
	"bytes"
	"testing"
)

// TestEncodedAttributes: what Request.Attributes yields of a packet, this does of what is
// behind its header.
func TestEncodedAttributes(t *testing.T) {
	for _, test := range []struct {
		encoded string
		want    string // type, length and value of what is yielded
	}{
		{"", ""}, {"\x01", ""}, {"\x01\x02", "\x01\x02"}, {"\x01\x03a\x28\x06\x00\x00\x00\x01", "\x01\x03a\x28\x06\x00\x00\x00\x01"},
		{"\x01\x03a\x28", "\x01\x03a"}, {"\x01\x03a\x28\x01", "\x01\x03a"}, {"\x01\x03a\x28\x04x", "\x01\x03a"}, {"\x00\x00\x01\x02", ""},
	} {
		var got []byte
		for at, value := range EncodedAttributes([]byte(test.encoded)) {
			got = append(got, byte(at), byte(2+len(value)))
			got = append(got, value...)
			if cap(value) != len(value) {
				t.Errorf("%q: appending to a value overwrites the next", test.encoded)
			}
		}
		if string(got) != test.want {
			t.Errorf("%q: %q, want %q", test.encoded, got, test.want)
		}
	}
	for range EncodedAttributes([]byte("\x01\x02\x01\x02")) {
		break // ends without more ado
	}
}

// TestSignDisconnectRequest: it is signed as an Accounting-Request is (RFC 5176 section
// 2.3), and its Message-Authenticator before that, with zeros in the header.
func TestSignDisconnectRequest(t *testing.T) {
	secret := NewSecret([]byte("xyzzy5461"))
	var b Builder
	var s Scratch
	b.Begin(DisconnectRequest, 7, nil, First)
	b.AddString(UserName, "nemo")
	signed, err := s.SignRequest(secret, &b, nil)
	must(t, err)
	var r Request
	must(t, r.Parse(bytes.Clone(signed)))
	if !s.VerifyAccountingRequest(secret, &r) {
		t.Error("the Request Authenticator is wrong")
	}
	r.Authenticator = [AuthenticatorLength]byte{}
	if !s.VerifyMessageAuthenticator(secret, &r) {
		t.Error("the Message-Authenticator is wrong")
	}
}
