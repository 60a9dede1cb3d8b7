package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign/otp"
	"countersign/tms/store/tables"
)

const (
	maxLoads = 4096 // attempts that may wait for their accounts
	maxNames = 256  // attempts whose accounts are read at once
	maxRound = 16   // how often an attempt may lose to other servers
	warmPage = 128  // users read at once to fill the cache
	// lockedPause is how long an attempt waits until it is tried again whether its row is
	// still locked.
	lockedPause = 20 * time.Millisecond
)

// stampColumns are read after those of tables.AccountColumns: the stamp of a token's row,
// and of the last login its key, its age in microseconds and its verdict.
const stampColumns = ", s.stamp, s.last_key, " + databaseNow + " - s.last_at, s.last_verdict "

const accountJoins = ` LEFT JOIN token t ON t.user_id = u.id LEFT JOIN state s ON s.token_id = t.id `

const (
	selectNamed = tables.AccountColumns + stampColumns + `FROM "user" u` + accountJoins +
		`WHERE u.name = ANY (?::text[]) ORDER BY u.name, t.id`
	selectPage = tables.AccountColumns + stampColumns + `FROM (SELECT * FROM "user" WHERE name > ? ORDER BY name LIMIT ?) u` + accountJoins +
		`ORDER BY u.name, t.id`
	// insertStates makes the rows that logins need, where there are none: an account is read
	// after that, and no act can change it then without changing its row. The stamp is a fresh
	// one: the row may have been there before, and an act have removed it just now.
	insertStates = `INSERT INTO state (token_id, rev, stamp, state)
		SELECT t.id, 0, ?::bigint, '\x0000' FROM "user" u JOIN token t ON t.user_id = u.id
		WHERE u.name = ANY (?::text[]) ORDER BY t.id ON CONFLICT (token_id) DO NOTHING`
)

// stampColumn is the column that stampColumns begin at.
const stampColumn = 19

// account is a user as the database has them, with what cached has.
type account struct {
	tables.UserRow
	stamp  int64
	last   last
	lacks  bool  // it has a token without a row in table state
	damage error // why it cannot be read
}

// cached packs an account for the cache.
func (a *account) cached() *cached {
	return &cached{account: tables.Pack(&a.UserRow), stamp: a.stamp, last: a.last}
}

// loader reads accounts for attempts, for many at once.
type loader struct {
	link
	mu    sync.Mutex
	items []item
	wake  chan struct{}
}

// loadSettings has those who wait for the rows of a user whom an act has locked not take all
// the time of the others.
const loadSettings = byIndex + "; SET lock_timeout = '1s'"

func (o *loader) init(s *Store) {
	o.link = link{store: s, repeats: true, settings: loadSettings}
	o.wake = make(chan struct{}, 1)
}

// add leaves attempts to the loader, unless too many wait and it may refuse.
func (o *loader) add(mayRefuse bool, items ...item) bool {
	o.mu.Lock()
	if mayRefuse && len(o.items) >= maxLoads {
		o.mu.Unlock()
		return false
	}
	o.items = append(o.items, items...)
	o.mu.Unlock()
	signal(o.wake)
	return true
}

// take returns what is to be read next.
func (o *loader) take(dst []item) []item {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.items), maxNames)
	dst = append(dst, o.items[:n]...)
	o.items = slices.Delete(o.items, 0, n)
	return dst
}

// later leaves an attempt to the loader.
func (l *logins) later(i item) bool {
	if l.loader.add(true, i) {
		return true
	}
	l.queue.leave()
	l.metrics.dropped(droppedLoading)
	return false
}

// again leaves attempts that have lost to the loader, in their order.
func (l *logins) again(items []item) {
	now := l.now()
	for _, i := range items {
		i.rounds++
		if i.rounds > maxRound || now-i.began > groupTime {
			l.metrics.unanswered.Inc()
			l.tell(i.attempt, errRaces)
			continue
		}
		l.loader.add(false, i)
	}
}

func (l *logins) loadLoop(ctx context.Context) {
	var items []item
	for {
		select {
		case <-l.loader.wake:
		case <-ctx.Done():
			return
		}
		for items = l.loader.take(items[:0]); len(items) > 0; items = l.loader.take(items[:0]) {
			l.load(ctx, items)
			clear(items)
		}
	}
}

// load reads the accounts of attempts and decides these.
func (l *logins) load(ctx context.Context, items []item) {
	accounts, err := l.readNamed(ctx, namesOf(items))
	l.metrics.misses.Add(float64(len(items)))
	var locked []item
	for _, i := range items {
		what, err := refused, err
		if err == nil {
			read := accounts[string(i.attempt.User)]
			if i.lost && read != nil && read.stamp == i.before {
				locked = append(locked, i)
				continue
			}
			what, err = l.decideLoaded(i, read)
		}
		if err != nil {
			l.metrics.unanswered.Inc()
		}
		if what != recorded {
			l.tell(i.attempt, err)
		}
	}
	l.retry(locked)
}

