package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"countersign/tms"
	"countersign/tms/store/tables"
)

// history is the file beside the store that has what can be made again from the journal
// and the accounting log: the sessions, and the index by which the journal is searched.
// It has a connection of its own that writes, so it holds up no login, and when it fails
// the store goes on. When it is damaged, or not ours, it is made again.
type history struct {
	path  string
	id    []byte        // of the store
	due   chan struct{} // there is something to do for historyLoop
	again chan struct{} // there may be something to do for a Take that waits

	// files is held for reading by whoever uses db, and for writing when it is replaced.
	files   sync.RWMutex
	db      *historyFile // nil while there is none
	writing sync.Mutex   // held by who uses the writer
	taking  sync.Mutex   // held by Take
	tending sync.Mutex   // held by who may replace db, or has the index go on

	mu    sync.Mutex
	fault error  // what went wrong, nil since all has worked again
	todo  repair // what is to be done about it

	journal   tail // records that are not indexed
	log       tail // entries that were not taken
	uncounted atomic.Bool
	indexed   atomic.Uint64 // the last batch of the journal that is
	opened    atomic.Uint64 // how often there was a db
	waiting   atomic.Bool   // the next Take waits for again

	gap *tms.Act // a history knew more than the store, until that is recorded; for who holds tending
}

// historyFile is the open file.
type historyFile struct {
	writer  *conn
	readers chan *conn
}

// repair is what is to be done about a history.
type repair int

const (
	nothing repair = iota
	reopen         // it is to be opened again
	remake         // it is to be removed first
)

// historyOptions are for tests; zero values are the usual.
type historyOptions struct {
	off     bool // there is none
	records int  // in a segment
	batches int
	retry   time.Duration
}

const (
	// segmentRecords and segmentBatches are how large a segment of the index is. What
	// has not become one is read whole by a search, and that takes a hundred times as
	// long for a batch as for a record.
	segmentRecords = 1 << 15
	segmentBatches = 1 << 13
	// historyRetry is how long after a failure the next attempt is made.
	historyRetry = 10 * time.Second
	// historyReaders is how many connections read the history at the same time.
	historyReaders = 3
)

func (s *Store) initHistory() {
	h, o := &s.history, &s.options.history
	h.path = historyPath(s.options.Path)
	h.due, h.again = make(chan struct{}, 1), make(chan struct{}, 1)
	if o.records <= 0 {
		o.records = segmentRecords
	}
	if o.batches <= 0 {
		o.batches = segmentBatches
	}
	if o.retry <= 0 {
		o.retry = historyRetry
	}
}

// historyPath is where the history of a store is: countersign-history.db beside
// countersign.db.
func historyPath(path string) string {
	if name, ok := strings.CutSuffix(path, ".db"); ok {
		return name + "-history.db"
	}
	return path + "-history"
}

// identify reads the number by which the history knows its store, or makes one. A
// restored store has none.
func (s *Store) identify() (err error) {
	if !s.options.history.off {
		s.history.id, err = s.Identify(s.db.writer)
	}
	return err
}

// startHistory opens the history and keeps it so. When it cannot be opened the store
// goes on without.
func (s *Store) startHistory(ctx context.Context) {
	if s.options.history.off {
		return
	}
	if err := s.openHistory(); err != nil {
		s.failHistory(err, nothing)
	}
	s.background.Go(func() { s.historyLoop(ctx) })
}

// openHistory opens the history, or makes it again. The caller holds no lock.
func (s *Store) openHistory() error {
	m, err := s.marks()
	if err != nil {
		return fmt.Errorf("reading the store: %v", err) // no fault of the history
	}
	h := &s.history
	h.files.Lock()
	defer h.files.Unlock()
	if h.db != nil {
		_ = h.db.close() // it has failed already
		h.db = nil
	}
	if why := h.toRemake(); why != nil {
		err = s.removeHistory(why)
	} else if m.journal+m.log > 0 && fileSize(h.path) == 0 {
		s.options.Logger.Info("the history of sessions and the index of the journal are made", "path", h.path)
	}
	if err == nil {
		h.db, err = s.openHistoryFile(m)
	}
	if useless(err) {
		if err = s.removeHistory(err); err == nil {
			h.db, err = s.openHistoryFile(m)
		}
	}
	if err != nil {
		return err
	}
	h.mu.Lock()
	h.todo = nothing
	h.mu.Unlock()
	h.opened.Add(1)
	h.uncounted.Store(true)
	signal(s.appended) // all of the log may have to be taken again
	return nil
}

