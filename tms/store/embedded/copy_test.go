package embedded

import (
	"bufio"
	"bytes"
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
	"countersign/tms"
	"countersign/tms/store/storetest"
	"countersign/tms/store/tables"
)

// filledKit is a store with all that one can have, closed, and what it lists.
func filledKit(t *testing.T) (*kit, []string) {
	t.Helper()
	k := newKit(t)
	storetest.Fill(t, k.Store)
	k = k.reopen()
	storetest.Age(t, k.Store)
	k = k.reopen()
	all := storetest.Everything(t, k.Store)
	k.must(k.Close())
	return k, all
}

// elsewhere are options of another file.
func (k *kit) elsewhere() Options {
	o := k.options
	o.Path = filepath.Join(k.TempDir(), "copy.db")
	return o
}

// copyStores copies a store to another file.
func copyStores(ctx context.Context, from, to Options, o tables.CopyOptions) (tables.CopyReport, error) {
	source, err := OpenSource(ctx, from)
	if err != nil {
		return tables.CopyReport{}, err
	}
	defer source.Close()
	target, err := OpenTarget(ctx, to)
	if err != nil {
		return tables.CopyReport{}, err
	}
	r, err := tables.Copy(ctx, source, target, o)
	return r, errors.Join(err, target.Close())
}

// isCopy expects that a store is opened and is as another that listed want was.
func (k *kit) isCopy(o Options, want []string) {
	k.Helper()
	c := openKit(k.TB, o)
	storetest.SameLines(k.TB, storetest.Everything(k.TB, c.Store), want)
	storetest.GoesOn(k.TB, c.Store, 0)
	c = c.reopen()
	storetest.GoesOn(k.TB, c.Store, 1)
	k.must(c.Check(context.Background()))
}

func TestCopy(t *testing.T) {
	k, want := filledKit(t)
	to := k.elsewhere()
	before := files(t, k.options.Path)
	report, err := copyStores(context.Background(), k.options, to, tables.CopyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range report.Tables {
		if table.Rows == 0 {
			t.Errorf("table %s is empty, so nothing is tested of it", table.Name)
		}
	}
	if after := files(t, k.options.Path); after != before {
		t.Error("the source is not what it was")
	}
	k.isCopy(to, want)
}

// files are the bytes of all files beside a store, but for the lock.
func files(t *testing.T, path string) (all string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(name, ".lock") {
			all += fmt.Sprintf("%s %x\n", name, b)
		}
	}
	return all
}

