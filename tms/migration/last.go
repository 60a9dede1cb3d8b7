package migration

import (
	"hash/maphash"
	"sync"
	"time"

	"countersign/otp"
)

const (
	maxLasts = 1 << 18 // users whose last passcode is remembered
	// codeTime is within what the same passcode may be the same login once more, or the same
	// code at a TMS that burns none. What comes again later is no one-time code.
	codeTime = 5 * time.Minute
)

// lasts remember of the last passcode of each user, in memory, as much as it takes to
// know it again.
type lasts struct {
	mu    sync.Mutex
	users map[otp.UserName]last
}

type last struct {
	sum   uint64
	since int64 // Unix time of the first login with it
}

// sum tells passcodes apart. It means nothing outside of this process.
func (l *Learner) sum(a *login) uint64 {
	var h maphash.Hash
	h.SetSeed(l.hashSeed)
	_, _ = h.WriteString(string(a.user))
	_ = h.WriteByte(0)
	_, _ = h.Write(a.passcode.Bytes())
	return h.Sum64()
}

// find tells when a passcode first came, if it is the user's last one.
func (s *lasts) find(user otp.UserName, sum uint64) (since time.Time, again bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, found := s.users[user]
	return time.Unix(l.since, 0), found && l.sum == sum
}

// note remembers a passcode in the place of the user's last one. Where there is no room
// somebody's is forgotten.
func (s *lasts) note(user otp.UserName, sum uint64, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == nil {
		s.users = map[otp.UserName]last{}
	}
	before, found := s.users[user]
	if found && before.sum == sum {
		return
	}
	if !found && len(s.users) >= maxLasts {
		for other := range s.users {
			delete(s.users, other)
			break
		}
	}
	s.users[user] = last{sum, at.Unix()}
}
