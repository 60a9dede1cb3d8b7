package main

import (
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"layeh.com/radius"
	_ "modernc.org/sqlite"
)

// read is what is in a file, "" when it is not there.
func (in *installation) read(path string) string {
	in.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		in.Fatal(err)
	}
	return string(text)
}

// database runs a statement on the store, which no server has open, as who can write to the
// file might.
func (in *installation) database(statement string, args ...any) {
	in.Helper()
	db, err := sql.Open("sqlite", filepath.Join(in.dir, "data", "countersign.db"))
	if err != nil {
		in.Fatal(err)
	}
	defer db.Close()
	result, err := db.Exec(statement, args...)
	if err != nil {
		in.Fatal(err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		in.Fatalf("%s: %d rows, %v", statement, n, err)
	}
}

// copyStore copies the store to a file beside it.
func (in *installation) copyStore(name string) string {
	in.Helper()
	return in.file(name, in.read(filepath.Join(in.dir, "data", "countersign.db")))
}

// TestAudit changes and removes records behind the server's back, in the store and in an
// export, and each time the place is named.
func TestAudit(t *testing.T) {
	in := install(t, "")
	in.alice("--type", "hotp")
	in.start()
	n := in.nas(in.auth)
	for counter := range uint64(5) {
		in.login(n, "alice", eventPasscode(counter), radius.CodeAccessAccept)
		in.login(n, "alice", eventPasscode(counter), radius.CodeAccessReject)
	}
	key := strings.TrimSpace(in.run("", "audit", "key"))
	checkpoint := strings.TrimSpace(in.run("", "audit", "checkpoint"))
	early := in.copyStore("early.db") // a server has it open: what is in its log alone is missing
	in.login(n, "alice", eventPasscode(5), radius.CodeAccessAccept)
	verify := func(args ...string) (string, int) { return in.try("", append([]string{"audit", "verify"}, args...)...) }
	if out, status := verify("--key", key, "--checkpoint", checkpoint); status != 0 {
		t.Fatalf("while the server runs: exit status %d\n%s", status, out)
	}
	in.stop()
	if out, status := verify("--key", key, "--checkpoint", checkpoint); status != 0 {
		t.Fatalf("exit status %d\n%s", status, out)
	}
	export := filepath.Join(in.dir, "audit.jsonl")
	in.run("", "audit", "export", "-o", export)
	if out, status := verify(export, "--key", key, "--checkpoint", checkpoint); status != 0 {
		t.Fatalf("of the export: exit status %d\n%s", status, out)
	}

	logins := in.events("login")
	batch, _, _ := strings.Cut(logins[3].ID, "-")
	number, err := strconv.Atoi(batch)
	if err != nil {
		t.Fatal(err)
	}
	whole := in.copyStore("whole.db")
	found := func(what string, args ...string) {
		t.Helper()
		if out, status := verify(args...); status != 1 || !strings.Contains(out, what) {
			t.Errorf("exit status %d, and no %q in\n%s", status, what, out)
		}
	}
	for _, test := range []struct {
		statement string
		args      []any
		what      string
	}{
		{"UPDATE journal SET records = CAST(replace(records, 'alice', 'malice') AS BLOB) WHERE batch = ?", []any{number}, "batch " + batch},
		{"UPDATE journal SET records = CAST(substr(records, 1, 12) || x'ff' || substr(records, 14) AS BLOB) WHERE batch = ?", []any{number}, "batch " + batch},
		{"DELETE FROM journal WHERE batch = ?", []any{number}, "batch " + batch},
		{"DELETE FROM journal WHERE batch = (SELECT max(batch) FROM journal)", nil, "batch"},
	} {
		in.database(test.statement, test.args...)
		found(test.what, "--key", key)
		in.file(filepath.Join("data", "countersign.db"), in.read(whole))
	}
	in.file(filepath.Join("data", "countersign.db"), in.read(early)) // it is whole, and old
	found("checkpoint", "--key", key, "--checkpoint", checkpoint)
	in.file(filepath.Join("data", "countersign.db"), in.read(whole))
	other := install(t, "")
	other.run("", "user", "add", "mallory", "--pin", "4711")
	found("key", filepath.Join(other.dir, "data", "countersign.db"), "--key", key)

	lines := strings.SplitAfter(in.read(export), "\n")
	for i, line := range lines {
		if !strings.Contains(line, `"accepted"`) {
			continue
		}
		changed := strings.Join(lines[:i], "") + strings.Replace(line, `"accepted"`, `"excluded"`, 1) + strings.Join(lines[i+1:], "")
		found(fmt.Sprintf("line %d", i+1), in.file("changed.jsonl", changed), "--key", key)
		dropped := strings.Join(lines[:i], "") + strings.Join(lines[i+1:], "")
		found("batch "+batchOf(in, line), in.file("dropped.jsonl", dropped), "--key", key)
		break
	}
}

// batchOf is the batch of an event's line of an export.
func batchOf(in *installation, line string) string {
	in.Helper()
	id := decodeLines[struct{ ID string }](in, line)[0].ID
	batch, _, _ := strings.Cut(id, "-")
	return batch
}

// TestSyslog: a real rsyslogd gets every login, also when it comes up later than the server.
func TestSyslog(t *testing.T) {
	need(t, "rsyslogd")
	in := install(t, "")
	port := freePort(t, "tcp")
	in.write("127.0.0.0/8", sharedSecret, fmt.Sprintf("[[syslog]]\nname = \"siem\"\nserver = \"tcp://%s\"\n", port))
	got := filepath.Join(in.dir, "got.log")
	config := in.file("rsyslog.conf", fmt.Sprintf(`global(workDirectory=%[1]q)
module(load="imtcp")
input(type="imtcp" address="127.0.0.1" port="%[2]d")
template(name="raw" type="string" string="%%rawmsg%%\n")
action(type="omfile" file=%[3]q template="raw")
`, in.dir, port.Port(), got))
	in.alice("--type", "hotp")
	in.start()
	in.spawn("", "rsyslogd", "-n", "-f", config, "-i", filepath.Join(in.dir, "rsyslog.pid"))
	n := in.nas(in.auth)
	in.login(n, "alice", eventPasscode(0), radius.CodeAccessAccept)
	in.await("the login in the syslog", func() bool {
		text := in.read(got)
		return strings.Contains(text, `verdict="accepted"`) && strings.Contains(text, `user="alice"`)
	})
	if out := in.run("", "collector", "list"); !strings.Contains(out, "siem") || !strings.Contains(out, "syslog") {
		t.Errorf("collectors:\n%s", out)
	}
}
