package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/tms/store/tables"
)

// The kinds of what changes, of which nodes keep a copy.
const (
	changedRules   = "rules"
	changedInvited = "invited" // users
	changedSenders = "senders" // NASes that have sent a Message-Authenticator
	changedKeyring = "keyring"
	changedMails   = "mails" // that wait
	changedStock   = "stock" // of learnable tokens
)

// watcher is somebody who wants to know of changes.
type watcher struct {
	kind   string
	known  int64         // number that it knows of; unknown if none
	signal chan struct{} // has its function called
}

// unknown is no number of a change.
const unknown = -1

// changed notes that something of a kind changes, for watchers at all nodes. It belongs
// to the transaction that changes it. Acts that change the same wait here for each other.
func changed(w tables.Conn, kind string) error {
	err := w.Exec("INSERT INTO change AS c (kind, number) VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET number = c.number + 1", kind)
	if err != nil {
		return fmt.Errorf("telling other nodes that %s have changed: %w", kind, err)
	}
	return nil
}

// onChange has f called soon, because what was read before may be old by now, and then
// after each change of that kind by any node, and whenever the database was away. It is
// not called while it runs: changes meanwhile are one call afterwards. After an error it is
// called again with a later tick. It is called no more once stop returns, which waits for it.
func (c *cluster) onChange(kind string, f func() error) {
	w := &watcher{kind, unknown, make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx.Err() != nil {
		return
	}
	c.watchers = append(c.watchers, w)
	c.parts.Go(func() {
		for {
			select {
			case <-c.ctx.Done():
				return
			case <-w.signal:
				if f() != nil {
					c.unlearn(w)
				}
			}
		}
	})
}

// compare tells those watchers who know of another number.
func (c *cluster) compare(changes map[string]int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watchers {
		if n := changes[w.kind]; n != w.known {
			w.known = n
			select {
			case w.signal <- struct{}{}:
			default: // it will be called for both
			}
		}
	}
}

// unlearn has a watcher called at the next look, for what it had to do has failed.
func (c *cluster) unlearn(w *watcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.known = unknown
}

// forget has all watchers called at the next look. The database may be another one, that
// never had the last changes, and counts on from a lower number.
func (c *cluster) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.watchers {
		w.known = unknown
	}
}

// sight is what a tick sees.
type sight struct {
	now     int64 // by the database's clock
	changes map[string]int64
	leases  map[string]leaseRow
}

// look reads all that a tick has to know, in one round trip.
func (c *cluster) look(ctx context.Context) (*sight, error) {
	s := &sight{changes: map[string]int64{}, leases: map[string]leaseRow{}}
	var batch pgx.Batch
	var following bool
	var answered time.Time
	batch.Queue("SELECT " + clockNow + ", current_setting('transaction_read_only')::bool").QueryRow(func(row pgx.Row) error {
		answered = c.clock()
		return row.Scan(&s.now, &following)
	})
	batch.Queue("SELECT kind, number FROM change").Query(func(rows pgx.Rows) error {
		var kind string
		var number int64
		_, err := pgx.ForEachRow(rows, []any{&kind, &number}, func() error { s.changes[kind] = number; return nil })
		return err
	})
	batch.Queue("SELECT name, instance, until FROM lease").Query(func(rows pgx.Rows) error {
		var name string
		var row leaseRow
		_, err := pgx.ForEachRow(rows, []any{&name, &row.instance, &row.until}, func() error { s.leases[name] = row; return nil })
		return err
	})
	asked := c.clock()
	if err := c.conn.SendBatch(ctx, &batch).Close(); err != nil {
		return nil, fmt.Errorf("looking at the cluster: %w", err)
	}
	if following {
		return nil, errors.New("the database takes no commits: it is a standby, or read only")
	}
	// The database read its clock halfway between.
	halfway := asked.UnixMicro() + answered.Sub(asked).Microseconds()/2
	c.skew = time.Duration(halfway-s.now) * time.Microsecond
	return s, nil
}
