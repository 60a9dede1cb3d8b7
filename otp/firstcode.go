package otp

import (
	"time"

	"countersign/otp/oath"
)

// FirstCode is what a first look at a new token found.
type FirstCode uint8

const (
	// NotShown: the token does not show this code.
	NotShown FirstCode = iota
	// WrongFirstPIN: the token shows the code, or showed it, and the PIN is wrong: who
	// has the token guesses at the PIN.
	WrongFirstPIN
	// OutOfStep: PIN and code are right, but the token is out of step by more than
	// a login takes: the clock of its device is wrong.
	OutOfStep
	// Shown: the passcode is right.
	Shown
)

// VerifyFirst looks whether a passcode is a PIN and a code that a new token shows,
// before the token is anybody's. If it is Shown the code is burned in t.State. The
// offset is how far the code is from where it was expected, in time steps or
// counters. Wrong codes are the caller's to count. A token that must resync, because
// its codes may have been used, shows none.
func VerifyFirst(t *Token, pin PIN, p Passcode, at time.Time, policy Policy) (found FirstCode, offset int64) {
	typed, code, ok := splitPasscode(p, int(t.Digits))
	if !ok || !t.Valid(at) || t.State.MustResync {
		return NotShown, 0
	}
	var gen oath.Generator
	f := newFinder(&gen, t, &policy, at)
	factor, match := f.search(&code, true)
	switch right := pin.Equal(typed); {
	case match != noMatch && !right:
		return WrongFirstPIN, 0
	case match == freshMatch:
		offset = f.offset(factor)
		f.burn(factor)
		return Shown, offset
	case match == farMatch:
		return OutOfStep, f.offset(factor)
	}
	return NotShown, 0
}
