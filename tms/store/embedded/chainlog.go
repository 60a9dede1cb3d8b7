package embedded

import (
	"context"
	"crypto/ed25519"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"countersign/tms/audit"
)

// chainLog reads the chain of a journal, page by page, so that it holds up nothing. It
// is an audit.Log.
type chainLog struct {
	path string
	read func(run func(*conn) error) error // gives a connection that reads
}

// AuditKey implements audit.Log.
func (l *chainLog) AuditKey(ctx context.Context) (key ed25519.PublicKey, err error) {
	err = l.query(ctx, readMeta, func(r row) error { key = r.blob(0); return nil }, metaVerifier)
	if err == nil && len(key) != ed25519.PublicKeySize {
		err = fmt.Errorf("%d bytes: must be %d", len(key), ed25519.PublicKeySize)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key that verifies the journal of %q: %w", l.path, err)
	}
	return key, nil
}

const (
	checkpointFields = "SELECT c.batch, c.at, c.chain, c.signature FROM "
	selectBegin      = "SELECT m.value, b.value FROM meta m LEFT JOIN meta b ON b.name = ? WHERE m.name = ?"
	selectSigned     = checkpointFields + "checkpoint c WHERE c.batch > ? ORDER BY c.batch LIMIT ?"
	lastSigned       = checkpointFields + "checkpoint c ORDER BY c.batch DESC LIMIT 1"
)

// Begin implements audit.Log.
func (l *chainLog) Begin(ctx context.Context) (c audit.Checkpoint, ok bool, err error) {
	err = l.query(ctx, selectBegin, func(r row) (err error) {
		c, err = readBegin(uint64(r.integer(0)), r.blob(1))
		ok = err == nil
		return err
	}, metaBegin, metaPruned)
	if err == nil && ok && len(c.Signature) == 0 {
		c.Chain, err = l.chainOf(ctx, c.Batch)
	}
	if err != nil {
		return audit.Checkpoint{}, false, fmt.Errorf("reading after what the journal of %q begins: %w", l.path, err)
	}
	return c, ok, nil
}

// readBegin reads what was signed of where retention has ended. Without it, or when it is of
// another batch, only the number is known.
func readBegin(pruned uint64, signed []byte) (audit.Checkpoint, error) {
	if len(signed) == 0 {
		return audit.Checkpoint{Batch: pruned}, nil
	}
	c, err := audit.ParseCheckpoint(string(signed))
	if err == nil && c.Batch != pruned {
		c = audit.Checkpoint{Batch: pruned}
	}
	return c, err
}

// chainOf is the hash of a batch by its checkpoint, so that what comes after it can be
// verified. It is zero when there is none.
func (l *chainLog) chainOf(ctx context.Context, batch uint64) (chain audit.Hash, err error) {
	err = l.query(ctx, selectSigned, func(r row) error {
		c, err := readCheckpoint(r)
		if c.Batch == batch {
			chain = c.Chain
		}
		return err
	}, int64(batch)-1, int64(1))
	return chain, err
}

// readCheckpoint reads a row of checkpointFields.
func readCheckpoint(r row) (audit.Checkpoint, error) {
	c := audit.Checkpoint{Batch: uint64(r.integer(0)), At: time.Unix(r.integer(1), 0), Signature: r.blob(3)}
	if chain := r.blob(2); copy(c.Chain[:], chain) != len(chain) || len(chain) != len(c.Chain) {
		return c, fmt.Errorf("the checkpoint of batch %d has a hash of %d bytes: must have %d", c.Batch, len(chain), len(c.Chain))
	}
	return c, nil
}

// Checkpoints implements audit.Log.
func (l *chainLog) Checkpoints(ctx context.Context, after uint64, each func(*audit.Checkpoint) error) error {
	err := list(ctx, 0, func() (page []audit.Checkpoint, err error) {
		err = l.query(ctx, selectSigned, func(r row) error {
			c, err := readCheckpoint(r)
			page, after = append(page, c), c.Batch
			return err
		}, int64(after), int64(listPage))
		if err != nil {
			err = fmt.Errorf("reading the checkpoints of %q after batch %d: %w", l.path, after, err)
		}
		return page, err
	}, each)
	return err
}

const (
	// chainRows is how many batches are read at once, and chainBytes after how many
	// bytes no more.
	chainRows  = 256
	chainBytes = 1 << 20
)

const selectBatches = "SELECT batch, records, chain, (SELECT value FROM meta WHERE name = ?) FROM journal WHERE batch > ? ORDER BY batch LIMIT ?"

// errPageFull ends the reading of a page.
var errPageFull = errors.New("a page is read")

// Batches implements audit.Log. Batches that retention has removed since are an error.
func (l *chainLog) Batches(ctx context.Context, after uint64, each func(*audit.Batch) error) error {
	for {
		page, err := l.readBatches(ctx, after)
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
			after = page[i].Number
		}
		if err != nil {
			return fmt.Errorf("reading the journal of %q after batch %d: %w", l.path, after, err)
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// readBatches reads a page of batches after one. With an error it returns those that it
// could read.
func (l *chainLog) readBatches(ctx context.Context, after uint64) (page []audit.Batch, err error) {
	bytes := 0
	err = l.query(ctx, selectBatches, func(r row) error {
		b := audit.Batch{Number: uint64(r.integer(0)), Records: r.blob(1), Bare: r[2] == nil}
		switch chain := r.blob(2); {
		case uint64(r.integer(3)) > after && len(page) == 0:
			return fmt.Errorf("retention has removed the batches up to %d: begin anew there", r.integer(3))
		case b.Number <= after:
			return fmt.Errorf("the file is damaged: batch %d comes next", b.Number)
		case !b.Bare && copy(b.Chain[:], chain) < len(b.Chain) || len(chain) > len(b.Chain):
			return fmt.Errorf("batch %d has a hash of %d bytes: must have %d", b.Number, len(chain), len(b.Chain))
		}
		page, after = append(page, b), b.Number
		if bytes += len(b.Records); bytes > chainBytes {
			return errPageFull
		}
		return nil
	}, metaPruned, int64(after), int64(chainRows))
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return page, err
}

func (l *chainLog) query(ctx context.Context, sql string, each func(row) error, args ...driver.Value) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.read(func(c *conn) error { return c.query(sql, each, args...) })
}
