package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"countersign/otp"
	"countersign/otp/oath"
)

// softHardness is for tests, which open hundreds of stores.
var softHardness = hardness{Time: 1, Memory: 64, Threads: 1}

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"etoken": func() {
			if os.Getenv("ETOKEN_TEST_HARD") == "" {
				usualHardness = softHardness // of new stores; nothing else is another than in the real program
			}
			main()
		},
		"etoken-killed": killed,
	})
}

// TestScripts runs the program as a user does.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("XDG_CONFIG_HOME", filepath.Join(e.WorkDir, "config"))
			return nil
		},
	})
}

// desk is a computer with an etoken that has a clock and a clipboard of its own.
type desk struct {
	*testing.T
	store     string
	at        time.Time
	slept     []time.Duration
	clipboard []string
	rand      io.Reader
	hardness  hardness
	onSleep   func() error
}

func newDesk(t *testing.T) *desk {
	return &desk{
		T: t, store: filepath.Join(t.TempDir(), "etoken", "tokens"), at: time.Date(2026, 5, 4, 12, 0, 5, 0, time.UTC), rand: rand.Reader, hardness: softHardness,
	}
}

// run runs a command. The input is what standard input has, a line each.
func (d *desk) run(input []string, args ...string) (status int, stdout, stderr string) {
	d.Helper()
	in, w, err := os.Pipe()
	d.check(err)
	defer in.Close()
	_, err = io.WriteString(w, strings.Join(append(input, ""), "\n"))
	d.check(err)
	d.check(w.Close())
	var out, errors bytes.Buffer
	a := &app{
		in: in, out: &out, err: &errors, clock: func() time.Time { return d.at }, rand: d.rand, hardness: d.hardness,
		sleep: func(_ context.Context, wait time.Duration) error {
			d.slept = append(d.slept, wait)
			d.at = d.at.Add(wait)
			if d.onSleep != nil {
				return d.onSleep()
			}
			return nil
		},
		copy: func(text string) error { d.clipboard = append(d.clipboard, text); return nil },
	}
	status = a.run(d.Context(), append(args, "--store", d.store))
	return status, out.String(), errors.String()
}

// do runs a command that must do what it should.
func (d *desk) do(input []string, args ...string) (stdout, stderr string) {
	d.Helper()
	status, stdout, stderr := d.run(input, args...)
	if status != 0 {
		d.Fatalf("%v: status %d: %s", args, status, stderr)
	}
	return stdout, stderr
}

// fail runs a command that must not, and returns its one line of error.
func (d *desk) fail(input []string, args ...string) string {
	d.Helper()
	status, stdout, stderr := d.run(input, args...)
	lines := strings.Split(strings.TrimSpace(stderr), "\n")
	last := lines[len(lines)-1]
	if status != 1 || !strings.HasPrefix(last, "etoken: ") {
		d.Fatalf("%v: status %d:\n%s%s", args, status, stdout, stderr)
	}
	return last
}

// code is what generate --raw prints.
func (d *desk) code(name string) string {
	d.Helper()
	stdout, _ := d.do([]string{pin}, "generate", name, "--raw")
	return strings.TrimSpace(stdout)
}

// give takes a token in by its URI.
func (d *desk) give(uri string, more ...string) {
	d.Helper()
	d.do([]string{uri, pin}, append([]string{"import"}, more...)...)
}

// tokens are those in the store.
func (d *desk) tokens() (all []*token) {
	d.Helper()
	in, err := os.Open(d.pinFile())
	d.check(err)
	defer in.Close()
	a := &app{in: in, err: io.Discard, clock: time.Now, sleep: sleep, rand: rand.Reader, store: d.store}
	d.check(a.withStore(d.Context(), func(s *store) error { all = s.tokens; return nil }))
	return all
}

func (d *desk) pinFile() string {
	file := filepath.Join(d.TempDir(), "pin")
	d.check(os.WriteFile(file, []byte(pin+"\n"), 0o600))
	return file
}

func (d *desk) check(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

// contains fails when a text lacks something.
func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in\n%s", part, text)
		}
	}
}

// pin is the Application PIN of all tests.
const pin = "mein Rechner 7"

// rfcSeed is that of the vectors in RFC 4226 and RFC 6238.
const rfcSeed = "12345678901234567890"

const (
	rfcTOTP = "otpauth://totp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8"
	rfcHOTP = "otpauth://hotp/Example:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=0"
)

// rfcCodes are those of RFC 4226 appendix D.
var rfcCodes = []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}

// sample is a token.
func sample(serial string) *token {
	return &token{Token: otp.Token{Serial: otp.Serial(serial), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed([]byte(rfcSeed))}}
}

// program runs a program of a peer, and returns what it says.
func program(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.Command(name, args...)
	var errors bytes.Buffer
	c.Stderr = &errors
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s (scripts/test installs it)", name, err, errors.String())
	}
	return string(out)
}

// runReal runs the program itself.
func runReal(t *testing.T, store, input string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	c := exec.CommandContext(t.Context(), "etoken", append(args, "--store", store)...)
	var out, errors bytes.Buffer
	c.Stdin, c.Stdout, c.Stderr = strings.NewReader(input), &out, &errors
	err = c.Run()
	if err != nil {
		err = fmt.Errorf("etoken %v: %w: %s", args, err, errors.String())
	}
	return out.String(), errors.String(), err
}
