package migration

import (
	"context"
	"sync"
	"time"

	"countersign/otp"
	"countersign/tms"
)

const (
	maxSeen  = 1 << 16 // users who wait to be written
	maxNoted = 1 << 20 // users of whom it is known that they were written today
	day      = 24 * 60 * 60
)

// seen collects the users whom the TMS has let in.
type seen struct {
	mu      sync.Mutex
	day     int64                     // the last one, since 1970
	noted   map[otp.UserName]struct{} // on that day
	waiting []tms.Seen
	dropped uint64 // for want of room, since they were last written
}

// note notes a user, once a day.
func (s *seen) note(user otp.UserName, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if today := at.Unix() / day; today > s.day || s.noted == nil || len(s.noted) >= maxNoted {
		s.day, s.noted = max(s.day, today), map[otp.UserName]struct{}{}
	}
	if _, known := s.noted[user]; known {
		return
	}
	if len(s.waiting) >= maxSeen {
		s.dropped++
		return
	}
	s.noted[user] = struct{}{}
	s.waiting = append(s.waiting, tms.Seen{User: user, Last: at})
}

// take takes those that wait.
func (s *seen) take() (waiting []tms.Seen, dropped uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, dropped = s.waiting, s.dropped
	s.waiting, s.dropped = nil, 0
	return waiting, dropped
}

// giveBack has users wait again, those that there is room for.
func (s *seen) giveBack(users []tms.Seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room := min(len(users), maxSeen-len(s.waiting))
	s.waiting = append(users[:room:room], s.waiting...)
	s.dropped += uint64(len(users) - room)
	for _, lost := range users[room:] {
		delete(s.noted, lost.User)
	}
}

// runSeen writes who was seen until ctx is done, and then once more.
func (l *Learner) runSeen(ctx context.Context) {
	ticker := time.NewTicker(flushEvery)
	defer ticker.Stop()
	for failing := false; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
		failing = l.flush(ctx, failing)
		if ctx.Err() != nil {
			return
		}
	}
}

// flush writes who was seen. Of a store that keeps failing the log tells once.
func (l *Learner) flush(ctx context.Context, failing bool) (fails bool) {
	users, dropped := l.seen.take()
	if dropped > 0 {
		l.metrics.dropped.Add(float64(dropped))
	}
	if len(users) == 0 {
		return failing
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	err := l.Store.NoteSeen(ctx, users)
	if err == nil {
		return false
	}
	l.seen.giveBack(users)
	if !failing {
		l.Logger.Error("who was seen at the TMS cannot be noted", "users", len(users), "error", err)
	}
	return true
}
