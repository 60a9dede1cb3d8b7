package oath

import (
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// ActivationCode is what a MobilePASS client makes and its user types into the
// server: 80 bits of entropy, written as
//
//	QVKYC-FM6KO-SY6F7-TR22W
//
// four groups of five base32 characters (A-Z, 2-7). The first four of each
// group carry 20 bits; the fifth is their checksum: the sum of their ASCII
// values times 1, 2, 3 and 4, modulo 32, as a base32 character. The OTP PIN is
// not part of it.
//
// Who holds the code can make the token, so it prints as [redacted].
type ActivationCode struct {
	Redacted
	entropy Seed // of entropySize bytes; not yet the seed of the token
}

const (
	entropySize   = 10
	groups        = 4
	groupSize     = 5 // with the checksum
	base32Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
)

// NewActivationCode makes a code from 10 bytes of rand.
func NewActivationCode(rand io.Reader) (ActivationCode, error) {
	entropy := make([]byte, entropySize)
	if _, err := io.ReadFull(rand, entropy); err != nil {
		return ActivationCode{}, fmt.Errorf("reading randomness for an activation code: %w", err)
	}
	return ActivationCode{entropy: NewSeed(entropy)}, nil
}

// ParseActivationCode reads a code as people type it: in either case, 0 for O
// and 1 for I, with or without spaces, dashes and the like. The error says which
// group has a slip in it, and nothing of the code.
func ParseActivationCode(text string) (ActivationCode, error) {
	characters, err := activationCharacters(text)
	if err != nil {
		return ActivationCode{}, err
	}
	var wrong []string
	data := make([]byte, 0, groups*(groupSize-1))
	for i := range groups {
		group := characters[i*groupSize:][:groupSize]
		if checksum(group[:groupSize-1]) != group[groupSize-1] {
			wrong = append(wrong, strconv.Itoa(i+1))
		}
		data = append(data, group[:groupSize-1]...)
	}
	if wrong != nil {
		return ActivationCode{}, fmt.Errorf("activation code: checksum of group %s is wrong: compare its %d characters with those the token shows",
			strings.Join(wrong, " and of group "), groupSize)
	}
	entropy, err := base32.StdEncoding.AppendDecode(nil, data)
	if err != nil {
		return ActivationCode{}, errors.New("activation code is not base32")
	}
	return ActivationCode{entropy: NewSeed(entropy)}, nil
}

// activationCharacters returns the 20 characters of the code in upper case and
// without separators.
func activationCharacters(text string) ([]byte, error) {
	characters := make([]byte, 0, groups*groupSize)
	count, place := 0, 0
	for _, r := range text {
		place++
		if separator(r) || strings.ContainsRune("._:/,", r) {
			continue
		}
		r = meantCharacter(r)
		if !base32Character(r) {
			return nil, fmt.Errorf("activation code: character %d is none of A-Z and 2-7: compare it with what the token shows", place)
		}
		if count++; count <= cap(characters) {
			characters = append(characters, byte(r))
		}
	}
	if count != groups*groupSize {
		return nil, fmt.Errorf("activation code has %d characters, but must have %d, as %d groups of %d: check that it was typed whole",
			count, groups*groupSize, groups, groupSize)
	}
	return characters, nil
}

// meantCharacter is the character of the code that somebody meant who typed r.
func meantCharacter(r rune) rune {
	switch {
	case r == '0':
		return 'O'
	case r == '1':
		return 'I'
	case 'a' <= r && r <= 'z':
		return r - 'a' + 'A'
	}
	return r
}

// checksum is the fifth character of a group.
func checksum(group []byte) byte {
	sum := 0
	for i, c := range group {
		sum += int(c) * (i + 1)
	}
	return base32Letters[sum%len(base32Letters)]
}

// Text is the code as a token shows it, in four groups with dashes; "" for the
// zero ActivationCode. It is for the one who activates the token: never print it
// anywhere else.
func (c ActivationCode) Text() string {
	if c.entropy.IsZero() {
		return ""
	}
	data := base32.StdEncoding.AppendEncode(nil, c.entropy.Bytes())
	var text []byte
	for i := range groups {
		if i > 0 {
			text = append(text, '-')
		}
		group := data[i*(groupSize-1):][:groupSize-1]
		text = append(text, group...)
		text = append(text, checksum(group))
	}
	return string(text)
}

// Seed is the seed of the token: SHA-256 of the 10 bytes of entropy, the policy
// string, which may be empty, and four zero bytes. (Descriptions give the last as
// 00000000; that is hexadecimal, as the known codes show.) It is used with
// SHA256, 6 digits and counters from 0. The zero ActivationCode has the zero Seed.
func (c ActivationCode) Seed(policy string) Seed {
	if c.entropy.IsZero() {
		return Seed{}
	}
	message := append(c.entropy.Bytes(), policy...) // a copy, for a Seed has no room behind it
	message = append(message, 0, 0, 0, 0)
	sum := sha256.Sum256(message)
	return NewSeed(sum[:])
}
