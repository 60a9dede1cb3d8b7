package radiusd

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// errNotCounted stands for what says nothing about the Backend.
var errNotCounted = errors.New("not counted")

// breaker keeps logins from a Backend that does not answer. It opens after a number of
// errors in a row. Logins pass it only while it is closed; what finds out whether the
// Backend is back is never a login of anybody, but a probe.
type breaker struct {
	circuit  *gobreaker.TwoStepCircuitBreaker[struct{}]
	backend  Backend
	patience int           // lost logins in a row that do not count
	pause    time.Duration // between two probes
	limit    time.Duration // of a probe
	clock    func() time.Time
	logger   *slog.Logger
	opened   chan struct{}

	mu    sync.Mutex
	since time.Time // when it was opened or closed
	last  error     // the last that counted
	lost  int       // logins lost since one was answered
}

func newBreaker(o *Options) *breaker {
	b := &breaker{
		backend: o.Backend, patience: 2 * o.BackendFailures, pause: o.BackendPause, limit: o.BackendTime, clock: o.Clock, logger: o.Logger,
		opened: make(chan struct{}, 1), since: o.Clock(),
	}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:       o.BackendPause - o.BackendPause/10, // over when the probe comes
		ReadyToTrip:   func(c gobreaker.Counts) bool { return int(c.ConsecutiveFailures) >= o.BackendFailures },
		IsExcluded:    func(err error) bool { return err == errNotCounted },
		OnStateChange: func(_ string, from, to gobreaker.State) { b.changed(from, to) },
	})
	return b
}

// changed notes that the breaker was opened or closed. The circuit is locked meanwhile, so
// that others write the log.
func (b *breaker) changed(from, to gobreaker.State) {
	if from == gobreaker.StateClosed || to == gobreaker.StateClosed {
		b.mu.Lock()
		b.since, b.lost = b.clock(), 0
		b.mu.Unlock()
	}
	if from == gobreaker.StateClosed {
		select {
		case b.opened <- struct{}{}:
		default:
		}
	}
}

func (b *breaker) closed() bool { return b.circuit.State() == gobreaker.StateClosed }

// admit lets a login pass while the breaker is closed. Done is to be told what came of it.
func (b *breaker) admit() (done func(error), ok bool) {
	if !b.closed() { // a half-open one would let it pass as the probe
		return nil, false
	}
	tell, err := b.circuit.Allow()
	if err != nil {
		return nil, false
	}
	return func(err error) {
		err = b.weigh(err)
		b.note(err)
		tell(err)
	}, true
}

// weigh has a lost login not count, for most likely the next is answered; unless too many
// were lost and none was answered: then whatever is still there answers probes only.
func (b *breaker) weigh(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil:
		b.lost = 0
	case errors.Is(err, ErrOddAnswer):
		b.lost = 0
		return errNotCounted
	case errors.Is(err, ErrLost) && errors.Is(err, ErrNotShown):
		return errNotCounted
	case errors.Is(err, ErrLost) && b.lost < b.patience:
		b.lost++
		return errNotCounted
	}
	return err
}

// note keeps an error that counts.
func (b *breaker) note(err error) {
	if err == nil || err == errNotCounted {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.last = err
}

// watch waits until the breaker opens and has it closed again, until ctx is done.
func (b *breaker) watch(ctx context.Context) {
	for {
		select {
		case <-b.opened:
			b.mend(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// mend probes the Backend until it answers, and tells when it is lost and when it is back.
func (b *breaker) mend(ctx context.Context) {
	_, since, last := b.state()
	b.logger.Warn("the TMS does not answer: logins that are for it are decided by our own tokens where their order says so, and else not answered, or refused; look at its servers and the network between",
		"error", last)
	timer := time.NewTimer(b.pause)
	defer timer.Stop()
	for !b.closed() {
		select {
		case <-timer.C:
			b.probe(ctx)
			timer.Reset(b.pause)
		case <-ctx.Done():
			return
		}
	}
	b.logger.Info("the TMS answers again", "down_for", b.clock().Sub(since).Round(time.Second))
}

// probe asks the Backend whether it is there.
func (b *breaker) probe(ctx context.Context) {
	done, err := b.circuit.Allow()
	if err != nil {
		return
	}
	limited, cancel := context.WithTimeout(ctx, b.limit)
	defer cancel()
	if err = b.backend.Probe(limited); ctx.Err() != nil {
		err = errNotCounted
	}
	b.note(err)
	done(err)
}

// state is "closed", "open" or, while a probe is due or on its way, "half-open"; since when
// logins pass or do not; and the last error that counted, "" when there was none.
func (b *breaker) state() (state string, since time.Time, last string) {
	state = b.circuit.State().String()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.last != nil {
		last = b.last.Error()
	}
	return state, b.since, last
}

// BackendState is how it stands with the Backend: state "closed", when logins are shown to
// it; "open", when they are not, because it did not answer; "half-open", when it is just
// found out whether it does; "" when there is no Backend. Since tells from when on they are
// shown or not, and lastError what was last wrong, "" when nothing ever was.
func (s *Server) BackendState() (state string, since time.Time, lastError string) {
	if s.tms == nil {
		return "", time.Time{}, ""
	}
	return s.tms.breaker.state()
}
