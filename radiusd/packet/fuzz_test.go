package packet

import (
	"bytes"
	"slices"
	"testing"

	"layeh.com/radius"
)

// FuzzParse holds the parser against layeh's. Whatever layeh's refuses is
// refused; what both accept has the same attributes; and what is accepted can
// be verified, decrypted and answered. Besides the seeds here, a corpus is kept
// in testdata.
func FuzzParse(f *testing.F) {
	for _, wire := range []string{
		telnetRequest, telnetAccept, chapRequest, chapAccept, dialogChallenge, dialogSecond, dialogReject, statusRequest,
	} {
		f.Add(unhex(f, wire))
	}
	f.Add(loginRequest(f, NewSecret([]byte(exampleSecret))))
	f.Add(gatewayRequest(f))
	f.Add(datagram(f, AccessRequest, vsa(11, 16)+vsa(25, 50)+attr(ProxyState, 3)))
	var s Scratch
	var r Request
	f.Fuzz(func(t *testing.T, wire []byte) {
		before := bytes.Clone(wire)
		err := r.Parse(wire)
		reference, referenceErr := radius.Parse(wire, []byte(exampleSecret))
		if err == nil {
			if referenceErr != nil {
				t.Fatalf("accepted, but refused by layeh: %v", referenceErr)
			}
			compare(t, &r, reference)
			compareClient(t, &r, reference)
			use(t, &s, &r)
		} else if fault, ok := err.(Malformation); !ok || fault == wellFormed {
			t.Fatalf("error %v is no Malformation", err)
		} else if referenceErr == nil && (fault == TooShort || fault == BadLengthField) {
			t.Fatalf("%v, but accepted by layeh", fault)
		}
		if !bytes.Equal(wire, before) {
			t.Fatal("the datagram was written to")
		}
	})
}

func compare(t *testing.T, r *Request, reference *radius.Packet) {
	if r.Code != Code(reference.Code) || r.Identifier != reference.Identifier || r.Authenticator != reference.Authenticator {
		t.Fatalf("header is %+v, layeh's %+v", r.Header, reference)
	}
	rest := reference.Attributes
	proxyStates := 0
	for kind, value := range r.Attributes() {
		if len(rest) == 0 || Type(rest[0].Type) != kind || !bytes.Equal(rest[0].Attribute, value) {
			t.Fatalf("attribute %d %x differs from layeh's %v", kind, value, rest)
		}
		rest = rest[1:]
		if kind == ProxyState {
			proxyStates++
		}
	}
	if len(rest) != 0 || proxyStates != r.ProxyStates {
		t.Fatalf("layeh has %d more attributes; %d Proxy-States, counted %d", len(rest), proxyStates, r.ProxyStates)
	}
	for kind := range kept {
		if field := kept[kind].field; field != nil {
			value, present := reference.Lookup(radius.Type(kind))
			if got := *field(r); !bytes.Equal(got, value) || (got != nil) != present {
				t.Fatalf("field of attribute %d is %x, layeh's %x", kind, got, value)
			}
		}
	}
}

// compareClient compares what is read of the client, by the simplest of loops
// over what layeh's parser found.
func compareClient(t *testing.T, r *Request, reference *radius.Packet) {
	var endpoint, address, address6 []byte
	for _, a := range reference.Attributes {
		value := []byte(a.Attribute)
		switch {
		case Type(a.Type) == TunnelClientEndpoint && endpoint == nil && len(untagged(value)) > 0:
			endpoint = untagged(value)
		case Type(a.Type) == FramedIPAddress && address == nil && isAddress(value, 4):
			address = value
		case Type(a.Type) == FramedIPv6Address && address6 == nil && isAddress(value, 16):
			address6 = value
		}
	}
	if !bytes.Equal(endpoint, r.TunnelClientEndpoint) || !bytes.Equal(address, r.FramedIPAddress) || !bytes.Equal(address6, r.FramedIPv6Address) {
		t.Fatalf("client is %q, %x, %x; want %q, %x, %x", r.TunnelClientEndpoint, r.FramedIPAddress, r.FramedIPv6Address, endpoint, address, address6)
	}
	for pair := range r.VendorValues(VendorCisco, CiscoAVPair) {
		part := append([]byte{CiscoAVPair, byte(2 + len(pair))}, pair...)
		if !slices.ContainsFunc(reference.Attributes, func(a *radius.AVP) bool {
			return Type(a.Type) == VendorSpecific && bytes.HasPrefix(a.Attribute, []byte{0, 0, 0, VendorCisco}) && bytes.Contains(a.Attribute[4:], part)
		}) {
			t.Fatalf("Cisco-AVPair %q is in no attribute of Cisco's", pair)
		}
	}
}

// use does with a request what the server would.
func use(t *testing.T, s *Scratch, r *Request) {
	secret := NewSecret([]byte(exampleSecret))
	if s.VerifyMessageAuthenticator(secret, r) && r.MessageAuthenticator == 0 {
		t.Fatal("verified a Message-Authenticator that is not there")
	}
	s.VerifyAccountingRequest(secret, r)
	if r.UserPassword != nil {
		if passcode, err := s.UserPassword(nil, secret, &r.Authenticator, r.UserPassword); err != nil || len(passcode) > MaxPasscode {
			t.Fatalf("opening User-Password: %d octets, %v", len(passcode), err)
		}
	}
	if id, challenge, response, ok := r.CHAP(); ok {
		s.CHAPMatches(id, r.UserName, challenge, response)
	}
	if r.MSCHAPResponse != nil {
		MSCHAPMatches(r.UserName, r.MSCHAPChallenge, r.MSCHAPResponse)
	}
	if r.MSCHAP2Response != nil {
		MSCHAP2Matches(r.UserName, r.UserName, r.MSCHAPChallenge, r.MSCHAP2Response)
	}
	var b Builder
	b.Begin(AccessReject, r.Identifier, nil, First)
	b.CopyProxyStates(r)
	wire, err := s.Sign(secret, &b, &r.Authenticator)
	if err != nil {
		return // a request full of Proxy-State leaves no room for a reply
	}
	var reply Request
	if err := reply.Parse(wire); err != nil || reply.ProxyStates != r.ProxyStates {
		t.Fatalf("the reply has %d of %d Proxy-States, %v", reply.ProxyStates, r.ProxyStates, err)
	}
	if err := s.VerifyReply(secret, &reply, &r.Authenticator); err != nil {
		t.Fatalf("the reply: %v", err)
	}
}
