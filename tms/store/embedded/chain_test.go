package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/audit"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// verified expects a chain without a fault, and returns the report.
func verified(tb testing.TB, log audit.Log) audit.Report {
	tb.Helper()
	report, err := audit.Verify(context.Background(), log, audit.VerifyOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	if !report.OK() {
		tb.Errorf("the chain has faults: %+v", report.Faults)
	}
	return report
}

// openAudit opens a file to read its chain, and closes it at the end of the test.
func openAudit(tb testing.TB, path string) *AuditFile {
	tb.Helper()
	f, err := OpenAudit(path)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := errors.Join(f.Close(), f.Close()); err != nil {
			tb.Error(err)
		}
	})
	return f
}

// TestARolledBackActLeavesNoGap has transactions fail after their act was written.
func TestARolledBackActLeavesNoGap(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	before := k.committer.heads
	fault := errors.New("too late")
	act := tms.Act{At: noon, Verb: "test"}
	for range 3 {
		err := k.do(t.Context(), func() error {
			return k.transaction(func(*conn) error {
				return errors.Join(k.insertAct(&act), k.insertAct(&act), k.insertAccounting(store.BeginBatch(nil)), fault)
			})
		})
		if !errors.Is(err, fault) {
			t.Errorf("error %v", err)
		}
	}
	k.must(k.do(t.Context(), func() error { // these belong to the committer
		if now := k.committer.heads; fmt.Sprint(now) != fmt.Sprint(before) {
			t.Errorf("heads %+v, want %+v", now, before)
		}
		return nil
	}))
	k.expect(otp.Accepted, 0, passcode(0, 0))
	if r := verified(t, k); r.Batches != 2 || r.Last != 2 {
		t.Errorf("report %+v", r)
	}
}

// TestChainAfterFailures has commits fail and the store recover.
func TestChainAfterFailures(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	for n := range uint64(3) {
		k.expect(otp.Accepted, 0, passcode(0, n))
		k.must(k.do(t.Context(), k.refuseWrites))
		if err := k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}); err == nil {
			t.Error("an act was recorded")
		}
		k.awaitReady()
		if r := verified(t, k); r.Last != r.Batches {
			t.Errorf("report %+v", r)
		}
	}
	k.expect(otp.Accepted, 0, passcode(0, 3))
	if r := verified(t, k.reopen()); r.Unsigned != 0 || r.Checkpoints == 0 {
		t.Errorf("report %+v", r)
	}
}

// TestLoginsAndAccountingShareACommit crashes a store between commits, each of which has
// a login and a record, both or neither.
func TestLoginsAndAccountingShareACommit(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	told := make(notified, 1)
	done := make(chan error, 1)
	k.must(k.do(t.Context(), func() error { // the committer is here, so both wait
		a := attempt(0, passcode(0, 1))
		a.Waiter = told
		if !k.Submit(a) || !k.AppendAccounting(noon, "ras", "", []byte("x"), func(err error) { done <- err }) {
			t.Error("refused")
		}
		return nil
	}))
	if err := errors.Join(<-told, <-done); err != nil {
		t.Error(err)
	}
	if h := k.committer.heads; h.Batch != 3 || h.lastAccounting != 1 {
		t.Errorf("heads %+v", h)
	}
	k.must(k.do(t.Context(), func() error {
		a := attempt(0, passcode(0, 2))
		a.Waiter = told
		k.Submit(a)
		k.AppendAccounting(noon, "ras", "", []byte("y"), func(err error) { done <- err })
		return k.db.writer.script("DROP TABLE accounting") // after the login was written
	}))
	if a, b := <-told, <-done; a == nil || b == nil {
		t.Errorf("a commit failed in its midst, and who waited heard %v and %v", a, b)
	}
	c, err := openConn(k.options.Path)
	k.must(err)
	k.must(errors.Join(c.script("CREATE TABLE accounting (batch INTEGER PRIMARY KEY, records BLOB NOT NULL) STRICT"), c.close()))
	k.awaitReady()
	k.expect(otp.Accepted, 0, passcode(0, 2)) // it is not burned
	verified(t, k)
}

