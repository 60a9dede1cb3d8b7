package collector

import (
	"encoding/binary"
	"io"
	"sync"
	"time"
)

const (
	mostInFlight = 1024 // requests to all servers
	firstLimit   = 32
	leastLimit   = 4 // by what was lost
)

// pace is how many requests may be in flight: twice as many each round trip until some are
// lost, then half, and from there one more each round trip, as TCP does (RFC 5681). What is
// sent faster than a server reads overruns the buffer of its socket.
type pace struct {
	mu     sync.Mutex
	window float64 // how many may be
	steady float64 // from there it grows slowly
	lostAt time.Time
}

func newPace() *pace { return &pace{window: firstLimit, steady: mostInFlight} }

func (p *pace) limit() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return int(p.window)
}

func (p *pace) answered() {
	p.mu.Lock()
	defer p.mu.Unlock()
	growth := 1.0
	if p.window >= p.steady {
		growth = 1 / p.window
	}
	p.window = min(p.window+growth, mostInFlight)
}

// lost is for a request that has to be repeated. Those that were sent together are lost
// together, and count once: what was lost within a timeout of the last.
func (p *pace) lost(now time.Time, timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now.Sub(p.lostAt) < timeout {
		return
	}
	p.lostAt = now
	p.steady = max(p.window/2, leastLimit)
	p.window = min(p.window, p.steady)
}

// failed begins anew, with one.
func (p *pace) failed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window = 1
}

const (
	leastPause = time.Second
	mostPause  = time.Minute
)

// pause is how long to wait after so many failures in a row, a quarter more or less, so
// that many do not come back at the same moment.
func pause(failures int, random io.Reader) time.Duration {
	d := mostPause
	if failures < 7 {
		d = min(leastPause<<max(0, failures-1), mostPause)
	}
	var b [2]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return d
	}
	return d - d/4 + d/2*time.Duration(binary.BigEndian.Uint16(b[:]))/(1<<16)
}
