package radiusd

import (
	"fmt"
	"io"
	"sync"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// proof is the response of a CHAP, MS-CHAP or MS-CHAPv2 request, which shows
// that the user knows a passcode without telling it. It keeps the passcode that
// was found, because the session keys of MS-CHAP are made of it.
type proof struct {
	request   *request
	scratches *sync.Pool // of *packet.Scratch: the store tries passcodes on goroutines of its own
	method    otp.Method
	found     [packet.MaxPasscode]byte
	length    int
}

// Matches reports whether the response was made from this passcode
// (otp.Challenge).
func (p *proof) Matches(passcode []byte) bool {
	if !p.try(passcode) {
		return false
	}
	p.length = copy(p.found[:], passcode)
	return true
}

func (p *proof) try(passcode []byte) bool {
	r := &p.request.packet
	switch p.method {
	case otp.CHAP:
		id, challenge, response, ok := r.CHAP()
		scratch := p.scratches.Get().(*packet.Scratch)
		defer p.scratches.Put(scratch)
		return ok && scratch.CHAPMatches(id, passcode, challenge, response)
	case otp.MSCHAP:
		return packet.MSCHAPMatches(passcode, r.MSCHAPChallenge, r.MSCHAPResponse)
	case otp.MSCHAPv2:
		return packet.MSCHAP2Matches(r.UserName, passcode, r.MSCHAPChallenge, r.MSCHAP2Response)
	}
	return false
}

// passcode is what Matches has found.
func (p *proof) passcode() []byte { return p.found[:p.length] }

// Format prints no more than what it is, because it holds a passcode.
func (p *proof) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "proof") }

func (p *proof) forget() {
	clear(p.found[:])
	p.length = 0
}
