-- The tables of version 1, as released. Never edit this.
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
