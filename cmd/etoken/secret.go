package main

import (
	"strings"
	"unicode"

	"countersign/otp/oath"
)

// secret is a PIN, an Activation Key or a key. It keeps its bytes as a seed does, out
// of sight of fmt, and prints as [redacted].
type secret struct{ oath.Seed }

func newSecret(b []byte) secret { return secret{oath.NewSeed(b)} }

// reveal is the text. Never print it.
func (s secret) reveal() string { return string(s.Bytes()) }

// wipe overwrites the bytes.
func (s secret) wipe() { clear(s.Bytes()) }

// maxShown bounds in bytes what is printed of a text that came from elsewhere.
const maxShown = 400

// printable is a text from elsewhere as a terminal may have it: on one line, without
// characters that would command the terminal.
func printable(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxShown)], "�")
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}
