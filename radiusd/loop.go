package radiusd

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// port is what a loop listens for.
type port uint8

const (
	authPort port = iota // 1812: Access-Request
	acctPort             // 1813: Accounting-Request
	portCount
)

// String is the port's word for metrics and logs.
func (p port) String() string { return [portCount]string{"auth", "acct"}[p] }

// takes reports whether packets of this code belong on the port.
func (p port) takes(code packet.Code) bool {
	switch code {
	case packet.AccessRequest:
		return p == authPort
	case packet.AccountingRequest:
		return p == acctPort
	}
	return code == packet.StatusServer
}

// loop serves one socket with two goroutines: one receives, and answers what is
// decided by the end of each batch; the other answers what is decided while the
// first waits for datagrams.
type loop struct {
	server *Server
	port   port
	socket *socket

	// Of the receiving goroutine.
	nases  *NASTable
	rules  *Rules
	now    time.Time     // of this batch
	since  time.Duration // the same, since the start of the server
	spare  *request      // for the next datagram
	direct responder
	keyer  *otp.Keyer // of logins; nil where there is one server only

	// Of the replying goroutine.
	later responder

	// Of both.
	duplicates *duplicates
	consulting atomic.Int64 // how many requests wait for the TMS
	pool       pool
	decided    decisions
}

// newLoop makes the loop of a socket. The two wires take its replies, one for
// each goroutine.
func newLoop(s *Server, p port, sock *socket, direct, later wire) *loop {
	l := &loop{server: s, port: p, socket: sock, direct: newResponder(s, direct), later: newResponder(s, later)}
	if key := s.options.SharedKey; key != nil {
		l.keyer = otp.NewKeyer(*key, "login")
	}
	l.duplicates = newDuplicates(s.options.ReplyCacheEntries, s.options.ReplyCacheTime)
	l.pool = pool{loop: l, limit: s.options.MaxInFlight}
	l.decided.wake = make(chan struct{}, 1)
	l.spare = l.pool.make()
	l.tick()
	return l
}

// tick reads the clock, the NAS table and the rules for a batch.
func (l *loop) tick() {
	l.now = l.server.clock()
	l.since = l.server.since(l.now)
	setup := l.server.setup.Load()
	l.nases, l.rules = setup.nases, setup.rules
}

// receive serves datagrams until the socket's deadline passes, which is how it
// is told to stop.
func (l *loop) receive() error {
	in := newInbox(l.socket, l.decided.leave)
	defer l.decided.leave()
	for {
		n, err := in.receive()
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, net.ErrClosed):
			return nil
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENOMEM):
			n = 0 // it will pass
		default:
			return err
		}
		l.decided.attend()
		l.tick()
		for i := range n {
			from, datagram := in.datagram(i)
			l.serve(from, datagram)
		}
		l.answerDecided(&l.direct)
	}
}

// serve is what happens to one datagram.
func (l *loop) serve(from *peer, datagram []byte) {
	n := l.nases.lookup(from.addr())
	if n == nil {
		l.drop(l.server.stranger, from, unknownNAS, nil)
		return
	}
	header, err := packet.ParseHeader(datagram)
	if err != nil {
		l.drop(n, from, malformed(err), nil)
		return
	}
	if !l.port.takes(header.Code) {
		l.drop(n, from, unexpectedCode, nil)
		return
	}
	l.server.metrics.requests[l.port][header.Code].Inc()
	n.figures.requests.Add(1)
	r := l.spare
	r.arrive(n, from, datagram[:header.Length], l.now)
	if err := r.packet.Parse(r.datagram); err != nil {
		l.drop(n, from, malformed(err), nil)
		return
	}
	switch header.Code {
	case packet.AccessRequest:
		l.serveAccessRequest(r)
	case packet.AccountingRequest:
		l.serveAccountingRequest(r)
	default:
		l.serveStatusServer(r)
	}
}

