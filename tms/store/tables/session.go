package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"time"

	"countersign/radiusd/accounting"
)

// Take implements accounting.Store. After an error of the history the next call waits until
// that works again, or there is room on the disk.
func (s *Tables) Take(ctx context.Context, most int, take func(accounting.Tx, []accounting.Entry) error) (n int, err error) {
	done, err := s.history.Taking(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { done(n, err) }()
	if n, err = s.take(ctx, most, take); err != nil {
		return 0, fmt.Errorf("taking what is in the accounting log: %w", err)
	}
	if n > 0 && n == most {
		s.history.More()
	}
	return n, nil
}

func (s *Tables) take(ctx context.Context, most int, take func(accounting.Tx, []accounting.Entry) error) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	mark, err := s.taken()
	if err != nil {
		return 0, err
	}
	entries, err := s.readLog(mark, beyondLog, most)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	err = s.history.WriteHistory(func(w Conn) error {
		now, err := s.TakenUpTo(w)
		if err != nil {
			return err
		}
		if now != mark {
			entries = nil // of another history, which begins anew
			s.history.More()
			return nil
		}
		tx := s.newSessionTx(w)
		if err := tx.refused(take(tx, entries)); err != nil {
			return err
		}
		return tx.finish(entries)
	})
	return len(entries), reason(err)
}

// taken is the last entry that was taken, zero for none.
func (s *Tables) taken() (p accounting.Position, err error) {
	err = s.history.ReadHistory(func(c Conn) error {
		p, err = s.TakenUpTo(c)
		return err
	})
	return p, err
}

// TakenUpTo is the last entry that a history knows to be taken, zero for none.
func (s *Tables) TakenUpTo(c Conn) (accounting.Position, error) {
	n, err := c.Number(s.dialect.ReadNumber, MetaTaken)
	return position(n), err
}

