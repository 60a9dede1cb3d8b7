package radiusd

import (
	"context"
	"slices"
	"sync"
	"time"

	"countersign/otp"
)

const (
	// maxArrears is how many logins may be owed to the store; beyond that no more are let in.
	maxArrears = 100_000
	// arrearsBatch is how many of them the store is handed at once.
	arrearsBatch = 256
	// arrearsPause is how long the store is left in peace.
	arrearsPause = time.Second
)

// arrears are logins that were let in while the store was away, and are owed to it.
type arrears struct {
	limit int

	mu   sync.Mutex
	owed []arrear // the oldest first
	held int      // those that the store was handed
}

// arrear is one login: what a record of it tells.
type arrear struct {
	at            time.Time
	nas           string
	method        otp.Method
	rule          uint64
	user, station []byte
	trace         []byte
}

// owe notes a login; false when there are too many already.
func (a *arrears) owe(attempt *otp.Attempt) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.owed)+a.held >= a.limit {
		return false
	}
	a.owed = append(a.owed, arrear{
		at: attempt.At, nas: attempt.NAS, method: attempt.Method, rule: attempt.Rule,
		user: slices.Clone(attempt.User), station: slices.Clone(attempt.Station), trace: slices.Clone(attempt.Trace),
	})
	return true
}

// len is how many logins are owed.
func (a *arrears) len() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.owed) + a.held
}

// take takes some out, to be handed to the store; giveBack puts back those that it did not
// record.
func (a *arrears) take() []arrear {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(len(a.owed), arrearsBatch)
	some := slices.Clone(a.owed[:n])
	a.owed, a.held = a.owed[n:], n
	return some
}

func (a *arrears) giveBack(some []arrear) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.owed, a.held = append(some, a.owed...), 0
}

// attempt is the attempt by which a login is recorded: as it was decided.
func (a *arrear) attempt() *otp.Attempt {
	return &otp.Attempt{
		At: a.at, User: a.user, NAS: a.nas, Station: a.station, Method: a.method, Preset: otp.Excluded, LetIn: true,
		Rule: a.rule, Trace: a.trace,
	}
}

// owing is an otp.Waiter.
type owing chan error

func (o owing) Decided(_ *otp.Attempt, err error) { o <- err }

// record hands some to the store, and reports how many it has recorded. What it does not
// record, or not until ctx is done, stays owed; so a login may be recorded twice.
func (a *arrears) record(ctx context.Context, v *otp.Verifier) (recorded int) {
	some := a.take()
	waiters := make([]owing, len(some))
	for i := range some {
		attempt, waiter := some[i].attempt(), make(owing, 1)
		attempt.Waiter = waiter
		if !v.Submit(attempt) {
			break // nor will it take the others
		}
		waiters[i] = waiter
	}
	var left []arrear
	for i, waiter := range waiters {
		if waiter.recorded(ctx) {
			recorded++
		} else {
			left = append(left, some[i])
		}
	}
	a.giveBack(left)
	return recorded
}

// recorded waits until the store has recorded a login; false when it has not taken it.
func (o owing) recorded(ctx context.Context) bool {
	if o == nil {
		return false
	}
	select {
	case err := <-o:
		return err == nil
	case <-ctx.Done():
		return false
	}
}

// letIn lets in a login that needs neither account nor password, although the store does not
// record it, and reports whether it did.
func (r *request) letIn() bool {
	s, a := r.loop.server, &r.attempt
	decided := a.Decision.Verdict // perhaps by the account
	if !s.options.ExcludedWhenStoreDown || !r.excused || decided != otp.Undecided && decided != otp.Excluded {
		return false
	}
	r.trace.Late = true
	r.encode()
	if !s.arrears.owe(a) {
		return false
	}
	a.Decision, a.Event = otp.Decision{Verdict: otp.Excluded}, otp.EventID{}
	r.late = true
	s.metrics.letIn.Inc()
	r.loop.complain(r.nas, &r.from, unrecorded, nil)
	r.decided(nil)
	return true
}

// settleArrears has the store record what it is owed, until ctx is done.
func (s *Server) settleArrears(ctx context.Context) {
	ticker := time.NewTicker(arrearsPause)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			s.recordArrears(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// recordArrears has the store record what it is owed, as far as it does.
func (s *Server) recordArrears(ctx context.Context) {
	all := 0
	for s.arrears.len() > 0 && s.ready() {
		n := s.arrears.record(ctx, s.verifier)
		if all += n; n == 0 {
			break
		}
	}
	if all > 0 {
		s.logger.Info("logins recorded that were let in while the store was away", "logins", all, "left", s.arrears.len())
	}
}

// closeArrears is the last try, at the end of the server.
func (s *Server) closeArrears() {
	ctx, cancel := context.WithTimeout(context.Background(), s.drainTime)
	defer cancel()
	s.recordArrears(ctx)
	if left := s.arrears.len(); left > 0 {
		s.logger.Error("stopped with logins that nobody has recorded: they were let in while the store was away; the log of logins tells which", "logins", left)
	}
}
