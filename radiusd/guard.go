package radiusd

import (
	"hash/maphash"
	"sync"
	"time"

	"countersign/otp"
)

// sighting is what is known of a login that may have been shown to the Backend before. The
// numbers are in Sightings, which other versions of the server may have to read.
type sighting uint8

const (
	unseen      sighting = iota // it was not, or that is long ago
	showing                     // it is being shown now
	sawAccepted                 // it was accepted
	sawRefused                  // it was refused
	sawQuestion                 // it was answered by a question that the NAS could not show
	sawNothing                  // it was not answered, and nobody knows what became of the code
	sawAsked                    // it was answered by a question; of interest to other servers only
	sightings
)

// minGuarded is how many logins the guard remembers at least.
const minGuarded = 65536

// unansweredTime is how long a login that the Backend did not answer is not shown to it
// again, where an accepted one is not remembered at all.
const unansweredTime = time.Minute

// guard remembers for a while what was shown to the Backend, and what came of it. For the
// Backend burns codes, and counts wrong ones: what a VPN client sends again and again is
// one login to it, whatever the Identifier, the NAS, or the way the user writes the name.
// Bounded, and kept in memory only; of what was typed it keeps nothing but a keyed hash.
type guard struct {
	seed  maphash.Seed
	keep  [sightings]time.Duration // 0: not at all
	limit int                      // more than can be shown at the same time

	mu      sync.Mutex
	entries map[uint64]guarded
}

// guarded is one login.
type guarded struct {
	saw   sighting
	until time.Duration // since the start of the server, unless it is being shown
}

func newGuard(o *Options) *guard {
	g := &guard{
		seed: maphash.MakeSeed(), limit: max(minGuarded, 2*o.BackendLogins*(1+errandQueue)), entries: map[uint64]guarded{},
	}
	g.keep[sawAccepted], g.keep[sawRefused], g.keep[sawQuestion] = o.AcceptedOnce, o.BackendRepeatTime, o.BackendRepeatTime
	if g.keep[sawNothing] = o.AcceptedOnce; o.AcceptedOnce <= 0 {
		g.keep[sawNothing] = unansweredTime
	}
	return g
}

// key stands for the user, what they typed or proved, and the dialog it answers.
func (g *guard) key(r *request) uint64 {
	var h maphash.Hash
	h.SetSeed(g.seed)
	write := func(parts ...[]byte) {
		for _, part := range parts {
			maphash.WriteComparable(&h, len(part))
			_, _ = h.Write(part)
		}
	}
	p := &r.packet
	switch r.attempt.Method {
	case otp.PAP:
		write(r.attempt.User, r.typed)
	case otp.CHAP:
		_, challenge, response, _ := p.CHAP()
		write(r.attempt.User, challenge, response)
	default:
		write(r.attempt.User, p.MSCHAPChallenge, p.MSCHAPResponse, p.MSCHAP2Response)
	}
	if r.answersTMS() {
		write(r.dialog.kept)
	}
	return h.Sum64()
}

// begin tells what is known of a login. When that is nothing it is being shown from now
// on, until settle is told what came of it. A question that could not be shown elsewhere
// is nothing to a NAS that may ask.
func (g *guard) begin(key uint64, now time.Duration, mayAsk bool) sighting {
	g.mu.Lock()
	defer g.mu.Unlock()
	if e, known := g.entries[key]; known && e.holds(now) && !(e.saw == sawQuestion && mayAsk) {
		return e.saw
	}
	g.sweep(now)
	g.entries[key] = guarded{saw: showing}
	return unseen
}

// settle notes what came of a login; unseen is that it was not shown after all, or is to
// be forgotten.
func (g *guard) settle(key uint64, saw sighting, now time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if keep := g.keep[saw]; keep > 0 {
		g.entries[key] = guarded{saw, now + keep}
	} else {
		delete(g.entries, key)
	}
}

func (e guarded) holds(now time.Duration) bool { return e.saw == showing || e.until > now }

// sweep makes room: it forgets two entries whose time is over if it comes upon them,
// which is one more than begin makes, and when there are too many any other. What is
// being shown is never forgotten.
func (g *guard) sweep(now time.Duration) {
	looks := 2
	for key, e := range g.entries {
		if looks <= 0 && len(g.entries) < g.limit {
			return
		}
		looks--
		if !e.holds(now) || e.saw != showing && len(g.entries) >= g.limit {
			delete(g.entries, key)
		}
	}
}

// len is how many logins are remembered.
func (g *guard) len() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.entries)
}