// Change implements accounting.Store.
func (s *Tables) Change(ctx context.Context, change func(accounting.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.history.WriteHistory(func(w Conn) error {
		tx := s.newSessionTx(w)
		return tx.refused(change(tx))
	})
	if err != nil {
		return fmt.Errorf("changing sessions: %w", reason(err))
	}
	return nil
}

// sessionTx is an accounting.Tx.
type sessionTx struct {
	w       Conn
	dialect *Dialect
	repeats map[accounting.Position]bool // what Note has found
	failed  bool                         // one of its methods has
}

func (s *Tables) newSessionTx(w Conn) *sessionTx {
	return &sessionTx{w: w, dialect: &s.dialect, repeats: map[accounting.Position]bool{}}
}

// fault notes an error of the history.
func (tx *sessionTx) fault(err error, format string, args ...any) error {
	tx.failed = true
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// refused is the error of who changes sessions. Unless the history had one it says nothing
// about the history, though it may be one of the database: about the journal.
func (tx *sessionTx) refused(err error) error {
	if err == nil || tx.failed {
		return err
	}
	return &refusal{err}
}

// refusal has an error that nobody looks into, until reason takes it out.
type refusal struct{ reason error }

func (r *refusal) Error() string { return r.reason.Error() }

func reason(err error) error {
	var r *refusal
	if errors.As(err, &r) {
		return r.reason
	}
	return err
}

// finish notes that entries were taken, and in each batch the last that is no repeat.
func (tx *sessionTx) finish(entries []accounting.Entry) error {
	count, err := tx.w.Number("SELECT number FROM taken ORDER BY batch DESC LIMIT 1")
	for i := 0; i < len(entries) && err == nil; i++ {
		p := entries[i].Position
		if tx.repeats[p] {
			continue
		}
		count++
		err = tx.w.Exec(writeTaken, int64(p.Batch), count, int64(p.Index))
	}
	if err != nil {
		return err
	}
	return tx.w.Exec(tx.dialect.WriteNumber, MetaTaken, number(entries[len(entries)-1].Position))
}

const writeTaken = `INSERT INTO taken (batch, number, last) VALUES (?, ?, ?)
	ON CONFLICT (batch) DO UPDATE SET number = excluded.number, last = excluded.last`

const selectSession = "SELECT " + sessionColumns + " FROM session "

// sessionPage is how many sessions are read at once. What is done with them must not meet
// a statement that still runs.
const sessionPage = 256

// readSessions reads the sessions that a statement selects.
func readSessions(c Conn, sql string, args ...driver.Value) (sessions []accounting.Session, err error) {
	err = c.Query(sql, func(r Row) error {
		s, err := readSession(r)
		sessions = append(sessions, s)
		return err
	}, args...)
	return sessions, err
}

// The numbers of rows are written out: with a LIMIT that is bound SQLite plans a
// statement anew each time it runs.
const (
	findAny   = selectSession + "WHERE session = ? AND nas = ? AND id < ? "
	findAt    = selectSession + "WHERE session = ? AND nas = ? AND id < ? AND gateway = ? "
	findFirst = "ORDER BY id DESC LIMIT 4"
	findNext  = "ORDER BY id DESC LIMIT 256"
)

// Find implements accounting.Tx.
func (tx *sessionTx) Find(k accounting.Key, each func(*accounting.Session) bool) error {
	args := []driver.Value{k.SessionID, k.NAS, int64(math.MaxInt64)}
	first, next := findAny+findFirst, findAny+findNext
	if k.Gateway != "" {
		args = append(args, k.Gateway)
		first, next = findAt+findFirst, findAt+findNext
	}
	size := 4
	for sql := first; ; sql, size = next, 256 {
		sessions, err := readSessions(tx.w, sql, args...)
		if err != nil {
			return tx.fault(err, "finding session %q of %q", k.SessionID, k.NAS)
		}
		for i := range sessions {
			if args[2] = number(sessions[i].ID); !each(&sessions[i]) {
				return nil
			}
		}
		if len(sessions) < size {
			return nil
		}
	}
}

const (
	findLiving   = selectSession + "WHERE " + Living + " AND nas = ? AND id > ? ORDER BY id LIMIT ?"
	findLivingAt = selectSession + "WHERE " + Living + " AND nas = ? AND id > ? AND gateway = ? ORDER BY id LIMIT ?"
)

// Living implements accounting.Tx.
func (tx *sessionTx) Living(nas, gateway string, each func(*accounting.Session) error) error {
	for after := int64(-1); ; {
		sql, args := findLiving, []driver.Value{nas, after, int64(sessionPage)}
		if gateway != "" {
			sql, args = findLivingAt, []driver.Value{nas, after, gateway, int64(sessionPage)}
		}
		sessions, err := readSessions(tx.w, sql, args...)
		if err != nil {
			return tx.fault(err, "listing the sessions of %q", nas)
		}
		for i := range sessions {
			after = number(sessions[i].ID)
			if err := each(&sessions[i]); err != nil {
				return err
			}
		}
		if len(sessions) < sessionPage {
			return nil
		}
	}
}

// Silent implements accounting.Tx.
func (tx *sessionTx) Silent(since time.Time, most int, each func(*accounting.Session) error) error {
	sessions, err := readSessions(tx.w, selectSession+"WHERE state = 1 AND heard < ? ORDER BY heard LIMIT ?", nanoseconds(since), int64(most))
	if err != nil {
		return tx.fault(err, "listing silent sessions")
	}
	for i := range sessions {
		if err := each(&sessions[i]); err != nil {
			return err
		}
	}
	return nil
}

// Save implements accounting.Tx.
func (tx *sessionTx) Save(s *accounting.Session) error {
	if err := tx.w.Exec(saveSession, sessionValues(s)...); err != nil {
		return tx.fault(err, "writing session %v", s.ID)
	}
	return nil
}

// addEntry adds an entry to a session, if none has its fingerprint, and returns which has.
const addEntry = `INSERT INTO entry (session, fingerprint, id) VALUES (?, ?, ?)
	ON CONFLICT (session, fingerprint) DO UPDATE SET id = entry.id RETURNING id`

// Note implements accounting.Tx. What is of no session is never a repeat.
func (tx *sessionTx) Note(session accounting.Position, entry *accounting.Entry, fingerprint [16]byte) (fresh bool, err error) {
	if session == (accounting.Position{}) {
		return true, nil
	}
	holder, err := tx.w.Number(addEntry, number(session), fingerprint[:], number(entry.Position))
	fresh = holder == number(entry.Position)
	if err == nil && !fresh {
		tx.repeats[entry.Position] = true
		err = tx.w.Exec("INSERT INTO repeat (id) VALUES (?) ON CONFLICT DO NOTHING", number(entry.Position))
	}
	if err != nil {
		return false, tx.fault(err, "noting record %v of session %v", entry.Position, session)
	}
	return fresh, nil
}

// Forget implements accounting.Tx.
func (tx *sessionTx) Forget(since time.Time, most int) (int, error) {
	var ids []int64
	err := tx.w.Query("SELECT id FROM session WHERE state > 1 AND heard < ? ORDER BY heard LIMIT ?", func(r Row) error {
		ids = append(ids, r.Integer(0))
		return nil
	}, nanoseconds(since), int64(most))
	for _, id := range ids {
		if err == nil {
			err = tx.w.Exec("DELETE FROM entry WHERE session = ?", id)
		}
		if err == nil {
			err = tx.w.Exec("DELETE FROM session WHERE id = ?", id)
		}
	}
	if err != nil {
		return 0, tx.fault(err, "forgetting old sessions")
	}
	return len(ids), nil
}
