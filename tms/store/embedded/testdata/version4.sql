-- The tables of version 4, as released. Never edit this.
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
ALTER TABLE user ADD COLUMN home INTEGER NOT NULL DEFAULT 0;
CREATE TABLE tms_seen (
	name TEXT PRIMARY KEY,
	last INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_learnable ON token (serial) WHERE (user_id IS NULL AND disabled = 0 OR (enrolled & 16) <> 0);
