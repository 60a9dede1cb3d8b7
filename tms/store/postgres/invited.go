package postgres

import (
	"context"
	"sync"

	"countersign/otp"
	"countersign/tms/store/tables"
)

// invited knows who has an invitation, so that a login that asks waits for nothing. What
// another node changes it knows at the next tick.
type invited struct {
	mu    sync.RWMutex
	names map[string]struct{}
}

// invitedPage is how many names are read at once.
const invitedPage = 5000

// load reads the names from the table.
func (v *invited) load(c tables.Conn) error {
	names, last := map[string]struct{}{}, ""
	for more := true; more; {
		count := 0
		err := c.Query("SELECT name FROM invitation WHERE name > ? ORDER BY name LIMIT ?", func(r tables.Row) error {
			last = r.Text(0)
			names[last] = struct{}{}
			count++
			return nil
		}, last, int64(invitedPage))
		if err != nil {
			return err
		}
		more = count == invitedPage
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.names = names
	return nil
}

// change notes what has become durable.
func (v *invited) change(names map[otp.UserName]bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for name, there := range names {
		if there {
			v.names[string(name)] = struct{}{}
		} else {
			delete(v.names, string(name))
		}
	}
}

// Invited implements tms.EnrolmentStore. It does not allocate.
func (s *Store) Invited(user []byte) bool {
	s.invited.mu.RLock()
	defer s.invited.mu.RUnlock()
	_, there := s.invited.names[string(user)]
	return there
}

// readInvited takes over what another node has changed. Acts of this one wait, so that what
// was read before does not undo them.
func (s *Store) readInvited(ctx context.Context) error {
	select {
	case s.acting <- struct{}{}:
	case <-ctx.Done():
		return nil
	}
	defer func() { <-s.acting }()
	err := s.withConn(ctx, func(c *conn) error { return s.invited.load(c) })
	if err != nil && !outage(err) && ctx.Err() == nil {
		s.options.Logger.Warn("who is invited was not read, and is as it was: this is tried again", "error", err)
	}
	return err
}