// TestMigratedChain verifies a journal of before there was a chain.
func TestMigratedChain(t *testing.T) {
	for version := 1; version < chainedVersion; version++ {
		o := oldVersion(t, version)
		if _, err := OpenAudit(o.Path); err == nil || !strings.Contains(err.Error(), fmt.Sprint("format ", version)) {
			t.Errorf("version %d: error %v", version, err)
		}
		k := openKit(t, o)
		if r := verified(t, k); r.Batches != 2 || r.Bare != 1 || r.Last != 2 {
			t.Errorf("version %d: report %+v", version, r)
		}
		k.expect(otp.Accepted, 1, passcode(1, 7))
		k = k.reopen()
		if r := verified(t, openAudit(t, o.Path)); r.Batches != 3 || r.Bare != 1 || r.Unsigned != 0 {
			t.Errorf("version %d: report %+v", version, r)
		}
		k.must(k.do(t.Context(), func() error {
			return k.db.writer.Exec("UPDATE journal SET records = (SELECT records FROM journal WHERE batch = 2) WHERE batch = 1")
		}))
		if r, err := audit.Verify(t.Context(), k, audit.VerifyOptions{}); err != nil || r.OK() {
			t.Errorf("version %d: a batch of before was changed: report %+v, error %v", version, r, err)
		}
	}
}

// TestJournalWithoutItsEnd goes on after what was there once.
func TestJournalWithoutItsEnd(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	for n := range uint64(3) {
		k.expect(otp.Accepted, 0, passcode(0, n))
	}
	k = k.reopen()
	k.must(k.do(t.Context(), func() error { return k.db.writer.script("DELETE FROM journal WHERE batch > 2") }))
	var said bytes.Buffer
	k.options.Logger = newLogger(&said)
	k = k.reopen()
	if !strings.Contains(said.String(), "the audit log is not what it was") {
		t.Errorf("logged: %q", &said)
	}
	if acts := k.gaps(); len(acts) != 1 || acts[0].Detail != "the journal ends with batch 2, and there is a checkpoint of batch 4" {
		t.Errorf("acts %+v", acts)
	}
	if r, err := audit.Verify(t.Context(), k, audit.VerifyOptions{}); err != nil || len(r.Faults) != 1 || r.Faults[0].Kind != audit.Missing {
		t.Errorf("report %+v, error %v", r, err)
	}
	k = k.reopen()
	if acts := k.gaps(); len(acts) != 1 {
		t.Errorf("a start later: acts %+v", acts)
	}
	a := attempt(0, passcode(0, 3))
	if verdict, err := k.Verify(t.Context(), a); verdict != otp.Accepted || err != nil || a.Event.Batch != 6 {
		t.Errorf("%v, error %v, event %v", verdict, err, a.Event)
	}
	k.must(k.Close())
	if r, err := audit.Verify(t.Context(), openAudit(t, k.options.Path), audit.VerifyOptions{}); err != nil || r.OK() {
		t.Errorf("report %+v, error %v", r, err)
	}
}

// gaps are the acts that say that the end of the journal may be missing.
func (k *kit) gaps() (acts []tms.Act) {
	k.Helper()
	k.must(k.Events(k.Context(), tms.Filter{}, func(e *tms.Event) error {
		if e.Verb == "audit.gap" {
			acts = append(acts, e.Act)
		}
		return nil
	}))
	return acts
}

// TestSignerIsSealed rotates the keys and restores a backup: the signing key stays, and
// the chain goes on.
func TestSignerIsSealed(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	key, err := k.AuditKey(t.Context())
	k.must(err)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	noted, err := k.Checkpoint(t.Context())
	k.must(err)
	next := newKEK(t, 8)
	k.must(k.RotateKeys(t.Context(), next, nil))
	backup := filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(t.Context(), backup, nil))
	k.expect(otp.Accepted, 0, passcode(0, 1))
	k.must(k.Close())
	o := k.options
	o.KEKs = []seal.KEK{next}
	k.must(Restore(t.Context(), backup, o.Path, o, otp.DefaultPolicy()))
	k = openKit(t, o)
	k.must(k.Check(t.Context()))
	k.must(k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}))
	r, err := audit.Verify(t.Context(), k, audit.VerifyOptions{Key: key, Noted: []audit.Checkpoint{noted}})
	if err != nil || !r.OK() || r.Noted != 1 || r.Unsigned != 1 {
		t.Errorf("report %+v, error %v", r, err)
	}
	for _, file := range []string{o.Path, backup} {
		b, err := os.ReadFile(file)
		k.must(err)
		if !bytes.Contains(b, key) || bytes.Contains(b, seedOfSigner(k)) {
			t.Errorf("%s has the seed of the signer, or not its public key", file)
		}
	}
}

