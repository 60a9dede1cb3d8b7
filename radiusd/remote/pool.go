package remote

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	maxSockets  = 16
	identifiers = 256              // of a socket
	rest        = 2 * time.Second  // of an Identifier, while there may be more sockets
	quarantine  = 30 * time.Second // of one whose request was not answered
)

var (
	errBusy   = errors.New("too many logins are on their way to it")
	errClosed = errors.New("the sockets to it were closed")
)

// pool has the sockets to a server, and the Identifiers of all of them.
type pool struct {
	server *server

	mu          sync.Mutex
	to          netip.AddrPort // where the sockets are connected to
	sockets     []*socket
	free        queue // what may be used
	quarantined queue // what may not yet
	closed      bool
}

// slot is an Identifier of a socket.
type slot struct {
	socket     *socket
	identifier uint8
	used       time.Time // when its last request ended
}

// queue has at its front the slot that was not used for longest.
type queue struct {
	slots []slot
	front int
}

func (q *queue) len() int { return len(q.slots) - q.front }

// oldest reports whether there is a slot that was not used since then.
func (q *queue) oldest(then time.Time) bool {
	return q.len() > 0 && !q.slots[q.front].used.After(then)
}

// pop takes the slot at the front. There is one.
func (q *queue) pop() slot {
	s := q.slots[q.front]
	q.front++
	return s
}

func (q *queue) push(s slot) {
	if q.front > len(q.slots)/2 { // more than half is gone
		q.slots = append(q.slots[:0], q.slots[q.front:]...)
		q.front = 0
	}
	q.slots = append(q.slots, s)
}

// take takes a slot for a request to an address. Without one the request is not sent.
func (p *pool) take(to netip.AddrPort, at time.Time) (slot, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return slot{}, errClosed
	}
	if p.to != to {
		p.clear()
		p.to = to
	}
	for p.quarantined.oldest(at.Add(-quarantine)) {
		s := p.quarantined.pop()
		s.socket.waiting[s.identifier] = nil
		p.free.push(s)
	}
	if !p.free.oldest(at.Add(-rest)) && len(p.sockets) < maxSockets {
		if err := p.grow(); err != nil && p.free.len() == 0 {
			return slot{}, err
		}
	}
	if p.free.len() == 0 {
		return slot{}, errBusy
	}
	return p.free.pop(), nil
}

// grow opens a socket. Its slots were never used, so they come first.
func (p *pool) grow() error {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(p.to))
	if err != nil {
		return err
	}
	s := &socket{pool: p, conn: conn}
	if err := s.keepRefused(); err != nil {
		_ = conn.Close()
		return err
	}
	slots := make([]slot, identifiers, identifiers+p.free.len())
	for i := range slots {
		slots[i] = slot{socket: s, identifier: uint8(i)}
	}
	p.free = queue{slots: append(slots, p.free.slots[p.free.front:]...)}
	p.sockets = append(p.sockets, s)
	go s.receive()
	return nil
}

// expect has a slot wait for the answer to a request that is about to be sent.
func (p *pool) expect(s slot, x *exchange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.socket.waiting[s.identifier] = x
}

// finish ends an exchange with a reply or an error, unless it has ended already, and
// frees its slot.
func (p *pool) finish(s slot, x *exchange, reply []byte, err error) {
	at := p.server.client.clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if s.socket.waiting[s.identifier] != x || x.over {
		return
	}
	x.end(reply, err)
	s.socket.waiting[s.identifier] = nil
	s.used = at
	p.giveBack(s)
}

// giveBack frees a slot, unless its socket is gone.
func (p *pool) giveBack(s slot) {
	if slices.Contains(p.sockets, s.socket) {
		p.free.push(s)
	}
}

// release gives back a slot that nothing was sent by.
func (p *pool) release(s slot) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.giveBack(s)
}

// abandon ends an exchange that nobody waits for any more. It reports whether that was
// in time: it is not when the exchange has ended already. The exchange stays in its
// slot for as long as that is quarantined.
func (p *pool) abandon(s slot, x *exchange) bool {
	at := p.server.client.clock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if x.over {
		return false
	}
	x.end(nil, errAbandoned)
	s.used = at
	p.quarantined.push(s)
	return true
}

// clear closes the sockets. What is in flight is lost.
func (p *pool) clear() {
	for _, s := range p.sockets {
		_ = s.conn.Close()
		for _, x := range s.waiting {
			if x != nil && !x.over {
				x.end(nil, errClosed)
			}
		}
	}
	p.sockets, p.free, p.quarantined = nil, queue{}, queue{}
}

func (p *pool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.closed = true
}
