package embedded

import (
	"context"
	"fmt"

	"countersign/otp/seal"
)

// resealChunk is how many values go into one transaction, of some milliseconds.
const resealChunk = 200

// RotateKeys seals the keyring under another key-encryption key, makes a new data
// key, seals every PIN and seed, every invitation and mail anew under it, and
// retires the old ones. Logins
// go on meanwhile. It may be broken off at any instant and begun again; until it
// has returned nil the old key-encryption key must be kept beside the new one.
// Progress, in values, may be nil.
func (s *Store) RotateKeys(ctx context.Context, kek seal.KEK, progress func(done, total int64)) error {
	if err := s.rotate(ctx, kek, progress); err != nil {
		return fmt.Errorf("rotating the keys of token store %q: %w", s.options.Path, err)
	}
	return nil
}

func (s *Store) rotate(ctx context.Context, kek seal.KEK, progress func(done, total int64)) error {
	if err := s.Ready(); err != nil {
		return err
	}
	s.rotating.Lock()
	defer s.rotating.Unlock()
	if err := s.newDataKey(ctx, kek); err != nil {
		return err
	}
	if err := s.resealAll(ctx, progress); err != nil {
		return err
	}
	return s.replaceKeyring(ctx, kek, retireOld)
}

// newDataKey makes a data key and has it used from now on. Whoever seals and
// writes meanwhile comes before or after.
func (s *Store) newDataKey(ctx context.Context, kek seal.KEK) error {
	s.sealing.Lock()
	defer s.sealing.Unlock()
	return s.replaceKeyring(ctx, kek, func(next *seal.Keyring) error { return next.Rotate(s.options.Rand) })
}

// retireOld drops all data keys but the current one. Ids that are not there have
// been dropped before.
func retireOld(next *seal.Keyring) error {
	for id := uint32(1); id < next.Current(); id++ {
		_ = next.Retire(id)
	}
	return nil
}

// replaceKeyring changes a copy of the keyring, stores it, and only then uses it.
func (s *Store) replaceKeyring(ctx context.Context, kek seal.KEK, change func(*seal.Keyring) error) error {
	return s.do(ctx, func() error {
		next, err := s.copyKeyring(kek)
		if err != nil {
			return err
		}
		if err := change(next); err != nil {
			return err
		}
		sealed, err := next.Marshal(kek, s.options.Rand)
		if err != nil {
			return err
		}
		if err := s.db.writer.exec(writeMeta, metaKeyring, sealed); err != nil {
			return err
		}
		s.keyring.Adopt(next)
		return nil
	})
}

func (s *Store) copyKeyring(kek seal.KEK) (*seal.Keyring, error) {
	sealed, err := s.keyring.Marshal(kek, s.options.Rand)
	if err != nil {
		return nil, err
	}
	return seal.OpenKeyring(sealed, []seal.KEK{kek}, s.options.Rand)
}

// sealedColumn is a column with sealed values.
type sealedColumn struct {
	count, read, write string
	context            func(name string) string
}

var sealedColumns = []sealedColumn{
	{
		count:   "SELECT count(*) FROM user WHERE pin IS NOT NULL",
		read:    "SELECT id, name, pin FROM user WHERE id > ? AND pin IS NOT NULL ORDER BY id LIMIT ?",
		write:   "UPDATE user SET pin = ? WHERE id = ?",
		context: pinContext[string],
	},
	{
		count:   "SELECT count(*) FROM token",
		read:    "SELECT id, serial, seed FROM token WHERE id > ? ORDER BY id LIMIT ?",
		write:   "UPDATE token SET seed = ? WHERE id = ?",
		context: seedContext[string],
	},
	{
		count:   "SELECT count(*) FROM invitation",
		read:    "SELECT id, name, sealed FROM invitation WHERE id > ? ORDER BY id LIMIT ?",
		write:   "UPDATE invitation SET sealed = ? WHERE id = ?",
		context: invitationContext[string],
	},
	{
		count:   "SELECT count(*) FROM mail",
		read:    "SELECT id, CAST(id AS TEXT), sealed FROM mail WHERE id > ? ORDER BY id LIMIT ?",
		write:   "UPDATE mail SET sealed = ? WHERE id = ?",
		context: mailContext,
	},
	sealedMeta(metaBox, boxContext),
	sealedMeta(metaSigner, signerContext),
	sealedMeta(metaWitness, witnessContext),
}

// sealedMeta is a value in table meta, as row 1 of a table of its own.
func sealedMeta(name, context string) sealedColumn {
	return sealedColumn{
		count:   "SELECT count(*) FROM meta WHERE name = '" + name + "'",
		read:    "SELECT 1, name, value FROM meta WHERE name = '" + name + "' AND ? < 1 LIMIT ?",
		write:   "UPDATE meta SET value = ? WHERE name = '" + name + "' AND ? = 1",
		context: func(string) string { return context },
	}
}

// resealAll seals all values under the current data key.
func (s *Store) resealAll(ctx context.Context, progress func(done, total int64)) error {
	total, done := int64(0), int64(0)
	for _, column := range sealedColumns {
		err := s.read(func(c *conn) error {
			n, err := c.number(column.count)
			total += n
			return err
		})
		if err != nil {
			return err
		}
	}
	for i := range sealedColumns {
		for last, more := int64(0), true; more; {
			count := int64(0)
			err := s.do(ctx, func() (err error) {
				last, count, err = s.resealSome(&sealedColumns[i], last)
				return err
			})
			if err != nil {
				return err
			}
			more = count == resealChunk
			if done = min(done+count, total); progress != nil {
				progress(done, total)
			}
		}
	}
	return nil
}

// resealed is a value sealed anew.
type resealed struct {
	id    int64
	value []byte
}

// resealSome seals the values of a chunk of rows after last, in one transaction.
// It returns the new last id and how many rows there were.
func (s *Store) resealSome(column *sealedColumn, last int64) (newLast, count int64, err error) {
	var values []resealed
	err = s.db.writer.query(column.read, func(r row) error {
		count++
		last = r.integer(0)
		sealed, context := r.blob(2), column.context(r.text(1))
		if id, _ := seal.KeyID(sealed); id == s.keyring.Current() {
			return nil
		}
		value, err := s.keyring.Open(nil, sealed, context)
		if err != nil {
			return err
		}
		value, err = s.keyring.Seal(nil, value, context)
		values = append(values, resealed{last, value})
		return err
	}, last, int64(resealChunk))
	if err != nil || len(values) == 0 {
		return last, count, err
	}
	return last, count, s.transaction(func(w *conn) error {
		for _, v := range values {
			if err := w.exec(column.write, v.value, v.id); err != nil {
				return err
			}
		}
		s.wal.grew(len(values))
		return nil
	})
}
