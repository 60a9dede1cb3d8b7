package otp

import (
	"errors"
	"fmt"
	"time"

	"countersign/otp/oath"
)

// ErrResync says that two codes shown to an administrator do not follow each
// other on this token within the resync window.
var ErrResync = errors.New("the two codes do not follow each other on this token")

// Resync finds a token's place again by two consecutive codes (as digits) and
// burns them. It ends a lock. With rewind the place of a clock token may be
// before codes that count as used, which is the way out after a clock was wrong:
// codes that were used meanwhile can then pass again. The error wraps ErrResync
// when the codes do not fit.
func Resync(t *Token, first, second string, rewind bool, at time.Time, p Policy) error {
	for _, code := range [2]string{first, second} {
		if _, ok := oath.CodeValue([]byte(code)); !ok || len(code) != int(t.Digits) {
			return fmt.Errorf("%w: each must be %d digits", ErrResync, t.Digits)
		}
	}
	var gen oath.Generator
	value, _ := oath.CodeValue([]byte(first))
	next, _ := oath.CodeValue([]byte(second))
	one, two := shown(value), shown(next)
	f := newFinder(&gen, t, &p, at)
	before := t.State
	if rewind && t.Type.Clock() {
		t.State = State{Agreed: before.Agreed, Disagreed: before.Disagreed}
	}
	factor, found := f.search(&one, true)
	if found < farMatch || !f.at(factor+1, &two) {
		t.State = before
		return fmt.Errorf("%w: wait for a new code, then give that and the one after it", ErrResync)
	}
	f.burn(factor + 1)
	return nil
}
