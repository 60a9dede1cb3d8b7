package accounting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Options are what a Book is made of. Store and Settings are needed.
type Options struct {
	Store Store
	// Classes opens the Class of records; no session is joined to a login when it is nil.
	Classes *Classes
	// Login finds a login by the place of its record in the journal: false when it is not
	// there any more. An error means that it is not known now.
	Login func(ctx context.Context, batch uint64, index uint32) (Login, bool, error)
	// UserName brings a User-Name into the form that the users of logins have, for sessions
	// that no login tells of; it stays as it is when nil.
	UserName func(string) string
	Settings func() Settings  // asked again and again
	Clock    func() time.Time // time.Now when nil
	Logger   *slog.Logger     // silent when nil

	Registerer prometheus.Registerer
}

// Settings may change while the server runs.
type Settings struct {
	StaleAfter time.Duration // silent for so long an Open session becomes Stale
	Keep       time.Duration // a session is forgotten when it was over for so long; 0 is never
	// Known reports whether there is still a NAS of this name: sessions of others become
	// Stale, because nobody will tell of them. All are when it is nil.
	Known func(nas string) bool
}

// Book makes sessions of the entries in the log of a Store.
type Book struct {
	options Options
	metrics *metrics
	counts  counts
	lag     lag

	running sync.Mutex // held by Run, and by a count of Follow

	// The rest is for who holds running.
	taking  fault
	tidying fault
	taken   Position // the last entry that was taken
	counted bool     // counts are those of the store
	alone   bool     // logins are not to be had: sessions are not joined to them now
	late    bool     // it was told that sessions are behind
}

