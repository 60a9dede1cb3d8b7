package radiusd

import (
	"fmt"
	"io"
	"sync"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// request is one packet that is being served. It owns all that the login needs
// until it is answered, so that nothing is allocated for it, and goes back to
// its pool afterwards. Only one goroutine holds it at a time: the receiving one,
// then, if a directory, the Enroller or the TMS has to be asked, a worker, then the store, then perhaps a
// worker and the store once more, then the replying one.
type request struct {
	next *request // in the pool, or in the list of the decided
	loop *loop

	nas      *nas
	from     peer
	at       time.Time
	datagram []byte         // a copy, without padding
	packet   packet.Request // refers to datagram

	slot       *slot // of the reply cache, in this generation
	generation uint32

	attempt  otp.Attempt // refers to the fields below and to datagram
	user     [otp.MaxUserName]byte
	passcode [packet.MaxPasscode]byte
	typed    []byte // how much of passcode there is, of PAP
	charset  charset
	proof    proof

	// Whether a code is needed; see decide.go.
	rules    *Rules               // the same ones all the time
	plain    bool                 // nothing but the code counts
	renamed  bool                 // the user's name is the typed one without its realm, or that is none
	trace    exclusions.Trace     // the facts, unless plain
	identity *exclusions.Identity // who the user is, once that is known
	errand   errand               // what the login waits for
	excused  bool                 // it needs neither a code nor a password
	late     bool                 // it was let in, and is to be recorded later
	replies  []int                // which conditions for reply attributes it meets
	pool     string               // the session limit that it counts for
	dialog   *dialog              // the one it continues
	state    []byte               // memory for the State of a challenge
	message  string               // what the Enroller says
	echo     bool                 // of a prompt of it
	macs     [maxMACs]exclusions.MAC
	groups   []string // memory for those that rules name
	encoded  []byte   // memory for the trace

	// What the Backend has to do with it; see consultation.go.
	sum         uint64        // stands for what was typed
	shownKey    [16]byte      // the same, to several servers
	claimedOver bool          // it was claimed over what was known
	shown       bool          // it was shown
	reply       *BackendReply // the answer
	// unsure: the groups, which are unknown, say whether it is the Backend's to verify.
	unsure bool

	why      reason          // why it is left unanswered
	err      error           // why it could not be decided or made durable
	recorded func(err error) // tells that the accounting record is durable
}

// arrive makes r the request of a datagram without padding.
func (r *request) arrive(n *nas, from *peer, datagram []byte, at time.Time) {
	r.nas, r.from, r.at, r.plain, r.why, r.err = n, *from, at, true, admitted, nil
	r.shown, r.unsure = false, false
	r.datagram = append(r.datagram[:0], datagram...)
}

// Decided takes the outcome of the attempt from the store (otp.Waiter).
func (r *request) Decided(a *otp.Attempt, err error) {
	switch {
	case err != nil && r.letIn():
	case err != nil || !a.Decision.Outstanding:
		r.decided(err)
	case a.Decision.AskTMS:
		if why := r.consult(); why != admitted {
			r.leave(why, nil)
		}
	default:
		r.askDirectory()
	}
}

func (r *request) decided(err error) {
	r.err = err
	r.loop.decided.push(r)
}

// leave gives the request to whoever answers, to be left unanswered. It does not
// block.
func (r *request) leave(why reason, err error) {
	r.why = why
	r.decided(err)
}

// unanswered is the reason to leave the request unanswered, admitted when there
// is none.
func (r *request) unanswered() reason {
	switch {
	case r.why != admitted:
		return r.why
	case r.err != nil:
		return undecided
	case !r.isLogin():
		return admitted
	case r.attempt.Decision.Verdict == otp.AnsweredElsewhere:
		return answeredElsewhere
	case r.attempt.Decision.Verdict == otp.TMSDown && !r.loop.server.options.RejectWhenDown:
		return tmsUnavailable
	case r.attempt.Decision.Verdict != otp.Undecided:
		return admitted
	case r.attempt.Doubtful:
		return directoryUnavailable
	}
	return undecided
}

// isLogin tells an Access-Request from an Accounting-Request.
func (r *request) isLogin() bool { return r.packet.Code == packet.AccessRequest }

// Format prints no more than what it is, because it holds a passcode.
func (r *request) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "request") }

// forget wipes what the user typed, and lets go of what others keep.
func (r *request) forget() {
	clear(r.passcode[:])
	r.typed = nil
	r.proof.forget()
	if !r.plain {
		clear(r.groups)
		r.trace, r.identity = exclusions.Trace{}, nil
	}
	if r.dialog != nil {
		r.dialog.forget()
		r.dialog = nil
	}
	if r.reply != nil {
		r.reply.forget()
		r.reply = nil
	}
	r.rules, r.message = nil, ""
}

// pool keeps the requests of a loop and bounds how many are in flight.
type pool struct {
	loop  *loop
	limit int

	mu       sync.Mutex
	free     *request
	inFlight int
	idle     chan struct{} // closed when none is in flight; nil while that does not matter
}

// make is a request that is not in flight.
func (p *pool) make() *request {
	r := &request{loop: p.loop}
	r.recorded = r.decided
	r.proof.request, r.proof.scratches = r, &p.loop.server.scratches
	return r
}

// exchange puts a request in flight and returns another to serve next, nil when
// too many are in flight.
func (p *pool) exchange() *request {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inFlight == p.limit {
		return nil
	}
	p.inFlight++
	r := p.free
	if r == nil {
		return p.make()
	}
	p.free, r.next = r.next, nil
	return r
}

// put takes back a request that was in flight.
func (p *pool) put(r *request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	r.next, p.free = p.free, r
	p.inFlight--
	if p.idle != nil && p.inFlight == 0 {
		close(p.idle)
		p.idle = nil
	}
}

// drained returns a channel that is closed when no request is in flight any
// more. No new ones may come.
func (p *pool) drained() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	idle := make(chan struct{})
	if p.inFlight == 0 {
		close(idle)
	} else {
		p.idle = idle
	}
	return idle
}

// len is how many requests are in flight.
func (p *pool) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.inFlight
}

// decisions is the list of requests that wait for their reply. The store puts
// them in one by one; whoever answers takes all that are there. While the
// receiving goroutine is at work it looks here after every batch, so nobody is
// woken: under load a loop answers without a change of goroutine, and many
// replies go out together. Only while it sleeps the replying goroutine is woken.
type decisions struct {
	wake chan struct{} // for the replying goroutine

	mu          sync.Mutex
	first, last *request
	attended    bool // the receiving goroutine is at work
}

// push appends a request. It does not block.
func (d *decisions) push(r *request) {
	r.next = nil
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first != nil { // somebody was woken, or will look
		d.last.next, d.last = r, r
		return
	}
	d.first, d.last = r, r
	if !d.attended {
		d.signal()
	}
}

// signal wakes the replying goroutine, now or as soon as it goes to sleep.
func (d *decisions) signal() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// take empties the list and returns it, chained by next.
func (d *decisions) take() *request {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := d.first
	d.first, d.last = nil, nil
	return first
}

// attend says that the receiving goroutine is at work.
func (d *decisions) attend() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attended = true
}

// leave says that the receiving goroutine goes to sleep. When the list is not
// empty it is the replying goroutine's.
func (d *decisions) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.attended = false
	if d.first != nil {
		d.signal()
	}
}
