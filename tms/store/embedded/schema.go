package embedded

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"countersign/tms/store/tables"
)

// applicationID marks the file as ours; file(1) and SQLite know the place.
const applicationID = 0x43745369 // "CtSi"

// schemaVersion is of what schema makes. A change of the tables raises it, and
// brings along what turns a file of the version before into it.
const schemaVersion = 5

// The tables. Instants are Unix seconds; type and algorithm are the numbers of
// otp.TokenType and oath.Algorithm; pin and seed are sealed; state is what
// store.AppendState makes; records is a batch of package store. The ids of users
// and tokens are handed out by the store (meta: users, tokens) and never used
// again, because the journal refers to tokens by id.
const schema = firstSchema + ruleSchema + enrolmentSchema + migrationSchema + auditSchema

// firstSchema is version 1.
const firstSchema = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value ANY NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE user (
	id       INTEGER PRIMARY KEY,
	name     TEXT NOT NULL UNIQUE,
	pin      BLOB,
	disabled INTEGER NOT NULL,
	created  INTEGER NOT NULL
) STRICT;
CREATE TABLE token (
	id        INTEGER PRIMARY KEY,
	serial    TEXT NOT NULL UNIQUE,
	user_id   INTEGER,
	type      INTEGER NOT NULL,
	algorithm INTEGER NOT NULL,
	digits    INTEGER NOT NULL,
	period    INTEGER NOT NULL,
	t0        INTEGER NOT NULL,
	seed      BLOB NOT NULL,
	disabled  INTEGER NOT NULL,
	created   INTEGER NOT NULL
) STRICT;
CREATE INDEX token_of_user ON token (user_id);
CREATE TABLE state (
	token_id INTEGER PRIMARY KEY,
	rev      INTEGER NOT NULL,
	state    BLOB NOT NULL
) STRICT;
CREATE TABLE journal (
	batch   INTEGER PRIMARY KEY,
	records BLOB NOT NULL
) STRICT;
CREATE TABLE nas_seen (
	nas TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;
`

// ruleSchema is what version 2 added. A row of rule never changes, but for to_rev:
// the rule was there from revision from_rev on and up to the one before to_rev,
// which is NULL while it is there. So every revision can be listed again. The
// rules of the configuration have an order, which table rule_order has for each
// revision that changed them: a JSON array of ids. Column text is an
// exclusions.Rule in JSON. Ids are handed out like those of users (meta: rules).
// Table rule_use counts the logins that a rule decided in the batches up to batch.
const ruleSchema = `
CREATE TABLE rule (
	id       INTEGER PRIMARY KEY,
	name     TEXT NOT NULL,
	file     INTEGER NOT NULL,
	from_rev INTEGER NOT NULL,
	to_rev   INTEGER,
	added    INTEGER NOT NULL,
	actor    TEXT NOT NULL,
	text     TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX rule_present ON rule (name) WHERE to_rev IS NULL;
CREATE INDEX rule_added ON rule (to_rev, from_rev) WHERE file = 0;
CREATE TABLE rule_order (
	rev INTEGER PRIMARY KEY,
	ids TEXT NOT NULL
) STRICT;
CREATE TABLE rule_use (
	id    INTEGER PRIMARY KEY,
	batch INTEGER NOT NULL,
	count INTEGER NOT NULL,
	last  INTEGER NOT NULL
) STRICT;
`

// enrolmentSchema is what version 3 added. Instants that are 0 are none. What is
// sealed of invitations and mails is all that package store encodes; the other
// columns are there to find it. Table opener has the hashes of the links and of the
// Activation Key that open an invitation. Of a user who has an invitation there need
// be no row in table user. Column enrolled of a token has flags: 1 enrolled, 2 local,
// 4 lost, 8 revoked (tms.Token), and 16 learned (otp.Token) since version 4. Ids of
// mails are handed out like those of users (meta: mails).
const enrolmentSchema = `
ALTER TABLE token ADD COLUMN codes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN valid_from INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN valid_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE token ADD COLUMN enrolled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE user ADD COLUMN unentitled INTEGER NOT NULL DEFAULT 0;
CREATE TABLE invitation (
	id     INTEGER PRIMARY KEY,
	name   TEXT NOT NULL UNIQUE,
	sealed BLOB NOT NULL
) STRICT;
CREATE TABLE opener (
	hash          BLOB PRIMARY KEY,
	invitation_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX opener_of_invitation ON opener (invitation_id);
CREATE TABLE mail (
	id     INTEGER PRIMARY KEY,
	name   TEXT NOT NULL,
	due    INTEGER NOT NULL,
	sealed BLOB NOT NULL
) STRICT;
CREATE INDEX mail_due ON mail (due, id);
`

// migrationSchema is what version 4 added, for users who come from a TMS. Column home
// is the number of otp.Home. Table tms_seen says when the TMS last accepted a login of
// a user, who need not be in table user. The index finds what Filter.Learnable chooses,
// which has to be written as here.
const migrationSchema = `
ALTER TABLE user ADD COLUMN home INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tms_seen (
	name TEXT PRIMARY KEY,
	last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_learnable ON token (serial) WHERE ` + tables.Learnable + `;
`

// auditSchema is what version 5 added. Column chain of the journal is the hash of a
// batch (audit.Link); batches of before have none, but for the last of them. Table
// checkpoint has the fields of audit.Checkpoint. Table accounting is the log of what
// NASes report: batches of package store too, with numbers of their own, which are 1, 2,
// 3 and so on; no number is used again, nor are those of the journal. Table note keeps
// what other parts of the server ask it to. The index finds the few tokens that were
// shown wrong codes, or are locked.
const auditSchema = `
ALTER TABLE journal ADD COLUMN chain BLOB;
CREATE TABLE checkpoint (
	batch     INTEGER PRIMARY KEY,
	at        INTEGER NOT NULL,
	chain     BLOB NOT NULL,
	signature BLOB NOT NULL
) STRICT;
CREATE TABLE accounting (
	batch   INTEGER PRIMARY KEY,
	records BLOB NOT NULL
) STRICT;
CREATE TABLE note (
	kind  TEXT NOT NULL,
	name  TEXT NOT NULL,
	value BLOB NOT NULL,
	PRIMARY KEY (kind, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX state_failing ON state (state) WHERE ` + failing + `;
`

// failing is met by the states of tokens with failures or a lock: flags 4 and 8 of the
// first byte (package store). The first comparison alone decides about nearly all. It is
// part of version 5, so it stays.
const failing = "(state >= x'04' AND substr(hex(substr(state, 1, 1)), 2) >= '4')"

// Statements on table meta.
const (
	readMeta  = "SELECT value FROM meta WHERE name = ?"
	writeMeta = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"
)

// busyTimeout is how long in milliseconds a statement waits when an
// administrator's program holds the file.
const busyTimeout = "busy_timeout(2000)"

// writerPragmas are those of the connection that writes. Checkpoints come from
// elsewhere, so that no commit has to wait for one.
var writerPragmas = []string{busyTimeout, "synchronous(FULL)", "wal_autocheckpoint(0)", "cache_size(-8000)", "temp_store(MEMORY)"}

// readerPragmas are those of the others.
var readerPragmas = []string{busyTimeout, "synchronous(FULL)", "wal_autocheckpoint(0)", "query_only(ON)"}

// readers is how many connections read accounts and lists at the same time.
const readers = 3

// database is the open file. Recovery closes it and opens another.
type database struct {
	writer      *conn      // the committer's
	checkpoints *conn      // the checkpointer's
	readers     chan *conn // those that are free
}

// openDatabase opens a store, or makes an empty one when there is no file yet.
// Whatever is in the write-ahead log is copied and synced into the file first:
// after an I/O error, what the log seems to hold may be in memory only.
func openDatabase(path string) (*database, error) {
	if err := createFile(path); err != nil {
		return nil, err
	}
	writer, err := openConn(path, writerPragmas...)
	if err != nil {
		return nil, err
	}
	db := &database{writer: writer, readers: make(chan *conn, readers)}
	if err := db.prepare(path); err != nil {
		return nil, errors.Join(err, db.close())
	}
	return db, nil
}

func (db *database) prepare(path string) error {
	if err := db.prepareSchema(); err != nil {
		return err
	}
	if _, err := db.writer.checkpoint(truncate); err != nil {
		return err
	}
	if err := preallocate(path + "-wal"); err != nil {
		return err
	}
	var err error
	if db.checkpoints, err = openConn(path, writerPragmas...); err != nil {
		return err
	}
	for range readers {
		c, err := openConn(path, readerPragmas...)
		if err != nil {
			return err
		}
		db.readers <- c
	}
	return nil
}

// prepareSchema refuses what is not ours before it changes anything.
func (db *database) prepareSchema() error {
	_, used, err := db.recognize()
	if err != nil {
		return err
	}
	mode := ""
	if err := db.writer.Query("PRAGMA journal_mode(WAL)", func(r tables.Row) error { mode = r.Text(0); return nil }); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("the file system of this folder does not allow a write-ahead log (journal mode %q): choose a folder on a local disk", mode)
	}
	if used {
		return nil
	}
	return db.writer.script(fmt.Sprintf("BEGIN; %s; PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", schema, applicationID, schemaVersion))
}

// recognize reads the version of a file, and whether there are tables in it. What
// is not ours is an error.
func (db *database) recognize() (version int64, used bool, err error) {
	id, err := db.writer.Number("PRAGMA application_id")
	if err != nil {
		return 0, false, err
	}
	if version, err = db.writer.Number("PRAGMA user_version"); err != nil {
		return 0, false, err
	}
	tables, err := db.writer.Number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return 0, false, err
	}
	return version, tables > 0, refuseForeign(id, version, tables > 0)
}

// refuseForeign refuses a file by its marks.
func refuseForeign(id, version int64, used bool) error {
	switch {
	case used && id != applicationID:
		return errors.New("this is a database of another program")
	case used && version == 0:
		return errors.New("this is not a token store, or a damaged one: restore a backup")
	case version > schemaVersion:
		return fmt.Errorf("a newer Countersign made it (format %d, this one knows %d): run that one, or restore a backup made by this one", version, schemaVersion)
	}
	return nil
}

func (db *database) close() error {
	var errs []error
	for len(db.readers) > 0 {
		errs = append(errs, (<-db.readers).close())
	}
	for _, c := range []*conn{db.checkpoints, db.writer} {
		if c != nil {
			errs = append(errs, c.close())
		}
	}
	return errors.Join(errs...)
}

// createFile makes an empty file that only its owner can read, if there is none.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), syncDirectory(filepath.Dir(path)))
}

// syncDirectory makes the names in a directory durable.
func syncDirectory(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
