package oath

import (
	"fmt"
	"log/slog"
)

// Redaction is what stands in the place of a secret.
const Redaction = "[redacted]"

// Redacted is embedded by types that hold secrets: they then print as Redaction
// under every verb of fmt, in slog, and as text and JSON. That does not reach
// them where they are an unexported field of another type; there the secret must
// be out of fmt's sight, as the package's doc says.
type Redacted struct{}

// Format prints Redaction under every verb.
func (Redacted) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redaction)) }

// String is Redaction.
func (Redacted) String() string { return Redaction }

// LogValue is Redaction.
func (Redacted) LogValue() slog.Value { return slog.StringValue(Redaction) }

// MarshalText is Redaction, also in JSON. There is no way back.
func (Redacted) MarshalText() ([]byte, error) { return []byte(Redaction), nil }
