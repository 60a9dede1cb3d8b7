package tables

import (
	"context"
	"crypto/ed25519"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"countersign/tms/audit"
)

// ChainLog reads the chain of a journal, page by page, so that it holds up nothing. It
// is an audit.Log.
type ChainLog struct {
	name    string
	dialect Dialect
	read    func(run func(Conn) error) error
}

// NewChainLog makes a ChainLog of the store of a name; read runs something on a connection
// that reads. It needs no key.
func NewChainLog(name string, d Dialect, read func(run func(Conn) error) error) *ChainLog {
	return &ChainLog{name, d, read}
}

// AuditKey implements audit.Log.
func (l *ChainLog) AuditKey(ctx context.Context) (key ed25519.PublicKey, err error) {
	err = l.query(ctx, l.dialect.ReadBytes, func(r Row) error { key = r.Blob(0); return nil }, MetaVerifier)
	if err == nil && len(key) != ed25519.PublicKeySize {
		err = fmt.Errorf("%d bytes: must be %d", len(key), ed25519.PublicKeySize)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the key that verifies the journal of %q: %w", l.name, err)
	}
	return key, nil
}

const (
	checkpointFields = "SELECT c.batch, c.at, c.chain, c.signature FROM "
	selectSigned     = checkpointFields + "checkpoint c WHERE c.batch > ? ORDER BY c.batch LIMIT ?"
	lastSigned       = checkpointFields + "checkpoint c ORDER BY c.batch DESC LIMIT 1"
)

// Begin implements audit.Log.
func (l *ChainLog) Begin(ctx context.Context) (c audit.Checkpoint, ok bool, err error) {
	if err = ctx.Err(); err == nil {
		err = l.read(func(r Conn) (err error) { c, ok, err = l.dialect.readBegin(r); return err })
	}
	if err == nil && ok && len(c.Signature) == 0 {
		c.Chain, err = l.chainOf(ctx, c.Batch)
	}
	if err != nil {
		return audit.Checkpoint{}, false, fmt.Errorf("reading after what the journal of %q begins: %w", l.name, err)
	}
	return c, ok, nil
}

// readBegin reads where retention has ended, and what was signed of that. Both are written at
// once, so they are of one time when the number was the same before and after.
func (d *Dialect) readBegin(c Conn) (begin audit.Checkpoint, ok bool, err error) {
	before, err := c.Number(d.ReadNumber, MetaPruned)
	for err == nil && before > 0 {
		var signed []byte
		if signed, err = d.readBytes(c, MetaBegin); err != nil {
			break
		}
		pruned := before
		if before, err = c.Number(d.ReadNumber, MetaPruned); err != nil || before != pruned {
			continue
		}
		begin, err = parseBegin(uint64(pruned), signed)
		return begin, err == nil, err
	}
	return begin, false, err
}

// parseBegin reads what was signed of where retention has ended. Without it, or when it is of
// another batch, only the number is known.
func parseBegin(pruned uint64, signed []byte) (audit.Checkpoint, error) {
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
func (l *ChainLog) chainOf(ctx context.Context, batch uint64) (chain audit.Hash, err error) {
	err = l.query(ctx, selectSigned, func(r Row) error {
		c, err := readCheckpoint(r)
		if c.Batch == batch {
			chain = c.Chain
		}
		return err
	}, int64(batch)-1, int64(1))
	return chain, err
}

// newestCheckpoint is the newest of all, zero when there is none.
func newestCheckpoint(c Conn) (newest audit.Checkpoint, err error) {
	err = c.Query(lastSigned, func(r Row) (err error) {
		newest, err = readCheckpoint(r)
		return err
	})
	return newest, err
}

// readCheckpoint reads a row of checkpointFields.
func readCheckpoint(r Row) (audit.Checkpoint, error) {
	c := audit.Checkpoint{Batch: uint64(r.Integer(0)), At: time.Unix(r.Integer(1), 0), Signature: r.Blob(3)}
	if chain := r.Blob(2); copy(c.Chain[:], chain) != len(chain) || len(chain) != len(c.Chain) {
		return c, fmt.Errorf("the checkpoint of batch %d has a hash of %d bytes: must have %d", c.Batch, len(chain), len(c.Chain))
	}
	return c, nil
}

// Checkpoints implements audit.Log.
func (l *ChainLog) Checkpoints(ctx context.Context, after uint64, each func(*audit.Checkpoint) error) error {
	err := list(ctx, 0, func() (page []audit.Checkpoint, err error) {
		err = l.query(ctx, selectSigned, func(r Row) error {
			c, err := readCheckpoint(r)
			page, after = append(page, c), c.Batch
			return err
		}, int64(after), int64(ListPage))
		if err != nil {
			err = fmt.Errorf("reading the checkpoints of %q after batch %d: %w", l.name, after, err)
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

const selectBatches = "SELECT batch, records, chain FROM journal WHERE batch > ? ORDER BY batch LIMIT ?"

// errPageFull ends the reading of a page.
var errPageFull = errors.New("a page is read")

// Batches implements audit.Log. Batches that retention has removed since are an error.
func (l *ChainLog) Batches(ctx context.Context, after uint64, each func(*audit.Batch) error) error {
	for {
		page, err := l.readBatches(ctx, after)
		for i := range page {
			if err := each(&page[i]); err != nil {
				return err
			}
			after = page[i].Number
		}
		if err != nil {
			return fmt.Errorf("reading the journal of %q after batch %d: %w", l.name, after, err)
		}
		if len(page) == 0 {
			return nil
		}
	}
}

// readBatches reads a page of batches after one. With an error it returns those that it
// could read.
func (l *ChainLog) readBatches(ctx context.Context, after uint64) (page []audit.Batch, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err = l.read(func(c Conn) error {
		if page, err = readChain(c, after); err != nil || len(page) == 0 {
			return err
		}
		// Later than the page: what retention had removed before that is known by now.
		pruned, err := c.Number(l.dialect.ReadNumber, MetaPruned)
		if err == nil && uint64(pruned) > after {
			page, err = nil, fmt.Errorf("retention has removed the batches up to %d: begin anew there", pruned)
		}
		return err
	})
	return page, err
}

func readChain(c Conn, after uint64) (page []audit.Batch, err error) {
	bytes := 0
	err = c.Query(selectBatches, func(r Row) error {
		b := audit.Batch{Number: uint64(r.Integer(0)), Records: r.Blob(1), Bare: r[2] == nil}
		switch chain := r.Blob(2); {
		case b.Number <= after:
			return fmt.Errorf("the journal is damaged: batch %d comes next", b.Number)
		case !b.Bare && copy(b.Chain[:], chain) < len(b.Chain) || len(chain) > len(b.Chain):
			return fmt.Errorf("batch %d has a hash of %d bytes: must have %d", b.Number, len(chain), len(b.Chain))
		}
		page, after = append(page, b), b.Number
		if bytes += len(b.Records); bytes > chainBytes {
			return errPageFull
		}
		return nil
	}, int64(after), int64(chainRows))
	if errors.Is(err, errPageFull) {
		err = nil
	}
	return page, err
}

func (l *ChainLog) query(ctx context.Context, sql string, each func(Row) error, args ...driver.Value) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return l.read(func(c Conn) error { return c.Query(sql, each, args...) })
}
