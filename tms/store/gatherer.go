package store

import "time"

const (
	// GatherTime is how long a batch may be let to grow, at most.
	GatherTime = 300 * time.Microsecond
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

// Gatherer decides how large a batch shall be let to grow before an engine commits it.
// A commit costs the same for one login and for hundreds, so under load it pays
// to wait a little; but not for logins that cannot come, because everybody who
// would send one waits for an answer.
//
// So a batch is let to grow to nearly the size of the one before: then those who
// got answers are back. And it is let to grow to what should come within
// GatherTime at the rate of late, unless that was tried in vain.
type Gatherer struct {
	size  int       // entries of the last batch
	when  time.Time // it was durable
	rate  float64   // entries a second of late
	extra bool      // the last target counted on the rate
	vain  int       // commits until that is tried again
}

// Committed notes a batch.
func (g *Gatherer) Committed(size int, now time.Time) {
	rate := float64(size) / max(now.Sub(g.when), time.Microsecond).Seconds()
	g.rate += (rate - g.rate) / 8
	g.size, g.when = size, now
}

// Target is how many entries to wait for, at most for GatherTime; 0 is none.
func (g *Gatherer) Target(now time.Time) int {
	if now.Sub(g.when) > gatherPause {
		g.size, g.rate = 0, 0
		return 0
	}
	target := g.size * 9 / 10
	expected := int(g.rate * GatherTime.Seconds())
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

// GaveUp notes that the target was not reached in time.
func (g *Gatherer) GaveUp() {
	if g.extra {
		g.vain = gatherVain
	}
}
