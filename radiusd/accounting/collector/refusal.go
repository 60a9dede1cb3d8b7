package collector

const (
	// patience is how often a record that is not answered while others are is tried before
	// it may be skipped, because it holds them up. With the pauses between it is an hour.
	patience = 64
	// remarkable is how often it is tried before it is logged: until then it may be the
	// network that loses it.
	remarkable = 4
	// mostPassed is how many records may be done before one that is not: after a crash they
	// are delivered again.
	mostPassed = 100_000
)

// postpone lets a record wait that was not answered though others were. When it has kept
// others waiting for long it is skipped; those of its session are then tried less long.
func (f *forwarder) postpone(it *item, err error) {
	it.flying = false
	it.refused++
	if it.refused >= patience && f.isHeldUp() {
		f.Logger.Error("an accounting record that the collector does not answer, though it does others, holds them up and is skipped",
			"record", it.Position, "nas", it.NAS, "error", err)
		for _, next := range f.backlog.skip(it) {
			next.refused = max(next.refused, patience-1)
		}
		return
	}
	if it.refused == remarkable {
		f.Logger.Warn("an accounting record is not answered, though others are; it and what follows of its session wait",
			"record", it.Position, "nas", it.NAS, "error", err)
	}
	it.again = f.Clock().Add(pause(it.refused, f.Rand))
	f.later = append(f.later, it)
}

// isHeldUp reports whether items that cannot be delivered keep others from being read, or
// from being done for good.
func (f *forwarder) isHeldUp() bool {
	return f.window.len() > windowSize-page || f.window.passed() > mostPassed
}

// recall lets those go again that have waited.
func (f *forwarder) recall() {
	now := f.Clock()
	waiting := f.later[:0]
	for _, it := range f.later {
		switch {
		case it.over:
		case now.Before(it.again):
			waiting = append(waiting, it)
		default:
			f.window.putBack([]*item{it})
		}
	}
	clear(f.later[len(waiting):])
	f.later = waiting
}
