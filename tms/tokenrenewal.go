package tms

import (
	"countersign/otp"
	"countersign/otp/oath"
)

// renew gives a token that is there the seed, settings and validity of a seed file.
// No code that was used may be accepted again:
//
//   - With the seed it had, the counter of an event token only goes forward.
//   - The steps of a clock token stay burned up to the instant up to which they are,
//     also when seed, period or T0 are others now, and, unless that is years ahead,
//     by their numbers, too (see burnedSteps). Its drift stays with its seed.
//   - An event token with another seed was programmed anew, and begins where the file
//     says. But that may be the seed before the last, out of an old file: so when codes
//     of the token were used here it needs two in a row once, as after a restore.
//
// A token that was learned stays so. How often TMS and token have agreed is of the
// seed, and stays with it: with another one it has to prove itself anew.
func renew(t *otp.Token, file otp.Token) {
	same := t.Seed.Equal(file.Seed)
	state := file.State
	if same {
		state = t.State
	}
	switch {
	case t.Type.Clock():
		state.Counter = max(file.State.Counter, burnedSteps(t, &file))
		if t.State == (otp.State{}) || t.Period != file.Period {
			state.Drift = file.State.Drift
		}
	case same:
		state.Counter = max(file.State.Counter, t.State.Counter)
	default:
		state.MustResync = t.State.MustResync || t.State.Counter > 0
	}
	if state.Counter != t.State.Counter {
		state.ResyncFactor, state.ResyncUntil = 0, 0
	}
	file.Serial, file.Disabled, file.Learned, file.State = t.Serial, t.Disabled, t.Learned, state
	if same {
		file.Seed = t.Seed // or a token that stays as it is would look changed
	}
	if t.Type == otp.MobilePASS && isMobile(&file) {
		file.Type = otp.MobilePASS
	}
	*t = file
}

// isMobile reports whether an event token computes what a MobilePASS token does: as
// one is written into a seed file.
func isMobile(t *otp.Token) bool {
	return t.Type == otp.HOTP && t.Algorithm == oath.SHA256 && t.Digits == 6
}

// far is a step or a time of no clock, and its product with a period does not overflow.
const far = 1 << 40

// burnedSteps is the lowest step not burned of a clock token when its steps are
// counted as the file has it. It is not before the lowest one until now, for the code of
// a step depends on its number: when T0 moves by some steps, codes that were used come
// again. When it moves by years, as between 1970 and 2000, nobody has kept them so long,
// and nobody can wait for their end.
func burnedSteps(t, file *otp.Token) uint64 {
	const tenYears = 10 * 365 * 24 * 60 * 60
	if t.T0 == file.T0 && t.Period == file.Period || t.State.Counter == 0 || t.State.Counter > far {
		return t.State.Counter
	}
	period := int64(file.Period)
	until := t.T0 + int64(t.State.Counter)*int64(t.Period) - file.T0
	burned := max(0, (until+period-1)/period)
	if before := int64(t.State.Counter); before > burned && (before-burned)*period <= tenYears {
		return t.State.Counter
	}
	return uint64(burned)
}
