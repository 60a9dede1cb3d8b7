package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"countersign/tms/store/tables"
)

// history is the part of a Store that keeps sessions, and the index by which the journal is
// searched. They are in the same database, and whoever changes them is alone with that by a
// lock in it, whatever the node. What is committed of them is not waited for by standbys: it
// can be made again, and with it goes the mark of how far it was made.
type history struct {
	store    *Store
	appended chan struct{} // there is more in the accounting log
	due      chan struct{} // look at the logs now
	pruned   atomic.Bool   // since the index was pruned last

	taking  sync.Mutex // held by who makes sessions
	writing sync.Mutex // held by who waits for the lock in the database

	tending sync.Mutex // held by who looks at the logs, and has the index go on
	marks   marks      // for who holds tending

	indexed atomic.Int64 // up to which batch the journal is in the index
	behind  atomic.Int64 // records of the journal that are not
	waiting atomic.Int64 // records of the accounting log that were not taken
}

// historyOptions are for tests; zero values are the usual.
type historyOptions struct {
	tables.SegmentSize
}

const (
	// segmentRecords and segmentBatches are how large a segment of the index is. What has not
	// become one is read whole by a search, and that takes a hundred times as long for a batch
	// as for a record.
	segmentRecords = 1 << 15
	segmentBatches = 1 << 13
	// lookTime is how often the logs are looked at: another node may have appended.
	lookTime = time.Second
	// indexLease is of having the index go on.
	indexLease = "index"
	// historyLock is the lock in the database of who changes the history.
	historyLock = 0x43745369_04
)

func (o *historyOptions) fill() {
	if o.Records <= 0 {
		o.Records = segmentRecords
	}
	if o.Batches <= 0 {
		o.Batches = segmentBatches
	}
}

func (h *history) init(s *Store) {
	h.store = s
	h.appended, h.due = make(chan struct{}, 1), make(chan struct{}, 1)
}

// start looks at the logs from time to time, and has the index go on while this node is the
// one that does.
func (h *history) start(ctx context.Context) {
	s := h.store
	s.background.Go(func() { h.lookLoop(ctx) })
	s.background.Go(func() {
		s.cluster.work(ctx, indexLease, func(ctx context.Context) {
			h.pruned.Store(true) // perhaps by another node
			h.indexLoop(ctx)
		})
	})
}

// marks are how far the logs go, and what was made of them.
type marks struct {
	journal, records int64 // the last batch of the journal, and how many records there were up to it
	log, entries     int64 // the same of the accounting log
	indexed, inIndex int64 // the last batch that is in the index, and records up to it
	taken            int64 // records of the accounting log up to the last batch of which some were taken
}

// Where a batch is removed up to which records are counted, it is up to the first that is there.
const readMarks = `SELECT j.number, j.total, a.number, a.total, i.last, coalesce(
		(SELECT total FROM journal WHERE batch <= i.last ORDER BY batch DESC LIMIT 1),
		(SELECT CASE batch WHEN 1 THEN 0 ELSE total END FROM journal ORDER BY batch LIMIT 1), 0)
	FROM head j, head a, (SELECT coalesce(max(last), 0) AS last FROM segment) i WHERE j.id = 1 AND a.id = 2`

const readEntries = `SELECT coalesce(
	(SELECT total FROM accounting WHERE batch <= ? ORDER BY batch DESC LIMIT 1),
	(SELECT CASE batch WHEN 1 THEN 0 ELSE total END FROM accounting ORDER BY batch LIMIT 1), 0)`

// look reads the marks, and tells who waits for entries of the accounting log.
func (h *history) look(ctx context.Context) error {
	m := marks{}
	err := h.store.chore(ctx, func(c *conn) error {
		err := c.Query(readMarks, func(r tables.Row) error {
			m.journal, m.records, m.log, m.entries = r.Integer(0), r.Integer(1), r.Integer(2), r.Integer(3)
			m.indexed, m.inIndex = r.Integer(4), r.Integer(5)
			return nil
		})
		if err != nil {
			return err
		}
		taken, err := h.store.TakenUpTo(c)
		if err != nil {
			return err
		}
		m.taken, err = c.Number(readEntries, int64(taken.Batch))
		return err
	})
	if err != nil {
		return err
	}
	if m.log != h.marks.log || h.marks == (marks{}) {
		signal(h.appended)
	}
	h.marks = m
	h.indexed.Store(m.indexed)
	h.behind.Store(m.records - m.inIndex)
	h.waiting.Store(m.entries - m.taken)
	return nil
}

