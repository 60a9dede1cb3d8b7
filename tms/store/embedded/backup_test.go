package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
)

func TestBackupUnderLoad(t *testing.T) {
	k := newKit(t)
	const users = 16
	k.populate(users, false)
	file := filepath.Join(t.TempDir(), "with 'quotes' and spaces.db")
	var before [users]uint64
	done := make(chan struct{})
	parallel(users+1, func(n int) {
		if n == users {
			defer close(done)
			if err := k.Backup(context.Background(), file, func(int64, int64) {}); err != nil {
				t.Error(err)
			}
			return
		}
		for ; ; before[n]++ {
			k.expect(otp.Accepted, n, passcode(n, before[n]))
			select {
			case <-done:
				return
			default:
			}
		}
	})
	o := k.options
	o.Path = file
	copied := openKit(t, o)
	k.must(copied.Check(context.Background()))
	for serial, counter := range copied.counters() {
		if now := k.token(serial).State.Counter; counter > now {
			t.Errorf("%s: counter %d in the backup, %d in the store", serial, counter, now)
		}
	}
}

func TestBackupRefuses(t *testing.T) {
	k := newKit(t)
	folder := t.TempDir()
	file, other := filepath.Join(folder, "backup.db"), filepath.Join(folder, "other.db")
	k.must(k.Backup(context.Background(), file, nil))
	if err := k.Backup(context.Background(), file, nil); err == nil || !strings.Contains(err.Error(), "exists") {
		t.Errorf("over a file that exists: error %v", err)
	}
	cancelled, cancel := context.WithCancel(context.Background())
	cancel()
	if err := k.Backup(cancelled, other, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
	if err := k.Backup(context.Background(), filepath.Join(file, "no", "folder"), nil); err == nil {
		t.Error("a backup into no folder")
	}
	left, err := filepath.Glob(filepath.Join(folder, "*"))
	k.must(err)
	if !slices.Equal(left, []string{file}) {
		t.Errorf("there are now %q, want the backup alone", left)
	}
}

// backedUp is a store with users who logged in, and a backup made before their
// last logins: user 0 has an event token, user 1 a clock token.
func backedUp(t *testing.T) (k *kit, backup string) {
	k = newKit(t)
	k.populate(2, true)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	k.expect(otp.Accepted, 1, passcode(1, step(noon)-1))
	backup = filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(context.Background(), backup, nil))
	k.expect(otp.Accepted, 0, passcode(0, 1))
	k.expect(otp.Accepted, 1, passcode(1, step(noon)))
	return k, backup
}

// step is the time step of the clock tokens here.
func step(at time.Time) uint64 { return uint64(oath.TimeStep(at, 0, 30)) }

func TestRestoreLetsNoUsedCodePass(t *testing.T) {
	k, backup := backedUp(t)
	k.must(k.Close())
	o := k.options
	o.Clock = func() time.Time { return noon.Add(time.Minute) }
	policy := otp.DefaultPolicy()
	k.must(Restore(context.Background(), backup, o.Path, o, policy))
	k = openKit(t, o)

	k.expect(otp.NextCode, 0, passcode(0, 1)) // used after the backup was made
	k.expect(otp.NextCode, 0, passcode(0, 1))
	k.expect(otp.NextCode, 0, passcode(0, 7))
	k.expect(otp.Accepted, 0, passcode(0, 8))
	k.expect(otp.Accepted, 0, passcode(0, 9))

	last := step(o.Clock()) + uint64(policy.Window) + 1
	for s := step(noon) - 2; s <= last; s++ {
		a := attempt(1, passcode(1, s))
		for _, at := range []time.Time{noon.Add(time.Minute), time.Unix(int64(s)*30, 0)} {
			a.At = at
			if verdict, err := k.Verify(context.Background(), a); verdict == otp.Accepted || err != nil {
				t.Errorf("step %d of %d at %v: %v, error %v", s, last, at, verdict, err)
			}
		}
	}
	k.changeFailures(serial(1), 0)
	a := attempt(1, passcode(1, last+1))
	a.At = time.Unix(int64(last+1)*30, 0)
	if verdict, err := k.Verify(context.Background(), a); verdict != otp.Accepted || err != nil {
		t.Errorf("the first step after: %v, error %v", verdict, err)
	}
	k.restoredFiles(t, backup)
}

func (k *kit) changeFailures(s otp.Serial, failures uint16) {
	k.Helper()
	k.must(k.ChangeToken(context.Background(), s, tms.Act{At: noon}, func(t *tms.Token) error {
		t.State.Failures, t.State.LockedUntil = failures, 0
		return nil
	}))
}

