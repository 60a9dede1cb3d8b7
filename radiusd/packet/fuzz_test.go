package packet

import (
	"bytes"
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
