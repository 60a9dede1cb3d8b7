//go:build !race

package otp

import "testing"

// The race detector allocates by itself, so this runs without it.
func TestDecideDoesNotAllocate(t *testing.T) {
	alone, shared := newBench(t, clockToken("T")), newBench(t, clockToken("T"))
	shared.ShareMisses([32]byte{7})
	for _, b := range []*bench{alone, shared} {
		b.wantNoAllocations()
	}
}

func (b *bench) wantNoAllocations() {
	a := b.attempt("4711"+b.code(0), "pc")
	var s scratch
	if n := testing.AllocsPerRun(100, func() {
		b.store.account.Tokens[0].State = State{}
		s.run(b.Verifier, a, &b.store.account)
	}); n != 0 {
		b.Errorf("%v allocations a decision", n)
	}
	if a.Decision.Verdict != Accepted {
		b.Error(a.Decision.Verdict)
	}
}
