package embedded

import "countersign/tms/store/tables"

// historyID marks the file as ours, and historyVersion is of what historySchema makes. A
// file of another version is not turned into this one: it is made again.
const (
	historyID      = 0x43744869 // "CtHi"
	historyVersion = 2
)

// The tables of the history.
//
// A row of session is an accounting.Session. Its id, like every position in the
// accounting log, is one number (see number); instants are Unix nanoseconds, 0 for none;
// addresses are text, "" for none. Column who is whom a session counts for, and there
// how long it was there for certain; a session that is open has no end. What lasts
// longer than a day has an index of its own, so that who was there at an instant is
// known without going through all that began before (see sessionQuery).
//
// Table entry has which entries of the log belong to a session, by fingerprint. Table
// repeat has those that are repeats, and taken, for each batch of the log with any
// others, how many others there were up to its end, and the last of them in it.
//
// A row of segment is a piece of the journal that is indexed: up to which batch, its
// number (one after the other, from 0), how many records, from when to when they are, and
// how many each batch has (see appendCount).
// Table posting has for each segment, field and bucket (see postingID) which records in
// the segment have which values (see postings).
const historySchema = `
CREATE TABLE meta (
	name  TEXT PRIMARY KEY,
	value ANY NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
	id            INTEGER PRIMARY KEY,
	nas           TEXT NOT NULL,
	gateway       TEXT NOT NULL,
	session       TEXT NOT NULL,
	source        TEXT NOT NULL,
	nas_address   TEXT NOT NULL,
	nas_port      TEXT NOT NULL,
	user          TEXT NOT NULL,
	station       TEXT NOT NULL,
	address       TEXT NOT NULL,
	event         TEXT NOT NULL,
	login_at      INTEGER NOT NULL,
	login         TEXT NOT NULL,
	serial        TEXT NOT NULL,
	rule          TEXT NOT NULL,
	login_nas     TEXT NOT NULL,
	pool          TEXT NOT NULL,
	state         INTEGER NOT NULL,
	started       INTEGER NOT NULL,
	heard         INTEGER NOT NULL,
	last          INTEGER NOT NULL,
	ended         INTEGER NOT NULL,
	cause         INTEGER NOT NULL,
	ended_by      TEXT NOT NULL,
	begun         INTEGER NOT NULL,
	records       INTEGER NOT NULL,
	figures       INTEGER NOT NULL,
	time          INTEGER NOT NULL,
	input_octets  INTEGER NOT NULL,
	output_octets INTEGER NOT NULL,
	input_packets INTEGER NOT NULL,
	output_packets INTEGER NOT NULL,
	who   TEXT AS (iif(login <> '', login, user)) VIRTUAL,
	there INTEGER AS (CASE state WHEN 1 THEN 4611686018427387904 WHEN 2 THEN heard ELSE ended END) VIRTUAL
) STRICT;
CREATE INDEX session_key ON session (session, nas);
CREATE INDEX session_key_at ON session (session, nas, gateway);
CREATE INDEX session_who ON session (who, started);
CREATE INDEX session_nas ON session (nas, started);
CREATE INDEX session_serial ON session (serial, started) WHERE serial <> '';
CREATE INDEX session_rule ON session (rule, started) WHERE rule <> '';
CREATE INDEX session_station ON session (station, started) WHERE station <> '';
CREATE INDEX session_address ON session (address, started) WHERE address <> '';
CREATE INDEX session_started ON session (started);
CREATE INDEX session_long ON session (started) WHERE ` + tables.Lasting + `;
CREATE INDEX session_living ON session (started) WHERE ` + tables.Living + `;
CREATE INDEX session_living_of ON session (nas) WHERE ` + tables.Living + `;
CREATE INDEX session_open ON session (heard) WHERE state = 1;
CREATE INDEX session_over ON session (heard) WHERE state > 1;
CREATE TABLE entry (
	session     INTEGER,
	fingerprint BLOB,
	id          INTEGER NOT NULL,
	PRIMARY KEY (session, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE TABLE repeat (
	id INTEGER PRIMARY KEY
) STRICT;
CREATE TABLE taken (
	batch  INTEGER PRIMARY KEY,
	number INTEGER NOT NULL,
	last   INTEGER NOT NULL
) STRICT;
CREATE TABLE segment (
	first      INTEGER PRIMARY KEY,
	last       INTEGER NOT NULL,
	number     INTEGER NOT NULL,
	records    INTEGER NOT NULL,
	from_at    INTEGER NOT NULL,
	to_at      INTEGER NOT NULL,
	counts     BLOB NOT NULL
) STRICT;
CREATE TABLE posting (
	id    INTEGER PRIMARY KEY,
	lists BLOB NOT NULL
) STRICT;
`

// metaOf is the name in the history's table meta of the number of the store it belongs to.
const metaOf = "of"

var (
	historyWriterPragmas = []string{busyTimeout, "synchronous(NORMAL)", "wal_autocheckpoint(4000)", "cache_size(-16000)", "temp_store(MEMORY)"}
	historyReaderPragmas = []string{busyTimeout, "cache_size(-4000)", "temp_store(MEMORY)", "query_only(ON)"}
)
