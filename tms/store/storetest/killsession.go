package storetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"

	"countersign/radiusd/accounting"
)

const sessionVictim = "session"

// sessionMaker appends records of a few users, and makes sessions of them, until it is
// killed. It says "accounted" for each record that is durable.
func sessionMaker(s Store) {
	go func() {
		for range s.Appended() {
			_, err := s.Take(context.Background(), 50, func(tx accounting.Tx, entries []accounting.Entry) error {
				for i := range entries {
					if err := makeSession(tx, &entries[i]); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				fmt.Println("failed:", err)
			}
		}
	}()
	for n := 0; ; n++ {
		done := make(chan error, 1)
		if s.AppendAccounting(noon, "ras", "192.0.2.1", fmt.Append(nil, "user", n%7), func(err error) { done <- err }) && <-done == nil {
			fmt.Fprintln(os.Stdout, "accounted")
		}
	}
}

// killKeepsSessionsRight kills who makes sessions: each record is counted once.
func killKeepsSessionsRight(w *world) {
	answered := 0
	for range killRounds {
		w.close()
		w.kill(sessionVictim, 100+rand.IntN(500), func(line string) {
			if line != "accounted" {
				w.Error(line)
			}
			answered++
		})
		w.open()
	}
	for n := 1; n > 0; {
		var err error
		n, err = w.store.Take(w.Context(), 500, func(tx accounting.Tx, entries []accounting.Entry) error {
			w.make(tx, entries)
			return nil
		})
		w.must(err)
	}
	counted := 0
	for _, s := range w.sessions(accounting.Filter{}) {
		records := 0
		w.must(w.store.Records(w.Context(), s.ID, func(*accounting.Entry) error { records++; return nil }))
		if records != s.Records {
			w.Errorf("session of %q has %d records, and counts %d", s.User, records, s.Records)
		}
		counted += s.Records
	}
	waiting, _, _, err := w.store.Waiting(w.Context(), accounting.Position{})
	if w.must(err); waiting != int64(counted) || counted < answered || counted > answered+killRounds {
		w.Errorf("%d records are counted, %d can be forwarded, %d were answered", counted, waiting, answered)
	}
}
