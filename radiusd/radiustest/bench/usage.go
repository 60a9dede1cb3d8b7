package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// usage is what a database has used since its start.
type usage struct {
	at       time.Time
	primary  time.Duration // of CPU time
	standby  time.Duration // the same
	walBytes float64
	walSyncs float64
}

// usage looks at a database.
func (d *database) usage(ctx context.Context) (usage, error) {
	u := usage{at: time.Now()}
	var err error
	if u.primary, err = familyCPU("/proc", d.primary.cmd.Process.Pid); err != nil {
		return u, err
	}
	if d.standby != nil {
		if u.standby, err = familyCPU("/proc", d.standby.cmd.Process.Pid); err != nil {
			return u, err
		}
	}
	text, err := d.primary.query(ctx, admin, "SELECT pg_current_wal_insert_lsn() - '0/0' || ' ' || wal_sync FROM pg_stat_wal")
	if err != nil {
		return u, err
	}
	if _, err := fmt.Sscan(text, &u.walBytes, &u.walSyncs); err != nil {
		return u, fmt.Errorf("reading what PostgreSQL says of its log, %q: %w", text, err)
	}
	return u, nil
}

// share divides what was used between two looks by what was done meanwhile.
func (m *shared) share(from, to usage) {
	seconds := to.at.Sub(from.at).Seconds()
	done := seconds * m.Result.AcceptedPerSecond
	if done <= 0 {
		return
	}
	m.DatabaseCPU = time.Duration(float64(to.primary-from.primary) / done)
	m.StandbyCPU = time.Duration(float64(to.standby-from.standby) / done)
	m.WAL = (to.walBytes - from.walBytes) / done
	m.Commits = (to.walSyncs - from.walSyncs) / seconds
}

// tick is the unit of times in /proc/PID/stat, on all of Linux's architectures.
const tick = 10 * time.Millisecond

// familyCPU returns the CPU time of a process, of its children, and of those it had, from
// a folder like /proc (proc(5)).
func familyCPU(proc string, pid int) (time.Duration, error) {
	parent, err := readStat(proc, strconv.Itoa(pid))
	if err != nil {
		return 0, fmt.Errorf("reading the CPU time of process %d: %w", pid, err)
	}
	paths, err := filepath.Glob(filepath.Join(proc, "[0-9]*"))
	if err != nil {
		return 0, err
	}
	ticks := parent.own + parent.ofEnded
	for _, path := range paths {
		if p, err := readStat(proc, filepath.Base(path)); err == nil && p.parent == pid { // else it has ended
			ticks += p.own + p.ofEnded
		}
	}
	return time.Duration(ticks) * tick, nil
}

// stat is some of /proc/PID/stat; times are in ticks.
type stat struct {
	parent       int
	own, ofEnded int64 // CPU time, user and system
}

func readStat(proc, pid string) (stat, error) {
	var s stat
	text, err := os.ReadFile(filepath.Join(proc, pid, "stat"))
	if err != nil {
		return s, err
	}
	// The name of the program is in parentheses, and may have any byte in it.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return s, fmt.Errorf("%q has too few fields", text)
	}
	numbers := make([]int64, 15)
	for i := 1; i < len(numbers); i++ {
		if numbers[i], err = strconv.ParseInt(fields[i], 10, 64); err != nil {
			return s, err
		}
	}
	return stat{int(numbers[1]), numbers[11] + numbers[12], numbers[13] + numbers[14]}, nil
}
