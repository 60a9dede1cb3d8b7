package embedded

import "sync"

// tail is what a log has that the history does not.
type tail struct {
	mu      sync.Mutex
	last    uint64 // the newest batch of the log
	records int64
	batches int64
}

// grew counts batches that are durable, up to one.
func (t *tail) grew(last uint64, records int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records += int64(records)
	t.batches += int64(last - t.last)
	t.last = last
}

// shrank counts what the history has taken in.
func (t *tail) shrank(records, batches int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records -= int64(records)
	t.batches -= int64(batches)
}

// recount begins anew. Who calls it adds what there is up to the batch it returns.
func (t *tail) recount() (upTo uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.records, t.batches = 0, 0
	return t.last
}

func (t *tail) begin(last uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = last
}

// size is how much there is, as far as it is counted by now.
func (t *tail) size() (records, batches int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.records, 0), max(t.batches, 0)
}

func (t *tail) count() int64 {
	records, _ := t.size()
	return records
}

// recountHistory has the tails counted anew: the history was opened, or the store was.
func (s *Store) recountHistory() {
	h, c := &s.history, &s.committer
	h.journal.begin(c.Batch)
	h.log.begin(c.lastAccounting)
	h.uncounted.Store(true)
	signal(h.due)
}
