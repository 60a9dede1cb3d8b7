package embedded

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"

	"countersign/tms/store/tables"
)

// Copied is a store as it is copied, or copied to (tables.Copy). No process has it open
// meanwhile. It is a tables.CopyStore.
type Copied struct {
	options Options
	lock    *os.File
	records *conn
	history *conn // nil when there is none that can be used
}

// OpenSource opens a store that is to be copied. A server that was killed may have left in
// the log what is not yet where it belongs: then the store is opened and closed first, as
// a start and a stop do. Nothing else is written. An error wraps ErrLocked when another
// process has the store open, and seal.ErrOpen when none of the KEKs fits.
func OpenSource(ctx context.Context, o Options) (*Copied, error) {
	c, err := openSource(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("opening token store %q to copy it: %w", o.Path, err)
	}
	return c, nil
}

func openSource(ctx context.Context, o Options) (*Copied, error) {
	if _, err := os.Stat(o.Path); err != nil {
		return nil, err
	}
	c := &Copied{options: o}
	whole, err := c.openSource()
	if err != nil || whole {
		return c, c.unless(err)
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	o.Logger.Info("the store was not closed well: it is opened and closed first", "path", o.Path)
	o.Registerer, o.CacheUsers = nil, 1
	s, err := Open(ctx, o)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	if whole, err = c.openSource(); err == nil && !whole {
		err = errors.New("it was closed, and still not all is where it belongs: is the disk full?")
	}
	return c, c.unless(err)
}

// unless closes what is open if there is an error.
func (c *Copied) unless(err error) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, c.Close())
}

// openSource opens the files for reading. It reports whether all of the journal is where
// it belongs.
func (c *Copied) openSource() (whole bool, err error) {
	path := c.options.Path
	if c.lock, err = lockFile(path); err != nil {
		return false, err
	}
	if err := refuseRestoring(path); err != nil {
		return false, err
	}
	still := fileSize(path+"-wal") == 0
	if c.records, err = openForReading(path); err != nil {
		return false, err
	}
	version, used, err := (&database{writer: c.records}).recognize()
	switch {
	case err != nil:
		return false, err
	case !used:
		return false, errors.New("it is empty")
	case version != schemaVersion:
		return false, fmt.Errorf("it is of format %d, and is to be of format %d: start this Countersign with it once, which turns it, or make a backup and restore that", version, schemaVersion)
	}
	if err := tables.VerifyKeys(c.records, dialect, c.options.KEKs, c.options.Rand); err != nil {
		return false, err
	}
	whole, err = c.whole()
	if err == nil && whole {
		err = c.findHistory()
	}
	return whole && still, err
}

// openForReading opens a file that nobody changes, without leaving anything beside it.
func openForReading(path string) (*conn, error) {
	parameters := "mode=ro"
	if fileSize(path+"-wal") == 0 {
		parameters = "immutable=1"
	}
	return openURI(path, parameters, busyTimeout)
}

// whole reports whether a fold has reached all of the journal.
func (c *Copied) whole() (bool, error) {
	folded, err := c.records.Number(readMeta, tables.MetaFolded)
	if err != nil {
		return false, err
	}
	last, err := c.records.Number("SELECT max(batch) FROM journal")
	return folded >= last, err
}

// findHistory opens the history for reading, if it is that of the store.
func (c *Copied) findHistory() error {
	path := historyPath(c.options.Path)
	if fileSize(path) == 0 {
		return nil
	}
	h, err := openForReading(path)
	if err != nil {
		return err
	}
	ours, err := c.owns(h)
	if err != nil || !ours {
		return errors.Join(err, h.close())
	}
	c.history = h
	return nil
}

// owns reports whether a history is that of the store, and of this version.
func (c *Copied) owns(h *conn) (bool, error) {
	id, err := h.Number("PRAGMA application_id")
	if err != nil {
		return false, err
	}
	version, err := h.Number("PRAGMA user_version")
	if err != nil || id != historyID || version != historyVersion {
		return false, err
	}
	var of, store []byte
	if err := h.Query(readMeta, func(r tables.Row) error { of = r.Blob(0); return nil }, metaOf); err != nil {
		return false, err
	}
	err = c.records.Query(readMeta, func(r tables.Row) error { store = r.Blob(0); return nil }, tables.MetaStore)
	return bytes.Equal(of, store), err
}

