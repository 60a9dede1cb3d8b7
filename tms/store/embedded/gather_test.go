package embedded

import (
	"testing"
	"time"
)

func TestGathererLetsALoginAloneGo(t *testing.T) {
	var g gatherer
	now := noon
	for range 100 {
		if target := g.target(now); target != 0 {
			t.Fatalf("a login alone waits for %d", target)
		}
		g.committed(1, now.Add(150*time.Microsecond))
		now = now.Add(time.Millisecond)
	}
}

// TestGathererWaitsForThoseWhoComeBack: everybody has one login in flight, and
// sends the next when it has the answer.
func TestGathererWaitsForThoseWhoComeBack(t *testing.T) {
	var g gatherer
	const inFlight = 100
	now := noon
	g.committed(inFlight, now)
	vain := 0
	for range 10 * gatherVain {
		now = now.Add(200 * time.Microsecond)
		target := g.target(now)
		if target > inFlight { // in vain
			vain++
			g.gaveUp()
		} else if target < inFlight*9/10 {
			t.Fatalf("target %d of %d", target, inFlight)
		}
		g.committed(inFlight, now)
	}
	if vain > 11 {
		t.Errorf("waited in vain %d times", vain)
	}
}

// TestGathererWaitsAtASteadyRate: logins come whether others are answered or not.
func TestGathererWaitsAtASteadyRate(t *testing.T) {
	var g gatherer
	const rate = 50_000 // a second
	now, commits, logins := noon, 0, 0
	g.committed(1, now)
	waiting := 10
	for commits < 1000 {
		if missing := g.target(now) - waiting; missing > 0 {
			took := time.Duration(missing) * time.Second / rate
			if took > gatherTime {
				g.gaveUp()
				took = gatherTime
			}
			now = now.Add(took)
			waiting += int(took * rate / time.Second)
		}
		now = now.Add(120 * time.Microsecond) // the commit
		g.committed(waiting, now)
		commits, logins = commits+1, logins+waiting
		waiting = int(120 * time.Microsecond * rate / time.Second)
	}
	if mean := logins / commits; mean < 12 {
		t.Errorf("%d logins a commit, want twice as many as come in one commit's time at least", mean)
	}
}

func TestGathererForgetsAfterAPause(t *testing.T) {
	var g gatherer
	g.committed(200, noon)
	if target := g.target(noon.Add(gatherPause + 1)); target != 0 {
		t.Errorf("after a pause a login waits for %d", target)
	}
}
