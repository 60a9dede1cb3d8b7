package accounting

import "sync"

// counts knows how many sessions are open, and for whom they count.
type counts struct {
	mu    sync.RWMutex
	users map[string]int // Open ones
	pools map[string]int
	nases map[place]living
}

// place is a gateway of a NAS, as in Key.
type place struct{ nas, gateway string }

// living is how many sessions there are by State.
type living [Closed]int

// tally is what a session counts for: nothing when its state is zero or Closed.
type tally struct {
	state      State
	user, pool string
	place
}

// tally is what s counts for.
func (b *Book) tally(s *Session) tally {
	user := s.Login.User
	if user == "" {
		user = b.options.UserName(s.User)
	}
	return tally{s.State, user, s.Login.Pool, place{s.NAS, s.Gateway}}
}

// add counts a session n times, that is 1 or -1. The caller holds mu.
func (c *counts) add(t tally, n int) {
	if t.state != Open && t.state != Stale {
		return
	}
	if c.users == nil {
		c.users, c.pools, c.nases = make(map[string]int), make(map[string]int), make(map[place]living)
	}
	there := c.nases[t.place]
	there[t.state] += n
	if c.nases[t.place] = there; there == (living{}) {
		delete(c.nases, t.place)
	}
	if t.state == Open {
		addTo(c.users, t.user, n)
		addTo(c.pools, t.pool, n)
	}
}

// addTo keeps no zeros, and nothing for nobody.
func addTo(m map[string]int, key string, n int) {
	if key == "" {
		return
	}
	if m[key] += n; m[key] <= 0 {
		delete(m, key)
	}
}

// move counts what became of sessions.
func (c *counts) move(lives []*life) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range lives {
		if l.was != l.is {
			c.add(l.was, -1)
			c.add(l.is, 1)
		}
	}
}

// replace takes over other counts.
func (c *counts) replace(fresh *counts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users, c.pools, c.nases = fresh.users, fresh.pools, fresh.nases
}

func (c *counts) ofUser(user []byte) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.users[string(user)]
}

func (c *counts) inPool(pool string) int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.pools[pool]
}

// ofNASes is how many there are of each NAS.
func (c *counts) ofNASes() map[string]living {
	c.mu.RLock()
	defer c.mu.RUnlock()
	nases := make(map[string]living)
	for p, there := range c.nases {
		ofNAS := nases[p.nas]
		for state, n := range there {
			ofNAS[state] += n
		}
		nases[p.nas] = ofNAS
	}
	return nases
}

// gateways are those of a NAS that have sessions and may be the one that says this of
// itself: as Tx.Living wants them, so "" alone when some say nothing.
func (c *counts) gateways(nas, says string) []string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	var all []string
	g := parseGateway(says)
	for p := range c.nases {
		switch {
		case p.nas != nas || !g.agrees(parseGateway(p.gateway)):
		case p.gateway == "":
			return []string{""}
		default:
			all = append(all, p.gateway)
		}
	}
	return all
}
