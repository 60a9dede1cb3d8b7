package packet

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/vendors/microsoft"
)

// TestOurRequestsForLayeh: what a NAS of ours sends, layeh's server reads.
func TestOurRequestsForLayeh(t *testing.T) {
	var s Scratch
	var b Builder
	octets := []byte(exampleSecret)
	secret, authenticator := NewSecret(octets), [16]byte([]byte("unpredictable 16"))

	p, err := radius.Parse(loginRequest(t, secret), octets)
	must(t, err)
	if name, passcode := rfc2865.UserName_GetString(p), rfc2865.UserPassword_GetString(p); name != "alice" || passcode != "1234755224" {
		t.Errorf("layeh reads user %q, passcode %q", name, passcode)
	}
	checkMessageAuthenticator(t, p, octets)

	b.Begin(AccountingRequest, 3, nil, Off)
	b.Add(AcctStatusType, []byte{0, 0, 0, 2})
	wire, err := s.SignRequest(secret, &b, nil)
	must(t, err)
	if !radius.IsAuthenticRequest(wire, octets) {
		t.Error("layeh refuses our Accounting-Request")
	}

	b.Begin(AccessRequest, 4, nil, First)
	b.AddMSCHAP2Response(1, []byte("User"), []byte("clientPass"), [16]byte{1}, [16]byte{2})
	wire, err = s.SignRequest(secret, &b, &authenticator)
	must(t, err)
	p, err = radius.Parse(wire, octets)
	must(t, err)
	r := parse(t, wire)
	equal(t, "MS-CHAP-Challenge", microsoft.MSCHAPChallenge_Get(p), r.MSCHAPChallenge)
	equal(t, "MS-CHAP2-Response", microsoft.MSCHAP2Response_Get(p), r.MSCHAP2Response)
}

// checkMessageAuthenticator recomputes it with layeh's packet and crypto/hmac.
// p carries the authenticator that stood in the header when it was made.
func checkMessageAuthenticator(t *testing.T, p *radius.Packet, secret []byte) {
	t.Helper()
	got := bytes.Clone(rfc2869.MessageAuthenticator_Get(p))
	must(t, rfc2869.MessageAuthenticator_Set(p, make([]byte, 16)))
	wire, err := p.MarshalBinary()
	must(t, err)
	reference := hmac.New(md5.New, secret)
	reference.Write(wire)
	equal(t, "Message-Authenticator", got, reference.Sum(nil))
}

// TestLayehsRequestsForUs: what layeh's client sends, we read.
func TestLayehsRequestsForUs(t *testing.T) {
	var s Scratch
	octets := []byte(exampleSecret)
	secret := NewSecret(octets)

	p := radius.New(radius.CodeAccessRequest, octets)
	must(t, rfc2865.UserName_SetString(p, "bob"))
	must(t, rfc2865.UserPassword_SetString(p, "a passcode of more than 32 octets, in three blocks"))
	must(t, rfc2869.MessageAuthenticator_Set(p, make([]byte, 16)))
	wire, err := p.MarshalBinary()
	must(t, err)
	reference := hmac.New(md5.New, octets)
	reference.Write(wire)
	must(t, rfc2869.MessageAuthenticator_Set(p, reference.Sum(nil)))
	wire, err = p.Encode()
	must(t, err)
	r := parse(t, wire)
	if !s.VerifyMessageAuthenticator(secret, r) {
		t.Error("Message-Authenticator is refused")
	}
	passcode, err := s.UserPassword(nil, secret, &r.Authenticator, r.UserPassword)
	must(t, err)
	equal(t, "passcode", passcode, []byte("a passcode of more than 32 octets, in three blocks"))

	p = radius.New(radius.CodeAccountingRequest, octets)
	must(t, rfc2866.AcctStatusType_Set(p, rfc2866.AcctStatusType_Value_InterimUpdate))
	must(t, rfc2866.AcctSessionID_SetString(p, "session 1"))
	wire, err = p.Encode()
	must(t, err)
	r = parse(t, wire)
	if !s.VerifyAccountingRequest(secret, r) || r.AcctStatusType() != 3 {
		t.Errorf("Accounting-Request is refused, or its status %d is not 3", r.AcctStatusType())
	}
	equal(t, "Acct-Session-Id", r.AcctSessionID, []byte("session 1"))
}

