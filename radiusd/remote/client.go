package remote

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/radiusd/packet"
)

// ErrNotSent says that no server has received a login, so that it may be shown again.
// Together with ErrLost it is the login's own fault, and says nothing of the servers.
var ErrNotSent = errors.New("not sent")

// ErrLost says that there is no answer to this one login, but most likely to the next.
var ErrLost = errors.New("the answer was lost")

var (
	errNone   = errors.New("no RADIUS server of the TMS answers")
	errDialog = errors.New("the server that asked is gone")
)

// Server is a remote server.
type Server struct {
	// Address is host:port. A host name is looked up when it is first needed, and again
	// while the server is down.
	Address string
	Secret  packet.Secret
}

// Options are what a Client is made of. Servers is needed; all else has a default.
type Options struct {
	Servers []Server // the first that is up is used
	// Timeout is how long a server may take to answer: 5 s when 0.
	Timeout time.Duration
	// Watchdog is the interval of Status-Servers: 10 s when 0.
	Watchdog time.Duration
	// UnsignedReplies takes answers to logins that have no Message-Authenticator, of
	// servers that know none. Who can change what they send then lets in whom they
	// like (CVE-2024-3596).
	UnsignedReplies bool
	// NASIdentifier is what we call ourselves, in Status-Servers and in logins of a NAS
	// that does not say who it is: "countersign" when empty.
	NASIdentifier string

	Clock      func() time.Time // time.Now when nil; safe for concurrent use, as is Rand
	Rand       io.Reader        // crypto/rand when nil
	Logger     *slog.Logger     // silent when nil
	Registerer prometheus.Registerer
}

// Client shows logins to remote servers. Its methods are safe for concurrent use.
type Client struct {
	servers       []*server
	timeout       time.Duration
	interval      time.Duration
	unsigned      bool
	nasIdentifier string
	clock         func() time.Time
	rand          io.Reader
	logger        *slog.Logger
	lookup        func(ctx context.Context, network, host string) ([]netip.Addr, error)
	states        states
}

// New returns a Client. It sends nothing yet. An error says what is wrong with the
// options.
func New(o Options) (*Client, error) {
	c := &Client{
		timeout: o.Timeout, interval: o.Watchdog, unsigned: o.UnsignedReplies, nasIdentifier: o.NASIdentifier,
		clock: o.Clock, rand: o.Rand, logger: o.Logger, lookup: net.DefaultResolver.LookupNetIP,
	}
	c.setDefaults()
	if len(o.Servers) == 0 {
		return nil, errors.New("no RADIUS servers of the TMS are given")
	}
	for _, s := range o.Servers {
		n, err := newServer(c, s)
		if err != nil {
			return nil, err
		}
		if c.byIdentity(n.identity) != nil {
			return nil, fmt.Errorf("RADIUS server %q of the TMS is given twice", s.Address)
		}
		c.servers = append(c.servers, n)
	}
	if err := newMetrics(c, o.Registerer); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Client) setDefaults() {
	if c.timeout == 0 {
		c.timeout = 5 * time.Second
	}
	if c.interval == 0 {
		c.interval = 10 * time.Second
	}
	if c.nasIdentifier == "" {
		c.nasIdentifier = "countersign"
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
}

// Close closes the sockets. What is in flight is lost, and no login is sent any more.
func (c *Client) Close() {
	for _, s := range c.servers {
		s.pool.close()
	}
}

// Verify shows a login to one server, once, and returns what it answers; doc.go tells
// to which. An error means that there is no answer, or no server that is up. It wraps
// ErrLost when only this login is lost, and the next may be shown, and ErrNotSent when no
// server has received it.
func (c *Client) Verify(ctx context.Context, l *Login) (Reply, error) {
	if l.Dialog != nil {
		return c.resume(ctx, l)
	}
	err := errNone
	for _, s := range c.servers {
		if !s.admits(!s.othersUp()) {
			continue
		}
		reply, failed := s.verify(ctx, l, nil)
		if !errors.Is(failed, errNotReceived) {
			return reply, c.grade(failed)
		}
		err = failed
	}
	return Reply{}, fmt.Errorf("%w: %w", ErrNotSent, err)
}

// resume shows a login that continues a dialog to the server that asked.
func (c *Client) resume(ctx context.Context, l *Login) (Reply, error) {
	d, ok := parseDialog(l.Dialog)
	s := c.byIdentity(d.server)
	if !ok || s == nil {
		return Reply{}, fmt.Errorf("%w: %w: %w", ErrNotSent, ErrLost, errDialog)
	}
	state, ok := c.states.of(d, c.clock())
	if !ok {
		return Reply{}, fmt.Errorf("%w: %w: what the server has asked was too long ago, or before a restart", ErrNotSent, ErrLost)
	}
	if !s.admits(!s.othersUp()) {
		return Reply{}, fmt.Errorf("%w: %w: %w: RADIUS server %s of the TMS does not answer", ErrNotSent, ErrLost, errDialog, s.address)
	}
	reply, err := s.verify(ctx, l, state)
	return reply, c.grade(err)
}

// grade has an error wrap ErrLost when the next login may well be answered: it was the
// login's own fault, or a server is up. One that was given up before the server's address
// was known was not sent.
func (c *Client) grade(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errAbandoned) && errors.Is(err, errLookup):
		return fmt.Errorf("%w: %w", ErrNotSent, err)
	case errors.Is(err, errUnsendable):
		return fmt.Errorf("%w: %w: %w", ErrNotSent, ErrLost, err)
	case c.anyUp():
		return fmt.Errorf("%w: %w", ErrLost, err)
	}
	return err
}

func (c *Client) anyUp() bool {
	for _, s := range c.servers {
		if s.isUp() {
			return true
		}
	}
	return false
}

func (c *Client) byIdentity(id identity) *server {
	for _, s := range c.servers {
		if s.identity == id {
			return s
		}
	}
	return nil
}

// State is what is believed of a server.
type State struct {
	Server string // its address, as in Server.Address
	Up     bool
	Since  time.Time // when that began
	// StatusServer: it has answered a Status-Server.
	StatusServer bool
}

// States returns what is believed of each server, in their order.
func (c *Client) States() []State {
	all := make([]State, len(c.servers))
	for i, s := range c.servers {
		s.mu.Lock()
		all[i] = State{Server: s.address, Up: s.health.up, Since: s.health.since, StatusServer: s.health.speaks}
		s.mu.Unlock()
	}
	return all
}
