package directory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"countersign/exclusions"
)

const (
	// maxQuestions is how many names a directory is asked for at a time.
	maxQuestions = 1024
	// maxNobody is how many names are remembered that no user has. They have a
	// cache of their own: who tries names does not drive out those of users.
	maxNobody = 8192
)

// errNoServer says that none of the servers answers.
var errNoServer = errors.New("no server answers")

// directory is one directory: its servers, and what is known of its users.
type directory struct {
	Config
	repository *Repository
	realms     []string // folded
	realm      string   // the first of them
	plain      bool     // its canonical names have no realm
	groupBase  string   // GroupBaseDN, folded
	servers    []*server
	working    atomic.Int32 // how many of them are in service
	account    account

	users     *lru.Cache[string, remembered] // by every name that was asked for
	nobody    *lru.Cache[string, remembered] // names that no user has
	interner  interner
	asking    singleflight.Group
	questions atomic.Int32

	life       *life
	clock      func() time.Time
	log        *slog.Logger
	complained atomic.Int64 // Unix time in seconds of the last complaint
	meter      *meter
}

// remembered is an answer, and when it was asked for.
type remembered struct {
	identity *exclusions.Identity
	at       time.Time
}

func (r *Repository) newDirectory(number int, c Config, o Options) (*directory, error) {
	endpoints, roots, err := inspect(number, c)
	if err != nil {
		return nil, err
	}
	d := &directory{
		Config: c, repository: r, life: r.life, clock: o.Clock, log: o.Logger.With("directory", c.Name), meter: r.metrics.directory(c.Name),
	}
	for _, realm := range c.Realms {
		folded, ok := o.Fold(realm)
		if !ok || strings.ContainsAny(realm, `@\ `) {
			return nil, &SettingError{c.Name, "realms", fmt.Sprintf("%q is none", realm), "write it as example.com or EXAMPLE"}
		}
		d.realms = append(d.realms, folded)
	}
	d.realm = d.realms[0]
	d.groupBase, _ = foldDN(c.GroupBaseDN)
	d.users, _ = lru.New[string, remembered](c.CacheUsers) // which errs for sizes below 1
	d.nobody, _ = lru.New[string, remembered](min(maxNobody, c.CacheUsers))
	for _, e := range endpoints {
		d.servers = append(d.servers, d.newServer(e, roots, r.metrics.up.WithLabelValues(c.Name, e.url)))
	}
	return d, nil
}

// recall is the answer from memory; ok is false when there is none that counts and
// a server may be asked.
func (d *directory) recall(name []byte, now time.Time) (*exclusions.Identity, exclusions.Source, bool) {
	if known, ok := d.users.Get(string(name)); ok && now.Sub(known.at) < d.CacheTime {
		d.meter.cache[hit].Inc()
		return known.identity, exclusions.Fresh, true
	}
	if known, ok := d.nobody.Get(string(name)); ok && now.Sub(known.at) < d.NotFoundTime {
		d.meter.cache[hit].Inc()
		return known.identity, exclusions.Fresh, true
	}
	if d.working.Load() > 0 {
		return nil, exclusions.Unavailable, false
	}
	identity, source := d.resort(name, now)
	return identity, source, true
}

// resort is the answer when no server gives one.
func (d *directory) resort(name []byte, now time.Time) (*exclusions.Identity, exclusions.Source) {
	if known, ok := d.users.Get(string(name)); ok && now.Sub(known.at) < d.CacheTime+d.StaleTime {
		d.meter.cache[stale].Inc()
		return known.identity, exclusions.Stale
	}
	d.meter.cache[unavailable].Inc()
	return d.unknown(string(name)), exclusions.Unavailable
}

// find is recall that asks.
func (d *directory) find(ctx context.Context, a asked) (*exclusions.Identity, exclusions.Source) {
	if identity, source, ok := d.recall([]byte(a.name), d.clock()); ok {
		return identity, source
	}
	d.meter.cache[missed].Inc()
	answer := d.asking.DoChan(a.name, func() (any, error) { return d.inquire(a) })
	select {
	case got := <-answer:
		if got.Err == nil {
			return got.Val.(*exclusions.Identity), exclusions.Fresh
		}
	case <-ctx.Done():
	}
	return d.resort([]byte(a.name), d.clock())
}

// inquire asks a server and remembers the answer. It goes on when those who
// wanted to know have left, as long as a server may take.
func (d *directory) inquire(a asked) (*exclusions.Identity, error) {
	if !d.life.begin() {
		return nil, errClosed
	}
	defer d.life.done()
	if d.questions.Add(1) > maxQuestions {
		d.questions.Add(-1)
		return nil, errBusy
	}
	defer d.questions.Add(-1)

	began, now := time.Now(), d.clock()
	var identity *exclusions.Identity
	err := d.query(d.life.ctx, d.Timeout, func(ctx context.Context, c *conn) (err error) {
		identity, err = d.lookUp(ctx, c, a)
		return err
	})
	switch {
	case err != nil:
		d.meter.observe(opLookup, failed, began)
		if !errors.Is(err, errNoServer) { // which was logged when it began
			d.complain("user not looked up", "user", a.name, "error", err)
		}
		return nil, err
	case identity == nil:
		d.meter.observe(opLookup, notFound, began)
		identity = d.unknown(a.name)
		d.users.Remove(a.name)
		d.nobody.Add(a.name, remembered{identity, now})
	default:
		d.meter.observe(opLookup, succeeded, began)
		d.nobody.Remove(a.name)
		d.users.Add(a.name, remembered{identity, now})
		if identity.Name != a.name {
			d.users.Add(identity.Name, remembered{identity, now})
		}
	}
	return identity, nil
}

// query asks the servers in their order until one answers, each for as long as
// timeout, when it is not 0. The error is one line.
func (d *directory) query(ctx context.Context, timeout time.Duration, ask func(context.Context, *conn) error) error {
	var failures []string
	for _, s := range d.servers {
		err := s.use(ctx, timeout, ask)
		if err == nil || !isFault(err) || ctx.Err() != nil {
			return s.advise(err)
		}
		failures = append(failures, fmt.Sprintf("server %s: %v", s.url, s.diagnosed(err)))
	}
	return fmt.Errorf("%w: %s", errNoServer, strings.Join(failures, "; "))
}

// complain logs an error about a name, at most one a second: somebody may be
// trying names.
func (d *directory) complain(message string, about ...any) {
	now := time.Now().Unix()
	if last := d.complained.Load(); last != now && d.complained.CompareAndSwap(last, now) {
		d.log.Error(message, about...)
	}
}
