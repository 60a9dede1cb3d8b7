package radiustest

import (
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// identifiers is how many requests a socket can have in flight.
const identifiers = 256

// socket is a UDP socket with its identifiers. They are used in turn, so that
// each rests as long as it can before it is used again.
type socket struct {
	fd       int
	inFlight int
	turn     byte // identifier to try first
	logins   [identifiers]login
}

// login is a request in flight.
type login struct {
	request  authenticator
	began    time.Duration // sent, or due in an open loop
	deadline time.Duration
	user     int32
	inFlight bool
}

// generator makes a load, on one thread. Times are since its start.
type generator struct {
	load    Load
	codec   *codec
	crowd   *crowd
	in      *inbox
	out     *outbox
	records []uint32 // of accounting: how many each user has sent
	sockets []socket
	epoll   int
	events  []unix.EpollEvent
	random  *rand.PCG

	start     time.Time
	now       time.Duration
	unix      uint64 // now, in seconds since 1970
	hungry    bool   // there are users waiting, but none with a fresh code
	nextScan  time.Duration
	begun     uint64 // open loop: logins
	turn      int    // open loop: socket of the next request
	phase     phase
	count     Result
	latency   histogram
	measured  Result                                  // count and latency at the end of the measured part
	fromStart struct{ at, server, own time.Duration } // at the start of the measured part
}

// phase is a part of a run.
type phase int

const (
	warming phase = iota
	measuring
	draining // nothing new is sent
	over
)

func newGenerator(load Load) (*generator, error) {
	crowd, err := newCrowd(load.Users, load.Steps)
	if err != nil {
		return nil, err
	}
	g := &generator{
		load:    load,
		codec:   newCodec(load.Secret, !load.Unsigned),
		crowd:   crowd,
		in:      newInbox(),
		out:     new(outbox),
		epoll:   -1,
		events:  make([]unix.EpollEvent, load.Sockets),
		random:  rand.NewPCG(rand.Uint64(), rand.Uint64()),
		sockets: make([]socket, 0, load.Sockets),
	}
	if load.Accounting {
		g.records = make([]uint32, len(crowd.people))
	}
	for range load.Sockets {
		fd, err := connect(load.Server)
		if err != nil {
			g.close()
			return nil, err
		}
		g.sockets = append(g.sockets, socket{fd: fd})
	}
	if g.epoll, err = watch(g.sockets); err != nil {
		g.close()
		return nil, err
	}
	return g, nil
}

func (g *generator) close() {
	for i := range g.sockets {
		unix.Close(g.sockets[i].fd)
	}
	if g.epoll >= 0 {
		unix.Close(g.epoll)
	}
}

// run goes through the phases: take replies, send what may be sent, give up
// what is overdue, and rest when there was nothing to do.
func (g *generator) run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g.start = time.Now()
	for {
		g.tick()
		if err := g.advance(); err != nil || g.phase == over {
			return err
		}
		busy, err := g.exchange()
		if err == nil && g.now >= g.nextScan {
			g.expire()
			err = ctx.Err()
		}
		if err == nil && !busy && !g.load.Spin {
			err = g.rest()
		}
		if err != nil {
			return err
		}
	}
}

// exchange takes and sends once and reports whether there was anything.
func (g *generator) exchange() (busy bool, err error) {
	received, err := g.receive()
	if err != nil {
		return false, err
	}
	sent, err := g.send()
	return received || sent, err
}

// tick reads the clock.
func (g *generator) tick() {
	t := time.Now()
	now := t.Sub(g.start)
	if g.hungry && g.phase == measuring {
		g.count.Starved += now - g.now
	}
	g.now, g.unix = now, uint64(t.Unix())
}

// advance goes on to the next phase when it is time for it.
func (g *generator) advance() error {
	end := g.fromStart.at + g.load.Duration
	switch {
	case g.phase == warming && g.now >= g.load.Warmup && g.count.Answered() >= uint64(g.load.WarmupLogins):
		g.phase = measuring
		if g.load.Begun != nil {
			g.load.Begun()
		}
		return g.beginMeasuring()
	case g.phase == measuring && g.now >= end:
		g.phase = draining
		return g.endMeasuring()
	case g.phase == draining && (g.inFlight() == 0 || g.now >= end+g.load.Timeout):
		g.phase = over
	}
	return nil
}

