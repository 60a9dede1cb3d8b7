package packet

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// The first example of RFC 5997 section 6.
const (
	statusRequest = `0c da 00 26 8a 54 f4 68 6f b3 94 c5 28 66 e3 02 18 5d 06 23
		50 12 5a 66 5e 2e 1e 84 11 f3 e2 43 82 20 97 c8 4f a3`
	statusAccept = `02 da 00 14 ef 0d 55 2a 4b f2 d6 93 ec 2b 6f e8 b5 41 1d 66`
)

func TestRFC5997Example(t *testing.T) {
	var s Scratch
	secret := NewSecret([]byte(exampleSecret))
	wire := unhex(t, statusRequest)
	before := bytes.Clone(wire)
	r := parse(t, append(wire, 0xff, 0xff)) // padding is not part of the hash
	if !s.VerifyMessageAuthenticator(secret, r) {
		t.Error("Message-Authenticator is refused")
	}
	equal(t, "datagram after the check", wire, before)
	if s.VerifyMessageAuthenticator(NewSecret([]byte("other")), r) {
		t.Error("another secret is accepted")
	}
	var b Builder
	b.Begin(AccessAccept, r.Identifier, nil, Off)
	reply, err := s.Sign(secret, &b, &r.Authenticator)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "reply", reply, unhex(t, statusAccept))

	b.Begin(StatusServer, r.Identifier, nil, First)
	request, err := s.SignRequest(secret, &b, &r.Authenticator)
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "request", request, before)
}

// TestEveryBitIsProved: a packet of which any bit was changed is refused.
func TestEveryBitIsProved(t *testing.T) {
	var s Scratch
	secret := NewSecret([]byte(exampleSecret))
	wire := unhex(t, statusRequest)
	for bit := range 8 * len(wire) {
		changed := bytes.Clone(wire)
		changed[bit/8] ^= 1 << (bit % 8)
		var r Request
		if r.Parse(changed) == nil && s.VerifyMessageAuthenticator(secret, &r) {
			t.Errorf("bit %d of octet %d may be changed", bit%8, bit/8)
		}
	}
}

func TestWithoutMessageAuthenticator(t *testing.T) {
	r := parse(t, unhex(t, telnetRequest))
	if new(Scratch).VerifyMessageAuthenticator(NewSecret([]byte(exampleSecret)), r) {
		t.Error("a packet without one is verified")
	}
}

// TestZeroSecret: no secret proves nothing, opens nothing and signs nothing.
func TestZeroSecret(t *testing.T) {
	var s Scratch
	var b Builder
	none := NewSecret(nil)
	r := parse(t, unhex(t, statusRequest))
	if !none.IsZero() || s.VerifyMessageAuthenticator(none, r) || s.VerifyAccountingRequest(none, r) {
		t.Error("the zero Secret verifies a request")
	}
	if err := s.VerifyReply(none, r, &r.Authenticator); err == nil {
		t.Error("the zero Secret verifies a reply")
	}
	if _, err := s.UserPassword(nil, none, &r.Authenticator, make([]byte, 16)); err == nil {
		t.Error("the zero Secret opens a password")
	}
	for name, add := range map[string]func(){
		"nothing":       func() {},
		"User-Password": func() { s.AddUserPassword(&b, none, &r.Authenticator, []byte("x")) },
		"MPPE keys":     func() { s.AddMPPEKeys(&b, none, &r.Authenticator, 1, [16]byte{}, [16]byte{}) },
		"MS-CHAP keys":  func() { s.AddMSCHAPKeys(&b, none, &r.Authenticator, [24]byte{}) },
	} {
		b.Begin(AccessAccept, 1, nil, First)
		add()
		if reply, err := s.Sign(none, &b, &r.Authenticator); err == nil || reply != nil {
			t.Errorf("%s: the zero Secret signs", name)
		}
	}
}

