package audit

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Place is where a message comes from: the record of a batch. Places have the order of the
// journal; the zero Place is before all.
type Place struct {
	Batch uint64
	Index uint32
}

// Severity is how grave a message is (RFC 5424 section 6.2.1).
type Severity uint8

// The severities that an audit log needs.
const (
	SeverityError         Severity = 3
	SeverityWarning       Severity = 4
	SeverityNotice        Severity = 5
	SeverityInformational Severity = 6
)

// Message is what goes to a syslog server about a record.
type Message struct {
	Place    Place
	At       time.Time
	Severity Severity
	ID       string  // MSGID: of what kind it is, in up to 32 letters of ASCII
	Params   []Param // structured data; names differ
	Text     string
}

// Param is a name, of up to 32 letters of ASCII, and a value, any bytes.
type Param struct{ Name, Value string }

// Feed is where messages come from.
type Feed interface {
	// After lists up to so many messages that came after a place, in order.
	After(ctx context.Context, after Place, most int, each func(*Message) error) error
	// Last is the place of the newest record, zero when there is none.
	Last(ctx context.Context) (Place, error)
	// Checkpoints lists the checkpoints of batches after one, in their order (Log).
	Checkpoints(ctx context.Context, after uint64, each func(*Checkpoint) error) error
}

// Cursors keeps across restarts how far each server has come, by its name.
type Cursors interface {
	// Cursor returns the place up to which a server has everything; ok is false when there
	// is none yet: then it begins with what comes from now on.
	Cursor(ctx context.Context, name string) (p Place, ok bool, err error)
	SaveCursor(ctx context.Context, name string, p Place) error
}

// SyslogOptions are what a Syslog is made of.
type SyslogOptions struct {
	Name     string // of the destination; its cursors are Name and Name + " checkpoints"
	Server   string // tcp://host:port or tls://host:port; the ports are 601 and 6514 when left out
	CAFile   string // certificates in PEM that the server's is verified by; the system's when ""
	Facility string // by its name in syslog.conf(5), authpriv when ""
	Hostname string // of this machine

	Feed    Feed
	Cursors Cursors

	Clock      func() time.Time      // time.Now when nil
	Logger     *slog.Logger          // the default one when nil
	Registerer prometheus.Registerer // no metrics when nil
}

// SyslogState is how it stands with a Syslog.
type SyslogState struct {
	Name, Server string
	Connected    bool
	Sent         uint64    // messages since the start, those sent again included
	Done         Place     // the server has all up to this one
	Waiting      uint64    // batches after it
	Oldest       time.Time // when the first message that waits was made, zero when none does
	Success      time.Time // when the server last took something
	Failure      time.Time // when it last failed
	Fault        string    // why it gets nothing at present
}

// Syslog sends messages to a syslog server, in order and at least once.
type Syslog struct {
	o       SyslogOptions
	server  syslogServer
	from    origin
	metrics *syslogMetrics
	wake    chan struct{}
	times   syslogTimes

	mu    sync.Mutex
	state SyslogState
}

// syslogTimes are how long things take; tests have their own.
type syslogTimes struct {
	poll     time.Duration // how often the feed is looked at without Wake
	tick     time.Duration // how often the peer's acknowledgement is looked at
	settle   time.Duration // how long a connection has to hold after it
	minPause time.Duration // between two connections
	maxPause time.Duration
	stop     time.Duration // how long the server has to read the rest when we stop
	patience time.Duration // how long it may take nothing
}

var usualTimes = syslogTimes{
	poll: time.Second, tick: 250 * time.Millisecond, settle: 2 * time.Second,
	minPause: time.Second, maxPause: time.Minute, stop: time.Second, patience: 30 * time.Second,
}

// NewSyslog returns a Syslog. An error says what is wrong with the options.
func NewSyslog(o SyslogOptions) (*Syslog, error) {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	facility, ok := facilities[o.Facility]
	if !ok {
		return nil, fmt.Errorf("the facility %q is not known", o.Facility)
	}
	server, err := parseSyslogServer(o.Server, o.CAFile)
	if err != nil {
		return nil, err
	}
	s := &Syslog{
		o: o, server: server, wake: make(chan struct{}, 1), times: usualTimes,
		from:  origin{facility: facility, hostname: printable(o.Hostname, 255), process: strconv.Itoa(os.Getpid())},
		state: SyslogState{Name: o.Name, Server: o.Server},
	}
	if s.metrics, err = newSyslogMetrics(o.Name, o.Registerer); err != nil {
		return nil, err
	}
	return s, nil
}

