package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
)

// keeping is a server that does not answer, with a clock that can be set.
type keeping struct {
	*server
	*testing.T
	log *transcript
	now time.Time
}

func newKeeping(t *testing.T, in *installation, now time.Time) *keeping {
	t.Helper()
	k := &keeping{T: t, log: new(transcript), now: now}
	a := &app{out: io.Discard, err: io.Discard, clock: func() time.Time { return k.now }, rand: rand.Reader, config: in.config}
	cfg, err := a.load()
	if err != nil {
		t.Fatal(err)
	}
	if k.server, err = a.newServer(cfg, slog.New(slog.NewTextHandler(k.log, nil)), new(slog.LevelVar)); err != nil {
		t.Fatal(err)
	}
	return k
}

// end closes it as run does at its end.
func (k *keeping) end() {
	k.Helper()
	for _, l := range k.listen {
		_ = l.Close()
	}
	if err := k.stop(); err != nil {
		k.Error(err)
	}
}

// happen makes a record in the journal and one of accounting, durable and taken.
func (k *keeping) happen(what string) {
	k.Helper()
	if err := k.store.Record(k.Context(), tms.Act{At: k.now, Actor: "test", Verb: what}); err != nil {
		k.Fatal(err)
	}
	done := make(chan error, 1)
	if !k.store.AppendAccounting(k.now, "loopback", "127.0.0.1", []byte{40, 6, 0, 0, 0, 7}, func(err error) { done <- err }) {
		k.Fatal("the record was not taken")
	}
	if err := <-done; err != nil {
		k.Fatal(err)
	}
	if _, err := k.store.Checkpoint(k.Context()); err != nil {
		k.Fatal(err)
	}
	ctx, cancel := context.WithCancel(k.Context())
	var book sync.WaitGroup
	book.Go(func() { k.accounts.book.Run(ctx) })
	for n := int64(1); n > 0; {
		var err error
		if _, _, _, err = k.store.Waiting(k.Context(), accounting.Position{}); err != nil {
			k.Fatal(err)
		}
		n = k.untaken()
	}
	cancel()
	book.Wait()
}

// untaken is how many accounting records were not made sessions of yet.
func (k *keeping) untaken() int64 {
	k.Helper()
	families, err := k.registry.Gather()
	if err != nil {
		k.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "countersign_accounting_log_waiting_records" {
			return int64(f.GetMetric()[0].GetGauge().GetValue())
		}
	}
	k.Fatal("no such metric")
	return 0
}

// has demands what is left: the verbs of acts by the test, and the number of accounting
// records.
func (k *keeping) has(verbs string, records int) {
	k.Helper()
	var left []string
	err := k.store.Events(k.Context(), tms.Filter{}, func(e *tms.Event) error {
		if e.Actor == "test" {
			left = append([]string{e.Verb}, left...)
		}
		return nil
	})
	if err != nil {
		k.Fatal(err)
	}
	n := 0
	_, err = k.store.Forwardable(k.Context(), accounting.Position{}, 1000, func(*accounting.Entry) error { n++; return nil })
	if err != nil {
		k.Fatal(err)
	}
	if got := strings.Join(left, " "); got != verbs || n != records {
		k.Errorf("left are acts %q and %d records, want %q and %d", got, n, verbs, records)
	}
}

const keepThirtyDays = "[audit]\nkeep_days = 30\n[accounting]\nkeep_days = 30\n"

