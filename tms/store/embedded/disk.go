package embedded

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// disk keeps a reserve of room on the disk for logins, which need little of it. What the
// history takes is several times what it is made of, and can wait; what NASes report they
// keep and repeat.
type disk struct {
	free, reserve atomic.Uint64 // bytes
	room          atomic.Int32
	said          string // what could not be found out
}

// room is how much there is on a disk.
type room int32

const (
	enough  room = iota
	low          // less than the reserve: the history waits
	veryLow      // less than half of it: accounting records are not taken
)

const (
	// diskLook is how long it is from one look at the disk to the next.
	diskLook = 2 * time.Second
	// diskReserve and diskShare are the reserve: so many bytes, or one part of so many of
	// the disk if that is less.
	diskReserve = 256 << 20
	diskShare   = 20
)

// errDiskLow is what the history gets instead of room.
var errDiskLow = errors.New("the disk is nearly full")

// diskOptions are for tests; zero values are the usual.
type diskOptions struct {
	look  func(folder string) (free, size uint64, err error)
	pause time.Duration
}

func (o *diskOptions) fill() {
	if o.look == nil {
		o.look = statDisk
	}
	if o.pause <= 0 {
		o.pause = diskLook
	}
}

// statDisk is how many bytes of a folder's disk we may use, and how many it has.
func statDisk(folder string) (free, size uint64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(folder, &s); err != nil {
		return 0, 0, err
	}
	return s.Bavail * uint64(s.Frsize), s.Blocks * uint64(s.Frsize), nil
}

func reserveOf(size uint64) uint64 { return min(diskReserve, size/diskShare) }

// roomOf judges a disk. What has begun to wait goes on only when there is a quarter more,
// or it would soon wait again.
func roomOf(before room, free, size uint64) room {
	reserve := reserveOf(size)
	below := func(bound uint64, waits bool) bool { return free < bound || waits && free < bound+bound/4 }
	switch {
	case below(reserve/2, before == veryLow):
		return veryLow
	case below(reserve, before != enough):
		return low
	}
	return enough
}

// diskLoop looks at the disk now and then.
func (s *Store) diskLoop(ctx context.Context) {
	tick := time.NewTicker(s.options.disk.pause)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.lookAtDisk()
		case <-ctx.Done():
			return
		}
	}
}

// lookAtDisk looks at the disk once, and tells when there is more or less room than before.
func (s *Store) lookAtDisk() {
	d, path := &s.disk, s.options.Path
	free, size, err := s.options.disk.look(filepath.Dir(path))
	if err != nil {
		if d.said != err.Error() {
			d.said = err.Error()
			s.options.Logger.Warn("how much room there is on the disk is not known", "path", path, "error", err)
		}
		return
	}
	d.free.Store(free)
	d.reserve.Store(reserveOf(size))
	before := room(d.room.Load())
	now := roomOf(before, free, size)
	d.room.Store(int32(now))
	if now == before {
		return
	}
	l := s.options.Logger.With("path", path, "free_bytes", free)
	switch {
	case now == veryLow:
		l.Error("the disk is nearly full: accounting records are not taken any more, so that logins go on; NASes keep and repeat them")
	case now == low && before == enough:
		l.Error("the disk is nearly full: sessions and the index of the journal wait for room, so that logins go on")
	case now == low:
		l.Info("there is a little room on the disk again: accounting records are taken, sessions still wait")
	default:
		l.Info("there is room on the disk again: all goes on")
		signal(s.history.again)
		signal(s.history.due)
		signal(s.appended)
	}
}

// refuses reports whether a disk has less room than something needs.
func (d *disk) refuses(at room) bool { return room(d.room.Load()) >= at }
