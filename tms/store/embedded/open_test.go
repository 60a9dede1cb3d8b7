package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

func TestOneProcessAtATime(t *testing.T) {
	k := newKit(t)
	_, err := Open(context.Background(), k.options)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), k.options.Path) {
		t.Errorf("error %v, want ErrLocked that names the file", err)
	}
	if err := Restore(context.Background(), "backup", k.options.Path, k.options, otp.DefaultPolicy()); !errors.Is(err, ErrLocked) {
		t.Errorf("Restore: error %v, want ErrLocked", err)
	}
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	k.reopen()
}

func TestOnlyTheOwnerMayReadTheFiles(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	files, err := filepath.Glob(k.options.Path + "*")
	k.must(err)
	if len(files) < 3 {
		t.Errorf("files %q", files)
	}
	for _, file := range files {
		info, err := os.Stat(file)
		k.must(err)
		if mode := info.Mode().Perm(); mode&0o077 != 0 {
			t.Errorf("%s has mode %v", file, mode)
		}
	}
}

// TestForeignFilesAreLeftAlone opens what is no store of ours.
func TestForeignFilesAreLeftAlone(t *testing.T) {
	for name, test := range map[string]struct{ script, want string }{
		"newer":   {fmt.Sprintf("PRAGMA application_id = %d; PRAGMA user_version = %d; CREATE TABLE t (a)", applicationID, schemaVersion+1), "newer"},
		"none":    {fmt.Sprintf("PRAGMA application_id = %d; CREATE TABLE t (a)", applicationID), "damaged"},
		"another": {"CREATE TABLE t (a)", "another program"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(t)
			c, err := openConn(o.Path)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.script(test.script), c.close()); err != nil {
				t.Fatal(err)
			}
			refuse(t, o, test.want)
		})
	}
	t.Run("text", func(t *testing.T) {
		o := testOptions(t)
		if err := os.WriteFile(o.Path, []byte(strings.Repeat("not a database\n", 1000)), 0o600); err != nil {
			t.Fatal(err)
		}
		refuse(t, o, "not a database")
	})
}

// refuse expects that a store cannot be opened and its file stays as it is.
func refuse(t *testing.T, o Options, want string) {
	t.Helper()
	before, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(context.Background(), o)
	if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), o.Path) {
		t.Errorf("error %v, want one with %q and the path", err, want)
	}
	after, err := os.ReadFile(o.Path)
	if err != nil || string(before) != string(after) {
		t.Errorf("the file has changed, error %v", err)
	}
}

func TestAnotherKeyDoesNotOpen(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.must(k.Close())
	o := k.options
	o.KEKs = []seal.KEK{newKEK(t, 8)}
	if _, err := Open(context.Background(), o); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("error %v, want %v", err, seal.ErrOpen)
	}
	o.KEKs = nil
	if _, err := Open(context.Background(), o); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("without a key: error %v, want %v", err, seal.ErrOpen)
	}
	o.KEKs = append([]seal.KEK{newKEK(t, 8)}, k.options.KEKs...)
	openKit(t, o).expect(otp.Accepted, 0, passcode(0, 0))
	fresh := testOptions(t)
	fresh.KEKs = nil
	if _, err := Open(context.Background(), fresh); err == nil {
		t.Error("a new store was made without a key")
	}
}

// TestSecretsAreSealed looks for PIN and seed in the bytes of the files, by way
// of a program that knows nothing of this package.
func TestSecretsAreSealed(t *testing.T) {
	k := newKit(t)
	k.populate(100, false)
	for n := range 100 {
		k.expect(otp.Accepted, n, passcode(n, 0))
	}
	look := func() {
		t.Helper()
		files, err := filepath.Glob(k.options.Path + "*")
		k.must(err)
		for _, secret := range []string{"seed of user", pin + passcode(3, 0)[len(pin):]} {
			if out, err := exec.Command("grep", append([]string{"-a", "-c", "-F", secret}, files...)...).CombinedOutput(); err == nil {
				t.Errorf("%q is in the files: %s", secret, out)
			}
		}
		if out, err := exec.Command("grep", append([]string{"-a", "-F", "-l", userName(3)}, files...)...).CombinedOutput(); err != nil {
			t.Errorf("the search finds nothing at all: %v, %s", err, out)
		}
	}
	look()
	k.must(k.Close())
	look()
}

// TestStoreDoesNotPrintSecrets plants a PIN and a seed and prints all there is.
func TestStoreDoesNotPrintSecrets(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	k.must(k.Close())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x"} {
		text := fmt.Sprintf(verb, k.Store)
		for _, secret := range [][]byte{seed(0), []byte(passcode(0, 0))} {
			for _, form := range []string{string(secret), fmt.Sprint(secret), fmt.Sprintf("%x", secret), strings.Trim(fmt.Sprint(secret), "[]")} {
				if strings.Contains(text, form) {
					t.Errorf("%s prints a secret as %q", verb, form)
				}
			}
		}
	}
}

func TestLogIsWrittenInAdvanceAndStaysSmall(t *testing.T) {
	k := newKit(t)
	if size := fileSize(k.options.Path + "-wal"); size != walSize {
		t.Errorf("the log has %d bytes at the start, want %d", size, walSize)
	}
	attributes := make([]byte, 4096)
	const records = 6 * walSize / 4096
	told := make(chan error, 1000)
	for sent, done := 0, 0; done < records; {
		if sent < records && sent-done < cap(told) {
			if !k.AppendAccounting(noon, "ras", "192.0.2.1", attributes, func(err error) { told <- err }) {
				t.Fatal("refused")
			}
			sent++
			continue
		}
		k.must(<-told)
		done++
	}
	if size := fileSize(k.options.Path + "-wal"); size > 3*walSize {
		t.Errorf("after %d bytes the log has %d, want %d or little more", records*4096, size, walSize)
	}
}

// TestStartReplaysTheJournal crashes stores before, in and after a fold.
func TestStartReplaysTheJournal(t *testing.T) {
	k := newKit(t)
	const users = 2 * foldChunk
	k.populate(users, false)
	parallel(8, func(part int) {
		for n := part; n < users; n += 8 {
			k.expect(otp.Accepted, n, passcode(n, 4))
		}
	})
	check := func(o Options, unfolded int64) {
		t.Helper()
		crashed := openKit(t, o)
		if got := crashed.unfolded.Load(); got != unfolded {
			t.Errorf("%d records to replay, want %d", got, unfolded)
		}
		for serial, counter := range crashed.counters() {
			if counter != 5 {
				t.Fatalf("%s: counter %d, want 5", serial, counter)
			}
		}
		crashed.expect(otp.Replayed, 1, passcode(1, 4))
		crashed.expect(otp.Accepted, users-1, passcode(users-1, 5))
	}
	imports := int64(users / tables.ImportChunk)
	if users%tables.ImportChunk != 0 {
		imports++
	}
	check(k.crash(), users+imports)

	// a fold, by hand as far as its first chunk
	var changes []store.Change
	k.must(k.do(context.Background(), func() error { k.overlay.begin(); return nil }))
	changes = k.collect()
	if len(changes) != users {
		t.Fatalf("%d states are to be folded, want %d", len(changes), users)
	}
	k.must(k.do(context.Background(), func() error { return k.writeStates(changes[:foldChunk]) }))
	check(k.crash(), users+imports)

	// that one is given up; another one goes through
	k.must(k.fold(context.Background()))
	check(k.crash(), 0)
	if n := len(k.collect()); n != 0 {
		t.Errorf("after the fold %d states are to be folded", n)
	}
}
