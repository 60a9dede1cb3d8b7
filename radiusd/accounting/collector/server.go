package collector

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"countersign/radiusd/packet"
)

// sendings is how often a request is sent. What is sent after that is another request,
// with another Acct-Delay-Time.
const sendings = 3

// server is an accounting server. It is up until it has not answered a request, nor any
// other since that was sent first.
type server struct {
	client  *client
	address netip.AddrPort
	secret  packet.Secret
	answers atomic.Uint64

	mu       sync.Mutex
	link     *link // nil while there is none
	down     bool
	trying   bool // a record is on its way that tries whether it is up again
	failures int  // in a row
	again    time.Time
}

// admits reports whether the server is up, or else is to be tried with the record that is
// at hand. Others go to the next server until it is known what comes of that.
func (s *server) admits(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.down {
		return true
	}
	if s.trying || now.Before(s.again) {
		return false
	}
	s.trying = true
	return true
}

func (s *server) isUp() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.down
}

// ask sends a record, several times if it has to, and waits for the answer.
func (s *server) ask(ctx context.Context, it *item) error {
	answers := s.answers.Load()
	err := s.exchange(ctx, it)
	switch {
	case err == nil:
		s.answers.Add(1)
		s.rise()
	case ctx.Err() != nil || errors.Is(err, errUnsendable):
		s.forget()
	default:
		s.client.figures.failures.Inc()
		s.lose(err, s.answers.Load() != answers)
	}
	return err
}

func (s *server) exchange(ctx context.Context, it *item) error {
	l, err := s.connect()
	if err != nil {
		return err
	}
	place, err := l.take(s.client.clock())
	if err != nil {
		return err
	}
	wire, err := s.write(it, place.identifier)
	if err != nil {
		l.release(place, s.client.clock())
		return err
	}
	x := &exchange{authenticator: [packet.AuthenticatorLength]byte(wire[4:packet.HeaderLength]), ended: make(chan struct{})}
	l.expect(place, x)
	defer func() { l.release(place, s.client.clock()) }()
	began := s.client.clock()
	if err := s.send(ctx, place, x, wire); err != nil {
		return err
	}
	s.client.figures.latency.Observe(s.client.clock().Sub(began).Seconds())
	return nil
}

// connect returns the link to the server, a new one when there is none.
func (s *server) connect() (*link, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link == nil || s.link.isClosed() {
		l := &link{server: s}
		if err := l.grow(); err != nil {
			return nil, err
		}
		s.link = l
	}
	return s.link, nil
}

// write returns the signed request of a record.
func (s *server) write(it *item, identifier uint8) ([]byte, error) {
	t := s.client.tools.Get().(*tools)
	defer s.client.tools.Put(t)
	t.builder.Begin(packet.AccountingRequest, identifier, t.buf[:0], packet.Off)
	if err := write(&t.builder, &it.Entry, s.client.clock()); err != nil {
		return nil, err
	}
	wire, err := t.scratch.SignRequest(s.secret, &t.builder, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errUnsendable, err)
	}
	return bytes.Clone(wire), nil
}

// send sends a request until its exchange has ended. The repeats are the same octets, so
// the server knows them for what they are.
func (s *server) send(ctx context.Context, place slot, x *exchange, wire []byte) error {
	timer := time.NewTimer(s.client.timeout)
	defer timer.Stop()
	for n := range sendings {
		if n > 0 {
			s.client.figures.repeats.Inc()
			s.client.pace.lost(s.client.clock(), s.client.timeout)
			timer.Reset(s.client.timeout)
		}
		place.socket.send(wire)
		select {
		case <-x.ended:
			if x.err == nil {
				s.client.pace.answered()
			}
			return x.err
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
		}
	}
	return place.socket.link.silence(x)
}

func (s *server) rise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		s.client.logger.Info("accounting server answers again", "server", s.address)
	}
	s.down, s.trying, s.failures = false, false, 0
}

// lose is for a record that was not answered. Live says that others were meanwhile, so
// that nothing is learned of the server.
func (s *server) lose(err error, live bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tried := s.trying
	s.trying = false
	if live {
		return
	}
	s.unlink(fmt.Errorf("the server went down: %w", err))
	if s.down && !tried {
		return
	}
	if !s.down {
		s.client.logger.Warn("accounting server does not answer", "server", s.address, "error", err)
	}
	s.down = true
	s.failures++
	s.again = s.client.clock().Add(pause(s.failures, s.client.rand))
}

// forget is for a record of which nothing is learned.
func (s *server) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trying = false
}

func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlink(errClosed)
}

// unlink closes the sockets, so that the next have another port, and another address of
// ours if it has changed.
func (s *server) unlink(why error) {
	if s.link != nil {
		s.link.close(why)
		s.link = nil
	}
}
