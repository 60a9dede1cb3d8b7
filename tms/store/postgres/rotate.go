package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"countersign/otp/seal"
	"countersign/tms/store/tables"
)

// Keys are rotated while all nodes work. A node must not meet a value that is sealed under a
// key it does not have, so a rotation goes in steps, and its state is in table meta:
//
//	offer   A keyring with one more data key is put into metaOffered, where nodes find it by
//	        the current data key, whatever key files they have. Each learns the new key, with
//	        which it can open from then on, and says so in table key_learned.
//	switch  When all nodes that are alive have it, the keyring becomes the one of the store,
//	        sealed under the new key-encryption key. Nodes seal under the new data key from
//	        their next act on: what they have sealed before is not written any more, because
//	        an act first looks which key is the current one.
//	reseal  Everything is sealed anew, some at a time.
//	retire  The old data keys go.
//
// Broken off anywhere, it can be begun again.
const (
	metaOffered   = "keyring_offered"   // the keyring, sealed under a key of its own
	metaTransport = "keyring_transport" // that key, sealed under the current data key
	metaRound     = "keyring_round"     // a number that no other offer has
	metaCurrent   = "keyring_current"   // the id of the current data key

	transportContext = "keyring transport"
)

const (
	// learnTime is how long nodes have to learn a key, and learnPause how often we look.
	learnTime  = 20 * time.Second
	learnPause = 100 * time.Millisecond
	// rotateLock is a lock in the database that who rotates has.
	rotateLock = 0x43745369_03
)

// RotateKeys seals the keyring under another key-encryption key, makes a new data key, seals
// every PIN and seed, every invitation and mail anew under it, and retires the old ones. All
// nodes go on meanwhile; each needs the new key-encryption key before it is started the next
// time. It may be broken off at any instant and begun again; until it has returned nil the
// old key-encryption key must be kept beside the new one. Progress, in values, may be nil.
func (s *Store) RotateKeys(ctx context.Context, kek seal.KEK, progress func(done, total int64)) error {
	if err := s.rotate(ctx, kek, progress); err != nil {
		return fmt.Errorf("rotating the keys of token store %s: %w", s.database, err)
	}
	return nil
}

func (s *Store) rotate(ctx context.Context, kek seal.KEK, progress func(done, total int64)) error {
	if err := s.Ready(); err != nil {
		return err
	}
	return s.withConn(ctx, func(c *conn) error {
		alone, err := c.Number("SELECT pg_try_advisory_lock(?)", int64(rotateLock))
		if err != nil || alone == 0 {
			return errors.Join(err, errors.New("the keys are being rotated already, perhaps by another node"))
		}
		defer func() { _ = errors.Join(c.Exec("SELECT pg_advisory_unlock(?)", int64(rotateLock)), c.flush()) }()
		return s.rotateAlone(ctx, kek, progress)
	})
}

func (s *Store) rotateAlone(ctx context.Context, kek seal.KEK, progress func(done, total int64)) error {
	next, round, err := s.offer(ctx)
	if err != nil {
		return err
	}
	if err := s.awaitLearned(ctx, round); err != nil {
		return err
	}
	if err := s.replaceKeyring(ctx, kek, next); err != nil {
		return err
	}
	if err := s.Reseal(ctx, progress); err != nil {
		return err
	}
	for id := uint32(1); id < next.Current(); id++ {
		_ = next.Retire(id) // those that are not there have been retired before
	}
	if err := s.replaceKeyring(ctx, kek, next); err != nil {
		return err
	}
	return engine{s}.Do(ctx, func(w tables.Conn) error {
		return errors.Join(w.Exec("DELETE FROM meta WHERE name IN (?, ?, ?)", metaOffered, metaTransport, metaRound), w.Exec("DELETE FROM key_learned"))
	})
}

// offer makes a data key, and lets the other nodes know it.
func (s *Store) offer(ctx context.Context) (next *seal.Keyring, round int64, err error) {
	transport, err := seal.NewKEK(s.options.Rand)
	if err != nil {
		return nil, 0, err
	}
	round = s.logins.stamp() // as good as any
	err = engine{s}.Do(ctx, func(w tables.Conn) error {
		copied, err := s.keyring.Marshal(transport, s.options.Rand)
		if err != nil {
			return err
		}
		if next, err = seal.OpenKeyring(copied, []seal.KEK{transport}, s.options.Rand); err != nil {
			return err
		}
		if err := next.Rotate(s.options.Rand); err != nil {
			return err
		}
		offered, err := next.Marshal(transport, s.options.Rand)
		if err != nil {
			return err
		}
		sealed, err := s.keyring.Seal(nil, seal.FormatKeyFile(transport), transportContext)
		if err != nil {
			return err
		}
		return errors.Join(w.Exec(writeBytes, metaOffered, offered), w.Exec(writeBytes, metaTransport, sealed),
			w.Exec(writeNumber, metaRound, round), w.Exec("DELETE FROM key_learned"), changed(w, changedKeyring))
	})
	if err == nil {
		s.keyring.Learn(next)
	}
	return next, round, err
}

// selectUnlearned are the nodes that are alive and do not know the offered key. Who has just
// been killed counts for a while.
const selectUnlearned = `SELECT n.name FROM node n WHERE n.seen > ` + clockNow + ` - ?
	AND NOT EXISTS (SELECT FROM key_learned k WHERE k.instance = n.instance AND k.round = ?) ORDER BY n.name LIMIT 100`

// awaitLearned waits until all other nodes know the key that was offered.
func (s *Store) awaitLearned(ctx context.Context, round int64) error {
	ctx, cancel := context.WithTimeout(ctx, learnTime)
	defer cancel()
	if err := s.withConn(ctx, func(c *conn) error { return s.noteLearned(c, round) }); err != nil {
		return err
	}
	for {
		var missing []string
		err := s.withConn(ctx, func(c *conn) error {
			return c.Query(selectUnlearned, func(r tables.Row) error { missing = append(missing, r.Text(0)); return nil },
				s.cluster.times.ttl.Microseconds(), round)
		})
		if err == nil && len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			if len(missing) > 0 {
				return fmt.Errorf("nodes %s do not say that they know the new data key: see their logs, stop or restart them, and begin again", strings.Join(missing, ", "))
			}
			return errors.Join(err, ctx.Err())
		case <-time.After(learnPause):
		}
	}
}

func (s *Store) noteLearned(c *conn, round int64) error {
	return c.Exec("INSERT INTO key_learned (instance, round) VALUES (?, ?) ON CONFLICT (instance) DO UPDATE SET round = excluded.round", s.cluster.instance, round)
}

// replaceKeyring makes a keyring the one of the store. Nothing is sealed meanwhile.
func (s *Store) replaceKeyring(ctx context.Context, kek seal.KEK, next *seal.Keyring) error {
	sealed, err := next.Marshal(kek, s.options.Rand)
	if err != nil {
		return err
	}
	return s.ChangeKey(func() error {
		err := engine{s}.Do(ctx, func(w tables.Conn) error {
			return errors.Join(w.Exec(writeBytes, tables.MetaKeyring, sealed), w.Exec(writeNumber, metaCurrent, int64(next.Current())), changed(w, changedKeyring))
		})
		if err == nil {
			s.keyring.Adopt(next)
		}
		return err
	})
}
