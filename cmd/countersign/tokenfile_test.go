package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"layeh.com/radius"
)

const filePassword = "correct horse"

// TestTokensMoveToAnotherServer exports tokens that were used, has python-pskc read the
// file and write one of its own, and imports both elsewhere. The same tokens log in
// there, and the codes that were used do not.
func TestTokensMoveToAnotherServer(t *testing.T) {
	from, to := install(t, ""), install(t, "")
	from.run("", "user", "add", "alice", "--pin", "4711")
	from.run("", "token", "add", "--user", "alice", "--serial", "A1", "--type", "hotp", "--seed-hex", fmt.Sprintf("%x", aliceSeed.Bytes()))
	from.start()
	n := from.nas(from.auth)
	for counter := range uint64(3) {
		from.login(n, "alice", eventPasscode(counter), radius.CodeAccessAccept)
	}
	file, again := filepath.Join(from.dir, "tokens.pskc"), filepath.Join(from.dir, "again.pskc")
	if said := from.run(filePassword+"\n", "token", "export", file, "--password-stdin"); said != "1 token written to "+file+"\n" {
		t.Error(said)
	}
	said, err := from.shell(fmt.Sprintf(`/usr/bin/python3 -c '
from pskc import PSKC
p = PSKC(%q)
p.encryption.derive_key(%q)
for k in p.keys: print(k.serial, k.algorithm, k.secret.decode(), k.counter, k.response_length, k.userid, k.check() is not False)
p.write(%q)'`, file, filePassword, again))
	if err != nil || !strings.Contains(said, "A1 urn:ietf:params:xml:ns:keyprov:pskc:hotp 12345678901234567890 3 6 alice True\n") {
		t.Errorf("python-pskc: %v\n%s", err, said)
	}

	to.run("", "user", "add", "alice", "--pin", "4711")
	to.start()
	for _, path := range []string{file, again} {
		want := map[string]string{file: "1 imported", again: "1 unchanged"}[path]
		if said := to.run(filePassword+"\n", "token", "import", path, "--password-stdin"); !strings.Contains(said, want) {
			t.Errorf("%s: %s", path, said)
		}
	}
	n = to.nas(to.auth)
	to.login(n, "alice", eventPasscode(2), radius.CodeAccessReject)
	to.login(n, "alice", eventPasscode(3), radius.CodeAccessAccept)
	to.run(filePassword+"\n", "token", "import", file, "--password-stdin")
	to.login(n, "alice", eventPasscode(3), radius.CodeAccessReject)
	to.login(n, "alice", eventPasscode(4), radius.CodeAccessAccept)
	for _, in := range []*installation{from, to} {
		for _, secret := range []string{filePassword, string(aliceSeed.Bytes()), fmt.Sprintf("%x", aliceSeed.Bytes())} {
			if strings.Contains(in.log.String(), secret) || strings.Contains(in.run("", "event", "list", "--json"), secret) {
				t.Errorf("the log or an event shows %q", secret)
			}
		}
	}
}

// seedCSV is an OATH CSV file of so many event tokens. The seed of token n is that of
// userSeed.
func seedCSV(tokens int) []byte {
	var text bytes.Buffer
	for n := range tokens {
		fmt.Fprintf(&text, "T%08d,%x,hotp,6,0\n", n, userSeed(n))
	}
	return text.Bytes()
}

// seedCSV writes that file.
func (in *installation) seedCSV(tokens int) string {
	in.Helper()
	path := filepath.Join(in.dir, "seeds.csv")
	if err := os.WriteFile(path, seedCSV(tokens), 0o600); err != nil {
		in.Fatal(err)
	}
	return path
}

// tokens counts the tokens.
func (in *installation) tokens() int {
	in.Helper()
	return strings.Count(in.run("", "token", "list", "--json"), "\n")
}

// TestKillInTheMiddleOfAnImport: of a large file a part is there, of whole transactions,
// and importing it again completes it. (That a small one is there whole or not at all is
// in the suite of the engines.)
func TestKillInTheMiddleOfAnImport(t *testing.T) {
	const tokens = 60_000
	in := install(t, "")
	path := in.seedCSV(tokens)
	in.start()
	command := exec.Command(tool(t), "--config", in.config, "token", "import", path)
	var said bytes.Buffer
	command.Stdout, command.Stderr = &said, &said
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	in.await("the first transaction", func() bool {
		return strings.Contains(in.run("", "event", "list", "--limit", "1"), "token.import")
	})
	in.kill()
	err := command.Wait()
	there := in.tokens()
	if there == 0 || there%1000 != 0 || there < tokens && err == nil {
		t.Errorf("%d of %d tokens are there, error %v: %s", there, tokens, err, &said)
	}
	if there < tokens && !strings.Contains(said.String(), "importing the file again completes it") {
		t.Errorf("%s", &said)
	}
	in.start()
	want := fmt.Sprintf("%d tokens read: %d imported, 0 updated, %d unchanged", tokens, tokens-there, there)
	if said := in.run("", "token", "import", path); !strings.Contains(said, want) || in.tokens() != tokens {
		t.Errorf("%s, want %s", said, want)
	}
}

