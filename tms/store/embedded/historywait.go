package embedded

import (
	"context"
	"fmt"
)

// historyWaits reports whether nothing can be written to the history for now.
func (s *Store) historyWaits() bool {
	h := &s.history
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fault != nil || s.disk.refuses(low)
}

// awaitHistory is for Take: after it has failed because of the history, the next waits until
// that may work. So sessions go on at once then, however long it has lasted.
func (s *Store) awaitHistory(ctx context.Context) error {
	h := &s.history
	for h.waiting.Load() && s.historyWaits() {
		select {
		case <-h.again:
		case <-ctx.Done():
			return ctx.Err()
		case <-s.committer.quit:
			return errClosed
		}
	}
	h.waiting.Store(false)
	return nil
}

// probeSize is how many bytes of room there have to be for the history to go on.
const probeSize = 1 << 18

// tryHistory finds out whether a history that had no room works again. Nobody else may: who
// takes sessions waits.
func (s *Store) tryHistory(context.Context) error {
	if !s.historyWaits() {
		return nil
	}
	for _, sql := range []string{
		fmt.Sprintf("INSERT OR REPLACE INTO meta (name, value) VALUES ('room', zeroblob(%d))", probeSize),
		"DELETE FROM meta WHERE name = 'room'",
	} {
		if err := s.writeHistory(func(w *conn) error { return w.Exec(sql) }); err != nil {
			return fmt.Errorf("trying whether there is room for the history: %w", err)
		}
	}
	return nil
}

// noteGap records what a history knew and the store does not.
func (s *Store) noteGap(ctx context.Context) error {
	h := &s.history
	if h.gap == nil {
		return nil
	}
	err := s.Record(ctx, *h.gap)
	if err == nil {
		h.gap = nil
	}
	return err
}

// Appended implements accounting.Store.
func (s *Store) Appended() <-chan struct{} { return s.appended }