// TestOurRepliesForLayeh: every kind of reply, read and proved by layeh's
// client, the MPPE keys decrypted by it.
func TestOurRepliesForLayeh(t *testing.T) {
	var s Scratch
	var b Builder
	octets := []byte(exampleSecret)
	secret := NewSecret(octets)
	request := loginRequest(t, secret)
	r := parse(t, request)
	var proof [20]byte
	copy(proof[:], unhex(t, mschap2Vectors[0].authenticatorResponse))
	send, recv, legacy := [16]byte{1, 2}, [16]byte{3, 4}, [24]byte{5, 6, 23: 7}
	for _, placement := range []Placement{First, Last, Off} {
		b.Begin(AccessAccept, r.Identifier, nil, placement)
		b.AddString(ReplyMessage, "Welcome")
		b.AddMSCHAP2Success(0x2a, proof)
		s.AddMPPEKeys(&b, secret, &r.Authenticator, 0xffff, send, recv)
		s.AddMSCHAPKeys(&b, secret, &r.Authenticator, legacy)
		b.AddMSCHAPError(0x2a)
		b.CopyProxyStates(r)
		wire, err := s.Sign(secret, &b, &r.Authenticator)
		must(t, err)
		if !radius.IsAuthenticResponse(wire, request, octets) {
			t.Error("layeh refuses the Response Authenticator")
		}
		p, err := radius.Parse(wire, octets)
		must(t, err)
		p.Authenticator = r.Authenticator
		equal(t, "Reply-Message", rfc2865.ReplyMessage_Get(p), []byte("Welcome"))
		equal(t, "Proxy-State", rfc2865.ProxyState_Get(p), []byte("254"))
		equal(t, "MS-CHAP2-Success", microsoft.MSCHAP2Success_Get(p), []byte("*S=407A5589115FD0D6209F510FE9C04566932CDA56"))
		equal(t, "MS-MPPE-Send-Key", microsoft.MSMPPESendKey_Get(p, p), send[:])
		equal(t, "MS-MPPE-Recv-Key", microsoft.MSMPPERecvKey_Get(p, p), recv[:])
		equal(t, "MS-CHAP-Error", microsoft.MSCHAPError_Get(p), []byte("*E=691 R=0 V=3"))
		if policy, types := microsoft.MSMPPEEncryptionPolicy_Get(p), microsoft.MSMPPEEncryptionTypes_Get(p); policy != 1 || types != 6 {
			t.Errorf("MPPE policy %d, types %d", policy, types)
		}
		checkLegacyKeys(t, p, legacy)
		if placement != Off {
			checkMessageAuthenticator(t, p, octets)
		}
	}
}

// checkLegacyKeys decrypts MS-CHAP-MPPE-Keys: layeh's function for a hidden
// password stops at the first NUL octet, its function that hides one does not.
func checkLegacyKeys(t *testing.T, p *radius.Packet, want [24]byte) {
	t.Helper()
	hidden, err := radius.NewUserPassword(append(want[:], make([]byte, 8)...), p.Secret, p.Authenticator[:])
	must(t, err)
	for _, avp := range p.Attributes {
		if len(avp.Attribute) == 38 && avp.Attribute[4] == msCHAPMPPEKeys {
			equal(t, "MS-CHAP-MPPE-Keys", avp.Attribute[6:], hidden)
			return
		}
	}
	t.Error("no MS-CHAP-MPPE-Keys")
}

// TestSaltsDiffer: RFC 2548 section 2.4.2 wants the salts of one packet unique
// and their first bit set.
func TestSaltsDiffer(t *testing.T) {
	for _, salt := range []uint16{0, 1, 0x7ffe, 0x7fff, 0x8000, 0xffff} {
		var s Scratch
		var b Builder
		b.Begin(AccessAccept, 1, nil, Off)
		s.AddMPPEKeys(&b, NewSecret([]byte("s")), &[16]byte{}, salt, [16]byte{}, [16]byte{})
		first, second := b.buf[20+8:20+10], b.buf[20+42+8:20+42+10]
		if first[0]&second[0]&0x80 == 0 || bytes.Equal(first, second) {
			t.Errorf("salt %#x: salts are %x and %x", salt, first, second)
		}
	}
}