// Wake says that there is something to send. It does not wait.
func (s *Syslog) Wake() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx is done. Then the server has a second to read the rest.
func (s *Syslog) Run(ctx context.Context) {
	pause := s.times.minPause
	for ctx.Err() == nil {
		settled, err := s.session(ctx)
		s.disconnected()
		if ctx.Err() != nil {
			return
		}
		if settled {
			pause = s.times.minPause
		}
		s.failed(err, pause)
		s.look(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
		pause = min(2*pause, s.times.maxPause)
	}
}

// State tells how it stands.
func (s *Syslog) State(ctx context.Context) (SyslogState, error) {
	err := s.look(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state, err
}

// session is one connection: it sends until the connection breaks or ctx is done. settled
// says that something came to the server.
func (s *Syslog) session(ctx context.Context) (settled bool, err error) {
	at, err := s.cursors(ctx)
	if err != nil {
		return false, err
	}
	conn, err := dialSyslog(ctx, &s.server, s.times.patience)
	if err != nil {
		return false, err
	}
	defer conn.close()
	s.connected()
	t := &syslogTransfer{Syslog: s, conn: conn, sent: at, saved: at, since: s.o.Clock()}
	return t.run(ctx)
}

func (s *Syslog) connected() {
	s.o.Logger.Info("connected to a syslog server", "syslog", s.o.Name, "server", s.o.Server, "tls", s.server.tls != nil)
	s.metrics.connected.Set(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Connected = true
}

// holds notes that a connection is one that works.
func (s *Syslog) holds() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Fault = ""
}

func (s *Syslog) disconnected() {
	s.metrics.connected.Set(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Connected = false
}

// failed notes why a session ended. What goes on for long is logged once.
func (s *Syslog) failed(err error, pause time.Duration) {
	now := s.o.Clock()
	s.metrics.failure.Set(float64(now.Unix()))
	s.mu.Lock()
	again := s.state.Fault == err.Error()
	s.state.Failure, s.state.Fault = now, err.Error()
	s.mu.Unlock()
	if !again {
		s.o.Logger.Warn("a syslog server gets nothing; what it misses waits", "syslog", s.o.Name, "server", s.o.Server,
			"error", err, "next_try", pause)
	}
}

// succeeded notes that the server has all up to a place.
func (s *Syslog) succeeded(done Place) {
	now := s.o.Clock()
	s.metrics.success.Set(float64(now.Unix()))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Done, s.state.Success, s.state.Fault = done, now, ""
}

func (s *Syslog) count(messages int) {
	s.metrics.sent.Add(float64(messages))
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Sent += uint64(messages)
}

// look finds out what waits.
func (s *Syslog) look(ctx context.Context) error {
	done, err := s.done(ctx)
	if err != nil {
		return err
	}
	last, err := s.o.Feed.Last(ctx)
	if err != nil {
		return fmt.Errorf("reading the end of the journal: %w", err)
	}
	var oldest time.Time
	err = s.o.Feed.After(ctx, done, 1, func(m *Message) error { oldest = m.At; return nil })
	if err != nil {
		return fmt.Errorf("reading the journal: %w", err)
	}
	var waiting uint64
	switch {
	case last.Batch > done.Batch:
		waiting = last.Batch - done.Batch
	case last.Batch == done.Batch && last.Index > done.Index:
		waiting = 1
	}
	s.metrics.waiting.Set(float64(waiting))
	s.metrics.setOldest(oldest)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.Waiting, s.state.Oldest, s.state.Done = waiting, oldest, done
	return nil
}

// done is the place up to which the server has all. A server that has never got anything
// has all that is there.
func (s *Syslog) done(ctx context.Context) (Place, error) {
	at, ok, err := s.o.Cursors.Cursor(ctx, s.o.Name)
	if err == nil && !ok {
		at, err = s.o.Feed.Last(ctx)
	}
	if err != nil {
		return at, fmt.Errorf("reading how far the syslog server has come: %w", err)
	}
	return at, nil
}

// progress is how far a server has come: with records, and with checkpoints.
type progress struct {
	records     Place
	checkpoints uint64
}

func (s *Syslog) checkpointCursor() string { return s.o.Name + " checkpoints" }

// cursors reads how far the server has come. A new one begins with what comes from now on,
// and with the newest checkpoint.
func (s *Syslog) cursors(ctx context.Context) (progress, error) {
	var at progress
	records, ok, err := s.o.Cursors.Cursor(ctx, s.o.Name)
	if err == nil && !ok {
		if records, err = s.o.Feed.Last(ctx); err == nil {
			err = s.o.Cursors.SaveCursor(ctx, s.o.Name, records)
		}
	}
	if err != nil {
		return at, fmt.Errorf("reading how far the syslog server has come: %w", err)
	}
	at.records = records
	checkpoint, ok, err := s.o.Cursors.Cursor(ctx, s.checkpointCursor())
	if err != nil {
		return at, fmt.Errorf("reading how far the syslog server has come: %w", err)
	}
	if at.checkpoints = checkpoint.Batch; !ok && records.Batch > 0 {
		at.checkpoints = records.Batch - 1
	}
	return at, nil
}

// save makes it durable how far the server has come.
func (s *Syslog) save(ctx context.Context, before, at progress) error {
	var err error
	if at.records != before.records {
		err = s.o.Cursors.SaveCursor(ctx, s.o.Name, at.records)
	}
	if err == nil && at.checkpoints != before.checkpoints {
		err = s.o.Cursors.SaveCursor(ctx, s.checkpointCursor(), Place{Batch: at.checkpoints})
	}
	if err != nil {
		return fmt.Errorf("saving how far the syslog server has come: %w", err)
	}
	s.succeeded(at.records)
	return nil
}
