package packet

import (
	"bytes"
	"strings"
	"testing"
)

func TestPlacement(t *testing.T) {
	var s Scratch
	secret := NewSecret([]byte(exampleSecret))
	authenticator := [16]byte{9}
	for placement, want := range map[Placement][]Type{
		First: {MessageAuthenticator, ReplyMessage, State},
		Last:  {ReplyMessage, State, MessageAuthenticator},
		Off:   {ReplyMessage, State},
	} {
		var b Builder
		b.Begin(AccessChallenge, 3, nil, placement)
		b.AddString(ReplyMessage, "Enter the code")
		b.AddString(State, "s1")
		for range 2 { // signing twice is as good as once
			wire, err := s.Sign(secret, &b, &authenticator)
			must(t, err)
			reply := parse(t, wire)
			must(t, s.VerifyReply(secret, reply, &authenticator))
			var got []Type
			for kind := range reply.Attributes() {
				got = append(got, kind)
			}
			if len(got) != len(want) || got[0] != want[0] || got[len(got)-1] != want[len(want)-1] {
				t.Errorf("placement %d: attributes %v, want %v", placement, got, want)
			}
			if (reply.MessageAuthenticator != 0) != (placement != Off) {
				t.Errorf("placement %d: Message-Authenticator at %d", placement, reply.MessageAuthenticator)
			}
		}
	}
}

func TestCopyProxyStates(t *testing.T) {
	r := parse(t, datagram(t, AccessRequest, "2103 61"+attr(UserName, 2)+"2102"+"2104 6263"))
	var b Builder
	b.Begin(AccessReject, r.Identifier, nil, First)
	b.CopyProxyStates(r)
	wire, err := new(Scratch).Sign(NewSecret([]byte("s")), &b, &r.Authenticator)
	must(t, err)
	equal(t, "end of the reply", wire[len(wire)-9:], unhex(t, "210361 2102 21046263"))
	equal(t, "start", wire[:2], []byte{byte(AccessReject), r.Identifier})
}

// TestBuilderUsesTheBuffer: a reply is written where the caller wants it, and
// moves only when it does not fit there.
func TestBuilderUsesTheBuffer(t *testing.T) {
	var s Scratch
	var b Builder
	secret := NewSecret([]byte("s"))
	slot := make([]byte, 64)
	b.Begin(AccessAccept, 1, slot, Off)
	wire, err := s.Sign(secret, &b, &[16]byte{})
	must(t, err)
	if &wire[0] != &slot[0] {
		t.Error("the reply is not in the buffer")
	}
	b.Begin(AccessAccept, 1, slot, First)
	b.AddString(ReplyMessage, strings.Repeat("m", 100))
	wire, err = s.Sign(secret, &b, &[16]byte{})
	must(t, err)
	must(t, s.VerifyReply(secret, parse(t, wire), &[16]byte{}))
}

