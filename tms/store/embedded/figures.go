package embedded

import (
	"context"
	"sync/atomic"
	"time"

	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// figures are what metrics show of things that are counted once a minute.
type figures struct {
	checkpoint atomic.Int64 // Unix seconds of the newest, 0 for none
	nearLock   atomic.Int64
	locked     atomic.Int64
	journal    atomic.Int64 // batches
	accounting atomic.Int64
}

// minuteLoop signs what was recorded, and counts.
func (s *Store) minuteLoop(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := s.count(); err != nil && ctx.Err() == nil && s.Ready() == nil {
			s.options.Logger.Warn("counting for metrics was given up and is tried again later", "error", err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if s.Ready() != nil {
			continue
		}
		if _, err := s.Checkpoint(ctx); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("the journal could not be signed, which is tried again later", "error", err)
		}
	}
}

// count counts the batches, and the tokens with failures: as their rows are, which a
// fold brings up to date once a minute.
func (s *Store) count() error {
	return s.read(func(c *conn) error {
		for sql, figure := range map[string]*atomic.Int64{
			countBatches("journal"):    &s.figures.journal,
			countBatches("accounting"): &s.figures.accounting,
		} {
			n, err := c.Number(sql)
			if err != nil {
				return err
			}
			figure.Store(n)
		}
		return s.countFailing(c)
	})
}

// countBatches counts the batches of a table without looking at all of them.
func countBatches(table string) string {
	return "SELECT (SELECT max(batch) FROM " + table + ") - (SELECT min(batch) FROM " + table + ") + 1"
}

// selectFailing finds the states of tokens in use with failures or a lock.
const selectFailing = "SELECT state FROM state JOIN token ON id = token_id WHERE disabled = 0 AND " + failing

// countFailing counts the tokens that are locked, and those with at least half as many
// failures as lock a token.
func (s *Store) countFailing(c *conn) error {
	now, limit := s.options.Clock().Unix(), s.options.MaxFailures()
	nearLock, locked := int64(0), int64(0)
	err := c.Query(selectFailing, func(r tables.Row) error {
		state, err := store.ParseState(r.Blob(0))
		switch {
		case err != nil: // Check finds it
		case state.LockedUntil > now:
			locked++
		case 2*int(state.Failures) >= limit:
			nearLock++
		}
		return nil
	})
	if err == nil {
		s.figures.nearLock.Store(nearLock)
		s.figures.locked.Store(locked)
	}
	return err
}
