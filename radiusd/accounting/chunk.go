package accounting

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// chunk is one transaction on sessions. Each session is read once and written once.
type chunk struct {
	ctx    context.Context
	book   *Book
	tx     Tx
	lives  []*life // all that were looked at, in this order
	byID   map[Position]*life
	byKey  map[Key][]*life // as far as they were looked for; of all gateways where it has none
	logins map[string]Login
	ended  map[place]time.Time // the latest restart of each gateway
	last   *Entry
	events
}

// life is a session in a chunk.
type life struct {
	Session
	changed bool
	was, is tally // before the chunk, and after it
}

// events are what metrics tell of a chunk.
type events struct {
	records       [len(statusNames) + 1]int // by Status, the last for all without a name
	repeats, late int
	begun, joined int
	foreign       int
	waited        []time.Duration
}

func newChunk(ctx context.Context, b *Book, tx Tx) *chunk {
	return &chunk{
		ctx: ctx, book: b, tx: tx,
		byID: make(map[Position]*life), byKey: make(map[Key][]*life), logins: make(map[string]Login),
		ended: make(map[place]time.Time),
	}
}

// take takes entries, in order.
func (c *chunk) take(entries []Entry) error {
	now := c.book.options.Clock()
	for i := range entries {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.entry(&entries[i]); err != nil {
			return err
		}
		c.waited = append(c.waited, max(0, now.Sub(entries[i].At)))
		c.last = &entries[i]
	}
	return c.save()
}

// entry takes one. What is no accounting record stays in the log, of no session.
func (c *chunk) entry(e *Entry) error {
	r, _ := Parse(e)
	c.records[min(int64(r.Status), int64(len(c.records)-1))]++
	c.classify(&r)
	switch r.Status {
	case Start, Stop, InterimUpdate:
		if r.SessionID != "" {
			return c.speak(&r)
		}
	case AccountingOn, AccountingOff:
		if err := c.restart(&r); err != nil {
			return err
		}
	}
	return c.note(Position{}, &r, nil)
}

// note notes that r belongs to a session, and does what follows if it is no repeat.
func (c *chunk) note(session Position, r *Record, fresh func() error) error {
	isFresh, err := c.tx.Note(session, &r.Entry, fingerprint(r))
	switch {
	case err != nil:
		return fmt.Errorf("noting accounting record %s: %w", r.Position, err)
	case !isFresh:
		c.repeats++
	case fresh != nil:
		return fresh()
	}
	return nil
}

// speak takes what a NAS tells of a session.
func (c *chunk) speak(r *Record) error {
	l, err := c.life(r)
	if err != nil {
		return err
	}
	return c.note(l.ID, r, func() error {
		if r.Occurred.Before(l.Last) {
			c.late++
		}
		over := l.State == Closed
		l.add(r)
		l.changed = true
		if over && l.State != Closed {
			if err := c.succeed(l, r); err != nil {
				return err
			}
		}
		return c.join(l, r)
	})
}

// life finds the session of r, or begins it. It is looked for among those of its gateway,
// and then of all that may be it.
func (c *chunk) life(r *Record) (*life, error) {
	for _, gateway := range [...]string{r.Gateway, ""} {
		of, err := c.find(r, gateway)
		if err != nil {
			return nil, err
		}
		sessions := make([]*Session, len(of))
		for i, l := range of {
			sessions[i] = &l.Session
		}
		if s := choose(sessions, r); s != nil {
			return c.byID[s.ID], nil
		}
	}
	l := c.put(begins(r), tally{})
	l.changed = true
	c.begun++
	own, all := Key{r.NAS, r.Gateway, r.SessionID}, Key{r.NAS, "", r.SessionID}
	c.byKey[own] = append(c.byKey[own], l)
	if own != all {
		c.byKey[all] = append(c.byKey[all], l)
	}
	return l, c.succeed(l, r)
}

// maxLives is how many sessions with the same Key are looked at, the newest. There are
// gateways to which all sessions have one Acct-Session-Id.
const maxLives = 32

// find finds the sessions with the Acct-Session-Id of r that may be of its gateway, among
// those of one Gateway, or of all for "".
func (c *chunk) find(r *Record, gateway string) ([]*life, error) {
	key := Key{r.NAS, gateway, r.SessionID}
	all, known := c.byKey[key]
	if !known {
		err := c.tx.Find(key, func(s *Session) bool {
			all = append(all, c.adopt(s))
			return len(all) < maxLives
		})
		if err != nil {
			return nil, fmt.Errorf("finding session %q of NAS %q: %w", r.SessionID, r.NAS, err)
		}
		c.byKey[key] = all
	}
	return ofGateway(all, r.Gateway), nil
}

