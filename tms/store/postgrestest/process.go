package postgrestest

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// account is the system's user that PostgreSQL runs as when the test is root.
const account = "postgres"

// command is one of PostgreSQL's programs with arguments. It is told the password by a
// file, so that no list of processes shows it.
func (s *Server) command(program string, arguments ...string) *exec.Cmd {
	return s.underneath(nil, program, arguments)
}

// underneath is command with options of setpriv.
func (s *Server) underneath(privileges []string, program string, arguments []string) *exec.Cmd {
	words := append([]string(nil), s.options.Prefix...)
	if os.Geteuid() == 0 {
		words = append(words, "setpriv", "--reuid="+account, "--regid="+account, "--clear-groups")
		words = append(words, privileges...)
	} else if len(privileges) > 0 {
		words = append(append(words, "setpriv"), privileges...)
	}
	words = append(append(words, filepath.Join(s.programs, program)), arguments...)
	c := exec.Command(words[0], words[1:]...)
	c.Dir = s.folder
	c.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "PGPASSFILE=" + s.passFile(), "PGCONNECT_TIMEOUT=5"}
	return c
}

// run runs a command to its end. What it complains about is the error.
func run(c *exec.Cmd) (string, error) {
	var out, complaints bytes.Buffer
	c.Stdout, c.Stderr = &out, &complaints
	if err := c.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", filepath.Base(c.Args[0]), err, bytes.TrimSpace(complaints.Bytes()))
	}
	return out.String(), nil
}

// own gives a file to who PostgreSQL runs as.
func (s *Server) own(path string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := user.Lookup(account)
	if err != nil {
		return fmt.Errorf("PostgreSQL does not run as root, and there is no user to run it as (scripts/test installs package postgresql-15): %w", err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	return os.Chown(path, uid, gid)
}

// process is a server that runs.
type process struct {
	pid  int
	done chan struct{} // closed when it has ended
}

// start starts the server and waits until it takes connections.
func (s *Server) start() error {
	_ = os.Remove(s.pidFile()) // a killed server leaves it
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	// Should the test's process be killed, the kernel ends the server too.
	c := s.underneath([]string{"--pdeathsig", "QUIT"}, "postgres", []string{"-D", s.data()})
	c.Stdout, c.Stderr = log, log
	p := &process{done: make(chan struct{})}
	started := make(chan error)
	go func() {
		// "The test's process" means this thread of it, so it has to live as long.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := c.Start()
		if err == nil {
			p.pid = c.Process.Pid
		}
		started <- err
		if err == nil {
			_ = c.Wait()
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	s.process = p
	return s.await()
}

// await waits until the server says in its file that it takes connections.
func (s *Server) await() error {
	for range 2000 {
		b, err := os.ReadFile(s.pidFile())
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		lines := strings.Split(string(b), "\n")
		if len(lines) > 7 {
			if state := strings.TrimSpace(lines[7]); state == "ready" || state == "standby" {
				return nil
			}
		}
		select {
		case <-s.process.done:
			s.process = nil
			return fmt.Errorf("PostgreSQL has ended at once: %s", s.logTail())
		case <-time.After(5 * time.Millisecond):
		}
	}
	return fmt.Errorf("PostgreSQL is not ready after ten seconds: %s", s.logTail())
}

func (s *Server) pidFile() string { return filepath.Join(s.data(), "postmaster.pid") }

// logTail is the end of what the server has logged.
func (s *Server) logTail() string {
	b, _ := os.ReadFile(s.logFile())
	return string(b[max(0, len(b)-2000):])
}

// Log is all that the server has logged.
func (s *Server) Log() string {
	b, _ := os.ReadFile(s.logFile())
	return string(b)
}

// Kill ends the server and all it has started at once, as when its machine dies.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	s.signal(syscall.SIGSTOP) // so that none starts another
	left := children(s.process.pid)
	s.signal(syscall.SIGKILL)
	<-s.process.done
	for _, pid := range left {
		awaitEnd(pid)
	}
	s.process = nil
	s.forgetMemory()
}

// Freeze stops the server without ending it, so that connections hang; Thaw has it go on.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw has a server go on that was frozen.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal sends a signal to the server and its children, the server first, but last when
// that ends it: it would start children anew.
func (s *Server) signal(sig syscall.Signal) {
	if s.process == nil {
		return
	}
	if sig != syscall.SIGKILL {
		_ = syscall.Kill(s.process.pid, sig)
	}
	for _, child := range children(s.process.pid) {
		_ = syscall.Kill(child, sig)
	}
	if sig == syscall.SIGKILL {
		_ = syscall.Kill(s.process.pid, sig)
	}
}

// children are the processes that a process has started.
func children(pid int) (pids []int) {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	for _, word := range strings.Fields(string(b)) {
		if child, err := strconv.Atoi(word); err == nil {
			pids = append(pids, child)
		}
	}
	return pids
}

// awaitEnd waits until a process that was killed is gone: a busy machine takes its time.
func awaitEnd(pid int) {
	for range 1000 {
		if b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); err != nil || len(b) == 0 {
			return // or nobody has asked for its status yet
		}
		time.Sleep(time.Millisecond)
	}
}

// forgetMemory removes the few bytes of shared memory that a killed server leaves. The
// second number in the seventh line of its file is their id.
func (s *Server) forgetMemory() {
	b, _ := os.ReadFile(s.pidFile())
	lines := strings.Split(string(b), "\n")
	if len(lines) < 7 {
		return
	}
	if words := strings.Fields(lines[6]); len(words) == 2 {
		if id, err := strconv.Atoi(words[1]); err == nil {
			_, _, _ = syscall.Syscall(syscall.SYS_SHMCTL, uintptr(id), 0 /* IPC_RMID */, 0)
		}
	}
}

// Stop ends the server as an administrator does: clients are cut off, everything is kept.
func (s *Server) Stop() {
	if s.process == nil {
		return
	}
	s.Thaw()
	_ = syscall.Kill(s.process.pid, syscall.SIGINT)
	select {
	case <-s.process.done:
		s.process = nil
	case <-time.After(10 * time.Second): // a standby that is frozen is waited for
		s.Kill()
	}
}

// Restart starts the server again, after a Stop or Kill, or stops it first.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Stop()
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
}

// remove ends the server and removes what is left of it.
func (s *Server) remove() {
	s.Kill()
	_ = os.RemoveAll(s.folder)
	if s.living != nil {
		_ = s.living.Close()
	}
}