// retry leaves attempts to the loader after a while, that have lost although their rows are as
// they were: somebody has these locked, and may change them or not. It is no race.
func (l *logins) retry(locked []item) {
	if len(locked) == 0 {
		return
	}
	l.beWary()
	for i := range locked {
		locked[i].rounds, locked[i].lost = 0, false
	}
	time.AfterFunc(lockedPause, func() { l.again(locked) })
}

// namesOf are the users of attempts whom the database may know, each once.
func namesOf(items []item) []string {
	var names []string
	for _, i := range items {
		if name := string(i.attempt.User); !notText(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// decideLoaded decides an attempt by an account that was just read, nil when there is none.
// With an error it has not been decided.
func (l *logins) decideLoaded(i item, read *account) (outcome, error) {
	if read != nil && read.damage != nil {
		return refused, read.damage
	}
	sh := l.cache.shard(i.attempt.User)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	p := sh.accounts[string(i.attempt.User)]
	if p == nil && read != nil {
		if p = read.cached(); len(read.Tokens) > 0 {
			l.cache.put(sh, p)
		}
	}
	what := l.decide(sh, p, i)
	if what == refused {
		return refused, errAway
	}
	return what, nil
}

// errAway says that there is no database to record a login in.
var errAway = errors.New("the database does not answer: no login is decided until it does")

// readNamed reads users by name. Whom the database does not know is not in the result.
func (l *logins) readNamed(ctx context.Context, names []string) (map[string]*account, error) {
	if len(names) == 0 {
		return nil, nil
	}
	var accounts []*account
	err := l.loader.use(ctx, groupTime, func(c *conn) (err error) {
		accounts, err = l.readComplete(c, selectNamed, textArray(names))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the accounts of %d users: %w", len(names), err)
	}
	named := make(map[string]*account, len(accounts))
	for _, a := range accounts {
		named[a.Name] = a
	}
	return named, nil
}

// readComplete reads accounts, and makes the rows of state first that there should be.
func (l *logins) readComplete(c *conn, sql string, args ...driver.Value) ([]*account, error) {
	accounts, err := l.readAccounts(c, sql, args...)
	if err != nil {
		return nil, err
	}
	var lacking []string
	for _, a := range accounts {
		if a.lacks {
			lacking = append(lacking, a.Name)
		}
	}
	if len(lacking) == 0 {
		return accounts, nil
	}
	err = errors.Join(c.Exec(insertStates, l.stamp(), textArray(lacking)), c.flush())
	if sqlState(err) == stateLockTimeout { // by an act on one of them
		for _, a := range accounts {
			if a.lacks {
				a.damage = err
			}
		}
		return accounts, nil
	}
	if err != nil {
		return nil, err
	}
	return l.readAccounts(c, sql, args...)
}

// readAccounts reads the accounts that a statement finds. One that is damaged says so
// itself, and keeps nobody else from their account.
func (l *logins) readAccounts(c *conn, sql string, args ...driver.Value) ([]*account, error) {
	var accounts []*account
	var r tables.AccountReader
	now := l.now()
	err := c.Query(sql, func(v tables.Row) error {
		name := v.Text(0)
		if len(accounts) == 0 || accounts[len(accounts)-1].Name != name {
			accounts = append(accounts, &account{UserRow: tables.UserRow{Name: name}})
			r = tables.AccountReader{Keyring: l.keyring()}
		}
		a := accounts[len(accounts)-1]
		if a.damage != nil {
			return nil
		}
		if err := r.Add(v); err != nil {
			a.damage = fmt.Errorf("reading the account of %q: %w", name, err)
			return nil
		}
		a.add(v, now)
		a.UserRow = r.User
		return nil
	}, args...)
	return accounts, err
}

// add takes over stampColumns of a row that was read at this instant.
func (a *account) add(v tables.Row, now time.Duration) {
	const stamp, key, age, verdict = stampColumn, stampColumn + 1, stampColumn + 2, stampColumn + 3
	if v[4] == nil {
		return // a user without a token
	}
	if v[stamp] == nil {
		a.lacks = true
	}
	if len(a.Tokens) > 0 {
		return // not the first token
	}
	a.stamp = v.Integer(stamp)
	if len(v.Blob(key)) == len(a.last.key) {
		a.last = last{otp.LoginKey(v.Blob(key)), otp.Verdict(v.Integer(verdict)), now - time.Duration(v.Integer(age))*time.Microsecond}
	}
}
