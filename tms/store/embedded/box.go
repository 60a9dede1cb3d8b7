package embedded

import (
	"context"
	"fmt"
	"io"

	"countersign/otp/seal"
)

// BoxKey returns the root key for seal.NewBox, made once and kept sealed in the
// file. It stays when the keys are rotated. After a restore there is another: what
// was sealed before speaks of things that the restored store does not know.
func (s *Store) BoxKey(ctx context.Context) ([]byte, error) {
	var key []byte
	err := s.change(ctx, func() (err error) {
		if key, err = s.readBoxKey(s.db.writer); err == nil && key == nil {
			key, err = s.newBoxKey()
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the box key of token store %q: %w", s.options.Path, err)
	}
	return key, nil
}

const boxContext = "box"

// readBoxKey returns nil when there is none.
func (s *Store) readBoxKey(c *conn) (key []byte, err error) {
	err = c.query(readMeta, func(r row) (err error) {
		key, err = s.keyring.Open(nil, r.blob(0), boxContext)
		return err
	}, metaBox)
	return key, err
}

func (s *Store) newBoxKey() ([]byte, error) {
	key := make([]byte, seal.BoxKeySize)
	if _, err := io.ReadFull(s.options.Rand, key); err != nil {
		return nil, err
	}
	sealed, err := s.keyring.Seal(nil, key, boxContext)
	if err != nil {
		return nil, err
	}
	return key, s.db.writer.exec(writeMeta, metaBox, sealed)
}
