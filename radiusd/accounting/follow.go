package accounting

import (
	"context"
	"math"
	"time"
)

const (
	followPause = time.Second // from one count on a node that follows to the next, at least,
	followShare = 20          // and so many times as long as the last one took
)

// Follow keeps the counts of open sessions up to date on a node of several, where another
// one makes the sessions, until ctx is done. While this node does that itself (Run) it waits.
// So on such a node a session counts a second or two after it began.
func (b *Book) Follow(ctx context.Context) {
	for ctx.Err() == nil {
		began := b.options.Clock()
		if err := b.follow(ctx); err != nil && ctx.Err() == nil {
			b.waitsAtMost(began) // the counts may be those of the past
		}
		wait := time.NewTimer(max(followPause, followShare*b.options.Clock().Sub(began)))
		select {
		case <-wait.C:
		case <-ctx.Done():
		}
		wait.Stop()
	}
}

// follow counts once, unless Run does that.
func (b *Book) follow(ctx context.Context) error {
	if !b.running.TryLock() {
		return nil
	}
	defer b.running.Unlock()
	began := b.options.Clock()
	if err := b.count(ctx); err != nil {
		return err
	}
	behind, err := b.othersBehind(ctx)
	switch {
	case err != nil:
		return err
	case behind:
		b.waitsAtMost(began)
	default:
		b.tookAll()
	}
	return nil
}

// othersBehind reports whether the log has entries that no node has taken yet.
func (b *Book) othersBehind(ctx context.Context) (bool, error) {
	_, _, last, err := b.options.Store.Waiting(ctx, Position{})
	if err != nil || last == (Position{}) {
		return false, err
	}
	looked, err := b.options.Store.Forwardable(ctx, last.predecessor(), 1, func(*Entry) error { return nil })
	return looked.Before(last), err
}

// predecessor is the highest position below p, which may be none of an entry.
func (p Position) predecessor() Position {
	if p.Index > 0 {
		return Position{p.Batch, p.Index - 1}
	}
	return Position{p.Batch - 1, math.MaxUint32}
}
