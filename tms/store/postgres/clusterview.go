package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/tms"
)

// What a view reads. Settings that a database does not have, which only speaks
// PostgreSQL's protocol, are empty.
const (
	readDatabase = `SELECT version(), ` + clockNow + `, pg_is_in_recovery(),
		coalesce(current_setting('synchronous_commit', true), ''), coalesce(current_setting('synchronous_standby_names', true), '')`

	// Backups and readers of single changes are attached like standbys, and are none. Of
	// what our role may not see the columns are NULL.
	readStandbys = `SELECT coalesce(application_name, ''), coalesce(host(client_addr), ''), coalesce(state, ''), coalesce(sync_state, ''),
			coalesce((extract(epoch FROM replay_lag) * 1000000)::bigint, 0),
			CASE WHEN pg_is_in_recovery() THEN 0 ELSE coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)::bigint, 0) END
		FROM pg_stat_replication AS r
		WHERE (state IS NULL OR state IN ('streaming', 'catchup'))
			AND NOT EXISTS (SELECT FROM pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
		ORDER BY 1, 2`
	readWaiting = `SELECT count(*) FROM pg_stat_activity
		WHERE usename = current_user AND wait_event = 'SyncRep' AND query_start < clock_timestamp() - interval '1 second'`

	readNodes   = "SELECT name, instance, version, started, seen, skew, key_file FROM node WHERE seen >= $1 ORDER BY name"
	readLeases  = "SELECT name, node, since, until FROM lease WHERE since >= $1 OR until >= $1 ORDER BY name"
	countNodes  = "SELECT count(*) FROM node WHERE seen > " + clockNow + " - $1"
	newestBatch = "SELECT batch, at FROM journal ORDER BY batch DESC LIMIT 1"
)

// view tells how it stands with the cluster. It has a connection of its own, because that
// of the tick may be waiting.
func (c *cluster) view(ctx context.Context) (tms.ClusterView, error) {
	v := tms.ClusterView{Store: "postgres", Node: c.node}
	ctx, cancel := context.WithTimeout(ctx, 2*c.times.deadline)
	defer cancel()
	config, err := c.config(ctx)
	if err != nil {
		return v, err
	}
	c.suit(config)
	config.OnNotice = nil // that of the tick is not for others
	conn, err := dial(ctx, eachHost(config), c.times.retry)
	if err == nil {
		err = c.read(ctx, conn, &v)
		_ = conn.Close(ctx) // whatever comes of that
	}
	if err != nil {
		v.Database.Fault = c.explain(err).Error()
	}
	return v, nil
}

func (c *cluster) read(ctx context.Context, conn *pgx.Conn, v *tms.ClusterView) error {
	d, err := readReplication(ctx, conn)
	if err != nil {
		return err
	}
	v.Database = d
	now := d.At.UnixMicro()
	if v.Nodes, err = c.readNodes(ctx, conn, now); err != nil {
		return fmt.Errorf("reading the list of nodes: %w", err)
	}
	rows, err := conn.Query(ctx, readLeases, now-forgetTime.Microseconds())
	if err == nil {
		v.Leases, err = pgx.CollectRows(rows, scanLease)
	}
	if err != nil {
		return fmt.Errorf("reading the leases: %w", err)
	}
	v.Commit, err = readCommit(ctx, conn)
	return err
}

// readReplication asks a database what it is, and for its standbys.
func readReplication(ctx context.Context, conn *pgx.Conn) (d tms.ClusterDatabase, err error) {
	var now int64
	err = conn.QueryRow(ctx, readDatabase).Scan(&d.Version, &now, &d.Following, &d.Commits, &d.Awaited)
	if err != nil {
		return d, fmt.Errorf("asking the database what it is: %w", err)
	}
	d.Version, _, _ = strings.Cut(d.Version, " (")
	d.Version, _, _ = strings.Cut(d.Version, " on ")
	d.At, d.Host = instant(now), hostOf(conn.Config().Host, conn.Config().Port)
	rows, err := conn.Query(ctx, readStandbys)
	if err == nil {
		d.Standbys, err = pgx.CollectRows(rows, scanStandby)
	}
	if err == nil {
		err = conn.QueryRow(ctx, readWaiting).Scan(&d.Waiting)
	}
	if conn.IsClosed() {
		return d, fmt.Errorf("asking the database for its standbys: %w", err)
	}
	for i := range d.Standbys { // what it cannot tell is left out
		d.Hidden = d.Hidden || d.Standbys[i].State == ""
	}
	return d, nil
}

func scanStandby(row pgx.CollectableRow) (s tms.ClusterStandby, err error) {
	var lag int64
	err = row.Scan(&s.Name, &s.Address, &s.State, &s.Sync, &lag, &s.Behind)
	s.Lag = time.Duration(lag) * time.Microsecond
	return s, err
}

func (c *cluster) readNodes(ctx context.Context, conn *pgx.Conn, now int64) ([]tms.ClusterNode, error) {
	rows, err := conn.Query(ctx, readNodes, now-forgetTime.Microseconds())
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (n tms.ClusterNode, err error) {
		var instance string
		var started, seen, skew int64
		err = row.Scan(&n.Name, &instance, &n.Version, &started, &seen, &skew, &n.KeyFile)
		n.Started, n.Seen, n.Skew = instant(started), instant(seen), time.Duration(skew)*time.Microsecond
		n.Ago = time.Duration(max(now-seen, 0)) * time.Microsecond
		n.Alive, n.Self = n.Ago < c.times.ttl, instance == c.instance
		return n, err
	})
}

func scanLease(row pgx.CollectableRow) (l tms.ClusterLease, err error) {
	var since, until int64
	err = row.Scan(&l.Name, &l.Node, &since, &until)
	l.Since, l.Until = instant(since), instant(until)
	return l, err
}

// readCommit reads which batch is the newest, and when it was written.
func readCommit(ctx context.Context, conn *pgx.Conn) (commit tms.ClusterCommit, err error) {
	var batch, at int64
	err = conn.QueryRow(ctx, newestBatch).Scan(&batch, &at)
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return commit, fmt.Errorf("reading the newest batch of the journal: %w", err)
	}
	return tms.ClusterCommit{Batch: uint64(batch), At: instant(at)}, nil
}