// NewBook returns a Book, and counts the sessions that are open. Where the store cannot
// tell them now there are none until Run has counted them.
func NewBook(ctx context.Context, o Options) (*Book, error) {
	if o.Store == nil || o.Settings == nil {
		return nil, errors.New("accounting: no store or no settings")
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.UserName == nil {
		o.UserName = func(name string) string { return name }
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
	b := &Book{
		options: o,
		taking: fault{
			logger: o.Logger,
			worse:  "sessions are not up to date; the accounting records are safe, and are taken later",
			over:   "sessions are taken from the accounting records again",
		},
		tidying: fault{
			logger: o.Logger,
			worse:  "sessions that are silent or old cannot be marked or forgotten now; this is tried again every minute",
			over:   "sessions that are silent or old are marked and forgotten again",
		},
	}
	var err error
	if b.metrics, err = newMetrics(b, o.Registerer); err != nil {
		return nil, err
	}
	_ = b.count(ctx) // Run tries again, and tells
	return b, nil
}

const (
	chunkEntries  = 512         // so many entries are taken in one transaction
	sweepPause    = time.Minute // from one look for what has gone silent or old to the next
	sweepSessions = 500         // so many are changed in one transaction,
	sweepSteps    = 20          // in so many of them at most, so that the log does not wait
	countPause    = time.Hour   // from one count of all that is open to the next
)

// Run takes what comes into the log, marks sessions that have gone silent, and forgets
// old ones, until ctx is done. Of several nodes with one store only one may run at a time.
func (b *Book) Run(ctx context.Context) {
	b.running.Lock()
	defer b.running.Unlock()
	b.counted, b.taken = false, Position{} // another node may have gone on since
	sweep, count := time.NewTicker(sweepPause), time.NewTicker(countPause)
	defer sweep.Stop()
	defer count.Stop()
	for ctx.Err() == nil {
		n, err := b.take(ctx)
		if ctx.Err() != nil {
			return
		}
		b.taking.is(err)
		switch {
		case err != nil:
			b.failed(ctx, err)
			continue
		case n == chunkEntries: // there is more
			continue
		}
		select {
		case <-b.options.Store.Appended():
			b.waitsAtMost(b.options.Clock())
		case <-count.C:
			b.counted = false
		case <-sweep.C:
			b.tidying.is(b.sweep(ctx))
		case <-ctx.Done():
		}
	}
}

// failed waits after an error. What is counted may not be true after it: a store that was
// damaged may have been made again.
func (b *Book) failed(ctx context.Context, err error) {
	b.counted = false
	b.waitsAtMost(b.options.Clock())
	b.alone = errors.Is(err, errLogin) && b.taking.times >= loginAttempts
	b.taking.pause(ctx)
}

// count counts the sessions that are open: at the beginning, after a failure, and now and
// then, because nobody tells which stale ones Forget has removed.
func (b *Book) count(ctx context.Context) error {
	var fresh counts
	err := b.options.Store.Sessions(ctx, Filter{States: []State{Open, Stale}}, func(s *Session) error {
		fresh.add(b.tally(s), 1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("counting the sessions: %w", err)
	}
	b.counts.replace(&fresh)
	b.counted = true
	return nil
}

// errAgain is that the store shows entries again that were taken: it has made its sessions
// anew.
var errAgain = errors.New("the sessions are made again from the log")

// take takes the next entries of the log. n is how many there were.
func (b *Book) take(ctx context.Context) (n int, err error) {
	if !b.counted {
		if err := b.count(ctx); err != nil {
			return 0, err
		}
	}
	var c *chunk
	n, err = b.options.Store.Take(ctx, chunkEntries, func(tx Tx, entries []Entry) error {
		if len(entries) == 0 {
			return nil
		}
		if !b.taken.Before(entries[0].Position) {
			b.taken = Position{}
			return errAgain
		}
		c = newChunk(ctx, b, tx)
		return c.take(entries)
	})
	switch {
	case errors.Is(err, errAgain):
		b.counted = false
		return chunkEntries, nil
	case err != nil:
		return 0, fmt.Errorf("taking accounting records: %w", err)
	}
	if c != nil {
		b.taken = c.last.Position
		b.settle(c)
	}
	b.alone = false
	if n == chunkEntries { // there may be more, which came after these
		b.waits(c.last.At)
		return n, nil
	}
	if b.late { // sessions of long ago are not to be counted as open
		b.tidying.is(b.sweep(ctx))
	}
	b.tookAll()
	return n, nil
}

// settle counts what a chunk did, once that is durable.
func (b *Book) settle(c *chunk) {
	b.counts.move(c.lives)
	b.metrics.add(&c.events)
}

// sweep marks sessions that have gone silent, and forgets old ones. It is called when all
// of the log was taken: what is in the log has been heard.
func (b *Book) sweep(ctx context.Context) error {
	settings, now := b.options.Settings(), b.options.Clock()
	if settings.StaleAfter > 0 {
		err := b.markStale(ctx, func(tx Tx, each func(*Session) error) error {
			return tx.Silent(now.Add(-settings.StaleAfter), sweepSessions, each)
		})
		if err != nil {
			return fmt.Errorf("marking stale sessions: %w", err)
		}
	}
	if err := b.markGone(ctx, settings.Known); err != nil {
		return err
	}
	if settings.Keep > 0 {
		if err := b.forget(ctx, now.Add(-settings.Keep)); err != nil {
			return fmt.Errorf("forgetting old sessions: %w", err)
		}
	}
	return nil
}

// markGone marks the sessions of NASes that are not known any more.
func (b *Book) markGone(ctx context.Context, known func(nas string) bool) error {
	for nas, n := range b.counts.ofNASes() {
		if known == nil || n[Open] == 0 || known(nas) {
			continue
		}
		err := b.markStale(ctx, func(tx Tx, each func(*Session) error) error {
			rest := sweepSessions
			return tx.Living(nas, "", func(s *Session) error {
				if s.State != Open || rest == 0 {
					return nil
				}
				rest--
				return each(s)
			})
		})
		if err != nil {
			return fmt.Errorf("marking the sessions of NAS %q, which is not known any more: %w", nas, err)
		}
		b.options.Logger.Warn("open sessions are of a NAS that is not configured any more: they are stale now, and count for no limit", "nas", nas, "sessions", n[Open])
	}
	return nil
}

// markStale marks the sessions that list tells, which are at most sweepSessions at a time.
func (b *Book) markStale(ctx context.Context, list func(tx Tx, each func(*Session) error) error) error {
	for range sweepSteps {
		var c *chunk
		n := 0
		err := b.options.Store.Change(ctx, func(tx Tx) error {
			c, n = newChunk(ctx, b, tx), 0
			err := list(tx, func(s *Session) error {
				l := c.adopt(s)
				l.State, l.changed = Stale, true
				n++
				return nil
			})
			return errors.Join(err, c.save())
		})
		if err != nil {
			return err
		}
		b.settle(c)
		if n < sweepSessions {
			break
		}
	}
	return nil
}

// forget removes old sessions.
func (b *Book) forget(ctx context.Context, since time.Time) error {
	for range sweepSteps {
		n := 0
		err := b.options.Store.Change(ctx, func(tx Tx) (err error) {
			n, err = tx.Forget(since, sweepSessions)
			return err
		})
		if err != nil {
			return err
		}
		if n < sweepSessions {
			break
		}
	}
	return nil
}

// OpenOf is how many sessions of a user are Open: by the name of the login, or User-Name
// where there was none. It is 0 while that is not known, and does not wait.
func (b *Book) OpenOf(user []byte) int {
	if !b.upToDate() {
		return 0
	}
	return b.counts.ofUser(user)
}

// OpenIn is how many sessions are Open that count for a session limit. It is 0 while that
// is not known, and does not wait.
func (b *Book) OpenIn(pool string) int {
	if !b.upToDate() {
		return 0
	}
	return b.counts.inPool(pool)
}
