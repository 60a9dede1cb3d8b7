//go:build !race

package directory

import "testing"

// TestPeekAllocations is about the path that every login takes.
func TestPeekAllocations(t *testing.T) {
	k := filled(t, 10)
	at := k.clock.now()
	for _, test := range []struct {
		name string
		most float64
	}{
		{"user1", 0},
		{"somebody", 0}, // who has to be asked for
		{"a-name-that-is-longer-than-most-names-are-in-practice", 2},
		{"user1@elsewhere", 2}, // the identity and its name
	} {
		typed := []byte(test.name)
		if got := testing.AllocsPerRun(100, func() { k.Peek(typed, at) }); got > test.most {
			t.Errorf("%s: %v allocations", test.name, got)
		}
	}
}