// begin looks the request up in the reply cache. It returns true when the
// request is fresh: then it is in flight, and must be abandoned or answered.
// A repeat is answered from the cache here.
func (l *loop) begin(r *request) bool {
	s, standing := l.duplicates.begin(slotKey{r.from, r.packet.Identifier}, &r.packet.Authenticator, l.since)
	if standing != fresh && standing != cacheFull {
		r.nas.observed.repeat(r, s.repeats == 1, l.since-s.came)
	}
	switch standing {
	case unheard:
		l.drop(r.nas, &r.from, duplicateUnanswered, nil)
		return false
	case answered:
		l.server.metrics.duplicatesAnswered.Inc()
		l.direct.out.addCopy(&r.from, s.reply)
		return false
	case repeated:
		l.drop(r.nas, &r.from, duplicateInFlight, nil)
		return false
	case cacheFull:
		l.drop(r.nas, &r.from, replyCacheFull, nil)
		return false
	}
	next := l.pool.exchange()
	if next == nil {
		l.duplicates.release(s, s.generation)
		l.drop(r.nas, &r.from, tooManyInFlight, nil)
		return false
	}
	r.slot, r.generation = s, s.generation
	l.spare = next
	return true
}

// abandon gives up a request that is in flight and was taken by nobody.
func (l *loop) abandon(r *request, why reason) {
	l.leave(r, why, nil)
	r.forget()
	l.pool.put(r)
}

// reply answers requests as they are decided, until stop is closed.
func (l *loop) reply(stop <-chan struct{}) {
	for {
		select {
		case <-l.decided.wake:
			l.answerDecided(&l.later)
		case <-stop:
			return
		}
	}
}

// answerDecided answers all requests that are decided by now, and flushes. The
// log is written when the replies are on their way.
func (l *loop) answerDecided(w *responder) {
	first := l.decided.take()
	now := l.server.clock()
	since := l.server.since(now)
	for r := first; r != nil; r = r.next {
		l.answer(w, r, since)
	}
	w.out.flush()
	for r := first; r != nil; {
		next := r.next
		l.retire(r, now)
		r = next
	}
}

// answer writes the reply of a request, keeps it in the reply cache and puts it
// among the outgoing. What was not decided gets no reply, so that the NAS asks
// again or asks another server.
func (l *loop) answer(w *responder, r *request, since time.Duration) {
	if why := r.unanswered(); why != admitted {
		l.leave(r, why, r.err)
		return
	}
	if r.isLogin() {
		w.writeAccess(r)
	} else {
		w.writeAccounting(r)
	}
	reply, err := w.sign(r)
	if err != nil {
		r.why = replyTooLong
		l.leave(r, replyTooLong, err)
		return
	}
	if !l.duplicates.finish(r.slot, r.generation, reply, since) {
		l.drop(r.nas, &r.from, superseded, nil)
		return
	}
	l.server.metrics.replies[reply[0]].Inc()
	if packet.Code(reply[0]) == packet.AccessChallenge {
		r.nas.observed.challenge(r.at)
	}
	w.out.add(&r.from, reply)
}

// leave leaves a request without reply. It may come again at once, unless it was shown to
// the Backend, which is not to see a retransmission, or another server has answered it.
func (l *loop) leave(r *request, why reason, err error) {
	if r.shown || why == answeredElsewhere {
		l.duplicates.finish(r.slot, r.generation, nil, r.sinceStart())
	} else {
		l.duplicates.release(r.slot, r.generation)
	}
	l.drop(r.nas, &r.from, why, err)
}

// retire ends a request whose reply is on its way.
func (l *loop) retire(r *request, now time.Time) {
	switch why := r.unanswered(); {
	case why != admitted && why != answeredElsewhere:
	case r.isLogin():
		l.server.emit(r, now)
	default:
		l.server.metrics.accounting.Observe(now.Sub(r.at).Seconds())
	}
	r.forget()
	l.pool.put(r)
}
