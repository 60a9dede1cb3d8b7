package embedded

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"time"

	"countersign/tms/audit"
)

// signerContext is what the sealed seed of the signing key belongs to.
const signerContext = "signer"

// openSigner opens the key that signs checkpoints, or makes a file's first one. It stays
// when other keys are rotated and after a restore, for who keeps its public key
// elsewhere.
func (s *Store) openSigner() error {
	w := s.db.writer
	var seed []byte
	err := w.query(readMeta, func(r row) (err error) {
		seed, err = s.keyring.Open(nil, r.blob(0), signerContext)
		return err
	}, metaSigner)
	if err == nil && seed == nil {
		seed, err = s.makeSigner()
	}
	if err == nil && len(seed) != ed25519.SeedSize {
		err = fmt.Errorf("a seed of %d bytes: must have %d", len(seed), ed25519.SeedSize)
	}
	if err != nil {
		return fmt.Errorf("opening the key that signs checkpoints: %w", err)
	}
	s.signer = newSigner(seed)
	return nil
}

// signer is the key that signs checkpoints, and where retention has ended. It is in
// functions, so that nothing prints it.
type signer struct {
	public      ed25519.PublicKey
	sign, begin func(batch uint64, at time.Time, chain audit.Hash) audit.Checkpoint
}

func newSigner(seed []byte) signer {
	key := ed25519.NewKeyFromSeed(seed)
	with := func(sign func(ed25519.PrivateKey, uint64, time.Time, audit.Hash) audit.Checkpoint) func(uint64, time.Time, audit.Hash) audit.Checkpoint {
		return func(batch uint64, at time.Time, chain audit.Hash) audit.Checkpoint {
			return sign(key, batch, at, chain)
		}
	}
	return signer{key.Public().(ed25519.PublicKey), with(audit.NewCheckpoint), with(audit.NewBegin)}
}

func (s *Store) makeSigner() (seed []byte, err error) {
	seed = make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(s.options.Rand, seed); err != nil {
		return nil, err
	}
	sealed, err := s.keyring.Seal(nil, seed, signerContext)
	if err != nil {
		return nil, err
	}
	return seed, s.transaction(func(w *conn) error {
		if err := w.exec(writeMeta, metaSigner, sealed); err != nil {
			return err
		}
		if err := s.firstWitness(w); err != nil {
			return err
		}
		return w.exec(writeMeta, metaVerifier, []byte(newSigner(seed).public))
	})
}

// Checkpoint signs how far the chain of the journal has gone by now, unless that is
// signed already, and returns the newest checkpoint: zero while the journal is empty.
func (s *Store) Checkpoint(ctx context.Context) (c audit.Checkpoint, err error) {
	if err = s.Ready(); err == nil {
		c, err = s.signHead(ctx)
	}
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("signing the journal of token store %q: %w", s.options.Path, err)
	}
	return c, nil
}

func (s *Store) signHead(ctx context.Context) (audit.Checkpoint, error) {
	h := &s.committer.heads
	newest := audit.Checkpoint{}
	err := s.do(ctx, func() error {
		if h.lastBatch > h.signed.Batch {
			if err := s.transaction(s.signTo); err != nil {
				return err
			}
		}
		newest = h.signed
		return nil
	})
	return newest, err
}

// signed takes note of the newest checkpoint.
func (s *Store) signed(c audit.Checkpoint) {
	s.committer.signed = c
	if c.Batch > 0 {
		s.figures.checkpoint.Store(c.At.Unix())
	}
}
