package postgres

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"countersign/tms/store/tables"
)

// Claim is that somebody wants to show something to a TMS, which no other node may have
// shown.
type Claim struct {
	Key   [16]byte
	Login [16]byte      // whose it is; zero: nobody's
	Keep  time.Duration // how long the claim holds
	Over  uint8         // a state that is as good as no claim; 0: none
}

// Sighting is what became of a claim.
type Sighting struct {
	// State is 0 when the claim is ours now, and else that of another's: 1, or what Settle
	// said.
	State uint8
	Same  bool          // the other's is of the same login
	Age   time.Duration // how old the other's state is, by the clock of the database
}

const (
	maxClaims   = 4096 // that may wait
	maxTogether = 256  // that one statement makes
	// settleTime is for how long Settle is tried.
	settleTime = 5 * time.Second
	// sweepTime is how often what is over is removed.
	sweepTime = time.Minute
)

// errClaims says that too many claims wait.
var errClaims = errors.New("too many claims wait for the database")

// takeClaims makes claims that are ours then: where there is none, or one that is over. Its
// arguments are keys, logins, how long they hold in microseconds, and states that are as good
// as none. It returns the keys.
const takeClaims = `WITH asked AS MATERIALIZED (
	SELECT * FROM unnest(?::bytea[], ?::bytea[], ?::bigint[], ?::bigint[]) a (key, login, keep, over)
)
INSERT INTO claim AS c (key, login, state, at, until)
SELECT key, login, 1, ` + databaseNow + `, ` + databaseNow + ` + keep FROM asked ORDER BY key
ON CONFLICT (key) DO UPDATE SET login = excluded.login, state = 1, at = excluded.at, until = excluded.until
WHERE c.until <= excluded.at OR c.state = (SELECT a.over FROM asked a WHERE a.key = c.key AND a.over <> 0)
RETURNING key`

const (
	selectClaims = "SELECT key, login, state, " + databaseNow + " - at FROM claim WHERE key = ANY (?::bytea[]) AND until > " + databaseNow
	settleClaims = `UPDATE claim c SET state = s.state, at = ` + databaseNow + `, until = ` + databaseNow + ` + s.keep
		FROM (SELECT * FROM unnest(?::bytea[], ?::bigint[], ?::bigint[]) u (key, state, keep) ORDER BY key) s WHERE c.key = s.key`
	dropClaims  = "DELETE FROM claim WHERE key IN (SELECT key FROM claim WHERE key = ANY (?::bytea[]) ORDER BY key FOR UPDATE)"
	sweepClaims = "DELETE FROM claim WHERE key IN (SELECT key FROM claim WHERE until < " + databaseNow + " LIMIT 1000 FOR UPDATE SKIP LOCKED)"
)

// claims makes and settles claims, many at once.
type claims struct {
	link
	wake chan struct{}

	mu      sync.Mutex
	waiting []claimOrder
}

// claimOrder is one call of Claim, or of Settle, which has no done.
type claimOrder struct {
	Claim
	state uint8
	done  func(Sighting, error)
	began time.Time
	vain  int // how often the claim of another was gone when it was looked at
}

func (c *claims) init(s *Store) {
	c.link = link{store: s}
	c.wake = make(chan struct{}, 1)
}

// Claim claims what c says, and calls done once, with an error when it cannot be known whose
// it is. It does not wait, nor may done.
func (s *Store) Claim(c Claim, done func(Sighting, error)) {
	if err := s.Ready(); err != nil {
		done(Sighting{}, err)
		return
	}
	if !s.logins.claims.add(claimOrder{Claim: c, done: done, began: time.Now()}) {
		done(Sighting{}, errClaims)
	}
}

// Settle says what became of what was claimed, and how long that is to be known; state 0
// gives the claim back. It does not wait; while the database is away it is tried for some
// seconds.
func (s *Store) Settle(key [16]byte, state uint8, keep time.Duration) {
	s.logins.claims.add(claimOrder{Claim: Claim{Key: key, Keep: keep}, state: state, began: time.Now()})
}

func (c *claims) add(o claimOrder) bool {
	c.mu.Lock()
	if o.done != nil && len(c.waiting) >= maxClaims || len(c.waiting) >= 2*maxClaims {
		c.mu.Unlock()
		return false
	}
	c.waiting = append(c.waiting, o)
	c.mu.Unlock()
	signal(c.wake)
	return true
}

// take returns what can be done at once: as many as there may be, and none after another of
// its key.
func (c *claims) take() []claimOrder {
	c.mu.Lock()
	defer c.mu.Unlock()
	seen := map[[16]byte]bool{}
	n := 0
	for n < min(len(c.waiting), maxTogether) && !seen[c.waiting[n].Key] {
		seen[c.waiting[n].Key] = true
		n++
	}
	taken := slices.Clone(c.waiting[:n])
	c.waiting = slices.Delete(c.waiting, 0, n)
	return taken
}