// toRemake says why the history has to be made again, nil if it has not.
func (h *history) toRemake() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.todo == remake {
		return h.fault
	}
	return nil
}

// removeHistory removes the files of a history that cannot be used.
func (s *Store) removeHistory(why error) error {
	s.options.Logger.Warn("the history of sessions and the index of the journal are made again", "path", s.history.path, "reason", why)
	var errs []error
	for _, end := range []string{"-wal", "-shm", ""} {
		errs = append(errs, removeIfThere(s.history.path+end))
	}
	return errors.Join(errs...)
}

// openHistoryFile opens the file. An error for which useless is true says that it can
// only be made again.
func (s *Store) openHistoryFile(m marks) (*historyFile, error) {
	path := s.history.path
	if err := createFile(path); err != nil {
		return nil, err
	}
	w, err := openConn(path, historyWriterPragmas...)
	if err != nil {
		return nil, err
	}
	db := &historyFile{writer: w, readers: make(chan *conn, historyReaders)}
	err = s.prepareHistory(w, m)
	for range historyReaders {
		var c *conn
		if err == nil {
			if c, err = openConn(path, historyReaderPragmas...); err == nil {
				db.readers <- c
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, db.close())
	}
	return db, nil
}

// prepareHistory makes the tables in an empty file, and looks at what is in another.
func (s *Store) prepareHistory(w *conn, m marks) error {
	tables, err := w.Number("SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	if tables > 0 {
		return s.recognizeHistory(w, m)
	}
	if err := w.script("PRAGMA journal_mode(WAL)"); err != nil {
		return err
	}
	s.history.indexed.Store(0)
	return w.transaction(func() error {
		err := w.script(fmt.Sprintf("%s; PRAGMA application_id = %d; PRAGMA user_version = %d", historySchema, historyID, historyVersion))
		if err != nil {
			return err
		}
		return w.Exec(writeMeta, metaOf, s.history.id)
	})
}

// recognizeHistory refuses a history that does not belong to the store as it is.
func (s *Store) recognizeHistory(w *conn, m marks) error {
	id, err := w.Number("PRAGMA application_id")
	if err != nil {
		return err
	}
	version, err := w.Number("PRAGMA user_version")
	if err != nil {
		return err
	}
	if id != historyID || version != historyVersion {
		return fmt.Errorf("%w: it has another format", tables.ErrUselessHistory)
	}
	var of []byte
	if err := w.Query(readMeta, func(r tables.Row) error { of = r.Blob(0); return nil }, metaOf); err != nil {
		return err
	}
	if !bytes.Equal(of, s.history.id) {
		return fmt.Errorf("%w: it is of another store, or of this one before a backup was restored", tables.ErrUselessHistory)
	}
	taken, err := s.TakenUpTo(w)
	if err != nil {
		return err
	}
	indexed, err := w.Number("SELECT max(last) FROM segment")
	if err == nil && (indexed > m.journal || int64(taken.Batch) > m.log) {
		gap := s.GapAct(fmt.Sprintf("the history knows batch %d of the journal, which ends with %d, and batch %d of the accounting log, which ends with %d",
			indexed, m.journal, taken.Batch, m.log))
		s.history.gap = &gap
		err = fmt.Errorf("%w: it knows of more than the store", tables.ErrUselessHistory)
	}
	s.history.indexed.Store(uint64(indexed))
	return err
}

// marks are how far a store goes.
type marks struct {
	journal, log int64 // the last batches
}

func (s *Store) marks() (m marks, err error) {
	err = s.read(func(c *conn) error {
		journal, err := c.Number("SELECT max(batch) FROM journal")
		if err != nil {
			return err
		}
		log, err := lastAccounting(c)
		m = marks{journal, int64(log)}
		return err
	})
	return m, err
}

func (db *historyFile) close() error {
	var errs []error
	for len(db.readers) > 0 {
		errs = append(errs, (<-db.readers).close())
	}
	return errors.Join(append(errs, db.writer.close())...)
}

// closeHistory is for the end of the store.
func (s *Store) closeHistory() error {
	h := &s.history
	h.files.Lock()
	defer h.files.Unlock()
	if h.db == nil {
		return nil
	}
	err := h.db.close()
	h.db = nil
	if err != nil {
		err = fmt.Errorf("closing the history: %w", err)
	}
	return err
}

// readHistory runs something on a connection that reads the history.
func (s *Store) readHistory(run func(c *conn) error) error {
	return s.withHistory(func(db *historyFile) error {
		c := <-db.readers
		defer func() { db.readers <- c }()
		return run(c)
	})
}

// writeHistory runs something in a transaction of the history's writer.
func (s *Store) writeHistory(run func(w *conn) error) error {
	if s.disk.refuses(low) {
		return errDiskLow
	}
	return s.withHistory(func(db *historyFile) error {
		s.history.writing.Lock()
		defer s.history.writing.Unlock()
		err := db.writer.transaction(func() error { return run(db.writer) })
		if err == nil {
			s.historyWorks()
		}
		return err
	})
}

func (s *Store) withHistory(run func(db *historyFile) error) error {
	h := &s.history
	h.files.RLock()
	defer h.files.RUnlock()
	if h.db == nil {
		return s.historyFault()
	}
	err := run(h.db)
	s.judgeHistory(err)
	return err
}

// historyFault says why there is no history.
func (s *Store) historyFault() error {
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case s.closing.Load():
		return errClosed
	case h.fault != nil:
		return fmt.Errorf("history %q is out of service: %w", h.path, h.fault)
	}
	return errors.New("the store has no history")
}

