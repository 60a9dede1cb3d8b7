package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/store/tables"
)

// Store keeps users, tokens and the journal in a database, which other nodes share. It is
// safe for concurrent use. Open makes one.
type Store struct {
	*tables.Tables
	options  Options
	database *database
	pool     *pgxpool.Pool
	keyring  *seal.Keyring
	learned  learned // of onChange's function alone
	invited  invited
	logins   logins
	cluster  cluster
	metrics  metrics
	figures  figures
	history  history

	acting chan struct{} // has something in it while this node acts
	act    deed          // what the act under way has to do at its end

	failure  atomic.Pointer[error] // why the store is out of service
	outage   outageNews
	begun    atomic.Bool // Open is done
	closing  atomic.Bool // Close was called
	released atomic.Bool // and there are no acts any more

	stop       context.CancelFunc
	background sync.WaitGroup
	chores     sync.Mutex // held by what is done from time to time, so that it shares a connection
}

var (
	_ otp.TokenStore = (*Store)(nil)
	_ tms.Store      = (*Store)(nil)

	_ tms.EnrolmentStore = (*Store)(nil)
	_ tms.MigrationStore = (*Store)(nil)
	_ tms.Audit          = (*Store)(nil)
	_ tms.Sessions       = (*Store)(nil)
	_ tms.Cluster        = (*Store)(nil)

	_ accounting.Store = (*Store)(nil)
)

// Open opens the store, whose tables Migrate has made. An error wraps seal.ErrOpen when
// none of the KEKs fits.
func Open(ctx context.Context, o Options) (*Store, error) {
	d, s := (*database)(nil), (*Store)(nil)
	err := o.fill()
	if err == nil {
		d, err = openDatabase(&o)
	}
	if err == nil {
		s, err = open(ctx, o, d)
	}
	if err != nil {
		return nil, failing("opening", d, err)
	}
	return s, nil
}

