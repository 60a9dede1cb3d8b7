package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"countersign/tms/store"
)

const (
	// groupTime is how long an attempt may wait for its group to be durable.
	groupTime = 2 * time.Second
	// retryTime is how long it takes until a connection is tried again.
	retryTime = 200 * time.Millisecond
	// idleTime is how often a connection that is not used is looked at.
	idleTime = 500 * time.Millisecond
	// maxConflicts is how often a group is tried again that the database has refused
	// because of others.
	maxConflicts = 8
	// lockTime is how long a group waits for others, in which all logins of this node do. What
	// another node commits takes milliseconds; but an act may stand still.
	lockTime = 300 * time.Millisecond
	// waryTime is how long groups do not wait for rows any more, after one did in vain. It is
	// as long as an act may have them.
	waryTime = statementTime
)

// probeStatement is a commit that changes nothing: it tells whether one is possible.
const probeStatement = "UPDATE head SET number = number WHERE id = 2"

// burner makes groups durable on a connection that has nothing else to do. It belongs to
// burnLoop.
type burner struct {
	store    *Store
	conn     *conn
	plain    *pgconn.StatementDescription // burnStatement
	further  *pgconn.StatementDescription // burnFurther
	wary     *pgconn.StatementDescription // burnUnlocked
	isWary   bool                         // as the connection is set
	writer   burnWriter
	won      []int64
	gatherer store.Gatherer
	timer    *time.Timer
}

func (b *burner) init(s *Store) {
	b.store = s
	b.timer = time.NewTimer(time.Hour)
	b.timer.Stop()
}

// burnSettings has the server work for a group as long as we wait for it, and wait for locks
// as waryLocks says.
const burnSettings = byIndex + "; SET statement_timeout = '2s'; " + waryLocks

// How long a group waits for a lock. When it does not wait for rows, what it still waits for is
// held by who commits, and whoever gave up waiting for that would only have to wait anew.
const waryLocks = "SET lock_timeout = 0"

var patientLocks = "SET lock_timeout = " + milliseconds(lockTime)

// connect makes the connection, and a commit to see whether that is possible.
func (b *burner) connect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, groupTime)
	defer cancel()
	c, err := b.store.connect(ctx, burnSettings)
	if err != nil {
		return err
	}
	if err = b.prepare(ctx, c); err == nil {
		err = c.raw.Exec(ctx, probeStatement).Close()
	}
	if err == nil && c.undurable {
		err = errUndurable
	}
	if err != nil {
		hangUp(c.raw)
		return fmt.Errorf("preparing the connection for logins: %w", err)
	}
	b.conn, b.isWary = c, true
	return nil
}

func (b *burner) prepare(ctx context.Context, c *conn) (err error) {
	if b.plain, err = c.raw.Prepare(ctx, "burn", burnStatement, nil); err != nil {
		return err
	}
	if b.further, err = c.raw.Prepare(ctx, "burn_further", burnFurther, nil); err != nil {
		return err
	}
	b.wary, err = c.raw.Prepare(ctx, "burn_unlocked", burnUnlocked, nil)
	return err
}

// burn makes a group durable. It returns the number of the batch and the places of the
// entries that have won, until the next call. With an error nobody knows what has happened.
func (b *burner) burn(g *group, until time.Time) (number uint64, won []int64, err error) {
	b.writer.write(g)
	for range maxConflicts {
		if number, won, err = b.execute(until); !b.again(err) {
			break
		}
	}
	switch {
	case err == nil && b.conn.undurable:
		err = errUndurable
	case err == nil && number == 0 && (len(won) > 0 || g.freed > 0):
		err = errors.New("the database has no head of the journal, so logins are not recorded: restore a backup")
	}
	return number, won, err
}

// again reports whether the database has refused a group because of others: nothing of it has
// happened then, and it may be tried again.
func (b *burner) again(err error) bool {
	switch sqlState(err) {
	case stateDeadlock, stateSerialization:
		return true
	case stateLockTimeout, stateCanceled:
		b.store.logins.beWary()
		return true
	}
	return false
}

// resultFormats are those of what the statements return.
var resultFormats = []int16{binaryFormat, binaryFormat}

// execute runs a statement once. The end of its transaction is part of it.
func (b *burner) execute(until time.Time) (number uint64, won []int64, err error) {
	if err := b.conn.raw.Conn().SetDeadline(until); err != nil {
		return 0, nil, err
	}
	statement, err := b.choose()
	if err != nil {
		return 0, nil, err
	}
	n := len(statement.ParamOIDs)
	reader := b.conn.raw.ExecStatement(context.Background(), statement, b.writer.values[:n], b.writer.formats[:n], resultFormats)
	for reader.NextRow() {
		row := reader.Values()
		if len(row[0]) == 8 {
			number = binary.BigEndian.Uint64(row[0])
		}
		b.won, err = integers(b.won[:0], row[1])
	}
	if _, closed := reader.Close(); closed != nil {
		return 0, nil, closed
	}
	return number, b.won, err
}

