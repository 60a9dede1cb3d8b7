package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// Copied is a database as it is copied, or copied to (tables.Copy). No node has it open
// meanwhile. It is a tables.CopyStore for one goroutine.
type Copied struct {
	name string
	conn *conn
}

// ErrNodes says that nodes are alive which must not be.
var ErrNodes = errors.New("servers have the database open")

const (
	// copyPatience is how long a statement of a copy may take, such as to count a large
	// table, and copyWait how long it waits for somebody else.
	copyPatience = time.Hour
	copyWait     = 10 * time.Second

	// stateLocked is PostgreSQL's code of what waited in vain.
	stateLocked = "55P03"
)

// copyLock is the number of the advisory lock that one copy at a time has ("CtsCopy").
const copyLock = 0x437473436f7079

// OpenSource opens a database that is to be copied. An error wraps ErrNodes when nodes are
// alive, and seal.ErrOpen when none of the KEKs fits.
func OpenSource(ctx context.Context, o Options) (*Copied, error) {
	return openCopied(ctx, o, func(c *conn) error {
		if err := refuseNodes(c); err != nil {
			return err
		}
		return tables.VerifyKeys(c, dialect, o.KEKs, o.Rand)
	})
}

// OpenTarget opens a database to which a store is to be copied, or where that was begun.
// Migrate has made its tables. An error wraps ErrNodes when nodes are alive.
func OpenTarget(ctx context.Context, o Options) (*Copied, error) {
	return openCopied(ctx, o, refuseNodes)
}

func openCopied(ctx context.Context, o Options, look func(*conn) error) (*Copied, error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	d, err := openDatabase(&o)
	if err != nil {
		return nil, err
	}
	config := d.config()
	for _, setting := range []string{"statement_timeout", "idle_in_transaction_session_timeout"} {
		config.RuntimeParams[setting] = "0"
	}
	config.RuntimeParams["lock_timeout"] = milliseconds(copyWait)
	raw, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, failing("opening", d, err)
	}
	c := &Copied{d.String(), newConn(raw.PgConn())}
	c.conn.ctx, c.conn.patience = ctx, copyPatience
	raw.PgConn().CustomData()[connKey] = c.conn
	if err := c.prepare(&o, look); err != nil {
		return nil, errors.Join(fmt.Errorf("opening token store %s to copy: %w", d, err), c.Close())
	}
	return c, nil
}

// prepare verifies that the database is one to be copied, or copied to, and has it for
// this copy alone.
func (c *Copied) prepare(o *Options, look func(*conn) error) error {
	if err := refuseVersion(c.conn, o); err != nil {
		return err
	}
	version, err := readVersion(c.conn)
	if err == nil && version != schemaVersion {
		err = newer(c.conn, o, version) // it may have what a copy would leave behind
	}
	if err != nil {
		return err
	}
	// The server may take a while to notice that the copy before this one has ended.
	err = c.conn.Query("SELECT pg_advisory_lock(?)", func(tables.Row) error { return nil }, int64(copyLock))
	switch {
	case sqlState(err) == stateLocked:
		return errors.New("another copy from it or to it is under way")
	case err != nil:
		return err
	}
	return look(c.conn)
}

// refuseNodes refuses a database that nodes have open.
func refuseNodes(c *conn) error {
	nodes, err := livingNodes(c)
	if err != nil || len(nodes) == 0 {
		return err
	}
	names := make([]string, len(nodes))
	for i := range nodes {
		names[i] = nodes[i].Name
	}
	return fmt.Errorf("%w: stop these first: %s (one that was killed counts as stopped after %v)", ErrNodes, strings.Join(names, ", "), deadTime)
}

// Close ends the connection, and with it the lock.
func (c *Copied) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), roundTripTime)
	defer cancel()
	return c.conn.raw.Close(ctx)
}

// String names the database.
func (c *Copied) String() string { return c.name }

// Has implements tables.CopyStore.
func (c *Copied) Has(tables.CopyPart) bool { return true }

// Dialect implements tables.CopyStore.
func (c *Copied) Dialect(tables.CopyPart) tables.Dialect { return dialect }

// Read implements tables.CopyStore.
func (c *Copied) Read(_ tables.CopyPart, run func(tables.Conn) error) error { return run(c.conn) }

// Write implements tables.CopyStore.
func (c *Copied) Write(_ tables.CopyPart, run func(tables.Conn) error) error {
	if err := c.conn.Exec("BEGIN"); err != nil {
		return err
	}
	err := run(c.conn)
	if err == nil {
		err = c.conn.Exec("COMMIT")
	}
	if err == nil {
		err = c.conn.flush()
	}
	if err == nil && c.conn.undurable {
		return errUndurable
	}
	if err == nil {
		return nil
	}
	c.conn.forget()
	return errors.Join(err, c.rollBack())
}

func (c *Copied) rollBack() error {
	if c.conn.raw.IsClosed() {
		return nil
	}
	if err := c.conn.Exec("ROLLBACK"); err != nil {
		return err
	}
	return c.conn.flush()
}

// Keeps implements tables.CopyStore. Nothing is sealed under a key that is only offered.
func (c *Copied) Keeps(meta string) bool {
	switch meta {
	case metaMinVersion, metaMigratedBy, metaNearLock, metaLocked, metaOffered, metaTransport, metaRound, metaCurrent:
		return true
	}
	return false
}

// Empty implements tables.CopyStore.
func (c *Copied) Empty(table string) string { return `TRUNCATE "` + table + `"` }

// Derive implements tables.CopyStore: a batch of a log tells how many records there are up
// to its end.
func (c *Copied) Derive(w tables.Conn, table string) ([]string, func([]driver.Value) ([]driver.Value, error), error) {
	if table != "journal" && table != "accounting" {
		return nil, nil, nil
	}
	total, err := w.Number(`SELECT total FROM "` + table + `" ORDER BY batch DESC LIMIT 1`)
	return []string{"total"}, func(row []driver.Value) ([]driver.Value, error) {
		records, _ := row[1].([]byte)
		// What is damaged is copied as it is: the verification tells.
		_ = store.Records(records, func(uint32, []byte) error { total++; return nil })
		return append(row, total), nil
	}, err
}

// Complete implements tables.CopyStore: the logs go on from here.
func (c *Copied) Complete(w tables.Conn, end tables.CopyEnd) error {
	for _, log := range []struct {
		id     int64
		table  string
		number int64
		chain  []byte
	}{{1, "journal", end.Batch, end.Chain}, {2, "accounting", end.Accounting, []byte{}}} {
		if log.chain == nil {
			log.chain = make([]byte, 32)
		}
		total, err := w.Number(`SELECT total FROM "` + log.table + `" ORDER BY batch DESC LIMIT 1`)
		if err != nil {
			return err
		}
		if err := w.Exec("UPDATE head SET number = ?, chain = ?, total = ? WHERE id = ?", log.number, log.chain, total, log.id); err != nil {
			return err
		}
	}
	return w.Query(goOnWithIDs, func(tables.Row) error { return nil })
}

// goOnWithIDs has the database give new invitations ids that none has.
const goOnWithIDs = `SELECT setval(s, (SELECT coalesce(max(id), 0) + 1 FROM invitation), false)
	FROM (SELECT pg_get_serial_sequence('invitation', 'id') AS s) AS sequence WHERE s IS NOT NULL`
