package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"countersign/tms/audit"
)

// CopyPart is a part of a store that an engine may keep in a database of its own.
type CopyPart int

// The parts of a store.
const (
	RecordsPart CopyPart = iota // all but
	HistoryPart                 // what is known of sessions
)

// CopyStore is a store as it is copied, or copied to: tables with no server over them,
// which nobody else changes meanwhile. One goroutine at a time uses it.
type CopyStore interface {
	// String names it in messages.
	String() string
	// Has reports whether there is a part. What is copied to has both.
	Has(CopyPart) bool
	// Dialect has the statements on table meta of a part.
	Dialect(CopyPart) Dialect
	// Read runs something on a connection that reads.
	Read(part CopyPart, run func(Conn) error) error
	// Write runs something in a transaction, which is durable when Write returns nil.
	Write(part CopyPart, run func(w Conn) error) error
	// Keeps reports whether a value in table meta is the engine's own and is not copied.
	Keeps(meta string) bool
	// Empty is the statement that removes all rows of a table.
	Empty(table string) string
	// Derive are more columns of a table that the engine wants filled, nil where there are
	// none. The function appends their values to those of a row; rows come in the order of
	// their key, beginning after all that is there.
	Derive(w Conn, table string) (columns []string, values func([]driver.Value) ([]driver.Value, error), err error)
	// Complete, in the transaction that ends a copy, makes what only this engine has.
	Complete(w Conn, end CopyEnd) error
}

// CopyEnd is how far the logs of a store go.
type CopyEnd struct {
	Store      []byte // the number by which its history knows it
	Batch      int64  // the last of the journal
	Chain      []byte // its hash
	Accounting int64  // the last batch that the accounting log ever had
}

// CopyOptions say how a store is copied. All may be left out.
type CopyOptions struct {
	// Anew begins a copy that was broken off from its beginning.
	Anew bool
	// Faults has a copy end well though the audit log has faults, if they are the source's.
	Faults bool
	// Page is how many rows are copied in one transaction at most, 5000 if it is 0.
	Page int
	// Format is how records are read, for the verification of the audit log.
	Format audit.Format
	// Progress is told how much of something is done: rows of a table, or batches.
	Progress func(what string, done, total int64)
}

// CopyReport is what came of a copy.
type CopyReport struct {
	Resumed bool // it was begun before, and gone on with
	End     CopyEnd
	Tables  []CopiedTable
	Audit   audit.Report // of the copy
}

// CopiedTable is a table that is the same in both stores.
type CopiedTable struct {
	Name string
	Rows int64
	Sum  audit.Hash // SHA-256 of its rows, in the order of their keys
}

var (
	// ErrSourceChanged says that a copy which was broken off is not of the source as it is.
	ErrSourceChanged = errors.New("what was copied until now is of another store, or of this one before it was used again")
	// ErrTargetUsed says that there is something in the place that a copy is to go to.
	ErrTargetUsed = errors.New("a copy needs an empty place")
	// ErrCopyDiffers says that what was copied is not what is in the source: somebody has
	// used one of them meanwhile, or one of them is damaged.
	ErrCopyDiffers = errors.New("the copy is not as the source is: somebody has used one of them meanwhile, or one is damaged")
	// ErrAuditFaults says that a copy is as the source is, and that the audit log of both has
	// faults.
	ErrAuditFaults = errors.New("the copy is as the source is, but their audit log has faults")
)

// copier copies one store to another.
type copier struct {
	CopyOptions
	from, to CopyStore
	report   CopyReport
}

// Copy copies all of a store to an empty one, or goes on with that where it was broken
// off, and verifies what it has made: that each table has the same rows in both stores, and
// that the audit log of the copy is right by the key of the source. Until that is so no
// server opens the copy (RefuseCopying). The source is not changed.
//
// What is sealed stays as it is, so the copy needs the key file of the source. Sessions
// that cannot be read are made again by the server, as far as the accounting log has them.
func Copy(ctx context.Context, from, to CopyStore, o CopyOptions) (CopyReport, error) {
	c := &copier{CopyOptions: o, from: from, to: to}
	if c.Page <= 0 {
		c.Page = copyRows
	}
	if c.Progress == nil {
		c.Progress = func(string, int64, int64) {}
	}
	if err := c.run(ctx); err != nil {
		return c.report, fmt.Errorf("copying %s to %s: %w", from, to, err)
	}
	return c.report, nil
}

func (c *copier) run(ctx context.Context) error {
	if err := c.begin(); err != nil {
		return err
	}
	for _, part := range []CopyPart{RecordsPart, HistoryPart} {
		if err := c.copyMeta(part); err != nil {
			return err
		}
	}
	for t := range c.tables() {
		if err := c.copyTable(ctx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	if err := c.verify(ctx); err != nil {
		return err
	}
	return c.complete()
}

// tables are those that the source has.
func (c *copier) tables() func(yield func(*copiedTable) bool) {
	return func(yield func(*copiedTable) bool) {
		for i := range copiedTables {
			if t := &copiedTables[i]; c.from.Has(t.part) && !yield(t) {
				return
			}
		}
	}
}

// copyTable copies the rows that are not in the copy. They go there in the order of their
// key, so the last one that is there tells where to go on.
func (c *copier) copyTable(ctx context.Context, t *copiedTable) error {
	total, err := countRows(c.from, t)
	if err != nil {
		return err
	}
	r := copyReader{copiedTable: t, store: c.from, most: int64(c.Page)}
	if r.rows, err = countRows(c.to, t); err != nil {
		return err
	}
	if r.after, err = lastKey(c.to, t); err != nil {
		return err
	}
	for {
		c.Progress("copying "+t.name, r.rows, total)
		n, err := c.copyPage(ctx, &r)
		if err != nil || n == 0 {
			return err
		}
	}
}

// copyPage copies the next rows of a table, in one transaction.
func (c *copier) copyPage(ctx context.Context, r *copyReader) (rows int, err error) {
	err = c.to.Write(r.part, func(w Conn) error {
		more, derive, err := c.to.Derive(w, r.name)
		if err != nil {
			return err
		}
		in := newCopyWriter(w, r.copiedTable, more, derive)
		if rows, err = r.page(ctx, in.add); err != nil {
			return err
		}
		return in.flush()
	})
	return rows, err
}

// complete ends a copy: from now on a server can open it.
func (c *copier) complete() error {
	end, err := readEnd(c.from)
	if err == nil && !end.same(&c.report.End) {
		err = fmt.Errorf("the source was used meanwhile: %w", ErrSourceChanged)
	}
	if err != nil {
		return err
	}
	return c.to.Write(RecordsPart, func(w Conn) error {
		if err := c.to.Complete(w, end); err != nil {
			return err
		}
		return w.Exec("DELETE FROM meta WHERE name = ?", metaCopying)
	})
}

// countRows counts the rows of a table.
func countRows(s CopyStore, t *copiedTable) (rows int64, err error) {
	err = s.Read(t.part, func(c Conn) (err error) {
		rows, err = c.Number(`SELECT count(*) FROM "` + t.name + `"`)
		return err
	})
	return rows, err
}

// lastKey is the highest key of a table, nil when it is empty.
func lastKey(s CopyStore, t *copiedTable) (last []driver.Value, err error) {
	key := t.key()
	columns := names(key.columns)
	err = s.Read(t.part, func(c Conn) error {
		return c.Query("SELECT "+columns+` FROM "`+t.name+`" ORDER BY `+strings.ReplaceAll(columns, ",", " DESC,")+" DESC LIMIT 1", func(r Row) (err error) {
			last, err = key.values(r)
			return err
		})
	})
	return last, err
}
