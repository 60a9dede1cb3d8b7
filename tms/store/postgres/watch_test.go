package postgres

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/tms/store/postgrestest"
)

// change has something of a kind changed, by a transaction that is rolled back or not.
func change(t *testing.T, url, kind string, rollback bool) {
	t.Helper()
	raw, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close(t.Context())
	w := newConn(raw.PgConn())
	w.ctx = t.Context()
	end := "COMMIT"
	if rollback {
		end = "ROLLBACK"
	}
	for _, step := range []func() error{
		func() error { return w.Exec("BEGIN") },
		func() error { return changed(w, kind) },
		func() error { return w.Exec(end) },
		w.flush,
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestChangesArriveAtAllNodes(t *testing.T) {
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	change(t, url, changedRules, false) // before anybody knew
	w := newWire(t, server.Address())
	near, far := startNode(t, "near", url), startNode(t, "far", w.through(url, server))
	var rules, moreRules, mails atomic.Int64
	near.onChange(changedRules, func() error { rules.Add(1); return nil })
	far.onChange(changedRules, func() error { moreRules.Add(1); return nil })
	far.onChange(changedMails, func() error { mails.Add(1); return nil })
	soon(t, "called once, to begin with", func() bool { return rules.Load() == 1 && moreRules.Load() == 1 && mails.Load() == 1 })

	change(t, url, changedRules, true)
	change(t, url, changedRules, false)
	soon(t, "told of the change", func() bool { return rules.Load() == 2 && moreRules.Load() == 2 })
	if mails.Load() != 1 {
		t.Error("told of mails when rules had changed")
	}
	w.set(true)
	soon(t, "cut off", func() bool { return far.failures.Load() > 0 })
	w.set(false)
	soon(t, "told after a pause", func() bool { return moreRules.Load() == 3 && mails.Load() == 2 })
	if rules.Load() != 2 {
		t.Errorf("near was told %d times, of one change", rules.Load())
	}
}

// Who is slow is called once for all that has changed meanwhile, and not beside itself.
func TestChangesMeanwhileAreOneCall(t *testing.T) {
	n := newNode(t, "a", "")
	var calls, within atomic.Int64
	step := make(chan struct{})
	n.onChange("x", func() error {
		if within.Add(1) > 1 {
			t.Error("called while it runs")
		}
		calls.Add(1)
		<-step
		within.Add(-1)
		return nil
	})
	for number := range int64(5) {
		n.compare(map[string]int64{"x": number})
		soon(t, "called", func() bool { return calls.Load() == 1 })
	}
	step <- struct{}{}
	step <- struct{}{}
	n.stop(nil)
	if calls.Load() != 2 {
		t.Errorf("%d calls", calls.Load())
	}
	n.onChange("x", func() error { t.Error("called after the end"); return nil })
	n.compare(map[string]int64{"x": 7})
	time.Sleep(quick.tick)
}

// Who could not take a change over is called again with the next look.
func TestFailedChangeIsToldAgain(t *testing.T) {
	n := newNode(t, "a", "")
	var calls atomic.Int64
	n.onChange("x", func() error {
		if calls.Add(1) < 3 {
			return errors.New("not now")
		}
		return nil
	})
	look := func() { n.compare(map[string]int64{"x": 1}) }
	soon(t, "called again until it works", func() bool { look(); return calls.Load() == 3 })
	for range 10 {
		look()
		time.Sleep(quick.tick / 10)
	}
	if calls.Load() != 3 {
		t.Errorf("%d calls, want 3", calls.Load())
	}
	n.stop(nil)
}
