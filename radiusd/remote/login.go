package remote

import (
	"errors"
	"sync"

	"countersign/radiusd/packet"
)

// Login is what a server is shown. What it refers to is not kept, nor changed. It
// prints as [redacted].
type Login struct {
	redacted
	// UserName is the name as the server knows it. With MS-CHAPv2 the name without a
	// domain is part of what the user's device has proved, and has to stay as it was.
	UserName []byte
	Passcode []byte // as typed, of PAP
	// Packet is what the NAS has sent: the proof of CHAP and MS-CHAP, and what it says of
	// itself and the client. Without it the login is PAP.
	Packet *packet.Request
	// Dialog is that of the Reply that asked; nil in a first login.
	Dialog []byte
}

var errNoCredentials = errors.New("the login has neither PAP, CHAP nor MS-CHAP")

// The types of credentials that package packet does not name.
const (
	arapPassword          packet.Type = 70 // RFC 2869 section 5.4
	arapSecurityData      packet.Type = 74 // section 5.8
	arapChallengeResponse packet.Type = 84 // section 5.15
)

// withheld are the attributes of a NAS that its request does not take along: those of
// one hop, and credentials.
var withheld = [256]bool{
	packet.UserName: true, packet.State: true, packet.ProxyState: true, packet.MessageAuthenticator: true,
	packet.UserPassword: true, packet.CHAPPassword: true, packet.CHAPChallenge: true, packet.EAPMessage: true,
	arapPassword: true, arapSecurityData: true, arapChallengeResponse: true,
}

// tools are what a request is written, and a reply read with.
type tools struct {
	scratch packet.Scratch
	builder packet.Builder
	packet  packet.Request
	buf     [packet.MaxLength]byte

	secret        packet.Secret
	authenticator *[packet.AuthenticatorLength]byte // of the request being written
	fault         error                             // that the Builder knows nothing of
}

var toolbox = sync.Pool{New: func() any { return new(tools) }}

// writeLogin writes an Access-Request. The State is that of the server's dialog.
func (t *tools) writeLogin(l *Login, state []byte, nasIdentifier string) {
	t.builder.Add(packet.UserName, l.UserName)
	t.writeCredentials(l)
	if state != nil {
		t.builder.Add(packet.State, state)
	}
	p := l.Packet
	if p == nil || p.NASIPAddress == nil && p.NASIPv6Address == nil && p.NASIdentifier == nil {
		t.builder.AddString(packet.NASIdentifier, nasIdentifier)
	}
	if p == nil {
		return
	}
	for kind, value := range p.Attributes() {
		if !withheld[kind] {
			t.builder.Add(kind, value)
		}
	}
}

// writeCredentials writes what proves the passcode. MS-CHAP does not depend on the
// packet it is in, so its attributes go along with the others of the NAS.
func (t *tools) writeCredentials(l *Login) {
	p := l.Packet
	switch {
	case p == nil || p.UserPassword != nil:
		t.scratch.AddUserPassword(&t.builder, t.secret, t.authenticator, l.Passcode)
	case p.CHAPPassword != nil:
		_, challenge, _, _ := p.CHAP()
		t.builder.Add(packet.CHAPPassword, p.CHAPPassword)
		t.builder.Add(packet.CHAPChallenge, challenge)
	case p.MSCHAPResponse == nil && p.MSCHAP2Response == nil:
		t.fault = errNoCredentials
	}
}