// back puts orders before all others.
func (c *claims) back(orders []claimOrder) {
	if len(orders) == 0 {
		return
	}
	c.mu.Lock()
	c.waiting = slices.Insert(c.waiting, 0, orders...)
	c.mu.Unlock()
	signal(c.wake)
}

func (c *claims) loop(ctx context.Context) {
	sweep := time.NewTicker(sweepTime)
	defer sweep.Stop()
	for {
		select {
		case <-c.wake:
			for orders := c.take(); len(orders) > 0; orders = c.take() {
				c.work(ctx, orders)
			}
		case <-sweep.C:
			_ = c.use(ctx, groupTime, sweepOver) // what is left goes the next time
		case <-ctx.Done():
			for orders := c.take(); len(orders) > 0; orders = c.take() {
				c.refuse(orders, errClosed)
			}
			return
		}
	}
}

// sweepOver removes what is over.
func sweepOver(c *conn) error {
	if err := c.Exec(sweepClaims); err != nil {
		return err
	}
	return c.Exec(sweepThrottles)
}

// work does orders that are of different keys.
func (c *claims) work(ctx context.Context, orders []claimOrder) {
	var asked, settled []claimOrder
	for _, o := range orders {
		if o.done != nil {
			asked = append(asked, o)
		} else {
			settled = append(settled, o)
		}
	}
	if err := c.use(ctx, groupTime, func(k *conn) error { return settle(k, settled) }); err != nil {
		c.refuse(asked, err)
		c.later(ctx, settled)
		return
	}
	if len(asked) == 0 {
		return
	}
	var sightings map[[16]byte]Sighting
	err := c.use(ctx, groupTime, func(k *conn) (err error) {
		sightings, err = claim(k, asked)
		return err
	})
	if err != nil {
		c.refuse(asked, err)
		return
	}
	var again []claimOrder
	for _, o := range asked {
		if sighting, known := sightings[o.Key]; known {
			o.done(sighting, nil)
		} else if o.vain++; o.vain < maxConflicts {
			again = append(again, o)
		} else {
			o.done(Sighting{}, errRaces)
		}
	}
	c.back(again)
}

func (c *claims) refuse(orders []claimOrder, err error) {
	for _, o := range orders {
		if o.done != nil {
			o.done(Sighting{}, err)
		}
	}
}

// later tries once more to settle what is not too old for that.
func (c *claims) later(ctx context.Context, orders []claimOrder) {
	c.back(slices.DeleteFunc(orders, func(o claimOrder) bool { return time.Since(o.began) > settleTime }))
	pause(ctx, retryTime)
}

// settle does what Settle is for.
func settle(k *conn, orders []claimOrder) error {
	var set, dropped []claimOrder
	for _, o := range orders {
		if o.state != 0 {
			set = append(set, o)
		} else {
			dropped = append(dropped, o)
		}
	}
	if len(set) > 0 {
		keys, states, keeps := keysOf(set), integerArray(len(set), func(i int) int64 { return int64(set[i].state) }), keepsOf(set)
		if err := k.Exec(settleClaims, keys, states, keeps); err != nil {
			return err
		}
	}
	if len(dropped) == 0 {
		return k.flush()
	}
	if err := k.flush(); err != nil { // a transaction by itself, or two nodes could wait for each other
		return err
	}
	return k.Exec(dropClaims, keysOf(dropped))
}

// claim does what Claim is for. Whose claim is not in the result was gone when it was looked
// at.
func claim(k *conn, orders []claimOrder) (map[[16]byte]Sighting, error) {
	sightings := map[[16]byte]Sighting{}
	logins := bytesArray(len(orders), func(i int) []byte { return orders[i].Login[:] })
	overs := integerArray(len(orders), func(i int) int64 { return int64(orders[i].Over) })
	err := k.Query(takeClaims, func(r tables.Row) error {
		sightings[keyOf(r.Blob(0))] = Sighting{}
		return nil
	}, keysOf(orders), logins, keepsOf(orders), overs)
	if err == nil && k.undurable {
		err = errUndurable
	}
	if err != nil || len(sightings) == len(orders) {
		return sightings, err
	}
	others := map[[16]byte]claimOrder{}
	var names []claimOrder
	for _, o := range orders {
		if _, ours := sightings[o.Key]; !ours {
			others[o.Key] = o
			names = append(names, o)
		}
	}
	return sightings, k.Query(selectClaims, func(r tables.Row) error {
		key := keyOf(r.Blob(0))
		login := keyOf(r.Blob(1))
		sightings[key] = Sighting{
			State: uint8(r.Integer(2)), Age: time.Duration(r.Integer(3)) * time.Microsecond,
			Same: login != [16]byte{} && login == others[key].Login,
		}
		return nil
	}, keysOf(names))
}

func keysOf(orders []claimOrder) string {
	return bytesArray(len(orders), func(i int) []byte { return orders[i].Key[:] })
}

func keepsOf(orders []claimOrder) string {
	return integerArray(len(orders), func(i int) int64 { return orders[i].Keep.Microseconds() })
}

// keyOf is a key as a row has it.
func keyOf(b []byte) (key [16]byte) {
	copy(key[:], b)
	return key
}
