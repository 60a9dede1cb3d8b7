package oath

import (
	"crypto/subtle"
	"encoding/base32"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unsafe"
)

// The lengths of seeds in bytes that are accepted. RFC 4226 section 4 asks for
// 16 at least, but tokens with 10 are everywhere; below 8 it is a slip of the
// hand. 128 is the longest block of the hashes: beyond it HMAC gains nothing.
const (
	minSeed = 8
	maxSeed = 128
)

// Seed is the secret a token and the server share: a view of bytes that
// somebody else keeps. It prints as [redacted]. Compare seeds with Equal; ==
// compares where they are kept.
//
// It holds a pointer to the first byte and a length instead of a slice, because
// fmt prints a slice in an unexported field, but of a pointer to a byte only the
// address, whatever the verb (see the package's doc). It is a view because a server opens a million seeds into a few large
// buffers, and each would otherwise cost an allocation.
type Seed struct {
	Redacted
	data *byte
	n    int
}

// NewSeed makes a view of b, of any length, which must not change while the
// seed is in use.
func NewSeed(b []byte) Seed { return Seed{data: unsafe.SliceData(b), n: len(b)} }

// ParseSeedHex reads a seed of 8 to 128 bytes in hexadecimal, in either case;
// spaces and dashes are ignored.
func ParseSeedHex(text string) (Seed, error) {
	digits, bad := seedCharacters(text, func(r rune) bool {
		return '0' <= r && r <= '9' || 'A' <= r && r <= 'F'
	})
	if bad > 0 {
		return Seed{}, fmt.Errorf("seed is not hexadecimal: character %d is none of 0-9 and A-F", bad)
	}
	if len(digits)%2 != 0 {
		return Seed{}, fmt.Errorf("seed has %d hexadecimal digits, an odd number: check that it was copied whole", len(digits))
	}
	b, err := hex.AppendDecode(nil, digits)
	if err != nil {
		return Seed{}, errors.New("seed is not hexadecimal") // err would show a character of it
	}
	return parsedSeed(b)
}

// ParseSeedBase32 reads a seed of 8 to 128 bytes in base32 (RFC 4648 section 6,
// as in otpauth links), in either case; spaces and dashes are ignored, and the
// padding may be missing.
func ParseSeedBase32(text string) (Seed, error) {
	unpadded := strings.TrimRightFunc(text, func(r rune) bool { return r == '=' || separator(r) })
	characters, bad := seedCharacters(unpadded, base32Character)
	if bad > 0 {
		return Seed{}, fmt.Errorf("seed is not base32: character %d is none of A-Z and 2-7 (base32 has no 0, 1, 8 and 9)", bad)
	}
	switch len(characters) % 8 {
	case 1, 3, 6: // no number of whole bytes ends like this
		return Seed{}, fmt.Errorf("seed has %d base32 characters, which is no whole number of bytes: check that it was copied whole", len(characters))
	}
	b, err := base32.StdEncoding.WithPadding(base32.NoPadding).AppendDecode(nil, characters)
	if err != nil {
		return Seed{}, errors.New("seed is not base32")
	}
	return parsedSeed(b)
}

func parsedSeed(b []byte) (Seed, error) {
	if len(b) < minSeed || len(b) > maxSeed {
		return Seed{}, fmt.Errorf("seed has %d bytes, but must have %d to %d: check that it was copied whole", len(b), minSeed, maxSeed)
	}
	return NewSeed(b), nil
}

// seedCharacters returns the characters of text in upper case and without the
// separators. If there is one that is not allowed, bad is its place, from 1.
func seedCharacters(text string, allowed func(rune) bool) (characters []byte, bad int) {
	characters = make([]byte, 0, len(text))
	place := 0
	for _, r := range text {
		place++
		if separator(r) {
			continue
		}
		if 'a' <= r && r <= 'z' {
			r -= 'a' - 'A'
		}
		if !allowed(r) {
			return nil, place
		}
		characters = append(characters, byte(r))
	}
	return characters, 0
}

// separator reports whether people put r between groups of characters. Mail
// programs make other dashes of the one that was meant.
func separator(r rune) bool { return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) }

func base32Character(r rune) bool { return 'A' <= r && r <= 'Z' || '2' <= r && r <= '7' }

// Bytes are the bytes of the seed, not a copy. Never print them.
func (s Seed) Bytes() []byte { return unsafe.Slice(s.data, s.n) }

// Len is the number of bytes.
func (s Seed) Len() int { return s.n }

// IsZero reports whether there is no seed.
func (s Seed) IsZero() bool { return s.n == 0 }

// Equal compares in a time that depends on the lengths alone.
func (s Seed) Equal(other Seed) bool {
	return subtle.ConstantTimeCompare(s.Bytes(), other.Bytes()) == 1
}
