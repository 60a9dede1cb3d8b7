package embedded

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"countersign/tms/store"
	"countersign/tms/store/tables"
)

const (
	// foldTime is how long a change stays in the journal alone.
	foldTime = time.Minute
	// foldRecords is how many records in the journal start a fold at once,
	// because a start has to replay them.
	foldRecords = 3_000_000
	// foldChunk is how many states go into one transaction, of about a
	// millisecond: so long a login may have to wait for it.
	foldChunk = 500
)

const stateColumns = 3

// foldStatement writes so many states: token_id, rev, state of each.
func foldStatement(rows int) string {
	return "INSERT INTO state (token_id, rev, state) VALUES " + tables.Placeholders(stateColumns, rows) +
		" ON CONFLICT (token_id) DO UPDATE SET rev = excluded.rev, state = excluded.state WHERE excluded.rev > state.rev"
}

var errFailedMeanwhile = errors.New("the store has failed meanwhile")

// foldLoop folds from time to time, and when the journal has become long.
func (s *Store) foldLoop(ctx context.Context) {
	tick := time.NewTicker(foldTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.foldDue:
		case <-ctx.Done():
			return
		}
		if s.unfolded.Load() == 0 || s.Ready() != nil {
			continue
		}
		if err := s.fold(ctx); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("folding the journal into the token states was given up and is tried again later", "error", err)
		}
	}
}

// fold writes the states that are in the journal only into table state, in small
// transactions between the commits.
//
// What is written was decided before the first of these transactions, and a job
// finds all that was decided before it committed: so no state gets into the table
// whose record is not in the journal. And the states of all batches up to the
// last one at the beginning are among those collected afterwards: so the journal
// needs no replay up to there.
//
// None of this holds once the store has failed in between: then what was
// collected may never have been committed, and the cache it came from was
// emptied. So a failure ends the fold.
func (s *Store) fold(ctx context.Context) error {
	f, err := s.beginFold(ctx)
	if err != nil {
		return err
	}
	return f.write(ctx, s.collect())
}

// folding is a fold that has begun.
type folding struct {
	*Store
	batch    uint64 // the last that it makes superfluous
	records  int64  // in the journal up to there
	epoch    uint32
	failures int
}

func (s *Store) beginFold(ctx context.Context) (f folding, err error) {
	err = s.do(ctx, func() error {
		f = folding{s, s.committer.Batch, s.unfolded.Load(), s.overlay.begin(), s.committer.failures}
		return nil
	})
	return f, err
}

// write writes the states that were collected since the fold began, and the uses
// of rules: those of the batches up to the last one at the beginning, and more.
func (f folding) write(ctx context.Context, changes []store.Change) error {
	for chunk := range slices.Chunk(changes, foldChunk) {
		if err := f.step(ctx, func() error { return f.writeStates(chunk) }); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(f.uses.ids(), foldChunk) {
		if err := f.step(ctx, func() error { return f.writeUses(chunk) }); err != nil {
			return err
		}
	}
	return f.step(ctx, func() error {
		if err := f.db.writer.Exec(writeMeta, tables.MetaFolded, int64(f.batch)); err != nil {
			return err
		}
		f.wal.grew(1)
		f.overlay.end(f.epoch)
		f.unfolded.Add(-f.records)
		return nil
	})
}

// step has a part of the fold done, unless the store has failed since it began.
func (f folding) step(ctx context.Context, run func() error) error {
	return f.do(ctx, func() error {
		if f.committer.failures != f.failures {
			return errFailedMeanwhile
		}
		return run()
	})
}

// collect returns the latest states of all tokens that changed since the last
// fold, by token id.
func (s *Store) collect() []store.Change {
	var changes []store.Change
	folded := s.overlay.folded.Load()
	for i := range s.cache.shards {
		sh := &s.cache.shards[i]
		sh.mu.Lock()
		for _, p := range sh.accounts {
			if p.Epoch() <= folded {
				continue
			}
			p.Each(func(c store.Change) {
				if c.Rev > 0 {
					changes = append(changes, c)
				}
			})
		}
		sh.mu.Unlock()
	}
	changes = s.overlay.collect(changes)
	slices.SortFunc(changes, func(a, b store.Change) int {
		return cmp.Or(cmp.Compare(a.Token, b.Token), cmp.Compare(a.Rev, b.Rev))
	})
	return changes
}

// writeStates writes states in one transaction, those that are newer than what
// is there.
func (s *Store) writeStates(changes []store.Change) error {
	return s.transaction(func(w *conn) error {
		s.wal.grew(statePages(changes))
		return foldInto(w, changes)
	})
}

// statePages is about how many pages of table state have some changes, which are
// sorted by token.
func statePages(changes []store.Change) int {
	const perPage = 100
	apart := changes[len(changes)-1].Token - changes[0].Token
	return min(len(changes), int(apart/perPage)+1)
}

// foldInto writes states in the transaction that is open.
func foldInto(w tables.Conn, changes []store.Change) error {
	in := tables.NewInserter(w, foldStatement, stateColumns)
	for i := range changes {
		c := &changes[i]
		if err := in.Add(append(in.Args, c.Token, int64(c.Rev), store.AppendState(nil, &c.State))); err != nil {
			return err
		}
	}
	return in.Flush()
}
