//go:build !race

package oath

import (
	"bytes"
	"testing"
)

// The race detector makes the standard library's hashes allocate where they
// save their state, so this is tested without it.

func TestGeneratorDoesNotAllocate(t *testing.T) {
	var g Generator
	seed := rfcSeed(64).Bytes()
	long := bytes.Repeat(seed, 3)
	for a := range Algorithm(algorithms) {
		g.Init(a, seed)
		allocs := testing.AllocsPerRun(100, func() {
			g.Init(a, seed)
			g.Init(a, long)
			g.Code(1, 6)
		})
		if allocs != 0 {
			t.Errorf("%v: %v allocations", a, allocs)
		}
	}
}
