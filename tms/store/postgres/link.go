package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// link is a connection of its own for one purpose, made when it is used and made again when
// it has broken. It is used by one goroutine at a time.
type link struct {
	store    *Store
	repeats  bool   // what runs on it may run twice
	settings string // what is set on it
	conn     *conn
	epoch    uint64 // logins.epoch when it was made
}

// byIndex has statements planned once, and by the indexes that they are meant for, whatever
// the database knows about the tables.
const byIndex = `SET plan_cache_mode = force_generic_plan; SET jit = off;
	SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_seqscan = off; SET enable_bitmapscan = off`

// use runs something on the connection, for so long at most. With an error that is not the
// database's answer, or says that the connection will end, it is not used again; if it is not
// a new one, it may have broken long ago, and what may be repeated runs on a new one.
func (k *link) use(ctx context.Context, most time.Duration, run func(*conn) error) error {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		epoch := k.store.logins.epoch.Load()
		old := k.conn != nil && !k.conn.raw.IsClosed() && k.epoch == epoch
		if !old {
			k.close() // what was the database may be one no more
			c, err := k.store.connect(ctx, k.settings)
			if err != nil {
				return err
			}
			k.conn, k.epoch = c, epoch
		}
		err := k.run(ctx, run)
		if err == nil || !outage(err) {
			return err
		}
		k.close()
		if !old || !k.repeats || ctx.Err() != nil {
			return err
		}
	}
}

func (k *link) run(ctx context.Context, run func(*conn) error) error {
	k.conn.ctx = ctx
	err := run(k.conn)
	if err == nil {
		err = k.conn.flush()
	}
	k.conn.forget()
	return err
}

// connect makes a connection for somebody who has one of their own.
func (s *Store) connect(ctx context.Context, settings string) (*conn, error) {
	raw, err := s.dial(ctx)
	if err != nil {
		return nil, err
	}
	if err := raw.Exec(ctx, settings).Close(); err != nil {
		hangUp(raw)
		return nil, fmt.Errorf("setting up a connection to the database: %w", err)
	}
	return newConn(raw), nil
}

// close ends the connection, if there is one.
func (k *link) close() {
	if k.conn != nil {
		hangUp(k.conn.raw)
		k.conn = nil
	}
}

// hangUp ends a connection and hardly waits for that.
func hangUp(raw *pgconn.PgConn) {
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	_ = raw.Close(ctx)
}
