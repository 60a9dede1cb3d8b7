package otp

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"countersign/otp/oath"
)

// Verifier decides attempts by a Policy and a TokenStore. It is safe for
// concurrent use.
type Verifier struct {
	store     TokenStore
	policy    atomic.Pointer[Policy]
	misses    misses
	questions questions
	scratch   sync.Pool // of *scratch
}

// NewVerifier joins a store and a policy.
func NewVerifier(store TokenStore, policy Policy) *Verifier {
	v := &Verifier{store: store, misses: misses{seed: maphash.MakeSeed(), entries: map[missKey]*miss{}}, questions: questions{entries: map[missKey]*question{}}}
	v.scratch.New = func() any { return new(scratch) }
	v.SetPolicy(policy)
	return v
}

// SetPolicy replaces the figures for the attempts that follow.
func (v *Verifier) SetPolicy(p Policy) { v.policy.Store(&p) }

// SameLoginWindow is that of the Policy.
func (v *Verifier) SameLoginWindow() time.Duration { return v.policy.Load().SameLoginWindow }

// Submit has an attempt decided; a.Waiter is told. It does not wait. It
// returns false when the store takes no more, and then nobody is told.
func (v *Verifier) Submit(a *Attempt) bool {
	a.verifier = v
	a.Decision = Decision{}
	a.Event = EventID{}
	a.noted = [2]noted{}
	return v.store.Submit(a)
}

// Decide is called by the TokenStore while nobody else can change the account.
// It sets a.Decision and changes the states it says it changed.
func (a *Attempt) Decide(account *Account) {
	a.Decision = Decision{}
	if a.Preset != Undecided {
		a.preset(account)
		return
	}
	v := a.verifier
	s := v.scratch.Get().(*scratch)
	s.run(v, a, account)
	v.scratch.Put(s)
}

// NeedsAccount reports whether the account has to be known to decide.
func (a *Attempt) NeedsAccount() bool {
	return a.Preset == Undecided || a.Preset.Accepts() && !a.LetIn
}

// preset takes over the verdict of the caller.
func (a *Attempt) preset(account *Account) {
	a.Decision.Verdict = a.Preset
	if a.Preset.Accepts() && account.Disabled && !a.LetIn {
		a.Decision.Verdict = UserDisabled
	}
}

// run is one decision; it keeps nothing of it.
func (s *scratch) run(v *Verifier, a *Attempt, account *Account) {
	s.attempt, s.account, s.policy = a, account, v.policy.Load()
	s.decide(&v.misses)
	d := &a.Decision
	switch {
	case d.Outstanding:
	case a.Doubtful && !d.Verdict.Accepts() && d.Verdict != AskedByTMS && d.Verdict != AnsweredElsewhere:
		d.Verdict = Undecided
	case a.OrPassword && a.Challenge != nil && (d.Verdict == WrongPasscode || d.Verdict == UnknownUser || d.Verdict == NoToken):
		d.Verdict = NeedsPAP // it may have been the password, which the directory cannot verify
	}
	d.Renews = s.renews()
	s.attempt, s.account, s.trial.challenge = nil, nil, nil
}

// scratch is the working memory of one decision.
type scratch struct {
	gen     oath.Generator
	attempt *Attempt
	account *Account
	policy  *Policy
	trial   challenged
	code    shown
	tries   [MaxTokens]try
	nobody  Token
}

// try is what one token says of the passcode.
type try struct {
	right  bool // the PIN was right, or nothing is known of it but the code matched
	match  match
	factor uint64
	finder finder
}

// decide is the whole of it; doc.go tells it in prose.
func (s *scratch) decide(misses *misses) {
	if s.again() {
		misses.takeBack(s.attempt, s.policy)
		return
	}
	if s.concernsTMS() {
		if s.byTMS(misses) {
			return
		}
	} else if s.withoutToken() || s.attempt.OrPassword && s.passwordInstead() {
		return
	}
	s.byTokens(misses)
}

// byTokens decides by the user's tokens.
func (s *scratch) byTokens(misses *misses) {
	a, d := s.attempt, &s.attempt.Decision
	if d.Verdict = s.unfit(); d.Verdict != Undecided {
		s.pretend()
		return
	}
	source := misses.source(a)
	waits := misses.waits(source, a.At)
	if waits && s.withheld() {
		d.Verdict = Throttled
		return
	}
	best := s.tryTokens((*Token).usable)
	if best != nil {
		s.settle(best)
	} else {
		d.Verdict = s.wrong()
		d.Repeated = misses.repeated(source, ofSource, a, s.policy)
		s.count(d)
	}
	misses.note(source, a, s.policy)
	if waits && d.Verdict != Accepted {
		d.Verdict = Throttled
	}
}

