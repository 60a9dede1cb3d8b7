package packet

import (
	"bytes"
	"errors"
	"testing"
)

// datagram returns a packet of the given attributes, whose octets are given in
// hex, with a right Length field and a recognizable authenticator.
func datagram(t testing.TB, code Code, attributes string) []byte {
	t.Helper()
	value := unhex(t, attributes)
	length := HeaderLength + len(value)
	d := []byte{byte(code), 7, byte(length >> 8), byte(length)}
	d = append(d, "0123456789abcdef"...)
	return append(d, value...)
}

// vsa returns in hex a Vendor-Specific attribute of Microsoft's that holds one
// vendor attribute of n octets of 0x41.
func vsa(kind byte, n int) string {
	value := []byte{26, byte(8 + n), 0, 0, 1, 0x37, kind, byte(2 + n)}
	return hexOf(append(value, bytes.Repeat([]byte{0x41}, n)...))
}

// attr returns in hex an attribute of n octets of 0x41.
func attr(kind Type, n int) string {
	return hexOf(append([]byte{byte(kind), byte(2 + n)}, bytes.Repeat([]byte{0x41}, n)...))
}

func TestParseRefuses(t *testing.T) {
	for _, test := range []struct {
		name       string
		attributes string
		want       Malformation
	}{
		{"attribute of length 0", "0100", BadAttributeLength},
		{"attribute of length 1", "0101", BadAttributeLength},
		{"attribute type alone", "01", BadAttributeLength},
		{"attribute overruns", "010561", BadAttributeLength},
		{"attribute overruns after a good one", "010361 1804ff", BadAttributeLength},
		{"two User-Name", attr(UserName, 1) + attr(UserName, 1), DuplicateAttribute},
		{"second User-Name after an empty one", attr(UserName, 0) + attr(UserName, 1), DuplicateAttribute},
		{"two User-Password", attr(UserPassword, 16) + attr(UserPassword, 16), DuplicateAttribute},
		{"two CHAP-Password", attr(CHAPPassword, 17) + attr(CHAPPassword, 17), DuplicateAttribute},
		{"two CHAP-Challenge", attr(CHAPChallenge, 16) + attr(CHAPChallenge, 16), DuplicateAttribute},
		{"two State", attr(State, 3) + attr(State, 3), DuplicateAttribute},
		{"two Calling-Station-Id", attr(CallingStationID, 3) + attr(CallingStationID, 3), DuplicateAttribute},
		{"two Called-Station-Id", attr(CalledStationID, 3) + attr(CalledStationID, 3), DuplicateAttribute},
		{"two NAS-Identifier", attr(NASIdentifier, 3) + attr(NASIdentifier, 3), DuplicateAttribute},
		{"two NAS-IP-Address", attr(NASIPAddress, 4) + attr(NASIPAddress, 4), DuplicateAttribute},
		{"two Message-Authenticator", attr(MessageAuthenticator, 16) + attr(MessageAuthenticator, 16), DuplicateAttribute},
		{"two Acct-Session-Id", attr(AcctSessionID, 1) + attr(AcctSessionID, 1), DuplicateAttribute},
		{"empty User-Password", attr(UserPassword, 0), BadUserPasswordLength},
		{"User-Password of 15", attr(UserPassword, 15), BadUserPasswordLength},
		{"User-Password of 17", attr(UserPassword, 17), BadUserPasswordLength},
		{"User-Password of 144", attr(UserPassword, 144), BadUserPasswordLength},
		{"CHAP-Password of 16", attr(CHAPPassword, 16), BadCHAPPasswordLength},
		{"CHAP-Password of 18", attr(CHAPPassword, 18), BadCHAPPasswordLength},
		{"empty CHAP-Challenge", attr(CHAPChallenge, 0), BadAttributeLength},
		{"Message-Authenticator of 15", attr(MessageAuthenticator, 15), BadMessageAuthenticatorLength},
		{"empty Message-Authenticator", attr(MessageAuthenticator, 0), BadMessageAuthenticatorLength},
		{"NAS-IP-Address of 3", attr(NASIPAddress, 3), BadAttributeLength},
		{"NAS-IPv6-Address of 4", attr(NASIPv6Address, 4), BadAttributeLength},
		{"Acct-Status-Type of 2", attr(AcctStatusType, 2), BadAttributeLength},
		{"PAP and CHAP", attr(UserPassword, 16) + attr(CHAPPassword, 17), SeveralCredentials},
		{"PAP and EAP", attr(UserPassword, 16) + attr(EAPMessage, 4), SeveralCredentials},
		{"PAP and MS-CHAPv2", attr(UserPassword, 16) + vsa(11, 16) + vsa(25, 50), SeveralCredentials},
		{"CHAP and MS-CHAP", attr(CHAPPassword, 17) + vsa(11, 8) + vsa(1, 50), SeveralCredentials},
		{"MS-CHAP-Response of 49", vsa(11, 8) + vsa(1, 49), BadMSCHAPLength},
		{"MS-CHAP2-Response of 51", vsa(11, 16) + vsa(25, 51), BadMSCHAPLength},
		{"MS-CHAP2-Response without challenge", vsa(25, 50), BadMSCHAPLength},
		{"MS-CHAP2-Response with the challenge of version 1", vsa(11, 8) + vsa(25, 50), BadMSCHAPLength},
		{"MS-CHAP-Response with the challenge of version 2", vsa(11, 16) + vsa(1, 50), BadMSCHAPLength},
		{"two MS-CHAP-Challenge", vsa(11, 8) + vsa(11, 8), DuplicateAttribute},
		{"MS-CHAP-Challenge overruns", "1a 09 00000137 0b 20 41", BadMSCHAPLength},
		{"MS-CHAP-Challenge without length", "1a 07 00000137 0b", BadMSCHAPLength},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Request
			err := r.Parse(datagram(t, AccessRequest, test.attributes))
			if !errors.Is(err, test.want) {
				t.Fatalf("error is %v, want %v", err, test.want)
			}
			if r.Code != AccessRequest || r.Identifier != 7 {
				t.Errorf("header of the refused packet is %+v", r.Header)
			}
			for kind := range r.Attributes() {
				t.Errorf("refused packet yields attribute %d", kind)
			}
			if r.UserName != nil || r.MessageAuthenticator != 0 {
				t.Error("refused packet left attributes behind")
			}
		})
	}
}