func (h *history) lookLoop(ctx context.Context) {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	for {
		if h.store.Ready() == nil {
			h.tending.Lock()
			_ = h.look(ctx) // what is wrong with the database is told elsewhere
			h.tending.Unlock()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// indexLoop has the index go on whenever there is enough for a segment.
func (h *history) indexLoop(ctx context.Context) {
	tick := time.NewTicker(lookTime)
	defer tick.Stop()
	said := ""
	for {
		if h.store.Ready() == nil {
			if err := h.tend(ctx); err == nil {
				said = ""
			} else if ctx.Err() == nil && err.Error() != said {
				said = err.Error()
				h.store.options.Logger.Warn("the index of the journal does not go on, so that searches take longer", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-h.due:
		}
	}
}

// tend does what there is to do for the index.
func (h *history) tend(ctx context.Context) error {
	h.tending.Lock()
	defer h.tending.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if h.pruned.Swap(false) {
		if err := h.store.PruneHistory(ctx); err != nil {
			h.pruned.Store(true)
			return err
		}
	}
	if err := h.look(ctx); err != nil {
		return err
	}
	size := h.store.options.history.SegmentSize
	for h.marks.records-h.marks.inIndex >= int64(size.Records) || h.marks.journal-h.marks.indexed >= int64(size.Batches) {
		last, _, _, err := h.store.IndexSegment(ctx, uint64(h.marks.indexed), size, func(took time.Duration) { h.store.stepAside(ctx, took) })
		if err != nil || last == 0 { // or there is less than was counted
			return err
		}
		if err := h.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stepAside waits for so long when logins are under way.
func (s *Store) stepAside(ctx context.Context, took time.Duration) {
	if s.logins.queue.depth.Load() > 0 {
		pause(ctx, took)
	}
}

// accountingGrew is told that so many records were appended to the accounting log.
func (s *Store) accountingGrew(records int) {
	s.history.waiting.Add(int64(records))
	signal(s.history.appended)
}

// Appended implements accounting.Store. That another node has appended is known within a
// second.
func (s *Store) Appended() <-chan struct{} { return s.history.appended }

// ReadHistory implements tables.History.
func (s engine) ReadHistory(run func(tables.Conn) error) error { return s.Read(run) }

// WriteHistory implements tables.History.
func (s engine) WriteHistory(run func(w tables.Conn) error) error {
	s.history.writing.Lock()
	defer s.history.writing.Unlock()
	return s.withConn(context.Background(), func(c *conn) error {
		err := errors.Join(c.Exec(beginAct), c.Exec("SET LOCAL synchronous_commit TO local"), c.Exec(lockActs, int64(historyLock)), c.flush())
		if err != nil {
			return err
		}
		return s.end(c, run(c))
	})
}

// Taking implements tables.History.
func (s engine) Taking(ctx context.Context) (done func(taken int, err error), err error) {
	s.history.taking.Lock()
	if err := ctx.Err(); err != nil {
		s.history.taking.Unlock()
		return nil, err
	}
	return func(taken int, _ error) {
		s.history.waiting.Add(-int64(taken))
		s.history.taking.Unlock()
	}, nil
}

// More implements tables.History.
func (s engine) More() { signal(s.history.appended) }

// Indexed implements tables.History. The index is never made anew.
func (s engine) Indexed() (batch, generation uint64) { return uint64(s.history.indexed.Load()), 0 }

// wasPruned is told that batches were removed.
func (s *Store) wasPruned() {
	s.history.pruned.Store(true)
	signal(s.history.due)
}
