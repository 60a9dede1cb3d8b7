package postgres

import (
	"cmp"
	"context"
	"errors"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// connect finds the database, if there is no connection to it. All hosts are tried at
// once, each again and again, so that none that is dead keeps us from one that lives.
func (c *cluster) connect(ctx context.Context) error {
	if c.conn != nil && !c.conn.IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, c.times.deadline)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)() // who stops needs no new connection
	config, err := c.config(ctx)
	if err != nil {
		return err
	}
	c.suit(config)
	if c.conn, err = dial(ctx, eachHost(config), c.times.retry); err != nil {
		return c.explain(err)
	}
	c.found.Store(hostOf(c.conn.Config().Host, c.conn.Config().Port))
	c.forget()
	return nil
}

// suit has a connection suit the tick. Nothing is prepared, because a pooler may be
// between us and the database. A statement that takes too long is cancelled there too: one
// that waits for a standby would hold its locks and its connection for as long as it does.
func (c *cluster) suit(config *pgx.ConnConfig) {
	config.RuntimeParams["idle_in_transaction_session_timeout"] = milliseconds(2 * c.times.deadline) // it keeps nobody waiting
	config.DefaultQueryExecMode = pgx.QueryExecModeExec
	config.StatementCacheCapacity, config.DescriptionCacheCapacity = 0, 0
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		// "The transaction has already committed locally, but might not have been
		// replicated to the standby."
		if n.Code == stateWarning {
			c.doubtful = true
		}
	}
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: c.times.deadline / 3}
	}
}

// passing reports whether an error says only that somebody else was first.
func passing(err error) bool {
	state := sqlState(err)
	return state == stateSerialization || state == stateDeadlock
}

// hangUp closes the connection.
func (c *cluster) hangUp() {
	if c.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.times.deadline/3)
	defer cancel()
	_ = c.conn.Close(ctx) // it is of no use whatever comes of that
	c.conn = nil
}

// dial tries all configurations until one of them connects.
func dial(ctx context.Context, configs []*pgx.ConnConfig, retry time.Duration) (*pgx.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	found := make(chan *pgx.Conn)
	failed := make(chan error, len(configs))
	for _, config := range configs {
		go func() { failed <- dialHost(ctx, config, retry, found) }()
	}
	var errs []error
	for range configs {
		select {
		case conn := <-found:
			return conn, nil
		case err := <-failed:
			errs = append(errs, err)
		}
	}
	return nil, cmp.Or(errors.Join(errs...), ctx.Err()) // which it is when one connected too late
}

// dialHost tries one configuration until it connects, or ctx is done; it returns why it
// did not connect then.
func dialHost(ctx context.Context, config *pgx.ConnConfig, retry time.Duration, found chan<- *pgx.Conn) error {
	var failure error
	for {
		conn, err := pgx.ConnectConfig(ctx, config.Copy())
		if err == nil {
			select {
			case found <- conn:
				return nil
			case <-ctx.Done(): // another was faster
				return conn.Close(context.Background())
			}
		}
		if failure == nil || ctx.Err() == nil {
			failure = err
		}
		if pause(ctx, retry); ctx.Err() != nil {
			return failure
		}
	}
}

// eachHost makes a configuration for each host of one.
func eachHost(config *pgx.ConnConfig) []*pgx.ConnConfig {
	var all []*pgx.ConnConfig
	ways := waysOf(config)
	for len(ways) > 0 {
		host := hostOf(ways[0].Host, ways[0].Port)
		n := slices.IndexFunc(ways, func(w *pgconn.FallbackConfig) bool { return hostOf(w.Host, w.Port) != host })
		if n < 0 {
			n = len(ways)
		}
		one := config.Copy()
		setWays(one, ways[:n])
		all = append(all, one)
		ways = ways[n:]
	}
	return all
}

// prefer puts the host first where the tick has found the database, so that whoever
// connects need not find it again.
func (c *cluster) prefer(config *pgx.ConnConfig) {
	found := text(&c.found)
	ways := waysOf(config)
	slices.SortStableFunc(ways, func(a, b *pgconn.FallbackConfig) int {
		return rank(a, found) - rank(b, found)
	})
	setWays(config, ways)
}

func rank(w *pgconn.FallbackConfig, found string) int {
	if hostOf(w.Host, w.Port) == found {
		return 0
	}
	return 1
}

// waysOf are the ways to connect that a configuration has, in their order: hosts, some of
// them once with TLS and once without.
func waysOf(config *pgx.ConnConfig) []*pgconn.FallbackConfig {
	first := &pgconn.FallbackConfig{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}
	return append([]*pgconn.FallbackConfig{first}, config.Fallbacks...)
}

func setWays(config *pgx.ConnConfig, ways []*pgconn.FallbackConfig) {
	config.Host, config.Port, config.TLSConfig = ways[0].Host, ways[0].Port, ways[0].TLSConfig
	config.Fallbacks = ways[1:]
}

func hostOf(host string, port uint16) string {
	return net.JoinHostPort(host, strconv.Itoa(int(port)))
}
