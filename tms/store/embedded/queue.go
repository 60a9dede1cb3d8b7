package embedded

import (
	"sync"
	"sync/atomic"

	"countersign/otp"
	"countersign/tms/store"
)

const (
	// maxDepth is how many attempts and accounting records may be under way.
	maxDepth = 16384
	// maxBatchBytes is how much may wait for one commit before it takes no more
	// accounting records. Logins it takes always: they are short, and already
	// decided.
	maxBatchBytes = 8 << 20
	// spareBatchBytes is how large a batch may be to be used again.
	spareBatchBytes = 1 << 20
)

// batch is what becomes durable in one commit: a batch of the journal and one of the
// accounting log, as package store encodes them, and who is told about each record.
type batch struct {
	logins     []byte
	attempts   []*otp.Attempt
	uses       []store.Use
	accounting []byte
	done       []func(error)
}

func newBatch() *batch {
	return &batch{logins: store.BeginBatch(nil), accounting: store.BeginBatch(nil)}
}

// size is how many records there are.
func (b *batch) size() int { return len(b.attempts) + len(b.done) }

// queue gathers the next batch while a commit is in flight.
type queue struct {
	depth atomic.Int64 // submitted and not yet answered

	mu      sync.Mutex
	filling *batch
	refuse  bool // nothing is taken
	wakeAt  int  // how many records wake the committer

	wake  chan struct{}
	spare chan *batch // used before, and empty
}

func (q *queue) init() {
	q.wakeAt = 1
	q.wake = make(chan struct{}, 1)
	q.spare = make(chan *batch, 4)
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

// login adds the record of an attempt to the next batch, if it takes any.
func (q *queue) login(record []byte, a *otp.Attempt) bool {
	q.mu.Lock()
	b := q.filling
	if q.refuse {
		q.mu.Unlock()
		return false
	}
	b.logins = store.AppendToBatch(b.logins, record)
	b.attempts = append(b.attempts, a)
	if a.Rule != 0 {
		b.uses = append(b.uses, store.Use{Rule: a.Rule, At: a.At.Unix()})
	}
	q.added(b)
	return true
}

// account is login for a record of the accounting log.
func (q *queue) account(record []byte, done func(error)) bool {
	q.mu.Lock()
	b := q.filling
	if q.refuse || len(b.accounting) > maxBatchBytes {
		q.mu.Unlock()
		return false
	}
	b.accounting = store.AppendToBatch(b.accounting, record)
	b.done = append(b.done, done)
	q.added(b)
	return true
}

// added lets go of the lock, and wakes the committer if it waits for this record.
func (q *queue) added(b *batch) {
	wake := b.size() == q.wakeAt
	q.mu.Unlock()
	if wake {
		signal(q.wake)
	}
}

// signal wakes the goroutine that waits for c, or will.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// reached reports whether n records wait already. If not, the one that makes it n
// signals.
func (q *queue) reached(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.filling.size() >= n {
		return true
	}
	q.wakeAt = n
	return false
}

// take returns what waits, nil if nothing does, and begins the next batch.
func (q *queue) take() *batch {
	q.mu.Lock()
	defer q.mu.Unlock()
	full := q.filling
	if full.size() == 0 {
		return nil
	}
	q.filling = q.fresh()
	return full
}

// close refuses everything from now on and returns what waits.
func (q *queue) close() *batch {
	q.mu.Lock()
	q.refuse = true
	q.mu.Unlock()
	return q.take()
}

func (q *queue) open() {
	q.mu.Lock()
	q.refuse = false
	q.mu.Unlock()
}

func (q *queue) fresh() *batch {
	select {
	case b := <-q.spare:
		return b
	default:
		return newBatch()
	}
}

// recycle keeps a batch for use again.
func (q *queue) recycle(b *batch) {
	if cap(b.logins)+cap(b.accounting) > spareBatchBytes {
		return
	}
	clear(b.attempts)
	clear(b.done)
	b.logins, b.attempts, b.uses = store.BeginBatch(b.logins[:0]), b.attempts[:0], b.uses[:0]
	b.accounting, b.done = store.BeginBatch(b.accounting[:0]), b.done[:0]
	select {
	case q.spare <- b:
	default:
	}
}
