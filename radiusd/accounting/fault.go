package accounting

import (
	"context"
	"log/slog"
	"time"
)

// fault is what keeps a Book from its work: told once, until it is over.
type fault struct {
	logger      *slog.Logger
	worse, over string // what the log says at the beginning and at the end
	times       int    // in a row
}

const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
	// patience is how many errors in a row are told: after a start, the store may need a
	// moment.
	patience = 2
)

// is takes note of an error, or that there is none.
func (f *fault) is(err error) {
	if err == nil {
		if f.times >= patience {
			f.logger.Info(f.over)
		}
		f.times = 0
		return
	}
	if f.times++; f.times == patience {
		f.logger.Error(f.worse, "error", err)
	}
}

// pause waits before the next attempt, each time longer.
func (f *fault) pause(ctx context.Context) {
	wait := time.NewTimer(min(maxPause, firstPause<<min(f.times-1, 16)))
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
}