// TestCopyKnowsAllTables finds tables, columns and values that a copy would leave behind.
func TestCopyKnowsAllTables(t *testing.T) {
	k, _ := filledKit(t)
	c, err := OpenSource(context.Background(), k.options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	anew := map[string]bool{"meta": true, "segment": true, "posting": true}
	for _, part := range []tables.CopyPart{tables.RecordsPart, tables.HistoryPart} {
		known := tables.CopiedColumns(part)
		err := c.Read(part, func(r tables.Conn) error {
			return r.Query("SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'", func(row tables.Row) error {
				if name := row.Text(0) + "." + row.Text(1); !known[name] && !anew[row.Text(0)] {
					t.Errorf("%s is not copied", name)
				}
				return nil
			})
		})
		if err != nil {
			t.Error(err)
		}
	}
}

// A copy that is broken off again and again, after some pages, ends well.
func TestCopyGoesOn(t *testing.T) {
	k, want := filledKit(t)
	to := k.elsewhere()
	tries := 0
	for done := false; !done; tries++ {
		ctx, cancel := context.WithCancel(context.Background())
		pages := 0
		report, err := copyStores(ctx, k.options, to, tables.CopyOptions{Page: 3, Progress: func(what string, _, _ int64) {
			if pages++; strings.HasPrefix(what, "copying") && pages == 30 {
				cancel()
			}
		}})
		cancel()
		switch {
		case err == nil:
			done = true
		case !errors.Is(err, context.Canceled):
			t.Fatal(err)
		default:
			k.refusesCopying(to)
		}
		if report.Resumed != (tries > 0) {
			t.Errorf("try %d: resumed %v", tries, report.Resumed)
		}
	}
	if tries < 2 {
		t.Error("it was not broken off")
	}
	k.isCopy(to, want)
}

// refusesCopying expects that nobody can open a copy which is not complete, nor copy it.
func (k *kit) refusesCopying(o Options) {
	k.Helper()
	if s, err := Open(context.Background(), o); err == nil || !strings.Contains(err.Error(), "not complete") {
		k.Fatalf("opened: %v, error %v", s != nil, err)
	}
	if _, err := copyStores(context.Background(), o, k.elsewhere(), tables.CopyOptions{}); err == nil || !strings.Contains(err.Error(), "not complete") {
		k.Errorf("copied, error %v", err)
	}
}

// What the process that copies is told: the source and the target.
const copyVariable = "EMBEDDED_TEST_COPY"

// TestCopyVictim is the process that TestCopyIsKilled kills.
func TestCopyVictim(t *testing.T) {
	from, to, told := strings.Cut(os.Getenv(copyVariable), "|")
	if !told {
		return
	}
	source, err := options(from)
	if err != nil {
		t.Fatal(err)
	}
	target := source
	target.Path = to
	_, err = copyStores(context.Background(), source, target, tables.CopyOptions{Page: 2, Progress: func(what string, done, total int64) {
		fmt.Println("page", what, done, total)
	}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestCopyIsKilled(t *testing.T) {
	k, want := filledKit(t)
	to := k.elsewhere()
	for pages := 5; pages < 45; pages += 13 {
		child := exec.Command(os.Args[0], "-test.run=^TestCopyVictim$")
		child.Env = append(os.Environ(), copyVariable+"="+k.options.Path+"|"+to.Path)
		out, err := child.StdoutPipe()
		k.must(err)
		k.must(child.Start())
		in := bufio.NewScanner(out)
		for n := 0; n < pages && in.Scan(); n++ {
			if !strings.HasPrefix(in.Text(), "page ") {
				t.Errorf("it said %q", in.Text())
			}
		}
		k.must(child.Process.Kill())
		_ = child.Wait()
	}
	report, err := copyStores(context.Background(), k.options, to, tables.CopyOptions{})
	if err != nil || !report.Resumed {
		t.Fatalf("resumed %v, error %v", report.Resumed, err)
	}
	k.isCopy(to, want)
}

// A store that was killed is put in order first; logins are in the journal only.
func TestCopyOfKilled(t *testing.T) {
	k := newKit(t)
	k.populate(3, false)
	k.expect(otp.Accepted, 1, passcode(1, 7))
	from := k.crash()
	to := k.elsewhere()
	if _, err := copyStores(context.Background(), from, to, tables.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	c := openKit(t, to)
	c.expect(otp.Replayed, 1, passcode(1, 7))
	c.expect(otp.Accepted, 1, passcode(1, 8))
}

// Large rows are copied a few at a time.
func TestCopyOfLargeRows(t *testing.T) {
	k := newKit(t)
	for _, name := range []string{"a", "b", "c", "d"} {
		k.must(k.KeepNote(context.Background(), "kind", name, bytes.Repeat([]byte(name), 3<<20)))
	}
	k.must(k.Close())
	pages := 0
	_, err := copyStores(context.Background(), k.options, k.elsewhere(), tables.CopyOptions{Progress: func(what string, _, _ int64) {
		if what == "copying note" {
			pages++
		}
	}})
	if err != nil || pages != 5 {
		t.Errorf("%d pages, want one for each row and the end, error %v", pages, err)
	}
}

// A copy goes to an empty place only, and goes on only with what is of the same source.
func TestRefusedCopies(t *testing.T) {
	ctx := context.Background()
	k, _ := filledKit(t)
	other, _ := filledKit(t)
	if _, err := copyStores(ctx, k.options, other.options, tables.CopyOptions{Anew: true}); !errors.Is(err, tables.ErrTargetUsed) || !strings.Contains(err.Error(), "user (8)") {
		t.Errorf("error %v", err)
	}
	openKit(t, other.options) // it is as good as before
	to := k.elsewhere()
	breakOff := tables.CopyOptions{Page: 2, Progress: func(what string, done, _ int64) {
		if what == "copying token" && done > 2 {
			panic("broken off")
		}
	}}
	func() {
		defer func() { _ = recover() }()
		_, _ = copyStores(ctx, k.options, to, breakOff)
	}()
	used := openKit(t, k.options)
	storetest.GoesOn(t, used.Store, 0)
	used = used.reopen()
	want := storetest.Everything(t, used.Store)
	k.must(used.Close())
	if _, err := copyStores(ctx, k.options, to, tables.CopyOptions{}); !errors.Is(err, tables.ErrSourceChanged) {
		t.Errorf("error %v", err)
	}
	if _, err := copyStores(ctx, k.options, to, tables.CopyOptions{Anew: true}); err != nil {
		t.Fatal(err)
	}
	c := openKit(t, to)
	storetest.SameLines(t, storetest.Everything(t, c.Store), want)
	if _, err := copyStores(ctx, to, k.elsewhere(), tables.CopyOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("copied from an open store: error %v", err)
	}
	if _, err := copyStores(ctx, k.options, to, tables.CopyOptions{}); !errors.Is(err, ErrLocked) {
		t.Errorf("copied to an open store: error %v", err)
	}
	wrong := k.options
	wrong.KEKs = []seal.KEK{newKEK(t, 9)}
	if _, err := copyStores(ctx, wrong, k.elsewhere(), tables.CopyOptions{}); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("copied with another key: error %v", err)
	}
}

// Damage of the source is found by the audit log, and copied as it is if that is wanted.
func TestCopyOfDamaged(t *testing.T) {
	k, _ := filledKit(t)
	c, err := openConn(k.options.Path, busyTimeout)
	k.must(err)
	k.must(c.script("UPDATE journal SET records = substr(records, 1, length(records) - 1) WHERE batch = (SELECT max(batch) - 1 FROM journal)"))
	k.must(c.close())
	to := k.elsewhere()
	for _, faults := range []bool{false, false, true} {
		report, err := copyStores(context.Background(), k.options, to, tables.CopyOptions{Faults: faults})
		if faults != (err == nil) || !faults && !errors.Is(err, tables.ErrAuditFaults) || report.Audit.OK() {
			t.Errorf("accepted %v: error %v, faults %+v", faults, err, report.Audit.Faults)
		}
	}
	openKit(t, to)
}

// A copy that somebody has changed before it was complete is not taken for good.
func TestCopyDiffers(t *testing.T) {
	k, want := filledKit(t)
	for _, change := range []string{
		"UPDATE token SET disabled = 1 - disabled WHERE id = 1",
		"DELETE FROM tms_seen WHERE name = 'event'",
		"UPDATE meta SET value = value + 1 WHERE name = 'users'",
	} {
		to := k.elsewhere()
		changed := false
		_, err := copyStores(context.Background(), k.options, to, tables.CopyOptions{Progress: func(what string, _, _ int64) {
			if !changed && strings.HasPrefix(what, "verifying") {
				changed = true
				c, err := openConn(to.Path, busyTimeout)
				k.must(err)
				k.must(errors.Join(c.script(change), c.close()))
			}
		}})
		if !errors.Is(err, tables.ErrCopyDiffers) {
			t.Errorf("%s: error %v", change, err)
		}
		if _, err := copyStores(context.Background(), k.options, to, tables.CopyOptions{Anew: true}); err != nil {
			t.Error(err)
		}
		c := openKit(t, to)
		storetest.SameLines(t, storetest.Everything(t, c.Store), want)
	}
}

// Without a history that can be used the server makes it again.
func TestCopyWithoutHistory(t *testing.T) {
	k, _ := filledKit(t)
	k.must(os.Remove(historyPath(k.options.Path)))
	to := k.elsewhere()
	if _, err := copyStores(context.Background(), k.options, to, tables.CopyOptions{}); err != nil {
		t.Fatal(err)
	}
	c := openKit(t, to)
	if users := c.counters(); len(users) == 0 {
		t.Error("there are no tokens")
	}
	k.must(c.Users(context.Background(), tms.Filter{}, func(*tms.User) error { return nil }))
}