// TestRetention removes what is old, once a collector has got it.
func TestRetention(t *testing.T) {
	in := install(t, keepThirtyDays+"[[collector]]\nname = \"away\"\ntype = \"radius\"\nservers = \"127.0.0.1:9\"\nsecret = \"testing123\"\n")
	k := newKeeping(t, in, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	k.happen("old")
	away := cursors{k.store, "collector"}
	if err := away.SaveCursor(t.Context(), "away", accounting.Position{}); err != nil {
		t.Fatal(err)
	}
	k.now = k.now.Add(25 * time.Hour) // it has run for a day
	for range 20 {
		k.prune(t.Context())
		k.now = k.now.Add(48 * time.Hour)
	}
	k.happen("new")
	k.has("old new", 2)
	k.end() // what is not folded is not removed

	k = newKeeping(t, in, k.now)
	defer func() { k.end() }()
	k.prune(t.Context())
	k.has("new", 2) // the collector has not got it
	if err := (cursors{k.store, "collector"}).SaveCursor(t.Context(), "away", accounting.Position{Batch: 1}); err != nil {
		t.Fatal(err)
	}
	k.prune(t.Context())
	k.has("new", 1)
}

// TestRetentionAndClocks: a clock that leaps removes nothing, neither when it was ahead for
// one start nor when it was behind.
func TestRetentionAndClocks(t *testing.T) {
	in := install(t, keepThirtyDays)
	right := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i, now := range []time.Time{right, right.AddDate(10, 0, 0), right.Add(time.Hour), right.AddDate(-10, 0, 0), right.Add(2 * time.Hour)} {
		k := newKeeping(t, in, now)
		if i == 0 {
			k.now = k.now.Add(25 * time.Hour)
			k.prune(t.Context()) // notes the time
			k.now = now
		}
		k.happen(fmt.Sprint("act", i))
		k.prune(t.Context())
		k.now = k.now.Add(time.Hour)
		k.prune(t.Context())
		k.end()
	}
	k := newKeeping(t, in, right.Add(3*time.Hour))
	defer k.end()
	k.prune(t.Context())
	k.has("act0 act1 act2 act3 act4", 5)
}

// TestRetentionAndALeap: a server that has run for long does not believe a clock that leaps
// either, until it has been steady for a day; a second back is no leap.
func TestRetentionAndALeap(t *testing.T) {
	k := newKeeping(t, install(t, keepThirtyDays), time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	defer k.end()
	for _, step := range []struct {
		by   time.Duration
		want bool
	}{
		{0, true}, {48 * time.Hour, true}, {-time.Second, true}, {90 * time.Hour, false}, {time.Hour, false}, {24 * time.Hour, true}, {time.Hour, true},
		{-900 * time.Hour, false}, {23 * time.Hour, false}, {2 * time.Hour, true},
	} {
		k.now = k.now.Add(step.by)
		k.prune(t.Context())
		if got := k.retention.steady.Load(); got != step.want {
			t.Errorf("after %v: believed %v, want %v", step.by, got, step.want)
		}
	}
}

// TestLoginOfAClass: only a login that was accepted has sessions.
func TestLoginOfAClass(t *testing.T) {
	in := install(t, "")
	in.alice("--type", "hotp")
	k := newKeeping(t, in, time.Now())
	defer k.end()
	for _, passcode := range []string{eventPasscode(0), "4711000000"} {
		a := &otp.Attempt{At: k.now, User: []byte("alice"), NAS: "loopback", Method: otp.PAP, Passcode: otp.NewPasscode([]byte(passcode))}
		verdict, err := k.verifier.Verify(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		login, ok, err := k.loginOf(t.Context(), a.Event.Batch, a.Event.Index)
		if err != nil || ok != verdict.Accepts() || ok && (login.User != "alice" || login.Serial != "A1" || login.Event != a.Event.String()) {
			t.Errorf("%v: login %+v, %v, %v", verdict, login, ok, err)
		}
	}
	if _, ok, err := k.loginOf(t.Context(), 4711, 0); ok || err != nil {
		t.Errorf("a login that is not there: %v, %v", ok, err)
	}
}

// TestNASReportOutlivesARestart of the server.
func TestNASReportOutlivesARestart(t *testing.T) {
	in := install(t, "")
	in.alice("--type", "hotp")
	for counter := range uint64(2) {
		in.start()
		in.login(in.nas(in.auth), "alice", eventPasscode(counter), radius.CodeAccessAccept)
		in.await("the login in the report", func() bool {
			return strings.Contains(in.run("", "nas", "report", "loopback", "--json"), fmt.Sprintf(`"logins":%d`, counter+1))
		})
		in.stop()
	}
}
