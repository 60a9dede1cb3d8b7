package tables

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

// OpenSigner opens the key that signs checkpoints, or makes a store's first one. It stays
// when other keys are rotated and after a restore, for who keeps its public key
// elsewhere.
func (s *Tables) OpenSigner(w Conn) error {
	sealed, err := s.dialect.readBytes(w, MetaSigner)
	var seed []byte
	switch {
	case err != nil:
	case sealed == nil:
		seed, err = s.makeSigner(w)
	default:
		seed, err = s.keyring.Open(nil, sealed, signerContext)
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

func (s *Tables) makeSigner(w Conn) (seed []byte, err error) {
	seed = make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(s.config.Rand, seed); err != nil {
		return nil, err
	}
	sealed, err := s.keyring.Seal(nil, seed, signerContext)
	if err != nil {
		return nil, err
	}
	return seed, s.engine.Transaction(w, func(w Conn) error {
		if err := w.Exec(s.dialect.WriteBytes, MetaSigner, sealed); err != nil {
			return err
		}
		if err := s.firstWitness(w); err != nil {
			return err
		}
		return w.Exec(s.dialect.WriteBytes, MetaVerifier, []byte(newSigner(seed).public))
	})
}

// Checkpoint signs how far the chain of the journal has gone by now, unless that is
// signed already, and returns the newest checkpoint: zero while the journal is empty.
func (s *Tables) Checkpoint(ctx context.Context) (c audit.Checkpoint, err error) {
	if err = s.engine.Ready(); err == nil {
		err = s.engine.Do(ctx, func(w Conn) (err error) {
			if err = s.SignTail(w); err == nil {
				c, err = newestCheckpoint(w)
			}
			return err
		})
	}
	if err != nil {
		return audit.Checkpoint{}, fmt.Errorf("signing the journal of token store %q: %w", s.config.Name, err)
	}
	return c, nil
}

// SignTail is Checkpoint within Do: it signs what is not signed. An engine calls it at its start too, before anything is
// recorded: so a checkpoint is missing only where there never was more than a minute without
// one.
func (s *Tables) SignTail(w Conn) error {
	signed, err := w.Number("SELECT max(batch) FROM checkpoint")
	if err != nil {
		return err
	}
	head, err := s.engine.Head(w)
	if err != nil || head.Batch <= uint64(signed) {
		return err
	}
	return s.engine.Transaction(w, s.sign)
}

const insertCheckpoint = "INSERT INTO checkpoint (batch, at, chain, signature) VALUES (?, ?, ?, ?)"

// sign signs how far the journal has gone by now, in a transaction.
func (s *Tables) sign(w Conn) error {
	head, err := s.engine.Head(w)
	if err != nil {
		return err
	}
	c := s.signer.sign(head.Batch, s.config.Clock(), head.Chain)
	if err := w.Exec(insertCheckpoint, int64(c.Batch), c.At.Unix(), c.Chain[:], c.Signature); err != nil {
		return err
	}
	if err := s.keepWitness(w, c.Batch, c.Chain); err != nil {
		return err
	}
	s.engine.Grew(2)
	s.config.Signed(c)
	return nil
}
