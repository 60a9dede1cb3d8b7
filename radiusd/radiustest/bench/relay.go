package main

import (
	"net"
	"sync"
	"time"
)

// relay is a way to a port of 127.0.0.1 that takes its time: what comes in at one end goes
// out at the other a while later, in both directions, with no limit to how much is on its
// way. It stands for the distance to another site.
type relay struct {
	listener net.Listener
	to       string
	takes    time.Duration
	running  sync.WaitGroup

	mu     sync.Mutex
	closed bool
	conns  []net.Conn
}

// newRelay listens on a port of its own.
func newRelay(port uint16, takes time.Duration) (*relay, error) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	to := net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(port)}
	r := &relay{listener: listener, to: to.String(), takes: takes}
	r.running.Go(r.accept)
	return r, nil
}

func (r *relay) port() uint16 { return uint16(r.listener.Addr().(*net.TCPAddr).Port) }

// accept ends when the relay is closed.
func (r *relay) accept() {
	for {
		near, err := r.listener.Accept()
		if err != nil {
			return
		}
		far, err := net.Dial("tcp4", r.to)
		if err != nil {
			near.Close()
			continue
		}
		if r.keep(near, far) {
			r.running.Go(func() { r.carry(near, far) })
			r.running.Go(func() { r.carry(far, near) })
		}
	}
}

// keep notes connections, for close, which may have been before.
func (r *relay) keep(conns ...net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range conns {
		if r.closed {
			c.Close()
		}
	}
	r.conns = append(r.conns, conns...)
	return !r.closed
}

// piece is some bytes on their way.
type piece struct {
	due   time.Time
	bytes []byte
}

// carry takes bytes from one connection to another until either ends.
func (r *relay) carry(from, to net.Conn) {
	const mostOnTheWay = 1 << 16
	way := make(chan piece, mostOnTheWay)
	go func() {
		defer close(way)
		for {
			b := make([]byte, 64<<10)
			n, err := from.Read(b)
			if n > 0 {
				way <- piece{time.Now().Add(r.takes), b[:n]}
			}
			if err != nil {
				return
			}
		}
	}()
	for p := range way {
		time.Sleep(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			from.Close()
		}
	}
	to.Close()
}

// close ends all connections. A nil relay is closed.
func (r *relay) close() error {
	if r == nil {
		return nil
	}
	err := r.listener.Close()
	r.mu.Lock()
	r.closed = true
	for _, c := range r.conns {
		c.Close()
	}
	r.mu.Unlock()
	r.running.Wait()
	return err
}