func seedOfSigner(k *kit) (seed []byte) {
	k.must(k.read(func(c *conn) error {
		return c.Query(readMeta, func(r tables.Row) (err error) {
			seed, err = k.keyring.Open(nil, r.Blob(0), "signer")
			return err
		}, tables.MetaSigner)
	}))
	return seed
}

// TestOpenAudit reads stores that are in use, crashed, closed and backed up, and leaves
// them as they were.
func TestOpenAudit(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	live := openAudit(t, k.options.Path)
	if r := verified(t, live); r.Last != 2 {
		t.Errorf("in use: report %+v", r)
	}
	k.expect(otp.Accepted, 0, passcode(0, 1))
	if r := verified(t, live); r.Last != 3 {
		t.Errorf("a login later: report %+v", r)
	}
	k.must(live.Close())
	if err := live.Batches(t.Context(), 0, nil); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("closed: error %v", err)
	}
	backup := filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(t.Context(), backup, nil))
	crashed := k.crash()
	k.must(k.Close())
	for _, path := range []string{backup, crashed.Path, k.options.Path} {
		before, err := os.ReadFile(path)
		k.must(err)
		files := ends(t, path)
		if r := verified(t, openAudit(t, path)); r.Last != 3 {
			t.Errorf("%s: report %+v", path, r)
		}
		after, err := os.ReadFile(path)
		k.must(err)
		if now := ends(t, path); !bytes.Equal(before, after) || path != crashed.Path && !slices.Equal(now, files) {
			t.Errorf("%s has changed, beside it are %q, before %q", path, now, files)
		}
	}
	closed := openAudit(t, k.options.Path)
	openKit(t, k.options)
	if err := closed.Batches(t.Context(), 0, func(*audit.Batch) error { return nil }); err == nil || !strings.Contains(err.Error(), "begin anew") {
		t.Errorf("opened by a server meanwhile: error %v", err)
	}
}

// ends are the files that begin with a path.
func ends(t *testing.T, path string) []string {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestOpenAuditRefuses(t *testing.T) {
	folder := t.TempDir()
	text, empty := filepath.Join(folder, "text"), filepath.Join(folder, "empty")
	for path, content := range map[string]string{text: strings.Repeat("not a database\n", 1000), empty: ""} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{folder, text, empty, filepath.Join(folder, "none")} {
		if _, err := OpenAudit(path); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: error %v", path, err)
		}
	}
	if files := ends(t, folder+"/"); len(files) != 2 {
		t.Errorf("there are now %q", files)
	}
}

// TestDamagedPage overwrites a page of the journal: the error names the file and the
// batch before.
func TestDamagedPage(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	const batches = 60
	for n := range batches {
		k.must(k.Record(t.Context(), tms.Act{At: noon, Verb: "test", Detail: fmt.Sprintf("%03d %s", n, strings.Repeat("x", 3000))}))
	}
	k.must(k.Close())
	b, err := os.ReadFile(k.options.Path)
	k.must(err)
	at := bytes.Index(b, []byte("030 xxx")) / pageSize * pageSize
	clear(b[at : at+pageSize])
	k.must(os.WriteFile(k.options.Path, b, 0o600))
	f := openAudit(t, k.options.Path)
	last := uint64(0)
	err = f.Batches(t.Context(), 0, func(b *audit.Batch) error { last = b.Number; return nil })
	if want := fmt.Sprintf("%q after batch %d", k.options.Path, last); err == nil || !strings.Contains(err.Error(), want) || last < 25 || last > 31 {
		t.Errorf("error %v, want one with %s", err, want)
	}
}

