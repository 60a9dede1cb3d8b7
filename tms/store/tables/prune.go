package tables

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/store"
)

const (
	// PruneRows and pruneBytes bound what is removed in one transaction, of about a
	// millisecond: so long a login may have to wait for it.
	PruneRows  = 256
	pruneBytes = 1 << 18
)

// Prune removes the oldest batches of the journal: those of which all, and all before them,
// is from before an instant, up to the last that has a checkpoint, and not beyond batch
// upTo. It returns how many they were. One record with a later time, be its clock right or
// not, keeps all that comes after it: a clock that was behind for a while must not take
// what is new along.
//
// That retention ended there is signed, for who verifies the rest (Begin). With nothing to
// remove the act is not recorded. What a Prune that was broken off has left is removed
// first.
func (s *Tables) Prune(ctx context.Context, before time.Time, upTo uint64, act tms.Act) (batches int64, err error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	if batches, err = s.prune(ctx, before, upTo, act); err != nil {
		err = fmt.Errorf("removing from token store %q what was recorded before %v: %w", s.config.Name, before, err)
	}
	return batches, err
}

func (s *Tables) prune(ctx context.Context, before time.Time, upTo uint64, act tms.Act) (int64, error) {
	rest, err := s.removeBatches(ctx)
	if err != nil {
		return rest, err
	}
	end, err := s.lastOld(ctx, before, upTo)
	if err != nil || end.Batch == 0 {
		return rest, err
	}
	if act.Detail == "" {
		act.Detail = fmt.Sprintf("up to batch %d, before %s", end.Batch, before.UTC().Format(time.RFC3339))
	}
	begin := s.signer.begin(end.Batch, s.config.Clock(), end.Chain)
	err = s.change(ctx, func(w Conn) error {
		return s.engine.Transaction(w, func(w Conn) error {
			if err := w.Exec(s.dialect.WriteNumber, MetaPruned, int64(end.Batch)); err != nil {
				return err
			}
			if err := w.Exec(s.dialect.WriteBytes, MetaBegin, []byte(begin.String())); err != nil {
				return err
			}
			s.engine.Grew(1)
			return s.writeAct(w, &act, nil)
		})
	})
	if err != nil {
		return rest, err
	}
	n, err := s.removeBatches(ctx)
	s.config.Pruned()
	return rest + n, err
}

// lastOld finds the checkpoint up to which the journal can be removed, zero for none. It
// must be right: nobody can verify later what it ends.
func (s *Tables) lastOld(ctx context.Context, before time.Time, upTo uint64) (end audit.Checkpoint, err error) {
	folded, err := s.folded()
	if err != nil {
		return end, err
	}
	begin, _, err := s.Begin(ctx)
	if err != nil {
		return end, err
	}
	last, err := s.oldUpTo(ctx, begin.Batch, min(folded, upTo), before)
	if err != nil || last == begin.Batch {
		return end, err
	}
	chain := ""
	err = s.engine.Read(func(c Conn) error {
		return c.Query(lastSignedOld, func(r Row) (err error) {
			end, err = readCheckpoint(r)
			chain = string(r.Blob(4))
			return err
		}, int64(begin.Batch), int64(last))
	})
	switch {
	case err != nil || end.Batch == 0:
	case chain != string(end.Chain[:]):
		err = fmt.Errorf("the checkpoint of batch %d is not of this journal", end.Batch)
	case !end.SignedBy(s.signer.public):
		err = fmt.Errorf("the checkpoint of batch %d is not signed by the key of this store", end.Batch)
	}
	return end, err
}

// lastSignedOld finds the last checkpoint between two batches, and the hash of its batch.
const lastSignedOld = `SELECT c.batch, c.at, c.chain, c.signature, j.chain FROM checkpoint c JOIN journal j ON j.batch = c.batch
	WHERE c.batch > ? AND c.batch <= ? ORDER BY c.batch DESC LIMIT 1`

// recordPages is about how many pages a batch takes.
func recordPages(bytes int) int { return bytes/pageSize + 2 }

// errTooNew ends the search for what is old.
var errTooNew = errors.New("a record is too new")

// oldUpTo goes along the journal, from the batch after one up to another, and finds the last
// batch before the first record that is not from before an instant.
func (s *Tables) oldUpTo(ctx context.Context, after, upTo uint64, before time.Time) (last uint64, err error) {
	last = after
	for more := true; more && err == nil; {
		if err := ctx.Err(); err != nil {
			return last, err
		}
		more, err = s.ReadBatches("SELECT batch, records FROM journal WHERE batch > ? AND batch <= ? ORDER BY batch", func(number uint64, records []byte) error {
			err := store.Records(records, func(_ uint32, record []byte) error {
				k, err := store.ParseKeys(record)
				if err == nil && !time.Unix(0, k.At).Before(before) {
					err = errTooNew
				}
				return err
			})
			switch {
			case err == nil:
				last = number
			case !errors.Is(err, errTooNew):
				err = fmt.Errorf("batch %d of the journal: %w", number, err)
			}
			return err
		}, int64(last), int64(upTo))
	}
	if errors.Is(err, errTooNew) {
		err = nil
	}
	return last, err
}

