//go:build !race

package otp

import "testing"

// The race detector allocates by itself, so this runs without it.
func TestDecideDoesNotAllocate(t *testing.T) {
	b := newBench(t, clockToken("T"))
	a := b.attempt("4711"+b.code(0), "pc")
	var s scratch
	if n := testing.AllocsPerRun(100, func() {
		b.store.account.Tokens[0].State = State{}
		s.run(b.Verifier, a, &b.store.account)
	}); n != 0 {
		t.Errorf("%v allocations a decision", n)
	}
	if a.Decision.Verdict != Accepted {
		t.Error(a.Decision.Verdict)
	}
}
