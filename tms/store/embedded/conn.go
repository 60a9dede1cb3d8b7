package embedded

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"

	"modernc.org/sqlite"

	"countersign/tms/store/tables"
)

// conn is one SQLite connection, used by one goroutine at a time. It goes
// straight to the driver: database/sql would add a lock, a goroutine and a dozen
// allocations to each statement, and hide which connection writes.
type conn struct {
	raw   driver.Conn
	stmts map[string]*stmt
}

// stmt is a prepared statement with the space for its arguments and results.
type stmt struct {
	raw  driver.Stmt
	args []driver.NamedValue
	row  tables.Row
}

// openConn opens a connection to a file and sets pragmas on it.
func openConn(path string, pragmas ...string) (*conn, error) { return openURI(path, "", pragmas...) }

// openURI is openConn with parameters of SQLite (https://sqlite.org/uri.html).
func openURI(path, parameters string, pragmas ...string) (*conn, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	file := url.URL{Scheme: "file", OmitHost: true, Path: absolute, RawQuery: parameters}
	raw, err := new(sqlite.Driver).Open(file.String())
	if err != nil {
		return nil, err
	}
	c := &conn{raw: raw, stmts: map[string]*stmt{}}
	for _, pragma := range pragmas {
		if err := c.script("PRAGMA " + pragma); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return c, nil
}

// close also finalizes the statements: SQLite keeps a file open until then.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.raw.Close())
	}
	clear(c.stmts)
	return errors.Join(append(errs, c.raw.Close())...)
}

// script runs statements that have no arguments and are needed once.
func (c *conn) script(sql string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), sql, nil)
	return err
}

// scriptContext is script for one that takes long: it stops when ctx is done.
func (c *conn) scriptContext(ctx context.Context, sql string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(ctx, sql, nil)
	return err
}

// Exec runs a statement that returns no rows. Arguments are int64, string,
// []byte, bool and nil.
func (c *conn) Exec(sql string, args ...driver.Value) error {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	_, err = s.raw.(driver.StmtExecContext).ExecContext(context.Background(), s.bind(args))
	return err
}

// Query calls each with every row of the result. The row is reused, the strings
// and bytes in it are not.
func (c *conn) Query(sql string, each func(tables.Row) error, args ...driver.Value) (err error) {
	s, err := c.prepare(sql)
	if err != nil {
		return err
	}
	rows, err := s.raw.(driver.StmtQueryContext).QueryContext(context.Background(), s.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if s.row == nil {
		s.row = make(tables.Row, len(rows.Columns()))
	}
	for {
		if err := rows.Next(s.row); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		if err := each(s.row); err != nil {
			return err
		}
	}
}

// transaction has all that run writes be written together, or nothing of it if it returns
// an error.
func (c *conn) transaction(run func() error) error {
	if err := c.Exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := run()
	if err == nil {
		err = c.Exec("COMMIT")
	}
	if err == nil {
		return nil
	}
	if rollback := c.Exec("ROLLBACK"); rollback != nil && !broken(err) {
		// The transaction may still be open: nothing written from now on would be
		// durable, so this error decides.
		return fmt.Errorf("rolling back after %q: %w", err, rollback)
	}
	return err
}

// Number is the integer in the first column of the first row, 0 if there is none.
func (c *conn) Number(sql string, args ...driver.Value) (n int64, err error) {
	err = c.Query(sql, func(r tables.Row) error {
		n = r.Integer(0)
		return nil
	}, args...)
	return n, err
}

// prepare prepares a statement once in the life of the connection.
func (c *conn) prepare(sql string) (*stmt, error) {
	if s := c.stmts[sql]; s != nil {
		return s, nil
	}
	raw, err := c.raw.Prepare(sql)
	if err != nil {
		return nil, err
	}
	s := &stmt{raw: raw}
	c.stmts[sql] = s
	return s, nil
}

func (s *stmt) bind(args []driver.Value) []driver.NamedValue {
	s.args = s.args[:0]
	for i, v := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	return s.args
}

// Result codes of SQLite (https://sqlite.org/rescode.html); the low byte is the
// primary one.
const (
	resultBusy         = 5
	resultCorrupt      = 11
	resultFull         = 13
	resultConstraint   = 19
	resultFormat       = 24
	resultNotADatabase = 26
)

// resultCode is the primary result code of an error of SQLite, 0 of others.
func resultCode(err error) int {
	var e *sqlite.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return 0
}

// checkpoint copies the write-ahead log into the database file and returns how
// many pages of the log are still needed; mode is PASSIVE or TRUNCATE.
func (c *conn) checkpoint(mode string) (left int64, err error) {
	busy := int64(0)
	err = c.Query("PRAGMA wal_checkpoint("+mode+")", func(r tables.Row) error {
		busy, left = r.Integer(0), r.Integer(1)-r.Integer(2)
		return nil
	})
	if err == nil && busy != 0 && mode != passive {
		err = errors.New("another program is reading the file")
	}
	if err != nil {
		return left, fmt.Errorf("checkpointing the write-ahead log: %w", err)
	}
	return left, nil
}

const (
	passive  = "PASSIVE"  // as far as possible without waiting for anybody
	truncate = "TRUNCATE" // all of it, and nothing is left of the log
)
