package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"countersign/otp"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// Statements on table meta.
const (
	readNumber  = "SELECT number FROM meta WHERE name = ?"
	writeNumber = "INSERT INTO meta (name, number) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET number = excluded.number"
	readBytes   = "SELECT bytes FROM meta WHERE name = ?"
	writeBytes  = "INSERT INTO meta (name, bytes) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes"
)

// dialect is how tables write SQL for us.
var dialect = tables.Dialect{
	ReadNumber: readNumber, WriteNumber: writeNumber, ReadBytes: readBytes, WriteBytes: writeBytes,
	Among:       "= ANY (ARRAY(SELECT json_array_elements_text(?::json)))",
	PageBatches: 64,
}

// engine is the store as tables see it.
type engine struct{ *Store }

var (
	_ tables.Engine  = engine{}
	_ tables.History = engine{}
)

// actLock is the lock in the database that who acts has, until the transaction ends.
const actLock = 0x43745369_02

// inTransaction is the state of a connection in a transaction in which nothing has failed.
const inTransaction = 'T'

const (
	beginAct = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
	lockActs = "SELECT pg_advisory_xact_lock(?)"
	endAct   = "COMMIT"
)

// deed is what an act has to do at its end.
type deed struct {
	forget []otp.UserName        // whose accounts leave the cache
	touch  []otp.UserName        // whose rows are taken at the end
	invite map[otp.UserName]bool // who is invited from now on, or not any more
	// batches are what is appended to the journal. They wait until the end, because from then
	// on no login of any node can commit. So many of them are written.
	batches []batch
	written int
}

// batch is a batch of the journal with so many records.
type batch struct {
	records []byte
	count   int
}

// Read implements tables.Engine.
func (s engine) Read(run func(tables.Conn) error) error {
	if err := s.unreadable(); err != nil {
		return err
	}
	return s.onConn(context.Background(), func(c *conn) error { return run(c) })
}

// withConn runs something on a connection of the pool. What it leaves behind is rolled back
// with the connection.
func (s *Store) withConn(ctx context.Context, run func(*conn) error) error {
	if err := s.failure.Load(); err != nil {
		return *err // at once, rather than after a while
	}
	return s.onConn(ctx, run)
}

// onConn is withConn while the store may be out of service.
func (s *Store) onConn(ctx context.Context, run func(*conn) error) error {
	acquire, cancel := context.WithTimeout(ctx, roundTripTime)
	defer cancel()
	held, err := s.pool.Acquire(acquire)
	if err != nil {
		s.suspect(ctx, err)
		return s.database.explain(err)
	}
	defer held.Release() // which closes a connection that is broken, or in a transaction
	c := connOf(held.Conn().PgConn())
	c.ctx = ctx
	if err = run(c); err == nil {
		err = c.flush()
	}
	c.forget()
	s.suspect(ctx, err)
	return err
}

// Do implements tables.Engine. The acts of all nodes are one after the other by a lock in the
// database; those of this node by one here, so that they do not take all connections to wait.
func (s engine) Do(ctx context.Context, run func(tables.Conn) error) error {
	select {
	case s.acting <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.acting }()
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.released.Load() {
		return errClosed
	}
	s.act = deed{invite: map[otp.UserName]bool{}}
	err := s.withConn(ctx, func(c *conn) error { return s.doOn(c, run) })
	switch sqlState(err) {
	case stateDeadlock, stateSerialization, stateCanceled:
		err = fmt.Errorf("logins, or another server, were in the way of this act: try again: %w", err)
	}
	for _, name := range s.act.forget { // whatever came of it
		s.logins.forget(string(name))
	}
	if err == nil {
		s.invited.change(s.act.invite)
	}
	return err
}

// doOn does an act in a transaction.
func (s engine) doOn(c *conn, run func(tables.Conn) error) error {
	if err := errors.Join(c.Exec(beginAct), c.Exec(lockActs, int64(actLock))); err != nil {
		return err
	}
	err := s.sameKeys(c)
	if err == nil {
		err = run(c)
	}
	if err == nil && len(s.act.touch) > 0 {
		err = s.touch(c, s.act.touch...)
	}
	if err == nil {
		_, err = c.prepare(endAct) // which would take a round trip later
	}
	if err == nil {
		err = s.writeBatches(c)
	}
	return s.end(c, err)
}

// end commits, or rolls back if there was an error.
func (s engine) end(c *conn, err error) error {
	if err == nil {
		err = c.ctx.Err()
	}
	if err == nil {
		return commit(c)
	}
	c.forget()
	c.ctx = context.WithoutCancel(c.ctx)
	if back := errors.Join(c.Exec("ROLLBACK"), c.flush()); back != nil && !outage(err) {
		err = errors.Join(err, fmt.Errorf("rolling back: %w", back))
	}
	return err
}

