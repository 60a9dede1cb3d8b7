package collector

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/radiusd/accounting"
)

// trough is a sink in memory.
type trough struct {
	mu      sync.Mutex
	answer  func(*item) error
	latency time.Duration
	tries   []time.Time
	got     []string // session and position
}

func (s *trough) limit() int { return 64 }
func (s *trough) most() int  { return 1 }
func (s *trough) failed()    {}
func (s *trough) close()     {}

func (s *trough) deliver(ctx context.Context, batch []*item) (int, error) {
	if s.latency > 0 {
		select {
		case <-time.After(s.latency):
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tries = append(s.tries, time.Now())
	if s.answer != nil {
		if err := s.answer(batch[0]); err != nil {
			return 0, err
		}
	}
	s.got = append(s.got, fmt.Sprint(batch[0].lane.session, " ", batch[0].Position))
	return 1, nil
}

func (s *trough) answers(answer func(*item) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *trough) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.got)
}

var errOut = errors.New("out of order")

func out(*item) error { return errOut }

// withTrough runs a Collector on a clock of the test's own, from the beginning of the
// queue. Timers are few in it: the race detector of Go 1.26 does not survive tens of
// thousands (golang.org/issue/78156).
func withTrough(t *testing.T, o Options, test func(t *testing.T, k *kit, s *trough)) {
	synctest.Test(t, func(t *testing.T) {
		store, sink := newStore(), &trough{}
		store.cursors["billing"] = accounting.Position{}
		o.RADIUS = &RADIUS{Servers: []Server{{Address: anywhere, Secret: secret}}}
		k := newKit(t, store, o)
		k.sink = sink
		test(t, k, sink)
	})
}

// pass lets time pass, and all happen that is to happen then.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// A collector that was down for a day gets all of it, is asked with pauses meanwhile, and
// what comes later does not wait for a pause.
func TestDayDown(t *testing.T) {
	withTrough(t, Options{}, func(t *testing.T, k *kit, s *trough) {
		k.store.fill(time.Now(), 20_000, 500)
		s.answers(out)
		k.start()
		pass(24 * time.Hour)
		if n := len(s.tries); n < 24*60/2 || n > 24*60*3/2 {
			t.Errorf("it was tried %d times", n)
		}
		tries := s.tries[s.limit()-1:] // the first are made at once
		for i, pause := 1, time.Second; i < len(tries); i, pause = i+1, min(2*pause, time.Minute) {
			if d := tries[i].Sub(tries[i-1]); d < pause*3/4 || d > pause*5/4+2*beat {
				t.Errorf("pause %d was %v", i, d)
			}
		}
		if st := k.state(); st.Waiting != 20_000 || st.Fault != errOut.Error() || st.Skipped != 0 {
			t.Errorf("%+v", st)
		}
		if k.log.count("ERROR") != 1 {
			t.Error("it is logged again and again")
		}
		s.answers(nil)
		pass(2 * time.Minute)
		if s.count() != 20_000 || k.state().Waiting != 0 || k.log.count("takes accounting records again") != 1 {
			t.Errorf("it got %d", s.count())
		}
	})
}

func TestMaxRecords(t *testing.T) {
	withTrough(t, Options{MaxRecords: 5000}, func(t *testing.T, k *kit, s *trough) {
		s.answers(out)
		k.start()
		k.store.fill(time.Now(), 3999, 10)
		pass(10 * time.Second)
		if k.log.count("WARN") != 0 {
			t.Error("it warns too early")
		}
		k.store.fill(time.Now(), 1, 1)
		pass(10 * time.Second)
		if k.log.count("WARN") != 1 || k.log.count("raise max_records") != 1 || k.state().Skipped != 0 {
			t.Error("it does not warn at 80 %")
		}
		k.store.fill(time.Now(), 8500, 10)
		pass(10 * time.Minute)
		if st := k.state(); st.Waiting != 5000 || st.Skipped != 7500 || !st.Oldest.Equal(k.store.entries[7500].At) {
			t.Errorf("%+v", st)
		}
		if n := k.log.count("were skipped"); n == 0 || n > 2 || k.log.count("WARN") != 1 {
			t.Errorf("it is logged %d times", n)
		}
		s.answers(nil)
		pass(2 * time.Minute)
		if s.count() != 5000 {
			t.Errorf("%d are forwarded", s.count())
		}
		s.answers(out)
		k.store.fill(time.Now(), 4500, 10)
		pass(time.Minute)
		if k.log.count("WARN") != 2 {
			t.Error("it does not warn again when it was good in between")
		}
	})
}

func TestMaxAge(t *testing.T) {
	withTrough(t, Options{MaxAge: time.Hour}, func(t *testing.T, k *kit, s *trough) {
		s.answers(out)
		k.store.fill(time.Now(), 6000, 10)
		k.start()
		pass(47 * time.Minute)
		if k.log.count("WARN") != 0 {
			t.Error("it warns too early")
		}
		pass(2 * time.Minute)
		if k.log.count("WARN") != 1 || k.state().Skipped != 0 {
			t.Error("it does not warn at 80 %")
		}
		k.store.fill(time.Now(), 100, 10)
		pass(12 * time.Minute)
		if st := k.state(); st.Waiting != 100 || st.Skipped != 6000 {
			t.Errorf("%+v", st)
		}
		s.answers(nil)
		pass(2 * time.Minute)
		if st := k.state(); s.count() != 100 || st.Done != k.store.entries[6099].Position || !st.Oldest.IsZero() {
			t.Errorf("%d are forwarded: %+v", s.count(), st)
		}
	})
}

