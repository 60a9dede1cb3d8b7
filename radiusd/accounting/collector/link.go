package collector

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"countersign/radiusd/packet"
)

const (
	identifiers = 256 // of a socket
	mostSockets = 16
	rest        = 2 * time.Second // of an Identifier, while there may be more sockets
)

var (
	errClosed = errors.New("the sockets to it were closed")
	errBusy   = errors.New("too many requests are on their way to it")
)

// link has the sockets to a server. Once closed it is not used again.
type link struct {
	server *server

	mu      sync.Mutex
	sockets []*socket
	free    []slot // the one that was not used for longest is the first
	closed  error  // why
}

// slot is an Identifier of a socket.
type slot struct {
	socket     *socket
	identifier uint8
	used       time.Time
}

// socket is a connected UDP socket, with what is in flight on it.
type socket struct {
	link    *link
	conn    *net.UDPConn
	waiting [identifiers]*exchange
}

// exchange is a request and what comes of it. What changes is the link's.
type exchange struct {
	authenticator [packet.AuthenticatorLength]byte
	ended         chan struct{} // closed when over
	err           error         // nil when it was answered
	strange       bool          // something came that did not prove to be the answer
}

// grow opens a socket. Its slots were never used, so they come first.
func (l *link) grow() error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(l.server.address))
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	s := &socket{link: l, conn: conn}
	slots := make([]slot, identifiers, identifiers+len(l.free))
	for i := range slots {
		slots[i] = slot{socket: s, identifier: uint8(i)}
	}
	l.free = append(slots, l.free...)
	l.sockets = append(l.sockets, s)
	go s.receive()
	return nil
}

// take takes a slot. One that was used just now is used only when there can be no more
// sockets: some servers tell requests by port and Identifier alone.
func (l *link) take(now time.Time) (slot, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		return slot{}, l.closed
	}
	if (len(l.free) == 0 || now.Sub(l.free[0].used) < rest) && len(l.sockets) < mostSockets {
		if err := l.grow(); err != nil && len(l.free) == 0 {
			return slot{}, err
		}
	}
	if len(l.free) == 0 {
		return slot{}, errBusy
	}
	s := l.free[0]
	l.free = l.free[1:]
	return s, nil
}

// release gives a slot back. What comes for it now is not expected.
func (l *link) release(s slot, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.socket.waiting[s.identifier] = nil
	s.used = now
	l.free = append(l.free, s)
}

func (l *link) expect(s slot, x *exchange) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		x.end(l.closed)
		return
	}
	s.socket.waiting[s.identifier] = x
}

func (l *link) isClosed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closed != nil
}

// close ends all that is in flight.
func (l *link) close(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed != nil {
		return
	}
	l.closed = why
	for _, s := range l.sockets {
		_ = s.conn.Close()
		for i, x := range s.waiting {
			if x != nil {
				x.end(why)
				s.waiting[i] = nil
			}
		}
	}
}

func (x *exchange) end(err error) {
	x.err = err
	close(x.ended)
}

// silence is the error of an exchange that was not answered.
func (l *link) silence(x *exchange) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	timeout := l.server.client.timeout
	if x.strange {
		return fmt.Errorf("no answer that is made with our shared secret within %d x %v: configure the same secret here and there", sendings, timeout)
	}
	return fmt.Errorf("no answer within %d x %v", sendings, timeout)
}

// send sends a request. An error is often that of an earlier one: nobody listens there.
func (s *socket) send(wire []byte) {
	if _, err := s.conn.Write(wire); err != nil && !errors.Is(err, net.ErrClosed) {
		s.link.close(err)
	}
}

// receive takes what comes until the socket is closed.
func (s *socket) receive() {
	buf := make([]byte, packet.MaxLength)
	t := new(tools)
	var reply packet.Request
	for {
		n, err := s.conn.Read(buf)
		switch {
		case err == nil && reply.Parse(buf[:n]) == nil:
			s.match(t, &reply)
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.link.close(err)
		}
	}
}

// match ends the exchange that a packet answers.
func (s *socket) match(t *tools, reply *packet.Request) {
	s.link.mu.Lock()
	defer s.link.mu.Unlock()
	x := s.waiting[reply.Identifier]
	switch {
	case x == nil:
	case reply.Code != packet.AccountingResponse || t.scratch.VerifyReply(s.link.server.secret, reply, &x.authenticator) != nil:
		x.strange = true
	default:
		s.waiting[reply.Identifier] = nil
		x.end(nil)
	}
}
