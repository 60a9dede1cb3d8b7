package migration

import (
	"context"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/tms"
)

// Store is what a Learner reads, and where it notes who was seen.
type Store interface {
	Tokens(ctx context.Context, f tms.Filter, each func(*tms.Token) error) error
	Users(ctx context.Context, f tms.Filter, each func(*tms.User) error) error
	NoteSeen(ctx context.Context, seen []tms.Seen) error
}

// Service does what was learned.
type Service interface {
	LearnToken(ctx context.Context, c tms.Caller, l tms.Lesson) error
	LearnPIN(ctx context.Context, c tms.Caller, l tms.Lesson) error
	UnlearnToken(ctx context.Context, c tms.Caller, l tms.Lesson) error
}

// Settings are what an administrator may change at run time.
type Settings struct {
	Learn bool
}

// Options are what a Learner works with.
type Options struct {
	Store      Store
	Service    Service
	Settings   func() Settings
	Policy     func() otp.Policy
	Clock      func() time.Time
	Logger     *slog.Logger
	Registerer prometheus.Registerer // no metrics are told when nil
}

// Learner learns from logins that the TMS has accepted. It is safe for concurrent use.
type Learner struct {
	Options
	metrics  *metrics
	index    atomic.Pointer[index]
	seen     seen
	doubts   doubts
	lasts    lasts
	changed  chan struct{} // has an element when the index is to be loaded
	moved    atomic.Bool   // tokens have changed hands since the doubts were looked through
	users    [64]sync.Mutex
	hashSeed maphash.Seed
}

// Actor is the tms.Act.Actor of what a Learner does. It need not be told of that by
// Changed.
const Actor = "server@migration"

// self is who acts.
var self = tms.Caller{Name: Actor, Administrator: true}

// New joins the parts. Run has to be called for anything to be learned.
func New(o Options) (*Learner, error) {
	l := &Learner{Options: o, metrics: newMetrics(), changed: make(chan struct{}, 1), hashSeed: maphash.MakeSeed()}
	l.index.Store(newIndex())
	return l, l.metrics.register(o.Registerer)
}

const (
	flushEvery  = time.Second      // how often users who were seen are written
	buildEvery  = time.Second      // how often tables are looked after
	buildAhead  = 10 * time.Second // they are there for so long ahead
	loadEvery   = time.Minute      // how often the store is read, or
	loadShare   = 30               // so many times what that takes, whichever is longer: also when told
	learnTime   = 2 * time.Second  // what learning may delay a login
	lastFlush   = 5 * time.Second  // what writing takes at the end
	inlineLimit = 4096             // tokens: with so many at most a login builds the tables it lacks
)

// Run looks after the index and writes who was seen, until ctx is done.
func (l *Learner) Run(ctx context.Context) {
	var parts sync.WaitGroup
	parts.Go(func() { l.runSeen(ctx) })
	parts.Go(func() { l.runLoads(ctx) })
	parts.Go(func() { l.runTables(ctx) })
	parts.Wait()
}

// Changed says that somebody else than the Learner may have brought tokens into stock,
// or changed some: the index is loaded soon, which is at once but for what loads may
// take of the time.
func (l *Learner) Changed() {
	select {
	case l.changed <- struct{}{}:
	default:
	}
}

// Accepted is told of each login that the TMS has accepted, before it is recorded: the
// user is noted as seen, and learned from if that is to be. The code is not burned; who
// decides the login does that. The passcode is not kept. There is no error: what fails
// is logged and counted, and the login goes on.
func (l *Learner) Accepted(ctx context.Context, user otp.UserName, passcode otp.Passcode, at time.Time) Outcome {
	l.seen.note(user, at)
	if !l.Settings().Learn {
		return Off
	}
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	outcome, err := l.learn(ctx, &login{user: user, passcode: passcode, at: at, policy: l.Policy()})
	if err != nil {
		outcome = Failed
		l.Logger.Error("learning from a login failed", "user", string(user), "error", err)
	}
	l.metrics.logins.WithLabelValues(outcome.String()).Inc()
	return outcome
}

// Ambiguities lists by user what could not be learned from the user's last login, and
// why.
func (l *Learner) Ambiguities() []Ambiguity { return l.doubts.list() }

// alone makes others who are about the same user wait until the function that it
// returns is called.
func (l *Learner) alone(user otp.UserName) (leave func()) {
	lock := &l.users[maphash.String(l.hashSeed, string(user))%uint64(len(l.users))]
	lock.Lock()
	return lock.Unlock
}

// runLoads loads the index until ctx is done: at the start, when it was told so, and
// from time to time.
func (l *Learner) runLoads(ctx context.Context) {
	for ready := false; ; {
		began, wait := time.Now(), loadEvery
		if !l.Settings().Learn {
			l.index.Store(newIndex())
			wait, ready = buildEvery, false
		} else if err := l.load(ctx); err != nil && ctx.Err() == nil {
			l.Logger.Error("the tokens that could be learned cannot be read", "error", err)
		} else if err == nil && !ready {
			ready = true
			stock, learned := l.index.Load().size()
			l.Logger.Info("learning from logins at the TMS", "stock_tokens", stock, "learned_tokens", learned)
		}
		rest := loadShare * time.Since(began)
		if !pause(ctx, rest, nil) || !pause(ctx, wait-rest, l.changed) {
			return
		}
	}
}

// pause waits for so long, or until it is told, and reports whether to go on.
func pause(ctx context.Context, d time.Duration, told <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-told:
	case <-ctx.Done():
		return false
	}
	return true
}

// load brings the index up to date, or makes a new one where too much of it is of tokens
// that are gone.
func (l *Learner) load(ctx context.Context) error {
	x := l.index.Load()
	if x.wasteful() {
		x = newIndex()
	}
	policy := l.Policy()
	if err := x.load(ctx, l.Store, &policy); err != nil {
		return err
	}
	l.index.Store(x)
	l.moved.Store(true)
	l.tell(x)
	return nil
}

// tell tells how many tokens there are.
func (l *Learner) tell(x *index) {
	stock, learned := x.size()
	l.metrics.stock.Set(float64(stock))
	l.metrics.learned.Set(float64(learned))
}

// runTables builds the tables that logins will need, and settles doubts, until ctx is
// done.
func (l *Learner) runTables(ctx context.Context) {
	ticker := time.NewTicker(buildEvery)
	defer ticker.Stop()
	for {
		if x := l.index.Load(); l.Settings().Learn {
			now, policy := l.Clock(), l.Policy()
			x.prepare(now, now.Add(buildAhead), &policy)
			if l.moved.Swap(false) {
				l.eliminate(ctx, x)
				l.tell(x)
			}
		}
		l.metrics.ambiguities.Set(float64(l.doubts.size()))
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}