func TestNothingIsCutShort(t *testing.T) {
	long := bytes.Repeat([]byte{'x'}, MaxValue+1)
	full := func(b *Builder, upTo int) {
		for len(b.buf)+2+MaxValue <= upTo {
			b.Add(Class, long[:MaxValue])
		}
		b.Add(Class, long[:upTo-len(b.buf)-2])
	}
	for name, test := range map[string]struct {
		placement Placement
		add       func(*Builder)
		ok        bool
	}{
		"longest value":             {First, func(b *Builder) { b.Add(Class, long[:MaxValue]) }, true},
		"value too long":            {First, func(b *Builder) { b.Add(Class, long) }, false},
		"text too long":             {First, func(b *Builder) { b.AddString(ReplyMessage, string(long)) }, false},
		"longest vendor value":      {First, func(b *Builder) { b.AddVendor(9, 1, long[:247]) }, true},
		"vendor value too long":     {First, func(b *Builder) { b.AddVendor(9, 1, long[:248]) }, false},
		"longest packet":            {First, func(b *Builder) { full(b, MaxLength) }, true},
		"packet too long":           {First, func(b *Builder) { full(b, MaxLength-1); b.Add(Class, nil) }, false},
		"longest packet, last":      {Last, func(b *Builder) { full(b, MaxLength-18) }, true},
		"no room for the last one":  {Last, func(b *Builder) { full(b, MaxLength-17) }, false},
		"longest encoded":           {First, func(b *Builder) { full(b, MaxLength-4); b.AddEncoded([]byte{18, 2, 18, 2}) }, true},
		"no room for all encoded":   {First, func(b *Builder) { full(b, MaxLength-3); b.AddEncoded([]byte{18, 2, 18, 2}) }, false},
		"passcode too long":         {First, func(b *Builder) { new(Scratch).AddUserPassword(b, NewSecret(long), &[16]byte{}, long[:129]) }, false},
		"a fault sticks":            {First, func(b *Builder) { b.Add(Class, long); b.Add(Class, nil) }, false},
		"Proxy-States that overrun": {First, func(b *Builder) { full(b, MaxLength-10); b.CopyProxyStates(parse(t, datagram(t, 1, attr(33, 20)))) }, false},
	} {
		t.Run(name, func(t *testing.T) {
			var s Scratch
			var b Builder
			secret := NewSecret([]byte("s"))
			b.Begin(AccessAccept, 1, nil, test.placement)
			test.add(&b)
			wire, err := s.Sign(secret, &b, &[16]byte{})
			if (err == nil) != test.ok || (wire != nil) != test.ok || (b.Err() == nil) != test.ok {
				t.Fatalf("Sign: %d octets, error %v", len(wire), err)
			}
			if test.ok {
				must(t, s.VerifyReply(secret, parse(t, wire), &[16]byte{}))
			}
			b.Begin(AccessAccept, 1, nil, test.placement)
			if b.Err() != nil {
				t.Error("the fault outlives the packet")
			}
		})
	}
}

func TestAddEncoded(t *testing.T) {
	for encoded, want := range map[string]string{
		"":              "",
		"1902":          "1902",
		"190361 0b0462": "", "19": "", "1900": "", "1901": "", "190361 19": "",
		"190361 0b046263": "190361 0b046263",
	} {
		var b Builder
		b.Begin(AccessAccept, 1, nil, Off)
		b.AddEncoded(unhex(t, encoded))
		if ok := want != "" || encoded == ""; (b.Err() == nil) != ok {
			t.Errorf("AddEncoded(%s): error %v", encoded, b.Err())
		}
		equal(t, encoded, b.buf[HeaderLength:], unhex(t, want))
	}
	var b Builder
	b.Begin(AccessAccept, 1, nil, Off)
	b.Add(Class, make([]byte, 254))
	b.AddEncoded([]byte{25, 3, 1})
	equal(t, "attributes after a fault", b.buf[HeaderLength:], nil)
}

func TestVerifyReplyRefuses(t *testing.T) {
	var s Scratch
	var b Builder
	secret, authenticator := NewSecret([]byte(exampleSecret)), [16]byte{5}
	b.Begin(AccessAccept, 1, nil, First)
	b.AddString(ReplyMessage, "Welcome")
	wire, err := s.Sign(secret, &b, &authenticator)
	must(t, err)
	reply := parse(t, wire)
	must(t, s.VerifyReply(secret, reply, &authenticator))
	if s.VerifyReply(NewSecret([]byte("other")), reply, &authenticator) == nil {
		t.Error("another secret is accepted")
	}
	if s.VerifyReply(secret, reply, &[16]byte{6}) == nil {
		t.Error("the answer to another request is accepted")
	}
	if s.VerifyReply(secret, new(Request), &authenticator) == nil {
		t.Error("a reply that was not parsed is accepted")
	}
	// A right Response Authenticator over a wrong Message-Authenticator.
	wire[25]++
	copy(wire[4:20], authenticator[:])
	copy(wire[4:20], s.hash(wire, []byte(exampleSecret)))
	if err := s.VerifyReply(secret, parse(t, wire), &authenticator); err != errMessageAuthenticator {
		t.Errorf("wrong Message-Authenticator: %v", err)
	}
}