func open(ctx context.Context, o Options, d *database) (*Store, error) {
	s := &Store{options: o, database: d, acting: make(chan struct{}, 1)}
	var err error
	if s.pool, err = d.pool(s.cluster.prefer); err != nil {
		return nil, err
	}
	err = s.withConn(ctx, func(c *conn) error {
		if err := refuseVersion(c, &s.options); err != nil {
			return err
		}
		if err := tables.RefuseCopying(c, dialect); err != nil {
			return err
		}
		s.warnOfReplication(c)
		return s.openKeyring(c)
	})
	if err == nil {
		err = s.prepare()
	}
	if err != nil {
		s.pool.Close()
		return nil, err
	}
	if err := s.begin(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare makes the parts, which do nothing yet.
func (s *Store) prepare() error {
	s.history.init(s)
	if err := s.logins.init(s); err != nil {
		return err
	}
	s.metrics.init(s)
	s.Tables = tables.New(s.config())
	return s.cluster.init(s.clusterOptions())
}

// config is what tables work with.
func (s *Store) config() tables.Config {
	return tables.Config{
		Name: s.database.String(), Engine: engine{s}, History: engine{s}, Dialect: dialect, Keyring: s.keyring,
		Rand: s.options.Rand, Clock: s.options.Clock, Logger: s.options.Logger,
		Damaged: s.metrics.damaged.Inc, Gap: s.metrics.gaps.Inc, Signed: s.signed, Pruned: s.wasPruned,
	}
}

// clusterOptions are those of the part that knows other nodes. A command is none.
func (s *Store) clusterOptions() clusterOptions {
	o := clusterOptions{
		node: s.options.Node, version: s.options.Version, schema: schemaVersion,
		config:  func(context.Context) (*pgx.ConnConfig, error) { return s.database.config(), nil },
		explain: s.database.explain,
		clock:   time.Now, rand: s.options.Rand, logger: s.options.Logger, failed: s.away, works: s.works,
	}
	if s.isCommand() {
		o.node = ""
	}
	return o
}

// isCommand reports whether this is not a node, but a command beside it.
func (s *Store) isCommand() bool { return s.options.command() }

// begin has the parts do their work.
func (s *Store) begin(ctx context.Context) error {
	if err := s.takeUp(ctx); err != nil {
		return err
	}
	if err := s.metrics.register(s.options.Registerer); err != nil {
		return err
	}
	if err := s.cluster.start(ctx, s.options.Registerer); err != nil {
		return err
	}
	if err := s.logins.start(ctx); err != nil {
		return err
	}
	background, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.cluster.onChange(changedInvited, func() error { return s.readInvited(background) })
	s.cluster.onChange(changedKeyring, func() error { return s.followKeyring(background) })
	if !s.isCommand() {
		s.background.Go(func() { s.minuteLoop(background) })
		s.background.Go(func() { s.cluster.work(background, checkpointLease, s.signLoop) })
	}
	if !s.isCommand() {
		s.history.start(background)
	}
	s.begun.Store(true)
	return nil
}

// takeUp reads, and makes where it is not there yet, what has to be known at the start.
func (s *Store) takeUp(ctx context.Context) error {
	err := engine{s}.Do(ctx, func(w tables.Conn) error {
		if err := s.OpenSigner(w); err != nil {
			return err
		}
		if _, err := s.Identify(w); err != nil || s.isCommand() {
			return err
		}
		return s.takeUpJournal(w)
	})
	if err != nil {
		return err
	}
	return engine{s}.Read(func(c tables.Conn) error { return s.invited.load(c) })
}

// takeUpJournal notes when the end of the journal was cut off, and signs what no node has
// signed.
func (s *Store) takeUpJournal(w tables.Conn) error {
	before, err := engine{s}.Head(w)
	if err != nil {
		return err
	}
	head, gap, err := s.FindGap(w, before)
	if err == nil && head != before {
		err = w.Exec("UPDATE head SET number = ?, chain = ? WHERE id = 1", int64(head.Batch), head.Chain[:])
	}
	switch {
	case err != nil:
		return err
	case gap != "":
		return s.RecordGap(w, gap)
	}
	return s.SignTail(w)
}

// Close decides and answers what is under way, and signs the journal. Nothing is taken from
// its beginning on.
func (s *Store) Close() error {
	if s.closing.Swap(true) {
		return nil
	}
	s.logins.close()
	if s.stop != nil {
		s.stop()
	}
	var err error
	s.background.Wait()
	if s.stop != nil && s.failure.Load() == nil && !s.isCommand() {
		err = engine{s}.Do(context.Background(), s.SignTail)
	}
	s.released.Store(true)
	s.cluster.stop(s.options.Registerer)
	s.metrics.unregister(s.options.Registerer)
	s.pool.Close()
	return err
}

// dial makes a connection for somebody who has one of their own.
func (s *Store) dial(ctx context.Context) (*pgconn.PgConn, error) {
	config := s.database.config()
	s.cluster.prefer(config)
	c, err := dial(ctx, eachHost(config), retryTime)
	if err != nil {
		return nil, s.database.explain(err)
	}
	return c.PgConn(), nil
}

// Work calls run while this node has the lease of that name, which one node at a time has,
// until ctx is done. The context of run ends when the lease is lost. Another node takes over
// within ten seconds.
func (s *Store) Work(ctx context.Context, name string, run func(context.Context)) {
	s.cluster.work(ctx, name, run)
}

// OnChange has f called soon, and after each change of that kind by any node: "rules",
// "senders", "mails", "stock". It is not called while it runs.
func (s *Store) OnChange(kind string, f func() error) { s.cluster.onChange(kind, f) }

// Node is what other nodes call this one.
func (s *Store) Node() string { return s.options.Node }

// Database names the database, with its hosts.
func (s *Store) Database() string { return s.database.String() }

// Cluster implements tms.Cluster.
func (s *Store) Cluster(ctx context.Context) (tms.ClusterView, error) { return s.cluster.view(ctx) }

// ForgetNode implements tms.Cluster.
func (s *Store) ForgetNode(ctx context.Context, name string, act tms.Act) error {
	return s.RecordWith(ctx, act, func(w tables.Conn) error { return s.cluster.forgetNode(w, name) })
}