// withoutToken decides about a user who holds no token where that is no reason
// to refuse, and reports whether it did. With Doubtful it does not: the token may
// be held under another name. Nor does it for a Stranger whom the store does not
// know either: the name may be another way to write that of a token holder.
func (s *scratch) withoutToken() bool {
	a, d := s.attempt, &s.attempt.Decision
	switch {
	case s.account.Disabled || s.account.holds(a.At) || a.Doubtful || a.Stranger && !s.account.Exists:
		return false
	case a.WithoutToken != Undecided:
		d.Verdict = a.WithoutToken
		return true
	}
	d.Outstanding = a.AskWithoutToken
	return d.Outstanding
}

// passwordInstead decides about a user whose directory password will do, or a
// right code: it reports whether the passcode is no passcode at all, and leaves the
// attempt to the directory then. What begins with the PIN or ends with a code is
// one, and is judged and counted as ever, or who knows the PIN could guess at codes
// here. A proof cannot be told apart, so it is judged too.
func (s *scratch) passwordInstead() bool {
	if s.account.Disabled {
		s.attempt.Decision.Verdict = UserDisabled
		return true
	}
	if s.attempt.Challenge != nil {
		return false
	}
	s.tryTokens((*Token).usable)
	for i := range s.account.Tokens {
		if t := &s.tries[i]; t.right || t.match != noMatch {
			return false
		}
	}
	s.attempt.Decision.Outstanding = true
	return true
}

// withheld reports whether a source that waits is refused without a look at the
// passcode. Where the NAS does not say which station asks, a stranger and the
// user are one source, and only a look tells them apart; with PAP that is safe,
// because whoever has the token or the PIN is stopped by the token's lock.
func (s *scratch) withheld() bool {
	return len(s.attempt.Station) > 0 || s.attempt.Challenge != nil
}

// wrong is the verdict when nothing matched.
func (s *scratch) wrong() Verdict {
	switch {
	case s.attempt.Challenge != nil:
		return WrongPasscode
	case s.anyRight():
		return WrongCode
	}
	return WrongPIN
}

// pretend spends the time that a look at the passcode takes, so that the time
// does not tell who is a user.
func (s *scratch) pretend() {
	if s.nobody.Digits == 0 {
		s.nobody = Token{Type: TOTP, Digits: 6, Period: 30, Seed: oath.NewSeed(make([]byte, 20))}
	}
	t := &s.tries[0]
	*t = try{finder: newFinder(&s.gen, &s.nobody, s.policy, s.attempt.At)}
	s.tryToken(t)
}

// unfit finds the reasons that need no look at the passcode.
func (s *scratch) unfit() Verdict {
	switch account := s.account; {
	case !account.Exists:
		return UnknownUser
	case account.Disabled:
		return UserDisabled
	}
	verdict := NoToken
	for i := range s.account.Tokens {
		t := &s.account.Tokens[i]
		if t.usable(s.attempt.At) {
			return Undecided
		}
		if t.unusable() == TokenExpired {
			verdict = TokenExpired
		}
	}
	return verdict
}

// unusable is the verdict about a token that may not be used.
func (t *Token) unusable() Verdict {
	if t.Disabled {
		return NoToken
	}
	return TokenExpired
}

// tryTokens tries the passcode on each token of those chosen and returns the best
// match under a right PIN, nil when there is none.
func (s *scratch) tryTokens(chosen func(*Token, time.Time) bool) *try {
	var best *try
	for i := range s.account.Tokens {
		t := &s.tries[i]
		*t = try{}
		if !chosen(&s.account.Tokens[i], s.attempt.At) {
			continue
		}
		t.finder = newFinder(&s.gen, &s.account.Tokens[i], s.policy, s.attempt.At)
		t.finder.taken = s.attempt.TMS == TMSAccepted || s.attempt.TMS == TMSAsked
		s.tryToken(t)
		if t.right && t.match != noMatch && (best == nil || t.match > best.match) {
			best = t
		}
	}
	return best
}

// tryToken splits the passcode for one token and searches the code. A wrong PIN
// costs the same search, so that the time tells nothing of it. With CHAP and
// MS-CHAP each factor costs many hashes, so resync does not look there; what the TMS has
// taken is looked for all the same.
func (s *scratch) tryToken(t *try) {
	if s.attempt.Challenge != nil {
		s.trial.begin(s.attempt.Challenge, s.account.PIN)
		t.factor, t.match = t.finder.search(&s.trial, false)
		t.right = t.match != noMatch
		return
	}
	pin, code, ok := splitPasscode(s.attempt.Passcode, int(t.finder.token.Digits))
	if !ok {
		return
	}
	s.code = code
	t.right = s.account.PIN.Equal(pin)
	t.factor, t.match = t.finder.search(&s.code, true)
}

