package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"countersign/tms/store/tables"
)

// progressTime is how often a backup tells how far it is.
const progressTime = 200 * time.Millisecond

// Backup writes a consistent copy of the store to a new file while logins go on.
// It refuses a file that exists. Progress, in bytes, may be nil; the total is an
// estimate. The keyring in the copy opens with the key-encryption key of now.
func (s *Store) Backup(ctx context.Context, file string, progress func(done, total int64)) error {
	if err := s.backup(ctx, file, progress); err != nil {
		return fmt.Errorf("backing up token store %q to %q: %w", s.options.Path, file, err)
	}
	return nil
}

func (s *Store) backup(ctx context.Context, file string, progress func(done, total int64)) error {
	if err := s.Ready(); err != nil {
		return err
	}
	if err := refuseExisting(file); err != nil {
		return err
	}
	temporary, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*.part") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	if err := temporary.Close(); err != nil {
		return err
	}
	if err := s.copyTo(ctx, temporary.Name(), progress); err != nil {
		return err
	}
	if err := syncFile(temporary.Name()); err != nil {
		return err
	}
	if err := refuseExisting(file); err != nil {
		return err
	}
	return errors.Join(os.Rename(temporary.Name(), file), syncDirectory(filepath.Dir(file)))
}

func refuseExisting(file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(errors.New("the file exists already: name another, or remove it"), err)
	}
	return nil
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// copyTo copies the store into an empty file, on a connection of its own.
func (s *Store) copyTo(ctx context.Context, file string, progress func(done, total int64)) error {
	c, err := openConn(s.options.Path, busyTimeout)
	if err != nil {
		return err
	}
	defer c.close()
	done := make(chan error, 1)
	go func() { done <- c.scriptContext(ctx, "VACUUM INTO "+quote(file)) }()
	tick := time.NewTicker(progressTime)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			if progress != nil {
				size := fileSize(file)
				progress(size, max(size, fileSize(s.options.Path)))
			}
		}
	}
}

// quote makes a string literal of SQL.
func quote(text string) string {
	quoted := []byte{'\''}
	for _, b := range []byte(text) {
		if b == '\'' {
			quoted = append(quoted, b)
		}
		quoted = append(quoted, b)
	}
	return string(append(quoted, '\''))
}

// Check reads the whole store: that SQLite finds its structure sound, that everything
// sealed opens, that every rule parses, and that the chain of the journal is whole. The
// error names the first fault.
func (s *Store) Check(ctx context.Context) error {
	if err := s.check(ctx); err != nil {
		return fmt.Errorf("checking token store %q: %w", s.options.Path, err)
	}
	return nil
}

func (s *Store) check(ctx context.Context) error {
	if err := s.Ready(); err != nil {
		return err
	}
	c, err := openConn(s.options.Path, readerPragmas...)
	if err != nil {
		return err
	}
	err = c.Query("PRAGMA quick_check(1)", func(r tables.Row) error {
		if found := r.Text(0); found != "ok" {
			return fmt.Errorf("the file is damaged (%s): restore a backup", found)
		}
		return nil
	})
	if err = errors.Join(err, c.close()); err != nil {
		return err
	}
	return s.CheckRows(ctx)
}
