package main

import (
	"context"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestEventCodes(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	for i, want := range rfcCodes {
		if stdout, stderr := d.do([]string{pin}, "generate"); stdout != want+"\n" || stderr != "" {
			t.Errorf("code %d is %q (%q), want %s", i, stdout, stderr, want)
		}
	}
	contains(t, d.fail([]string{pin}, "generate", "--watch"), "event token")
	contains(t, d.fail([]string{pin}, "generate", "--fresh"), "event token")
}

// TestClockCodes has the vectors of RFC 6238 appendix B for SHA-1, and says how long
// a code lives.
func TestClockCodes(t *testing.T) {
	d := newDesk(t)
	d.give(rfcTOTP)
	for at, want := range map[int64]string{59: "94287082  (1 s: better wait for the next, or use --fresh)\n", 1111111109: "07081804  (1 s: ", 1111111111: "14050471  (29 s)\n", 20000000000: "65353130  (10 s)\n"} {
		d.at = time.Unix(at, 0)
		stdout, _ := d.do([]string{pin}, "generate")
		if !strings.HasPrefix(stdout, want) {
			t.Errorf("at %d: %q", at, stdout)
		}
	}
	d.at = time.Unix(1111111111, 0)
	stdout, _ := d.do([]string{pin}, "generate", "--json")
	var shown code
	if err := json.Unmarshal([]byte(stdout), &shown); err != nil || shown.Code != "14050471" || shown.Seconds != 29 || shown.Serial == "" {
		t.Errorf("%s: %+v %v", stdout, shown, err)
	}
	if len(d.slept) > 0 {
		t.Errorf("it slept %v", d.slept)
	}
}

func TestFresh(t *testing.T) {
	d := newDesk(t)
	d.give(rfcTOTP)
	d.at = time.Unix(1111111109, 250e6) // 0.75 s left of the code
	stdout, stderr := d.do([]string{pin}, "generate", "--fresh")
	if stdout != "14050471  (30 s)\n" || !slices.Equal(d.slept, []time.Duration{750 * time.Millisecond}) {
		t.Errorf("%q after %v", stdout, d.slept)
	}
	contains(t, stderr, "Waiting 1 s for the next code.")
	d.slept, d.at = nil, time.Unix(1111111111, 0)
	if d.do([]string{pin}, "generate", "--fresh"); len(d.slept) > 0 {
		t.Errorf("with 29 s left it waits %v", d.slept)
	}
}

func TestWatch(t *testing.T) {
	d := newDesk(t)
	d.give(rfcTOTP)
	d.at = time.Unix(1111111109, 0)
	d.onSleep = func() error {
		if len(d.slept) == 3 {
			return context.Canceled
		}
		return nil
	}
	stdout, _ := d.do([]string{pin}, "generate", "--watch", "--raw")
	if want := "07081804\n14050471\n44266759\n"; stdout != want {
		t.Errorf("%q, want %q", stdout, want)
	}
	if want := []time.Duration{time.Second, 30 * time.Second, 30 * time.Second}; !slices.Equal(d.slept, want) {
		t.Errorf("it slept %v", d.slept)
	}
	// Others can have the store meanwhile.
	d.slept, d.onSleep = nil, func() error {
		if release, ok, err := tryLock(d.store + ".lock"); !ok || err != nil {
			t.Errorf("the store is locked: %v", err)
		} else {
			release()
		}
		return context.Canceled
	}
	d.do([]string{pin}, "generate", "--watch")
}

// A code that the server has burned is not shown: the next one is, in its time. A
// clock that was wrong then does not hold that up for long.
func TestSpentCode(t *testing.T) {
	d := newDesk(t)
	one := sample("T1")
	one.Type, one.Period, one.Digits = 0, 30, 8
	spend := func(ahead int64) {
		one.Spent = one.step(d.at) + ahead
		h, err := newHeader(d.rand, softHardness)
		d.check(err)
		s := &store{file: d.store, rand: d.rand, header: h, key: h.key(newSecret([]byte(pin))), tokens: []*token{one}}
		d.check(s.save())
	}
	d.check(os.MkdirAll(filepath.Dir(d.store), 0o700))
	d.at = time.Unix(1111111109, 0)
	spend(0)
	stdout, stderr := d.do([]string{pin}, "generate")
	if stdout != "14050471  (30 s)\n" {
		t.Errorf("%q", stdout)
	}
	contains(t, stderr, "Waiting 1 s for the next code.")
	d.at = time.Unix(1111111109, 0)
	spend(1000)
	if code := d.code(""); code != "07081804" {
		t.Errorf("%s", code)
	}
}

func TestCopy(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP, "--name", "work")
	stdout, stderr := d.do([]string{pin}, "generate", "--copy")
	if stdout != "" || strings.Contains(stderr, rfcCodes[0]) {
		t.Errorf("it prints %q, %q", stdout, stderr)
	}
	contains(t, stderr, "The code of token work (URI-", "is in the clipboard")
	if stdout, _ := d.do([]string{pin}, "generate", "--copy", "--print"); stdout != rfcCodes[1]+"\n" {
		t.Errorf("with --print: %q", stdout)
	}
	if !slices.Equal(d.clipboard, rfcCodes[:2]) {
		t.Errorf("the clipboard had %v", d.clipboard)
	}
}

