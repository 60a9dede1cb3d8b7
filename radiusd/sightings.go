package radiusd

import (
	"sync"
	"time"

	"countersign/otp"
)

// Sightings is the memory, shared by several servers, of what was shown to the Backend. Its
// methods do not wait. Instants are by one clock for all servers.
type Sightings interface {
	// Claim claims a login for being shown. If nothing is known of its Key, or what is known
	// is over or is the state Over, it is the caller's: it is noted as being shown (1), for
	// Keep at most, and done is told the state 0. Else done is told what is known. Done is
	// called once and does not block; its error says that it could not be found out.
	Claim(c Claim, done func(known Sighting, err error))
	// Settle notes for how long the login is in which state now; in state 0 nothing is known
	// of it. It keeps the Login of the Claim.
	Settle(key [16]byte, state uint8, keep time.Duration)
}

// Claim is a login that is to be shown to the Backend.
type Claim struct {
	Key   [16]byte // stands for the user and what they typed or proved
	Login [16]byte // stands for the NAS and the station, too (otp.LoginKey)
	Keep  time.Duration
	Over  uint8 // a state that counts as none, unless it is 0
}

// Sighting is what is known of a login.
type Sighting struct {
	State uint8
	Same  bool          // it was the same Login
	Age   time.Duration // since the state was noted
}

// sharedGuard is the guard of several servers.
type sharedGuard struct {
	sightings    Sightings
	verifier     *otp.Verifier
	keyers       sync.Pool // of *otp.Keyer
	acceptedOnce time.Duration
	showTime     time.Duration // how long it takes to show a login, at most
}

// newSharedGuard is nil where there is one server only.
func newSharedGuard(o *Options) *sharedGuard {
	if o.Sightings == nil || o.SharedKey == nil {
		return nil
	}
	key := *o.SharedKey
	g := &sharedGuard{
		sightings: o.Sightings, verifier: o.Verifier, acceptedOnce: o.AcceptedOnce,
		showTime: o.BackendTime + o.BackendTime/2, // the one who shows it has begun a little later
	}
	g.keyers.New = func() any { return otp.NewKeyer(key, "shown to the TMS") }
	return g
}

// key stands for the user, what they typed or proved, and the dialog it answers.
func (g *sharedGuard) key(r *request) [16]byte {
	k := g.keyers.Get().(*otp.Keyer)
	defer g.keyers.Put(k)
	k.Add(r.attempt.User)
	r.addProof(k)
	if r.answersTMS() {
		k.Add(r.dialog.kept)
	}
	return k.Sum()
}

// claim claims a login, over what counts as nothing to it. It does not block.
func (t *consultations) claim(r *request, over sighting) {
	g := t.shared
	g.sightings.Claim(
		Claim{Key: r.shownKey, Login: r.attempt.Login, Keep: g.showTime + t.guard.keep[sawNothing], Over: uint8(over)},
		func(known Sighting, err error) {
			if why := r.claimed(known, err); why != admitted {
				r.leave(why, err)
			}
		})
}

// claimed goes on with a login once it is known whether it is ours to show.
func (r *request) claimed(known Sighting, err error) reason {
	g := r.loop.server.tms.shared
	saw, same := sighting(known.State), known.Same && known.Age <= g.verifier.SameLoginWindow()
	switch {
	case err != nil:
		return undecided
	case same && (saw == sawAccepted || saw == sawAsked): // its answer is on the way
		return r.settle(otp.AnsweredElsewhere)
	case g.past(saw, known.Age, r.mayAsk(tmsDialog)):
		return r.claimAgain(saw)
	case saw == showing && known.Age > g.showTime: // who showed it has ended
		saw = sawNothing
	}
	return r.sighted(saw)
}

// past reports whether what is known says nothing about this login: it is kept only for the
// time in which a login is the same, or a NAS that may ask could ask now.
func (g *sharedGuard) past(saw sighting, age time.Duration, mayAsk bool) bool {
	switch saw {
	case sawAccepted:
		return age > g.acceptedOnce
	case sawAsked:
		return true
	case sawQuestion:
		return mayAsk
	}
	return false
}

// claimAgain claims a login over what is known of it, once.
func (r *request) claimAgain(over sighting) reason {
	if r.claimedOver {
		return tmsInFlight // others are about it, too
	}
	r.claimedOver = true
	r.loop.server.tms.claim(r, over)
	return admitted
}

// settle notes what came of a login.
func (g *sharedGuard) settle(key [16]byte, saw sighting, keep time.Duration) {
	if saw == sawAccepted || saw == sawAsked {
		keep = max(keep, g.verifier.SameLoginWindow())
	}
	if keep <= 0 {
		saw = unseen
	}
	g.sightings.Settle(key, uint8(saw), keep)
}