// restoredFiles checks what a restore leaves: the old store, which opens, the
// backup, and nothing half done.
func (k *kit) restoredFiles(t *testing.T, backup string) {
	t.Helper()
	files, err := filepath.Glob(k.options.Path + "*")
	k.must(err)
	var aside string
	for _, file := range files {
		switch name := strings.TrimPrefix(file, k.options.Path); {
		case strings.HasPrefix(name, ".before-restore-"):
			aside = strings.TrimSuffix(file, "-wal")
		case strings.Contains(name, "restor"):
			t.Errorf("%s is left over", file)
		}
	}
	if _, err := os.Stat(backup); err != nil {
		t.Error(err)
	}
	o := k.options
	o.Path = aside
	old := openKit(t, o)
	old.expect(otp.Replayed, 0, passcode(0, 1))
	old.expect(otp.Accepted, 0, passcode(0, 2))
	found := false
	k.must(k.Events(context.Background(), tms.Filter{}, func(e *tms.Event) error {
		found = found || e.Verb == "store.restore"
		return nil
	}))
	if !found {
		t.Error("the journal says nothing of the restore")
	}
}

// TestRestoreKeepsTheLog restores over a store whose process was killed: what is
// in its log alone must be kept aside too.
func TestRestoreKeepsTheLog(t *testing.T) {
	k, backup := backedUp(t)
	o := k.crash()
	k.must(Restore(context.Background(), backup, o.Path, o, otp.DefaultPolicy()))
	openKit(t, o).restoredFiles(t, backup)
}

func TestRestoreRefuses(t *testing.T) {
	k, backup := backedUp(t)
	live := k.crash() // has a log beside it
	k.must(k.Close())
	restore := func(from string, o Options, want string) {
		t.Helper()
		err := Restore(context.Background(), from, k.options.Path, o, otp.DefaultPolicy())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("restoring %s: error %v, want one with %q", from, err, want)
		}
		if files, _ := filepath.Glob(k.options.Path + "*restor*"); len(files) > 0 {
			t.Errorf("restoring %s leaves %q", from, files)
		}
	}
	restore(live.Path, k.options, "log beside it")
	restore("/no/such/file", k.options, "no such file")
	other := k.options
	other.KEKs = []seal.KEK{newKEK(t, 9)}
	restore(backup, other, "key")
	damaged := filepath.Join(t.TempDir(), "damaged.db")
	b, err := os.ReadFile(backup)
	k.must(err)
	k.must(os.WriteFile(damaged, b[:len(b)/2], 0o600))
	restore(damaged, k.options, "")
	k = openKit(t, k.options) // as if nothing had been tried
	k.expect(otp.Replayed, 0, passcode(0, 1))
	k.expect(otp.Accepted, 0, passcode(0, 2))
}

func TestRestoreWhereNothingWas(t *testing.T) {
	_, backup := backedUp(t)
	o := testOptions(t)
	if err := Restore(context.Background(), backup, o.Path, o, otp.DefaultPolicy()); err != nil {
		t.Fatal(err)
	}
	openKit(t, o).expect(otp.NextCode, 0, passcode(0, 1))
}

// TestRestoreBrokenOff leaves what a crash between the last steps would.
func TestRestoreBrokenOff(t *testing.T) {
	k, backup := backedUp(t)
	k.must(k.Close())
	k.must(os.Rename(k.options.Path, k.options.Path+restoringName))
	if _, err := Open(context.Background(), k.options); err == nil || !strings.Contains(err.Error(), "broken off") {
		t.Errorf("error %v, want one that says the restore was broken off", err)
	}
	k.must(Restore(context.Background(), backup, k.options.Path, k.options, otp.DefaultPolicy()))
	openKit(t, k.options).expect(otp.NextCode, 0, passcode(0, 1))
}

func TestCheckFindsDamage(t *testing.T) {
	for name, sql := range map[string]string{
		"a PIN moved to another user":   "UPDATE user SET pin = (SELECT pin FROM user WHERE id = 1) WHERE id = 2",
		"a seed moved to another token": "UPDATE token SET seed = (SELECT seed FROM token WHERE id = 1) WHERE id = 2",
		"a seed cut off":                "UPDATE token SET seed = substr(seed, 1, 20) WHERE id = 2",
		"a home that nobody has":        "UPDATE user SET home = 3 WHERE id = 2",
		"a state that does not parse":   "INSERT INTO state (token_id, rev, state) VALUES (2, 9, x'ffff')",
		"a rule that does not parse":    "UPDATE rule SET text = '{' WHERE to_rev IS NULL",
		"an old rule that does not":     "UPDATE rule SET text = '{' WHERE to_rev IS NOT NULL",
		"a rule that is missing":        "DELETE FROM rule WHERE to_rev IS NULL",
		"an order that does not parse":  "UPDATE rule_order SET ids = '[1,'",
	} {
		k := newKit(t)
		k.populate(3, false)
		k.setFileRules("one")
		k.setFileRules("two")
		k.must(k.Check(context.Background()))
		k.must(k.do(context.Background(), func() error { return k.db.writer.script(sql) }))
		if err := k.Check(context.Background()); err == nil {
			t.Errorf("%s: not found", name)
		}
	}
}