func TestVerifyAccountingRequest(t *testing.T) {
	var s Scratch
	var b Builder
	secret := NewSecret([]byte(exampleSecret))
	b.Begin(AccountingRequest, 9, nil, Off)
	b.Add(AcctStatusType, []byte{0, 0, 0, 1})
	b.AddString(AcctSessionID, "a1")
	wire, err := s.SignRequest(secret, &b, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !s.VerifyAccountingRequest(secret, parse(t, append(wire, 1, 2, 3))) {
		t.Error("a right request is refused")
	}
	if s.VerifyAccountingRequest(NewSecret([]byte("other")), parse(t, wire)) {
		t.Error("another secret is accepted")
	}
	wire[len(wire)-1]++
	if s.VerifyAccountingRequest(secret, parse(t, wire)) {
		t.Error("a changed request is accepted")
	}
	if s.VerifyAccountingRequest(secret, new(Request)) {
		t.Error("a request that was not parsed is accepted")
	}
}

func TestUserPassword(t *testing.T) {
	var s Scratch
	secret := NewSecret([]byte(strings.Repeat("long secret ", 9)))
	authenticator := [16]byte{1, 2, 3}
	for _, passcode := range []string{
		"", "1", "1234567890", "exactly 16 octet", "seventeen octets!", "nul \x00 in the middle", "\x00start",
		strings.Repeat("p", 127), strings.Repeat("p", MaxPasscode), "pässcode",
	} {
		var b Builder
		b.Begin(AccessRequest, 1, nil, Off)
		s.AddUserPassword(&b, secret, &authenticator, []byte(passcode))
		wire, err := s.SignRequest(secret, &b, &authenticator)
		if err != nil {
			t.Fatal(err)
		}
		r := parse(t, wire)
		got, err := s.UserPassword([]byte("before"), secret, &r.Authenticator, r.UserPassword)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "passcode", got, []byte("before"+passcode))
		got, err = s.UserPassword(nil, NewSecret([]byte("other")), &r.Authenticator, r.UserPassword)
		if err != nil || passcode != "" && string(got) == passcode {
			t.Errorf("under another secret %q is %q, %v", passcode, got, err)
		}
	}
	for _, n := range []int{0, 15, 17, 144} {
		if _, err := s.UserPassword(nil, secret, &authenticator, make([]byte, n)); !errors.Is(err, BadUserPasswordLength) {
			t.Errorf("%d octets: error is %v", n, err)
		}
	}
}

// TestNoAllocations: the way of a login over the wire costs the collector
// nothing.
func TestNoAllocations(t *testing.T) {
	var s Scratch
	var b Builder
	var r Request
	secret := NewSecret([]byte(exampleSecret))
	wire := loginRequest(t, secret)
	passcode, reply := make([]byte, 0, MaxPasscode), make([]byte, 0, 512)
	for name, step := range map[string]func(){
		"Parse": func() { must(t, r.Parse(wire)) },
		"VerifyMessageAuthenticator": func() {
			if !s.VerifyMessageAuthenticator(secret, &r) {
				t.Error("refused")
			}
		},
		"VerifyAccountingRequest": func() { s.VerifyAccountingRequest(secret, &r) },
		"UserPassword": func() {
			_, err := s.UserPassword(passcode, secret, &r.Authenticator, r.UserPassword)
			must(t, err)
		},
		"CHAPMatches": func() { s.CHAPMatches(1, r.UserName, r.UserPassword, r.State) },
		"Sign": func() {
			b.Begin(AccessAccept, r.Identifier, reply, First)
			b.AddString(ReplyMessage, "Welcome")
			b.CopyProxyStates(&r)
			_, err := s.Sign(secret, &b, &r.Authenticator)
			must(t, err)
		},
		"SignRequest": func() {
			b.Begin(AccessRequest, 1, reply, First)
			b.AddString(UserName, "alice")
			s.AddUserPassword(&b, secret, &r.Authenticator, wire[:20])
			_, err := s.SignRequest(secret, &b, &r.Authenticator)
			must(t, err)
		},
		"a malformed packet": func() {
			var refused error = r.Parse(wire[:30])
			if refused == nil {
				t.Error("accepted")
			}
			must(t, r.Parse(wire))
		},
	} {
		must(t, r.Parse(wire))
		if allocations := testing.AllocsPerRun(100, step); allocations != 0 {
			t.Errorf("%s: %v allocations", name, allocations)
		}
	}
}

func must(t testing.TB, err error) {
	if err != nil {
		t.Helper()
		t.Fatal(err)
	}
}

// loginRequest returns a PAP login such as a gateway behind a proxy sends.
func loginRequest(t testing.TB, secret Secret) []byte {
	t.Helper()
	var s Scratch
	var b Builder
	authenticator := [16]byte([]byte("unpredictable 16"))
	b.Begin(AccessRequest, 42, nil, First)
	b.AddString(UserName, "alice")
	s.AddUserPassword(&b, secret, &authenticator, []byte("1234755224"))
	b.Add(NASIPAddress, []byte{192, 0, 2, 10})
	b.AddString(NASIdentifier, "ras-gateway")
	b.AddString(CallingStationID, "198.51.100.7")
	b.AddString(ProxyState, "254")
	wire, err := s.SignRequest(secret, &b, &authenticator)
	must(t, err)
	return wire
}
