package tables

import (
	"context"
	"fmt"
	"io"

	"countersign/otp/seal"
)

// BoxKey returns the root key for seal.NewBox, made once and kept sealed in the
// file. It stays when the keys are rotated. After a restore there is another: what
// was sealed before speaks of things that the restored store does not know.
func (s *Tables) BoxKey(ctx context.Context) ([]byte, error) {
	var key []byte
	err := s.change(ctx, func(w Conn) (err error) {
		if key, err = s.readBoxKey(w); err == nil && key == nil {
			key, err = s.newBoxKey(w)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("reading the box key of token store %q: %w", s.config.Name, err)
	}
	return key, nil
}

const boxContext = "box"

// readBoxKey returns nil when there is none.
func (s *Tables) readBoxKey(c Conn) (key []byte, err error) {
	sealed, err := s.dialect.readBytes(c, MetaBox)
	if err != nil || sealed == nil {
		return nil, err
	}
	return s.keyring.Open(nil, sealed, boxContext)
}

func (s *Tables) newBoxKey(w Conn) ([]byte, error) {
	key := make([]byte, seal.BoxKeySize)
	if _, err := io.ReadFull(s.config.Rand, key); err != nil {
		return nil, err
	}
	sealed, err := s.keyring.Seal(nil, key, boxContext)
	if err != nil {
		return nil, err
	}
	return key, w.Exec(s.dialect.WriteBytes, MetaBox, sealed)
}
