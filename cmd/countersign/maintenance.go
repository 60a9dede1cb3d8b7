package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"countersign/otp/seal"
)

// keepAside writes keys to a new file beside path.
func keepAside(path string, now time.Time, keys []seal.KEK) error {
	name := path + ".before-" + now.UTC().Format("20060102T150405.000000Z")
	if _, err := os.Lstat(name); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("%s is there already", name), err)
	}
	return seal.WriteKeyFile(name, keys...)
}

// keeper is the tms.Keeper of the store and its key file.
type keeper struct {
	app   *app
	parts *parts
	mu    sync.Mutex // one backup or rotation at a time
}

// Backup makes a copy of the store in the data folder, where there is room for
// the store and the right to write, and hands it out. Its name is gone at once,
// so that nothing is left behind whatever happens. The key file is not in it.
func (k *keeper) Backup(ctx context.Context) (io.ReadCloser, int64, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	dataDir := k.parts.cfg.Load().DataDir
	if err := removeBackups(dataDir); err != nil { // of a process that was killed
		return nil, 0, err
	}
	folder, err := os.MkdirTemp(dataDir, backupFolder)
	if err != nil {
		return nil, 0, fmt.Errorf("making a folder for the backup: %w", err)
	}
	defer os.RemoveAll(folder)
	path := filepath.Join(folder, "countersign.db")
	if err := k.parts.store.Backup(ctx, path, nil); err != nil {
		return nil, 0, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}

// backupFolder is the pattern of the folders that backups are made in: a name
// that nobody gives to a backup of their own.
const backupFolder = ".countersign-backup-part-*"

func removeBackups(dataDir string) error {
	left, err := filepath.Glob(filepath.Join(dataDir, backupFolder))
	for _, folder := range left {
		err = errors.Join(err, os.RemoveAll(folder))
	}
	return err
}

// RotateKeys changes the key file and the store in an order that leaves both
// readable whenever it is broken off: the file first has the new and the old
// key, then the store moves to the new one, then the old one goes into a file of
// its own, because backups made until then need it.
func (k *keeper) RotateKeys(ctx context.Context, progress func(done, total int64)) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	path := k.parts.cfg.Load().KeyFile(credentials())
	old, err := seal.ReadKeyFile(path)
	if err != nil {
		return err
	}
	next, err := seal.NewKEK(k.app.rand)
	if err != nil {
		return err
	}
	if err := seal.WriteKeyFile(path, append([]seal.KEK{next}, old...)...); err != nil {
		if credentials() != "" {
			return errors.Join(err, errors.New("a key that systemd hands over cannot be rotated: copy it to a file, set store.key_file, rotate, and hand over the new one"))
		}
		return err
	}
	if err := k.parts.store.RotateKeys(ctx, next, progress); err != nil {
		also := ""
		if k.parts.cluster() != nil {
			also = "; other servers may not start again until they have this file"
		}
		return fmt.Errorf("rotating the keys in the store (nothing is lost, both keys stay in %s, try again%s): %w", path, also, err)
	}
	if err := keepAside(path, k.app.clock(), old); err != nil {
		return fmt.Errorf("keeping the old key aside (the rotation is done, both keys stay in %s): %w", path, err)
	}
	return seal.WriteKeyFile(path, next)
}
