package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// failures counts wrong Application PINs in a row. It is in a file beside the store,
// because that cannot be written without the PIN.
type failures struct {
	Count int       `json:"count"`
	Last  time.Time `json:"last"`
}

// longestWait is what the waiting grows to.
const longestWait = 5 * time.Minute

// wait is how long must have passed since the last wrong PIN: a second after the
// first one, and twice as long after each other.
func (f *failures) wait() time.Duration {
	if f.Count == 0 {
		return 0
	}
	return min(time.Second<<min(f.Count-1, 20), longestWait)
}

// remaining is how much of wait is left. A clock that was set back makes it no
// longer than wait.
func (f *failures) remaining(now time.Time) time.Duration {
	return max(f.wait()-max(now.Sub(f.Last), 0), 0)
}

// counted does one try of the Application PIN, when its time has come. It counts as a
// wrong one until it has turned out to be right, so that ending us does not save a
// guess. The store must be locked.
func (a *app) counted(ctx context.Context, store string, try func() error) error {
	file := store + ".failures"
	f, err := readFailures(file)
	if err != nil {
		return err
	}
	if d := f.remaining(a.clock()); d > 0 {
		a.tell("Wrong Application PINs so far: %d. Waiting for %s.", f.Count, d.Round(time.Second))
		if err := a.sleep(ctx, d); err != nil {
			return err
		}
	}
	f.Count, f.Last = f.Count+1, a.clock()
	content, err := json.Marshal(f)
	if err == nil {
		err = writeWhole(file, content)
	}
	if err != nil {
		return fmt.Errorf("counting wrong Application PINs: %w", err)
	}
	err = try()
	if errors.Is(err, errWrongPIN) {
		return fmt.Errorf("%w; the next try has to wait for %s", err, f.wait())
	}
	if err != nil {
		return err
	}
	if err := os.Remove(file); err != nil {
		return fmt.Errorf("counting wrong Application PINs: %w", err)
	}
	return nil
}

// readFailures reads the count. A file that cannot be understood counts as none:
// who can write it can delete it.
func readFailures(file string) (failures, error) {
	var f failures
	content, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("counting wrong Application PINs: %w", err)
	}
	if json.Unmarshal(content, &f) != nil || f.Count < 0 {
		return failures{}, nil
	}
	return f, nil
}