// commit ends the transaction. With an error it may have been committed or not. What waits goes
// along: from the batch of the journal on, which is the last, no login of any node can commit
// until the server has done this, and it does not wait for us in between. Where one of these
// statements fails the server leaves out those after it.
func commit(c *conn) error {
	if c.raw.TxStatus() != inTransaction { // COMMIT would roll back, and say nothing
		return errors.New("a statement of this act has failed before")
	}
	c.undurable, c.ctx = false, context.WithoutCancel(c.ctx) // whoever asked for it may have gone
	if err := errors.Join(c.Exec(endAct), c.flush()); err != nil {
		if sqlState(err) != "" && !outage(err) {
			return err
		}
		return fmt.Errorf("committing, which may have happened or not: %w", err)
	}
	if c.undurable {
		return errUndurable
	}
	return nil
}

// Transaction implements tables.Engine, by a savepoint.
func (s engine) Transaction(w tables.Conn, run func(tables.Conn) error) error {
	c := w.(*conn)
	if len(c.waiting) > maxWaiting/2 { // so that it does not go by itself
		if err := c.flush(); err != nil {
			return err
		}
	}
	if err := c.Exec("SAVEPOINT act"); err != nil {
		return err
	}
	before, sent := len(c.waiting)-1, c.sent
	batches, written := len(s.act.batches), s.act.written
	err := run(c)
	if err == nil {
		err = errors.Join(c.Exec("RELEASE SAVEPOINT act"), c.flush())
	}
	if err == nil || outage(err) {
		return err
	}
	s.act.batches, s.act.written = s.act.batches[:batches], written
	if c.sent == sent { // not even the savepoint
		c.waiting = c.waiting[:before]
		return err
	}
	c.forget()
	back := errors.Join(c.Exec("ROLLBACK TO SAVEPOINT act"), c.Exec("RELEASE SAVEPOINT act"), c.flush())
	if back != nil {
		// Nothing that is written from now on would be durable, so this error decides.
		return fmt.Errorf("rolling back after %q: %w", err, back)
	}
	return err
}

// appendJournal appends a batch to the journal: what audit.Link does is done where the last
// hash is known. Parameters are the records and how many there are.
const appendJournal = `WITH new AS (SELECT ?::bytea AS records, ?::bigint AS count),
	linked AS (
		UPDATE head h SET number = h.number + 1, total = h.total + new.count,
			chain = sha256('` + chainContext + `'::bytea || h.chain || int8send(h.number + 1) || new.records)
		FROM new WHERE h.id = 1
		RETURNING h.number, h.chain, h.total, new.records
	)
	INSERT INTO journal (batch, records, chain, total) SELECT number, records, chain, total FROM linked`

// chainContext is that of audit.Link, as a literal of bytes; a test compares them.
const chainContext = `countersign audit chain 1\012`

// Append implements tables.Engine.
func (s engine) Append(_ tables.Conn, records []byte, count int) error {
	s.act.batches = append(s.act.batches, batch{records, count})
	return nil
}

// writeBatches writes what Append was given.
func (s engine) writeBatches(w tables.Conn) error {
	for ; s.act.written < len(s.act.batches); s.act.written++ {
		b := &s.act.batches[s.act.written]
		if err := w.Exec(appendJournal, b.records, int64(b.count)); err != nil {
			return err
		}
	}
	return nil
}

// forgetRefusal forgets the last login, unless it was accepted: its accept may be on its way,
// and acts follow logins by themselves. The same login at another node gets silence then, as
// before the act; whether it may be accepted once more is decided by the account as it is now
// (otp.LastLogin). What was refused may be right after the act.
var forgetRefusal = fmt.Sprintf("last_key = CASE WHEN state.last_verdict IN (%d, %d, %d) THEN state.last_key END",
	otp.Accepted, otp.AcceptedByTMS, otp.AskedByTMS)

// A state that an act writes is newer than what is there, also when the row was touched since
// it was read.
var writeState = `INSERT INTO state (token_id, rev, stamp, state) VALUES (?, ?, ?, ?)
	ON CONFLICT (token_id) DO UPDATE SET rev = greatest(excluded.rev, state.rev + 1), stamp = excluded.stamp, state = excluded.state, ` + forgetRefusal

