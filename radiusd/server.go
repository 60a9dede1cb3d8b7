package radiusd

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// drainTime is how long Serve waits for the store at its end.
const drainTime = 5 * time.Second

// Server is the RADIUS server. Make it with New, open its sockets with Listen
// and run it with Serve.
type Server struct {
	options    Options
	verifier   *otp.Verifier
	users      UserRepository
	accounting Accounting
	ready      func() bool
	clock      func() time.Time
	start      time.Time
	rand       io.Reader
	logger     *slog.Logger
	metrics    *metrics
	drainTime  time.Duration
	plainTrace []byte // of a login of which there is nothing to tell but the Node

	setup     atomic.Pointer[setup]
	errands   errands
	tms       *consultations // nil without a Backend
	stranger  *nas           // stands for all sources that are no NAS
	senders   chan *nas      // to be remembered
	arrears   arrears
	scratches sync.Pool

	mu    sync.Mutex // of what follows, and of SetNASes
	loops []*loop
}

// New makes a Server. The error says which option cannot be used.
func New(o Options) (*Server, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		options: o, verifier: o.Verifier, users: o.Users, accounting: o.Accounting, ready: o.Ready,
		clock: o.Clock, start: o.Clock(), rand: o.Rand, logger: o.Logger,
		drainTime: drainTime,
		errands:   newErrands(o.Errands),
		tms:       newConsultations(&o),
		stranger:  &nas{memory: &memory{}},
		senders:   make(chan *nas, senderQueue),
		arrears:   arrears{limit: maxArrears},
	}
	if o.Node != "" {
		s.plainTrace = (&exclusions.Trace{Node: o.Node}).Append(nil)
	}
	s.scratches.New = func() any { return new(packet.Scratch) }
	s.setup.Store(&setup{o.NASes, o.Rules})
	var err error
	if s.metrics, err = newMetrics(s, o.Registerer); err != nil {
		return nil, err
	}
	return s, nil
}

// Listen opens all sockets. When it returns nil, packets are queued for Serve;
// when one address cannot be had, nothing is open. The error names the address
// and wraps that of bind, such as syscall.EADDRINUSE.
func (s *Server) Listen() error {
	for p, addresses := range [portCount][]netip.AddrPort{authPort: s.options.Auth, acctPort: s.options.Acct} {
		for _, address := range addresses {
			if err := s.listenOn(port(p), address); err != nil {
				s.close()
				return fmt.Errorf("listening for RADIUS on UDP %s (%s): %w", address, port(p), err)
			}
		}
	}
	return nil
}

func (s *Server) listenOn(p port, address netip.AddrPort) error {
	sockets, err := openSockets(address, s.options.Loops, s.options.ReceiveBuffer)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sock := range sockets {
		l := newLoop(s, p, sock, nil, nil)
		l.direct.out.wire = newPostman(sock, l.lost)
		l.later.out.wire = newPostman(sock, l.lost)
		s.loops = append(s.loops, l)
	}
	return nil
}

// Addrs are the addresses the server listens on, those of Auth first, with the
// port that was chosen where it was 0.
func (s *Server) Addrs() []netip.AddrPort {
	var addresses []netip.AddrPort
	for i, l := range s.currentLoops() {
		if i%s.options.Loops == 0 {
			addresses = append(addresses, l.socket.address())
		}
	}
	return addresses
}

func (s *Server) currentLoops() []*loop {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loops
}

func (s *Server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.loops {
		closeSockets([]*socket{l.socket})
	}
	s.loops = nil
}

// setup is what is replaced as a whole: a rule that is made for a new setting of a
// NAS must never meet the old one.
type setup struct {
	nases *NASTable
	rules *Rules
}

// Set replaces the NAS table and the rules between two packets; nil are no rules.
// Requests in flight keep the NAS and the rules they came with; what answers a
// challenge goes by the present ones. What was learned of a NAS stays with its name.
func (s *Server) Set(t *NASTable, r *Rules) {
	s.replace(func(new *setup) { *new = setup{t, r} })
}

// SetNASes is Set that leaves the rules.
func (s *Server) SetNASes(t *NASTable) { s.replace(func(new *setup) { new.nases = t }) }

// SetRules is Set that leaves the NAS table.
func (s *Server) SetRules(r *Rules) { s.replace(func(new *setup) { new.rules = r }) }

func (s *Server) replace(change func(*setup)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.setup.Load()
	after := *before
	change(&after)
	if after.nases != before.nases {
		after.nases.inherit(before.nases)
	}
	s.setup.Store(&after)
}

// Serve answers packets until ctx is done. Then it reads no more, answers what
// is in flight as far as the directory, the TMS and the store decide it within five
// seconds, and closes the sockets. The error is why a socket could not be read,
// nil at a regular end.
func (s *Server) Serve(ctx context.Context) error {
	loops := s.currentLoops()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, len(loops))
	stop := make(chan struct{})
	var receivers, others sync.WaitGroup
	others.Go(func() { s.rememberSenders(ctx) })
	others.Go(func() { s.settleArrears(ctx) })
	fire := s.hire(context.WithoutCancel(ctx), &others)
	for _, l := range loops {
		receivers.Go(func() {
			if err := l.receive(); err != nil {
				failed <- fmt.Errorf("receiving on UDP %s: %w", l.socket.address(), err)
			}
		})
		others.Go(func() { l.reply(stop) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
		cancel()
	}
	for _, l := range loops {
		_ = l.socket.conn.SetReadDeadline(time.Unix(1, 0)) // fails only when it is closed
	}
	receivers.Wait()
	s.drain(loops)
	fire()
	close(stop)
	others.Wait()
	s.closeArrears()
	s.close()
	return err
}

// drain waits until nothing is in flight, for a bounded time.
func (s *Server) drain(loops []*loop) {
	timer := time.NewTimer(s.drainTime)
	defer timer.Stop()
	for _, l := range loops {
		select {
		case <-l.pool.drained():
		case <-timer.C:
			s.logger.Warn("stopped with requests unanswered: the directory, the TMS or the store did not decide them in time")
			return
		}
	}
}

// since is the time since the server was made.
func (s *Server) since(now time.Time) time.Duration { return now.Sub(s.start) }
