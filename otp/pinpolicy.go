package otp

import (
	"fmt"
	"slices"
	"strings"
)

// ErrWeakPIN says that a PIN is one of those that are guessed first. It wraps
// ErrPIN.
var ErrWeakPIN = fmt.Errorf("%w: it is easily guessed", ErrPIN)

// PINPolicy says which PINs users may choose.
type PINPolicy struct {
	MinLength int      // in characters
	AllowWeak bool     // also PINs that are guessed first, such as 0000 and 1234
	Refused   []string // these neither
}

// Choose checks a PIN that a user has chosen for an account. The error wraps
// ErrPIN, and ErrWeakPIN if that is why. The PIN is a view of text.
func (p *PINPolicy) Choose(text string, user UserName) (PIN, error) {
	pin, err := ParsePIN(text, p.MinLength)
	switch {
	case err != nil:
		return PIN{}, err
	case slices.Contains(p.Refused, text), !p.AllowWeak && weakPIN(text, string(user)):
		return PIN{}, ErrWeakPIN
	}
	return pin, nil
}

// keypad are the straight lines of a telephone's keys, which fingers like.
const keypad = "147 258 369 741 852 963 2580 0852 1590 3570 159 357 951 753"

// weakPIN reports whether a PIN is one of the first that anybody would try: made
// by repeating something short, counting up or down, a line on the keypad, a year,
// or part of the user's name.
func weakPIN(pin, user string) bool {
	return repeats(pin) || counts(pin, 1) || counts(pin, -1) || slices.Contains(strings.Fields(keypad), pin) ||
		year(pin) || strings.Contains(strings.ToLower(user), strings.ToLower(pin))
}

// repeats reports whether a PIN is one piece over and over, as 0000, 1212 and
// 123123, or mirrored, as 1221.
func repeats(pin string) bool {
	for n := 1; n <= len(pin)/2; n++ {
		if len(pin)%n == 0 && strings.Repeat(pin[:n], len(pin)/n) == pin {
			return true
		}
	}
	mirrored := []byte(pin)
	slices.Reverse(mirrored)
	return string(mirrored) == pin
}

// counts reports whether each digit is the one before plus step, as 1234 and 7890.
func counts(pin string, step int) bool {
	for i := range pin {
		if pin[i] < '0' || pin[i] > '9' {
			return false
		}
		if i > 0 && (int(pin[i-1]-'0')+step+10)%10 != int(pin[i]-'0') {
			return false
		}
	}
	return true
}

// year reports whether a PIN is a year that people were born in, or live in.
func year(pin string) bool {
	if len(pin) != 4 || strings.Trim(pin, "0123456789") != "" {
		return false
	}
	return pin[:2] == "19" || pin[:2] == "20"
}
