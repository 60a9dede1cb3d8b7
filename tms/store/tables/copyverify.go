package tables

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash"
	"sync"

	"countersign/tms/audit"
)

// verify holds the copy against the source, and verifies its audit log.
func (c *copier) verify(ctx context.Context) error {
	for t := range c.tables() {
		same, err := c.compareTable(ctx, t)
		if err != nil {
			return fmt.Errorf("verifying table %s: %w", t.name, err)
		}
		c.report.Tables = append(c.report.Tables, same)
	}
	if err := c.compareMeta(); err != nil {
		return err
	}
	return c.verifyAudit(ctx)
}

// compareTable compares the rows of a table in both stores, which are read at the same
// time.
func (c *copier) compareTable(ctx context.Context, t *copiedTable) (ours CopiedTable, err error) {
	total, err := countRows(c.from, t)
	if err != nil {
		return ours, err
	}
	var theirs CopiedTable
	var failed error
	var source sync.WaitGroup
	source.Go(func() { theirs, failed = sumTable(ctx, c.from, t, func(int64) {}) })
	ours, err = sumTable(ctx, c.to, t, func(rows int64) { c.Progress("verifying "+t.name, rows, total) })
	source.Wait()
	switch {
	case failed != nil:
		return ours, fmt.Errorf("reading %s: %w", c.from, failed)
	case err != nil:
		return ours, fmt.Errorf("reading %s: %w", c.to, err)
	case ours.Rows != theirs.Rows:
		return ours, fmt.Errorf("%d rows, and %d in the source: %w", ours.Rows, theirs.Rows, ErrCopyDiffers)
	case ours.Sum != theirs.Sum:
		return ours, ErrCopyDiffers
	}
	return ours, nil
}

// sumTable counts the rows of a table and sums them up.
func sumTable(ctx context.Context, s CopyStore, t *copiedTable, progress func(rows int64)) (CopiedTable, error) {
	sum := copySum{hash: sha256.New()}
	r := copyReader{copiedTable: t, store: s, most: copyRows}
	for {
		progress(r.rows)
		n, err := r.page(ctx, sum.add)
		if err != nil {
			return CopiedTable{}, err
		}
		if n == 0 {
			done := CopiedTable{Name: t.name, Rows: r.rows}
			sum.hash.Sum(done.Sum[:0])
			return done, nil
		}
	}
}

// copySum sums rows up: of each value a byte that says what it is, then a number, or the
// length of the bytes that follow, in 8 bytes, little endian.
type copySum struct {
	hash hash.Hash
	buf  []byte
}

func (s *copySum) add(values []driver.Value) error {
	b := s.buf[:0]
	for _, v := range values {
		switch v := v.(type) {
		case nil:
			b = append(b, 0)
		case int64:
			b = binary.LittleEndian.AppendUint64(append(b, 1), uint64(v))
		case string:
			b = append(binary.LittleEndian.AppendUint64(append(b, 2), uint64(len(v))), v...)
		case []byte:
			b = append(binary.LittleEndian.AppendUint64(append(b, 3), uint64(len(v))), v...)
		}
	}
	s.buf = b
	_, err := s.hash.Write(b)
	return err
}

// verifyAudit verifies the audit log of the copy by the key of the source.
func (c *copier) verifyAudit(ctx context.Context) error {
	key, err := logOf(c.from).AuditKey(ctx)
	if err != nil {
		return err
	}
	last := c.report.End.Batch
	r, err := audit.Verify(ctx, logOf(c.to), audit.VerifyOptions{Key: key, Format: c.Format, Progress: func(batch uint64) {
		if batch%1024 == 0 {
			c.Progress("verifying the audit log", int64(batch), last)
		}
	}})
	if err != nil {
		return fmt.Errorf("verifying the audit log: %w", err)
	}
	c.report.Audit = r
	if r.Batches > 0 && string(r.Chain[:]) != string(c.report.End.Chain) {
		return fmt.Errorf("the hash of the last batch: %w", ErrCopyDiffers)
	}
	if !r.OK() && !c.Faults {
		return fmt.Errorf("%w: %s", ErrAuditFaults, r.Faults[0].Text)
	}
	return nil
}

// logOf is the audit log of a store.
func logOf(s CopyStore) audit.Log {
	return NewChainLog(s.String(), s.Dialect(RecordsPart), func(run func(Conn) error) error { return s.Read(RecordsPart, run) })
}