// TestImportOfAPipe: what comes through a pipe is read twice, too, and nothing of it is
// left in the folder for temporary files.
func TestImportOfAPipe(t *testing.T) {
	in := install(t, "")
	temporary := t.TempDir()
	text := fmt.Sprintf("P1,%x,hotp,6,0\n", userSeed(1))
	command := exec.Command(tool(t), "--config", in.config, "token", "import", "/dev/stdin")
	command.Env = append(os.Environ(), "TMPDIR="+temporary)
	command.Stdin = strings.NewReader(text)
	said, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(said), "1 imported") {
		t.Errorf("%v: %s", err, said)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("%v is left, error %v", left, err)
	}
}

// TestImportBar: on a terminal there is a bar, elsewhere (as all other tests see) none.
func TestImportBar(t *testing.T) {
	need(t, "script")
	in := install(t, "")
	path := in.seedCSV(3000)
	said, err := in.shell(fmt.Sprintf("script -qec '%s --config %s token import %s' /dev/null", tool(t), in.config, path))
	if err != nil || !strings.Contains(said, "Checking 100%") || !strings.Contains(said, "Importing 100%") || !strings.Contains(said, "3000/3000") {
		t.Errorf("%v: %q", err, said)
	}
}

// BenchmarkTokenImport imports a file of a million event tokens into a server that is a
// process of its own, and once more when they are there. It reports tokens a second, and
// the most memory of the server.
func BenchmarkTokenImport(b *testing.B) {
	const tokens = 1_000_000
	binary, err := exec.LookPath("countersign") // testscript.Main put it there
	if err != nil {
		b.Fatal(err)
	}
	for range b.N {
		dir := b.TempDir()
		config, path, socket := filepath.Join(dir, "c.toml"), filepath.Join(dir, "seeds.csv"), filepath.Join(dir, "data", "admin.sock")
		settings := fmt.Sprintf("data_dir = %q\n[radius]\nauth = [%q]\nacct = [%q]\n[metrics]\nlisten = %q\n[web]\nlisten = \"\"\n"+
			"[[nas]]\nname = \"a\"\naddresses = [\"127.0.0.1\"]\nsecret = \"testing123\"\n", filepath.Dir(socket), anyPort(b), anyPort(b), anyPort(b))
		if err := errors.Join(os.WriteFile(config, []byte(settings), 0o600), os.WriteFile(path, seedCSV(tokens), 0o600)); err != nil {
			b.Fatal(err)
		}
		server := exec.Command(binary, "--config", config, "serve")
		if err := server.Start(); err != nil {
			b.Fatal(err)
		}
		for tries := 0; ; tries++ {
			if _, err := os.Stat(socket); err == nil {
				break
			} else if tries == 1000 {
				b.Fatal(err)
			}
			time.Sleep(10 * time.Millisecond)
		}
		for _, what := range []string{"new", "unchanged"} {
			command := exec.Command(binary, "--config", config, "token", "import", path)
			began := time.Now()
			if said, err := command.CombinedOutput(); err != nil {
				b.Fatalf("%v: %s", err, said)
			}
			b.ReportMetric(tokens/time.Since(began).Seconds(), what+"/s")
		}
		b.ReportMetric(megabytes(b, server.Process), "server-MB")
		if err := errors.Join(server.Process.Signal(syscall.SIGTERM), server.Wait()); err != nil {
			b.Fatal(err)
		}
	}
}

// anyPort is a port of loopback that was free a moment ago.
func anyPort(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// megabytes is the most memory that a running process had.
func megabytes(b *testing.B, process *os.Process) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.Pid))
	if err != nil {
		b.Fatal(err)
	}
	kilobytes := 0
	_, peak, _ := strings.Cut(string(status), "VmHWM:")
	_, _ = fmt.Sscan(peak, &kilobytes)
	return float64(kilobytes) / 1024
}
