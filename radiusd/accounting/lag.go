package accounting

import (
	"sync/atomic"
	"time"
)

// maxLag is how old counts may be for a login to be refused by them.
const maxLag = 5 * time.Second

// lag is since when the log has something that was not taken: Unix time in nanoseconds, 0
// when it has nothing.
type lag struct{ since atomic.Int64 }

// behind is how long the oldest entry has waited that was not taken.
func (b *Book) behind() time.Duration {
	since := b.lag.since.Load()
	if since == 0 {
		return 0
	}
	return max(0, b.options.Clock().Sub(time.Unix(0, since)))
}

// upToDate reports whether the counts are of now. They are not while a log is taken that
// is long, such as when the sessions are made again: then they are of how things stood once.
func (b *Book) upToDate() bool { return b.behind() <= maxLag }

// waits notes that there are entries to take, the oldest of them about as old as this.
func (b *Book) waits(since time.Time) {
	b.lag.since.Store(since.UnixNano())
	b.tellLag()
}

// waitsAtMost is waits where that may be noted already.
func (b *Book) waitsAtMost(since time.Time) {
	b.lag.since.CompareAndSwap(0, since.UnixNano())
	b.tellLag()
}

// tookAll notes that there is nothing to take.
func (b *Book) tookAll() {
	b.lag.since.Store(0)
	b.tellLag()
}

// tellLag tells once that no login is refused, and once that this is over.
func (b *Book) tellLag() {
	late := !b.upToDate()
	switch {
	case late && !b.late:
		b.options.Logger.Warn("sessions are behind the accounting records: until they are up to date, no login is refused for too many sessions", "behind", b.behind())
	case !late && b.late:
		b.options.Logger.Info("sessions are up to date with the accounting records")
	}
	b.late = late
}
