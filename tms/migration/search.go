package migration

import (
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// login is a login that the TMS has accepted.
type login struct {
	user     otp.UserName
	passcode otp.Passcode
	at       time.Time
	policy   otp.Policy
}

// candidate is a token that shows the code of a login.
type candidate struct {
	serial otp.Serial
	user   otp.UserName // "" in stock
	pin    otp.PIN      // what stands before its code, a copy
	next   uint64       // the factor after that of the code
	fit    bool         // the token may be used, and the PIN is one
	proven bool         // enough logins have agreed
	far    bool         // the code is where only resync looks
}

// find finds the tokens that show the code of a login, and reports whether the index
// was ready for that.
func (x *index) find(a *login) (found []candidate, ready bool) {
	if found, ready = x.lookUp(a); ready || !x.small() {
		return found, ready
	}
	x.prepare(a.at, a.at, &a.policy)
	return x.lookUp(a)
}

// small reports whether a login may build the tables that it lacks.
func (x *index) small() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.ready && len(x.tokens)+x.gone <= inlineLimit
}

// lookUp is find with the tables as they are.
func (x *index) lookUp(a *login) (found []candidate, ready bool) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if !x.ready {
		return nil, false
	}
	hits := map[*entry]bool{}
	for _, g := range x.groups {
		code, ok := lastDigits(a.passcode, int(g.digits))
		if !ok {
			continue
		}
		if !g.lookUp(code, a, hits) {
			return nil, false
		}
	}
	for e := range hits {
		if c, ok := e.compare(a, e.State); ok && !c.far {
			found = append(found, c)
		}
	}
	return found, true
}

// lookUp adds the tokens of the group that may show a code, and reports whether all
// tables are there.
func (g *group) lookUp(code uint64, a *login, hits map[*entry]bool) bool {
	from, to := int64(0), int64(0)
	if g.clock {
		from, to = g.steps(a.at, a.policy.Window)
	}
	for step := from; step <= to; step++ {
		t := g.tables[step]
		if t == nil || g.clock && t.upto < len(g.entries) {
			return false
		}
		t.each(code, func(place int) {
			if e := g.entries[place]; !e.gone {
				hits[e] = true
			}
		})
	}
	return true
}

// lastDigits is the code at the end of a passcode.
func lastDigits(p otp.Passcode, digits int) (code uint64, ok bool) {
	b := p.Bytes()
	if len(b) < digits {
		return 0, false
	}
	return oath.CodeValue(b[len(b)-digits:])
}

// own finds those of the tokens that the user has learned that show the code, also where
// only resync looks, and also if it was used: the TMS has its own mind about that. It
// needs no tables.
func (x *index) own(a *login) (found []candidate) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	for _, e := range x.holders[a.user] {
		if c, ok := e.compare(a, unused(&e.Token)); ok {
			found = append(found, c)
		}
	}
	return found
}

// unused is the state of a token as if its last code, or of a clock token all, had not
// been used.
func unused(t *otp.Token) otp.State {
	s := t.State
	if t.Type.Clock() {
		s.Counter = 0
	} else if s.Counter > 0 {
		s.Counter--
	}
	return s
}

// compare looks whether a token shows the code of a login, as the verifier would.
func (e *entry) compare(a *login, state otp.State) (candidate, bool) {
	t := e.Token
	t.State = state
	match, ok := shows(&t, a)
	if !ok {
		return candidate{}, false
	}
	b := a.passcode.Bytes()
	pin, err := otp.ParsePIN(string(b[:len(b)-int(t.Digits)]), 0)
	return candidate{
		serial: e.Serial, user: e.user, pin: pin, next: t.State.Counter, far: match == otp.OutOfStep,
		fit: err == nil && !e.Disabled && e.Valid(a.at), proven: int(e.State.Agreed) >= a.policy.Agreements,
	}, true
}

// shows looks whether a token shows the code of a login, whatever the PIN is, and burns
// it in t.
func shows(t *otp.Token, a *login) (otp.FirstCode, bool) {
	t.ValidFrom, t.ValidUntil, t.State.MustResync = 0, 0, false
	b := a.passcode.Bytes()
	if len(b) < int(t.Digits) {
		return otp.NotShown, false
	}
	match, _ := otp.VerifyFirst(t, otp.NewPIN(b[:len(b)-int(t.Digits)]), a.passcode, a.at, a.policy)
	return match, match == otp.Shown || match == otp.OutOfStep
}
