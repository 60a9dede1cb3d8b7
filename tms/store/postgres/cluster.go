package postgres

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"
)

// cluster is this node among those that share the database. Every so often, at a tick, it
// looks into the database on a connection of its own: at its clock, at the change numbers
// (watch.go) and the leases (lease.go), and writes there that it is alive (node.go). When
// the database does not answer it is the tick that finds it again.
//
// All instants in the database are microseconds since 1970 of its own clock: those of the
// nodes may differ. What a node has to stop in time it measures by its own monotonic clock.
type cluster struct {
	clusterOptions
	instance string // a number of this process, which no other has
	process  string // see processID
	metrics  clusterMetrics

	ctx   context.Context // of work and watchers, until stop
	end   context.CancelFunc
	parts sync.WaitGroup // work and watchers
	ticks sync.WaitGroup // the goroutine that ticks
	quit  chan struct{}  // ends it, when all else has ended
	wake  chan struct{}  // has the next tick come at once

	suspected atomic.Bool  // see suspect
	found     atomic.Value // string: host:port where the tick found the database
	stalled   atomic.Value // string: why commits wait, as long as they do
	keyFile   atomic.Value // string: that of this node, while it does not open the store

	// statements is held while statements run on conn, and guards the fields below it.
	statements sync.Mutex
	conn       *pgx.Conn // nil while there is none
	doubtful   bool      // the last commit is not known to be on a standby
	broken     bool      // since the last tick that went well
	late       bool      // the last tick took too long, and logins went on
	beaten     time.Time // when the last heartbeat was written, by clock
	skew       time.Duration
	standing   string // what is wrong with the standbys, as the log was told
	displaced  bool   // another process has our name

	mu       sync.Mutex       // guards what is below
	tasks    map[string]*task // by name
	watchers []*watcher
}

// clusterOptions are what a cluster works with.
type clusterOptions struct {
	node    string // "" is a command, which is not listed among the nodes
	version string
	schema  int64
	// config says how to connect. What it returns is changed.
	config func(context.Context) (*pgx.ConnConfig, error)
	// explain puts an error of connecting into words.
	explain func(error) error
	clock   func() time.Time
	rand    io.Reader
	logger  *slog.Logger
	// failed is told at each tick that finds no database that commits, and works at the
	// first that does again.
	failed func(error)
	works  func()
	times  clusterTimes
}

// clusterTimes are how long things take. Those that are 0 are as usual.
type clusterTimes struct {
	tick     time.Duration // from one look to the next
	beat     time.Duration // from one heartbeat, or renewal of a lease, to the next
	ttl      time.Duration // of a lease; and a node that is silent for so long is dead
	retry    time.Duration // from one attempt to connect to the next
	deadline time.Duration // to connect, and half of that of a tick
}

func (t *clusterTimes) fill() {
	for _, usual := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.tick, 500 * time.Millisecond}, {&t.beat, 2 * time.Second}, {&t.ttl, 8 * time.Second},
		{&t.retry, 200 * time.Millisecond}, {&t.deadline, 1500 * time.Millisecond},
	} {
		if *usual.field == 0 {
			*usual.field = usual.value
		}
	}
}

// clockNow is the database's clock. It is asked anew wherever that stands, also after a
// wait for a lock, as databaseNow is not.
const clockNow = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

func (c *cluster) init(o clusterOptions) error {
	var instance [8]byte
	if _, err := io.ReadFull(o.rand, instance[:]); err != nil {
		return fmt.Errorf("choosing a number for this process: %w", err)
	}
	o.times.fill()
	c.clusterOptions = o
	c.instance, c.process = hex.EncodeToString(instance[:]), processID()
	// Nodes that started in the same instant do not go on in step.
	c.times.tick += c.times.tick * (time.Duration(instance[0]) - 128) / 1280
	c.ctx, c.end = context.WithCancel(context.Background())
	c.wake, c.quit = make(chan struct{}, 1), make(chan struct{})
	c.tasks = map[string]*task{}
	c.metrics.init()
	return nil
}

// start makes this node one of the cluster, or says why it cannot be. It may wait, until
// a process that had its name and was killed counts as dead.
func (c *cluster) start(ctx context.Context, registerer prometheus.Registerer) error {
	if err := c.enter(ctx); err != nil {
		c.hangUp()
		return err
	}
	if err := c.metrics.register(registerer); err != nil {
		return err
	}
	c.ticks.Go(c.run)
	return nil
}

// stop ends all work, gives its leases back and takes this node off the list. Leases are
// renewed until the work has come to rest.
func (c *cluster) stop(registerer prometheus.Registerer) {
	c.mu.Lock() // nobody begins anything afterwards
	c.end()
	c.mu.Unlock()
	c.parts.Wait()
	close(c.quit)
	c.ticks.Wait()
	c.leave()
	c.metrics.unregister(registerer)
}

// run ticks until stop.
func (c *cluster) run() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		<-c.quit
		cancel()
	}()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-c.quit:
			return
		case <-timer.C:
		case <-c.wake:
		}
		pause := c.times.tick
		if c.tick(ctx) != nil {
			pause = c.times.retry
		}
		timer.Reset(pause)
	}
}

// hurry has the next tick come at once.
func (c *cluster) hurry() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// suspect is called when a commit failed elsewhere: the next tick, which comes at once,
// tries whether commits are possible, and calls works or failed.
func (c *cluster) suspect() {
	c.suspected.Store(true)
	c.hurry()
}

// stall tells why commits wait for a standby although the database answers, "" when it is not
// known that they do.
func (c *cluster) stall() string { return text(&c.stalled) }

// text is a value that is a string, "" before there is one.
func text(v *atomic.Value) string {
	s, _ := v.Load().(string)
	return s
}

// tick does what is due. An error is one that the whole store suffers from.
func (c *cluster) tick(ctx context.Context) error {
	c.statements.Lock()
	defer c.statements.Unlock()
	if c.suspected.Swap(false) {
		c.broken = true
	}
	seen, err := c.round(ctx)
	switch {
	case ctx.Err() != nil, c.conn == nil && c.ctx.Err() != nil: // it was broken off
		return nil
	case passing(err):
		return nil
	case err != nil && !c.broken && !c.late && errors.Is(err, context.DeadlineExceeded):
		// This machine or the database may just be slow. Logins notice by themselves when
		// nothing can be committed.
		c.hangUp()
		c.late = true
		return err
	case err != nil:
		c.hangUp()
		c.broken = true
		c.failed(err)
		return err
	case c.broken:
		c.broken = false
		c.works()
	}
	c.late = false
	c.compare(seen.changes) // not before: who is told reads what has changed, and that works now
	return nil
}

func (c *cluster) round(ctx context.Context) (*sight, error) {
	if err := c.connect(ctx); err != nil {
		c.stalled.Store("")
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*c.times.deadline) // a database that is slow for a second is there
	defer cancel()
	seen, err := c.look(ctx)
	if err != nil {
		c.stalled.Store("")
		return nil, err
	}
	if c.broken || c.clock().Sub(c.beaten) >= c.times.beat {
		c.observe(ctx) // before a commit is tried, which may wait in vain
		displaced := c.displaced
		if err := c.beat(ctx); err != nil {
			return nil, err
		}
		if c.displaced && !displaced {
			c.logger.Error("another process has the name of this node, and this one is not in the list: give it another name by node in [cluster]", "node", c.node)
		}
	}
	return seen, c.workOn(ctx, seen)
}
