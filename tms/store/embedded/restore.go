package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"countersign/otp"
	"countersign/tms/store/tables"
)

// Restore puts a backup in the place of the store at to, which no process may
// have open. What is there is kept aside, under its name with the time and
// "before-restore" added, and never deleted.
//
// A backup turns counters back. So that no code used since then passes again,
// every event token must show two consecutive codes before it is accepted again,
// and of clock tokens every code is refused that may have been accepted before
// this instant: those up to where the token's clock was at the time of the
// backup, the login window, and one step more for what it has drifted since.
//
// The same is done to the clock tokens of invitations. Those to event tokens end: it
// takes one code to activate a token, and which of its codes were used is not known. A
// backup also brings back links that were used and mails that were sent: so every link
// is void, and no mail waits any more. An invitation can still be taken up with its
// Activation Key, or by PIN and first code; and a reminder, which has another link, is
// still to come, unless a link was opened or none was wanted. Dialogs and web sessions
// that were open are over, because there is another BoxKey.
//
// The work is done on a copy beside to. Only the last step, a rename, makes it the
// store: broken off before, nothing has happened, or Open says what to do.
func Restore(ctx context.Context, from, to string, o Options, policy otp.Policy) error {
	if err := restore(ctx, from, to, o, policy); err != nil {
		return fmt.Errorf("restoring token store %q from %q: %w", to, from, err)
	}
	return nil
}

// Names beside a store while it is being restored.
const (
	preparedName  = ".restore-part" // the copy that is being prepared
	restoringName = ".restoring"    // the same, ready, while the old files are moved
)

// refuseRestoring keeps a store from being opened, or an empty one from being
// made, between the last steps of Restore.
func refuseRestoring(path string) error {
	if _, err := os.Lstat(path + restoringName); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("restoring a backup was broken off: restore it again (or rename %q to %q)", path+restoringName, path), err)
	}
	return nil
}

func restore(ctx context.Context, from, to string, o Options, policy otp.Policy) error {
	lock, err := lockFile(to)
	if err != nil {
		return err
	}
	defer lock.Close()
	prepared := to + preparedName
	if err := errors.Join(removeStore(prepared), copyFile(from, prepared)); err != nil {
		return err
	}
	defer removeStore(prepared)
	if err := prepare(ctx, prepared, from, o, policy); err != nil {
		return err
	}
	return replace(prepared, to, o)
}

// prepare checks a copy of a backup and moves its tokens on.
func prepare(ctx context.Context, path, from string, o Options, policy otp.Policy) (err error) {
	o.Path, o.Registerer, o.CacheUsers, o.history.off = path, nil, 1, true
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.Close())
		if err == nil && fileSize(path+"-wal") > 0 { // SQLite does not say so when it closes
			err = errors.New("the file could not be finished: is the disk full?")
		}
	}()
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := s.fold(ctx); err != nil { // or the table would not have the latest states
		return err
	}
	if err := s.AfterRestore(ctx, filepath.Base(from), policy); err != nil {
		return err
	}
	return s.do(ctx, func() error { // the history does not know the store any more
		err := s.db.writer.Exec("DELETE FROM meta WHERE name = ?", tables.MetaStore)
		if err == nil {
			_, err = s.db.writer.checkpoint(truncate)
		}
		return err
	})
}

// replace moves the old files aside and the prepared one to their place.
func replace(prepared, to string, o Options) error {
	folder := filepath.Dir(to)
	aside := to + ".before-restore-" + o.Clock().UTC().Format("20060102T150405.000Z")
	if err := refuseExisting(aside); err != nil {
		return err
	}
	if err := errors.Join(syncFile(prepared), os.Rename(prepared, to+restoringName), syncDirectory(folder)); err != nil {
		return err
	}
	for _, end := range []string{"-wal", ""} { // the log first: it must never stand beside another file
		if err := os.Rename(to+end, aside+end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	err := errors.Join(removeIfThere(to+"-shm"), syncDirectory(folder), os.Rename(to+restoringName, to), syncDirectory(folder))
	if err == nil {
		o.Logger.Info("the store that was there is kept aside", "file", aside)
	}
	return err
}

// copyFile copies a backup. One with a log beside it is not a backup but a live
// store, and would lack what is in the log.
func copyFile(from, to string) (err error) {
	if fileSize(from+"-wal") > 0 {
		return fmt.Errorf("%q is a store in use, for there is a log beside it: restore from what backup made", from)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// removeStore removes a store that is only being prepared.
func removeStore(path string) error {
	var errs []error
	for _, end := range []string{"", "-wal", "-shm", ".lock"} {
		errs = append(errs, removeIfThere(path+end))
	}
	return errors.Join(errs...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
