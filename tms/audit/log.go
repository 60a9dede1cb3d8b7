package audit

import (
	"context"
	"crypto/ed25519"
)

// Batch is a link of the chain as it is stored.
type Batch struct {
	Number  uint64
	Records []byte
	// Chain is the hash stored with it. Batches of before there was a chain have none, but
	// the hash of the first that has one covers them all.
	Chain Hash
	Bare  bool // it has none
}

// Log is a stored chain.
type Log interface {
	// AuditKey is the public key that signs the checkpoints.
	AuditKey(ctx context.Context) (ed25519.PublicKey, error)
	// Begin is after what the log begins, the last batch that retention has removed, as
	// NewBegin signs it; without a signature when nothing proves it. ok is false when
	// nothing was removed.
	Begin(ctx context.Context) (c Checkpoint, ok bool, err error)
	// Batches lists the batches after one, in their order.
	Batches(ctx context.Context, after uint64, each func(*Batch) error) error
	// Checkpoints lists the checkpoints of batches after one, in their order.
	Checkpoints(ctx context.Context, after uint64, each func(*Checkpoint) error) error
}