func TestParseAccepts(t *testing.T) {
	for _, test := range []struct {
		name       string
		code       Code
		attributes string
	}{
		{"no attributes", AccessRequest, ""},
		{"attribute of type 0", AccessRequest, "0002"},
		{"empty User-Name", AccessRequest, "0102"},
		{"longest attribute", AccessRequest, attr(UserName, MaxValue)},
		{"several Proxy-State, Class and Reply-Message", AccessRequest,
			attr(ProxyState, 1) + attr(ProxyState, 0) + attr(Class, 1) + attr(Class, 2) + attr(ReplyMessage, 2) + attr(ReplyMessage, 2)},
		{"Vendor-Specific too short for a vendor", AccessRequest, "1a0400ff"},
		{"other vendor's opaque value", AccessRequest, "1a 09 00000009 0b 20 41"},
		{"Microsoft's attribute that is not read breaks off", AccessRequest, "1a 09 00000137 63 20 41"},
		{"Microsoft's number alone", AccessRequest, "1a 06 00000137"},
		{"two kinds of credential where they mean nothing", AccountingRequest, attr(UserPassword, 16) + attr(CHAPPassword, 17)},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Request
			if err := r.Parse(datagram(t, test.code, test.attributes)); err != nil {
				t.Errorf("refused: %v", err)
			}
		})
	}
}

func TestParseHeader(t *testing.T) {
	good := datagram(t, StatusServer, attr(UserName, 4))
	for _, test := range []struct {
		name     string
		datagram []byte
		want     error
	}{
		{"nothing", nil, TooShort},
		{"19 octets", good[:19], TooShort},
		{"shorter than its length", good[:25], TooShort},
		{"length 19", append([]byte{1, 0, 0, 19}, good[4:]...), BadLengthField},
		{"length 4097", append([]byte{1, 0, 0x10, 1}, make([]byte, 5000)...), BadLengthField},
		{"length 65535", append([]byte{1, 0, 0xff, 0xff}, good[4:]...), BadLengthField},
		{"whole", good, nil},
		{"padded", append(bytes.Clone(good), 1, 0, 0xff), nil},
		{"4096", append([]byte{1, 0, 0x10, 0}, make([]byte, 4092)...), nil},
	} {
		h, err := ParseHeader(test.datagram)
		if err != test.want {
			t.Errorf("%s: error is %v, want %v", test.name, err, test.want)
		}
		if err == nil && test.name != "4096" && (h.Code != StatusServer || h.Length != 26 || h.Authenticator[1] != '1') {
			t.Errorf("%s: header is %+v", test.name, h)
		}
	}
}

// TestParseIgnoresPadding: what follows the packet in its datagram is not part
// of it (RFC 2865 section 3), neither as attribute nor for an authenticator.
func TestParseIgnoresPadding(t *testing.T) {
	r := parse(t, append(datagram(t, AccessRequest, attr(UserName, 2)), 2, 0, 0xff))
	n := 0
	for range r.Attributes() {
		n++
	}
	if n != 1 {
		t.Errorf("%d attributes, want 1", n)
	}
}

