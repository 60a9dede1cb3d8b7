package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"

	"countersign/tms/store/tables"
)

// Ready is nil while logins can be decided, else it says why not.
func (s *Store) Ready() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	if s.closing.Load() {
		return errClosed
	}
	return nil
}

// unreadable is nil while reads are of use: also while commits wait for a standby. What is not
// committed nobody reads.
func (s *Store) unreadable() error {
	if err := s.failure.Load(); err != nil && s.cluster.stall() == "" {
		return *err
	}
	return nil
}

// errClosed is what acts on a closed store get.
var errClosed = errors.New("the token store is closed")

// errUndurable says that a commit is not known to be on the standbys that it should be on.
var errUndurable = errors.New("the database has committed, but a standby that it waits for may not have it")

// failed is called by who could not commit, or cannot know whether. No login is decided
// until the next tick, which comes at once, has committed something.
func (s *Store) failed(cause error) {
	s.away(cause)
	s.cluster.suspect()
}

// suspect has the next tick come at once, when what was done with ctx has ended with an error
// that may be the database's: it may also be that of one connection. While the store is opened
// the error alone says so.
func (s *Store) suspect(ctx context.Context, err error) {
	if outage(err) && ctx.Err() == nil && s.begun.Load() {
		s.cluster.suspect()
	}
}

// away takes the store out of service. The tick calls it as long as there is no database
// that commits.
func (s *Store) away(cause error) {
	if s.closing.Load() {
		return
	}
	if why := s.cluster.stall(); why != "" {
		cause = &worded{why, cause, false}
	}
	cause = s.database.explain(cause)
	err := fmt.Errorf("%s is out of service: %w", s.database.title(cause), cause)
	before := s.failure.Swap(&err)
	s.logins.suspend()
	news := s.outage.tell(cause.Error())
	if before == nil {
		s.metrics.failures.Inc()
		s.options.Logger.Error("the database is away: no login is decided until it is back", "store", s.database.String(), "error", cause)
	} else if news {
		s.options.Logger.Warn("the database is still away", "store", s.database.String(), "error", cause)
	}
}

// outageNews is what the log was told of an outage: each reason once, and not too many.
type outageNews struct {
	mu    sync.Mutex
	texts []string
}

// maxOutageNews is how many reasons of one outage are logged.
const maxOutageNews = 10

// tell reports whether a reason is new.
func (o *outageNews) tell(text string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.Contains(o.texts, text) || len(o.texts) >= maxOutageNews {
		return false
	}
	o.texts = append(o.texts, text)
	return true
}

// over begins anew, for the next outage.
func (o *outageNews) over() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.texts = nil
}

// works puts the store into service again: the tick has found a database that commits.
func (s *Store) works() {
	if s.failure.Swap(nil) == nil {
		return
	}
	s.outage.over()
	s.pool.Reset() // its connections may be to the server that is gone
	s.logins.resume()
	s.options.Logger.Info("the database is back", "store", s.database.String())
}

// outage reports whether an error says that the database is away, or takes no commits, and
// not that it did not like a statement.
func outage(err error) bool {
	if err == nil {
		return false
	}
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		return outageState(refused.Code)
	}
	var connecting *pgconn.ConnectError
	var network net.Error
	return errors.As(err, &connecting) || errors.As(err, &network) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) ||
		errors.Is(err, context.DeadlineExceeded) || errors.Is(err, pgconn.ErrConnClosed) || errors.Is(err, errFollowing) || errors.Is(err, errUndurable)
}

// outageState is outage by PostgreSQL's code of an error: of the classes connection, lack of
// resources, intervention of an operator and failure of the system; and read only.
func outageState(code string) bool {
	for _, class := range []string{"08", "53", "57", "58"} {
		if strings.HasPrefix(code, class) {
			return code != stateCanceled
		}
	}
	return code == stateReadOnly
}

// warnOfReplication warns of a database whose standbys may lack what was committed: after a
// fail-over codes that were used just before would be good once more.
func (s *Store) warnOfReplication(c *conn) {
	const setting = "SELECT reset_val FROM pg_settings WHERE name = 'synchronous_commit'"
	commits, awaited := "", ""
	err := c.Query(setting, func(r tables.Row) error { commits = r.Text(0); return nil })
	if err == nil {
		err = c.Query("SELECT current_setting('synchronous_standby_names')", func(r tables.Row) error { awaited = r.Text(0); return nil })
	}
	standbys, counting := c.Number("SELECT count(*) FROM pg_stat_replication")
	if err = errors.Join(err, counting); err != nil {
		s.options.Logger.Warn("whether the database has standbys is not known", "error", err)
		return
	}
	if standbys > 0 && awaited == "" {
		s.options.Logger.Warn("the standbys of the database are asynchronous: a fail-over loses logins, and codes that were used just before are good once more: set synchronous_standby_names",
			"standbys", standbys)
	}
	if commits == "off" || commits == "local" || commits == "remote_write" {
		s.options.Logger.Warn("synchronous_commit of the database does not have commits wait for disk and standbys: it is on for the connections of this program", "synchronous_commit", commits)
	}
}
