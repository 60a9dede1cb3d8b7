package mailtest

import (
	_ "embed" // the program of the server
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// python is Debian's, which has the module.
const python = "/usr/bin/python3"

//go:embed sink.py
var program string

// Mode is how a Sink is spoken to.
type Mode string

// The modes.
const (
	Plain       Mode = "plain"    // in the clear, without a login
	StartTLS    Mode = "starttls" // STARTTLS and a login are required
	ImplicitTLS Mode = "tls"      // TLS from the start, and a login
)

// Sink is a mail server that keeps what it takes.
type Sink struct {
	Addr     string // host:port
	CAFile   string // PEM, of the authority that issued its certificate
	User     string
	Password string

	t       testing.TB
	mode    Mode
	dir     string
	port    string // "0" before the first start
	command *exec.Cmd
	pipe    io.Closer // its standard input
}

// StartSink starts a Sink, which lives until the test ends.
func StartSink(t testing.TB, mode Mode) *Sink {
	t.Helper()
	s := &Sink{User: "mailer", Password: "mail-Passw0rd", t: t, mode: mode, dir: t.TempDir(), port: "0"}
	s.CAFile = filepath.Join(s.dir, "ca.pem")
	writeCertificates(t, s.dir)
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Restart starts the server again, after its end if need be, on the same port.
func (s *Sink) Restart() {
	s.t.Helper()
	s.Kill()
	log, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close()
	command := exec.Command(python, "-c", program, s.port, string(s.mode), s.dir)
	command.Stderr = log
	output, err := command.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if s.pipe, err = command.StdinPipe(); err != nil {
		s.t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		s.t.Fatalf("%v: scripts/test installs it", err)
	}
	s.command = command
	if _, err := fmt.Fscanln(output, &s.port); err != nil {
		s.t.Fatalf("aiosmtpd did not start: %v (scripts/test installs python3-aiosmtpd)\n%s", err, s.Log())
	}
	s.Addr = "127.0.0.1:" + s.port
}

// Kill ends the server at once, as a crash of its machine would.
func (s *Sink) Kill() {
	if s.command == nil {
		return
	}
	_ = s.command.Process.Kill()
	_ = s.pipe.Close()
	_ = s.command.Wait()
	s.command = nil
}

// Log is what the server has printed so far.
func (s *Sink) Log() string {
	content, _ := os.ReadFile(s.logFile())
	return string(content)
}

func (s *Sink) logFile() string { return filepath.Join(s.dir, "log") }