// choose is the statement for a group, and sets the connection for it.
func (b *burner) choose() (*pgconn.StatementDescription, error) {
	wary := b.store.logins.isWary()
	statement, locks := b.further, patientLocks
	switch {
	case wary:
		statement, locks = b.wary, waryLocks
	case b.writer.plain():
		statement = b.plain
	}
	if wary != b.isWary {
		if err := b.conn.raw.Exec(context.Background(), locks).Close(); err != nil {
			return nil, err
		}
		b.isWary = wary
	}
	return statement, nil
}

// beWary has groups not wait for rows for a while, because somebody keeps some locked.
func (l *logins) beWary() { l.waryUntil.Store(int64(l.now() + waryTime)) }

func (l *logins) isWary() bool { return int64(l.now()) < l.waryUntil.Load() }

// alive looks whether an idle connection has broken.
func (b *burner) alive() error {
	if err := b.conn.raw.Conn().SetDeadline(time.Now().Add(groupTime / 2)); err != nil {
		return err
	}
	return b.conn.raw.Ping(context.Background())
}

func (b *burner) close() {
	if b.conn != nil {
		hangUp(b.conn.raw)
		b.conn = nil
	}
}

// burnLoop makes groups durable, one after the other.
func (l *logins) burnLoop(ctx context.Context) {
	defer l.burner.close()
	idle := time.NewTicker(idleTime)
	defer idle.Stop()
	for ctx.Err() == nil {
		var g *group
		var err error
		if l.queue.reached(1) {
			l.gather(ctx)
			if g = l.queue.take(); g != nil {
				err = l.commit(g)
			}
		} else {
			select {
			case <-l.queue.wake:
			case <-idle.C:
				err = l.burner.alive()
			case <-ctx.Done():
			}
		}
		if err != nil {
			l.fail(err, g)
			l.recover(ctx)
		}
	}
}

// gather lets the group grow while there is load.
func (l *logins) gather(ctx context.Context) {
	b := &l.burner
	target := b.gatherer.Target(time.Now())
	if l.queue.reached(target) {
		return
	}
	b.timer.Reset(store.GatherTime)
	defer b.timer.Stop()
	for !l.queue.reached(target) {
		select {
		case <-l.queue.wake:
		case <-b.timer.C:
			b.gatherer.GaveUp()
			return
		case <-ctx.Done():
			return
		}
	}
}

// commit makes a group durable and has the answers given. With an error there are none yet.
func (l *logins) commit(g *group) error {
	began := time.Now()
	waited := max(0, l.now()-g.items[0].began)
	number, won, err := l.burner.burn(g, began.Add(max(groupTime-waited, groupTime/2)))
	if err == nil {
		err = g.settle(won)
	}
	if err != nil {
		return fmt.Errorf("committing %d logins: %w", len(g.items), err)
	}
	now := time.Now()
	l.burner.gatherer.Committed(len(g.items), now)
	l.metrics.committed(len(g.items), now.Sub(began))
	l.dropLosers(g)
	l.answers <- answer{group: g, number: number}
	return nil
}

// dropLosers takes the accounts out of the cache by which something was decided that another
// node has made untrue. What was decided on top of it meanwhile loses too.
func (l *logins) dropLosers(g *group) {
	for i := range g.entries {
		if e := &g.entries[i]; !e.won {
			l.cache.drop(e.owner)
			l.metrics.lost.Add(float64(e.count))
		}
	}
}

// fail ends the connection and has everybody told who waits: those of the group that was in
// flight, if any, and of those behind it. What the accounts were changed to that they were
// decided by may have happened or not, so they are read again.
func (l *logins) fail(err error, g *group) {
	l.connected(false)
	l.queue.close()
	l.burner.close()
	l.store.failed(err)
	if g == nil {
		g = l.queue.take()
	}
	for ; g != nil; g = l.queue.take() {
		for i := range g.entries {
			l.cache.drop(g.entries[i].owner)
		}
		l.answers <- answer{group: g, err: fmt.Errorf("%w: %w", errAway, err)}
	}
}

// recover connects again and again until that succeeds.
func (l *logins) recover(ctx context.Context) {
	retry := time.NewTicker(retryTime)
	defer retry.Stop()
	for {
		err := l.burner.connect(ctx)
		if err == nil {
			l.epoch.Add(1)
			l.queue.open()
			l.connected(true)
			return
		}
		if ctx.Err() != nil {
			return
		}
		l.store.failed(err)
		select {
		case <-retry.C:
		case <-l.resumed:
		case <-ctx.Done():
			return
		}
	}
}

// obstacles are what keeps logins from being taken.
type obstacles struct{ unlinked, suspended, closed bool }

// obstruct changes what keeps logins from being taken.
func (l *logins) obstruct(change func(*obstacles)) {
	l.state.Lock()
	defer l.state.Unlock()
	change(&l.obstacles)
	l.down.Store(l.obstacles != obstacles{})
}

// connected says whether there is a connection to make logins durable on.
func (l *logins) connected(yes bool) { l.obstruct(func(o *obstacles) { o.unlinked = !yes }) }

// suspend has no login taken until resume: the database is away, as others have found. What
// is under way meets its fate.
func (l *logins) suspend() { l.obstruct(func(o *obstacles) { o.suspended = true }) }

// resume ends what suspend began.
func (l *logins) resume() {
	l.obstruct(func(o *obstacles) { o.suspended = false })
	signal(l.resumed)
}
