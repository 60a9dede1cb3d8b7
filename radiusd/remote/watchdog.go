package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/radiusd/packet"
)

// Run sends Status-Servers until ctx is done. Without it a server that has gone down
// stays down.
func (c *Client) Run(ctx context.Context) {
	var watchdogs sync.WaitGroup
	for _, s := range c.servers {
		watchdogs.Go(func() { s.watch(ctx) })
	}
	watchdogs.Wait()
}

// watch asks the server whether it is there, now and then.
func (s *server) watch(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	seen := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-timer.C:
		}
		wait := s.client.jitter()
		if !s.answersAnyway(&seen) && errors.Is(s.probe(ctx), errUnanswered) && s.doubtful() {
			wait = 0 // the second miss, or an answer, decides
		}
		timer.Reset(wait)
	}
}

// answersAnyway reports whether a Status-Server would tell nothing new: the server is
// up and has answered logins since the last time.
func (s *server) answersAnyway(seen *uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &s.health
	fresh := h.answers != *seen
	*seen = h.answers
	return fresh && h.up && h.speaks && h.missed == 0
}

// doubtful reports whether a Status-Server of a server that is up was not answered.
func (s *server) doubtful() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health.missed > 0
}

// jitter is the interval, an eighth more or less, so that servers like us do not all
// ask at the same moment (RFC 3539 section 3.4.1).
func (c *Client) jitter() time.Duration {
	var b [1]byte
	if _, err := io.ReadFull(c.rand, b[:]); err != nil {
		return c.interval
	}
	eighth := c.interval / 8
	return c.interval - eighth + eighth*time.Duration(b[0])/128
}

// probe sends a Status-Server (RFC 5997) and learns from what becomes of it. An answer
// without a Message-Authenticator will do: it decides no login.
func (s *server) probe(ctx context.Context) error {
	_, err := s.askStatus(ctx)
	at, alone := s.client.clock(), !s.othersUp()
	s.mu.Lock()
	rose, fell := false, false
	switch {
	case err == nil:
		rose = s.health.statusAnswered(at, alone)
	case errors.Is(err, errNotReceived):
		fell = s.health.statusRefused(at)
	case errors.Is(err, errUnanswered):
		fell = s.health.statusLost(at)
	}
	s.mu.Unlock()
	s.changed(rose, fell, err)
	return err
}

func (s *server) askStatus(ctx context.Context) (*exchange, error) {
	x := newExchange(packet.StatusServer, true)
	err := s.ask(ctx, x, !s.isUp(), func(t *tools) { t.builder.AddString(packet.NASIdentifier, s.client.nasIdentifier) })
	if err != nil {
		return nil, fmt.Errorf("Status-Server to %s: %w", s.address, err)
	}
	return x, nil
}

// othersUp reports whether another server is up.
func (s *server) othersUp() bool {
	for _, other := range s.client.servers {
		if other != s && other.isUp() {
			return true
		}
	}
	return false
}

// Probe finds out whether the TMS answers: whether a server is up or, where none is,
// answers a Status-Server now, or may be tried with a login because it never answers
// any. The error is one line.
func (c *Client) Probe(ctx context.Context) error {
	if c.anyUp() {
		return nil
	}
	failed := make([]error, len(c.servers))
	var probes sync.WaitGroup
	for i, s := range c.servers {
		probes.Go(func() { failed[i] = s.probe(ctx) })
	}
	probes.Wait()
	at := c.clock()
	for _, s := range c.servers {
		if s.mayBeTried(at) {
			return nil
		}
	}
	failed = slices.DeleteFunc(failed, func(err error) bool { return err == nil })
	if len(failed) == 0 {
		return nil
	}
	return failures(failed)
}

// failures are the errors of several servers, in one line.
type failures []error

func (f failures) Error() string {
	texts := make([]string, len(f))
	for i, err := range f {
		texts[i] = err.Error()
	}
	return strings.Join(texts, "; ")
}

func (f failures) Unwrap() []error { return f }

// mayBeTried reports whether a login could go to the server now.
func (s *server) mayBeTried(at time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health.up || s.health.due(at, s.client.interval, true)
}
