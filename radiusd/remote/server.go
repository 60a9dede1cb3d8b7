package remote

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/radiusd/packet"
)

var (
	errAbandoned  = errors.New("nobody waits for the answer any more")
	errUnanswered = errors.New("no answer")
	errLookup     = errors.New("looking up its address")
	errNoAddress  = errors.New("its name has none")
	errUnsendable = errors.New("there is no request to send")
)

// server is a remote server.
type server struct {
	client   *Client
	address  string
	host     string // its name or address
	port     uint16
	identity identity
	secret   packet.Secret
	pool     pool
	wake     chan struct{} // has the watchdog look at once

	requests, unanswered [kindCount]prometheus.Counter
	ignored              [flawCount]prometheus.Counter
	dropped              prometheus.Counter
	complained           sync.Once // about attributes that were dropped

	mu     sync.Mutex
	health health
	at     netip.AddrPort // where it is; not valid while nobody knows
}

func newServer(c *Client, s Server) (*server, error) {
	host, port, err := net.SplitHostPort(s.Address)
	if err != nil {
		return nil, fmt.Errorf("RADIUS server %q of the TMS: it has to be host:port, such as tms.example.com:1812", s.Address)
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 || host == "" {
		return nil, fmt.Errorf("RADIUS server %q of the TMS: it has to be a host and a port of 1 to 65535, such as tms.example.com:1812", s.Address)
	}
	if s.Secret.IsZero() {
		return nil, fmt.Errorf("RADIUS server %q of the TMS: it needs a shared secret", s.Address)
	}
	n := &server{
		client: c, address: s.Address, host: host, port: uint16(number), identity: identityOf(s.Address), secret: s.Secret,
		wake: make(chan struct{}, 1),
	}
	n.pool.server = n
	n.health.rise(c.clock())
	if ip, err := netip.ParseAddr(host); err == nil {
		n.at = netip.AddrPortFrom(ip.Unmap(), n.port)
	}
	return n, nil
}

// locate finds out where the server is, again if asked to. The error wraps errLookup, and
// errAbandoned when the caller has given up, which says nothing of the server.
func (s *server) locate(ctx context.Context, again bool) (netip.AddrPort, error) {
	s.mu.Lock()
	at := s.at
	s.mu.Unlock()
	if _, err := netip.ParseAddr(s.host); err == nil || at.IsValid() && !again {
		return at, nil
	}
	limited, cancel := context.WithTimeout(ctx, s.client.timeout)
	defer cancel()
	addresses, err := s.client.lookup(limited, "ip", s.host)
	if err == nil && len(addresses) == 0 {
		err = errNoAddress
	}
	switch {
	case err == nil:
		at = netip.AddrPortFrom(addresses[0].Unmap(), s.port)
	case at.IsValid(): // it is where it was
	case ctx.Err() != nil:
		return at, fmt.Errorf("%w: %w: %w", errAbandoned, errLookup, err)
	default:
		return at, fmt.Errorf("%w: %w: %w", errNotReceived, errLookup, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
	return at, nil
}

// ask sends a request, once, and waits for the answer to it. The error wraps
// errNotReceived when it is certain that no program has received the request,
// errUnanswered when there was no answer in time, and errUnsendable when the request
// is at fault.
func (s *server) ask(ctx context.Context, x *exchange, again bool, write func(*tools)) error {
	at, err := s.locate(ctx, again)
	if err != nil {
		return err
	}
	place, err := s.pool.take(at, s.client.clock())
	switch {
	case errors.Is(err, errBusy):
		return fmt.Errorf("%w: %w", errUnsendable, err)
	case err != nil:
		return fmt.Errorf("%w: %w", errNotReceived, err)
	}
	t := toolbox.Get().(*tools)
	defer toolbox.Put(t)
	wire, err := s.write(t, place.identifier, x, write)
	if err != nil {
		s.pool.release(place)
		return fmt.Errorf("%w: %w", errUnsendable, err)
	}
	s.pool.expect(place, x)
	if err := place.socket.send(wire); err != nil {
		err = fmt.Errorf("%w: %w", errNotReceived, err)
		s.pool.finish(place, x, nil, err)
		return err
	}
	return s.await(ctx, place, x)
}

// write makes the request of an exchange.
func (s *server) write(t *tools, identifier uint8, x *exchange, write func(*tools)) ([]byte, error) {
	if _, err := io.ReadFull(s.client.rand, x.authenticator[:]); err != nil {
		return nil, fmt.Errorf("making a Request Authenticator: %w", err)
	}
	t.secret, t.authenticator, t.fault = s.secret, &x.authenticator, nil
	t.builder.Begin(x.code, identifier, t.buf[:0], packet.First)
	write(t)
	if t.fault != nil {
		return nil, t.fault
	}
	return t.scratch.SignRequest(s.secret, &t.builder, &x.authenticator)
}

// await waits for the end of an exchange.
func (s *server) await(ctx context.Context, place slot, x *exchange) error {
	kind := kindOf(x.code)
	s.requests[kind].Inc()
	timer := time.NewTimer(s.client.timeout)
	defer timer.Stop()
	var why error
	limit, patient := s.client.patience(ctx)
	select {
	case <-x.ended:
		return x.err
	case <-timer.C:
		why = fmt.Errorf("%w within %v", errUnanswered, s.client.timeout)
	case <-ctx.Done():
		why = fmt.Errorf("%w: %w", errAbandoned, context.Cause(ctx))
		if patient && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			why = &lateError{limit, context.Cause(ctx)}
		}
	}
	if !s.pool.abandon(place, x) {
		return x.err
	}
	s.unanswered[kind].Inc()
	if x.ignored != flawless {
		why = fmt.Errorf("%w; what came instead %w", why, x.ignored)
	}
	return why
}

// patience is how long ctx leaves the server to answer, and whether that is half of its
// time, at least, so that who waits until then may say that the server does not answer. It
// is rounded, so that almost all of the time reads as all of it.
func (c *Client) patience(ctx context.Context) (time.Duration, bool) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return c.timeout, false
	}
	left := time.Until(deadline)
	return min(left, c.timeout).Round(c.timeout / 50), left >= c.timeout/2
}

