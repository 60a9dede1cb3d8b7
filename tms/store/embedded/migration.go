package embedded

import (
	"errors"
	"fmt"

	"countersign/tms/audit"
	"countersign/tms/store/tables"
)

// Format is the version of the files that this package makes. Open turns a file
// of a lower one into it.
const Format = schemaVersion

// migrations turn a file of one version into one of the next.
var migrations = [schemaVersion]string{
	1: ruleSchema,
	2: enrolmentSchema,
	3: migrationSchema,
	4: auditSchema,
}

// chainedVersion is the first that has a chain.
const chainedVersion = 5

// migrate brings an older file up to schemaVersion, in one transaction. It comes
// after everything that may keep the file from being opened, so that a file which
// cannot be opened stays one that the older Countersign can open.
func (s *Store) migrate() error {
	version, err := s.db.writer.Number("PRAGMA user_version")
	if err != nil || version == schemaVersion {
		return err
	}
	err = s.transaction(func(w *conn) error { return bringUp(w, version) })
	if err != nil {
		return fmt.Errorf("turning format %d into format %d: %w", version, schemaVersion, err)
	}
	s.options.Logger.Warn("the token store was turned into the format of this Countersign; older ones cannot open it any more",
		"path", s.options.Path, "from", version, "to", schemaVersion)
	return nil
}

// bringUp brings the tables of a version up to schemaVersion.
func bringUp(w *conn, version int64) error {
	for _, step := range migrations[version:] {
		if err := w.script(step); err != nil {
			return err
		}
	}
	if version < chainedVersion {
		if err := chainOld(w); err != nil {
			return err
		}
	}
	return w.script(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
}

// chainOld begins the chain of a journal that had none: the last batch gets the hash
// that covers all of them, so that the next is chained to it.
func chainOld(w *conn) error {
	var head audit.Hash
	last := int64(0)
	err := w.Query("SELECT batch, records FROM journal ORDER BY batch", func(r tables.Row) error {
		last = r.Integer(0)
		head = audit.Link(head, uint64(last), r.Blob(1))
		return nil
	})
	if err != nil {
		return fmt.Errorf("chaining the journal after batch %d: %w", last, err)
	}
	return w.Exec("UPDATE journal SET chain = ? WHERE batch = ?", head[:], last)
}

// OldFormat returns the format of a store's file when it is one that Open would
// turn into Format, and 0 when there is nothing to turn. The file stays as it is,
// and another process may have it open. What would keep Open from turning the
// file, such as keys that do not fit, is an error.
func OldFormat(o Options) (int, error) {
	format, err := oldFormat(o)
	if err != nil {
		return 0, fmt.Errorf("looking at token store %q: %w", o.Path, err)
	}
	return format, nil
}

func oldFormat(o Options) (format int, err error) {
	c, err := openConn(o.Path, readerPragmas...)
	if err != nil {
		return 0, err
	}
	db := &database{writer: c}
	defer func() { err = errors.Join(err, db.close()) }()
	version, _, err := db.recognize()
	if err != nil || version == 0 || version == schemaVersion {
		return 0, err
	}
	return int(version), (&Store{options: o, db: db}).openKeyring()
}
