package embedded

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
func (s *Store) Take(ctx context.Context, most int, take func(accounting.Tx, []accounting.Entry) error) (n int, err error) {
	h := &s.history
	if err := s.awaitHistory(ctx); err != nil {
		return 0, err
	}
	h.taking.Lock()
	defer h.taking.Unlock()
	if n, err = s.take(ctx, most, take); err != nil {
		h.waiting.Store(s.historyWaits())
		return 0, fmt.Errorf("taking what is in the accounting log: %w", err)
	}
	h.log.shrank(n, 0)
	if n > 0 && n == most {
		signal(s.appended) // there may be more
	}
	return n, nil
}

func (s *Store) take(ctx context.Context, most int, take func(accounting.Tx, []accounting.Entry) error) (int, error) {
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
	err = s.writeHistory(func(w *conn) error {
		now, err := w.number(readMeta, metaTaken)
		if err != nil {
			return err
		}
		if position(now) != mark {
			entries = nil // of another history, which begins anew
			signal(s.appended)
			return nil
		}
		tx := newSessionTx(w)
		if err := tx.refused(take(tx, entries)); err != nil {
			return err
		}
		return tx.finish(entries)
	})
	return len(entries), reason(err)
}

// taken is the last entry that was taken, zero for none.
func (s *Store) taken() (p accounting.Position, err error) {
	err = s.readHistory(func(c *conn) error {
		n, err := c.number(readMeta, metaTaken)
		p = position(n)
		return err
	})
	return p, err
}

// Change implements accounting.Store.
func (s *Store) Change(ctx context.Context, change func(accounting.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.writeHistory(func(w *conn) error {
		tx := newSessionTx(w)
		return tx.refused(change(tx))
	})
	if err != nil {
		return fmt.Errorf("changing sessions: %w", reason(err))
	}
	return nil
}

// Appended implements accounting.Store.
func (s *Store) Appended() <-chan struct{} { return s.appended }

// sessionTx is an accounting.Tx.
type sessionTx struct {
	w       *conn
	repeats map[accounting.Position]bool // what Note has found
	failed  bool                         // one of its methods has
}

func newSessionTx(w *conn) *sessionTx {
	return &sessionTx{w: w, repeats: map[accounting.Position]bool{}}
}

// fault notes an error of the history.
func (tx *sessionTx) fault(err error, format string, args ...any) error {
	tx.failed = true
	return fmt.Errorf(format+": %w", append(args, err)...)
}

// refused is the error of who changes sessions. Unless the history had one it says nothing
// about the history, though it may be one of SQLite: about the journal.
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
	count, err := tx.w.number("SELECT number FROM taken ORDER BY batch DESC LIMIT 1")
	for i := 0; i < len(entries) && err == nil; i++ {
		p := entries[i].Position
		if tx.repeats[p] {
			continue
		}
		count++
		err = tx.w.exec("INSERT OR REPLACE INTO taken (batch, number, last) VALUES (?, ?, ?)", int64(p.Batch), count, int64(p.Index))
	}
	if err != nil {
		return err
	}
	return tx.w.exec(writeMeta, metaTaken, number(entries[len(entries)-1].Position))
}

const selectSession = "SELECT " + sessionColumns + " FROM session "

// sessionPage is how many sessions are read at once. What is done with them must not meet
// a statement that still runs.
const sessionPage = 256

// readSessions reads the sessions that a statement selects.
func readSessions(c *conn, sql string, args ...driver.Value) (sessions []accounting.Session, err error) {
	err = c.query(sql, func(r row) error {
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

// Living implements accounting.Tx.
func (tx *sessionTx) Living(nas, gateway string, each func(*accounting.Session) error) error {
	for after := int64(-1); ; {
		sessions, err := readSessions(tx.w, selectSession+"WHERE "+living+" AND nas = ? AND id > ? AND (? = '' OR gateway = ?) ORDER BY id LIMIT ?",
			nas, after, gateway, gateway, int64(sessionPage))
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
	if err := tx.w.exec(saveSession, sessionValues(s)...); err != nil {
		return tx.fault(err, "writing session %v", s.ID)
	}
	return nil
}

// addEntry adds an entry to a session, if none has its fingerprint, and returns which has.
const addEntry = `INSERT INTO entry (session, fingerprint, id) VALUES (?, ?, ?)
	ON CONFLICT DO UPDATE SET id = entry.id RETURNING id`

// Note implements accounting.Tx. What is of no session is never a repeat.
func (tx *sessionTx) Note(session accounting.Position, entry *accounting.Entry, fingerprint [16]byte) (fresh bool, err error) {
	if session == (accounting.Position{}) {
		return true, nil
	}
	holder, err := tx.w.number(addEntry, number(session), fingerprint[:], number(entry.Position))
	fresh = holder == number(entry.Position)
	if err == nil && !fresh {
		tx.repeats[entry.Position] = true
		err = tx.w.exec("INSERT OR IGNORE INTO repeat (id) VALUES (?)", number(entry.Position))
	}
	if err != nil {
		return false, tx.fault(err, "noting record %v of session %v", entry.Position, session)
	}
	return fresh, nil
}

// Forget implements accounting.Tx.
func (tx *sessionTx) Forget(since time.Time, most int) (int, error) {
	var ids []int64
	err := tx.w.query("SELECT id FROM session WHERE state > 1 AND heard < ? ORDER BY heard LIMIT ?", func(r row) error {
		ids = append(ids, r.integer(0))
		return nil
	}, nanoseconds(since), int64(most))
	for _, id := range ids {
		if err == nil {
			err = tx.w.exec("DELETE FROM entry WHERE session = ?", id)
		}
		if err == nil {
			err = tx.w.exec("DELETE FROM session WHERE id = ?", id)
		}
	}
	if err != nil {
		return 0, tx.fault(err, "forgetting old sessions")
	}
	return len(ids), nil
}