// A record that is refused while others are not is kept for as long as it keeps nobody
// waiting. When it does, it goes after an hour, and those behind it sooner.
func TestRefusedForLong(t *testing.T) {
	withTrough(t, Options{}, func(t *testing.T, k *kit, s *trough) {
		s.answers(func(it *item) error {
			if it.lane.session == "bad" {
				return errRefused
			}
			return nil
		})
		for n := range 10 {
			k.store.append(record(time.Now(), accounting.InterimUpdate, "bad", uint32(n)))
		}
		k.store.fill(time.Now(), 3000, 30)
		k.start()
		pass(5 * time.Hour)
		if st := k.state(); s.count() != 3000 || st.Skipped != 0 || st.Waiting != 10 || st.Done != (accounting.Position{}) {
			t.Errorf("%d are forwarded: %+v", s.count(), st)
		}
		for n := range windowSize {
			k.store.append(record(time.Now(), accounting.InterimUpdate, "bad", uint32(10+n)))
		}
		k.store.fill(time.Now(), 1000, 30)
		k.Wake()
		pass(24 * time.Hour)
		if st := k.state(); s.count() != 4000 || st.Skipped == 0 || st.Waiting+int64(st.Skipped) != 10+windowSize {
			t.Errorf("%d are forwarded: %+v", s.count(), st)
		}
	})
}

func TestUnsendable(t *testing.T) {
	withTrough(t, Options{}, func(t *testing.T, k *kit, s *trough) {
		s.answers(func(it *item) error {
			if it.Position.Index == 3 {
				return errUnsendable
			}
			return nil
		})
		k.store.fill(time.Now(), 100, 1)
		k.start()
		pass(time.Second)
		if st := k.state(); s.count() != 90 || st.Skipped != 10 || st.Waiting != 0 || st.Fault != "" {
			t.Errorf("%d are forwarded: %+v", s.count(), st)
		}
	})
}

func TestStoreFails(t *testing.T) {
	withTrough(t, Options{}, func(t *testing.T, k *kit, s *trough) {
		k.store.fill(time.Now(), 100, 10)
		k.store.fail(errOut)
		k.start()
		pass(time.Minute)
		if _, err := k.State(t.Context()); !errors.Is(err, errOut) {
			t.Error("State does not tell")
		}
		k.store.fail(nil)
		pass(2 * time.Minute)
		if s.count() != 100 || k.state().Fault != "" {
			t.Errorf("%d are forwarded: %+v", s.count(), k.state())
		}
		k.store.fail(errOut)
		pass(time.Minute)
		k.store.fill(time.Now(), 100, 10)
		k.store.fail(nil)
		pass(5 * time.Second)
		if s.count() != 200 || k.state().Fault != "" {
			t.Errorf("%d are forwarded: %+v", s.count(), k.state())
		}
		for _, doing := range []string{beginning, reading, measuring} {
			if n := k.log.count(doing); n != 1 {
				t.Errorf("%s is logged %d times", doing, n)
			}
		}
	})
}

func TestCursorIsSavedSeldom(t *testing.T) {
	withTrough(t, Options{}, func(t *testing.T, k *kit, s *trough) {
		s.latency = 100 * time.Millisecond
		k.store.fill(time.Now(), 100, 1)
		k.start()
		pass(10*time.Second + time.Millisecond)
		if n := k.store.saved(); n < 9 || n > 10 {
			t.Errorf("it is saved %d times in 10 s", n)
		}
		pass(time.Minute)
		if n := k.store.saved(); n > 11 || k.store.cursor() != k.store.entries[99].Position {
			t.Errorf("it is saved %d times: %v", n, k.store.cursor())
		}
	})
}

// What is on its way when the server stops is waited for, but not for ever.
func TestStop(t *testing.T) {
	for _, test := range []struct {
		latency time.Duration
		done    int
	}{{farewell / 2, 10}, {time.Hour, 0}} {
		withTrough(t, Options{}, func(t *testing.T, k *kit, s *trough) {
			s.latency = test.latency
			k.store.fill(time.Now(), 10, 10)
			k.start()
			pass(time.Millisecond)
			began := time.Now()
			k.stop()
			if d := time.Since(began); s.count() != test.done || d > farewell {
				t.Errorf("%d were done after %v", s.count(), d)
			}
			if want := map[int]accounting.Position{0: {}, 10: {Batch: 1, Index: 9}}[test.done]; k.store.cursor() != want {
				t.Errorf("the cursor is %v", k.store.cursor())
			}
			if k.log.count("ERROR") != 0 {
				t.Error("it calls that an error")
			}
		})
	}
}
