package tables

import (
	"context"
	"database/sql/driver"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/store"
)

// Conn is a connection on which statements run, used by one goroutine at a time.
// Statements are written with ? for arguments; an engine whose database numbers them
// does that itself. Arguments are int64, string, []byte and nil.
type Conn interface {
	// Exec runs a statement that returns no rows. An engine may put it off until the
	// next Query or the end of the transaction, which then returns its error.
	Exec(sql string, args ...driver.Value) error
	// Query calls each with every row of the result, until it returns an error, which is
	// returned. The row is reused, the strings and bytes in it are not. No other statement
	// may run on the connection meanwhile.
	Query(sql string, each func(Row) error, args ...driver.Value) error
	// Number is the integer in the first column of the first row, 0 if there is none.
	Number(sql string, args ...driver.Value) (int64, error)
}

// Dialect is what has to be written in another way for each database.
type Dialect struct {
	// ReadNumber, WriteNumber, ReadBytes and WriteBytes are statements on table meta: they
	// read the value of a name, and write a name and a value.
	ReadNumber, WriteNumber, ReadBytes, WriteBytes string
	// Among is "IN (...)" with one argument, a JSON array of texts.
	Among string
	// Unindexed is put before a column so that its index is not used; it may be empty.
	Unindexed string
	// PageBatches is how many batches of the journal are asked for at once. Less than what
	// comes may be taken.
	PageBatches int
}

// Head is where the journal ends: its last batch, zero for none, and the hash of it.
type Head struct {
	Batch uint64
	Chain audit.Hash
}

// Engine is what an engine does in its own way. What takes a Conn is called from within
// Do, with the connection that Do gave, unless it says otherwise.
type Engine interface {
	// Ready is nil while logins can be decided, else it says why not.
	Ready() error
	// Read runs something on a connection that reads what is committed.
	Read(run func(Conn) error) error
	// Do has an act done, alone among all acts, after everything that was decided before it
	// began. The connection writes, and reads the newest. What it has written is durable
	// when Do returns nil. It is not called within itself.
	Do(ctx context.Context, run func(w Conn) error) error
	// Transaction has all that run writes be written together, or nothing of it if run
	// returns an error; statements may go on after that.
	Transaction(w Conn, run func(w Conn) error) error
	// Append appends a batch with so many records to the journal, within Transaction.
	Append(w Conn, records []byte, count int) error
	// Head is where the journal ends by now.
	Head(w Conn) (Head, error)
	// Folded is up to which batch the journal is in the tables that are made of it: states
	// and uses of rules. The connection is any that reads.
	Folded(c Conn) (uint64, error)
	// WriteStates writes states of tokens, those that are newer than what is there, within
	// Transaction.
	WriteStates(w Conn, changes []store.Change) error
	// Alone runs something while no login of a user can be decided; the next one sees what
	// came of it. An empty name is nobody.
	Alone(w Conn, name otp.UserName, run func() error) error
	// Hold is Alone for many users, until release is called.
	Hold(w Conn, names []otp.UserName) (release func(), err error)
	// Forget has the next login of a user read their rows anew. An empty name is nobody.
	Forget(w Conn, name otp.UserName) error
	// CatchUp brings the states of tokens up to date, whose users are alone or held.
	CatchUp(w Conn, tokens []*TokenRow) error
	// Latest does that for a token of a listing, wherever it is called: as far as what is
	// decided and durable is not in what Read reads.
	Latest(user otp.UserName, t *TokenRow)
	// Invite notes that a user is invited, or is not any more. It is called in the order
	// of the acts; what it notes may still not become durable.
	Invite(name otp.UserName, invited bool)
	// Duplicate reports whether an error says that something unique is there already.
	Duplicate(err error) bool
	// Grew says that an act has written about so many pages of 4 KiB.
	Grew(pages int)
}

// History is where an engine keeps what can be made again from the journal and the
// accounting log: the sessions, and the index by which the journal is searched.
type History interface {
	// ReadHistory runs something on a connection that reads the history.
	ReadHistory(run func(Conn) error) error
	// WriteHistory runs something on one that writes, in a transaction, and alone.
	WriteHistory(run func(w Conn) error) error
	// Taking waits until sessions can be made, and for everybody else who makes some. The
	// function it returns ends that; it is told how many entries were taken, and what went
	// wrong.
	Taking(ctx context.Context) (done func(taken int, err error), err error)
	// More tells who waits for Appended that there may be entries to be taken.
	More()
	// Indexed is up to which batch the journal is in the index, as far as is known here, and
	// a number that is another one when the index was made anew.
	Indexed() (batch, generation uint64)
}

// Uses are how often rules were used, as far as table rule_use does not count it yet.
type Uses interface {
	// Generation is another number when counts have gone to the table.
	Generation() uint64
	// UpdateUses brings the uses of rules up to date that were read at that generation. It
	// reports false if they have to be read again.
	UpdateUses(rules []tms.Rule, generation uint64) bool
}
