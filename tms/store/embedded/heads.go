package embedded

import (
	"fmt"

	"countersign/tms/store/tables"
)

// heads are where the journal and the accounting log go on, as the transaction that is
// open leaves them.
type heads struct {
	tables.Head           // of the journal
	lastAccounting uint64 // batch of the accounting log
	untold         int    // records in the journal that the history was not told of
}

// findHeads reads the heads from disk.
func (s *Store) findHeads() error {
	w, h := s.db.writer, heads{}
	err := w.Query("SELECT batch, chain FROM journal ORDER BY batch DESC LIMIT 1", func(r tables.Row) error {
		h.Batch = uint64(r.Integer(0))
		if n := copy(h.Chain[:], r.Blob(1)); n < len(h.Chain) {
			return fmt.Errorf("batch %d, the last of the journal, has a hash of %d bytes: restore a backup", h.Batch, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	gap := ""
	if h.Head, gap, err = s.FindGap(w, h.Head); err != nil {
		return err
	}
	if h.lastAccounting, err = lastAccounting(w); err != nil {
		return err
	}
	s.committer.heads = h
	if gap == "" {
		return nil
	}
	err = s.RecordGap(w, gap)
	s.committer.untold = 0 // the history is told of all there is
	return err
}

// lastAccounting is the highest number a batch of the accounting log ever had.
func lastAccounting(c *conn) (uint64, error) {
	last, err := c.Number("SELECT max(batch) FROM accounting")
	if err != nil {
		return 0, err
	}
	forgot, err := c.Number(readMeta, tables.MetaForgot)
	return uint64(max(last, forgot)), err
}