// TestParseResets: nothing of one packet shows in the next.
func TestParseResets(t *testing.T) {
	r := parse(t, datagram(t, AccessRequest, attr(UserName, 2)+attr(ProxyState, 1)+attr(MessageAuthenticator, 16)+
		attr(EAPMessage, 4)+attr(State, 3)+attr(AcctStatusType, 4)))
	if err := r.Parse(datagram(t, AccessRequest, "")); err != nil {
		t.Fatal(err)
	}
	if r.UserName != nil || r.State != nil || r.ProxyStates != 0 || r.MessageAuthenticator != 0 || r.EAPMessage || r.AcctStatusType() != 0 {
		t.Errorf("left over: %+v", r)
	}
}

func TestParseCollects(t *testing.T) {
	r := parse(t, datagram(t, AccessRequest, "0105626f62 "+attr(NASIPAddress, 4)+attr(NASIPv6Address, 16)+attr(NASIdentifier, 3)+
		attr(CallingStationID, 5)+attr(CalledStationID, 6)+attr(AcctSessionID, 7)+attr(State, 8)+"280600000003"+
		attr(ProxyState, 1)+attr(ProxyState, 2)+attr(MessageAuthenticator, 16)+vsa(11, 16)+vsa(25, 50)))
	equal(t, "User-Name", r.UserName, []byte("bob"))
	for name, length := range map[string][2]int{
		"NAS-IP-Address":     {len(r.NASIPAddress), 4},
		"NAS-IPv6-Address":   {len(r.NASIPv6Address), 16},
		"NAS-Identifier":     {len(r.NASIdentifier), 3},
		"Calling-Station-Id": {len(r.CallingStationID), 5},
		"Called-Station-Id":  {len(r.CalledStationID), 6},
		"Acct-Session-Id":    {len(r.AcctSessionID), 7},
		"State":              {len(r.State), 8},
		"MS-CHAP-Challenge":  {len(r.MSCHAPChallenge), 16},
		"MS-CHAP2-Response":  {len(r.MSCHAP2Response), 50},
		"Proxy-States":       {r.ProxyStates, 2},
	} {
		if length[0] != length[1] {
			t.Errorf("%s: %d, want %d", name, length[0], length[1])
		}
	}
	if r.AcctStatusType() != 3 {
		t.Errorf("Acct-Status-Type is %d", r.AcctStatusType())
	}
	if r.UserPassword != nil || r.CHAPPassword != nil || r.EAPMessage {
		t.Error("a credential that is not there")
	}
}

// TestMicrosoftInOneAttribute: RFC 2865 section 5.26 allows several vendor
// attributes in one Vendor-Specific attribute.
func TestMicrosoftInOneAttribute(t *testing.T) {
	both := append(unhex(t, "1a 4a 00000137 0b 12"), bytes.Repeat([]byte{0x63}, 16)...)
	both = append(both, 25, 52)
	both = append(both, bytes.Repeat([]byte{0x72}, 50)...)
	both[1] = byte(len(both))
	r := parse(t, datagram(t, AccessRequest, hexOf(both)))
	equal(t, "MS-CHAP-Challenge", r.MSCHAPChallenge, bytes.Repeat([]byte{0x63}, 16))
	equal(t, "MS-CHAP2-Response", r.MSCHAP2Response, bytes.Repeat([]byte{0x72}, 50))
}

func TestCHAPChallenge(t *testing.T) {
	r := parse(t, datagram(t, AccessRequest, attr(CHAPPassword, 17)))
	id, challenge, response, ok := r.CHAP()
	if !ok || id != 0x41 || len(response) != 16 {
		t.Errorf("CHAP is %d, %x, %v", id, response, ok)
	}
	equal(t, "challenge without CHAP-Challenge", challenge, []byte("0123456789abcdef"))
	r = parse(t, datagram(t, AccessRequest, attr(CHAPPassword, 17)+attr(CHAPChallenge, 9)))
	_, challenge, _, _ = r.CHAP()
	equal(t, "challenge", challenge, bytes.Repeat([]byte{0x41}, 9))
	r = parse(t, datagram(t, AccessRequest, ""))
	if _, _, _, ok := r.CHAP(); ok {
		t.Error("CHAP without CHAP-Password")
	}
}

// TestMalformationWords: every fault has a word of its own and a sentence.
func TestMalformationWords(t *testing.T) {
	seen := map[string]bool{}
	for m := wellFormed; int(m) < len(malformations); m++ {
		if m.String() == "" || seen[m.String()] || len(m.Error()) < 20 {
			t.Errorf("fault %d: word %q, text %q", m, m.String(), m.Error())
		}
		seen[m.String()] = true
	}
	if Malformation(200).String() != "unknown" {
		t.Errorf("unknown fault is %q", Malformation(200))
	}
}

func TestNames(t *testing.T) {
	for code, want := range map[Code]string{
		AccessRequest: "Access-Request", AccessChallenge: "Access-Challenge", StatusServer: "Status-Server", 99: "Code(99)",
	} {
		if code.String() != want {
			t.Errorf("code %d is %q, want %q", uint8(code), code, want)
		}
	}
}
