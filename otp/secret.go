package otp

import (
	"crypto/subtle"
	"fmt"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"countersign/otp/oath"
)

// MaxPasscode is the longest passcode in bytes (RFC 2865 section 5.2).
const MaxPasscode = 128

// secret is a view of bytes that must not be shown. It holds a pointer to the
// first byte and a length instead of a slice, because fmt does not call the
// methods of an unexported field but prints what it holds: of this, an address.
type secret struct {
	oath.Redacted
	data *byte
	n    int
}

func newSecret(b []byte) secret { return secret{data: unsafe.SliceData(b), n: len(b)} }

func (s secret) bytes() []byte { return unsafe.Slice(s.data, s.n) }

func (s secret) equal(b []byte) bool { return subtle.ConstantTimeCompare(s.bytes(), b) == 1 }

// PIN is a user's OTP PIN: a view of bytes somebody else keeps. The zero PIN is
// no PIN: the passcode is the code alone. It prints as [redacted].
type PIN struct{ secret }

// NewPIN makes a view of b, which must not change while the PIN is in use.
func NewPIN(b []byte) PIN { return PIN{newSecret(b)} }

// maxPIN is the longest PIN in bytes; a code of 10 digits must fit behind it.
const maxPIN = 64

// ParsePIN checks what an administrator or a user chose: minLength to 32
// characters of printable text without spaces, 64 bytes at most. The error wraps
// ErrPIN.
func ParsePIN(s string, minLength int) (PIN, error) {
	n := utf8.RuneCountInString(s)
	if n < minLength || n > 32 || len(s) > maxPIN || !utf8.ValidString(s) {
		return PIN{}, fmt.Errorf("%w: it must have %d to 32 characters, and at most %d bytes", ErrPIN, minLength, maxPIN)
	}
	for _, r := range s {
		if !unicode.IsPrint(r) || unicode.IsSpace(r) {
			return PIN{}, fmt.Errorf("%w: it must not have spaces or control characters", ErrPIN)
		}
	}
	return NewPIN([]byte(s)), nil
}

// Bytes are the characters of the PIN. Never print them.
func (p PIN) Bytes() []byte { return p.bytes() }

// IsZero reports whether there is no PIN.
func (p PIN) IsZero() bool { return p.n == 0 }

// Equal compares in constant time.
func (p PIN) Equal(other PIN) bool { return p.equal(other.bytes()) }

// Passcode is PIN and code as typed: a view of bytes somebody else keeps. It
// prints as [redacted].
type Passcode struct{ secret }

// NewPasscode makes a view of b, which must not change before the attempt is
// decided.
func NewPasscode(b []byte) Passcode { return Passcode{newSecret(b)} }

// Bytes are the characters of the passcode. Never print them.
func (p Passcode) Bytes() []byte { return p.bytes() }

// Readable reports whether the passcode is printable text of at most
// MaxPasscode bytes. One that is not was most likely decrypted with the wrong
// shared secret.
func (p Passcode) Readable() bool {
	b := p.bytes()
	if len(b) > MaxPasscode || !utf8.Valid(b) {
		return false
	}
	for _, c := range b {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return true
}
