package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestTokenRoundTrip(t *testing.T) {
	full := sample("FULL")
	full.Type, full.Period, full.T0, full.ValidFrom, full.ValidUntil, full.Spent = 0, 60, 946684800, 5, 1<<40, 77
	full.Name, full.Issuer, full.User, full.Added = "work", "Example Works", "alice", time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	full.Pending = &pending{Server: "https://otp.example.com", Trust: trust{"ab", "/ca.pem"}, Key: newSecret([]byte("K")), Sent: true}
	event := sample("EVENT")
	event.State.Counter = 1<<62 - 1
	text, err := encode([]*token{full, event})
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := decode(text)
	if err != nil {
		t.Fatal(err)
	}
	again, err := encode(tokens)
	if err != nil || string(again) != string(text) || tokens[1].State.Counter != 1<<62-1 || !tokens[0].Pending.Sent || tokens[0].Pending.Key.reveal() != "K" {
		t.Errorf("%v\n%s\n%s", err, text, again)
	}
	for _, bad := range []string{
		``, `{}`, `[{}]`, strings.ReplaceAll(string(text), `"totp"`, `"motp"`), strings.ReplaceAll(string(text), `"sha1"`, `"md5"`),
		strings.ReplaceAll(string(text), `"digits":6`, `"digits":5`), strings.ReplaceAll(string(text), `"period":60`, `"period":0`),
		strings.ReplaceAll(string(text), `"FULL"`, `""`), strings.ReplaceAll(string(text), `"totp"`, `"code-list"`),
	} {
		if _, err := decode([]byte(bad)); err != errContent {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

// The files are for their owner alone, whatever the umask is, and nothing in them
// can be read.
func TestFiles(t *testing.T) {
	d := newDesk(t)
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	d.give(rfcHOTP, "--name", "Geheimnisname")
	d.fail([]string{"wrong PIN"}, "list")
	folder, err := os.Stat(filepath.Dir(d.store))
	d.check(err)
	if folder.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v", folder.Mode())
	}
	entries, err := os.ReadDir(filepath.Dir(d.store))
	d.check(err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		d.check(err)
		if info.Mode() != 0o600 {
			t.Errorf("%s is %v", e.Name(), info.Mode())
		}
		content, err := os.ReadFile(filepath.Join(filepath.Dir(d.store), e.Name()))
		d.check(err)
		for _, never := range []string{"Geheimnisname", "alice", rfcSeed, "GEZDGNBVGY3TQ", "URI-", pin} {
			if strings.Contains(string(content), never) {
				t.Errorf("%s has %q", e.Name(), never)
			}
		}
	}
	if !slices.Equal(names, []string{"tokens", "tokens.failures", "tokens.lock"}) {
		t.Errorf("files %v", names)
	}
}

func TestNoStore(t *testing.T) {
	d := newDesk(t)
	for _, args := range [][]string{{"list"}, {"generate"}, {"pin"}, {"remove", "x"}, {"rename", "x", "y"}} {
		contains(t, d.fail(nil, args...), "there are no tokens in", "etoken activate")
	}
	contains(t, d.fail([]string{rfcHOTP, "short"}, "import"), "at least 6 characters")
	if _, err := os.Stat(d.store); err == nil {
		t.Error("there is a store")
	}
	d.check(os.WriteFile(d.store, []byte("junk that is long enough to be looked at, one would think, is it not?"), 0o600))
	contains(t, d.fail([]string{pin}, "list"), "it is no store of etoken")
}

func TestSaveFails(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	d.check(os.Mkdir(d.store+".new", 0o700)) // in the way
	d.check(os.WriteFile(filepath.Join(d.store+".new", "x"), nil, 0o600))
	status, stdout, stderr := d.run([]string{pin}, "generate")
	if status != 1 || stdout != "" {
		t.Errorf("status %d: a code that was not counted is shown: %q", status, stdout)
	}
	contains(t, stderr, "saving the tokens: ")
	d.check(os.RemoveAll(d.store + ".new"))
	if code := d.code(""); code != rfcCodes[0] {
		t.Errorf("the first code is %s", code)
	}
}

// killed is a program that saves a store, and is killed after some of the steps:
// etoken-killed FILE STEPS.
func killed() {
	steps, err := strconv.Atoi(os.Args[2])
	if err != nil {
		panic(err)
	}
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	_, ok, err := tryLock(os.Args[1] + ".lock")
	if !ok || err != nil {
		panic(fmt.Sprint("locking: ", ok, err))
	}
	for _, step := range writing(os.Args[1], content)[:steps] {
		if err := step(); err != nil {
			panic(err)
		}
	}
	_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
	select {}
}

// TestKilledBetweenSteps: whatever step of saving was the last, the tokens are the
// old ones or the new ones, and the next save works.
func TestKilledBetweenSteps(t *testing.T) {
	contents := map[string]string{}
	d := newDesk(t)
	d.give(rfcHOTP, "--name", "old")
	for _, name := range []string{"old", "new"} {
		d.do([]string{pin}, "rename", "old", name)
		content, err := os.ReadFile(d.store)
		d.check(err)
		contents[name] = string(content)
	}
	seen := map[string]int{}
	for steps := range len(writing("", nil)) + 1 {
		d.check(os.WriteFile(d.store, []byte(contents["old"]), 0o600))
		c := exec.Command("etoken-killed", d.store, strconv.Itoa(steps))
		c.Stdin = strings.NewReader(contents["new"])
		out, err := c.CombinedOutput()
		if status, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Fatalf("it was not killed: %v: %s", err, out)
		}
		tokens := d.tokens()
		seen[tokens[0].Name]++
		d.do([]string{pin}, "rename", tokens[0].Name, "next")
		if d.tokens()[0].Name != "next" {
			t.Errorf("after %d steps nothing can be saved", steps)
		}
	}
	if seen["old"] != 5 || seen["new"] != 2 || len(seen) != 2 {
		t.Errorf("%v", seen)
	}
}

// TestKilledAtAnyTime kills the program itself while it advances a counter. No code
// is shown twice.
func TestKilledAtAnyTime(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	shown := map[string]bool{}
	for delay := range 12 {
		c := exec.Command("etoken", "generate", "--raw", "--store", d.store)
		c.Stdin = strings.NewReader(pin + "\n")
		var out strings.Builder
		c.Stdout = &out
		d.check(c.Start())
		time.AfterFunc(time.Duration(delay)*2*time.Millisecond, func() { _ = c.Process.Kill() })
		_ = c.Wait()
		_ = os.Remove(d.store + ".failures") // it may have been killed before it knew
		if code := strings.TrimSpace(out.String()); code != "" && shown[code] {
			t.Errorf("code %s is shown again", code)
		} else {
			shown[code] = true
		}
	}
	if code := d.code(""); shown[code] {
		t.Errorf("code %s is shown again", code)
	}
}

// TestAtOnce: programs that run at the same time show different codes.
func TestAtOnce(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	var mu sync.Mutex
	var codes []string
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			out, _, err := runReal(t, d.store, pin+"\n", "generate", "--raw")
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Error(err)
			}
			codes = append(codes, strings.TrimSpace(out))
		})
	}
	all.Wait()
	slices.Sort(codes)
	if want := slices.Sorted(slices.Values(rfcCodes[:8])); !slices.Equal(codes, want) {
		t.Errorf("codes %v, want %v", codes, want)
	}
}

