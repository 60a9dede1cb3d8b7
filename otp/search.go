package otp

import (
	"time"

	"countersign/otp/oath"
)

// match says where a code was found.
type match uint8

const ( // the better, the higher
	noMatch    match = iota
	usedMatch        // a code that was used before
	farMatch         // only where resync looks
	freshMatch       // in the login window, not used before
)

// prover tells whether a factor's code is the one that was shown.
type prover interface {
	proves(code uint64, digits int) bool
}

// shown is a code in the clear.
type shown uint64

func (s *shown) proves(code uint64, _ int) bool { return uint64(*s)^code == 0 }

// finder searches one token's factors for the code that was shown.
type finder struct {
	gen    *oath.Generator
	token  *Token
	policy *Policy
	now    int64 // the server's time step, clock tokens only
}

// newFinder prepares the search in a token's factors at an instant.
func newFinder(gen *oath.Generator, t *Token, p *Policy, at time.Time) finder {
	gen.Init(t.Algorithm, t.Seed.Bytes())
	f := finder{gen: gen, token: t, policy: p}
	if t.Type.Clock() {
		f.now = oath.TimeStep(at, t.T0, t.Period)
	}
	return f
}

// at reports whether the code of a factor is the one shown.
func (f *finder) at(factor uint64, p prover) bool {
	digits := int(f.token.Digits)
	return p.proves(f.gen.Code(factor, digits), digits)
}

// search looks for the code: at the last used factor first, so that the very
// same digits never pass twice in a row, then in the login window, the
// likeliest factor first, and then, when far is set, where resync looks.
func (f *finder) search(p prover, far bool) (uint64, match) {
	s := &f.token.State
	if s.Counter > 0 && f.at(s.Counter-1, p) {
		return s.Counter - 1, usedMatch
	}
	if f.token.Type.Clock() {
		return f.searchClock(p, far)
	}
	return f.searchEvent(p, far)
}

func (f *finder) searchEvent(p prover, far bool) (uint64, match) {
	ahead := uint64(f.policy.LookAhead)
	reach := ahead
	if far {
		reach = max(ahead, uint64(f.policy.ResyncWindow))
	}
	for i := range reach + 1 {
		if factor := f.token.State.Counter + i; f.at(factor, p) {
			if i <= ahead {
				return factor, freshMatch
			}
			return factor, farMatch
		}
	}
	return 0, noMatch
}

// searchClock goes outwards from where the token's clock was last seen: first
// through the steps that can be accepted, then through the used ones. A step
// within Window of that place is a login, as long as the drift does not grow
// over MaxDrift by it; the others within ResyncSteps of the server's clock are
// where resync looks.
func (f *finder) searchClock(p prover, far bool) (uint64, match) {
	drift := int64(f.token.State.Drift)
	near := max(int64(f.policy.MaxDrift), abs(drift))
	limit, reach := near, int64(f.policy.Window)
	if far {
		limit = max(near, int64(f.policy.ResyncSteps))
		reach = limit + abs(drift)
	}
	for _, used := range [2]bool{false, true} {
		for i := range 2*reach + 1 {
			step := f.now + drift + outwards(i)
			if abs(step-f.now) > limit || step < 0 || f.used(uint64(step)) != used || !f.at(uint64(step), p) {
				continue
			}
			switch {
			case used:
				return uint64(step), usedMatch
			case abs(outwards(i)) > int64(f.policy.Window) || abs(step-f.now) > near:
				return uint64(step), farMatch
			}
			return uint64(step), freshMatch
		}
	}
	return 0, noMatch
}

// used reports whether a factor is burned.
func (f *finder) used(factor uint64) bool { return factor < f.token.State.Counter }

// outwards is 0, -1, +1, -2, +2 and so on: each time a step back before a step
// forward, because codes are typed late more often than early.
func outwards(i int64) int64 {
	if i%2 == 1 {
		return -(i + 1) / 2
	}
	return i / 2
}

func abs(n int64) int64 { return max(n, -n) }

// offset is how far a factor is from where it was expected.
func (f *finder) offset(factor uint64) int64 {
	if f.token.Type.Clock() {
		return int64(factor) - f.now
	}
	return int64(factor) - int64(f.token.State.Counter)
}

// resynced reports whether factor completes a resync: the factor before it was
// shown a short time ago.
func (s *State) resynced(factor uint64, at time.Time) bool {
	return s.ResyncUntil >= at.Unix() && s.ResyncUntil != 0 && factor == s.ResyncFactor+1
}

// remember notes a factor as the first of two.
func (s *State) remember(factor uint64, at time.Time, p *Policy) {
	s.ResyncFactor = factor
	s.ResyncUntil = at.Add(p.ResyncTime).Unix()
}

// forgetResync drops the first of two codes: the second must follow at once, or
// guesses could be spent on it alone.
func (s *State) forgetResync() { s.ResyncFactor, s.ResyncUntil = 0, 0 }

// locked reports whether the token is locked at an instant.
func (s *State) locked(at time.Time) bool { return s.LockedUntil > at.Unix() }

// burn uses up factor and all before it and forgets failures, lock and resync.
func (f *finder) burn(factor uint64) {
	drift := f.token.State.Drift
	if f.token.Type.Clock() {
		drift = int32(f.offset(factor))
	}
	f.token.State = State{Counter: factor + 1, Drift: drift}
}

// fail counts a wrong code and reports whether it locked the token.
func (s *State) fail(at time.Time, p *Policy) bool {
	s.Failures++
	s.forgetResync()
	if int(s.Failures) < p.MaxFailures {
		return false
	}
	s.Failures = 0
	s.LockedUntil = at.Add(p.LockTime).Unix()
	return true
}