// TestClipboard copies to the clipboard of a real X server.
func TestClipboard(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	display := startScreen(t)
	t.Setenv("DISPLAY", display)
	t.Setenv("WAYLAND_DISPLAY", "")
	if out, _, err := runReal(t, d.store, pin+"\n", "generate", "--copy"); err != nil || out != "" {
		t.Fatalf("%q, %v", out, err)
	}
	if got := program(t, "xclip", "-out", "-selection", "clipboard"); got != rfcCodes[0] {
		t.Errorf("the clipboard has %q", got)
	}
	t.Setenv("DISPLAY", ":9999")
	if _, _, err := runReal(t, d.store, pin+"\n", "generate", "--copy"); err == nil || !strings.Contains(err.Error(), "the clipboard cannot be reached") {
		t.Errorf("without a screen: %v", err)
	}
	// Where there is no program for it, no code is used up.
	etoken, err := exec.LookPath("etoken")
	d.check(err)
	empty := filepath.Join(t.TempDir(), "bin")
	d.check(os.Mkdir(empty, 0o700))
	d.check(os.Symlink(etoken, filepath.Join(empty, "etoken")))
	t.Setenv("PATH", empty)
	if _, _, err := runReal(t, d.store, pin+"\n", "generate", "--copy"); err == nil || !strings.Contains(err.Error(), "install xclip (X11) or wl-clipboard (Wayland)") {
		t.Errorf("without xclip: %v", err)
	}
	if code := d.tokens()[0].State.Counter; code != 2 {
		t.Errorf("the counter is %d", code)
	}
}

// startScreen starts an X server without a screen, and returns its display.
func startScreen(t *testing.T) string {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	c := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "640x480x8", "-nolisten", "tcp")
	c.ExtraFiles = []*os.File{write}
	if err := c.Start(); err != nil {
		t.Fatalf("Xvfb: %v (scripts/test installs it)", err)
	}
	t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	_ = write.Close()
	var number int
	if _, err := fmt.Fscan(read, &number); err != nil {
		t.Fatalf("Xvfb does not say its display: %v", err)
	}
	return ":" + strconv.Itoa(number)
}

