package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/otp/oath"
	"countersign/radiusd/radiustest"
)

const sharedSecret = "testing123"

var aliceSeed = oath.NewSeed([]byte("12345678901234567890"))

// installation is a data folder with a configuration, and the real program that
// runs on it, as a process of its own.
type installation struct {
	*testing.T
	dir, config         string
	auth, acct, metrics netip.AddrPort
	pages               netip.AddrPort // for users
	process             *exec.Cmd
	environment         []string // more of it, for the server
	nasKeys             string   // more settings of the NAS
	log                 *transcript
}

// install makes a configuration on free ports of loopback.
func install(t *testing.T, more string) *installation {
	t.Helper()
	dir := t.TempDir()
	in := &installation{T: t, dir: dir, config: filepath.Join(dir, "countersign.toml"), log: new(transcript)}
	in.auth, in.acct, in.metrics = freePort(t, "udp"), freePort(t, "udp"), freePort(t, "tcp")
	in.write("127.0.0.0/8", sharedSecret, more)
	return in
}

func (in *installation) write(addresses, secret, more string) {
	in.Helper()
	text := fmt.Sprintf("data_dir = %q\n[radius]\nauth = [%q]\nacct = [%q]\n[metrics]\nlisten = %q\n[web]\nlisten = \"\"\n%s\n[[nas]]\nname = \"loopback\"\naddresses = [%q]\nsecret = %q\n%s",
		filepath.Join(in.dir, "data"), in.auth, in.acct, in.metrics, more, addresses, secret, in.nasKeys)
	if err := os.WriteFile(in.config, []byte(text), 0o600); err != nil {
		in.Fatal(err)
	}
}

// freePort is a port that is free. In a network of the test's own it has four digits: the
// OpenVPN plugin reads no more.
func freePort(t *testing.T, network string) netip.AddrPort {
	t.Helper()
	for os.Getenv(networkMark) != "" {
		addr := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), 2000+rand.N[uint16](4000))
		if radiustest.IsFree(network, addr) {
			return addr
		}
	}
	addr, err := radiustest.FreePort(network)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// transcript collects what a process prints.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (tr *transcript) Write(b []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.buf.Write(b)
}

func (tr *transcript) String() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.buf.String()
}

// program is the test binary under the name that makes it countersign.
func program(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("countersign") // testscript.Main put it there
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// tool is countersign for what is done soon, as opposed to servers, whose races the tests
// are to find: scripts/test builds it without the race detector, which would take three
// quarters of the time of most commands.
func tool(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("COUNTERSIGN_TEST_TOOL"); path != "" {
		return path
	}
	return program(t)
}

// run runs a command to its end and demands that it succeeds.
func (in *installation) run(stdin string, args ...string) string {
	in.Helper()
	out, status := in.try(stdin, args...)
	if status != 0 {
		in.Fatalf("countersign %s: exit status %d\n%s", strings.Join(args, " "), status, out)
	}
	return out
}

// try runs a command to its end.
func (in *installation) try(stdin string, args ...string) (string, int) {
	in.Helper()
	command := exec.Command(tool(in.T), append([]string{"--config", in.config}, args...)...)
	command.Stdin = strings.NewReader(stdin)
	out, _ := command.CombinedOutput()
	return string(out), command.ProcessState.ExitCode()
}

// start starts the server and waits until it is ready.
func (in *installation) start() {
	in.Helper()
	in.process = exec.Command(program(in.T), "--config", in.config, "serve")
	in.process.Stdout, in.process.Stderr = in.log, in.log
	in.process.Env = append(os.Environ(), in.environment...)
	if err := in.process.Start(); err != nil {
		in.Fatal(err)
	}
	in.Cleanup(in.kill)
	in.await("the server to be ready", func() bool {
		response, err := http.Get("http://" + in.metrics.String() + "/readyz")
		if err != nil {
			return false
		}
		_ = response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// await looks again and again until something is so, half of the time at most. It gives up
// after a time that no machine should need.
func (in *installation) await(what string, so func() bool) {
	in.Helper()
	began := time.Now()
	for looked := began; !so(); looked = time.Now() {
		if time.Since(began) > 90*time.Second {
			in.Fatalf("waited in vain for %s; the server said:\n%s", what, in.log)
		}
		time.Sleep(max(5*time.Millisecond, time.Since(looked)))
	}
}

// kill ends the server as a power cut would.
func (in *installation) kill() {
	if in.process != nil {
		_ = in.process.Process.Kill()
		_ = in.process.Wait()
		in.process = nil
	}
}

// stop ends the server as systemd would and demands exit status 0.
func (in *installation) stop() {
	in.Helper()
	if err := in.process.Process.Signal(syscall.SIGTERM); err != nil {
		in.Fatal(err)
	}
	if err := in.process.Wait(); err != nil {
		in.Fatalf("after SIGTERM: %v\n%s", err, in.log)
	}
	in.process = nil
}

// alice adds the user alice with the PIN 4711 and a token of aliceSeed.
func (in *installation) alice(flags ...string) {
	in.Helper()
	in.run("", "user", "add", "alice", "--pin", "4711")
	in.run("", append([]string{"token", "add", "--user", "alice", "--serial", "A1", "--seed-hex", fmt.Sprintf("%x", aliceSeed.Bytes())}, flags...)...)
}

// passcode is alice's PIN and a code of her clock token.
func passcode(steps int) string {
	at := time.Now().Add(time.Duration(steps) * 30 * time.Second)
	return "4711" + oath.TOTP(oath.SHA1, aliceSeed, at, 0, 30, 6)
}

// eventPasscode is alice's PIN and a code of her event token.
func eventPasscode(counter uint64) string {
	return "4711" + oath.HOTP(oath.SHA1, aliceSeed, counter, 6)
}

// nas is a test NAS on a socket of its own.
func (in *installation) nas(server netip.AddrPort) *radiustest.NAS {
	in.Helper()
	n, err := radiustest.Dial(server, radiustest.NewSecret(sharedSecret), netip.AddrPort{})
	if err != nil {
		in.Fatal(err)
	}
	in.Cleanup(func() { _ = n.Close() })
	return n
}

// metric is the value of a metric's line that begins with name.
func (in *installation) metric(name string) string {
	in.Helper()
	for line := range strings.Lines(in.get("/metrics")) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), name+" "); ok {
			return value
		}
	}
	return ""
}

func (in *installation) get(path string) string {
	in.Helper()
	response, err := http.Get("http://" + in.metrics.String() + path)
	if err != nil {
		in.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		in.Fatal(err)
	}
	return string(text)
}

// shell runs a command line of a real peer and returns what it printed.
func (in *installation) shell(line string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, "bash", "-c", line)
	command.Dir = in.dir
	out, err := command.CombinedOutput()
	return string(out), err
}

// need fails when a program of a peer is missing: scripts/test installs it.
func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatalf("%v: scripts/test installs it", err)
		}
	}
}
