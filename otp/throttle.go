package otp

import (
	"encoding/binary"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// misses remembers, for each user and source, how often the PIN was wrong
// lately and what the last wrong passcode was. It is bounded, and kept in
// memory only: a restart forgives, unless servers tell each other (ShareMisses).
type misses struct {
	seed    maphash.Seed
	keyers  *sync.Pool   // of *Keyer, where keys are those of all servers, nil otherwise
	size    atomic.Int64 // len(entries), so that the usual case takes no lock
	mu      sync.Mutex
	entries map[missKey]*miss
	news    news
}

// missKey stands for a user and source, or for a user.
type missKey [16]byte

// miss is what is remembered of one user and source. Instants are Unix
// nanoseconds.
type miss struct {
	wrongPINs   int
	waitUntil   int64
	last        int64
	repeat      uint64 // keyed hash of the last wrong passcode
	repeatUntil int64
}

// noted is what was counted of an attempt when it was decided before, by an account that
// another server had changed meanwhile. It counts once.
type noted struct{ asked, repeated, counted bool }

// tally is what a wrong passcode counts for.
type tally uint8

const (
	ofSource  tally = iota // the user and the source
	ofGuesses              // the user
)

// key is the user, and unless alone the NAS and the station, as one number.
func (m *misses) key(a *Attempt, alone bool) (key missKey) {
	if m.keyers != nil {
		return m.sharedKey(a, alone)
	}
	var h maphash.Hash
	h.SetSeed(m.seed)
	_, _ = h.Write(a.User)
	if !alone {
		_ = h.WriteByte(0)
		_, _ = h.WriteString(a.NAS)
		_ = h.WriteByte(0)
		_, _ = h.Write(a.Station)
	}
	binary.BigEndian.PutUint64(key[:], h.Sum64())
	return key
}

// source stands for the user, the NAS and the station.
func (m *misses) source(a *Attempt) missKey { return m.key(a, false).of(passcodes) }

// guesses stands for the user, and is no source: for wrong codes that count
// neither on a token nor for a source. With CHAP and MS-CHAP, where it is not known
// whether the PIN was right, it is the user and the source.
func (m *misses) guesses(a *Attempt) missKey {
	key := m.key(a, a.Challenge == nil).of(passcodes)
	key[0] ^= 1
	return key
}

// waits reports whether the source has to wait.
func (m *misses) waits(source missKey, at time.Time) bool {
	if m.size.Load() == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[source]
	return e != nil && e.waitUntil > at.UnixNano()
}

// repeated reports whether the very same wrong passcode came from this source
// within RepeatTime, and remembers this one. Of CHAP and MS-CHAP it cannot be
// told.
func (m *misses) repeated(source missKey, of tally, a *Attempt, p *Policy) bool {
	if a.Challenge != nil {
		return false
	}
	n := &a.noted[of]
	if !n.asked {
		n.asked, n.repeated = true, m.repeats(source, a, p)
	}
	return n.repeated
}

func (m *misses) repeats(source missKey, a *Attempt, p *Policy) bool {
	sum := maphash.Bytes(m.seed, a.Passcode.bytes())
	now := a.At.UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(source, now, p)
	if e.repeat == sum && e.repeatUntil > now {
		return true
	}
	e.repeat, e.repeatUntil = sum, now+int64(p.RepeatTime)
	return false
}

// note counts a decision for or against the source.
func (m *misses) note(source missKey, a *Attempt, p *Policy) {
	switch d := &a.Decision; d.Verdict {
	case WrongPIN, WrongPasscode, RefusedByTMS:
		if !d.Repeated {
			m.count(source, ofSource, a, p)
		}
	case Accepted, AcceptedByTMS:
		m.forgive(source, p)
	}
}

func (m *misses) count(source missKey, of tally, a *Attempt, p *Policy) {
	n := &a.noted[of]
	if n.counted {
		return
	}
	n.counted = true
	now := a.At.UnixNano()
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(source, now, p)
	e.last = now
	e.wrongPINs++
	if wait := p.wait(e.wrongPINs); wait > 0 {
		e.waitUntil = now + int64(wait)
	}
	m.news.count(source, now, p)
}

// wait is how long a source waits after so many wrong PINs.
func (p *Policy) wait(wrongPINs int) time.Duration {
	over := wrongPINs - p.ThrottleAfter
	if over <= 0 {
		return 0
	}
	return min(p.ThrottleFirst<<min(over-1, 20), p.ThrottleMax)
}

// takeBack undoes what was counted for the source when the attempt was decided by an account
// that was out of date: another server has counted this very login.
func (m *misses) takeBack(a *Attempt, p *Policy) {
	n := &a.noted[ofSource]
	if !n.counted {
		return
	}
	n.counted = false
	source := m.key(a, false)
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[source]; e != nil && e.wrongPINs > 0 {
		if e.wrongPINs--; p.wait(e.wrongPINs) == 0 {
			e.waitUntil = 0
		}
	}
	m.news.takeBack(source, p)
}

func (m *misses) forgive(source missKey, p *Policy) {
	if m.size.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[source] != nil {
		m.drop(source)
		m.news.forgive(source, p)
	}
}

func (m *misses) drop(source missKey) {
	delete(m.entries, source)
	m.size.Store(int64(len(m.entries)))
}

// entry finds or makes the entry of a source. When there are too many, any
// other makes room: who can speak for that many sources is not slowed down by
// this table, and is stopped by the token's lock once they hold the token or
// know the PIN.
func (m *misses) entry(source missKey, now int64, p *Policy) *miss {
	e := m.entries[source]
	switch {
	case e == nil:
		for other := range m.entries {
			if len(m.entries) < p.ThrottleEntries {
				break
			}
			delete(m.entries, other)
		}
		e = &miss{last: now}
		m.entries[source] = e
		m.size.Store(int64(len(m.entries)))
	case now-e.last > int64(p.ThrottleForget):
		*e = miss{last: now, repeat: e.repeat, repeatUntil: e.repeatUntil}
	}
	return e
}
