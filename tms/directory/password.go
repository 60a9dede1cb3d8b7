package directory

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Password prints.
const redacted = "[redacted]"

// Password is the password of a service account. It prints [redacted] under every
// verb of fmt, in slog and in JSON, also as a field of other structs. The zero
// Password is none.
type Password struct {
	// fmt calls no methods on unexported fields, but prints what is in them: of a
	// pointer to a string its address.
	hidden *string
}

// NewPassword keeps a copy of text.
func NewPassword(text []byte) Password {
	if len(text) == 0 {
		return Password{}
	}
	kept := string(text)
	return Password{&kept}
}

// IsZero reports whether there is no password.
func (p Password) IsZero() bool { return p.hidden == nil }

// reveal returns the password itself.
func (p Password) reveal() string {
	if p.hidden == nil {
		return ""
	}
	return *p.hidden
}

// String returns [redacted].
func (Password) String() string { return redacted }

// Format prints [redacted] under every verb.
func (Password) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [redacted].
func (Password) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted], and so JSON has it as a string.
func (Password) MarshalText() ([]byte, error) { return []byte(redacted), nil }
