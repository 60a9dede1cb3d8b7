package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"countersign/otp"
	"countersign/tms/store/tables"
)

const (
	// lateCommits is how much later than its instant says a row may be seen.
	lateCommits = 5 * time.Second
	// maxThrottles is how many rows one exchange reads.
	maxThrottles = 65536
)

// addThrottles adds wrong PINs to those of all nodes, and forgiveThrottles forgets those
// first. The arguments are keys, how many, and how long ago the last was in microseconds.
const (
	addThrottles     = insertThrottles + "wrong = greatest(t.wrong + excluded.wrong, 0)" + laterThrottle
	forgiveThrottles = insertThrottles + "wrong = excluded.wrong" + laterThrottle

	insertThrottles = `INSERT INTO throttle AS t (key, wrong, last, changed)
		SELECT key, wrong, ` + databaseNow + ` - age, ` + databaseNow + `
		FROM unnest(?::bytea[], ?::bigint[], ?::bigint[]) u (key, wrong, age) ORDER BY key
		ON CONFLICT (key) DO UPDATE SET `
	laterThrottle = ", last = greatest(t.last, excluded.last), changed = excluded.changed"
)

const (
	selectThrottles = "SELECT key, wrong, " + databaseNow + " - last, changed FROM throttle WHERE changed > ? ORDER BY changed LIMIT ?"
	// sweepThrottles removes what is forgotten by all nodes: what is older than half an hour.
	sweepThrottles = `DELETE FROM throttle WHERE key IN (SELECT key FROM throttle
		WHERE changed < ` + databaseNow + ` - 1800000000 AND last < ` + databaseNow + ` - 1800000000 LIMIT 1000 FOR UPDATE SKIP LOCKED)`
)

// throttles is the connection of ExchangeMisses, and up to when it has read.
type throttles struct {
	link
	read int64 // microseconds of the clock of the database
}

// ExchangeMisses adds what this node has counted of wrong PINs (otp.Verifier.TakeMisses) to
// what all nodes have, and returns what has changed of that since the last time, of this node
// too (otp.Verifier.PutMisses). One goroutine calls it, now and then. After an error mine may
// be added, or not.
func (s *Store) ExchangeMisses(ctx context.Context, mine []otp.Miss) (all []otp.Miss, err error) {
	t := &s.logins.throttles
	err = t.use(ctx, groupTime, func(c *conn) error {
		all = all[:0]
		if err := writeMisses(c, mine); err != nil {
			return err
		}
		return c.Query(selectThrottles, func(r tables.Row) error {
			t.read = max(t.read, r.Integer(3))
			all = append(all, otp.Miss{Key: keyOf(r.Blob(0)), Wrong: int(r.Integer(1)), Age: time.Duration(r.Integer(2)) * time.Microsecond})
			return nil
		}, t.read-lateCommits.Microseconds(), int64(maxThrottles))
	})
	if err != nil {
		return nil, fmt.Errorf("telling other nodes of %d users and sources with wrong PINs: %w", len(mine), err)
	}
	return all, nil
}

// writeMisses adds what one node has counted, in two transactions, because their rows are
// taken in the order of keys.
func writeMisses(c *conn, mine []otp.Miss) error {
	for _, forgiven := range []bool{true, false} {
		part := slices.DeleteFunc(slices.Clone(mine), func(m otp.Miss) bool { return m.Forgiven != forgiven })
		if len(part) == 0 {
			continue
		}
		sql := addThrottles
		if forgiven {
			sql = forgiveThrottles
		}
		err := c.Exec(sql,
			bytesArray(len(part), func(i int) []byte { return part[i].Key[:] }),
			integerArray(len(part), func(i int) int64 { return int64(part[i].Wrong) }),
			integerArray(len(part), func(i int) int64 { return part[i].Age.Microseconds() }))
		if err == nil {
			err = c.flush()
		}
		if err != nil {
			return err
		}
	}
	return nil
}
