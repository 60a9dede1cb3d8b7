package embedded

import (
	"fmt"
	"time"

	"countersign/tms/store"
)

// retryTime is how long the store waits between two attempts to recover.
const retryTime = time.Second

// Ready is nil while logins can be decided, else it says why not.
func (s *Store) Ready() error {
	if err := s.failure.Load(); err != nil {
		return *err
	}
	if s.closing.Load() {
		return errClosed
	}
	return nil
}

// broken reports whether an error means that what is on disk is not known.
func broken(err error) bool {
	code := resultCode(err)
	return code != 0 && code != resultConstraint
}

// fail takes the store out of service after an error of a commit: nobody knows
// what of it is on disk. Whoever waits gets the error, which is silence to a NAS,
// and nothing in memory is trusted any more. It returns the error that everybody
// gets until recover has read the store from disk again.
func (s *Store) fail(cause error, b *batch) error {
	err := fmt.Errorf("token store %q is out of service: %w", s.options.Path, cause)
	s.failure.Store(&err)
	s.committer.failures++
	s.options.Logger.Error("the token store failed: no login is decided until it works again", "path", s.options.Path, "error", cause)
	rest := s.queue.close()
	s.cache.clear()
	for _, b := range []*batch{b, rest} {
		if b != nil {
			s.answers <- answer{b, 0, err}
		}
	}
	return err
}

// recover opens the store again and again until that succeeds.
func (s *Store) recover(failure error) {
	retry := time.NewTicker(retryTime)
	defer retry.Stop()
	for said := ""; ; {
		select {
		case j := <-s.committer.jobs:
			j.done <- failure
			continue
		case <-s.committer.quit:
			return
		case <-retry.C:
		}
		err := s.reopen()
		if err == nil {
			break
		}
		if err.Error() != said {
			said = err.Error()
			s.options.Logger.Error("the token store is still out of service", "path", s.options.Path, "error", err)
		}
	}
	s.queue.open()
	s.failure.Store(nil)
	s.options.Logger.Info("the token store works again", "path", s.options.Path)
	signal(s.cold)
}

// reopen closes every connection and starts from what is on disk.
func (s *Store) reopen() error {
	s.files.Lock()
	defer s.files.Unlock()
	if s.db != nil {
		err := s.db.close()
		s.db = nil
		if err != nil {
			s.options.Logger.Warn("closing the failed token store", "error", err)
		}
	}
	db, err := openDatabase(s.options.Path)
	if err != nil {
		return err
	}
	s.db = db
	s.wal.left(0)
	if err := s.takeUp(); err != nil {
		return err
	}
	return s.probe()
}

// probe commits a batch without records, to see whether that is possible again.
func (s *Store) probe() error { return s.insert(store.BeginBatch(nil), 0) }
