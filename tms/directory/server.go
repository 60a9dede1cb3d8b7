package directory

import (
	"context"
	"crypto/x509"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How long to wait before a server that does not answer is tried again: the first
// time, and at most.
const (
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
)

// server is one server of a directory. While it does not answer nobody waits for
// it: a goroutine tries it again and again.
type server struct {
	endpoint
	config  *Config
	roots   *x509.CertPool
	account *account      // of the directory
	working *atomic.Int32 // how many servers of the directory have no failure
	life    *life
	log     *slog.Logger
	up      prometheus.Gauge

	dialing   chan struct{} // held by whoever connects for a search: one at a time
	searches  *pool         // bound as the service account
	passwords *pool         // bound as whoever was verified last
	failure   atomic.Pointer[error]
}

func (d *directory) newServer(e endpoint, roots *x509.CertPool, up prometheus.Gauge) *server {
	s := &server{
		endpoint: e, config: &d.Config, roots: roots, account: &d.account, working: &d.working, life: d.life,
		log: d.log.With("server", e.url), up: up, dialing: make(chan struct{}, 1),
	}
	s.searches = newPool(d.Connections, d.Timeout, s.connectAlone)
	s.passwords = newPool(d.Connections, d.Timeout, s.dial)
	s.working.Add(1)
	s.up.Set(1)
	return s
}

// connect is bound, unless the service account is to be spared.
func (s *server) connect(ctx context.Context) (*conn, error) {
	if err := s.account.spare(); err != nil {
		return nil, &problem{"binding as " + s.config.BindDN, err, "verify bind_dn and bind_password_file", true}
	}
	c, err := s.bound(ctx)
	s.account.note(err)
	return c, err
}

// connectAlone is connect, by one at a time: when a server refuses the service
// account, it does so once.
func (s *server) connectAlone(ctx context.Context) (*conn, error) {
	if err := acquire(ctx, s.dialing, s.config.Timeout); err != nil {
		return nil, err
	}
	defer func() { <-s.dialing }()
	if err := s.failed(); err != nil {
		return nil, err
	}
	c, err := s.connect(ctx)
	s.note(ctx, err)
	return c, err
}

// use has a connection do what is asked, all of it within the timeout if there is
// one. When a connection that was idle turns out to be dead, a fresh one is used.
func (s *server) use(ctx context.Context, timeout time.Duration, do func(context.Context, *conn) error) error {
	for fresh := false; ; fresh = true {
		if err := s.failed(); err != nil {
			return err
		}
		c, idle, err := s.searches.take(ctx, fresh)
		if err != nil {
			return err
		}
		sound, err := within(ctx, timeout, func(ctx context.Context) error { return do(ctx, c) })
		s.searches.give(c, sound)
		if timedOut := errors.Is(err, errTimeout); !idle || timedOut || !isFault(err) || ctx.Err() != nil {
			s.note(ctx, err)
			return err
		}
	}
}

// within does something within a timeout, and reports whether its connection can
// still be used.
func within(ctx context.Context, timeout time.Duration, do func(context.Context) error) (sound bool, err error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, errTimeout)
		defer cancel()
	}
	err = do(ctx)
	return !isFault(err) && !errors.Is(err, errLongAnswer) && ctx.Err() == nil, err
}

// failed is why the server is not to be asked now, or nil.
func (s *server) failed() error {
	if failure := s.failure.Load(); failure != nil {
		return *failure
	}
	return nil
}

// note takes the server out of service when an error is a fault of its own, rather
// than of a caller who gave up.
func (s *server) note(ctx context.Context, err error) {
	if !isFault(err) || ctx.Err() != nil {
		return
	}
	if !s.failure.CompareAndSwap(nil, &err) {
		return
	}
	s.working.Add(-1)
	s.up.Set(0)
	s.log.Warn("directory server does not answer", "error", s.diagnosed(err))
	s.searches.drop()
	s.passwords.drop()
	s.life.start(func(ctx context.Context) { s.recover(ctx, err) })
}

// diagnosed is err with its remedy.
func (s *server) diagnosed(err error) error {
	var known *problem
	if errors.As(err, &known) {
		return err
	}
	return s.diagnose("asking", err)
}

// recover tries the server until it answers.
func (s *server) recover(ctx context.Context, err error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		if isRefused(err) {
			pause = refusedPause // does not grow: it is cut below
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		before := err
		if err = s.probe(ctx); err == nil {
			break
		}
		if before.Error() != err.Error() && ctx.Err() == nil {
			s.log.Warn("directory server still does not answer", "error", s.diagnosed(err))
			failure := err
			s.failure.Store(&failure)
		}
	}
	s.failure.Store(nil)
	s.working.Add(1)
	s.up.Set(1)
	s.log.Info("directory server answers again")
}

// probe reports whether the server can be asked again.
func (s *server) probe(ctx context.Context) error {
	c, err := s.connect(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	if _, err = c.read(ctx, s.config.BaseDN, "(objectClass=*)", "1.1"); isFault(err) {
		return err
	}
	return nil
}

func (s *server) close() {
	s.searches.close()
	s.passwords.close()
}
