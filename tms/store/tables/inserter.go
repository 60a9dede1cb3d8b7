package tables

import (
	"database/sql/driver"
	"slices"
	"strings"
)

// insertRows is how many rows go into one statement.
const insertRows = 50

// Inserter writes rows, many to a statement.
type Inserter struct {
	w         Conn
	columns   int
	one, many string         // statements for one row and for insertRows
	Args      []driver.Value // of the rows that are not written
}

// NewInserter makes an Inserter of rows with so many columns; statement is the statement for
// so many rows.
func NewInserter(w Conn, statement func(rows int) string, columns int) *Inserter {
	return &Inserter{w: w, columns: columns, one: statement(1), many: statement(insertRows)}
}

// Add takes args with the columns of one more row appended.
func (in *Inserter) Add(args []driver.Value) error {
	in.Args = args
	if len(in.Args) < insertRows*in.columns {
		return nil
	}
	return in.Flush()
}

// Flush writes what is left, one row at a time unless there are just as many as
// insertRows.
func (in *Inserter) Flush() error {
	statement, size := in.many, insertRows*in.columns
	if len(in.Args) < size {
		statement, size = in.one, in.columns
	}
	for args := range slices.Chunk(in.Args, size) {
		if err := in.w.Exec(statement, args...); err != nil {
			return err
		}
	}
	in.Args = in.Args[:0]
	return nil
}

// Placeholders is (?,?,?) for so many columns, so many times.
func Placeholders(columns, rows int) string {
	one := "(" + strings.TrimSuffix(strings.Repeat("?,", columns), ",") + ")"
	return strings.TrimSuffix(strings.Repeat(one+",", rows), ",")
}
