package bsidca

import "countersign/otp/oath"

// Secret is an operator's OTP or password, or a token's PIN. The zero Secret is none. It
// prints as [redacted].
type Secret struct {
	oath.Redacted
	text *string
}

// NewSecret makes a Secret.
func NewSecret(text string) Secret { return Secret{text: &text} }

// Reveal is what the Secret hides. Never print it.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether there is nothing to hide.
func (s Secret) IsZero() bool { return s.Reveal() == "" }
