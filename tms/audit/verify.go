package audit

import (
	"context"
	"crypto/ed25519"
	"fmt"
)

// VerifyOptions say what to verify by. All of them may be left out.
type VerifyOptions struct {
	// Key is the pinned public key. Without it the log's own is believed.
	Key ed25519.PublicKey
	// Noted are checkpoints from elsewhere that have to be in the chain.
	Noted []Checkpoint
	// Format is how records are read; without it they are bytes.
	Format Format
	// Progress is told the number of each batch that was verified.
	Progress func(batch uint64)
}

// Verify verifies a stored chain. An error says that the log cannot be read; all that is
// wrong with it is in the report.
func Verify(ctx context.Context, log Log, o VerifyOptions) (Report, error) {
	const tries = 3
	for try := 1; ; try++ {
		begin, _, err := log.Begin(ctx)
		if err != nil {
			return Report{}, fmt.Errorf("reading where the audit log begins: %w", err)
		}
		r, err := verify(ctx, log, o)
		if err == nil && r.OK() || try == tries || ctx.Err() != nil {
			return r, err
		}
		// Retention may have removed a part of the log meanwhile.
		after, _, failed := log.Begin(ctx)
		if failed != nil || after.same(&begin) {
			return r, err
		}
	}
}

func verify(ctx context.Context, log Log, o VerifyOptions) (Report, error) {
	key, err := log.AuditKey(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("reading the key of the audit log: %w", err)
	}
	v, err := newVerifier(o, key)
	if err != nil {
		return Report{}, err
	}
	begin, ok, err := log.Begin(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("reading where the audit log begins: %w", err)
	}
	if ok {
		v.retained(&begin)
	}
	w := walk{
		log:        log,
		batch:      func(b *Batch) error { v.next(b); return ctx.Err() },
		checkpoint: func(c *Checkpoint) error { v.checkpoint(c); return ctx.Err() },
	}
	if err := w.run(ctx, v.begin); err != nil {
		return Report{}, fmt.Errorf("reading the audit log after batch %d: %w", w.listed, err)
	}
	return v.end(), nil
}
