package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"countersign/tms/store/tables"
)

const (
	// roundTripTime is how long a statement may take, with those that wait before it. The
	// server gives up before that (statementTime).
	roundTripTime = 15 * time.Second
	statementTime = 10 * time.Second
	// maxWaiting and maxWaitingBytes are how many statements, and of what size, are sent
	// together.
	maxWaiting      = 1000
	maxWaitingBytes = 1 << 20
)

// conn is a connection, used by one goroutine at a time. It goes to the protocol itself, so
// that each statement is prepared once in the life of the connection, its arguments are
// converted to the types that the server wants, and statements that return nothing are not
// waited for: they go along with the next Query, or flush.
type conn struct {
	raw        *pgconn.PgConn
	ctx        context.Context // of what it is used for just now
	statements map[string]*statement
	waiting    []call
	bytes      int // of the arguments in waiting
	sent       int // how often what waited was sent
	row        tables.Row
	patience   time.Duration // of a round trip
	// undurable is set when a commit was not waited for by all the standbys it should have
	// been.
	undurable bool
}

var _ tables.Conn = (*conn)(nil)

// statement is a prepared statement.
type statement struct {
	*pgconn.StatementDescription
	formats []int16 // of its results
}

// call is a statement with its arguments as they are sent.
type call struct {
	*statement
	values  [][]byte
	formats []int16
}

// newConn makes a conn of a connection, where connOf finds it.
func newConn(raw *pgconn.PgConn) *conn {
	c := &conn{raw: raw, ctx: context.Background(), statements: map[string]*statement{}, patience: roundTripTime}
	raw.CustomData()[connKey] = c
	return c
}

// connKey is the name of our conn among what belongs to a connection.
const connKey = "conn"

// connOf is the conn of a connection, nil if it has none.
func connOf(raw *pgconn.PgConn) *conn {
	c, _ := raw.CustomData()[connKey].(*conn)
	return c
}

// Exec implements tables.Conn. The statement waits for the next Query or flush; it may
// return rows, which nobody sees.
func (c *conn) Exec(sql string, args ...driver.Value) error {
	next, err := c.bind(sql, args)
	if err != nil {
		return err
	}
	c.waiting = append(c.waiting, next)
	for _, v := range next.values {
		c.bytes += len(v)
	}
	if len(c.waiting) < maxWaiting && c.bytes < maxWaitingBytes {
		return nil
	}
	return c.flush()
}

// Query implements tables.Conn.
func (c *conn) Query(sql string, each func(tables.Row) error, args ...driver.Value) error {
	last, err := c.bind(sql, args)
	if err != nil {
		return err
	}
	return c.send(&last, each)
}

// Number implements tables.Conn.
func (c *conn) Number(sql string, args ...driver.Value) (n int64, err error) {
	first := true
	err = c.Query(sql, func(r tables.Row) error {
		if first {
			n, first = r.Integer(0), false
		}
		return nil
	}, args...)
	return n, err
}

// flush sends the statements that wait, and returns the first error.
func (c *conn) flush() error {
	if len(c.waiting) == 0 {
		return nil
	}
	return c.send(nil, nil)
}

// forget drops the statements that wait.
func (c *conn) forget() { c.waiting, c.bytes = c.waiting[:0], 0 }

// send sends the statements that wait, and last if it is not nil, in one round trip.
func (c *conn) send(last *call, each func(tables.Row) error) error {
	ctx, cancel := context.WithTimeout(c.ctx, c.patience)
	defer cancel()
	p := c.raw.StartPipeline(ctx)
	for i := range c.waiting {
		w := &c.waiting[i]
		p.SendQueryStatement(w.StatementDescription, w.values, w.formats, w.statement.formats)
	}
	if last != nil {
		p.SendQueryStatement(last.StatementDescription, last.values, last.formats, last.statement.formats)
	}
	count := len(c.waiting)
	c.forget()
	c.sent++
	err := p.Sync()
	for i := 0; i < count && err == nil; i++ {
		err = readResult(p, nil)
	}
	if err == nil && last != nil {
		err = readResult(p, func(r *pgconn.ResultReader) error { return c.readRows(last, r, each) })
	}
	closed := p.Close()
	if err == nil {
		err = closed
	}
	return err
}

