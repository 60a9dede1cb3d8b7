package collector

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

// Queue is where records wait (accounting.Store).
type Queue interface {
	Forwardable(ctx context.Context, after accounting.Position, most int, each func(*accounting.Entry) error) (accounting.Position, error)
	Waiting(ctx context.Context, after accounting.Position) (records int64, oldest time.Time, last accounting.Position, err error)
}

// Cursors keeps across restarts how far each collector has come, by its name.
type Cursors interface {
	// Cursor returns the position up to which a collector has everything; ok is false when
	// there is none yet: then it begins with what comes from now on.
	Cursor(ctx context.Context, name string) (p accounting.Position, ok bool, err error)
	SaveCursor(ctx context.Context, name string, p accounting.Position) error
}

// Options are what a Collector is made of. Exactly one of RADIUS and File is set.
type Options struct {
	Name    string
	RADIUS  *RADIUS
	File    *File
	Queue   Queue
	Cursors Cursors
	// MaxRecords and MaxAge bound what waits: what is beyond is skipped, the oldest first,
	// counted and logged. There is no bound when they are 0.
	MaxRecords int64
	MaxAge     time.Duration

	Clock      func() time.Time // time.Now when nil; safe for concurrent use, as is Rand
	Rand       io.Reader        // crypto/rand when nil
	Logger     *slog.Logger     // silent when nil
	Registerer prometheus.Registerer
}

// RADIUS are accounting servers (RFC 2866), the first that answers is used.
type RADIUS struct {
	Servers []Server
	Timeout time.Duration // for an answer, before the request is repeated: 2 s when 0
}

// Server is one of them.
type Server struct {
	Address netip.AddrPort
	Secret  packet.Secret
}

// File is a file of JSON lines.
type File struct {
	Path    string
	MaxSize int64 // in bytes, before it is renamed and another begins; whole MiB, 100 MiB when 0
	Keep    int   // how many of the renamed are kept; 0 is all
}

// State is how it stands with a Collector.
type State struct {
	Name, Type, To string // Type is radius or jsonl
	Waiting        int64
	Oldest         time.Time           // when the first of those came; zero when none waits
	Done           accounting.Position // it has all up to there
	Skipped        uint64              // since the start
	Fault          string              // why records wait, "" when they do not have to
}

// Collector forwards what is in a Queue, in order for each session, at least once.
type Collector struct {
	Options
	sink    sink
	figures *figures
	wake    chan struct{}

	mu       sync.Mutex
	standing standing
}

// standing is what State tells, as the loop knows it.
type standing struct {
	known      bool // the others are
	read, done accounting.Position
	inHand     int       // were read, and are not done
	oldest     time.Time // of these
	skipped    uint64
	fault      string
}

// sink is where records go.
type sink interface {
	// limit is how many deliveries may be on their way, most of how many records each.
	limit() int
	most() int
	// deliver delivers the first of these records, and returns how many: all that it could
	// when the error is nil. The error wraps errUnsendable or errRefused when it is about
	// the first record that was not delivered, and not about the sink.
	deliver(ctx context.Context, batch []*item) (done int, err error)
	// failed says that nothing is delivered at present.
	failed()
	close()
}

var (
	errUnsendable = errors.New("it cannot be sent")
	errRefused    = errors.New("others were answered")
)

// New returns a Collector. An error says what is wrong with the options.
func New(o Options) (*Collector, error) {
	o.setDefaults()
	if err := o.verify(); err != nil {
		return nil, fmt.Errorf("collector %q: %w", o.Name, err)
	}
	c := &Collector{Options: o, wake: make(chan struct{}, 1)}
	c.figures = newFigures(c)
	if o.File != nil {
		c.sink = newFile(c)
	} else {
		c.sink = newClient(c)
	}
	return c, nil
}

func (o *Options) setDefaults() {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Logger = o.Logger.With("collector", o.Name)
}

func (o *Options) verify() error {
	switch {
	case o.Name == "":
		return errors.New("it needs a name")
	case (o.RADIUS == nil) == (o.File == nil):
		return errors.New("it needs either servers or a file")
	case o.Queue == nil || o.Cursors == nil:
		return errors.New("there is no queue")
	case o.MaxRecords < 0 || o.MaxAge < 0:
		return errors.New("a limit of its queue is below zero")
	case o.File != nil:
		return o.File.verify()
	}
	return o.RADIUS.verify()
}

func (f *File) verify() error {
	switch {
	case f.Path == "":
		return errors.New("its file has no name")
	case f.MaxSize < 0 || f.Keep < 0:
		return errors.New("the size of its file, or how many are kept, is below zero")
	}
	return nil
}

func (r *RADIUS) verify() error {
	if len(r.Servers) == 0 {
		return errors.New("it has no servers")
	}
	if r.Timeout < 0 {
		return errors.New("the time it has to answer is below zero")
	}
	given := map[netip.AddrPort]bool{}
	for _, s := range r.Servers {
		switch {
		case !s.Address.IsValid() || s.Address.Port() == 0:
			return fmt.Errorf("server %s: it has to be an address and a port, such as 192.0.2.1:1813", s.Address)
		case s.Secret.IsZero():
			return fmt.Errorf("server %s: it needs a shared secret", s.Address)
		case given[s.Address]:
			return fmt.Errorf("server %s is given twice", s.Address)
		}
		given[s.Address] = true
	}
	return nil
}

// Run forwards until ctx is done. Of several nodes with one queue only one may run, and each
// goes on where the one before it noted that it was; it may be called again after that. Only
// while it runs the Collector's metrics are registered.
func (c *Collector) Run(ctx context.Context) {
	if err := c.figures.register(); err != nil {
		c.Logger.Error("the metrics of a collector are missing", "error", err)
	}
	defer c.stopped()
	f := newForwarder(c)
	if f.begin(ctx) {
		f.run(ctx)
	}
}

// stopped forgets how it stood: another node may go on.
func (c *Collector) stopped() {
	c.sink.close()
	c.figures.unregister()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.standing = standing{}
}

// Wake says that there is something in the queue. It does not wait.
func (c *Collector) Wake() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// State tells how it stands.
func (c *Collector) State(ctx context.Context) (State, error) {
	c.mu.Lock()
	now := c.standing
	c.mu.Unlock()
	s := State{Name: c.Name, Type: c.kind(), To: c.destination(), Done: now.done, Skipped: now.skipped, Fault: now.fault}
	if !now.known {
		cursor, ok, err := c.Cursors.Cursor(ctx, c.Name)
		if err != nil || !ok {
			return s, err
		}
		now.read, s.Done = cursor, cursor
	}
	waiting, oldest, _, err := c.Queue.Waiting(ctx, now.read)
	if err != nil {
		return s, err
	}
	s.Waiting, s.Oldest = waiting+int64(now.inHand), oldest
	if now.inHand > 0 {
		s.Oldest = now.oldest
	}
	return s, nil
}

func (c *Collector) kind() string {
	if c.File != nil {
		return "jsonl"
	}
	return "radius"
}

func (c *Collector) destination() string {
	if c.File != nil {
		return c.File.Path
	}
	addresses := make([]string, len(c.RADIUS.Servers))
	for i, s := range c.RADIUS.Servers {
		addresses[i] = s.Address.String()
	}
	return strings.Join(addresses, ", ")
}
