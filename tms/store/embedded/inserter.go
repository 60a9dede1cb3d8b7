package embedded

import (
	"database/sql/driver"
	"slices"
	"strings"
)

// insertRows is how many rows go into one statement.
const insertRows = 50

// inserter writes rows, many to a statement.
type inserter struct {
	w         *conn
	columns   int
	one, many string // statements for one row and for insertRows
	args      []driver.Value
}

func newInserter(w *conn, statement func(rows int) string, columns int) *inserter {
	return &inserter{w: w, columns: columns, one: statement(1), many: statement(insertRows)}
}

// add takes args with the columns of one more row appended.
func (in *inserter) add(args []driver.Value) error {
	in.args = args
	if len(in.args) < insertRows*in.columns {
		return nil
	}
	return in.flush()
}

// flush writes what is left, one row at a time unless there are just as many as
// insertRows.
func (in *inserter) flush() error {
	statement, size := in.many, insertRows*in.columns
	if len(in.args) < size {
		statement, size = in.one, in.columns
	}
	for args := range slices.Chunk(in.args, size) {
		if err := in.w.exec(statement, args...); err != nil {
			return err
		}
	}
	in.args = in.args[:0]
	return nil
}

// placeholders is (?,?,?) for so many columns, so many times.
func placeholders(columns, rows int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(one+",", rows), ",")
}
