package storetest

import (
	"bytes"
	"fmt"
	"sync"
	"time"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
)

// account keeps a record of attributes and waits until it is durable.
func (w *world) account(at time.Time, attributes string) {
	w.Helper()
	done := make(chan error, 1)
	if !w.store.AppendAccounting(at, "ras-gateway", "192.0.2.1:1646", []byte(attributes), func(err error) { done <- err }) {
		w.Fatal("a record was not taken")
	}
	w.must(<-done)
}

// take takes all entries of the accounting log that were not taken yet. Those of a batch
// begin at 0 and have no gaps, nor have the batches.
func (w *world) take(last accounting.Position) (entries []accounting.Entry) {
	w.Helper()
	for n := 1; n > 0; {
		var err error
		n, err = w.store.Take(w.Context(), 100, func(_ accounting.Tx, some []accounting.Entry) error {
			entries = append(entries, some...)
			return nil
		})
		w.must(err)
	}
	for _, e := range entries {
		next, same := accounting.Position{Batch: last.Batch + 1}, accounting.Position{Batch: last.Batch, Index: last.Index + 1}
		if e.Position != next && (e.Position != same || last.Batch == 0) {
			w.Errorf("entry %v comes after %v", e.Position, last)
		}
		last = e.Position
	}
	return entries
}

func accountingIsDurable(w *world) {
	const records = 500
	var done sync.WaitGroup
	for i := range records {
		done.Add(1)
		attributes := append([]byte(fmt.Sprint("record ", i, " ")), everyByte...)
		taken := w.store.AppendAccounting(noon.Add(time.Duration(i)), "ras-gateway", "192.0.2.1:1646", attributes, func(err error) {
			defer done.Done()
			if err != nil {
				w.Error(err)
			}
		})
		if !taken {
			w.Fatalf("record %d was not taken", i)
		}
		clear(attributes) // the store must not have kept them
	}
	done.Wait()
	w.reopen()
	entries := w.take(accounting.Position{})
	if len(entries) != records {
		w.Fatalf("%d entries, want %d", len(entries), records)
	}
	for i, e := range entries {
		want := append([]byte(fmt.Sprint("record ", i, " ")), everyByte...)
		if e.NAS != "ras-gateway" || e.Source != "192.0.2.1:1646" || !e.At.Equal(noon.Add(time.Duration(i))) || !bytes.Equal(e.Attributes, want) {
			w.Fatalf("entry %d: %+v", i, e)
		}
	}
}

// accountingIsNoEvent has logins and accounting share commits: each keeps its own
// numbers.
func accountingIsNoEvent(w *world) {
	const rounds, records = 100, 4
	token := hotp("T1")
	w.addUser("alice", token)
	var attempts []*otp.Attempt
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range uint64(rounds) {
			a := attempt("alice", pin+code(token, n))
			w.verify(otp.Accepted, a)
			attempts = append(attempts, a)
		}
	})
	for range records {
		wg.Go(func() {
			for n := range rounds {
				w.account(noon, fmt.Sprint("record ", n))
			}
		})
	}
	wg.Wait()
	w.reopen()
	if n := len(w.take(accounting.Position{})); n != rounds*records {
		w.Errorf("%d entries, want %d", n, rounds*records)
	}
	if n := len(w.events(tms.Filter{})); n != rounds+2 {
		w.Errorf("%d events, want %d", n, rounds+2)
	}
	for n, a := range attempts {
		e, err := w.store.Event(w.Context(), a.Event)
		if err != nil || e.User != "alice" || e.Decision.Verdict != otp.Accepted {
			w.Errorf("login %d is event %v: %+v, error %v", n, a.Event, e, err)
		}
	}
	w.chained()
}

func accountingIsPruned(w *world) {
	const records = 20
	for n := range records {
		w.account(noon.Add(time.Duration(n)*time.Second), fmt.Sprint("record ", n))
	}
	all := accounting.Position{Batch: 1 << 60}
	prune := func(before time.Duration, upTo accounting.Position, want int64) {
		w.Helper()
		if n, err := w.store.PruneAccounting(w.Context(), noon.Add(before), upTo); n != want || err != nil {
			w.Errorf("%d were removed, error %v, want %d", n, err, want)
		}
	}
	prune(time.Hour, all, 0) // nothing was taken
	entries := w.take(accounting.Position{})
	if len(entries) != records {
		w.Fatalf("%d entries, want %d", len(entries), records)
	}
	prune(0, all, 0)
	prune(time.Hour, accounting.Position{}, 0)
	prune(5*time.Second, all, 5)
	prune(5*time.Second, all, 0)
	prune(time.Hour, entries[9].Position, 5)
	w.reopen()
	prune(time.Hour, all, 10)
	w.account(noon, "another")
	if rest := w.take(entries[records-1].Position); len(rest) != 1 || string(rest[0].Attributes) != "another" {
		w.Errorf("entries %+v", rest)
	}
}
