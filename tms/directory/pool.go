package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxIdle is how long a connection may have been idle to be used again. After
// a longer time a firewall may have forgotten it.
const maxIdle = time.Minute

// errBusy says that there was no time left to wait for a connection.
var errBusy = errors.New("all connections are in use")

// pool is a bounded number of connections to a server, of one kind.
type pool struct {
	open     func(context.Context) (*conn, error)
	patience time.Duration // how long to wait for others to give theirs back
	slots    chan struct{} // one for each connection in use

	mu     sync.Mutex
	idle   []*conn // the one used last is the last
	closed bool
}

func newPool(size int, patience time.Duration, open func(context.Context) (*conn, error)) *pool {
	return &pool{open: open, patience: patience, slots: make(chan struct{}, size)}
}

// acquire waits for a place in a channel.
func acquire(ctx context.Context, slots chan<- struct{}, patience time.Duration) error {
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case slots <- struct{}{}:
		return nil
	case <-timer.C:
		return errBusy
	case <-ctx.Done():
		return fmt.Errorf("%w (%w)", errBusy, context.Cause(ctx))
	}
}

// take gives a connection, an idle one unless a fresh one is wanted because those
// that are idle are not to be trusted. Each one taken has to be given back.
func (p *pool) take(ctx context.Context, fresh bool) (c *conn, idle bool, err error) {
	if err := acquire(ctx, p.slots, p.patience); err != nil {
		return nil, false, err
	}
	if fresh {
		p.drop()
	}
	for {
		c := p.lastIdle()
		if c == nil {
			break
		}
		if !c.ldap.IsClosing() && time.Since(c.since) < maxIdle {
			return c, true, nil
		}
		c.close()
	}
	if c, err = p.open(ctx); err != nil {
		<-p.slots
	}
	return c, false, err
}

func (p *pool) lastIdle() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return nil
	}
	c := p.idle[len(p.idle)-1]
	p.idle = p.idle[:len(p.idle)-1]
	return c
}

// give takes a connection back, and keeps it when it is sound.
func (p *pool) give(c *conn, sound bool) {
	if !sound || !p.keep(c) {
		c.close()
	}
	<-p.slots
}

func (p *pool) keep(c *conn) bool {
	c.since = time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.idle = append(p.idle, c)
	}
	return !p.closed
}

// close closes the connections that are idle, and those in use once they are
// given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.drop()
}

// drop closes the connections that are idle.
func (p *pool) drop() {
	for c := p.lastIdle(); c != nil; c = p.lastIdle() {
		c.close()
	}
}
