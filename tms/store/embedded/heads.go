package embedded

import (
	"fmt"

	"countersign/tms"
	"countersign/tms/audit"
)

// heads are where the journal and the accounting log go on, as the transaction that is
// open leaves them.
type heads struct {
	lastBatch      uint64           // of the journal
	chain          audit.Hash       // of that batch
	signed         audit.Checkpoint // the newest
	lastAccounting uint64           // batch of the accounting log
	untold         int              // records in the journal that the history was not told of
}

// findHeads reads the heads from disk.
func (s *Store) findHeads() error {
	w, h := s.db.writer, heads{}
	err := w.query("SELECT batch, chain FROM journal ORDER BY batch DESC LIMIT 1", func(r row) error {
		h.lastBatch = uint64(r.integer(0))
		if n := copy(h.chain[:], r.blob(1)); n < len(h.chain) {
			return fmt.Errorf("batch %d, the last of the journal, has a hash of %d bytes: restore a backup", h.lastBatch, n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = w.query(lastSigned, func(r row) (err error) {
		h.signed, err = readCheckpoint(r)
		return err
	})
	if err != nil {
		return err
	}
	gap, err := s.findGap(&h)
	if err != nil {
		return err
	}
	if h.lastAccounting, err = lastAccounting(w); err != nil {
		return err
	}
	s.committer.heads = h
	s.signed(h.signed)
	if gap == "" {
		return nil
	}
	return s.recordGap(gap)
}

// gapAct logs and counts that the journal is not what it was, and is the act that says so.
func (s *Store) gapAct(what string) tms.Act {
	s.options.Logger.Error("the audit log is not what it was: its end may have been cut off, or an older file put in the place of the token store, or somebody has made anew what was signed; if nobody meant to, compare it with exports and syslog",
		"path", s.options.Path, "reason", what)
	s.metrics.gaps.Inc()
	return tms.Act{At: s.options.Clock(), Actor: "server", Verb: "audit.gap", Object: "journal", Detail: what}
}

// lastAccounting is the highest number a batch of the accounting log ever had.
func lastAccounting(c *conn) (uint64, error) {
	last, err := c.number("SELECT max(batch) FROM accounting")
	if err != nil {
		return 0, err
	}
	forgot, err := c.number(readMeta, metaForgot)
	return uint64(max(last, forgot)), err
}
