package otp

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// misses remembers, for each user and source, how often the PIN was wrong
// lately and what the last wrong passcode was. It is bounded, and kept in
// memory only: a restart forgives.
type misses struct {
	seed    maphash.Seed
	size    atomic.Int64 // len(entries), so that the usual case takes no lock
	mu      sync.Mutex
	entries map[uint64]*miss
}

// miss is what is remembered of one user and source. Instants are Unix
// nanoseconds.
type miss struct {
	wrongPINs   int
	waitUntil   int64
	last        int64
	repeat      uint64 // keyed hash of the last wrong passcode
	repeatUntil int64
}

// source is the user, the NAS and the station as one number.
func (m *misses) source(a *Attempt) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	_, _ = h.Write(a.User)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(a.NAS)
	_ = h.WriteByte(0)
	_, _ = h.Write(a.Station)
	return h.Sum64()
}

// guesses is the user as one number that is no source: for wrong codes that count
// neither on a token nor for a source. With CHAP and MS-CHAP, where it is not known
// whether the PIN was right, it is the user and the source.
func (m *misses) guesses(a *Attempt) uint64 {
	if a.Challenge != nil {
		return m.source(a) + 1
	}
	return maphash.Bytes(m.seed, a.User)
}

// waits reports whether the source has to wait.
func (m *misses) waits(source uint64, at time.Time) bool {
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
func (m *misses) repeated(source uint64, a *Attempt, p *Policy) bool {
	if a.Challenge != nil {
		return false
	}
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
func (m *misses) note(source uint64, at time.Time, d *Decision, p *Policy) {
	switch d.Verdict {
	case WrongPIN, WrongPasscode, RefusedByTMS:
		if !d.Repeated {
			m.count(source, at.UnixNano(), p)
		}
	case Accepted, AcceptedByTMS:
		m.forgive(source)
	}
}

func (m *misses) count(source uint64, now int64, p *Policy) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entry(source, now, p)
	e.last = now
	e.wrongPINs++
	if over := e.wrongPINs - p.ThrottleAfter; over > 0 {
		wait := p.ThrottleFirst << min(over-1, 20)
		e.waitUntil = now + int64(min(wait, p.ThrottleMax))
	}
}

func (m *misses) forgive(source uint64) {
	if m.size.Load() == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, source)
	m.size.Store(int64(len(m.entries)))
}

// entry finds or makes the entry of a source. When there are too many, any
// other makes room: who can speak for that many sources is not slowed down by
// this table, and is stopped by the token's lock once they hold the token or
// know the PIN.
func (m *misses) entry(source uint64, now int64, p *Policy) *miss {
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