func (g *generator) beginMeasuring() error {
	g.count, g.latency = Result{}, histogram{}
	g.fromStart.at, g.fromStart.own = g.now, threadCPU()
	if g.load.ServerPID == 0 {
		return nil
	}
	var err error
	g.fromStart.server, err = ProcessCPU(g.load.ServerPID)
	return err
}

func (g *generator) endMeasuring() error {
	g.measured, g.count = g.count, Result{}
	r, logins := &g.measured, time.Duration(max(g.measured.Answered(), 1))
	r.Elapsed = g.now - g.fromStart.at
	r.GeneratorCPU = (threadCPU() - g.fromStart.own) / logins
	r.AcceptedPerSecond = float64(r.Accepted) / r.Elapsed.Seconds()
	r.P50, r.P99, r.Max = g.latency.quantile(0.5), g.latency.quantile(0.99), g.latency.largest
	if g.load.ServerPID == 0 {
		return nil
	}
	server, err := ProcessCPU(g.load.ServerPID)
	if err != nil {
		return err
	}
	r.ServerCPU = (server - g.fromStart.server) / logins
	r.Memory, err = ProcessMemory(g.load.ServerPID)
	return err
}

// result returns what was counted in the measured part, and as timed out also
// what was in flight at its end and never answered.
func (g *generator) result() Result {
	r := g.measured
	r.TimedOut += g.count.TimedOut
	return r
}

func (g *generator) inFlight() int {
	n := 0
	for i := range g.sockets {
		n += g.sockets[i].inFlight
	}
	return n
}

// receive takes the replies that wait and reports whether there were any. In a
// closed loop it refills each socket at once, so that the server has work
// while the next is read.
func (g *generator) receive() (busy bool, err error) {
	events, err := ready(g.epoll, g.events)
	if err != nil {
		return false, err
	}
	for _, e := range events {
		s := &g.sockets[e.Fd]
		for n := batchLen; n == batchLen; {
			if n, err = g.in.receive(s.fd); err != nil {
				return false, err
			}
			g.tick()
			for i := range n {
				g.take(s, g.in.datagram(i))
			}
		}
		if g.load.Rate == 0 {
			if _, err := g.fill(s); err != nil {
				return false, err
			}
		}
	}
	return len(events) > 0, nil
}

// take counts one reply.
func (g *generator) take(s *socket, reply []byte) {
	if len(reply) < headerLen {
		g.count.Malformed++
		return
	}
	login := &s.logins[reply[1]]
	if !login.inFlight {
		g.count.Stale++
		return
	}
	switch g.codec.verify(reply, &login.request) {
	case malformed:
		g.count.Malformed++
		return
	case badAuthenticator, badMessageAuthenticator:
		// A forgery, or late for an earlier login with this identifier: this
		// one is still in flight.
		g.count.BadAuthenticator++
		return
	}
	accepted := byte(codeAccessAccept)
	if g.records != nil {
		accepted = codeAccountingResponse
	}
	switch reply[0] {
	case accepted:
		g.count.Accepted++
	case codeAccessReject:
		g.count.Rejected++
	case codeAccessChallenge:
		g.count.Challenged++
	default:
		g.count.Malformed++
		return
	}
	g.latency.add(g.now - login.began)
	g.release(s, login)
}

func (g *generator) release(s *socket, l *login) {
	l.inFlight = false
	s.inFlight--
	g.crowd.back(l.user)
}

// send sends what may be sent now and reports whether that was anything.
func (g *generator) send() (sent bool, err error) {
	g.hungry = false
	if g.phase == draining {
		return false, nil
	}
	if g.load.Rate > 0 {
		return g.sendDue()
	}
	for i := range g.sockets {
		filled, err := g.fill(&g.sockets[i])
		if err != nil {
			return false, err
		}
		sent = sent || filled
	}
	return sent, nil
}

