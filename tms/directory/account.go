package directory

import (
	"errors"
	"sync"
	"time"
)

// A service account that servers refuse would be locked in the end by our trying.
// So it is tried maxRefusals times, on whatever servers, and then left alone for
// refusedPause: less often than any sensible lock-out counts.
const (
	maxRefusals  = 2
	refusedPause = 15 * time.Minute
)

var errSpared = errors.New("the account was refused and is not tried again for " + refusedPause.String() + ", lest it be locked")

// account is how the service account of a directory did lately.
type account struct {
	mu       sync.Mutex
	refusals int
	last     time.Time
}

// spare says why the account must not be tried now, or nil.
func (a *account) spare() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if time.Since(a.last) > refusedPause {
		a.refusals = 0
	}
	if a.refusals >= maxRefusals {
		return errSpared
	}
	return nil
}

// note takes down what came of a bind.
func (a *account) note(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case err == nil:
		a.refusals = 0
	case isRefused(err):
		a.refusals++
		a.last = time.Now()
	}
}
