package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// A lease is a row that says which node does some work, and until when by the database's
// clock. The node renews it every two seconds, for eight. Others may take it when it has
// ended or was given back, never before. The node itself stops six seconds after it began
// to ask for the renewal that was granted last, by its own clock: that is two seconds
// before the lease ends, in which what it does can come to rest, and in which the clocks
// of two databases may differ when one takes over from the other.

// leaseRow is a row of table lease; nobody has one without an instance.
type leaseRow struct {
	instance string
	until    int64
}

// takeLeases takes leases, or renews them, and returns the names of those we have then.
// The order keeps nodes that take several from waiting for each other in a circle.
const takeLeases = `INSERT INTO lease AS l (name, node, instance, since, until)
	SELECT name, $2, $3, ` + clockNow + `, ` + clockNow + ` + $4 FROM unnest($1::text[]) AS name ORDER BY name
	ON CONFLICT (name) DO UPDATE SET
		node = excluded.node, instance = excluded.instance, until = excluded.until,
		since = CASE WHEN l.instance = excluded.instance THEN l.since ELSE excluded.since END
	WHERE l.instance IN (excluded.instance, '') OR l.until <= ` + clockNow + `
	RETURNING name`

const releaseLease = `UPDATE lease SET node = '', instance = '', since = ` + clockNow + `, until = 0 WHERE name = $1 AND instance = $2`

// task is work that this node would do.
type task struct {
	name string
	ctx  context.Context // of Work
	held chan *hold      // gets the lease
	done chan struct{}   // closed when Work is over

	mu   sync.Mutex
	hold *hold // nil while it waits for a lease
}

// hold is a lease that this node has. Its context is that of the work.
type hold struct {
	ctx     context.Context
	end     context.CancelFunc
	timer   *time.Timer // ends it
	renewed time.Time   // when that was asked for
	lost    bool
}

// work is Store.Work.
func (c *cluster) work(ctx context.Context, name string, run func(context.Context)) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	t := c.want(ctx, name)
	if t == nil {
		return
	}
	defer c.release(t)
	for {
		c.hurry()
		select {
		case <-ctx.Done():
			return
		case h := <-t.held:
			run(h.ctx)
			if ctx.Err() != nil || h.ctx.Err() == nil {
				return
			}
			t.wait()
		}
	}
}

// want has the tick look for a lease. Somebody else of this process with the same work is
// waited for. It returns nil when ctx is done.
func (c *cluster) want(ctx context.Context, name string) *task {
	t := &task{name: name, ctx: ctx, held: make(chan *hold, 1), done: make(chan struct{})}
	for {
		c.mu.Lock()
		if ctx.Err() != nil || c.ctx.Err() != nil {
			c.mu.Unlock()
			return nil
		}
		other := c.tasks[name]
		if other == nil {
			c.tasks[name] = t
			c.parts.Add(1)
			c.mu.Unlock()
			c.metrics.held.WithLabelValues(name).Set(0)
			return t
		}
		c.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-other.done:
		}
	}
}

// release gives the lease of a task back, now that its work is over, so that another node
// need not wait for the end of it.
func (c *cluster) release(t *task) {
	defer c.parts.Done()
	c.statements.Lock() // no renewal is under way now
	defer c.statements.Unlock()
	t.lose(c)
	c.mu.Lock()
	delete(c.tasks, t.name)
	c.mu.Unlock()
	defer close(t.done)
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.times.deadline)
	defer cancel()
	if _, err := c.conn.Exec(ctx, releaseLease, t.name, c.instance); err != nil {
		c.logger.Warn("a lease could not be given back, and ends by itself", "lease", t.name, "error", err)
	}
}

// workOn takes and renews leases.
func (c *cluster) workOn(ctx context.Context, seen *sight) error {
	wanted := c.wanted(seen)
	if len(wanted) == 0 {
		return nil
	}
	asked := c.clock()
	granted, err := c.take(ctx, wanted)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, name := range granted {
		t, row := c.tasks[name], seen.leases[name]
		if t.grant(c, asked) && row.instance != "" && row.instance != c.instance {
			c.metrics.takeovers.Inc()
			c.logger.Warn("this node goes on with the work of another that does not answer", "lease", name)
		}
	}
	return nil
}

// wanted are the names of the leases that are free and wanted, and of those to renew.
func (c *cluster) wanted(seen *sight) (names []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, t := range c.tasks {
		row := seen.leases[name]
		ours := row.instance == c.instance
		switch h := t.holding(); {
		case h == nil && (ours || row.instance == "" || row.until <= seen.now):
			names = append(names, name)
		case h == nil || h.lost:
		case !ours:
			t.lose(c)
		case c.clock().Sub(h.renewed) >= c.times.beat:
			names = append(names, name)
		}
	}
	return names
}

// take asks for leases and returns those that were granted.
func (c *cluster) take(ctx context.Context, names []string) ([]string, error) {
	c.doubtful = false
	rows, err := c.conn.Query(ctx, takeLeases, names, c.node, c.instance, c.times.ttl.Microseconds())
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err == nil && c.doubtful {
		err = errNotReplicated
	}
	if err != nil {
		return nil, fmt.Errorf("taking and renewing leases: %w", err)
	}
	return names, nil
}

// holding is the lease of a task, nil while it waits for one. A task whose work is still
// coming to rest may have lost it: it asks for none until then, and keeps no other node
// from the work.
func (t *task) holding() *hold {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hold == nil {
		return nil
	}
	h := *t.hold
	return &h
}

// wait has a task look for a lease again.
func (t *task) wait() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hold = nil
}

// grant gives a task its lease, or a longer one, that was asked for at some instant. It
// reports whether the task had none.
func (t *task) grant(c *cluster, asked time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := c.times.ttl*3/4 - c.clock().Sub(asked)
	if left <= 0 {
		return false
	}
	if h := t.hold; h != nil {
		if !h.lost && h.timer.Stop() { // it has not ended
			h.renewed = asked
			h.timer.Reset(left)
		}
		return false
	}
	h := &hold{renewed: asked}
	h.ctx, h.end = context.WithCancel(t.ctx)
	h.timer = time.AfterFunc(left, func() { t.lose(c) })
	t.hold = h
	t.held <- h
	c.metrics.held.WithLabelValues(t.name).Set(1)
	return true
}

// lose ends the work of a task.
func (t *task) lose(c *cluster) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if h := t.hold; h != nil {
		h.lost = true
		h.timer.Stop()
		h.end()
	}
	c.metrics.held.WithLabelValues(t.name).Set(0)
}
