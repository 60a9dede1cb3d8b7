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

// batch is what becomes durable in one commit.
type batch struct {
	records []byte // as package store encodes a batch
	entries []entry
	uses    []store.Use
}

// entry is who is told about a record: an attempt or a function.
type entry struct {
	attempt *otp.Attempt
	done    func(error)
}

// queue gathers the next batch while a commit is in flight.
type queue struct {
	depth atomic.Int64 // submitted and not yet answered

	mu      sync.Mutex
	filling *batch
	refuse  bool // nothing is taken
	wakeAt  int  // how many entries wake the committer

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

// append adds a record to the next batch, if it takes any.
func (q *queue) append(record []byte, e entry) bool {
	q.mu.Lock()
	b := q.filling
	if q.refuse || e.attempt == nil && len(b.records) > maxBatchBytes {
		q.mu.Unlock()
		return false
	}
	b.records = store.AppendToBatch(b.records, record)
	b.entries = append(b.entries, e)
	if e.attempt != nil && e.attempt.Rule != 0 {
		b.uses = append(b.uses, store.Use{Rule: e.attempt.Rule, At: e.attempt.At.Unix()})
	}
	wake := len(b.entries) == q.wakeAt
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

// reached reports whether n entries wait already. If not, the one that makes it n
// signals.
func (q *queue) reached(n int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.filling.entries) >= n {
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
	if len(full.entries) == 0 {
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
		return &batch{records: store.BeginBatch(nil)}
	}
}

// recycle keeps a batch for use again.
func (q *queue) recycle(b *batch) {
	if cap(b.records) > spareBatchBytes {
		return
	}
	clear(b.entries)
	b.entries, b.records, b.uses = b.entries[:0], store.BeginBatch(b.records[:0]), b.uses[:0]
	select {
	case q.spare <- b:
	default:
	}
}