// splitPasscode takes the code's digits from the right; the PIN is what is left.
func splitPasscode(p Passcode, digits int) (PIN, shown, bool) {
	b := p.bytes()
	if len(b) < digits {
		return PIN{}, 0, false
	}
	pin, code := b[:len(b)-digits], b[len(b)-digits:]
	value, ok := oath.CodeValue(code)
	return NewPIN(pin), shown(value), ok
}

// anyRight reports whether the PIN was right for the split of any token.
func (s *scratch) anyRight() bool {
	for i := range s.account.Tokens {
		if s.tries[i].right {
			return true
		}
	}
	return false
}

// settle turns the best match into a verdict and changes states.
func (s *scratch) settle(best *try) {
	d, at, token := &s.attempt.Decision, s.attempt.At, best.finder.token
	s.name(best)
	switch d.Verdict = best.verdict(at); d.Verdict {
	case Accepted:
		s.burnAll()
	case NextCode, Locked:
		token.State.remember(best.factor, at, s.policy)
		s.changed(token)
	}
}

// name says which token the decision is about, and where its code was.
func (s *scratch) name(t *try) {
	d := &s.attempt.Decision
	d.Serial, d.Offset = t.finder.token.Serial, t.finder.offset(t.factor)
}

// verdict is what a match under a right PIN comes to.
func (t *try) verdict(at time.Time) Verdict {
	switch state := &t.finder.token.State; {
	case t.match == usedMatch:
		return Replayed
	case t.match == freshMatch && state.sound(at), state.resynced(t.factor, at):
		return Accepted
	case state.locked(at):
		return Locked
	}
	return NextCode
}

// burnAll burns the accepted code on every token that shows it now: by chance
// another of the user's tokens may, and then it must not pass there again. The
// user has shown who they are, so the failures of all tokens are forgotten.
func (s *scratch) burnAll() {
	for i := range s.account.Tokens {
		if t := &s.tries[i]; t.right && t.match >= farMatch {
			t.finder.burn(t.factor)
			s.changed(t.finder.token)
		}
	}
	s.forgetFailures()
}

// forgetFailures forgets those of all tokens; a lock stays.
func (s *scratch) forgetFailures() {
	for i := range s.account.Tokens {
		if token := &s.account.Tokens[i]; token.State.Failures > 0 {
			token.State.Failures = 0
			s.changed(token)
		}
	}
}

// count counts a failure on the tokens that it says something about: those whose
// PIN was right and code wrong, and those whose code was right and PIN wrong,
// because only who holds the token can guess at PINs like that.
func (s *scratch) count(d *Decision) {
	if d.Repeated {
		return
	}
	locked, counted := false, false
	for i := range s.account.Tokens {
		t, token := &s.tries[i], &s.account.Tokens[i]
		holder := !t.right && t.match >= farMatch
		switch state := &token.State; {
		case !t.right && !holder:
			if s.attempt.Challenge == nil || state.ResyncUntil == 0 {
				continue
			}
			state.forgetResync()
		case state.locked(s.attempt.At):
			locked = true
			state.forgetResync()
			d.Serial = token.Serial
		default:
			counted = true
			d.LockedNow = state.fail(s.attempt.At, s.policy) || d.LockedNow
			d.Serial = token.Serial
		}
		s.changed(token)
	}
	if locked && !counted && d.Verdict == WrongCode {
		d.Verdict = Locked
	}
}

// changed marks a token's state as changed.
func (s *scratch) changed(token *Token) {
	for i := range s.account.Tokens {
		if &s.account.Tokens[i] == token {
			s.attempt.Decision.Changed |= 1 << i
		}
	}
}

// challenged puts candidate codes behind the PIN and asks the challenge.
type challenged struct {
	challenge Challenge
	buf       []byte
	pin       int
}

func (c *challenged) begin(challenge Challenge, pin PIN) {
	c.challenge = challenge
	c.buf = append(c.buf[:0], pin.Bytes()...)
	c.pin = len(c.buf)
}

func (c *challenged) proves(code uint64, digits int) bool {
	c.buf = oath.AppendCode(c.buf[:c.pin], code, digits)
	return c.challenge.Matches(c.buf)
}

// StepTime is when a clock token's step begins.
func (t *Token) StepTime(step int64) time.Time {
	return time.Unix(t.T0+step*int64(t.Period), 0)
}
