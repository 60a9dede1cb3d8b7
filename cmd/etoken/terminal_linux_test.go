package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminalOf is a terminal in which a program runs.
type terminalOf struct {
	*testing.T
	screen *os.File // what is typed and shown
	slave  *os.File
	shown  string
	c      *exec.Cmd
}

// runInTerminal starts etoken in a terminal.
func runInTerminal(t *testing.T, store string, args ...string) *terminalOf {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(screen.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), "etoken", append(args, "--store", store)...)
	c.Stdin, c.Stdout, c.Stderr = slave, slave, slave
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close(); _ = screen.Close() })
	return &terminalOf{T: t, screen: screen, slave: slave, c: c}
}

func (o *terminalOf) echo() bool {
	o.Helper()
	state, err := unix.IoctlGetTermios(int(o.slave.Fd()), unix.TCGETS)
	if err != nil {
		o.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}

// until reads what is shown until it has a text.
func (o *terminalOf) until(text string) {
	o.Helper()
	b := make([]byte, 1024)
	for !strings.Contains(o.shown, text) {
		n, err := o.screen.Read(b)
		if err != nil {
			o.Fatalf("%q does not come (%v); this did: %q", text, err, o.shown)
		}
		o.shown += string(b[:n])
	}
}

// answer types a line when a prompt is there; hidden, when the terminal shows nothing
// that is typed.
func (o *terminalOf) answer(prompt, line string, hidden bool) {
	o.Helper()
	o.until(prompt)
	_, o.shown, _ = strings.Cut(o.shown, prompt)
	for hidden && o.echo() {
		time.Sleep(time.Millisecond) // the program is about to
	}
	if _, err := io.WriteString(o.screen, line); err != nil {
		o.Fatal(err)
	}
}

// status is the exit status in the end.
func (o *terminalOf) status() int {
	o.Helper()
	err := o.c.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		o.Fatal(err)
	}
	return o.c.ProcessState.ExitCode()
}

// TestTerminal: new PINs are asked for twice, and nothing secret is shown.
func TestTerminal(t *testing.T) {
	store := filepath.Join(t.TempDir(), "tokens")
	o := runInTerminal(t, store, "import", "--name", "work")
	o.answer("otpauth:// URI: ", rfcHOTP+"\n", true)
	o.answer("New Application PIN (at least 6 characters): ", "short\n", true)
	o.answer("That is too short.", "", false)
	o.answer("New Application PIN (at least 6 characters): ", "correct horse\n", true)
	o.answer("The same Application PIN again: ", "correct house\n", true)
	o.answer("These were two different ones.", "", false)
	o.answer("New Application PIN (at least 6 characters): ", "correct horse\n", true)
	o.answer("The same Application PIN again: ", "correct horse\n", true)
	o.until("is saved.")
	if o.status() != 0 || strings.Contains(o.shown, "correct") || strings.Contains(o.shown, "GEZDG") {
		t.Errorf("%q", o.shown)
	}
	o = runInTerminal(t, store, "generate")
	o.answer("Application PIN: ", "correct horse\n", true)
	o.until("\r\n\r\n    755224\r\n\r\n")
	if o.status() != 0 {
		t.Error("it failed")
	}
	o = runInTerminal(t, store, "remove", "work")
	o.answer("Application PIN: ", "correct horse\n", true)
	o.answer("the server is not told. Type yes to go on: ", "yes\n", false)
	o.until("is removed.")
	if o.status() != 0 {
		t.Error("it failed")
	}
}

// TestWeakPINOnATerminal: a user whose OTP PIN the server refuses chooses another at
// once.
func TestWeakPINOnATerminal(t *testing.T) {
	s := newSite(t, time.Now)
	key := s.invite("alice", "totp")
	o := runInTerminal(t, filepath.Join(t.TempDir(), "tokens"), s.args()...)
	o.answer("Activation Key: ", key+"\n", true)
	o.answer("New OTP PIN (at least 4 characters): ", "1234\n", true)
	o.answer("The same OTP PIN again: ", "1234\n", true)
	o.answer("New Application PIN (at least 6 characters): ", pin+"\n", true)
	o.answer("The same Application PIN again: ", pin+"\n", true)
	o.answer("the server says: ", "", false)
	o.answer("New OTP PIN (at least 4 characters): ", "8152\n", true)
	o.answer("The same OTP PIN again: ", "8152\n", true)
	o.until("is active.")
	if o.status() != 0 || len(s.tokens("alice")) != 1 {
		t.Errorf("%q", o.shown)
	}
}

// TestInterrupt: the terminal shows again what is typed when the program is
// interrupted as it asks.
func TestInterrupt(t *testing.T) {
	store := filepath.Join(t.TempDir(), "tokens")
	o := runInTerminal(t, store, "import")
	o.answer("otpauth:// URI: ", "otp\x03", true)
	if status := o.status(); status != 130 || !o.echo() {
		t.Errorf("status %d, echo %v", status, o.echo())
	}
}