// lateError is errUnanswered of a caller whose time is over, in the words of one whose is
// not.
type lateError struct {
	limit time.Duration
	cause error
}

func (e *lateError) Error() string { return fmt.Sprintf("%v within %v", errUnanswered, e.limit) }

func (e *lateError) Unwrap() []error { return []error{errUnanswered, e.cause} }

// verify shows a login to the server.
func (s *server) verify(ctx context.Context, l *Login, state []byte) (Reply, error) {
	s.mu.Lock()
	answers := s.health.answers
	s.mu.Unlock()
	x := newExchange(packet.AccessRequest, s.client.unsigned)
	err := s.ask(ctx, x, false, func(t *tools) { t.writeLogin(l, state, s.client.nasIdentifier) })
	s.judge(err, answers)
	if err != nil {
		return Reply{}, fmt.Errorf("RADIUS server %s of the TMS: %w", s.address, err)
	}
	return s.read(x)
}

// judge learns from what became of a login.
func (s *server) judge(err error, answers uint64) {
	at := s.client.clock()
	s.mu.Lock()
	rose, fell := false, false
	switch {
	case err == nil:
		rose = s.health.loginAnswered(at)
	case errors.Is(err, errNotReceived):
		fell = s.health.fall(at)
	case errors.Is(err, errUnanswered):
		fell = s.health.loginLost(at, answers)
	default:
		s.health.loginForgotten()
	}
	s.mu.Unlock()
	s.changed(rose, fell, err)
}

// changed tells when a server went up or down. One that went down is asked at once whether
// it is; when no server is up, all are.
func (s *server) changed(rose, fell bool, why error) {
	switch {
	case rose:
		s.client.logger.Info("RADIUS server of the TMS answers again", "server", s.address)
	case fell:
		s.client.logger.Warn("RADIUS server of the TMS does not answer; logins go to the next", "server", s.address, "error", why)
		s.rouse()
		if !s.client.anyUp() {
			s.client.logger.Error("no RADIUS server of the TMS answers")
			for _, other := range s.client.servers {
				other.rouse()
			}
		}
	}
}

func (s *server) rouse() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// isUp reports whether the server is up.
func (s *server) isUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health.up
}

// admits reports whether a login may go to the server.
func (s *server) admits(alone bool) bool {
	at := s.client.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.health.admits(at, s.client.interval, alone)
}
