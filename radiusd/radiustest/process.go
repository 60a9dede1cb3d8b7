package radiustest

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// ProcessCPU returns the CPU time, user and system, that a process and its
// threads have used. It reads the process's CPU clock, the sum behind the two
// fields of /proc/PID/stat, which are in whole ticks of 10 ms and too coarse
// for a burst of logins.
func ProcessCPU(pid int) (time.Duration, error) {
	const schedClock = 2 // CPUCLOCK_SCHED, clock_getcpuclockid(3)
	var t unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|schedClock), &t); err != nil {
		return 0, fmt.Errorf("reading the CPU clock of process %d: %w", pid, err)
	}
	return time.Duration(t.Nano()), nil
}

// threadCPU returns the CPU time of the calling thread.
func threadCPU() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

// Memory is what a process has of the machine's memory, in bytes.
type Memory struct {
	Resident int64 `json:"resident_bytes"` // now, VmRSS of /proc/PID/status
	Peak     int64 `json:"peak_bytes"`     // at most since its start, VmHWM
}

// ProcessMemory returns the memory of a process.
func ProcessMemory(pid int) (Memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("reading the memory of process %d: %w", pid, err)
	}
	return Memory{
		Resident: statusKiB(status, "VmRSS:") << 10,
		Peak:     statusKiB(status, "VmHWM:") << 10,
	}, nil
}

// statusKiB returns a field of /proc/PID/status that is in kB, 0 without it.
func statusKiB(status []byte, name string) int64 {
	for line := range bytes.Lines(status) {
		fields := bytes.Fields(line)
		if len(fields) == 3 && string(fields[0]) == name {
			n, _ := strconv.ParseInt(string(fields[1]), 10, 64)
			return n
		}
	}
	return 0
}