// folded is up to which batch the journal is in the tables made of it.
func (s *Tables) folded() (batch uint64, err error) {
	err = s.engine.Read(func(c Conn) (err error) {
		batch, err = s.engine.Folded(c)
		return err
	})
	return batch, err
}

// removeBatches removes what MetaPruned says, and the checkpoints of before, in small
// transactions. It returns how many batches there were.
func (s *Tables) removeBatches(ctx context.Context) (batches int64, err error) {
	pruned := int64(0)
	err = s.engine.Read(func(c Conn) (err error) {
		pruned, err = c.Number(s.dialect.ReadNumber, MetaPruned)
		return err
	})
	for n := int64(1); n > 0 && err == nil; batches += n {
		n, err = s.removeRows(ctx, "SELECT batch, length(records) FROM journal WHERE batch <= ? ORDER BY batch LIMIT ?", "DELETE FROM journal WHERE batch <= ?", pruned)
	}
	for n := int64(1); n > 0 && err == nil; {
		n, err = s.removeRows(ctx, "SELECT batch, 100 FROM checkpoint WHERE batch < ? ORDER BY batch LIMIT ?", "DELETE FROM checkpoint WHERE batch <= ?", pruned)
	}
	return batches, err
}

// removeRows removes the first rows that a statement selects, with the size of each, and
// returns how many there were.
func (s *Tables) removeRows(ctx context.Context, selectRows, deleteTo string, limit int64) (rows int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	last, bytes := int64(0), int64(0)
	err = s.engine.Read(func(c Conn) error {
		return c.Query(selectRows, func(r Row) error {
			last, rows = r.Integer(0), rows+1
			if bytes += r.Integer(1); bytes > pruneBytes {
				return errPageFull
			}
			return nil
		}, limit, int64(PruneRows))
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	if err != nil || rows == 0 {
		return 0, err
	}
	err = s.change(ctx, func(w Conn) error {
		s.engine.Grew(recordPages(int(bytes)))
		return w.Exec(deleteTo, last)
	})
	return rows, err
}

// PruneAccounting removes the oldest batches of the accounting log: those with nothing
// from an instant on, nor beyond a position, nor anything that no session was made of. It
// returns how many records were in them.
func (s *Tables) PruneAccounting(ctx context.Context, before time.Time, upTo accounting.Position) (records int64, err error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	taken, err := s.taken()
	if taken.Before(upTo) {
		upTo = taken
	}
	for n := int64(1); n > 0 && err == nil; records += n {
		n, err = s.pruneAccounting(ctx, before, upTo)
	}
	if records > 0 {
		s.config.Pruned()
	}
	if err != nil {
		err = fmt.Errorf("removing accounting records of before %v from token store %q: %w", before, s.config.Name, err)
	}
	return records, err
}

// pruneAccounting is PruneAccounting for a transaction.
func (s *Tables) pruneAccounting(ctx context.Context, before time.Time, upTo accounting.Position) (records int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	last, bytes := int64(0), 0
	err = s.engine.Read(func(c Conn) error {
		return c.Query("SELECT batch, records FROM accounting ORDER BY batch LIMIT ?", func(r Row) error {
			n, removable, err := oldAccounting(uint64(r.Integer(0)), r.Blob(1), before, upTo)
			if err != nil {
				return err
			}
			if !removable {
				return errPageFull
			}
			last, records = r.Integer(0), records+n
			if bytes += len(r.Blob(1)); bytes > pruneBytes {
				return errPageFull
			}
			return nil
		}, int64(PruneRows))
	})
	if errors.Is(err, errPageFull) {
		err = nil
	}
	if err != nil || last == 0 {
		return 0, err
	}
	err = s.change(ctx, func(w Conn) error {
		return s.engine.Transaction(w, func(w Conn) error {
			s.engine.Grew(recordPages(bytes) + 1)
			if err := w.Exec(s.dialect.WriteNumber, MetaForgot, last); err != nil {
				return err
			}
			return w.Exec("DELETE FROM accounting WHERE batch <= ?", last)
		})
	})
	return records, err
}

// oldAccounting counts the records of a batch of the accounting log, and reports whether
// all of them are from before an instant and none is beyond a position.
func oldAccounting(batch uint64, records []byte, before time.Time, upTo accounting.Position) (n int64, old bool, err error) {
	old = batch <= upTo.Batch
	err = store.Records(records, func(index uint32, record []byte) error {
		at, _, err := store.ParseAccounting(record)
		n++
		old = old && at.Before(before) && (batch < upTo.Batch || index <= upTo.Index)
		return err
	})
	return n, old, err
}
