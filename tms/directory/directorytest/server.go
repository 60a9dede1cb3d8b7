package directorytest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a server may take to start.
const patience = 30 * time.Second

// Server is a directory that runs on loopback, and how to ask it.
type Server struct {
	URL          string // ldap://127.x.y.z..., StartTLS is offered
	TLSURL       string // ldaps://127.x.y.z...
	Host         string // the address
	CAFile       string // of the Authority that issued its certificate
	BaseDN       string
	BindDN       string // of a service account that may read everything but passwords
	BindPassword string

	t       testing.TB
	dir     string   // its files
	listens []string // host:port of every port it must listen on
	command []string
	process *process
}

// started counts the addresses given out.
var started atomic.Uint32

// ownAddress is an address of loopback that nobody else uses.
func ownAddress(t testing.TB, port string) string {
	t.Helper()
	for range 100 {
		high, pid := 64+started.Add(1)%128, os.Getpid()
		address := fmt.Sprintf("127.%d.%d.%d", high, pid>>8&0xff, pid&0xff)
		l, err := net.Listen("tcp", net.JoinHostPort(address, port))
		if err == nil {
			_ = l.Close()
			return address
		}
		if os.IsPermission(err) {
			t.Fatalf("listening on %s:%s: %v (run as root)", address, port, err)
		}
	}
	t.Fatal("no address of loopback is free")
	return ""
}

// Restart starts the server again, after its end if need be, with the data it had.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	s.process = startProcess(s.t, s.logFile(), s.command...)
	deadline := time.Now().Add(patience)
	for _, address := range s.listens {
		for {
			c, err := net.DialTimeout("tcp", address, time.Second)
			if err == nil {
				_ = c.Close()
				break
			}
			if time.Now().After(deadline) {
				s.t.Fatalf("%s did not start listening on %s: %v\n%s", s.command[0], address, err, s.Log())
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// Kill ends the server at once, as a crash of its machine would.
func (s *Server) Kill() {
	if s.process != nil {
		s.process.kill()
		s.process = nil
	}
}

// Freeze stops the server from doing anything: connections to it hang.
func (s *Server) Freeze() {
	s.t.Helper()
	s.process.signal("STOP")
	for deadline := time.Now().Add(patience); !s.process.stopped(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("%s did not stop", s.command[0])
		}
	}
}

// Thaw ends Freeze.
func (s *Server) Thaw() { s.process.signal("CONT") }

// Log is what the server has printed so far.
func (s *Server) Log() string {
	content, _ := os.ReadFile(s.logFile())
	return string(content)
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "log") }
