package otp

import (
	"cmp"
	"math"
	"time"
)

// concernsTMS reports whether the TMS has a part in the attempt: it has said
// something, or it is to be asked.
func (s *scratch) concernsTMS() bool {
	a, home := s.attempt, s.account.Home
	switch {
	case a.Answer:
		return true
	case a.Order == LocalOnly || home == HomeLocal:
		return false
	case a.TMS != TMSNotAsked, home == HomeTMS, a.Order != LocalThenTMS, a.Shadow:
		return true
	}
	return !s.account.active(a.At, s.policy)
}

// active reports whether the user has a token of ours that verifies their codes
// where the Order is LocalThenTMS.
func (a *Account) active(at time.Time, p *Policy) bool {
	for i := range a.Tokens {
		if a.Tokens[i].Active(at, p) {
			return true
		}
	}
	return false
}

// Active reports whether the token verifies the codes of its user where the Order is
// LocalThenTMS: it can be used, is no list of codes, and if it was learned it has
// proven itself.
func (t *Token) Active(at time.Time, p *Policy) bool {
	return t.compared(at) && (!t.Learned || int(t.State.Agreed) >= p.Agreements)
}

// shared reports whether the TMS may have the token too: lists of codes are ours alone.
func (t *Token) shared(time.Time) bool { return t.Type != CodeList }

// compared reports whether it may, and the token may be used.
func (t *Token) compared(at time.Time) bool { return t.Type != CodeList && t.usable(at) }

// barred reports whether it may, and the token may not be used. Its codes must not
// pass at the TMS then.
func (t *Token) barred(at time.Time) bool { return t.Type != CodeList && !t.usable(at) }

// list reports whether it is a list of codes that may be used.
func (t *Token) list(at time.Time) bool { return t.Type == CodeList && t.usable(at) }

// byTMS decides by what the TMS says, and reports whether it did: otherwise the
// attempt is decided as if there were no TMS.
func (s *scratch) byTMS(misses *misses) bool {
	a := s.attempt
	if s.account.Disabled {
		return false
	}
	switch a.TMS {
	case TMSNotAsked:
		return s.beforeTMS(misses)
	case TMSAccepted:
		s.takenByTMS(AcceptedByTMS, misses)
	case TMSAsked:
		s.takenByTMS(AskedByTMS, misses)
	case TMSRefused:
		if a.Order == TMSThenLocal && s.fallsBack() && s.unfit() == Undecided {
			return false
		}
		s.refusedByTMS(misses)
	default:
		s.withoutTMS(misses)
	}
	return true
}

// fallsBack reports whether our own tokens count where the TMS does not accept. An
// answer to its question says nothing to them.
func (s *scratch) fallsBack() bool {
	order := s.attempt.Order
	return !s.attempt.Answer && (order == LocalThenTMS || order == TMSThenLocal) && s.account.Home != HomeTMS
}

// beforeTMS decides what the TMS need not be asked about, and reports false for a
// passcode of a list of ours, which it does not know.
func (s *scratch) beforeTMS(misses *misses) bool {
	a, d := s.attempt, &s.attempt.Decision
	switch {
	case misses.waits(misses.source(a), a.At) && s.withheld():
		d.Verdict = Throttled
	case !a.Answer && s.spare((*Token).list, misses) != nil:
		return false
	default:
		d.Verdict = s.barred()
		d.AskTMS = d.Verdict == Undecided
		d.Outstanding = d.AskTMS
	}
	return true
}

// barred is the objection to a code that the TMS is to be asked about, so that it does
// not burn one in vain. Of a proof there is time for that when the TMS has accepted it.
func (s *scratch) barred() Verdict {
	if s.attempt.Challenge != nil {
		return Undecided
	}
	s.tryTokens((*Token).barred)
	return s.objection()
}

// takenByTMS decides about what the TMS has accepted, or has asked more after, and
// compares. What our tokens show of it is burned there, so it is burned here too: what
// stands before the code is for the TMS to judge, whose PIN may be another.
func (s *scratch) takenByTMS(said Verdict, misses *misses) {
	a, d := s.attempt, &s.attempt.Decision
	best := s.tryTokens((*Token).shared)
	d.Verdict = cmp.Or(s.objection(), said)
	switch {
	case a.Answer || said == AskedByTMS: // nothing to compare
	case d.Verdict == AcceptedByTMS:
		s.compare(best)
	case d.Verdict == Replayed:
		d.Own = Replayed
	}
	s.useShown()
	misses.note(misses.source(a), a, s.policy)
	if d.Verdict.Accepts() {
		misses.forgive(misses.guesses(a), s.policy)
	}
}

// objection is the verdict about a code that one of the tokens tried shows and that must
// not pass, whatever the TMS says: the token may not be used, or the code is used.
// It is Undecided when there is none. What the TMS asks more after may be a password, which
// comes again, so there the PIN has to be right before a used code.
// A new code behind the right PIN has no objection: that another token shows it too, or
// did once, is chance.
func (s *scratch) objection() Verdict {
	if s.fresh() {
		return Undecided
	}
	used := Undecided
	for i := range s.account.Tokens {
		t, token := &s.tries[i], &s.account.Tokens[i]
		switch {
		case t.match == noMatch, t.match == usedMatch && !t.right && s.attempt.TMS == TMSAsked:
		case !token.usable(s.attempt.At):
			s.name(t)
			return token.unusable()
		case t.match == usedMatch:
			s.name(t)
			used = Replayed
		}
	}
	return used
}

