package enrol

import (
	"sync"
	"time"

	"countersign/otp"
)

// quota counts what users did within a time. The same use again, in a shorter time,
// is none. It is bounded and kept in memory only.
type quota struct {
	within, same time.Duration

	mu    sync.Mutex
	users map[otp.UserName][]use
}

// use is something that was done, by a sum of what it was.
type use struct {
	sum uint64
	at  time.Time
}

func newQuota(within, same time.Duration) *quota {
	return &quota{within: within, same: same, users: map[otp.UserName][]use{}}
}

// minUsers is how many users a quota remembers at least.
const minUsers = 256

// take counts a use, and reports whether it is within the limit. When there are more
// users than room, any other is forgotten.
func (q *quota) take(user otp.UserName, sum uint64, now time.Time, limit, room int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	uses, counted := q.recent(user, sum, now)
	switch {
	case counted || limit <= 0:
		return true
	case len(uses) >= limit:
		return false
	}
	for other := range q.users {
		if len(uses) > 0 || len(q.users) < max(room, minUsers) {
			break
		}
		delete(q.users, other)
	}
	q.users[user] = append(uses, use{sum, now})
	return true
}

// has reports whether another use is within the limit.
func (q *quota) has(user otp.UserName, now time.Time, limit int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	uses, _ := q.recent(user, 0, now)
	return limit <= 0 || len(uses) < limit
}

// recent are the uses that count still, and whether this is one of them again.
func (q *quota) recent(user otp.UserName, sum uint64, now time.Time) (uses []use, counted bool) {
	for _, u := range q.users[user] {
		if age := now.Sub(u.at); age < q.within {
			uses = append(uses, u)
			counted = counted || u.sum == sum && age < q.same
		}
	}
	return uses, counted
}

// giveBack takes a use back that came to nothing: the last one of this sum.
func (q *quota) giveBack(user otp.UserName, sum uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	uses := q.users[user]
	for i := len(uses) - 1; i >= 0; i-- {
		if uses[i].sum == sum {
			q.users[user] = append(uses[:i:i], uses[i+1:]...)
			break
		}
	}
	if len(q.users[user]) == 0 {
		delete(q.users, user)
	}
}

// forget forgets a user.
func (q *quota) forget(user otp.UserName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.users, user)
}
