package collector

import (
	"bytes"
	"container/list"
	"encoding/binary"
	"iter"
	"time"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

// item is a record that was read from the queue and is not done.
type item struct {
	accounting.Entry
	before  accounting.Position // all records up to there are older
	number  uint64              // in the order of the queue
	lane    lane
	place   *list.Element
	ahead   int     // items that have to be done before
	behind  []*item // items that have to wait for this one
	flying  bool    // it is being delivered
	over    bool    // done, or skipped
	refused int     // how often it was not answered while others were
	again   time.Time
}

// lane is where records go one after the other: those of a session of a NAS. An
// Accounting-On or Accounting-Off is for all the lanes of its NAS.
type lane struct {
	nas, session string
	all          bool
}

func laneOf(e *accounting.Entry) lane {
	l := lane{nas: e.NAS}
	for t, value := range packet.EncodedAttributes(e.Attributes) {
		switch {
		case t == packet.AcctSessionID:
			l.session = string(value)
		case t == packet.AcctStatusType && len(value) == 4:
			status := accounting.Status(binary.BigEndian.Uint32(value))
			l.all = status == accounting.AccountingOn || status == accounting.AccountingOff
		}
	}
	return l
}

// window has the items, and knows which of them can go. The zero window is of one lane,
// whose items can go all at once.
type window struct {
	lanes  map[lane]*item // the last of each
	items  list.List      // of *item, in the order of the queue
	ready  []*item        // what can go, and some that are over
	number uint64
}

func (w *window) len() int { return w.items.Len() }

// first is the oldest item, nil when there is none.
func (w *window) first() *item {
	if front := w.items.Front(); front != nil {
		return front.Value.(*item)
	}
	return nil
}

// passed is how many records are done that are newer than the oldest item: they are
// delivered again after a crash.
func (w *window) passed() uint64 {
	if first := w.first(); first != nil {
		return w.number - first.number + 1 - uint64(w.len())
	}
	return 0
}

// add adds a record that follows all others.
func (w *window) add(e *accounting.Entry, before accounting.Position) {
	w.number++
	it := &item{Entry: *e, before: before, number: w.number}
	it.Attributes = bytes.Clone(e.Attributes) // the queue's, until now
	if w.lanes != nil {
		w.line(it)
	}
	it.place = w.items.PushBack(it)
	if it.ahead == 0 {
		w.ready = append(w.ready, it)
	}
}

// line lets an item wait for those that have to be done before.
func (w *window) line(it *item) {
	it.lane = laneOf(&it.Entry)
	everybody := lane{nas: it.lane.nas, all: true}
	if it.lane.all {
		it.lane = everybody
		w.lineAll(it)
	} else {
		it.follow(w.lanes[it.lane])
		it.follow(w.lanes[everybody])
	}
	w.lanes[it.lane] = it
}

// lineAll lets an item wait for all of its NAS since the last item of that kind, which
// waits for those before itself: to go on behind that would change nothing, but takes time.
func (w *window) lineAll(it *item) {
	for place := w.items.Back(); place != nil; place = place.Prev() {
		other := place.Value.(*item)
		if other.lane.nas != it.lane.nas {
			continue
		}
		it.follow(other)
		if other.lane.all {
			return
		}
	}
}

func (it *item) follow(other *item) {
	if other != nil {
		it.ahead++
		other.behind = append(other.behind, it)
	}
}

// take takes up to so many items that can go.
func (w *window) take(most int) []*item {
	var batch []*item
	for len(w.ready) > 0 && len(batch) < most {
		it := w.ready[0]
		w.ready = w.ready[1:]
		if !it.over {
			it.flying = true
			batch = append(batch, it)
		}
	}
	return batch
}

// finish takes out an item that is done or skipped, and returns what waited for it.
func (w *window) finish(it *item) []*item {
	it.over, it.flying = true, false
	w.items.Remove(it.place)
	if w.lanes[it.lane] == it {
		delete(w.lanes, it.lane)
	}
	for _, next := range it.behind {
		next.ahead--
		if next.ahead == 0 {
			w.ready = append(w.ready, next)
		}
	}
	return it.behind
}

// putBack lets items go again: next when they have no lanes, or else after the others, so
// that one which cannot be delivered does not keep the others from being tried.
func (w *window) putBack(items []*item) {
	for _, it := range items {
		it.flying = false
	}
	if w.lanes == nil {
		w.ready = append(items[:len(items):len(items)], w.ready...)
	} else {
		w.ready = append(w.ready, items...)
	}
}

// skippable returns the oldest items that old wants, up to so many, and that are neither
// on their way nor behind one that is kept. Each is to be finished before the next.
func (w *window) skippable(most int64, old func(*item) bool) iter.Seq[*item] {
	return func(yield func(*item) bool) {
		for place := w.items.Front(); place != nil && most > 0; {
			it := place.Value.(*item)
			place = place.Next()
			if !old(it) {
				return
			}
			if it.flying || it.ahead > 0 {
				continue
			}
			most--
			if !yield(it) {
				return
			}
		}
	}
}