// useless reports whether an error means that a history can only be made again.
func useless(err error) bool {
	switch resultCode(err) {
	case resultCorrupt, resultFormat, resultNotADatabase:
		return true
	}
	return errors.Is(err, tables.ErrUselessHistory)
}

// judgeHistory decides what an error means for the history: that it has to be made
// again, or opened again, or tried again when there is room on the disk.
func (s *Store) judgeHistory(err error) {
	switch code := resultCode(err); {
	case useless(err):
		s.failHistory(err, remake)
	case code == resultFull, code == resultBusy:
		s.failHistory(err, nothing)
	case code != 0:
		s.failHistory(err, reopen)
	}
}

// failHistory notes a failure.
func (s *Store) failHistory(err error, todo repair) {
	h := &s.history
	s.metrics.historyFailures.Inc()
	h.mu.Lock()
	defer h.mu.Unlock()
	begins := h.fault == nil
	if begins || h.fault.Error() != err.Error() && (resultCode(err) == 0 || resultCode(err) != resultCode(h.fault)) {
		s.options.Logger.Error("the history failed: sessions are not up to date and searches take longer until it works again",
			"path", h.path, "error", err)
	}
	h.fault, h.todo = err, max(h.todo, todo)
	if begins || todo != nothing {
		signal(h.due)
	}
}

// historyWorks ends a fault after which nothing was left to do but to try again.
func (s *Store) historyWorks() {
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fault != nil && h.todo == nothing {
		h.fault = nil
		s.options.Logger.Info("the history works again", "path", h.path)
		signal(h.again)
		signal(s.appended)
	}
}

// historyLoop keeps the history open and up to date.
func (s *Store) historyLoop(ctx context.Context) {
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.history.due:
		case <-retry.C:
		}
		if err := s.tendHistory(ctx); err != nil {
			retry.Reset(s.options.history.retry)
		}
	}
}

// tendHistory does what there is to do.
func (s *Store) tendHistory(ctx context.Context) error {
	h := &s.history
	h.tending.Lock()
	defer h.tending.Unlock()
	h.mu.Lock()
	todo := h.todo
	h.mu.Unlock()
	if h.db == nil || todo != nothing {
		if err := s.openHistory(); err != nil {
			s.failHistory(err, nothing)
			return err
		}
		s.historyWorks()
	}
	for _, step := range []func(context.Context) error{s.noteGap, s.countTails, s.tryHistory, s.PruneHistory, s.index} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}
