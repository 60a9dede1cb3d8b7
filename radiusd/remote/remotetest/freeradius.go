package remotetest

import (
	"bytes"
	"encoding/base32"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/radiustest"
)

// Secret is the shared secret of every FreeRADIUS.
const Secret = "behind-our-server"

// User is a user of FreeRADIUS. Who has a seed types the PIN, of four characters, and a
// code: one of a time step of 30 s, 6 digits, SHA-1, that of the step before does too. Who
// has a Password and no seed logs in with that, by any method.
type User struct {
	Name, PIN string
	Seed      []byte
	Password  string
	// Asked: the Password is the first step of a dialog only, and the second is the word
	// Second.
	Asked, Second string
}

// FreeRADIUS is a running server.
type FreeRADIUS struct {
	Addr    netip.AddrPort // of 127.0.0.1
	t       testing.TB
	dir     string
	process *exec.Cmd
	ended   chan struct{} // closed when the process has
}

// StartFreeRADIUS starts a server on a free port. It ends with the test.
func StartFreeRADIUS(t testing.TB, users ...User) *FreeRADIUS {
	t.Helper()
	return StartConfigured(t, configuration, usersFile(users))
}

// StartConfigured is StartFreeRADIUS with a radiusd.conf, in which $DIR, $PORT and $SECRET
// stand for the folder, the port and the shared secret, and with the file users in the
// folder.
func StartConfigured(t testing.TB, configuration, users string) *FreeRADIUS {
	t.Helper()
	f := &FreeRADIUS{Addr: freePort(t), t: t, dir: t.TempDir()}
	f.write("users", users)
	f.write("radiusd.conf", strings.NewReplacer("$DIR", f.dir, "$PORT", strconv.Itoa(int(f.Addr.Port())), "$SECRET", Secret).Replace(configuration))
	f.Start()
	t.Cleanup(func() {
		f.Stop()
		if t.Failed() {
			t.Logf("FreeRADIUS at %s said at its end:\n%s", f.Addr, f.tail())
		}
	})
	return f
}

func (f *FreeRADIUS) write(name, text string) {
	f.t.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o600); err != nil {
		f.t.Fatal(err)
	}
}

// Start starts the server again that was stopped, at the same address.
func (f *FreeRADIUS) Start() {
	f.t.Helper()
	path, err := exec.LookPath("freeradius")
	if err != nil { // only root has it in its PATH
		path, err = exec.LookPath("/usr/sbin/freeradius")
	}
	if err != nil {
		f.t.Fatalf("FreeRADIUS: %v: scripts/test installs it", err)
	}
	log, err := os.Create(f.log())
	if err != nil {
		f.t.Fatal(err)
	}
	defer log.Close()
	f.process = exec.Command(path, "-fxx", "-l", "stdout", "-d", f.dir, "-n", "radiusd")
	f.process.Stdout, f.process.Stderr = log, log
	if err := f.process.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.ended = make(chan struct{})
	go func(process *exec.Cmd, ended chan struct{}) {
		_ = process.Wait()
		close(ended)
	}(f.process, f.ended)
	for deadline := time.Now().Add(30 * time.Second); f.count("Ready to process requests") == 0; time.Sleep(5 * time.Millisecond) {
		select {
		case <-f.ended:
			f.t.Fatalf("FreeRADIUS ended at its start:\n%s", f.tail())
		default:
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("FreeRADIUS does not start:\n%s", f.tail())
		}
	}
}

// Stop kills the server, as its machine would by going down.
func (f *FreeRADIUS) Stop() {
	if f.process != nil {
		_ = f.process.Process.Kill()
		<-f.ended
		f.process = nil
	}
}

// Signal sends the process a signal, such as SIGSTOP.
func (f *FreeRADIUS) Signal(s os.Signal) {
	f.t.Helper()
	if err := f.process.Process.Signal(s); err != nil {
		f.t.Fatal(err)
	}
}

// File is what is in a file of the folder, "" when it is not there.
func (f *FreeRADIUS) File(name string) string {
	f.t.Helper()
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.t.Fatal(err)
	}
	return string(text)
}

// Requests is how many Access-Requests came since the server was started,
// retransmissions among them.
func (f *FreeRADIUS) Requests() int { return f.count("Received Access-Request") }

// freePort is a UDP port that is free.
func freePort(t testing.TB) netip.AddrPort {
	t.Helper()
	addr, err := radiustest.FreePort("udp")
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// usersFile has a line for each user: what rlm_files adds for the sections below.
func usersFile(users []User) string {
	var b strings.Builder
	for _, u := range users {
		fmt.Fprintf(&b, "\"%s\" ", u.Name) // no escapes are read here
		if u.Seed != nil {
			fmt.Fprintf(&b, "Tmp-String-0 := %q, TOTP-Secret := %q", u.PIN, base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(u.Seed))
		} else {
			fmt.Fprintf(&b, "Cleartext-Password := %q", u.Password)
		}
		if u.Second != "" {
			fmt.Fprintf(&b, ", Tmp-String-1 := %q, Tmp-String-2 := %q", u.Second, u.Asked)
		}
		b.WriteString("\n\tFilter-Id := \"vpn-users\", Class := 0x7631\n\n")
	}
	return b.String()
}

// said is all that the process has printed since it was started. It prints to a file, so
// that what it did before an answer is there when the answer is.
func (f *FreeRADIUS) said() []byte {
	b, err := os.ReadFile(f.log())
	if err != nil {
		f.t.Error(err)
	}
	return b
}

func (f *FreeRADIUS) log() string { return filepath.Join(f.dir, "log") }

func (f *FreeRADIUS) count(text string) int { return bytes.Count(f.said(), []byte(text)) }

// tail is the end of what it said.
func (f *FreeRADIUS) tail() []byte {
	b := f.said()
	return b[max(0, len(b)-8000):]
}
