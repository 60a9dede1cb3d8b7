package postgres

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign/otp"
	"countersign/tms/store"
)

const (
	// maxDepth is how many attempts and accounting records may be under way.
	maxDepth = 16384
	// maxGroup is how many attempts one statement takes.
	maxGroup = 1024
	// spareBytes is how much a group may have grown to be used again.
	spareBytes = 1 << 20
)

// entry is what one statement changes for one account, and wins or loses as a whole: all
// that was decided by the account while the group was filling.
type entry struct {
	owner      *cached
	token      int64  // whose row it is
	rev, newer uint64 // of that row before and after
	before     int64  // its stamp before
	stamp      int64  // and after
	state      otp.State
	further    []store.Change // of other tokens of the account
	key        otp.LoginKey   // zero: the last login stays
	verdict    otp.Verdict
	records    []byte // one after the other, each with its length
	count      uint32 // of records
	place      int64  // in the order of tokens, from 1 on
	won        bool
	next       uint32 // where in the batch its next record is
}

// item is an attempt in a group.
type item struct {
	attempt *otp.Attempt
	began   time.Duration // it was submitted, by logins.now
	entry   int32         // noEntry when it has none
	rounds  uint8         // how often it has lost
	lost    bool          // it has, by a row with this stamp before
	before  int64
}

const noEntry = -1

// use is that a rule decided a login.
type use struct {
	store.Use
	entry int32
}

// group is what one statement makes durable.
type group struct {
	number  uint64
	entries []entry
	order   []int32 // places of entries by token
	items   []item
	uses    []use
	free    []byte // records that belong to no row
	freed   uint32 // how many
}

// full reports whether a group takes no more.
func (g *group) full() bool { return len(g.items) >= maxGroup }

// add takes an attempt that is decided.
func (g *group) add(i item, d *decided) {
	i.entry = noEntry
	if d.owner == nil {
		g.free = store.AppendToBatch(g.free, d.record)
		g.freed++
	} else {
		i.entry = g.join(d)
		e := &g.entries[i.entry]
		e.records = store.AppendToBatch(e.records, d.record)
		e.count++
		if i.attempt.Decision.Renews {
			e.key, e.verdict = i.attempt.Login, i.attempt.Decision.Verdict
		}
	}
	if i.attempt.Rule != 0 {
		g.uses = append(g.uses, use{store.Use{Rule: i.attempt.Rule, At: i.attempt.At.Unix()}, i.entry})
	}
	g.items = append(g.items, i)
}

// join finds or makes the entry of an account and brings it up to what was decided.
func (g *group) join(d *decided) int32 {
	p := d.owner
	if p.group != g.number {
		p.group, p.place = g.number, g.grow()
		e := &g.entries[p.place]
		e.owner, e.token, e.rev, e.before = p, d.token, d.rev, d.before
	}
	e := &g.entries[p.place]
	e.newer, e.stamp, e.state = d.newer, d.stamp, d.state
	for _, c := range d.changes {
		if c.Token != d.token {
			e.change(c)
		}
	}
	return p.place
}

// grow makes room for an entry, with the memory of one used before, and returns its place.
func (g *group) grow() int32 {
	n := len(g.entries)
	if n < cap(g.entries) {
		g.entries = g.entries[:n+1]
	} else {
		g.entries = append(g.entries, entry{})
	}
	e := &g.entries[n]
	*e = entry{further: e.further[:0], records: e.records[:0]}
	return int32(n)
}

// change notes the new state of another token of the account.
func (e *entry) change(c store.Change) {
	for i := range e.further {
		if e.further[i].Token == c.Token {
			e.further[i] = c
			return
		}
	}
	e.further = append(e.further, c)
}

// sort puts the entries in the order of their tokens, in which every node takes the rows,
// so that no two wait for each other.
func (g *group) sort() {
	g.order = g.order[:0]
	for i := range g.entries {
		g.order = append(g.order, int32(i))
	}
	slices.SortFunc(g.order, func(a, b int32) int { return cmp.Compare(g.entries[a].token, g.entries[b].token) })
	for place, i := range g.order {
		g.entries[i].place = int64(place + 1)
	}
}

// placeOf is the place of an item's entry, 0 when it has none.
func (g *group) placeOf(entry int32) int64 {
	if entry == noEntry {
		return 0
	}
	return g.entries[entry].place
}

// settle notes which entries have won, by their places in the order of their records, and
// where in the batch those are.
func (g *group) settle(won []int64) error {
	next := g.freed
	for _, place := range won {
		if place < 1 || place > int64(len(g.order)) {
			return fmt.Errorf("the database answers with place %d of %d", place, len(g.order))
		}
		e := &g.entries[g.order[place-1]]
		e.won, e.next = true, next
		next += e.count
	}
	return nil
}

// reset empties a group to be used again.
func (g *group) reset() {
	for i := range g.entries {
		g.entries[i].owner = nil
	}
	clear(g.items)
	g.entries, g.items, g.uses, g.free, g.freed = g.entries[:0], g.items[:0], g.uses[:0], g.free[:0], 0
}

// queue gathers the next groups while one is in flight.
type queue struct {
	depth atomic.Int64 // submitted and not yet answered

	mu      sync.Mutex
	filling *group
	waiting []*group // full, before filling
	number  uint64   // of the last group
	refuse  bool     // nothing is taken
	wakeAt  int      // how many attempts wake who waits for them

	wake  chan struct{}
	spare chan *group // used before, and empty
}

func (q *queue) init() {
	q.refuse = true // until there is a connection
	q.wakeAt = 1
	q.wake = make(chan struct{}, 1)
	q.spare = make(chan *group, 4)
	q.filling = q.fresh()
}

// enter takes a place, if there is one.
func (q *queue) enter() bool {
	if q.depth.Add(1) > maxDepth {
		q.depth.Add(-1)
		return false
	}
	return true
}

func (q *queue) leave() { q.depth.Add(-1) }

// login adds an attempt that is decided to the next group, if it takes any.
func (q *queue) login(i item, d *decided) bool {
	q.mu.Lock()
	if q.refuse {
		q.mu.Unlock()
		return false
	}
	if q.filling.full() {
		q.waiting = append(q.waiting, q.filling)
		q.filling = q.fresh()
	}
	q.filling.add(i, d)
	wake := len(q.filling.items) == q.wakeAt
	q.mu.Unlock()
	if wake {
		signal(q.wake)
	}
	return true
}

// signal wakes the goroutine that waits for c, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// reached reports whether n attempts wait already. If not, the one that makes it n
// signals.
func (q *queue) reached(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 || len(q.filling.items) >= n {
		return true
	}
	q.wakeAt = n
	return false
}

// take returns the next group, nil if nothing waits.
func (q *queue) take() *group {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) > 0 {
		g := q.waiting[0]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		return g
	}
	if len(q.filling.items) == 0 {
		return nil
	}
	g := q.filling
	q.filling = q.fresh()
	return g
}

// close refuses everything from now on.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuse = true
}

func (q *queue) open() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.refuse = false
}

// fresh begins a group.
func (q *queue) fresh() *group {
	q.number++
	var g *group
	select {
	case g = <-q.spare:
	default:
		g = &group{}
	}
	g.number = q.number
	return g
}

// recycle keeps a group for use again.
func (q *queue) recycle(g *group) {
	size := cap(g.free)
	for i := range g.entries {
		size += cap(g.entries[i].records)
	}
	if size > spareBytes {
		return
	}
	g.reset()
	select {
	case q.spare <- g:
	default:
	}
}
