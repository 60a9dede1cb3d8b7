package seal

import (
	"fmt"
	"log/slog"
)

// redacted is embedded by the types that hold secrets.
type redacted struct{}

const redaction = "[redacted]"

// Format prints [redacted] under every verb.
func (redacted) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redaction)) }

// String is [redacted].
func (redacted) String() string { return redaction }

// LogValue is [redacted].
func (redacted) LogValue() slog.Value { return slog.StringValue(redaction) }

// MarshalText is [redacted], also in JSON. There is no way back.
func (redacted) MarshalText() ([]byte, error) { return []byte(redaction), nil }
