package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"

	"countersign/otp"
	"countersign/tms/store/tables"
)

// Backup says how backups are made: the database does that itself.
func (s *Store) Backup(context.Context, string, func(done, total int64)) error {
	return fmt.Errorf("backing up token store %s: that is done by PostgreSQL's own programs, pg_basebackup or pg_dump; keep the key file too, somewhere else. A backup that is put back turns counters back: run `countersign store rewound` before a server is started with it", s.database)
}

// Check reads the whole store: that everything sealed opens, that every rule parses, and
// that the chain of the journal is whole. The error names the first fault.
func (s *Store) Check(ctx context.Context) error {
	err := s.Ready()
	if err == nil {
		err = s.CheckRows(ctx)
	}
	if err != nil {
		return fmt.Errorf("checking token store %s: %w", s.database, err)
	}
	return nil
}

// Rewound is called once for a database that was put back to an earlier state: from a backup,
// or because a standby took over that lacked commits. No node may have it open. Counters
// are back then. So that no code used since passes again, every event token must show
// two consecutive codes before it is accepted again, and of clock tokens every code is refused
// that may have been accepted before this instant; all links are void, mails that wait
// are dropped, and there is another BoxKey. It may be done again after it was broken off.
func Rewound(ctx context.Context, o Options, policy otp.Policy) error {
	if err := refuseOpened(ctx, o); err != nil {
		return fmt.Errorf("moving token store on: %w", err)
	}
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	err = s.AfterRestore(ctx, s.options.Version, policy)
	if err = errors.Join(err, s.Close()); err != nil {
		return fmt.Errorf("moving token store %s on: %w", s.database, err)
	}
	return nil
}

// refuseOpened refuses a database that nodes have open. One that was restored has the nodes of
// then in its list, none of which was heard of lately.
func refuseOpened(ctx context.Context, o Options) error {
	d, err := openDatabase(&o)
	if err != nil {
		return err
	}
	return d.with(ctx, d.config(), func(c *conn) error {
		if err := refuseVersion(c, &o); err != nil {
			return err
		}
		return refuseNodes(c)
	})
}

// AuditLog reads the journal of a database, and nothing else: no key is needed for that. It
// is an audit.Log. OpenAudit makes one.
type AuditLog struct {
	*tables.ChainLog
	mu   sync.Mutex // held by who uses conn
	raw  *pgx.Conn
	conn *conn
}

// OpenAudit opens the journal of a database to be verified. Nodes may work meanwhile.
func OpenAudit(ctx context.Context, o Options) (*AuditLog, error) {
	d, err := openDatabase(&o)
	if err != nil {
		return nil, fmt.Errorf("opening the journal: %w", err)
	}
	l := &AuditLog{}
	if l.raw, err = pgx.ConnectConfig(ctx, d.config()); err == nil {
		l.conn = newConn(l.raw.PgConn())
		if err = refuseVersion(l.conn, &o); err != nil {
			err = errors.Join(err, l.Close())
		}
	}
	if err != nil {
		return nil, failing("opening the journal of", d, err)
	}
	l.ChainLog = tables.NewChainLog(d.String(), dialect, l.read)
	return l, nil
}

func (l *AuditLog) read(run func(tables.Conn) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.conn.forget()
	return run(l.conn)
}

// Close ends the connection.
func (l *AuditLog) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), connectTime)
	defer cancel()
	return l.raw.Close(ctx)
}
