package postgres

import (
	"context"
	"sync/atomic"
	"time"

	"countersign/tms/audit"
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
	size       atomic.Int64 // bytes
}

// checkpointLease is of the work that one node does once a minute: to sign the journal, and
// to count what takes long to count.
const checkpointLease = "checkpoint"

// The names in table meta of what the node with checkpointLease has counted.
const (
	metaNearLock = "near_lock"
	metaLocked   = "locked"
)

// eachMinute calls run now, and then once a minute, while the store is in service.
func (s *Store) eachMinute(ctx context.Context, run func(context.Context)) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if s.Ready() == nil {
			run(ctx)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// chore is withConn for what is done from time to time.
func (s *Store) chore(ctx context.Context, run func(*conn) error) error {
	s.chores.Lock()
	defer s.chores.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.withConn(ctx, run)
}

// signLoop is the work of checkpointLease.
func (s *Store) signLoop(ctx context.Context) {
	s.eachMinute(ctx, func(ctx context.Context) {
		if _, err := s.Checkpoint(ctx); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("the journal could not be signed, which is tried again later", "error", err)
		}
		if err := s.chore(ctx, s.countFailing); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("counting locked tokens for metrics was given up and is tried again later", "error", err)
		}
	})
}

// minuteLoop brings the figures up to date.
func (s *Store) minuteLoop(ctx context.Context) {
	s.eachMinute(ctx, func(ctx context.Context) {
		if err := s.chore(ctx, s.readFigures); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("counting for metrics was given up and is tried again later", "error", err)
		}
		_ = s.chore(ctx, s.verifyKeyFile) // which says itself what is wrong
	})
}

func (s *Store) readFigures(c *conn) error {
	for _, figure := range []struct {
		to  *atomic.Int64
		sql string
	}{
		{&s.figures.journal, countBatches("journal")},
		{&s.figures.accounting, countBatches("accounting")},
		{&s.figures.nearLock, "SELECT number FROM meta WHERE name = '" + metaNearLock + "'"},
		{&s.figures.locked, "SELECT number FROM meta WHERE name = '" + metaLocked + "'"},
		{&s.figures.checkpoint, "SELECT at FROM checkpoint ORDER BY batch DESC LIMIT 1"},
		{&s.figures.size, "SELECT pg_database_size(current_database())"},
	} {
		n, err := c.Number(figure.sql)
		if err != nil {
			return err
		}
		figure.to.Store(n)
	}
	return nil
}

// countBatches counts the batches of a table without looking at all of them.
func countBatches(table string) string {
	return "SELECT (SELECT max(batch) FROM " + table + ") - (SELECT min(batch) FROM " + table + ") + 1"
}

// selectFailing finds the states of tokens in use with failures or a lock: flags 4 and 8 of
// the first byte (package store). It looks at all states, which have no index but the key so
// that logins write little.
const selectFailing = "SELECT s.state FROM state s JOIN token t ON t.id = s.token_id WHERE t.disabled = 0 AND get_byte(s.state, 0) & 12 <> 0"

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
		err = c.Exec(writeNumber, metaNearLock, nearLock)
	}
	if err == nil {
		err = c.Exec(writeNumber, metaLocked, locked)
	}
	return err
}

// signed takes note of the newest checkpoint.
func (s *Store) signed(c audit.Checkpoint) {
	if c.Batch > 0 {
		s.figures.checkpoint.Store(c.At.Unix())
	}
}
