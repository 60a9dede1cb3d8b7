package embedded

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/otp/seal"
)

// Options say where a store is and what it works with.
type Options struct {
	Path string // of the file; others beside it have longer names
	// KEKs open the keyring in the file; a new file's is sealed under the first.
	KEKs []seal.KEK
	Rand io.Reader // safe for concurrent use
	// Clock is asked by Restore, and for checkpoints and metrics: everything
	// else has its instant with it. It is time.Now if nil.
	Clock  func() time.Time
	Logger *slog.Logger
	// Registerer takes the metrics; it may be nil.
	Registerer prometheus.Registerer
	// CacheUsers is how many accounts are kept in memory, about 200 bytes each.
	// 0 means a million.
	CacheUsers int
	// MaxFailures is otp.Policy.MaxFailures as it is now, for metrics. It is that of
	// otp.DefaultPolicy if nil.
	MaxFailures func() int

	history historyOptions
	disk    diskOptions
}

func (o *Options) fill() {
	if o.CacheUsers <= 0 {
		o.CacheUsers = defaultCacheUsers
	}
	o.disk.fill()
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.MaxFailures == nil {
		o.MaxFailures = func() int { return otp.DefaultPolicy().MaxFailures }
	}
}

const defaultCacheUsers = 1_000_000

// ErrLocked says that another process has the store open.
var ErrLocked = errors.New("another process has it open")

// errClosed is what acts on a closed store get.
var errClosed = errors.New("the token store is closed")

// lockFile takes the lock that makes this process the only writer of a store. It
// is a file of its own, because SQLite's locks on the database are for every
// program that reads it. The kernel lets go of the lock when the process ends.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("locking %q: %w", f.Name(), ErrLocked)
	} else if err != nil {
		err = fmt.Errorf("locking %q: %w", f.Name(), err)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