// OpenTarget opens a place where a copy is to be made, or one was begun. An error wraps
// ErrLocked when another process has it open.
func OpenTarget(_ context.Context, o Options) (*Copied, error) {
	c := &Copied{options: o}
	if err := c.unless(c.openTarget()); err != nil {
		return nil, fmt.Errorf("opening token store %q to copy another to it: %w", o.Path, err)
	}
	return c, nil
}

// targetPragmas are those of the connections that write a copy.
var targetPragmas = []string{busyTimeout, "synchronous(FULL)", "wal_autocheckpoint(4000)", "cache_size(-64000)", "temp_store(MEMORY)"}

func (c *Copied) openTarget() (err error) {
	path := c.options.Path
	if c.lock, err = lockFile(path); err != nil {
		return err
	}
	if err := errors.Join(refuseRestoring(path), createFile(path)); err != nil {
		return err
	}
	if c.records, err = openConn(path, targetPragmas...); err != nil {
		return err
	}
	db := &database{writer: c.records}
	if err := db.prepareSchema(); err != nil {
		return err
	}
	version, err := c.records.Number("PRAGMA user_version")
	if err == nil && version != schemaVersion {
		err = fmt.Errorf("there is a store of format %d: move it elsewhere", version)
	}
	if err != nil {
		return err
	}
	return c.openTargetHistory()
}

// openTargetHistory opens the file beside it, or makes it.
func (c *Copied) openTargetHistory() (err error) {
	path := historyPath(c.options.Path)
	if err := createFile(path); err != nil {
		return err
	}
	if c.history, err = openConn(path, targetPragmas...); err != nil {
		return err
	}
	tables, err := c.history.Number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	if tables == 0 {
		if err := c.history.script("PRAGMA journal_mode(WAL)"); err != nil {
			return err
		}
		return c.history.script(fmt.Sprintf("BEGIN; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", historySchema, historyID, historyVersion))
	}
	id, err := c.history.Number("PRAGMA application_id")
	if err != nil {
		return err
	}
	version, err := c.history.Number("PRAGMA user_version")
	if err == nil && (id != historyID || version != historyVersion) {
		err = fmt.Errorf("%q is of another format: move it elsewhere", path)
	}
	return err
}

// Close lets go of the files.
func (c *Copied) Close() error {
	var errs []error
	for _, conn := range []*conn{c.history, c.records} {
		if conn != nil {
			errs = append(errs, conn.close())
		}
	}
	if c.lock != nil {
		errs = append(errs, c.lock.Close())
	}
	c.history, c.records, c.lock = nil, nil, nil
	return errors.Join(errs...)
}

// String is the path of the file.
func (c *Copied) String() string { return c.options.Path }

// Has implements tables.CopyStore.
func (c *Copied) Has(part tables.CopyPart) bool { return c.of(part) != nil }

func (c *Copied) of(part tables.CopyPart) *conn {
	if part == tables.HistoryPart {
		return c.history
	}
	return c.records
}

// Dialect implements tables.CopyStore.
func (c *Copied) Dialect(tables.CopyPart) tables.Dialect { return dialect }

// Read implements tables.CopyStore.
func (c *Copied) Read(part tables.CopyPart, run func(tables.Conn) error) error {
	return run(c.of(part))
}

// Write implements tables.CopyStore.
func (c *Copied) Write(part tables.CopyPart, run func(tables.Conn) error) error {
	w := c.of(part)
	return w.transaction(func() error { return run(w) })
}

// Keeps implements tables.CopyStore.
func (c *Copied) Keeps(meta string) bool { return meta == tables.MetaFolded || meta == metaOf }

// Empty implements tables.CopyStore.
func (c *Copied) Empty(table string) string { return `DELETE FROM "` + table + `"` }

// Derive implements tables.CopyStore: there are no more columns.
func (c *Copied) Derive(tables.Conn, string) ([]string, func([]driver.Value) ([]driver.Value, error), error) {
	return nil, nil, nil
}

// Complete implements tables.CopyStore. The history is there before the store can be
// opened.
func (c *Copied) Complete(w tables.Conn, end tables.CopyEnd) error {
	err := c.history.transaction(func() error { return c.history.Exec(writeMeta, metaOf, end.Store) })
	if err != nil {
		return err
	}
	return w.Exec(writeMeta, tables.MetaFolded, end.Batch)
}
