package remote

import (
	"fmt"
	"io"
)

// redacted has what it is embedded in print as [redacted].
type redacted struct{}

// Format prints [redacted] under every verb.
func (redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText is [redacted], also in JSON.
func (redacted) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }
