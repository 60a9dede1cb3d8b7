package embedded

import (
	"context"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/tms/audit"
	"countersign/tms/store"
)

const (
	insertBatch      = "INSERT INTO journal (batch, records, chain) VALUES (?, ?, ?)"
	insertAccounting = "INSERT INTO accounting (batch, records) VALUES (?, ?)"
)

// job is something else that has to be done between two commits.
type job struct {
	ctx  context.Context
	run  func() error
	done chan error
}

// committer owns the connection that writes. Everything here belongs to its
// goroutine, run.
type committer struct {
	jobs chan *job
	quit chan struct{} // closed to end it
	gone chan struct{} // closed when it has ended

	heads
	failures int // how often the store has failed
	gatherer store.Gatherer
	timer    *time.Timer
}

func (c *committer) init() {
	c.jobs = make(chan *job)
	c.quit = make(chan struct{})
	c.gone = make(chan struct{})
	c.timer = time.NewTimer(time.Hour)
	c.timer.Stop()
}

// commitLoop commits batches and does jobs between them.
func (s *Store) commitLoop() {
	defer close(s.committer.gone)
	for {
		if s.queue.reached(1) {
			s.gather()
			_ = s.commit() // fail has told everybody
			select {       // jobs must not wait for a pause between logins
			case j := <-s.committer.jobs:
				s.perform(j)
			default:
			}
			continue
		}
		select {
		case <-s.queue.wake:
		case j := <-s.committer.jobs:
			s.perform(j)
		case <-s.committer.quit:
			_ = s.commit()
			return
		}
	}
}

// gather lets the batch grow while there is load.
func (s *Store) gather() {
	c := &s.committer
	target := c.gatherer.Target(time.Now())
	if s.queue.reached(target) {
		return
	}
	c.timer.Reset(store.GatherTime)
	defer c.timer.Stop()
	for !s.queue.reached(target) {
		select {
		case <-s.queue.wake:
		case <-c.timer.C:
			c.gatherer.GaveUp()
			return
		case <-c.quit:
			return
		}
	}
}

// commit makes what waits durable and has the answers given. With an error the
// store has failed, and works again: what was decided before has not happened.
func (s *Store) commit() error {
	b := s.queue.take()
	if b == nil {
		return nil
	}
	c := &s.committer
	began := time.Now()
	if err := s.insertBoth(b); err != nil {
		err = fmt.Errorf("committing %d records: %w", b.size(), err)
		s.recover(s.fail(err, b))
		return err
	}
	now := time.Now()
	c.gatherer.Committed(b.size(), now)
	s.metrics.committed(b, now.Sub(began))
	s.uses.add(b.uses)
	s.journalGrew()
	if len(b.done) > 0 {
		s.history.log.grew(c.lastAccounting, len(b.done))
		signal(s.appended)
	}
	s.answers <- answer{b, c.Batch, nil}
	return nil
}

// insertBoth writes what a batch has of logins and of accounting, in one transaction.
// That of one of them is its statement alone, which costs half.
func (s *Store) insertBoth(b *batch) error {
	logins, accounting := len(b.attempts) > 0, len(b.done) > 0
	switch {
	case !accounting:
		return s.insert(b.logins, len(b.attempts))
	case !logins:
		return s.insertAccounting(b.accounting)
	}
	return s.transaction(func(*conn) error {
		if err := s.insert(b.logins, len(b.attempts)); err != nil {
			return err
		}
		return s.insertAccounting(b.accounting)
	})
}

// insert appends a batch to the journal, in the transaction that is open or in
// one of its own.
func (s *Store) insert(records []byte, count int) error {
	c := &s.committer
	chain := audit.Link(c.Chain, c.Batch+1, records)
	if err := s.db.writer.Exec(insertBatch, int64(c.Batch+1), records, chain[:]); err != nil {
		return err
	}
	c.Batch, c.Chain = c.Batch+1, chain
	if s.unfolded.Add(int64(count)) > foldRecords {
		signal(s.foldDue)
	}
	c.untold += count
	s.wal.grew(recordPages(len(records)))
	return nil
}

// insertAccounting is insert for the accounting log.
func (s *Store) insertAccounting(records []byte) error {
	c := &s.committer
	if err := s.db.writer.Exec(insertAccounting, int64(c.lastAccounting+1), records); err != nil {
		return err
	}
	c.lastAccounting++
	s.wal.grew(recordPages(len(records)))
	return nil
}

// do has a job done by the committer and waits for it. The job finds everything
// committed that was decided before it began. Its error is returned; one that
// comes from the file ends the readiness of the store.
func (s *Store) do(ctx context.Context, run func() error) error {
	j := &job{ctx, run, make(chan error, 1)}
	select {
	case s.committer.jobs <- j:
		return <-j.done
	case <-ctx.Done():
		return ctx.Err()
	case <-s.committer.gone:
		return errClosed
	}
}

func (s *Store) perform(j *job) {
	if err := s.commit(); err != nil {
		j.done <- err // what the job was made for may not have happened
		return
	}
	if err := s.failure.Load(); err != nil {
		j.done <- *err
		return
	}
	if err := j.ctx.Err(); err != nil {
		j.done <- err
		return
	}
	err := j.run()
	s.journalGrew()
	if !broken(err) {
		j.done <- err
		return
	}
	failure := s.fail(err, nil) // before anybody hears of the error
	j.done <- err
	s.recover(failure)
}

// transaction is for the committer: what run writes becomes durable together, or not
// at all if it returns an error. Then the heads are back where they were, so that
// neither journal nor accounting log has a gap.
func (s *Store) transaction(run func(w *conn) error) error {
	before, w := s.committer.heads, s.db.writer
	err := w.transaction(func() error { return run(w) })
	if err != nil {
		s.committer.heads = before
	}
	return err
}

// answer is a batch whose fate is known.
type answer struct {
	*batch
	number uint64 // of its logins in the journal
	err    error
}

// answerLoop tells those who wait, while the next commit is already in flight.
func (s *Store) answerLoop() {
	for a := range s.answers {
		s.give(a)
	}
}

func (s *Store) give(a answer) {
	for i, attempt := range a.attempts {
		if a.err == nil {
			attempt.Event = otp.EventID{Batch: a.number, Index: uint32(i)}
		}
		attempt.Waiter.Decided(attempt, a.err)
	}
	for _, done := range a.done {
		done(a.err)
	}
	n := a.size()
	s.queue.recycle(a.batch)
	s.queue.depth.Add(-int64(n))
}
