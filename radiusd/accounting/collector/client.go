package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/radiusd/packet"
)

const defaultTimeout = 2 * time.Second

// client is the sink of accounting servers.
type client struct {
	servers []*server
	timeout time.Duration
	pace    *pace
	figures *figures
	clock   func() time.Time
	rand    io.Reader
	logger  *slog.Logger
	answers atomic.Uint64 // of all servers
	tools   sync.Pool     // of *tools
}

// tools are what a goroutine makes requests with.
type tools struct {
	scratch packet.Scratch
	builder packet.Builder
	buf     [packet.MaxLength]byte
}

func newClient(c *Collector) *client {
	k := &client{
		timeout: c.RADIUS.Timeout, pace: newPace(), figures: c.figures, clock: c.Clock, rand: c.Rand, logger: c.Logger,
		tools: sync.Pool{New: func() any { return new(tools) }},
	}
	if k.timeout == 0 {
		k.timeout = defaultTimeout
	}
	for _, s := range c.RADIUS.Servers {
		k.servers = append(k.servers, &server{client: k, address: s.Address, secret: s.Secret})
	}
	return k
}

func (k *client) limit() int { return k.pace.limit() }

func (k *client) most() int { return 1 }

func (k *client) failed() { k.pace.failed() }

func (k *client) close() {
	for _, s := range k.servers {
		s.close()
	}
}

// deliver shows a record to one server after the other until one answers: to those that
// are up, those that are to be tried again, and all when none is up.
func (k *client) deliver(ctx context.Context, batch []*item) (int, error) {
	answers, none := k.answers.Load(), k.noneUp()
	var failures []string
	for _, s := range k.servers {
		if !none && !s.admits(k.clock()) {
			continue
		}
		err := s.ask(ctx, batch[0])
		switch {
		case err == nil:
			k.answers.Add(1)
			return 1, nil
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, errUnsendable):
			return 0, err
		}
		failures = append(failures, fmt.Sprintf("%s: %v", s.address, err))
	}
	err := errors.New(strings.Join(failures, "; "))
	if k.answers.Load() != answers {
		return 0, fmt.Errorf("%w: %w", errRefused, err)
	}
	return 0, err
}

func (k *client) noneUp() bool {
	for _, s := range k.servers {
		if s.isUp() {
			return false
		}
	}
	return true
}
