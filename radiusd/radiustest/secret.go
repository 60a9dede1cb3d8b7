package radiustest

import (
	"fmt"
	"io"
)

// Secret holds a PIN, a seed or a shared secret, as raw bytes. It prints as
// "[redacted]" under every verb of fmt, in slog and in JSON.
type Secret struct {
	// A function, because fmt does not call methods on unexported fields of
	// other structs. It prints a function as an address under every verb; a
	// pointer it follows under %s and %q, for which it reports a bad verb.
	value func() []byte
}

// NewSecret returns a Secret with a copy of value.
func NewSecret[T string | []byte](value T) Secret {
	b := []byte(string(value))
	return Secret{func() []byte { return b }}
}

// Reveal returns the bytes, which must not be changed; none for the zero value.
func (s Secret) Reveal() []byte {
	if s.value == nil {
		return nil
	}
	return s.value()
}

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) {
	_, _ = io.WriteString(f, redacted) // a fmt.State keeps errors to itself
}

// MarshalText implements encoding.TextMarshaler, for JSON and slog.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

const redacted = "[redacted]"
