package postgres

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"countersign/tms/store/tables"
)

// The tables are made by statements in files, each of which is a version: 00001 the first. A
// version only adds to the one before, so that the program of the version before works on
// with the tables while the nodes are brought up to date one after the other; where that is
// not possible, the file raises min_version in table meta.
//
//go:embed migrations/*.sql
var migrations embed.FS

// schemaVersion is the newest version that this program knows: the number of files.
var schemaVersion = func() int64 {
	files, _ := fs.Glob(migrations, "migrations/*.sql")
	return int64(len(files))
}()

const (
	// migrationTable has which versions are there.
	migrationTable = "migration"
	// migrationLock keeps programs that migrate the same database apart, by a lock of the
	// database.
	migrationLock = 0x43745369_01
	// migrationTime is how long a migration may take, and migrationWait how long logins may
	// wait because it waits for somebody else.
	migrationTime = time.Hour
	migrationWait = 2 * time.Second
)

// The names in table meta that belong to this package; others are those of tables.
const (
	metaMinVersion = "min_version" // the lowest schemaVersion of a program that may work with the tables
	metaMigratedBy = "migrated_by" // the version of the program that migrated last
)

// Migrate makes the tables, or brings those of an older version up to this one, while nodes
// of the version before work. It returns the version of the tables before, 0 for none, and
// after. Other programs may do it at the same time.
func Migrate(ctx context.Context, o Options) (from, to int64, err error) {
	d, err := openDatabase(&o)
	if err == nil {
		from, to, err = d.migrate(ctx, &o)
	}
	if err != nil {
		return from, to, failing("migrating", d, err)
	}
	return from, to, nil
}

func (d *database) migrate(ctx context.Context, o *Options) (from, to int64, err error) {
	config := d.config()
	config.RuntimeParams["statement_timeout"] = milliseconds(migrationTime)
	config.RuntimeParams["lock_timeout"] = milliseconds(migrationWait)
	err = d.with(ctx, config, func(c *conn) (err error) {
		if err = refuseEncoding(c); err == nil {
			from, err = readVersion(c)
		}
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	if from == 0 {
		if err := d.with(ctx, config, refuseForeign); err != nil {
			return 0, 0, err
		}
	}
	if from > schemaVersion {
		return from, from, d.with(ctx, config, func(c *conn) error { return newer(c, o, from) })
	}
	if err := d.up(ctx, config); err != nil {
		return from, from, err
	}
	return from, schemaVersion, d.with(ctx, config, func(c *conn) error {
		return errors.Join(c.Exec(writeBytes, metaMigratedBy, []byte(o.Version)), c.flush())
	})
}

// refuseForeign refuses a database that has tables and none of ours. Another process may
// just be making ours.
func refuseForeign(c *conn) error {
	foreign, err := c.Number("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()")
	if err != nil || foreign == 0 {
		return err
	}
	ours, err := c.Number("SELECT count(*) FROM pg_tables WHERE schemaname = current_schema() AND tablename = ?", migrationTable)
	if err == nil && ours == 0 {
		err = fmt.Errorf("the database has %d tables of another program: make one for this program alone", foreign)
	}
	return err
}

// up applies the versions that are missing, each in a transaction.
func (d *database) up(ctx context.Context, config *pgx.ConnConfig) error {
	db := stdlib.OpenDB(*config)
	defer db.Close()
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	locker, err := lock.NewPostgresSessionLocker(lock.WithLockID(migrationLock), lock.WithLockTimeout(1, 120))
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files, goose.WithTableName(migrationTable),
		goose.WithSessionLocker(locker), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	if _, err = provider.Up(ctx); sqlState(err) == stateForbidden {
		return fmt.Errorf("user %s may not make tables in database %s: ALTER DATABASE %[2]s OWNER TO %[1]s: %[3]w", config.User, config.Database, err)
	}
	return err
}

// with connects, and runs something on the connection.
func (d *database) with(ctx context.Context, config *pgx.ConnConfig, run func(*conn) error) error {
	raw, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return d.explain(err)
	}
	defer raw.Close(context.WithoutCancel(ctx))
	c := newConn(raw.PgConn())
	c.ctx = ctx
	return run(c)
}

// refuseEncoding refuses a database that cannot keep every name.
func refuseEncoding(c *conn) error {
	encoding := ""
	err := c.Query("SELECT current_setting('server_encoding')", func(r tables.Row) error { encoding = r.Text(0); return nil })
	if err == nil && encoding != "UTF8" {
		err = fmt.Errorf("the database has the encoding %s: make one with ENCODING 'UTF8'", encoding)
	}
	return err
}

// readVersion is the version of the tables, 0 when there are none.
func readVersion(c *conn) (version int64, err error) {
	there, err := c.Number("SELECT count(*) FROM (SELECT to_regclass('" + migrationTable + "') AS t) AS r WHERE t IS NOT NULL")
	if err != nil || there == 0 {
		return 0, err
	}
	return c.Number("SELECT max(version_id) FROM " + migrationTable + " WHERE is_applied")
}

// refuseVersion refuses tables that this program must not work with.
func refuseVersion(c *conn, o *Options) error {
	version, err := readVersion(c)
	switch {
	case err != nil:
		return err
	case version == 0:
		return errors.New("there are no tables of Countersign in this database: `countersign store migrate` makes them")
	case version < schemaVersion:
		return fmt.Errorf("its tables have version %d, and this program (%s) needs %d: run `countersign store migrate`, with which nodes of the version before go on working", version, o.Version, schemaVersion)
	case version == schemaVersion:
		return nil
	}
	lowest, err := c.Number(readNumber, metaMinVersion)
	if err != nil || lowest <= schemaVersion {
		return err
	}
	return newer(c, o, version)
}

// newer says that a newer program has changed the tables.
func newer(c *conn, o *Options, version int64) error {
	var by []byte
	if err := c.Query(readBytes, func(r tables.Row) error { by = r.Blob(0); return nil }, metaMigratedBy); err != nil {
		return err
	}
	return fmt.Errorf("its tables were brought to version %d by Countersign %s, and this program (%s) knows %d: update it to that", version, by, o.Version, schemaVersion)
}