// readResult reads the result of a statement. Rows that read is not there for are dropped.
func readResult(p *pgconn.Pipeline, read func(*pgconn.ResultReader) error) error {
	result, err := p.GetResults()
	if err != nil {
		return err
	}
	reader, ok := result.(*pgconn.ResultReader)
	if !ok {
		return fmt.Errorf("the database answers with %T where a result is due", result)
	}
	if read != nil {
		err = read(reader)
	}
	if _, closed := reader.Close(); err == nil {
		err = closed
	}
	return err
}

func (c *conn) readRows(of *call, reader *pgconn.ResultReader, each func(tables.Row) error) error {
	for reader.NextRow() {
		c.row = c.row[:0]
		for i, value := range reader.Values() {
			v, err := decode(of.Fields[i].DataTypeOID, value)
			if err != nil {
				return fmt.Errorf("column %s: %w", of.Fields[i].Name, err)
			}
			c.row = append(c.row, v)
		}
		if err := each(c.row); err != nil {
			return err
		}
	}
	return nil
}

// bind prepares a statement and encodes its arguments.
func (c *conn) bind(sql string, args []driver.Value) (call, error) {
	s, err := c.prepare(sql)
	if err != nil {
		return call{}, err
	}
	if len(args) != len(s.ParamOIDs) {
		return call{}, fmt.Errorf("%d arguments for the %d of statement %q", len(args), len(s.ParamOIDs), sql)
	}
	next := call{statement: s, values: make([][]byte, len(args)), formats: make([]int16, len(args))}
	for i, arg := range args {
		if next.values[i], next.formats[i], err = encode(s.ParamOIDs[i], arg); err != nil {
			return call{}, fmt.Errorf("argument %d: %w", i+1, err)
		}
	}
	return next, nil
}

// prepare prepares a statement once in the life of the connection. What waits is sent
// before: should it have failed, preparing would too, for a reason that says nothing.
func (c *conn) prepare(sql string) (*statement, error) {
	if s := c.statements[sql]; s != nil {
		return s, nil
	}
	if err := c.flush(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.ctx, c.patience)
	defer cancel()
	description, err := c.raw.Prepare(ctx, "s"+strconv.Itoa(len(c.statements)), numbered(sql), nil)
	if err != nil {
		return nil, fmt.Errorf("preparing %q: %w", sql, err)
	}
	s := &statement{StatementDescription: description}
	for _, f := range description.Fields {
		s.formats = append(s.formats, format(f.DataTypeOID))
	}
	c.statements[sql] = s
	return s, nil
}

// numbered writes $1, $2 and so on for each ? of a statement that is not in quotes.
func numbered(sql string) string {
	var b strings.Builder
	quote, n := byte(0), 0
	for i := range len(sql) {
		switch at := sql[i]; {
		case quote != 0:
			if at == quote {
				quote = 0
			}
		case at == '\'' || at == '"':
			quote = at
		case at == '?':
			n++
			b.WriteByte('$')
			b.WriteString(strconv.Itoa(n))
			continue
		}
		b.WriteByte(sql[i])
	}
	return b.String()
}

// sqlState is the code of an error of the database, "" of others (PostgreSQL's manual,
// appendix A).
func sqlState(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// Codes of PostgreSQL's errors.
const (
	stateDuplicate     = "23505"
	stateSerialization = "40001"
	stateDeadlock      = "40P01"
	stateReadOnly      = "25006"
	stateUndefined     = "42P01" // there is no such table
	stateWarning       = "01000"
	stateCanceled      = "57014" // by a time limit, or who asked for it
	stateLockTimeout   = "55P03"
)
