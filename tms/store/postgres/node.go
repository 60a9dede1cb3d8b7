package postgres

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/tms"
	"countersign/tms/store/tables"
)

// forgetTime is how long after it was last heard of a node stays in the list.
const forgetTime = 24 * time.Hour

// Of table node. A heartbeat is not worth waiting for a standby: after a fail-over it is
// written again.
const (
	beginLocally = "BEGIN; SET LOCAL synchronous_commit TO local"

	beatNode = `INSERT INTO node AS n (name, instance, process, version, schema, started, seen, skew, key_file)
		VALUES ($1, $2, $7, $3, $4, ` + clockNow + `, ` + clockNow + `, $5, $8)
		ON CONFLICT (name) DO UPDATE SET
			instance = excluded.instance, process = excluded.process, version = excluded.version, schema = excluded.schema,
			seen = excluded.seen, skew = excluded.skew, key_file = excluded.key_file,
			started = CASE WHEN n.instance = excluded.instance THEN n.started ELSE excluded.started END
		WHERE n.instance = excluded.instance OR n.seen <= excluded.seen - $6`
	readNode    = "SELECT instance, process, version, started, seen FROM node WHERE name = $1"
	leaveNode   = "DELETE FROM node WHERE name = $1 AND instance = $2"
	forgetNodes = "DELETE FROM node WHERE seen < " + clockNow + " - $1"
)

// namesake is a process that has our name.
type namesake struct {
	instance, process, version string
	started, seen              int64
}

// enter writes this node into the list. Of a process that has its name already it waits
// for a sign of life, another heartbeat, unless it was one of this machine, and has ended.
// When there is none it was killed.
func (c *cluster) enter(ctx context.Context) error {
	c.statements.Lock()
	defer c.statements.Unlock()
	if err := c.connect(ctx); err != nil || c.node == "" {
		return err
	}
	var first *namesake
	for {
		if err := c.beat(ctx); err != nil || !c.displaced {
			return errors.Join(err, c.forgetOthers(ctx))
		}
		n, err := c.namesake(ctx)
		if err != nil {
			return err
		}
		if n == nil {
			continue
		}
		if first == nil {
			first = n
			c.logger.Info("waiting for a sign of life of another process with the name of this node", "node", c.node, "version", n.version, "started", instant(n.started))
		}
		if *n != *first {
			return fmt.Errorf("another process (version %s, started %s) is node %q of this cluster: stop it, or give this one another name by node in [cluster]", n.version, instant(n.started).UTC().Format(time.RFC3339), c.node)
		}
		if pause(ctx, c.times.tick/2); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// namesake reads about the process that has our name; nil is that there is none any more.
func (c *cluster) namesake(ctx context.Context) (*namesake, error) {
	n := new(namesake)
	err := c.conn.QueryRow(ctx, readNode, c.node).Scan(&n.instance, &n.process, &n.version, &n.started, &n.seen)
	if err == nil && ended(n.process) {
		_, err = c.commit(ctx, beginLocally, leaveNode, c.node, n.instance)
		n = nil
	}
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading about node %q: %w", c.node, err)
	}
	return n, nil
}

func (c *cluster) forgetOthers(ctx context.Context) error {
	if _, err := c.commit(ctx, beginLocally, forgetNodes, forgetTime.Microseconds()); err != nil {
		return fmt.Errorf("taking old nodes off the list: %w", err)
	}
	return nil
}

// forgetNode takes a node off the list that is not there any more. One that is alive would
// be back in it with its next heartbeat.
func (c *cluster) forgetNode(w tables.Conn, name string) error {
	alive, known := false, false
	err := w.Query("SELECT seen > "+clockNow+" - ? FROM node WHERE name = ?", func(r tables.Row) error {
		alive, known = r.Integer(0) != 0, true
		return nil
	}, c.times.ttl.Microseconds(), name)
	switch {
	case err != nil:
		return err
	case !known:
		return fmt.Errorf("node %q: %w: `countersign cluster status` lists them", name, tms.ErrNotFound)
	case alive:
		return fmt.Errorf("%w: node %q is alive: stop it first", tms.ErrInvalid, name)
	}
	return w.Exec("DELETE FROM node WHERE name = ?", name)
}

// commit has a statement done in a transaction of its own, and returns how many rows it
// changed.
func (c *cluster) commit(ctx context.Context, begin, sql string, args ...any) (changed int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.times.deadline)
	defer cancel()
	c.doubtful = false
	err = pgx.BeginTxFunc(ctx, c.conn, pgx.TxOptions{BeginQuery: begin}, func(tx pgx.Tx) error {
		done, err := tx.Exec(ctx, sql, args...)
		changed = done.RowsAffected()
		return err
	})
	if err == nil && c.doubtful {
		err = errNotReplicated
	}
	return changed, err
}

// beat tells the others that this node is alive. After a failure it is a commit like any
// other, and so tells us that commits are possible again.
func (c *cluster) beat(ctx context.Context) error {
	if c.node == "" {
		return nil
	}
	begin := beginLocally
	if c.broken {
		begin = "BEGIN"
	}
	ours, err := c.commit(ctx, begin, beatNode, c.node, c.instance, c.version, c.schema, c.skew.Microseconds(), c.times.ttl.Microseconds(), c.process, text(&c.keyFile))
	if err != nil {
		return fmt.Errorf("telling the others that this node is alive: %w", err)
	}
	c.beaten, c.displaced = c.clock(), ours == 0
	return nil
}

// errNotReplicated is a commit of which nobody knows whether it survives a fail-over.
var errNotReplicated = errors.New("no synchronous standby has taken the commit")

// leave takes this node off the list, if that can be done.
func (c *cluster) leave() {
	c.statements.Lock()
	defer c.statements.Unlock()
	if c.conn == nil {
		return // it is dead to the others soon
	}
	if _, err := c.commit(context.Background(), beginLocally, leaveNode, c.node, c.instance); err != nil {
		c.logger.Warn("the other nodes could not be told that this one stops", "error", err)
	}
	c.hangUp()
}

// instant is one of the database's clock.
func instant(micros int64) time.Time {
	if micros == 0 {
		return time.Time{}
	}
	return time.UnixMicro(micros)
}