// TestOathtool: codes of all kinds of tokens agree with those of another program.
func TestOathtool(t *testing.T) {
	d := newDesk(t)
	seed := strings.Repeat("0123456789abcdef", 4)
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(seed))
	hexSeed := fmt.Sprintf("%x", seed)
	n := 0
	for _, digits := range []int{6, 7, 8} {
		for _, algorithm := range []string{"SHA1", "SHA256", "SHA512"} {
			for _, period := range []int{30, 60} {
				n++
				name := fmt.Sprint("clock", n)
				d.give(fmt.Sprintf("otpauth://totp/x?secret=%s&algorithm=%s&digits=%d&period=%d", secret, algorithm, digits, period), "--name", name)
				d.at = time.Date(2026, 5, 4, 12, 0, n, 0, time.UTC)
				want := program(t, "oathtool", "--totp="+algorithm, "-d", strconv.Itoa(digits), "-s", fmt.Sprint(period, "s"), "-N", d.at.Format("2006-01-02 15:04:05 UTC"), hexSeed)
				if got := d.code(name); got != strings.TrimSpace(want) {
					t.Errorf("%s %d digits %d s: %s, oathtool says %s", algorithm, digits, period, got, want)
				}
			}
		}
		n++
		name := fmt.Sprint("event", n)
		d.give(fmt.Sprintf("otpauth://hotp/x?secret=%s&digits=%d&counter=%d", secret, digits, 1<<40), "--name", name)
		want := program(t, "oathtool", "--hotp", "-d", strconv.Itoa(digits), "-c", fmt.Sprint(1<<40), "-w", "2", hexSeed)
		for _, one := range strings.Fields(want) {
			if got := d.code(name); got != one {
				t.Errorf("%d digits: %s, oathtool says %s", digits, got, one)
			}
		}
	}
}

// mobilePASSVectors are codes of tokens that MobilePASS made.
var mobilePASSVectors = []struct {
	code, policy string
	shows        map[int]string
}{
	{"QVKYC-FM6KO-SY6F7-TR22W", "", map[int]string{0: "374844", 1: "124927", 2: "048405", 3: "555522", 10: "690483"}},
	{"QVKYC-FM6KO-SY6F7-TR22W", "18888710", map[int]string{0: "310551", 10: "194672"}},
	{"XUU75-RROTT-Y5IP6-U3BMV", "", map[int]string{0: "246805", 1: "598141", 2: "445167", 3: "201140", 4: "474662"}},
	{"V5GWR-D5WXT-ZSGGR-WSW3O", "", map[int]string{0: "897020", 1: "995047", 2: "664206", 3: "084197", 4: "924498", 5: "744033"}},
}

// TestMobilePASS: a token whose chance is that of a known code has the known codes.
func TestMobilePASS(t *testing.T) {
	d := newDesk(t)
	chance := d.rand
	for i, v := range mobilePASSVectors {
		var letters strings.Builder
		for _, group := range strings.Split(v.code, "-") {
			letters.WriteString(group[:4])
		}
		entropy, err := base32.StdEncoding.DecodeString(letters.String())
		d.check(err)
		name := fmt.Sprint("m", i)
		d.rand = &thenRandom{entropy, chance}
		stdout, _ := d.do([]string{pin}, "mobilepass", "new", "--policy", v.policy, "--name", name)
		d.rand = chance
		if stdout != v.code+"\n" {
			t.Errorf("the activation code is %q, want %s", stdout, v.code)
		}
		for counter := range 11 {
			got := d.code(name)
			if want, known := v.shows[counter]; known && got != want {
				t.Errorf("%s, policy %q, counter %d: %s, want %s", v.code, v.policy, counter, got, want)
			}
		}
	}
	stdout, _ := d.do([]string{pin}, "list")
	contains(t, stdout, "m0    MP-", "mobilepass  active")
	if strings.Contains(stdout, "QVKYC") {
		t.Error("the activation code can be had again")
	}
}

// thenRandom is some bytes, and randomness after them.
type thenRandom struct {
	first []byte
	rest  interface{ Read([]byte) (int, error) }
}

func (r *thenRandom) Read(b []byte) (int, error) {
	if len(r.first) == 0 {
		return r.rest.Read(b)
	}
	n := copy(b, r.first)
	r.first = r.first[n:]
	return n, nil
}
