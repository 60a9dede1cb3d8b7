package tables

import (
	"context"
	"database/sql/driver"
	"strings"
)

// A page is what is copied in one transaction and read by one query. Where rows are small
// their number bounds it, else how much there is in the heavy column.
const (
	copyRows      = 5000
	copyHeavyRows = 500
	copyPageBytes = 4 << 20
	// copyValues are the values in one statement, and copyStatementBytes about how much of
	// them at most.
	copyValues         = 1400
	copyStatementBytes = 256 << 10
)

// copyReader reads a table in the order of its primary key, page after page.
type copyReader struct {
	*copiedTable
	store CopyStore
	most  int64          // rows of a page
	after []driver.Value // the key of the last row, nil at the beginning
	rows  int64          // so far
}

// page calls each with the rows of the next page, whose values it may keep. It returns how
// many there were: none at the end.
func (r *copyReader) page(ctx context.Context, each func(values []driver.Value) error) (rows int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = r.store.Read(r.part, func(c Conn) error {
		upTo, limit, err := r.bounds(c)
		if err != nil || limit == 0 {
			return err
		}
		from, args := r.from(r.after, upTo)
		return c.Query("SELECT "+names(r.columns)+from+" ORDER BY "+names(r.columns[:r.keys])+" LIMIT ?", func(row Row) error {
			values, err := r.values(row)
			if err != nil {
				return err
			}
			rows, r.after = rows+1, values[:r.keys:r.keys]
			return each(values)
		}, append(args, limit)...)
	})
	r.rows += int64(rows)
	return rows, err
}

// bounds are the last key of the next page, nil if that does not matter, and how many rows
// it has at most.
func (r *copyReader) bounds(c Conn) (upTo []driver.Value, limit int64, err error) {
	if r.heavy == "" {
		return nil, r.most, nil
	}
	key := r.key()
	from, args := r.from(r.after, nil)
	bytes := int64(0)
	err = c.Query("SELECT "+names(key.columns)+`, length("`+r.heavy+`")`+from+" ORDER BY "+names(key.columns)+" LIMIT ?", func(row Row) error {
		if bytes += row.Integer(r.keys); bytes > copyPageBytes && limit > 0 {
			return nil
		}
		limit++
		upTo, err = key.values(row)
		return err
	}, append(args, min(r.most, copyHeavyRows))...)
	return upTo, limit, err
}

// copyWriter adds rows to a table, many in a statement.
type copyWriter struct {
	w         Conn
	columns   int
	most      int    // rows in a statement
	one, many string // statements for one row, and for so many
	derive    func(values []driver.Value) ([]driver.Value, error)
	args      []driver.Value
	bytes     int
}

// newCopyWriter is for rows to which derive, if there is one, appends the values of more
// columns.
func newCopyWriter(w Conn, t *copiedTable, more []string, derive func([]driver.Value) ([]driver.Value, error)) *copyWriter {
	columns := names(t.columns)
	for _, c := range more {
		columns += `, "` + c + `"`
	}
	in := &copyWriter{w: w, columns: len(t.columns) + len(more), derive: derive}
	in.most = copyValues / in.columns
	row := placesOf(in.columns)
	in.one = `INSERT INTO "` + t.name + `" (` + columns + ") VALUES " + row
	in.many = in.one + strings.Repeat(", "+row, in.most-1)
	return in
}

func (in *copyWriter) add(values []driver.Value) error {
	if in.derive != nil {
		var err error
		if values, err = in.derive(values); err != nil {
			return err
		}
	}
	for _, v := range values {
		switch v := v.(type) {
		case []byte:
			in.bytes += len(v)
		case string:
			in.bytes += len(v)
		}
	}
	in.args = append(in.args, values...)
	if len(in.args) == in.most*in.columns || in.bytes > copyStatementBytes {
		return in.flush()
	}
	return nil
}

// flush writes what is left.
func (in *copyWriter) flush() error {
	args := in.args
	in.args, in.bytes = nil, 0 // an engine may keep the old ones for a while
	if len(args) == in.most*in.columns {
		return in.w.Exec(in.many, args...)
	}
	for ; len(args) > 0; args = args[in.columns:] {
		if err := in.w.Exec(in.one, args[:in.columns:in.columns]...); err != nil {
			return err
		}
	}
	return nil
}