// TestBatchesWithDamagedHashes has hashes that are none.
func TestBatchesWithDamagedHashes(t *testing.T) {
	for name, sql := range map[string]string{
		"a hash cut off":         "UPDATE journal SET chain = x'00' WHERE batch = 2",
		"a hash too long":        "UPDATE journal SET chain = zeroblob(33) WHERE batch = 2",
		"a checkpoint's cut off": "UPDATE checkpoint SET chain = x'00'",
		"a key cut off":          "UPDATE meta SET value = x'00' WHERE name = 'verifier'",
		"another key":            "UPDATE meta SET value = zeroblob(32) WHERE name = 'verifier'",
		"a batch changed":        "UPDATE journal SET records = x'0100' WHERE batch = 1",
		"a batch missing":        "DELETE FROM journal WHERE batch = 2",
		"the last missing":       "DELETE FROM journal WHERE batch = 3",
		"a checkpoint changed":   "UPDATE checkpoint SET at = at - 1",
	} {
		k := newKit(t)
		k.populate(1, false)
		k.expect(otp.Accepted, 0, passcode(0, 0))
		k.expect(otp.Accepted, 0, passcode(0, 1))
		_, err := k.Checkpoint(t.Context())
		k.must(err)
		k.must(k.Check(t.Context()))
		k.must(k.do(t.Context(), func() error { return k.db.writer.script(sql) }))
		if err := k.Check(t.Context()); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}

// TestPruneBrokenOff crashes a store while what is old is removed.
func TestPruneBrokenOff(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	const acts = 3 * tables.PruneRows
	for range acts {
		k.must(k.Record(t.Context(), tms.Act{At: noon, Verb: "test"}))
	}
	k = k.reopen()
	broken, rest := k, int64(0)
	for attempt := 0; rest < 2; attempt++ { // until it is broken off before its end
		if attempt == 50 {
			t.Fatal("no Prune could be broken off")
		}
		broken = openKit(t, k.crash())
		rest = broken.breakOffPrune()
	}
	if rest > acts+2 {
		t.Errorf("%d batches are left", rest)
	}
	crashed := openKit(t, broken.crash())
	if r := verified(t, crashed); r.Begin == nil || r.Batches != 1 {
		t.Errorf("report %+v", r)
	}
	crashed.must(crashed.Check(t.Context()))
	if n, err := crashed.Prune(t.Context(), time.Time{}, math.MaxInt64, tms.Act{}); n != rest-1 || err != nil {
		t.Errorf("the rest: %d, error %v, want %d", n, err, rest-1)
	}
	verified(t, crashed)
}

// breakOffPrune stops a Prune after its first transaction, if it is quick enough, and
// returns how many batches are left.
func (k *kit) breakOffPrune() (rest int64) {
	k.Helper()
	ctx, stop := context.WithCancel(k.Context())
	k.must(k.do(ctx, func() error {
		go func() {
			for k.pruned() == 0 {
			}
			stop()
		}()
		return nil
	}))
	_, _ = k.Prune(ctx, noon.Add(time.Second), math.MaxInt64, tms.Act{At: noon, Verb: "audit.prune"})
	k.must(k.read(func(c *conn) (err error) { rest, err = c.Number("SELECT count(*) FROM journal"); return err }))
	return rest
}

func (k *kit) pruned() (batch int64) {
	k.must(k.read(func(c *conn) (err error) { batch, err = c.Number(readMeta, tables.MetaPruned); return err }))
	return batch
}

// TestPruneDoesNotHideDamage leaves a journal whose checkpoint is not right.
func TestPruneDoesNotHideDamage(t *testing.T) {
	for _, sql := range []string{"UPDATE checkpoint SET signature = zeroblob(64)", "UPDATE journal SET chain = zeroblob(32)"} {
		k := newKit(t)
		k.populate(1, false)
		k = k.reopen()
		k.must(k.do(t.Context(), func() error { return k.db.writer.script(sql) }))
		if n, err := k.Prune(t.Context(), noon.Add(time.Second), math.MaxInt64, tms.Act{At: noon}); n != 0 || err == nil {
			t.Errorf("%s: %d batches were removed, error %v", sql, n, err)
		}
	}
}

// TestPruneUnderLoad removes what is old while users log in.
func TestPruneUnderLoad(t *testing.T) {
	k := newKit(t)
	const users = 4
	k.acts(2000, noon.Add(-time.Hour))
	k.populate(users, false)
	k = k.reopen()
	done := make(chan struct{})
	parallel(users+1, func(n int) {
		if n == users {
			defer close(done)
			for removed := int64(0); removed < 2000; {
				n, err := k.Prune(t.Context(), noon, math.MaxInt64, tms.Act{At: noon, Verb: "audit.prune"})
				if removed += n; err != nil || n == 0 {
					t.Errorf("%d batches were removed, error %v", removed, err)
					return
				}
			}
			return
		}
		for counter := uint64(0); ; counter++ {
			k.expect(otp.Accepted, n, passcode(n, counter))
			select {
			case <-done:
				return
			default:
			}
		}
	})
	verified(t, k)
	verified(t, k.reopen())
}
