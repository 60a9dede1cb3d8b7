package seedfile

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"countersign/otp"
	"countersign/otp/oath"
)

// usualDigits and usualPeriod (in seconds) are those of a token of which the file
// says nothing else.
const (
	usualDigits = 6
	usualPeriod = 30
)

// newToken is a token with the usual settings of its type.
func newToken(line int, serial string, typ otp.TokenType) *Token {
	t := &Token{Line: line}
	t.Serial, t.Type, t.Digits = otp.Serial(serial), typ, usualDigits
	if typ.Clock() {
		t.Period = usualPeriod
	}
	return t
}

// setDigits reads the length of a code; "" leaves it.
func (t *Token) setDigits(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return errors.New("the number of digits is not a number from 6 to 10")
	}
	t.Digits = uint8(n)
	return nil
}

// setPeriod reads how many seconds a code lives; "" leaves it.
func (t *Token) setPeriod(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return errors.New("the time step is not a number of seconds")
	}
	t.Period = uint32(n)
	return nil
}

// setCounter reads the first counter that is not used; "" leaves it.
func (t *Token) setCounter(text string) error {
	if text == "" {
		return nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return errors.New("the counter is not a number")
	}
	t.State.Counter = n
	return nil
}

// setFactor reads what one column has for both types: the counter of an event token,
// the time step of a clock token.
func (t *Token) setFactor(text string) error {
	if t.Type.Clock() {
		return t.setPeriod(text)
	}
	return t.setCounter(text)
}

// setAlgorithm reads the name of a hash; with "" it is the one that the length of the
// seed lets guess.
func (t *Token) setAlgorithm(name string) (err error) {
	if name == "" {
		t.Algorithm, err = algorithmByLength(t.Seed.Len())
		return err
	}
	if t.Algorithm, err = oath.ParseAlgorithm(name); err != nil {
		return errors.New("the hash is not sha1, sha256 or sha512") // err shows the field, which may be another
	}
	return nil
}

// algorithmByLength is the hash whose sums are as long as the seed, in bytes, and
// SHA-1 when there is none.
func algorithmByLength(seed int) (oath.Algorithm, error) {
	switch seed {
	case 32:
		return oath.SHA256, nil
	case 64:
		return oath.SHA512, nil
	case 28, 48:
		return 0, fmt.Errorf("a seed of %d bytes without a hash means SHA-%d, which is not supported: if the token uses another, the file must say so", seed, 8*seed)
	}
	return oath.SHA1, nil
}

// parseSeed reads a seed that is either hexadecimal or base32: what can be
// hexadecimal is, for no base32 text of a useful length has letters up to F only.
func parseSeed(text string) (oath.Seed, error) {
	if isHex(text) {
		return oath.ParseSeedHex(text)
	}
	return oath.ParseSeedBase32(text)
}

func isHex(text string) bool {
	return text != "" && strings.Trim(text, "0123456789abcdefABCDEF") == ""
}

// parseOctets reads a value of type octets, as FreeRADIUS writes it: 0x and
// hexadecimal digits, or the bytes themselves.
func parseOctets(text string) (oath.Seed, error) {
	digits, ok := strings.CutPrefix(text, "0x")
	if !ok {
		return oath.NewSeed([]byte(text)), nil
	}
	b, err := hex.DecodeString(digits)
	if err != nil {
		return oath.Seed{}, errors.New("the key is not hexadecimal, though it begins with 0x")
	}
	return oath.NewSeed(b), nil
}

// firstError is the first of some that is one.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// badSerial says what is wrong with a serial, "" when it is one. It does not show it.
func badSerial(serial string) string {
	switch {
	case serial == "":
		return "the token has no serial"
	case len(serial) > otp.MaxSerial:
		return fmt.Sprintf("the serial is longer than %d characters", otp.MaxSerial)
	}
	if _, err := otp.ParseSerial(serial); err != nil {
		return "the serial has spaces or characters that are not ASCII"
	}
	return ""
}

// looksSecret reports whether a text is so long and of such characters that it may be
// a seed.
func looksSecret(text string) bool {
	plain := strings.ToUpper(strings.NewReplacer(" ", "", "-", "", "=", "").Replace(text))
	return len(plain) >= 20 && isHex(plain) || len(plain) >= 26 && strings.Trim(plain, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// looksSeed reports whether a serial can hardly be anything but a seed.
func looksSeed(serial string) bool { return len(serial) >= 32 && looksSecret(serial) }

// otherTypes are words for tokens that have no codes of the OATH kind. Only these are
// shown in a Fault, for what stands in place of a type may be anything.
var otherTypes = []string{"ocra", "ocra2", "tan", "motp", "pw", "spass", "sms", "email", "push", "yubikey", "yubico", "daypassword",
	"tiqr", "qr", "certificate", "webauthn", "passkey", "u2f", "vasco", "registration", "paper", "sshkey", "radius", "remote", "4eyes",
	"question", "indexedsecret", "applspec", "daplug", "voice", "forward"}

// badType says that a type is none that can be imported.
func badType(word string) string {
	if word = strings.ToLower(word); slices.Contains(otherTypes, word) {
		return fmt.Sprintf("a token of type %s cannot be imported, only hotp and totp", word)
	}
	return "the type is neither hotp nor totp"
}

// allDigits reports whether text is a decimal number.
func allDigits(text string) bool { return text != "" && strings.Trim(text, "0123456789") == "" }
