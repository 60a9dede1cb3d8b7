package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
)

// keyPrefix tells a public key of ours, and how the rest is written.
const keyPrefix = "csaudit1-"

var keyText = base64.RawURLEncoding.Strict()

// FormatKey is a public key as people note it: csaudit1- and its 32 bytes in base64url
// (RFC 4648 section 5) without padding.
func FormatKey(key ed25519.PublicKey) string { return keyPrefix + keyText.EncodeToString(key) }

// ParseKey reads what FormatKey makes; space around it does no harm.
func ParseKey(s string) (ed25519.PublicKey, error) {
	s = strings.TrimSpace(s)
	text, ok := strings.CutPrefix(s, keyPrefix)
	if !ok {
		return nil, fmt.Errorf("audit key %q: it has to begin with %s", s, keyPrefix)
	}
	if n, want := len(text), keyText.EncodedLen(ed25519.PublicKeySize); n != want {
		return nil, fmt.Errorf("audit key %q: after %s it has %d characters and not %d, so a part of it is missing or too much", s, keyPrefix, n, want)
	}
	key, err := keyText.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("audit key %q: after %s it has to be base64url: %w", s, keyPrefix, err)
	}
	return key, nil
}
