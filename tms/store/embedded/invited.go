package embedded

import (
	"sync"

	"countersign/otp"
	"countersign/tms/store/tables"
)

// invited knows who has an invitation, so that a login that asks waits for nothing.
type invited struct {
	mu    sync.RWMutex
	names map[string]struct{}
}

// load reads the names from the table.
func (v *invited) load(c *conn) error {
	names := map[string]struct{}{}
	err := c.Query("SELECT name FROM invitation", func(r tables.Row) error {
		names[r.Text(0)] = struct{}{}
		return nil
	})
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.names = names
	return nil
}

// set notes what has become durable.
func (v *invited) set(name otp.UserName, there bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if there {
		v.names[string(name)] = struct{}{}
	} else {
		delete(v.names, string(name))
	}
}

func (v *invited) has(name []byte) bool {
	v.mu.RLock()
	defer v.mu.RUnlock()
	_, there := v.names[string(name)]
	return there
}

// Invited implements tms.EnrolmentStore. It does not allocate.
func (s *Store) Invited(user []byte) bool { return s.invited.has(user) }
