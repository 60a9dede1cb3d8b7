package console

import (
	"sync"
	"time"
)

// quota counts what may happen so many times in a window of time, for each key. Its
// memory is bounded: it has the counts of this window and of the one before, and
// when a window has too many keys the next begins early. So what it counts lasts for
// one window at least, unless it is flooded with keys, and two at most.
type quota[Key comparable] struct {
	limit  int
	window time.Duration
	clock  func() time.Time

	mu            sync.Mutex
	began         time.Time
	now, previous map[Key]int
}

// maxKeys bounds the keys of one window.
const maxKeys = 10_000

func newQuota[Key comparable](limit int, window time.Duration, clock func() time.Time) *quota[Key] {
	return &quota[Key]{limit: limit, window: window, clock: clock, now: map[Key]int{}, previous: map[Key]int{}}
}

// take counts once more, and reports whether that is within the limit.
func (q *quota[Key]) take(k Key) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.turn()
	if q.now[k]+q.previous[k] >= q.limit {
		return false
	}
	q.now[k]++
	return true
}

// turn begins the next window when it is time.
func (q *quota[Key]) turn() {
	at := q.clock()
	switch over := at.Sub(q.began); {
	case over >= 2*q.window:
		q.now, q.previous = map[Key]int{}, map[Key]int{}
	case over >= q.window || len(q.now) >= maxKeys:
		q.now, q.previous = map[Key]int{}, q.now
	default:
		return
	}
	q.began = at
}
