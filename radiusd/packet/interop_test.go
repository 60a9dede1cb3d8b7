package packet

import (
	"bytes"
	"crypto/hmac"
	"crypto/md5"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"layeh.com/radius"
	"layeh.com/radius/dictionary"
	"layeh.com/radius/rfc2865"
	"layeh.com/radius/rfc2866"
	"layeh.com/radius/rfc2868"
	"layeh.com/radius/rfc2869"
	"layeh.com/radius/rfc4818"
	"layeh.com/radius/vendors/aruba"
	"layeh.com/radius/vendors/microsoft"
	"layeh.com/radius/vendors/mikrotik"
	"layeh.com/radius/vendors/wispr"
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

// checkWithLayeh has layeh's parser find one attribute in encoded, and it alone.
func checkWithLayeh(t *testing.T, def *definition, encoded []byte) {
	t.Helper()
	attributes, err := radius.ParseAttributes(encoded)
	must(t, err)
	if len(attributes) != 1 {
		t.Fatalf("%s: layeh finds %d attributes", def.Name, len(attributes))
	}
	kind, value := uint32(attributes[0].Type), attributes[0].Attribute
	vendor := uint32(0)
	if kind == uint32(VendorSpecific) {
		vendor, value, err = radius.VendorSpecific(value)
		must(t, err)
		part, octets, err := radius.TLV(value)
		must(t, err)
		if len(octets)+2 != len(value) {
			t.Errorf("%s: layeh finds %d octets of %d", def.Name, len(octets)+2, len(value))
		}
		kind, value = uint32(part), octets
	}
	if vendor != def.number.vendor || kind != def.attribute {
		t.Errorf("%s: layeh finds vendor %d, attribute %d", def.Name, vendor, kind)
	}
	checkValueWithLayeh(t, def, value)
}

// checkValueWithLayeh compares a value of TestRoundTrip's with what layeh reads.
func checkValueWithLayeh(t *testing.T, def *definition, value radius.Attribute) {
	t.Helper()
	var got string
	var err error
	switch def.Type {
	case dictionary.AttributeString:
		got = radius.String(value)
	case dictionary.AttributeInteger:
		var n uint32
		n, err = radius.Integer(value)
		got = strconv.Itoa(int(n))
	case dictionary.AttributeIPAddr:
		got, err = stringOf(radius.IPAddr(value))
	case dictionary.AttributeIPv6Addr:
		got, err = stringOf(radius.IPv6Addr(value))
	case dictionary.AttributeIPv6Prefix:
		got, err = stringOf(radius.IPv6Prefix(value))
	case dictionary.AttributeIFID:
		got, err = stringOf(radius.IFID(value))
	case dictionary.AttributeOctets:
		got = hexOf(radius.Bytes(value))
	}
	want := map[dictionary.AttributeType]string{
		dictionary.AttributeString: "text", dictionary.AttributeInteger: "16777201", dictionary.AttributeIPAddr: "192.0.2.1",
		dictionary.AttributeIPv6Addr: "2001:db8::1", dictionary.AttributeIPv6Prefix: "2001:db8::/48",
		dictionary.AttributeIFID: "00:01:00:02:00:03:00:04", dictionary.AttributeOctets: "00ff",
	}[def.Type]
	if err != nil || got != want {
		t.Errorf("%s: layeh reads %q, %v, want %q", def.Name, got, err, want)
	}
}

func stringOf[T fmt.Stringer](value T, err error) (string, error) { return value.String(), err }

// TestOurAttributesForLayeh: what the dictionary encodes, layeh's generated
// packages read by their own names, and what they write, the dictionary formats.
func TestOurAttributesForLayeh(t *testing.T) {
	d := NewDictionary()
	var b Builder
	b.Begin(AccessAccept, 1, nil, Off)
	for _, a := range [][2]string{
		{"Service-Type", "Administrative-User"}, {"Class", "staff"}, {"Filter-Id", "vpn"}, {"Filter-Id", "lan"},
		{"Tunnel-Type:1", "VLAN"}, {"Tunnel-Medium-Type:1", "IEEE-802"}, {"Tunnel-Private-Group-Id:1", "100"},
		{"Tunnel-Preference", "7"}, {"Aruba-User-Role", "guest"}, {"Mikrotik-Group", "full"}, {"WISPr-Bandwidth-Max-Up", "8000000"},
		{"MS-Primary-DNS-Server", "192.0.2.53"}, {"Delegated-IPv6-Prefix", "2001:db8::/56"},
	} {
		encoded, err := d.Encode(a[0], a[1])
		must(t, err)
		b.AddEncoded(encoded)
	}
	wire, err := new(Scratch).Sign(NewSecret([]byte("s")), &b, &[16]byte{})
	must(t, err)
	p, err := radius.Parse(wire, []byte("s"))
	must(t, err)
	if got := rfc2865.ServiceType_Get(p); got != rfc2865.ServiceType_Value_AdministrativeUser {
		t.Errorf("Service-Type is %v", got)
	}
	filters, err := rfc2865.FilterID_GetStrings(p)
	if err != nil || !slices.Equal(filters, []string{"vpn", "lan"}) {
		t.Errorf("Filter-Ids are %q, %v", filters, err)
	}
	kindTag, kind := rfc2868.TunnelType_Get(p)
	mediumTag, medium := rfc2868.TunnelMediumType_Get(p)
	groupTag, group := rfc2868.TunnelPrivateGroupID_GetString(p)
	preferenceTag, preference := rfc2868.TunnelPreference_Get(p)
	got := fmt.Sprintf("%d:%d %d:%d %d:%s %d:%d", kindTag, kind, mediumTag, medium, groupTag, group, preferenceTag, preference)
	if want := "1:13 1:6 1:100 0:7"; got != want {
		t.Errorf("the tunnel is %s, want %s", got, want)
	}
	if role, full, up := aruba.ArubaUserRole_GetString(p), mikrotik.MikrotikGroup_GetString(p), wispr.WISPrBandwidthMaxUp_Get(p); role != "guest" || full != "full" || up != 8000000 {
		t.Errorf("role %q, group %q, bandwidth %d", role, full, up)
	}
	if dns, prefix := microsoft.MSPrimaryDNSServer_Get(p), rfc4818.DelegatedIPv6Prefix_Get(p); dns.String() != "192.0.2.53" || prefix.String() != "2001:db8::/56" {
		t.Errorf("DNS server %v, prefix %v", dns, prefix)
	}

	theirs := radius.New(radius.CodeAccessAccept, []byte("s"))
	must(t, rfc2868.TunnelType_Set(theirs, 2, rfc2868.TunnelType(13)))
	must(t, rfc2868.TunnelServerEndpoint_SetString(theirs, 2, "198.51.100.1"))
	must(t, aruba.ArubaUserVlan_Set(theirs, 12))
	wire, err = theirs.Encode()
	must(t, err)
	lines := d.Format(wire[HeaderLength:])
	slices.Sort(lines)
	if want := []string{"Aruba-User-Vlan = 12", "Tunnel-Server-Endpoint:2 = 198.51.100.1", "Tunnel-Type:2 = VLAN"}; !slices.Equal(lines, want) {
		t.Errorf("layeh's attributes are formatted as %q", lines)
	}
}
