package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// connectTime is connect_timeout of a DSN that does not say.
	connectTime = 2 * time.Second
	// maxConns is how many connections read, or act, at the same time; logins and the tick
	// have their own.
	maxConns = 6
	// silenceTime is after how long a connection on which nothing is heard is given up, by
	// either side.
	silenceTime = 5 * time.Second
	// idleActTime is how long an act may do nothing with its transaction, in which it keeps
	// other nodes from acting, and logins of its user, with all of their group, from being
	// decided. A node that dies or stands still in it is cut off then, well before logins are
	// given up (groupTime).
	idleActTime = 700 * time.Millisecond
)

// database is how to connect to the database.
type database struct {
	template *pgxpool.Config
	password Password
	// timeline is the highest that was met, of the server that holds the database. It rises
	// with each fail-over; a server with a lower one has been replaced.
	timeline atomic.Int64
}

// openDatabase reads the DSN. It connects to nothing.
func openDatabase(o *Options) (*database, error) {
	config, err := pgxpool.ParseConfig(o.DSN)
	if err != nil {
		return nil, dsnError(err)
	}
	d := &database{template: config, password: o.Password}
	d.prepareServer(config.ConnConfig, o)
	d.prepareNet(config.ConnConfig)
	config.ConnConfig.ValidateConnect = d.recognize
	config.ConnConfig.OnNotice = noticed
	config.MaxConns = maxConns
	config.PingTimeout = connectTime
	return d, nil
}

// dsnError is why a DSN cannot be read, without the DSN: it may have a password in it.
func dsnError(err error) error {
	const text = "the DSN cannot be read (it is not shown here, because it may have a password in it): write it as postgres://USER@HOST:PORT/DATABASE?SETTINGS"
	var path *os.PathError
	if errors.As(err, &path) { // sslrootcert and its like
		return fmt.Errorf("%s: %w", text, path)
	}
	return errors.New(text)
}

// prepareServer has the server work for us as we need it. What the DSN says goes first.
func (d *database) prepareServer(config *pgx.ConnConfig, o *Options) {
	config.RuntimeParams["application_name"] = "countersign/" + o.Node
	for name, value := range map[string]string{
		"client_encoding":                     "UTF8",
		"statement_timeout":                   milliseconds(statementTime),
		"idle_in_transaction_session_timeout": milliseconds(idleActTime),
		"tcp_user_timeout":                    milliseconds(silenceTime),
		"tcp_keepalives_idle":                 "5",
		"tcp_keepalives_interval":             "2",
		"tcp_keepalives_count":                "3",
		"jit":                                 "off",
	} {
		if _, said := config.RuntimeParams[name]; !said {
			config.RuntimeParams[name] = value
		}
	}
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// prepareNet has us notice that a server is gone.
func (d *database) prepareNet(config *pgx.ConnConfig) {
	if config.ConnectTimeout <= 0 {
		config.ConnectTimeout = connectTime
	}
	dialer := &net.Dialer{
		Timeout:         config.ConnectTimeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 5 * time.Second, Interval: 2 * time.Second, Count: 3},
		Control:         giveUpSilent,
	}
	config.DialFunc = dialer.DialContext
}

// giveUpSilent has the kernel end a connection whose peer acknowledges nothing.
func giveUpSilent(network, _ string, raw syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	const tcpUserTimeout = 18 // TCP_USER_TIMEOUT, tcp(7)
	var set error
	err := raw.Control(func(fd uintptr) {
		set = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(silenceTime.Milliseconds()))
	})
	return errors.Join(err, set)
}

// config is a new configuration for a connection.
func (d *database) config() *pgx.ConnConfig {
	config := d.template.ConnConfig.Copy()
	if text := d.password.text(); text != "" {
		config.Password = text
	}
	return config
}

// pool makes a pool, which connects when something is asked of it. Where is told of each
// configuration before it is used.
func (d *database) pool(where func(*pgx.ConnConfig)) (*pgxpool.Pool, error) {
	config := d.template.Copy()
	config.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		c.Password = d.config().Password
		where(c)
		return nil
	}
	config.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		newConn(c.PgConn())
		return nil
	}
	return pgxpool.NewWithConfig(context.Background(), config)
}

// noticed hears warnings of the server.
func noticed(raw *pgconn.PgConn, n *pgconn.Notice) {
	// "The transaction has already committed locally, but might not have been replicated to
	// the standby": the wait was broken off.
	if c := connOf(raw); c != nil && n.Code == stateWarning {
		c.undurable = true
	}
}

// In one round trip: whether it is a standby, or takes no commits; that commits wait for the
// disk and for standbys, also where the server's configuration or the role's say otherwise;
// and which timeline it is on.
const recognizeSQL = `SELECT pg_is_in_recovery() OR current_setting('transaction_read_only')::bool;
	SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write');
	SELECT CASE WHEN pg_is_in_recovery() THEN '0' ELSE substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) END;
	SELECT pg_backend_pid()`

// recognize refuses a server that is not the one which holds the database.
func (d *database) recognize(ctx context.Context, raw *pgconn.PgConn) error {
	results, err := raw.Exec(ctx, recognizeSQL).ReadAll()
	if err != nil {
		return fmt.Errorf("asking the server what it is: %w", err)
	}
	if len(results) != 4 || len(results[0].Rows) != 1 || len(results[2].Rows) != 1 || len(results[3].Rows) != 1 {
		return errors.New("the server does not tell what it is: is it PostgreSQL?")
	}
	if string(results[0].Rows[0][0]) == "t" {
		return errFollowing
	}
	if string(results[3].Rows[0][0]) != strconv.FormatUint(uint64(raw.PID()), 10) {
		return errors.New("there is a pooler of connections on the way, which mixes up statements and settings: name the database itself in dsn")
	}
	timeline, err := strconv.ParseInt(string(results[2].Rows[0][0]), 16, 64)
	if err != nil {
		return fmt.Errorf("reading the timeline of the server: %w", err)
	}
	for {
		known := d.timeline.Load()
		if timeline < known {
			return fmt.Errorf("it is on timeline %d, and another server has taken over on timeline %d: stop it, and make it a standby of the other (pg_rewind)", timeline, known)
		}
		if d.timeline.CompareAndSwap(known, timeline) {
			return nil
		}
	}
}

// errFollowing says that a server is not the one to write to.
var errFollowing = errors.New("it is a standby, or takes no commits for another reason")

// String names the database in messages: hosts and name.
func (d *database) String() string {
	config := d.template.ConnConfig
	hosts := []string{}
	for _, way := range waysOf(config) {
		if host := hostOf(way.Host, way.Port); len(hosts) == 0 || hosts[len(hosts)-1] != host {
			hosts = append(hosts, host)
		}
	}
	u := url.URL{Scheme: "postgres", Host: strings.Join(hosts, ","), Path: config.Database}
	return u.String()
}
