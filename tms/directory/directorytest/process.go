package directorytest

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// supervise runs a command, says its number on file descriptor 4, passes it the
// signals named on 3, and kills it when that ends.
const supervise = `"$@" 3<&- 4>&- & p=$!
echo $p >&4
while read -r signal <&3; do kill -"$signal" $p; done
kill -KILL $p 2>/dev/null
wait $p`

// sweep removes a folder when file descriptor 3 ends.
const sweep = `read -r _ <&3; rm -rf "$1"`

// process is a shell and what it supervises.
type process struct {
	shell *exec.Cmd
	pipe  io.WriteCloser // its file descriptor 3
	says  io.ReadCloser  // its file descriptor 4
	pid   int            // of what it supervises
}

func startProcess(t testing.TB, log string, command ...string) *process {
	t.Helper()
	output, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer output.Close()
	p := startShell(t, output, supervise, command...)
	if _, err := fmt.Fscanln(p.says, &p.pid); err != nil {
		t.Fatalf("starting %s: %v", command[0], err)
	}
	return p
}

// startShell starts a script that ends with this process at the latest.
func startShell(t testing.TB, output *os.File, script string, arguments ...string) *process {
	t.Helper()
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	says, mouth, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer mouth.Close()
	shell := exec.Command("/bin/sh", append([]string{"-c", script, "sh"}, arguments...)...)
	shell.ExtraFiles = []*os.File{reader, mouth}
	if output != nil {
		shell.Stdout, shell.Stderr = output, output
	}
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // ^C is for the test, which ends the pipe
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	return &process{shell: shell, pipe: writer, says: says}
}

func (p *process) signal(name string) { _, _ = io.WriteString(p.pipe, name+"\n") }

// stopped reports whether all threads of the process are stopped: each has to
// notice SIGSTOP by itself.
func (p *process) stopped() bool {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.pid))
	for _, thread := range threads {
		stat, _ := os.ReadFile(thread) // "number (name) state ..."
		if !strings.Contains(string(stat), ") T ") {
			return false
		}
	}
	return err == nil && len(threads) > 0
}

func (p *process) kill() {
	_ = p.pipe.Close()
	_ = p.shell.Wait()
	_ = p.says.Close()
}

// run runs a program to its end and demands that it succeeds.
func run(t testing.TB, stdin string, command ...string) string {
	t.Helper()
	program, err := exec.LookPath(command[0])
	if err != nil {
		t.Fatalf("%v: scripts/test installs it", err)
	}
	c := exec.Command(program, command[1:]...)
	c.Stdin = strings.NewReader(stdin)
	output, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, output)
	}
	return string(output)
}
