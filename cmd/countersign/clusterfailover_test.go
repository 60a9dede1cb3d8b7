package main

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"layeh.com/radius"
)

// load is many gateways that log users in, each code once, until they are told to stop.
// Who gets no answer asks another node, and then gives the code up.
type load struct {
	*cluster
	asked    []*node // a gateway begins with any of them
	from, to int     // users
	counter  int     // of the first code of each
	stopped  atomic.Bool
	lanes    sync.WaitGroup
	mu       sync.Mutex
	accepted map[shown]time.Time
	first    []time.Time // accepted by each node since resumed
	resumed  bool        // the database takes writes again
	given    int         // codes that were given up
}

// load begins to log users in, as many at the same time as there are lanes.
func (c *cluster) load(l *load, lanes int) *load {
	l.cluster, l.accepted, l.first = c, map[shown]time.Time{}, make([]time.Time, len(l.asked))
	for lane := range lanes {
		l.lanes.Go(func() {
			for counter := l.counter; ; counter++ {
				for user := l.from + lane; user < l.to; user += lanes {
					if l.stopped.Load() {
						return
					}
					l.login(shown{user, counter}, (lane+user)%len(l.asked))
				}
			}
		})
	}
	return l
}

// stop ends the load and returns what was accepted. Strangers are let in by none of it.
func (l *load) stop() []shown {
	l.Helper()
	l.stopped.Store(true)
	l.lanes.Wait()
	l.Logf("%d accepted, %d given up", len(l.accepted), l.given)
	all := slices.Collect(maps.Keys(l.accepted))
	l.strangers(l.asked, all)
	return all
}

// losesPrimary kills the database in the middle of logins and promotes the standby. What
// was accepted, which it returns, is never accepted again.
func (c *cluster) losesPrimary(counter int) []shown {
	c.Helper()
	l := c.load(&load{asked: c.nodes, to: loadUsers, counter: counter}, 64)
	before := l.await(1000, 0)
	c.primary.Kill()
	c.standby.Promote(c.T)
	promoted := l.resume()
	l.await(before+1000, 20*time.Second)
	l.awaitAll(promoted)
	return l.stop()
}

// login shows a code to a node, and to the next one when there is no answer.
func (l *load) login(s shown, first int) {
	for i := range 2 {
		k := (first + i) % len(l.asked)
		code, _ := l.asked[k].show(l.gateway, s, s.station(), time.Second)
		switch code {
		case radius.CodeAccessAccept:
			l.took(s, k)
			return
		case 0:
			continue
		default:
			l.Errorf("%s: node %s says %v to a new code", s.station(), l.asked[k].name, code)
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.given++
}

// took notes that a node has accepted a code.
func (l *load) took(s shown, node int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepted[s] = time.Now()
	if l.resumed && l.first[node].IsZero() {
		l.first[node] = time.Now()
	}
}

// resume notes that the database takes writes again, and returns when that was.
func (l *load) resume() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.resumed = true
	return time.Now()
}

// await waits until so many logins were accepted, and returns how many there are then.
func (l *load) await(many int, most time.Duration) (n int) {
	l.Helper()
	began := time.Now()
	l.asked[0].await("logins", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		n = len(l.accepted)
		return n >= many
	})
	if took := time.Since(began); most > 0 && took > most {
		l.Errorf("it took %v until users were let in", took)
	}
	return n
}

// resumeWithin is how soon after the promotion each node lets users in again.
const resumeWithin = 5 * time.Second

// awaitAll waits until each node has accepted a login since the promotion.
func (l *load) awaitAll(promoted time.Time) {
	l.Helper()
	for k, n := range l.asked {
		var first time.Time
		n.await("logins at node "+n.name, func() bool {
			l.mu.Lock()
			defer l.mu.Unlock()
			first = l.first[k]
			return !first.IsZero()
		})
		took := first.Sub(promoted)
		l.Logf("node %s lets users in %v after the promotion", n.name, took)
		if took > resumeWithin {
			l.Errorf("node %s lets users in %v after the promotion, want %v", n.name, took, resumeWithin)
		}
	}
}
