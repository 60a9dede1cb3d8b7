package embedded

import "time"

const (
	// gatherTime is how long a batch may be let to grow.
	gatherTime = 300 * time.Microsecond
	// gatherPause is how long after a commit the next batch belongs to the
	// same load.
	gatherPause = 2 * time.Millisecond
	// gatherFrom is how many entries it takes to be worth any waiting: a login
	// alone is committed at once.
	gatherFrom = 4
	// gatherVain is for how many commits waiting is not tried again after it
	// was in vain.
	gatherVain = 256
)

// gatherer decides how large a batch shall be let to grow before it is committed.
// A commit costs the same for one login and for hundreds, so under load it pays
// to wait a little; but not for logins that cannot come, because everybody who
// would send one waits for an answer.
//
// So a batch is let to grow to nearly the size of the one before: then those who
// got answers are back. And it is let to grow to what should come within
// gatherTime at the rate of late, unless that was tried in vain.
type gatherer struct {
	size  int       // entries of the last batch
	when  time.Time // it was durable
	rate  float64   // entries a second of late
	extra bool      // the last target counted on the rate
	vain  int       // commits until that is tried again
}

// committed notes a batch.
func (g *gatherer) committed(size int, now time.Time) {
	rate := float64(size) / max(now.Sub(g.when), time.Microsecond).Seconds()
	g.rate += (rate - g.rate) / 8
	g.size, g.when = size, now
}

// target is how many entries to wait for, at most for gatherTime; 0 is none.
func (g *gatherer) target(now time.Time) int {
	if now.Sub(g.when) > gatherPause {
		g.size, g.rate = 0, 0
		return 0
	}
	target := g.size * 9 / 10
	expected := int(g.rate * gatherTime.Seconds())
	if g.vain > 0 {
		g.vain--
	}
	if g.extra = g.vain == 0 && expected > target; g.extra {
		target = expected
	}
	if target < gatherFrom {
		return 0
	}
	return target
}

// gaveUp notes that the target was not reached in time.
func (g *gatherer) gaveUp() {
	if g.extra {
		g.vain = gatherVain
	}
}