// fill sends as many requests as a socket's window has room for.
func (g *generator) fill(s *socket) (sent bool, err error) {
	if g.phase == draining {
		return false, nil
	}
	for s.inFlight < g.load.Window {
		if !g.begin(s, g.now) {
			break
		}
		sent = true
		if g.out.full() {
			if err := g.flush(s); err != nil {
				return false, err
			}
		}
	}
	return sent, g.flush(s)
}

// due returns when the next login of an open loop begins.
func (g *generator) due() time.Duration {
	return time.Duration(float64(g.begun) / g.load.Rate * float64(time.Second))
}

// sendDue sends the requests whose time has come, a batch a socket in turn.
func (g *generator) sendDue() (sent bool, err error) {
	for range g.sockets {
		if g.due() > g.now {
			break
		}
		s := &g.sockets[g.turn]
		g.turn = (g.turn + 1) % len(g.sockets)
		for due := g.due(); due <= g.now && s.inFlight < g.load.Window && !g.out.full(); due = g.due() {
			if !g.begin(s, due) {
				return sent, g.flush(s)
			}
			g.begun++
			sent = true
		}
		if err := g.flush(s); err != nil {
			return false, err
		}
	}
	return sent, nil
}

// begin puts the request of a new login in the outbox, and reports false when
// there is no user with a fresh code.
func (g *generator) begin(s *socket, began time.Duration) bool {
	user, passcode, ok := g.crowd.next(g.unix)
	if !ok {
		g.hungry = g.crowd.length > 0 // else all are in flight
		return false
	}
	for s.logins[s.turn].inFlight {
		s.turn++
	}
	identifier := s.turn
	s.turn++
	s.inFlight++
	l := &s.logins[identifier]
	l.inFlight, l.user, l.began, l.deadline = true, user, began, g.now+g.load.Timeout
	if b := g.out.next(); g.records != nil {
		n, authenticator := g.codec.accountingRequest(b, identifier, report{g.crowd.people[user].name, uint32(user), g.records[user], g.unix})
		l.request = authenticator
		g.out.add(n)
		g.records[user]++
		return true
	}
	binary.NativeEndian.PutUint64(l.request[:], g.random.Uint64())
	binary.NativeEndian.PutUint64(l.request[8:], g.random.Uint64())
	b := g.out.next()
	copy(b[4:], l.request[:])
	g.out.add(g.codec.accessRequest(b, identifier, g.crowd.people[user].name, passcode))
	return true
}

func (g *generator) flush(s *socket) error {
	lost, err := g.out.flush(s.fd)
	g.count.Unsent += uint64(lost)
	return err
}

// expire gives up the logins whose time is over.
func (g *generator) expire() {
	g.nextScan = g.now + g.load.Timeout/8
	for i := range g.sockets {
		s := &g.sockets[i]
		for j := range s.logins {
			if l := &s.logins[j]; s.inFlight > 0 && l.inFlight && g.now >= l.deadline {
				g.count.TimedOut++
				g.release(s, l)
			}
		}
	}
}

// rest sleeps until a reply or, when that is sooner, the next due login or the
// next look for overdue ones. With a poll interval it sleeps that long at most
// and leaves replies to gather.
func (g *generator) rest() error {
	until := g.nextScan
	if due := g.due(); g.load.Rate > 0 && g.phase != draining && due > g.now {
		until = min(until, due)
	}
	d := max(until-g.now, 0)
	if g.load.Poll > 0 {
		t := unix.NsecToTimespec(int64(min(d, g.load.Poll)))
		_ = unix.Nanosleep(&t, nil) // woken early by a signal is as good
		return nil
	}
	t := unix.NsecToTimespec(int64(d))
	wake := []unix.PollFd{{Fd: int32(g.epoll), Events: unix.POLLIN}}
	if _, err := unix.Ppoll(wake, &t, nil); err != nil && !errors.Is(err, unix.EINTR) {
		return err
	}
	return nil
}