// WriteStates implements tables.Engine.
func (s engine) WriteStates(w tables.Conn, changes []store.Change) error {
	sorted := slices.SortedFunc(slices.Values(changes), func(a, b store.Change) int { return int(a.Token - b.Token) })
	for i := range sorted {
		c := &sorted[i]
		if err := w.Exec(writeState, c.Token, int64(c.Rev), s.logins.stamp(), store.AppendState(nil, &c.State)); err != nil {
			return err
		}
	}
	return nil
}

// touch locks the rows of state of all tokens of users, makes those that are missing, and
// changes revision and stamp of all. A login that was decided by what was there before, on
// whatever node, does not find its row then: it waits for the end of the act, and is decided
// anew, also when another node had decided the same login before. The rows are taken in the
// order in which logins take them.
//
// It is enough to do that before the act changes anything: who reads the account during the
// act reads it with the old stamps. A user without a token has no row; but no node keeps the
// account of such a user either.
var touch = `INSERT INTO state (token_id, rev, stamp, state)
	SELECT t.id, 0, ?::bigint, '\x0000' FROM token t JOIN "user" u ON u.id = t.user_id
	WHERE u.name = ANY (ARRAY(SELECT json_array_elements_text(?::json))) ORDER BY t.id
	ON CONFLICT (token_id) DO UPDATE SET rev = state.rev + 1, stamp = excluded.stamp, ` + forgetRefusal

func (s engine) touch(w tables.Conn, names ...otp.UserName) error {
	text, err := json.Marshal(names)
	if err != nil {
		return err
	}
	s.act.forget = append(s.act.forget, names...)
	return w.Exec(touch, s.logins.stamp(), string(text))
}

// Alone implements tables.Engine.
func (s engine) Alone(w tables.Conn, name otp.UserName, run func() error) error {
	if name != "" { // nobody logs in with a token that nobody has
		if err := s.touch(w, name); err != nil {
			return err
		}
	}
	return run()
}

// Hold implements tables.Engine.
func (s engine) Hold(w tables.Conn, names []otp.UserName) (release func(), err error) {
	return func() {}, s.touch(w, names...)
}

// Forget implements tables.Engine. The rows of all whom an act forgets are taken at its end,
// in one statement and so in the order of tokens: an import forgets hundreds.
func (s engine) Forget(_ tables.Conn, name otp.UserName) error {
	if name != "" {
		s.act.touch = append(s.act.touch, name)
	}
	return nil
}

// Latest implements tables.Engine: rows are always the latest.
func (s engine) Latest(otp.UserName, *tables.TokenRow) {}

// readStates reads the states of tokens whose ids are in a JSON array.
const readStates = `SELECT token_id, rev, state FROM state
	WHERE token_id = ANY (ARRAY(SELECT value::bigint FROM json_array_elements_text(?::json) AS value)) LIMIT ?`

// CatchUp implements tables.Engine: the rows may have been read before touch locked them.
func (s engine) CatchUp(w tables.Conn, tokens []*tables.TokenRow) error {
	ids, byID := make([]int64, len(tokens)), make(map[int64]*tables.TokenRow, len(tokens))
	for i, t := range tokens {
		ids[i], byID[t.ID] = t.ID, t
	}
	text, err := json.Marshal(ids)
	if err != nil {
		return err
	}
	return w.Query(readStates, func(r tables.Row) error {
		t := byID[r.Integer(0)]
		state, err := store.ParseState(r.Blob(2))
		if err != nil {
			return fmt.Errorf("token %q: %w", t.Serial, err)
		}
		t.Rev, t.State = uint64(r.Integer(1)), state
		return nil
	}, string(text), int64(len(ids)))
}

// Head implements tables.Engine.
func (s engine) Head(w tables.Conn) (h tables.Head, err error) {
	if err := s.writeBatches(w); err != nil {
		return h, err
	}
	err = w.Query("SELECT number, chain FROM head WHERE id = 1", func(r tables.Row) error {
		h.Batch = uint64(r.Integer(0))
		if n := copy(h.Chain[:], r.Blob(1)); n < len(h.Chain) {
			return fmt.Errorf("table head has a hash of %d bytes: restore a backup", n)
		}
		return nil
	})
	return h, err
}

// Folded implements tables.Engine: whatever is in the journal is in the other tables too.
func (s engine) Folded(tables.Conn) (uint64, error) { return math.MaxInt64, nil }

// Invite implements tables.Engine.
func (s engine) Invite(name otp.UserName, invited bool) { s.act.invite[name] = invited }

// Duplicate implements tables.Engine.
func (s engine) Duplicate(err error) bool { return sqlState(err) == stateDuplicate }

// Grew implements tables.Engine.
func (s engine) Grew(int) {}
