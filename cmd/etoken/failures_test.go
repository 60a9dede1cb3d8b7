package main

import (
	"os"
	"slices"
	"testing"
	"time"
)

// TestWrongPINs: each wrong Application PIN doubles the waiting, to five minutes,
// across starts of the program; a right one ends it.
func TestWrongPINs(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	d.slept = nil
	for range 12 {
		contains(t, d.fail([]string{"wrong PIN"}, "generate"), "the Application PIN is wrong", "the next try has to wait for")
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(d.slept, want) {
		t.Errorf("waits %v, want %v", d.slept, want)
	}
	d.slept = nil
	_, stderr := d.do([]string{pin}, "list")
	contains(t, stderr, "Wrong Application PINs so far: 12. Waiting for 5m0s.")
	if !slices.Equal(d.slept, []time.Duration{5 * time.Minute}) {
		t.Errorf("the right PIN waits %v", d.slept)
	}
	d.slept = nil
	d.do([]string{pin}, "list")
	d.fail([]string{"wrong PIN"}, "list")
	d.at = d.at.Add(400 * time.Millisecond)
	d.do([]string{pin}, "list")
	if !slices.Equal(d.slept, []time.Duration{600 * time.Millisecond}) {
		t.Errorf("after a right one: %v", d.slept)
	}
}

// The waiting cannot be interrupted to get round it, nor ended by a clock that is
// set, to whatever time.
func TestWaitingCannotBeAvoided(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	for range 4 {
		d.fail([]string{"wrong PIN"}, "list")
	}
	start := d.at
	for _, shift := range []time.Duration{0, -time.Hour, -200 * 365 * 24 * time.Hour} {
		d.slept, d.at = nil, start.Add(shift)
		d.onSleep = func() error { return os.ErrDeadlineExceeded }
		contains(t, d.fail([]string{pin}, "list"), "i/o timeout")
		if !slices.Equal(d.slept, []time.Duration{8 * time.Second}) {
			t.Errorf("with a clock set by %v it waits %v", shift, d.slept)
		}
	}
}

// A try counts before it is made, so that killing us does not save a guess.
func TestTryCountsFirst(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	a := &app{clock: func() time.Time { return d.at }, sleep: sleep}
	err := a.counted(t.Context(), d.store, func() error {
		f, err := readFailures(d.store + ".failures")
		if err != nil || f.Count != 1 {
			t.Errorf("in the try the count is %d, %v", f.Count, err)
		}
		return os.ErrClosed
	})
	if err == nil {
		t.Error("no error")
	}
	// Where it cannot be counted, there is no try.
	d.check(os.Remove(d.store + ".failures"))
	d.check(os.Mkdir(d.store+".failures.new", 0o700))
	d.check(os.WriteFile(d.store+".failures.new/x", nil, 0o600))
	contains(t, d.fail([]string{pin}, "list"), "counting wrong Application PINs")
}

func TestFailures(t *testing.T) {
	file := t.TempDir() + "/f"
	for content, count := range map[string]int{`{"count":3,"last":"2026-05-04T12:00:00Z"}`: 3, `junk`: 0, ``: 0, `{"count":-1}`: 0, `[]`: 0} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if f, err := readFailures(file); err != nil || f.Count != count {
			t.Errorf("%s: %+v, %v", content, f, err)
		}
	}
	for count, want := range map[int]time.Duration{0: 0, 1: time.Second, 9: 256 * time.Second, 10: longestWait, 1 << 62: longestWait} {
		if f := (failures{Count: count}); f.wait() != want {
			t.Errorf("after %d: %v", count, f.wait())
		}
	}
}
