package safenet

import (
	"bytes"
	"fmt"
	"io"

	"countersign/radiusd/packet"
)

// proof is the response of a login, which shows that the user knows a passcode without
// telling it. It keeps the passcode that was found, because the answer is made of it.
type proof struct {
	login  *login
	joined []byte
	found  []byte
}

func newProof(l *login) *proof { return &proof{login: l, joined: l.joined()} }

// Matches reports whether the response was made from this passcode (otp.Challenge).
func (p *proof) Matches(passcode []byte) bool {
	if !packet.MSCHAP2Matches(p.login.userName, passcode, p.login.challenge[:], p.joined) {
		return false
	}
	p.found = bytes.Clone(passcode)
	return true
}

// Format prints no more than what it is, because it holds a passcode.
func (p *proof) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "proof") }
