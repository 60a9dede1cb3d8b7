package radiustest

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"time"
)

// Algorithm is the hash under a token's HMAC (RFC 6238 section 1.2).
type Algorithm uint8

// The algorithms of RFC 6238.
const (
	SHA1 Algorithm = iota
	SHA256
	SHA512
	algorithms // how many there are
)

func (a Algorithm) newHash() hash.Hash {
	switch a {
	case SHA256:
		return sha256.New()
	case SHA512:
		return sha512.New()
	default:
		return sha1.New()
	}
}

// User is someone who logs in with a passcode: the PIN followed by the code of
// one token.
type User struct {
	Name      string // User-Name, at most 253 bytes
	PIN       Secret
	Seed      Secret
	Algorithm Algorithm
	Digits    int           // of a code, 6 to 10
	Period    time.Duration // of a time step, in whole seconds; 0 is an event token (HOTP)
	Counter   uint64        // of an event token's next code
}

// Code returns the token's code for a counter (RFC 4226 section 5.3) or a time
// step (RFC 6238 section 4.2).
func (u User) Code(factor uint64) string {
	mac := newSavedMAC(u.Algorithm.newHash())
	return string(appendCode(nil, mac, mac.key(u.Seed.Reveal()), factor, u.Digits))
}

// Passcode returns what the user types for a counter or time step: the PIN and
// the code.
func (u User) Passcode(factor uint64) Secret {
	return NewSecret(string(u.PIN.Reveal()) + u.Code(factor))
}

// Step returns the time step of a clock token at t, counted from 1970.
func (u User) Step(t time.Time) uint64 {
	return uint64(t.Unix()) / uint64(u.Period/time.Second)
}

// verify reports what makes the user unusable.
func (u User) verify() error {
	var faults []error
	if u.Name == "" || len(u.Name) > maxUserName {
		faults = append(faults, fmt.Errorf("user name of %d bytes, want 1 to %d", len(u.Name), maxUserName))
	}
	if u.Digits < 6 || u.Digits > 10 {
		faults = append(faults, fmt.Errorf("codes of %d digits, want 6 to 10", u.Digits))
	}
	if n := len(u.PIN.Reveal()) + u.Digits; n > maxPasscode {
		faults = append(faults, fmt.Errorf("passcode of %d bytes, want at most %d", n, maxPasscode))
	}
	if u.Period < 0 || u.Period%time.Second != 0 {
		faults = append(faults, fmt.Errorf("period %v, want whole seconds", u.Period))
	}
	if u.Algorithm >= algorithms {
		faults = append(faults, fmt.Errorf("unknown algorithm %d", u.Algorithm))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("user %q: %w", u.Name, errors.Join(faults...))
}
