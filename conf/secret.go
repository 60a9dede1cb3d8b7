package conf

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted is what a Secret prints.
const redacted = "[redacted]"

// Secret is a shared secret or a password. It prints [redacted] under every verb of fmt, in
// slog and in JSON, also as a field of other structs. The zero Secret is none.
type Secret struct {
	// fmt calls no methods on unexported fields of other structs, but prints
	// what is in them: of a pointer its address. That the pointer is to a string
	// matters, because under a verb that is wrong for a pointer, such as %s,
	// fmt follows one to a slice, an array, a struct or a map.
	hidden *string
}

// newSecret keeps a copy of text.
func newSecret(text []byte) Secret {
	kept := string(text)
	return Secret{hidden: &kept}
}

// Bytes returns a copy of the secret's bytes, nil when there is none.
func (s Secret) Bytes() []byte {
	if s.hidden == nil {
		return nil
	}
	return []byte(*s.hidden)
}

// String returns [redacted].
func (s Secret) String() string { return redacted }

// Format prints [redacted] under every verb.
func (s Secret) Format(f fmt.State, verb rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [redacted].
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns [redacted], and so JSON has it as a string.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }
