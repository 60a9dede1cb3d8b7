package embedded

import (
	"errors"
	"fmt"
)

// Format is the version of the files that this package makes. Open turns a file
// of a lower one into it.
const Format = schemaVersion

// migrations turn a file of one version into one of the next.
var migrations = [schemaVersion]string{
	1: ruleSchema,
	2: enrolmentSchema,
	3: migrationSchema,
}

// migrate brings an older file up to schemaVersion, in one transaction. It comes
// after everything that may keep the file from being opened, so that a file which
// cannot be opened stays one that the older Countersign can open.
func (s *Store) migrate() error {
	version, err := s.db.writer.number("PRAGMA user_version")
	if err != nil || version == schemaVersion {
		return err
	}
	script := "BEGIN IMMEDIATE; "
	for _, step := range migrations[version:] {
		script += step
	}
	script += fmt.Sprintf("PRAGMA user_version = %d; COMMIT", schemaVersion)
	if err := s.db.writer.script(script); err != nil {
		return fmt.Errorf("turning format %d into format %d: %w", version, schemaVersion, err)
	}
	s.options.Logger.Warn("the token store was turned into the format of this Countersign; older ones cannot open it any more",
		"path", s.options.Path, "from", version, "to", schemaVersion)
	return nil
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
