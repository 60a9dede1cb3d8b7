package accounting

import (
	"context"
	"time"
)

// Store keeps sessions. What it keeps follows from its log of entries, which is durable
// before a NAS gets its Accounting-Response; sessions come after.
type Store interface {
	// Take shows what the log has after what was taken before, up to so many entries, in
	// order. What take writes, and that the entries were taken, becomes durable together,
	// or not at all when it returns an error. n is how many there were.
	Take(ctx context.Context, most int, take func(Tx, []Entry) error) (n int, err error)
	// Change is Take without entries.
	Change(ctx context.Context, change func(Tx) error) error
	// Appended has an element when there is something to take.
	Appended() <-chan struct{}
	// Sessions lists sessions, the newest first.
	Sessions(ctx context.Context, f Filter, each func(*Session) error) error
	// Records lists the entries of a session, in their order, without repeats.
	Records(ctx context.Context, session Position, each func(*Entry) error) error
	// Forwardable lists up to so many entries of the log after a position, in order, that
	// were taken and are no repeats. It returns how far it looked: the position to go on
	// after.
	Forwardable(ctx context.Context, after Position, most int, each func(*Entry) error) (Position, error)
	// Waiting tells how many there are after a position, when the first of them came, and
	// what the last entry of the log is, be it taken or not: zero when none is after.
	Waiting(ctx context.Context, after Position) (records int64, oldest time.Time, last Position, err error)
}

// Tx is a transaction on sessions.
type Tx interface {
	// Find calls each with the sessions of a Key, the newest first, until it returns false:
	// those of all gateways under its NAS when its Gateway is "". It is called both ways
	// whenever a session begins, so both have to be found by an index.
	Find(k Key, each func(*Session) bool) error
	// Living lists the sessions of a NAS, by name, that are Open or Stale; of one gateway
	// if that is not "".
	Living(nas, gateway string, each func(*Session) error) error
	// Silent lists up to so many Open sessions that were not heard of since an instant.
	Silent(since time.Time, most int, each func(*Session) error) error
	// Save writes a session, new or not.
	Save(s *Session) error
	// Note notes that an entry belongs to a session, the zero Position for none. It
	// returns false, and notes nothing but that it is a repeat, if the session has an entry
	// of this fingerprint already. What is of no session is never a repeat.
	Note(session Position, entry *Entry, fingerprint [16]byte) (fresh bool, err error)
	// Forget removes up to so many sessions that are over, or stale, and were not heard of
	// since an instant, with their records. It returns how many there were.
	Forget(since time.Time, most int) (int, error)
}
