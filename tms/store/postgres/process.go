package postgres

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// processID tells this process from all others, also from those of other machines and of
// other times: the boot of the machine, the room of its process numbers, the number, and
// when it started, in ticks since the boot (proc(5)). It is "" where /proc does not say.
func processID() string {
	room := processRoom()
	started, err := startOf(os.Getpid())
	if room == "" || err != nil {
		return ""
	}
	return room + " " + strconv.Itoa(os.Getpid()) + " " + started
}

// processRoom is where numbers of processes mean the same as here.
func processRoom() string {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	numbers, err := os.Readlink("/proc/self/ns/pid")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(boot)) + " " + numbers
}

// startOf is when a process started.
func startOf(number int) (string, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(number) + "/stat")
	if err != nil {
		return "", err
	}
	// The name of the program, in parentheses, may have spaces and parentheses in it.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const starttime = 22 - 3
	if len(fields) <= starttime {
		return "", errors.New("/proc has no instant")
	}
	return fields[starttime], nil
}

// ended reports whether it is certain that a process has ended: it was here, and is not
// any more.
func ended(process string) bool {
	rest, here := strings.CutPrefix(process, processRoom()+" ")
	number, started, _ := strings.Cut(rest, " ")
	n, err := strconv.Atoi(number)
	if !here || err != nil || n <= 0 || started == "" {
		return false
	}
	now, err := startOf(n)
	return errors.Is(err, fs.ErrNotExist) || err == nil && now != started
}