// Who waits for another etoken says so, and can be interrupted.
func TestLock(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	release, ok, err := tryLock(d.store + ".lock")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	d.onSleep = func() error {
		if len(d.slept) == 3 {
			release()
		}
		return nil
	}
	if _, stderr := d.do([]string{pin}, "list"); strings.Count(stderr, "Another etoken is at work") != 1 {
		t.Errorf("it says %q", stderr)
	}
	release, ok, err = tryLock(d.store + ".lock")
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	defer release()
	d.onSleep = func() error { return context.Canceled }
	contains(t, d.fail([]string{pin}, "list"), "canceled")
}

func TestChangePIN(t *testing.T) {
	d := newDesk(t)
	d.give(rfcHOTP)
	before, err := os.ReadFile(d.store)
	d.check(err)
	contains(t, d.fail([]string{pin, "12345"}, "pin"), "too short")
	d.do([]string{pin, "another one"}, "pin")
	contains(t, d.fail([]string{pin}, "list"), "Application PIN is wrong")
	d.do([]string{"another one"}, "list")
	after, err := os.ReadFile(d.store)
	d.check(err)
	if string(before[:headerSize]) == string(after[:headerSize]) {
		t.Error("the salt is the same")
	}
}

// A store of another hardness can be opened, and a change of the PIN makes it as
// hard as is usual.
func TestHardnessOfAStore(t *testing.T) {
	d := newDesk(t)
	d.hardness = hardness{Time: 2, Memory: 128, Threads: 2}
	d.give(rfcHOTP)
	d.hardness = softHardness
	d.code("")
	of := func() hardness {
		content, err := os.ReadFile(d.store)
		d.check(err)
		h, _, err := parseHeader(content)
		d.check(err)
		return h.hardness
	}
	if h := of(); h != (hardness{2, 128, 2}) {
		t.Errorf("%+v", h)
	}
	d.do([]string{pin, pin}, "pin")
	if h := of(); h != softHardness {
		t.Errorf("%+v", h)
	}
}

// TestUsualHardness: the program as it is makes a store as hard as it should.
func TestUsualHardness(t *testing.T) {
	t.Setenv("ETOKEN_TEST_HARD", "yes")
	store := filepath.Join(t.TempDir(), "tokens")
	if _, _, err := runReal(t, store, rfcHOTP+"\n"+pin+"\n", "import"); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(store)
	if err != nil {
		t.Fatal(err)
	}
	if h, _, err := parseHeader(content); err != nil || h.hardness != (hardness{3, 65536, 4}) {
		t.Errorf("%+v, %v", h.hardness, err)
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	const key = "Activation-Key-4711"
	one := sample("T1")
	one.Pending = &pending{Server: "https://otp.example.com", Key: newSecret([]byte(key))}
	h, err := newHeader(rand.Reader, softHardness)
	if err != nil {
		t.Fatal(err)
	}
	s := &store{key: newSecret([]byte(key)), tokens: []*token{one}, header: h}
	begun := &activation{token: one, pin: newSecret([]byte(key))}
	number := fmt.Sprint([]byte(key))
	for _, v := range []any{one, *one, one.Pending, *one.Pending, s, *s, begun, *begun, newSecret([]byte(key)), &s.key} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			text := fmt.Sprintf(verb, v)
			for _, never := range []string{key, rfcSeed, strings.Trim(number, "[]"), fmt.Sprintf("%x", key), fmt.Sprintf("%X", rfcSeed), fmt.Sprintf("%x", rfcSeed)} {
				if strings.Contains(text, never) {
					t.Errorf("%T under %s prints %s", v, verb, text)
				}
			}
		}
		text, err := json.Marshal(v)
		if err == nil && (strings.Contains(string(text), key) || strings.Contains(string(text), "QWN0aXZh")) {
			t.Errorf("%T as JSON is %s", v, text)
		}
	}
}