// fresh reports whether a token that may be used shows the code as a new one, behind the
// right PIN.
func (s *scratch) fresh() bool {
	for i := range s.account.Tokens {
		if t := &s.tries[i]; t.right && t.match == freshMatch && s.account.Tokens[i].usable(s.attempt.At) {
			return true
		}
	}
	return false
}

// useShown burns the code on every token that shows it, and names the first where no
// other is named. What the TMS asks more after anybody may have typed, so that guesses
// must not move a token far.
func (s *scratch) useShown() {
	far := !s.fresh()
	for i := range s.account.Tokens {
		if t := &s.tries[i]; t.match == freshMatch || t.match == farMatch && far && (t.right || s.attempt.TMS == TMSAccepted) {
			if s.attempt.Decision.Serial == "" {
				s.name(t)
			}
			t.finder.use(t.factor)
			s.changed(t.finder.token)
		}
	}
}

// refusedByTMS decides about a passcode that the TMS has refused, and compares.
func (s *scratch) refusedByTMS(misses *misses) {
	a, d := s.attempt, &s.attempt.Decision
	source := misses.source(a)
	d.Verdict, d.Repeated = RefusedByTMS, misses.repeated(source, ofSource, a, s.policy)
	if !a.Answer {
		s.spareAndCount((*Token).list, misses)
		s.compareRefused()
	}
	misses.note(source, a, s.policy)
}

// compareRefused notes what our own tokens say of a passcode that the TMS has refused.
func (s *scratch) compareRefused() {
	d, best := &s.attempt.Decision, s.tryTokens((*Token).compared)
	switch {
	case best != nil:
		s.name(best)
		d.Own = best.verdict(s.attempt.At)
		if d.Own == Accepted && !d.Repeated {
			s.disagree(best.finder.token)
		}
	case s.anyTried():
		d.Own = s.wrong()
	}
}

// withoutTMS decides about a passcode to which the TMS gave no answer: our own tokens
// may accept it, and nothing else can be said of it.
func (s *scratch) withoutTMS(misses *misses) {
	a, d := s.attempt, &s.attempt.Decision
	d.Verdict = a.WhenDown
	which := (*Token).list
	if s.fallsBack() {
		which = (*Token).usable
	}
	if s.spareAndCount(which, misses) == nil || !s.fallsBack() {
		return
	}
	if t := s.accepting(); t != nil {
		s.settle(t)
		misses.note(misses.source(a), a, s.policy)
		misses.forgive(misses.guesses(a), s.policy)
	}
}

// accepting is the first of the tries that accepts by itself, nil when none does.
func (s *scratch) accepting() *try {
	for i := range s.account.Tokens {
		t := &s.tries[i]
		if t.right && t.match == freshMatch && t.finder.token.State.sound(s.attempt.At) {
			return t
		}
	}
	return nil
}

// spare tries the passcode on tokens that a failure does not count on, because the
// passcode may be one of the TMS alone. So that nobody guesses at codes here, it looks
// less often at those of a user of whom it saw many.
func (s *scratch) spare(which func(*Token, time.Time) bool, misses *misses) *try {
	a, guesses := s.attempt, misses.guesses(s.attempt)
	if misses.waits(guesses, a.At) {
		return nil
	}
	return s.tryTokens(which)
}

// spareAndCount is spare at the end of a login: what none of the tokens accepts is
// counted where it may be a guess at their codes.
func (s *scratch) spareAndCount(which func(*Token, time.Time) bool, misses *misses) *try {
	a, guesses := s.attempt, misses.guesses(s.attempt)
	if misses.waits(guesses, a.At) {
		return nil
	}
	best := s.tryTokens(which)
	if best == nil && s.guessed() && !misses.repeated(guesses, ofGuesses, a, s.policy) {
		misses.count(guesses, ofGuesses, a, s.policy)
	}
	return best
}

// guessed reports whether a passcode that did not match may be a guess that could come
// right: its PIN was, or its code. Of a proof that cannot be told.
func (s *scratch) guessed() bool {
	for i := range s.account.Tokens {
		if t := &s.tries[i]; t.right || t.match >= farMatch {
			return true
		}
	}
	return s.attempt.Challenge != nil && s.anyTried()
}

// anyTried reports whether there was a token to try the passcode on.
func (s *scratch) anyTried() bool {
	for i := range s.account.Tokens {
		if s.tries[i].finder.token != nil {
			return true
		}
	}
	return false
}

// compare notes what our own tokens say of a passcode that the TMS has accepted; best is
// the one that shows the code behind the right PIN. The TMS vouches for the code, so no
// lock and no resync is in the way.
func (s *scratch) compare(best *try) {
	if best == nil {
		s.differ()
		return
	}
	s.name(best)
	s.forgetFailures()
	d, state := &s.attempt.Decision, &best.finder.token.State
	state.LockedUntil = 0
	if best.match == farMatch {
		d.Own = NextCode
		s.disagree(best.finder.token)
		return
	}
	d.Own = Accepted
	state.Agreed, state.Disagreed = oneMore(state.Agreed), 0
}

// differ notes that no token would have accepted what the TMS has.
func (s *scratch) differ() {
	for i := range s.account.Tokens {
		if token := &s.account.Tokens[i]; token.compared(s.attempt.At) {
			s.attempt.Decision.Own = s.wrong()
			s.disagree(token)
		}
	}
}

// disagree notes that the TMS and a token do not agree about a login.
func (s *scratch) disagree(token *Token) {
	token.State.Disagreed = oneMore(token.State.Disagreed)
	s.changed(token)
}

// oneMore counts up to the highest number.
func oneMore(n uint16) uint16 { return n + min(1, math.MaxUint16-n) }
