package accounting

import (
	"context"
	"testing"
	"time"
)

// One of two nodes makes the sessions, and the other counts them; then it is the other way
// round.
func TestFollow(t *testing.T) {
	shared := newMemory()
	one, other := kitOn(t, shared), kitOn(t, shared)
	for i, makes := range []*kit{one, other} {
		follows := map[*kit]*kit{one: other, other: one}[makes]
		session := string(rune('a' + i))
		makes.takes(record(Start, session).came(i))
		must(t, follows.follow(t.Context()))
		if open := follows.OpenOf([]byte("kay")); open != i+1 {
			t.Errorf("%d sessions are open where they are counted, want %d", open, i+1)
		}
	}
}

// While the node that makes sessions is behind, no login is refused by what the others
// count.
func TestFollowBehind(t *testing.T) {
	shared := newMemory()
	makes, follows := kitOn(t, shared), kitOn(t, shared)
	makes.takes(record(Start, "a").came(0))
	shared.add(record(Start, "b").came(1))
	must(t, follows.follow(t.Context()))
	if open := follows.OpenOf([]byte("kay")); open != 1 {
		t.Errorf("%d sessions are open, want 1", open)
	}
	follows.later(maxLag + time.Second)
	must(t, follows.follow(t.Context()))
	if open := follows.OpenOf([]byte("kay")); open != 0 {
		t.Errorf("%d sessions count although others are behind, want 0", open)
	}
	makes.takes()
	must(t, follows.follow(t.Context()))
	if open := follows.OpenOf([]byte("kay")); open != 2 {
		t.Errorf("%d sessions are open, want 2", open)
	}
}

// A Book that runs is not counted over by Follow, and counts anew when it begins: others
// may have gone on.
func TestRunAfterOthers(t *testing.T) {
	shared := newMemory()
	one, other := kitOn(t, shared), kitOn(t, shared)
	one.takes(record(Start, "a").came(0))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		other.Run(ctx)
		close(ended)
	}()
	for other.OpenOf([]byte("kay")) != 1 {
		time.Sleep(time.Millisecond)
	}
	shared.mu.Lock()
	shared.sessions = map[Position]Session{} // what Follow would count now
	shared.mu.Unlock()
	must(t, other.follow(t.Context()))
	if open := other.OpenOf([]byte("kay")); open != 1 {
		t.Errorf("%d sessions: Follow has counted while Run runs", open)
	}
	stop()
	<-ended
}
