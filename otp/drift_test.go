package otp

import (
	"math"
	"testing"

	"countersign/otp/oath"
)

// TestDriftCostsNoMoreThanADay: whatever the drift of a token is, a wrong code is
// looked for in the steps of some days only.
func TestDriftCostsNoMoreThanADay(t *testing.T) {
	policy := DefaultPolicy()
	for drift, want := range map[int32]int64{0: int64(policy.ResyncSteps), -100: 100, 2880: 2880, 5_000_000: 2880, math.MinInt32: 2880, math.MaxInt32: 2880} {
		token := clockToken("T")
		token.State.Drift = drift
		f := newFinder(&oath.Generator{}, &token, &policy, noon)
		if got := f.reach(); got != want {
			t.Errorf("drift %d: %d steps, want %d", drift, got, want)
		}
		never := &counted{}
		if _, found := f.search(never, true); found != noMatch || never.looks > int(2*want+1)+8*(2*policy.Window+1) {
			t.Errorf("drift %d: %v after %d looks", drift, found, never.looks)
		}
	}
}

// counted is a passcode that is never right, and counts the looks.
type counted struct{ looks int }

func (c *counted) proves(uint64, int) bool { c.looks++; return false }

func TestAstray(t *testing.T) {
	for _, test := range []struct {
		typ    TokenType
		period uint32
		drift  int32
		want   bool
	}{
		{TOTP, 30, 2880, false}, {TOTP, 30, -2881, true}, {TOTP, 1, 86400, false}, {TOTP, 1, 86401, true},
		{TOTP, 60, 2000, false}, // as far as login.resync_steps may be, and so a drift that was learned
		{TOTP, 86400, 2881, true}, {TOTP, 30, math.MinInt32, true}, {TOTP, 0, 0, false}, {HOTP, 0, math.MaxInt32, false},
	} {
		token := Token{Type: test.typ, Period: test.period, State: State{Drift: test.drift}}
		if got := token.Astray(); got != test.want {
			t.Errorf("%+v: %v", test, got)
		}
	}
}
