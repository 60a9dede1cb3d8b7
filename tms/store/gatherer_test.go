package store

import (
	"testing"
	"time"
)

func TestGathererLetsALoginAloneGo(t *testing.T) {
	var g Gatherer
	now := time.Unix(1_800_000_000, 0)
	for range 100 {
		if target := g.Target(now); target != 0 {
			t.Fatalf("a login alone waits for %d", target)
		}
		g.Committed(1, now.Add(150*time.Microsecond))
		now = now.Add(time.Millisecond)
	}
}

// TestGathererWaitsForThoseWhoComeBack: everybody has one login in flight, and
// sends the next when it has the answer.
func TestGathererWaitsForThoseWhoComeBack(t *testing.T) {
	var g Gatherer
	const inFlight = 100
	now := time.Unix(1_800_000_000, 0)
	g.Committed(inFlight, now)
	vain := 0
	for range 10 * gatherVain {
		now = now.Add(200 * time.Microsecond)
		target := g.Target(now)
		if target > inFlight { // in vain
			vain++
			g.GaveUp()
		} else if target < inFlight*9/10 {
			t.Fatalf("target %d of %d", target, inFlight)
		}
		g.Committed(inFlight, now)
	}
	if vain > 11 {
		t.Errorf("waited in vain %d times", vain)
	}
}

// TestGathererWaitsAtASteadyRate: logins come whether others are answered or not.
func TestGathererWaitsAtASteadyRate(t *testing.T) {
	var g Gatherer
	const rate = 50_000 // a second
	now, commits, logins := time.Unix(1_800_000_000, 0), 0, 0
	g.Committed(1, now)
	waiting := 10
	for commits < 1000 {
		if missing := g.Target(now) - waiting; missing > 0 {
			took := time.Duration(missing) * time.Second / rate
			if took > GatherTime {
				g.GaveUp()
				took = GatherTime
			}
			now = now.Add(took)
			waiting += int(took * rate / time.Second)
		}
		now = now.Add(120 * time.Microsecond) // the commit
		g.Committed(waiting, now)
		commits, logins = commits+1, logins+waiting
		waiting = int(120 * time.Microsecond * rate / time.Second)
	}
	if mean := logins / commits; mean < 12 {
		t.Errorf("%d logins a commit, want twice as many as come in one commit's time at least", mean)
	}
}

func TestGathererForgetsAfterAPause(t *testing.T) {
	var g Gatherer
	g.Committed(200, time.Unix(1_800_000_000, 0))
	if target := g.Target(time.Unix(1_800_000_000, 0).Add(gatherPause + 1)); target != 0 {
		t.Errorf("after a pause a login waits for %d", target)
	}
}
