package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// maxBatchBytes is how much may wait for one commit of the accounting log before it takes
// no more.
const maxBatchBytes = 8 << 20

// insertAccounting appends a batch to the accounting log, whose head is a row of its own:
// logins do not wait for it. The arguments are how many records it has, and these.
const insertAccounting = `WITH linked AS (
	UPDATE head SET number = number + 1, total = total + ?::bigint WHERE id = 2 RETURNING number, total
)
INSERT INTO accounting (batch, records, total) SELECT number, ?::bytea, total FROM linked RETURNING batch`

// accountingLog makes Accounting-Requests durable, many in one commit.
type accountingLog struct {
	link
	logins *logins
	wake   chan struct{}

	mu      sync.Mutex
	records []byte
	done    []func(error)
}

func (g *accountingLog) init(s *Store) {
	g.link = link{store: s}
	g.logins = &s.logins
	g.wake = make(chan struct{}, 1)
	g.records = store.BeginBatch(nil)
}

// AppendAccounting makes the record of an Accounting-Request durable and then
// calls done, which must not block. nas is its name, source the address it came
// from, attributes are as received (RFC 2866 section 3); nothing of them is kept.
// It returns false, and never calls done, when the queue is full or the database away.
func (s *Store) AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool {
	if !s.logins.enter() {
		return false
	}
	var space [512]byte
	if !s.logins.accounting.add(store.AppendAccounting(space[:0], at, nas, source, attributes), done) {
		s.logins.queue.leave()
		s.logins.metrics.dropped(droppedFull)
		return false
	}
	return true
}

func (g *accountingLog) add(record []byte, done func(error)) bool {
	g.mu.Lock()
	if len(g.records) > maxBatchBytes {
		g.mu.Unlock()
		return false
	}
	g.records = store.AppendToBatch(g.records, record)
	g.done = append(g.done, done)
	g.mu.Unlock()
	signal(g.wake)
	return true
}

// take exchanges what waits for memory that was used before.
func (g *accountingLog) take(records []byte, done []func(error)) ([]byte, []func(error)) {
	clear(done)
	records, done = store.BeginBatch(records[:0]), done[:0]
	g.mu.Lock()
	defer g.mu.Unlock()
	records, g.records = g.records, records
	done, g.done = g.done, done
	return records, done
}

// loop commits batches, one after the other.
func (g *accountingLog) loop(ctx context.Context) {
	defer g.close()
	var records []byte
	var done []func(error)
	for {
		select {
		case <-g.wake:
		case <-ctx.Done():
			return
		}
		if records, done = g.take(records, done); len(done) == 0 {
			continue
		}
		err := g.commit(ctx, records, len(done))
		for _, tell := range done {
			tell(err)
		}
		g.logins.queue.depth.Add(-int64(len(done)))
	}
}

// commit appends a batch. With an error nobody knows whether it is there: then a NAS sends its
// records again, and who reads them finds out that they are the same.
func (g *accountingLog) commit(ctx context.Context, records []byte, count int) error {
	began := time.Now()
	err := g.use(ctx, groupTime, func(c *conn) error {
		err := c.Query(insertAccounting, func(tables.Row) error { return nil }, int64(count), records)
		if err == nil && c.undurable {
			err = errUndurable
		}
		return err
	})
	m := &g.logins.metrics
	if err != nil {
		m.unanswered.Add(float64(count))
		return fmt.Errorf("committing %d accounting records: %w", count, err)
	}
	m.commits.Inc()
	m.duration.Observe(time.Since(began).Seconds())
	m.accounting.Observe(float64(count))
	g.store.accountingGrew(count)
	return nil
}
