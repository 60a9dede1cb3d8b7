package embedded

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
)

const pageSize = 4096

// walSize is how large the write-ahead log becomes before it is begun anew from
// its start, and how much of it is written in advance: an fsync of blocks that
// are there already costs half of what one of a growing file costs.
const walSize = 16 << 20

// preallocate fills the log up to walSize with zeros, which SQLite takes for the
// end of the log. It must be done before anybody writes. A disk without room for
// that is no error.
func preallocate(path string) (err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	end, err := f.Seek(0, 2)
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<20)
	for at := end; at < walSize; {
		n, err := f.Write(zeros[:min(int64(len(zeros)), walSize-at)])
		if err != nil {
			return f.Truncate(end)
		}
		at += int64(n)
	}
	return errors.Join(f.Sync(), syncDirectory(filepath.Dir(path)))
}

// wal decides when to checkpoint. The log can only begin anew when all of it is
// copied, and with commits every few hundred microseconds it never is by itself.
// So a connection of its own copies the log in the background, a piece at a time,
// and when it has become large the committer copies the few pages that are left,
// between two commits.
type wal struct {
	bytes atomic.Int64  // estimated size of the log
	next  atomic.Int64  // at this size a piece is to be copied
	due   chan struct{} // the checkpointer has work
}

const (
	walPiece  = 4 << 20
	walFull   = walSize * 3 / 4 // now the log is to begin anew
	walRounds = 4               // in the background, each for what came during the one before
	walLeft   = 100             // pages, few enough for the committer
)

func (w *wal) init() {
	w.due = make(chan struct{}, 1)
	w.left(0)
}

// left says how much of the log is still needed.
func (w *wal) left(bytes int64) {
	w.bytes.Store(bytes)
	w.next.Store(bytes + walPiece)
}

// grew counts a transaction that wrote so many pages.
func (w *wal) grew(pages int) {
	if w.bytes.Add(int64(pages)*pageSize) >= w.next.Load() {
		signal(w.due)
	}
}

// recordPages is how many pages a batch takes: the last of the table and those
// it overflows to.
func recordPages(bytes int) int { return bytes/pageSize + 2 }

// checkpointLoop copies the log whenever it has grown.
func (s *Store) checkpointLoop(ctx context.Context) {
	w := &s.wal
	for {
		select {
		case <-w.due:
		case <-ctx.Done():
			return
		}
		size := w.bytes.Load()
		if size < w.next.Load() {
			continue // signalled twice
		}
		w.next.Store(size + walPiece)
		var err error
		if size < walFull {
			_, err = s.checkpointBeside()
		} else {
			err = s.checkpoint(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.checkpointFailed(ctx, err)
		}
	}
}

// checkpointFailed tells the committer when an error means that the disk has lost
// something: a commit that is in the log may then not be durable. When the file
// finds no room to grow, or somebody keeps it from being written, nothing is lost.
func (s *Store) checkpointFailed(ctx context.Context, err error) {
	switch resultCode(err) {
	case resultFull, resultBusy:
		s.options.Logger.Warn("the write-ahead log could not be copied into the token store and grows", "error", err)
	default:
		_ = s.do(ctx, func() error { return err })
	}
}

// checkpoint copies all of the log, so that it begins anew.
func (s *Store) checkpoint(ctx context.Context) error {
	for range walRounds {
		left, err := s.checkpointBeside()
		if err != nil {
			return err
		}
		if left <= walLeft {
			break
		}
	}
	var failed error
	err := s.do(ctx, func() error {
		var left int64
		if left, failed = s.db.writer.checkpoint(passive); failed == nil {
			s.wal.left(min(left*pageSize, walFull-walPiece)) // if somebody reads, it is tried again
		}
		return nil
	})
	return cmp.Or(err, failed)
}

// checkpointBeside copies the log while commits go on.
func (s *Store) checkpointBeside() (left int64, err error) {
	s.files.RLock()
	defer s.files.RUnlock()
	if s.db == nil {
		return 0, s.Ready()
	}
	return s.db.checkpoints.checkpoint(passive)
}
