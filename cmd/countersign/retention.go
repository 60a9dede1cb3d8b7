package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"countersign/radiusd/accounting"
	"countersign/tms"
)

// retention removes what is too old, by a clock that it does not believe at once: a machine
// whose clock leaps would remove what is new.
type retention struct {
	steady atomic.Bool // the clock is believed

	mu    sync.Mutex
	leapt time.Time // when it was found not to be, with the monotonic clock; zero while it is
}

const (
	// longestLeap is how long after the time that was noted last the clock is believed: a
	// server may be off for a weekend.
	longestLeap = 72 * time.Hour
	// steadyAfter is how long the server has to run after that until the clock is believed.
	steadyAfter = 24 * time.Hour
)

// The note with the time at which something was last removed, or could have been.
const (
	clockNote     = "clock"
	clockNoteName = "retention"
)

// believe finds out whether the clock is to be believed, and notes the time if it is. The
// first one is: there is nothing yet that it could remove.
func (s *server) believe(ctx context.Context, now time.Time) (bool, error) {
	notes, err := s.store.Notes(ctx, clockNote)
	if err != nil {
		return false, err
	}
	var noted time.Time
	if text, ok := notes[clockNoteName]; ok {
		if err := noted.UnmarshalText(text); err != nil {
			s.logger.Warn("the time of the last retention cannot be read, and begins anew", "error", err)
		}
	}
	r := &s.retention
	r.mu.Lock()
	defer r.mu.Unlock()
	if !noted.IsZero() && now.Sub(noted).Abs() > longestLeap {
		if r.leapt.IsZero() {
			r.leapt = now
			s.logger.Warn("the clock is far from the time at which this server last ran: nothing is removed for being old for a day; correct the clock if it is wrong",
				"clock", now, "last", noted)
		}
		if now.Sub(r.leapt) < steadyAfter {
			r.steady.Store(false)
			return false, nil
		}
	}
	r.leapt = time.Time{}
	text, err := now.UTC().Truncate(time.Second).MarshalText()
	if err == nil {
		err = s.store.KeepNote(ctx, clockNote, clockNoteName, text)
	}
	r.steady.Store(err == nil)
	return err == nil, err
}

// watchClock finds out whether the clock is to be believed on a node that removes nothing:
// it may be the one that makes sessions.
func (s *server) watchClock(ctx context.Context) {
	if _, err := s.believe(ctx, s.app.clock()); err != nil && ctx.Err() == nil {
		s.logger.Warn("whether the clock is right could not be found out, and is tried again later", "error", err)
	}
}

// prune removes what is older than the configuration wants it kept.
func (s *server) prune(ctx context.Context) {
	now := s.app.clock()
	if ok, err := s.believe(ctx, now); err != nil || !ok {
		s.pruned(ctx, "store", 0, err)
		return
	}
	cfg := s.cfg.Load()
	if keep := days(cfg.Audit.KeepDays); keep > 0 {
		batches, err := s.pruneJournal(ctx, now, now.Add(-keep))
		s.pruned(ctx, "journal", batches, err)
	}
	if keep := days(cfg.Accounting.KeepDays); keep > 0 {
		records, err := s.pruneAccounting(ctx, now.Add(-keep))
		s.pruned(ctx, "accounting", records, err)
	}
}

func (s *server) pruneJournal(ctx context.Context, now, before time.Time) (batches int64, err error) {
	upTo, err := s.sent(ctx)
	if err != nil {
		return 0, err
	}
	act := tms.Act{At: now, Actor: "server", Verb: "audit.prune", Object: "journal", Detail: fmt.Sprintf("what is from before %s", before.UTC().Format(time.RFC3339))}
	return s.store.Prune(ctx, before, upTo, act)
}

// sent is up to which batch of the journal all syslog servers have everything: what one
// does not have is kept however old it is.
func (s *server) sent(ctx context.Context) (upTo uint64, err error) {
	upTo = math.MaxInt64
	for _, l := range s.syslogs {
		state, err := l.State(ctx)
		if err != nil {
			return 0, err
		}
		upTo = min(upTo, state.Done.Batch)
	}
	return upTo, nil
}

// pruneAccounting leaves what a collector has not got.
func (s *server) pruneAccounting(ctx context.Context, before time.Time) (records int64, err error) {
	upTo, bounded, err := s.accounts.done(ctx)
	if err != nil {
		return 0, err
	}
	if !bounded {
		upTo = accounting.Position{Batch: math.MaxInt64}
	}
	return s.store.PruneAccounting(ctx, before, upTo)
}

// pruned logs what came of it.
func (s *server) pruned(ctx context.Context, what string, n int64, err error) {
	switch {
	case err != nil && !errors.Is(ctx.Err(), context.Canceled):
		s.logger.Error("removing what is too old failed, and is tried again in an hour", "from", what, "error", err)
	case n > 0:
		s.logger.Info("removed what is too old", "from", what, "number", n)
	}
}
