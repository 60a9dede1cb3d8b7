package collector

import (
	"context"
	"math"
	"time"

	"countersign/radiusd/accounting"
)

const (
	alarmed  = 0.8 // of a limit
	calm     = 0.6
	logPause = time.Minute
)

// backlog keeps what waits within its limits.
type backlog struct {
	forwarder *forwarder
	excess    int64 // how many of what is read next are too many
	skipped   uint64
	alarm     bool

	// Since the last line in the log.
	unlogged    int
	first, last accounting.Position
	loggedAt    time.Time
}

// refuses skips a record that is not worth being taken from the queue.
func (b *backlog) refuses(e *accounting.Entry) bool {
	switch {
	case b.excess > 0:
		b.excess--
	case !b.old(e):
		return false
	}
	b.count(e.Position)
	return true
}

func (b *backlog) old(e *accounting.Entry) bool {
	f := b.forwarder
	return f.MaxAge > 0 && f.Clock().Sub(e.At) > f.MaxAge
}

// skip gives up an item, and returns what waited for it.
func (b *backlog) skip(it *item) []*item {
	b.count(it.Position)
	return b.forwarder.window.finish(it)
}

func (b *backlog) count(p accounting.Position) {
	if b.unlogged == 0 {
		b.first = p
	}
	b.unlogged++
	b.last = p
	b.skipped++
	b.forwarder.figures.skipped.Inc()
}

// measure finds out how much waits, and skips what is too old and too much.
func (b *backlog) measure(ctx context.Context) {
	f := b.forwarder
	for it := range f.window.skippable(math.MaxInt64, func(it *item) bool { return b.old(&it.Entry) }) {
		b.skip(it)
	}
	waiting, oldest, _, err := f.Queue.Waiting(ctx, f.read)
	f.note(ctx, measuring, err)
	if err != nil {
		return
	}
	inHand := int64(f.window.len())
	b.excess = 0
	if tooMany := waiting + inHand - f.MaxRecords; f.MaxRecords > 0 && tooMany > 0 {
		for it := range f.window.skippable(tooMany, func(*item) bool { return true }) {
			b.skip(it)
			tooMany--
		}
		b.excess = min(tooMany, waiting)
	}
	if first := f.window.first(); first != nil {
		oldest = first.At
	}
	waiting += int64(f.window.len())
	f.figures.records.Set(float64(waiting))
	b.warn(waiting, oldest)
}

// warn warns before records are skipped.
func (b *backlog) warn(waiting int64, oldest time.Time) {
	f := b.forwarder
	age, share := time.Duration(0), 0.0
	if waiting > 0 {
		age = f.Clock().Sub(oldest)
	}
	if f.MaxRecords > 0 {
		share = float64(waiting) / float64(f.MaxRecords)
	}
	if f.MaxAge > 0 {
		share = max(share, float64(age)/float64(f.MaxAge))
	}
	switch {
	case share < calm:
		b.alarm = false
	case share >= alarmed && !b.alarm:
		b.alarm = true
		f.Logger.Warn("many accounting records wait for the collector; beyond the limits the oldest are skipped: mend the collector, or raise max_records and max_age",
			"waiting", waiting, "max_records", f.MaxRecords, "oldest", age.Round(time.Second), "max_age", f.MaxAge)
	}
}

// report logs what was skipped.
func (b *backlog) report() {
	f := b.forwarder
	now := f.Clock()
	if b.unlogged == 0 || now.Sub(b.loggedAt) < logPause {
		return
	}
	f.Logger.Error("accounting records were skipped, and the collector does not get them: mend the collector, or raise max_records and max_age; the sessions here have them",
		"records", b.unlogged, "first", b.first, "last", b.last)
	b.unlogged, b.loggedAt = 0, now
}
