package otp

import "time"

// LoginKey stands for one login: a keyed hash of the NAS, the user, the station and what
// was typed or proved. The zero LoginKey is none.
type LoginKey [16]byte

// LastLogin is the last login of a user that said something about their tokens, whichever
// server decided it (Decision.Renews). An act on the user or a token of theirs may forget it.
// The zero LastLogin is none.
type LastLogin struct {
	Key     LoginKey
	Age     time.Duration // how long ago it was decided, by one clock for all servers
	Verdict Verdict
}

// within reports whether it was decided no longer than that ago. A clock that was set back
// meanwhile does not make the time longer than that.
func (l *LastLogin) within(window time.Duration) bool {
	return l.Key != LoginKey{} && window > 0 && l.Age <= window && l.Age >= -window
}

// isLast reports whether the attempt is the login that was decided last.
func (s *scratch) isLast() bool {
	last := &s.account.Last
	return last.within(s.policy.SameLoginWindow) && s.attempt.Login == last.Key && s.account.Exists && !s.account.Disabled
}

// again decides about the login that was decided last, and reports whether it did. What
// was accepted is not refused: that would overtake the accept on its way to the NAS. What was
// refused is, and does not count again. A look at the passcode takes its time here too.
func (s *scratch) again() bool {
	if !s.isLast() {
		return false
	}
	d := &s.attempt.Decision
	switch last := s.account.Last.Verdict; last {
	case Accepted:
		d.Verdict = AnsweredElsewhere
		if s.policy.RepeatSameLogin && len(s.attempt.Station) > 0 { // else it may be another station
			s.acceptAgain()
		}
		return true
	case AcceptedByTMS, AskedByTMS: // nobody has kept what the TMS gave
		d.Verdict = AnsweredElsewhere
		return true
	case WrongPIN, WrongCode, WrongPasscode, NextCode, Locked, RefusedByTMS:
		if s.takenNow() {
			return false
		}
		s.tryTokens((*Token).usable)
		d.Verdict, d.Repeated = last, true
		return true
	}
	return false
}

// takenNow reports whether the TMS has taken the passcode just now: then it is not one that
// is refused.
func (s *scratch) takenNow() bool {
	return s.attempt.TMS == TMSAccepted || s.attempt.TMS == TMSAsked
}

// acceptAgain accepts a login once more if a token still shows its code, as a used one. So
// a proof knows its passcode again.
func (s *scratch) acceptAgain() {
	s.tryTokens((*Token).usable)
	for i := range s.account.Tokens {
		if t := &s.tries[i]; t.right && t.match == usedMatch {
			d := &s.attempt.Decision
			s.name(t)
			d.Verdict, d.Same, d.Repeated = Accepted, true, true
			return
		}
	}
}

// renews reports whether the attempt is the last login from now on. While an accept may be
// on its way to the NAS no refusal takes its place, or a stranger's repeat would have the
// user refused at the next server.
func (s *scratch) renews() bool {
	d, last := &s.attempt.Decision, &s.account.Last
	if s.attempt.Login == (LoginKey{}) || s.policy.SameLoginWindow <= 0 {
		return false
	}
	switch d.Verdict {
	case Accepted, AcceptedByTMS, AskedByTMS:
		return !d.Same
	case WrongPIN, WrongCode, WrongPasscode, NextCode, Locked, RefusedByTMS:
		return !last.within(s.policy.SameLoginWindow) || last.refused() && last.Key != s.attempt.Login
	}
	return false
}

// refused reports whether the login was refused.
func (l *LastLogin) refused() bool { return !l.Verdict.Accepts() && l.Verdict != AskedByTMS }
