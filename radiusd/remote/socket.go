package remote

import (
	"bytes"
	"errors"
	"net"

	"countersign/radiusd/packet"
)

// exchange is a request and what comes of it. What changes is the pool's.
type exchange struct {
	code          packet.Code // of the request
	unsigned      bool        // the reply need not have a Message-Authenticator
	authenticator [packet.AuthenticatorLength]byte

	ended   chan struct{} // closed when over
	over    bool
	reply   []byte // what has come
	err     error  // why there is none
	ignored flaw   // of the last datagram that was not the reply
}

func newExchange(code packet.Code, unsigned bool) *exchange {
	return &exchange{code: code, unsigned: unsigned, ended: make(chan struct{})}
}

func (x *exchange) end(reply []byte, err error) {
	x.over, x.reply, x.err = true, reply, err
	close(x.ended)
}

// socket is a connected UDP socket, with what is in flight on it.
type socket struct {
	pool    *pool
	conn    *net.UDPConn
	waiting [identifiers]*exchange // by Identifier; those that were given up are over
}

// sendAttempts is how often a send is tried: each may report an error of an earlier
// datagram instead, and then sends nothing.
const sendAttempts = 3

// send sends the request of a slot. An error says that it was not sent.
func (s *socket) send(wire []byte) error {
	var err error
	for range sendAttempts {
		if _, err = s.conn.Write(wire); err == nil || errors.Is(err, net.ErrClosed) {
			return err
		}
		s.takeRefused()
	}
	return err
}

// receive takes what comes until the socket is closed.
func (s *socket) receive() {
	buf := make([]byte, packet.MaxLength)
	t := new(tools)
	for {
		n, err := s.conn.Read(buf)
		switch {
		case err == nil:
			s.take(t, buf[:n])
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.takeRefused()
		}
	}
}

// take hands a reply to who waits for it, or ignores it.
func (s *socket) take(t *tools, datagram []byte) {
	header, err := packet.ParseHeader(datagram)
	if err != nil {
		s.ignore(nil, malformed)
		return
	}
	x := s.inFlight(header.Identifier)
	if flaw := s.examine(t, x, datagram); flaw != flawless {
		s.ignore(x, flaw)
		return
	}
	s.pool.finish(slot{socket: s, identifier: header.Identifier}, x, bytes.Clone(datagram[:header.Length]), nil)
}

func (s *socket) inFlight(identifier uint8) *exchange {
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	return s.waiting[identifier]
}

// examine says what keeps a datagram from being the reply to an exchange.
func (s *socket) examine(t *tools, x *exchange, datagram []byte) flaw {
	switch {
	case x == nil:
		return unexpected
	case t.packet.Parse(datagram) != nil:
		return malformed
	case !answers(t.packet.Code):
		return otherCode
	case t.scratch.VerifyReply(s.pool.server.secret, &t.packet, &x.authenticator) != nil:
		return unproved
	case t.packet.MessageAuthenticator == 0 && !x.unsigned:
		return unsigned
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if x.over {
		return late
	}
	return flawless
}

// answers reports whether packets of that kind answer Access-Requests, and
// Status-Servers sent to the same port (RFC 5997 section 4.1).
func answers(code packet.Code) bool {
	return code == packet.AccessAccept || code == packet.AccessReject || code == packet.AccessChallenge
}

// ignore counts a datagram that is not the reply.
func (s *socket) ignore(x *exchange, why flaw) {
	s.pool.server.ignored[why].Inc()
	if x == nil {
		return
	}
	s.pool.mu.Lock()
	defer s.pool.mu.Unlock()
	if !x.over { // else somebody reads it
		x.ignored = why
	}
}
