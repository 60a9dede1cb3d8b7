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
	taken  bool  // the TMS has taken the code: it is looked for wherever the TMS may have found it
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
// likeliest factor first, and then, when far is set, where resync looks. What the TMS
// has taken may be further off, and rather a used code than one that resync would find.
func (f *finder) search(p prover, far bool) (uint64, match) {
	if !f.taken {
		return f.look(p, far)
	}
	factor, found := f.look(p, false)
	if found == noMatch {
		factor, found = f.searchBack(p)
	}
	if found == noMatch {
		factor, found = f.look(p, true)
	}
	return factor, found
}

func (f *finder) look(p prover, far bool) (uint64, match) {
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
	if f.token.Type == CodeList {
		return f.searchList(p)
	}
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

// searchList looks at the codes of a list that are not used. There is no resync:
// the user reads them off.
func (f *finder) searchList(p prover) (uint64, match) {
	for factor := f.token.State.Counter; factor < uint64(f.token.Codes); factor++ {
		if f.at(factor, p) {
			return factor, freshMatch
		}
	}
	return 0, noMatch
}

// searchClock looks first where a login may be: around the token's own clock,
// as its drift says, and around the server's, because a drift that was learned
// from a code typed late must not shut out one typed at once. Then, when far is
// set, it goes outwards to where resync looks. What can be accepted comes before
// what is used.
func (f *finder) searchClock(p prover, far bool) (uint64, match) {
	drift, window := int64(f.token.State.Drift), int64(f.policy.Window)
	for _, sought := range [...]match{freshMatch, farMatch, usedMatch} {
		if sought == farMatch {
			if far {
				if step, ok := f.around(p, 0, f.reach(), sought); ok {
					return step, sought
				}
			}
			continue
		}
		step, ok := f.around(p, drift, window, sought)
		if !ok && drift != 0 {
			step, ok = f.around(p, 0, window, sought)
		}
		if ok {
			return step, sought
		}
	}
	return 0, noMatch
}

// maxBack is how many used counters are looked at for a code that the TMS has taken:
// more than a user comes to in years.
const maxBack = 10_000

// searchBack looks among the used factors alone, for codes that another server may still
// take for new ones. That of an event token that is used here stands still there, so
// nearly all of its codes are.
func (f *finder) searchBack(p prover) (uint64, match) {
	if f.token.Type.Clock() {
		step, ok := f.around(p, int64(f.token.State.Drift), int64(f.policy.ResyncSteps), usedMatch)
		if ok {
			return step, usedMatch
		}
		return 0, noMatch
	}
	used := f.token.State.Counter
	for i := range min(used, maxBack) {
		if factor := used - 1 - i; f.at(factor, p) {
			return factor, usedMatch
		}
	}
	return 0, noMatch
}

// maxReach is how many steps resync looks for a drift at most, before and behind: a
// day of the usual period. All of them are computed for a wrong code.
const maxReach = 24 * 60 * 60 / oath.DefaultPeriod

// reach is how many steps from the server's clock resync looks.
func (f *finder) reach() int64 {
	return max(int64(f.policy.ResyncSteps), min(abs(int64(f.token.State.Drift)), maxReach))
}

// Astray reports whether the drift of a clock token is beyond all that a clock can
// go wrong or a login can learn: more than a day, and than maxReach steps.
func (t *Token) Astray() bool {
	day := int64(24 * 60 * 60 / max(t.Period, 1))
	return t.Type.Clock() && abs(int64(t.State.Drift)) > max(day, maxReach)
}

// around looks at the steps within reach of an offset from the server's clock
// that are of the sought kind.
func (f *finder) around(p prover, offset, reach int64, sought match) (uint64, bool) {
	for i := range 2*reach + 1 {
		at := offset + outwards(i)
		if step := f.now + at; step >= 0 && f.kind(at) == sought && f.at(uint64(step), p) {
			return uint64(step), true
		}
	}
	return 0, false
}

// kind is what a match at an offset from the server's clock would be. The drift
// does not grow over MaxDrift by logins alone.
func (f *finder) kind(offset int64) match {
	drift, window := int64(f.token.State.Drift), int64(f.policy.Window)
	switch {
	case uint64(f.now+offset) < f.token.State.Counter:
		return usedMatch
	case abs(offset) <= window, abs(offset-drift) <= window && abs(offset) <= max(int64(f.policy.MaxDrift), abs(drift)):
		return freshMatch
	}
	return farMatch
}

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

// sound reports whether the token's code is enough: it is neither locked nor has to
// resync.
func (s *State) sound(at time.Time) bool { return !s.locked(at) && !s.MustResync }

// use uses up factor and all before it, and changes nothing else that a login takes
// into account.
func (f *finder) use(factor uint64) {
	s := &f.token.State
	if f.token.Type.Clock() {
		s.Drift = int32(f.offset(factor))
	}
	s.Counter = factor + 1
	s.forgetResync()
}

// burn uses up factor and all before it and forgets failures, lock and resync. What
// the TMS and the token agreed about stays.
func (f *finder) burn(factor uint64) {
	f.use(factor)
	s := &f.token.State
	s.Failures, s.LockedUntil, s.MustResync = 0, 0, false
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