// succeed ends, now that the session of r lives, those whose Acct-Session-Id another has:
// of two, that which began before.
func (c *chunk) succeed(l *life, r *Record) error {
	for _, gateway := range [...]string{r.Gateway, ""} {
		others, err := c.find(r, gateway)
		if err != nil {
			return err
		}
		for _, other := range others {
			older := other
			if l.Started.Before(other.Started) {
				older = l
			}
			if other != l && older.State != Closed {
				older.reuse()
				older.changed = true
			}
		}
	}
	return nil
}

// adopt brings a session of the store into the chunk, if it is not there yet.
func (c *chunk) adopt(s *Session) *life {
	if l := c.byID[s.ID]; l != nil {
		return l
	}
	return c.put(s, c.book.tally(s))
}

func (c *chunk) put(s *Session, was tally) *life {
	l := &life{Session: *s, was: was}
	c.lives = append(c.lives, l)
	c.byID[s.ID] = l
	return l
}

// restart ends the sessions that an Accounting-On or -Off ends (RFC 2866 section 5.1).
// They are looked for under all gateways of the NAS that it may be, because a gateway may
// say less of itself here than it says of its sessions.
func (c *chunk) restart(r *Record) error {
	for _, l := range c.lives {
		if l.NAS == r.NAS && l.endsWith(r) {
			l.Session.restart(r)
			l.changed = true
		}
	}
	from := place{r.NAS, r.Gateway}
	if at, again := c.ended[from]; again && !r.Occurred.After(at) {
		return nil // what that has left, this does not end either
	}
	c.ended[from] = r.Occurred
	for _, gateway := range c.book.counts.gateways(r.NAS, r.Gateway) {
		if err := c.endAll(gateway, r); err != nil {
			return fmt.Errorf("ending the sessions of NAS %q: %w", r.NAS, err)
		}
	}
	return nil
}

// endAll ends the sessions of a gateway, or of all for "", that only the store has.
func (c *chunk) endAll(gateway string, r *Record) error {
	return c.tx.Living(r.NAS, gateway, func(s *Session) error {
		if c.byID[s.ID] == nil && s.endsWith(r) {
			l := c.adopt(s)
			l.Session.restart(r)
			l.changed = true
		}
		return c.ctx.Err()
	})
}

// save writes what has changed.
func (c *chunk) save() error {
	for _, l := range c.lives {
		l.is = l.was
		if !l.changed {
			continue
		}
		l.is = c.book.tally(&l.Session)
		if err := c.tx.Save(&l.Session); err != nil {
			return fmt.Errorf("saving session %s: %w", l.ID, err)
		}
	}
	return nil
}

// classify notes which login a Class of r names: the first of several.
func (c *chunk) classify(r *Record) {
	classes := c.book.options.Classes
	if classes == nil {
		return
	}
	var first Position
	for _, class := range r.Classes {
		batch, index, pool, ok := classes.Open(class)
		if at := (Position{batch, index}); ok && (r.login == "" || at.Before(first)) {
			first, r.login, r.pool = at, at.String(), pool
		}
	}
}

// loginAttempts is how often a login is looked for that is not known now, before its
// session is left without it until its next record.
const loginAttempts = 5

// errLogin is that a login is not known now.
var errLogin = errors.New("the login is not known now")

// join joins a session to the login that r names. When it was joined to one already, that
// which was first stays: a later one is of a user who has been verified again meanwhile.
// A login at another NAS is not believed: a Class is no secret, and who has that of another
// NAS's user could have its own sessions count for them.
func (c *chunk) join(l *life, r *Record) error {
	if r.login == "" || c.book.alone || l.Login.Event != "" && !eventBefore(r.login, l.Login.Event) {
		return nil
	}
	login, known := c.logins[r.login]
	if !known {
		var err error
		if login, err = c.book.login(c.ctx, r.login); err != nil {
			return err
		}
		c.logins[r.login] = login
	}
	if login.NAS != "" && login.NAS != r.NAS {
		c.foreign++
		return nil
	}
	if l.Login.Event == "" {
		c.joined++
	}
	login.Event, login.Pool = r.login, r.pool
	l.Login = login
	return nil
}

// login finds a login by its name. One whose record is gone is not known but by name.
func (b *Book) login(ctx context.Context, event string) (Login, error) {
	at, err := ParsePosition(event)
	if err != nil || b.options.Login == nil {
		return Login{}, err
	}
	login, _, err := b.options.Login(ctx, at.Batch, at.Index)
	if err != nil {
		return Login{}, fmt.Errorf("finding login %s: %w: %w", event, errLogin, err)
	}
	return login, nil
}

// eventBefore reports whether a login was before another, by their names.
func eventBefore(event, other string) bool {
	a, errA := ParsePosition(event)
	b, errB := ParsePosition(other)
	return errA == nil && errB == nil && a.Before(b)
}
