package embedded

import (
	"context"
	"fmt"

	"countersign/otp/seal"
	"countersign/tms/store/tables"
)

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
	if err := s.Reseal(ctx, progress); err != nil {
		return err
	}
	return s.replaceKeyring(ctx, kek, retireOld)
}

// newDataKey makes a data key and has it used from now on. Whoever seals and
// writes meanwhile comes before or after.
func (s *Store) newDataKey(ctx context.Context, kek seal.KEK) error {
	return s.ChangeKey(func() error {
		return s.replaceKeyring(ctx, kek, func(next *seal.Keyring) error { return next.Rotate(s.options.Rand) })
	})
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
		if err := s.db.writer.Exec(writeMeta, tables.MetaKeyring, sealed); err != nil {
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
