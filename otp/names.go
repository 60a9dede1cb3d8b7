package otp

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"
)

const (
	// MaxUserName is the longest user name in bytes: what fits in a RADIUS
	// attribute (RFC 2865 section 5).
	MaxUserName = 253
	// MaxSerial is the longest serial in bytes.
	MaxSerial = 64
)

// UserName names a user. It is normalized by the PRECIS profile UsernameCaseMapped
// (RFC 8265 section 3.3): Alice, ALICE and alice are one user, as they are in
// Active Directory. Unlike there, spaces may stand between parts of a name.
type UserName string

// ParseUserName normalizes a user name: valid UTF-8 of 1 to MaxUserName bytes
// without control characters or spaces at its ends.
func ParseUserName(s string) (UserName, error) {
	b, ok := AppendUserName(make([]byte, 0, len(s)), []byte(s))
	if !ok {
		return "", fmt.Errorf("user name %.64q: must be 1 to %d bytes of text without control characters or spaces at the ends", s, MaxUserName)
	}
	return UserName(b), nil
}

// AppendUserName appends the normalized form of raw to dst, without allocating
// when dst has room, and reports whether raw is a user name at all.
func AppendUserName(dst, raw []byte) ([]byte, bool) {
	if len(raw) == 0 || len(raw) > MaxUserName || raw[0] == ' ' || raw[len(raw)-1] == ' ' {
		return dst, false
	}
	start := len(dst)
	for _, c := range raw {
		switch {
		case c >= utf8.RuneSelf:
			return appendUnicodeName(dst[:start], raw)
		case c < ' ' || c == 0x7f:
			return dst[:start], false
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst, true
}

// appendUnicodeName is AppendUserName for names that are not plain ASCII. Each of
// the parts between spaces is a userpart of RFC 8265 section 3.3, so that letters
// that look alike or are composed differently are one name, as in a directory.
// PRECIS refuses symbols; where a name has some it is lower-cased only.
func appendUnicodeName(dst, raw []byte) ([]byte, bool) {
	if !utf8.Valid(raw) || bytes.ContainsFunc(raw, unicode.IsControl) {
		return dst, false
	}
	folded, err := foldParts(raw)
	if err != nil {
		folded = bytes.ToLower(raw)
	}
	if len(folded) > MaxUserName {
		return dst, false
	}
	return append(dst, folded...), true
}

func foldParts(raw []byte) ([]byte, error) {
	parts := bytes.Split(raw, []byte(" "))
	for i, part := range parts {
		if len(part) == 0 {
			continue
		}
		var err error
		if parts[i], err = precis.UsernameCaseMapped.Bytes(part); err != nil {
			return nil, err
		}
	}
	return bytes.Join(parts, []byte(" ")), nil
}

// Serial names a token. It is normalized to upper case.
type Serial string

// ParseSerial normalizes a serial: 1 to MaxSerial printable ASCII characters
// without spaces.
func ParseSerial(s string) (Serial, error) {
	if len(s) == 0 || len(s) > MaxSerial {
		return "", fmt.Errorf("serial %.80q: must have 1 to %d characters", s, MaxSerial)
	}
	for _, c := range []byte(s) {
		if c <= ' ' || c > '~' {
			return "", fmt.Errorf("serial %q: only printable ASCII without spaces is allowed", s)
		}
	}
	return Serial(strings.ToUpper(s)), nil
}

// TokenType is how the moving factor of a token's codes moves. The numbers are
// stored: new ones come at the end.
type TokenType uint8

const (
	// TOTP is a clock token (RFC 6238).
	TOTP TokenType = iota
	// HOTP is an event token (RFC 4226).
	HOTP
	// MobilePASS is SafeNet's event token: HOTP with SHA-256 and 6 digits, the
	// seed derived from an activation code.
	MobilePASS
	// CodeList is a list of codes that were given to the user all at once: recovery
	// codes on paper, or codes from the helpdesk. They are those of the factors 0 to
	// Token.Codes-1 of an event token; using one voids those above it on the list.
	CodeList
)

var tokenTypes = [...]string{"totp", "hotp", "mobilepass", "code-list"}

// String is the type's word: totp, hotp, mobilepass or code-list.
func (t TokenType) String() string {
	if int(t) < len(tokenTypes) {
		return tokenTypes[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// ParseTokenType is the inverse of TokenType.String.
func ParseTokenType(s string) (TokenType, error) {
	for t, word := range tokenTypes {
		if strings.EqualFold(s, word) {
			return TokenType(t), nil
		}
	}
	return 0, fmt.Errorf("token type %.40q: must be totp, hotp or mobilepass", s)
}

// Clock reports whether the factor is a time step rather than a counter.
func (t TokenType) Clock() bool { return t == TOTP }

// Method is how the passcode travelled in the request. The numbers are stored:
// new ones come at the end.
type Method uint8

// The methods of RFC 2865, RFC 2433 and RFC 2759, and a web page's form.
const (
	PAP Method = iota
	CHAP
	MSCHAP
	MSCHAPv2
	NoMethod
	Web
)

var methods = [...]string{"pap", "chap", "mschap", "mschapv2", "none", "web"}

// String is the method's word: pap, chap, mschap, mschapv2, none or web.
func (m Method) String() string {
	if int(m) < len(methods) {
		return methods[m]
	}
	return fmt.Sprintf("method(%d)", uint8(m))
}

// ErrBusy says that the store could not take an attempt: too many are waiting.
var ErrBusy = errors.New("too many logins are waiting for the store")

// ErrPIN says that a PIN breaks the rules; the wrapping text says which.
var ErrPIN = errors.New("OTP PIN refused")
