package mail

import (
	"fmt"
	"log/slog"
)

// redaction is what stands in the place of a secret.
const redaction = "[redacted]"

// redacted is embedded by types that hold secrets. They then print [redacted] under
// every verb of fmt, in slog and in JSON, also as exported fields of others.
type redacted struct{}

// Format prints [redacted] under every verb.
func (redacted) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redaction)) }

// String is [redacted].
func (redacted) String() string { return redaction }

// LogValue is [redacted].
func (redacted) LogValue() slog.Value { return slog.StringValue(redaction) }

// MarshalText is [redacted], and so JSON has it as a string.
func (redacted) MarshalText() ([]byte, error) { return []byte(redaction), nil }

// Password is the password of the account at the mail server. It prints [redacted].
// The zero Password is none.
type Password struct {
	redacted
	// fmt prints what is in unexported fields: of a pointer to a string its address.
	hidden *string
}

// NewPassword keeps a copy of text.
func NewPassword(text []byte) Password {
	if len(text) == 0 {
		return Password{}
	}
	kept := string(text)
	return Password{hidden: &kept}
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
