package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/store/tables"
)

// newHistoryKit is a kit with a small index, and what its store logs.
func newHistoryKit(t *testing.T) (*kit, *bytes.Buffer) {
	o := testOptions(t)
	o.history = historyOptions{records: 50, batches: 20, retry: time.Millisecond}
	said := new(bytes.Buffer)
	o.Logger = slog.New(slog.NewTextHandler(said, nil))
	return openKit(t, o), said
}

// fillHistory records logins and accounting, and makes sessions.
func (k *kit) fillHistory() {
	k.Helper()
	for n := range 200 {
		a := attempt(n%9, "")
		a.Preset = []otp.Verdict{otp.Excluded, otp.UnknownUser}[n%2]
		if _, err := k.Verify(context.Background(), a); err != nil {
			k.Fatal(err)
		}
		if n%2 == 0 {
			k.must(k.account(fmt.Sprint("user", n%6)))
		}
	}
	k.settleHistory()
}

// account makes a record durable.
func (k *kit) account(attributes string) error {
	done := make(chan error, 1)
	if !k.AppendAccounting(noon, "ras", "192.0.2.1", []byte(attributes), func(err error) { done <- err }) {
		return errors.New("not taken")
	}
	return <-done
}

// settleHistory makes sessions of all that is in the log, one of each user, where each
// third record of a user is a repeat, and has the index finished.
func (k *kit) settleHistory() {
	k.Helper()
	k.must(k.tendHistory(context.Background()))
	for {
		n, err := k.takeSome()
		if k.must(err); n == 0 {
			return
		}
	}
}

func (k *kit) takeSome() (int, error) {
	return k.Take(context.Background(), 7, func(tx accounting.Tx, entries []accounting.Entry) error {
		for i := range entries {
			e := &entries[i]
			s := accounting.Session{ID: e.Position, Key: accounting.Key{NAS: e.NAS, SessionID: string(e.Attributes)}, User: string(e.Attributes), State: accounting.Open}
			if err := tx.Find(s.Key, func(found *accounting.Session) bool { s = *found; return false }); err != nil {
				return err
			}
			fingerprint := [16]byte{byte(s.Records / 2)}
			if _, err := tx.Note(s.ID, e, fingerprint); err != nil {
				return err
			}
			s.Records++
			if err := tx.Save(&s); err != nil {
				return err
			}
		}
		return nil
	})
}

// answers are what a history says.
type answers struct {
	Sessions []accounting.Session
	Records  []accounting.Entry
	Forward  []accounting.Entry
	Waiting  int64
	Found    [3][]tms.Event
}

func (k *kit) answers() (a answers) {
	k.Helper()
	ctx := context.Background()
	k.must(k.Sessions(ctx, accounting.Filter{}, func(s *accounting.Session) error { a.Sessions = append(a.Sessions, *s); return nil }))
	for i := range a.Sessions {
		k.must(k.Records(ctx, a.Sessions[i].ID, func(e *accounting.Entry) error { a.Records = append(a.Records, *e); return nil }))
	}
	_, err := k.Forwardable(ctx, accounting.Position{}, 1000, func(e *accounting.Entry) error { a.Forward = append(a.Forward, *e); return nil })
	k.must(err)
	a.Waiting, _, _, err = k.Waiting(ctx, accounting.Position{})
	k.must(err)
	a.Found = k.found()
	return a
}

func (k *kit) found() (found [3][]tms.Event) {
	k.Helper()
	for i, f := range []tms.Filter{{User: "user000003"}, {Verdict: otp.UnknownUser, NAS: "ras-gateway"}, {User: "nobody"}} {
		k.must(k.Events(context.Background(), f, func(e *tms.Event) error { found[i] = append(found[i], *e); return nil }))
	}
	return found
}

// segments is how many segments the index has.
func (k *kit) segments() (n int64) {
	k.Helper()
	k.must(k.readHistory(func(c *conn) (err error) { n, err = c.Number("SELECT count(*) FROM segment"); return err }))
	return n
}

// harm does something to the file of a history while its store is closed.
func harm(sql string) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		c, err := openConn(path)
		if err == nil {
			err = errors.Join(c.script(sql), c.close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// overwrite writes over a part of the file.
func overwrite(from int64) func(t *testing.T, path string) {
	return func(t *testing.T, path string) {
		b, err := os.ReadFile(path)
		if err == nil {
			copy(b[from:], bytes.Repeat([]byte("damage"), len(b)/6))
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestHistoryIsMadeAgain expects the same answers of a history that was lost.
func TestHistoryIsMadeAgain(t *testing.T) {
	for name, test := range map[string]struct {
		harm func(t *testing.T, path string)
		says string
	}{
		"missing": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "are made"},
		"empty":          {func(t *testing.T, path string) { _ = os.Truncate(path, 0) }, "are made"},
		"head":           {overwrite(0), "made again"},
		"pages":          {overwrite(pageSize), "made again"},
		"text":           {func(t *testing.T, path string) { _ = os.WriteFile(path, []byte("no database"), 0o600) }, "made again"},
		"version":        {harm("PRAGMA user_version = 99"), "it has another format"},
		"other program":  {harm("PRAGMA application_id = 99"), "it has another format"},
		"other store":    {harm("UPDATE meta SET value = x'01' WHERE name = 'of'"), "it is of another store"},
		"taken too much": {harm("UPDATE meta SET value = value + (1 << 40) WHERE name = 'taken'"), "it knows of more than the store"},
		"indexed ahead":  {harm("UPDATE segment SET last = 1 << 40"), "it knows of more than the store"},
	} {
		t.Run(name, func(t *testing.T) {
			k, said := newHistoryKit(t)
			k.fillHistory()
			want := k.answers()
			if n := k.segments(); n < 4 || len(want.Sessions) != 3 || len(want.Forward) != 51 || len(want.Found[0]) < 20 {
				t.Fatalf("%d segments, %d sessions, %d records to forward, %d events", n, len(want.Sessions), len(want.Forward), len(want.Found[0]))
			}
			k.must(k.Close())
			test.harm(t, historyPath(k.options.Path))
			said.Reset()
			k = openKit(t, k.options)
			if len(k.found()[0]) != len(want.Found[0]) {
				t.Error("a search finds less while the index is made")
			}
			k.settleHistory()
			if got := k.answers(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if k.segments() < 4 {
				t.Error("there is no index")
			}
			lines := 1
			if strings.Contains(test.says, "more than the store") { // the end of the store may have been cut off
				lines = 2
				if acts := k.gaps(); len(acts) != 1 || !strings.Contains(acts[0].Detail, "the history knows batch") {
					t.Errorf("acts %+v", acts)
				}
			}
			k.must(k.Close())
			if strings.Count(said.String(), "\n") != lines || !strings.Contains(said.String(), test.says) {
				t.Errorf("not %d lines with %q:\n%s", lines, test.says, said)
			}
			if n := strings.Count(said.String(), "the audit log is not what it was"); n != lines-1 {
				t.Errorf("%d times that the end may be missing:\n%s", n, said)
			}
		})
	}
}

// TestHistoryIsKept opens a store again and again: nothing is made twice.
func TestHistoryIsKept(t *testing.T) {
	k, said := newHistoryKit(t)
	k.fillHistory()
	want := k.answers()
	for range 3 {
		k = k.reopen()
		if n, err := k.takeSome(); n != 0 || err != nil {
			t.Errorf("took %d entries again, error %v", n, err)
		}
		if got := k.answers(); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if strings.Contains(said.String(), "made") {
		t.Error(said)
	}
}

// TestHistoryIsDamaged damages what is read while the store is open.
func TestHistoryIsDamaged(t *testing.T) {
	for name, sql := range map[string]string{
		"lists":   "UPDATE posting SET lists = x'80'",
		"lengths": "UPDATE posting SET lists = x'ff7f'",
		"counts":  "UPDATE segment SET counts = x'80'",
		"few":     "UPDATE segment SET counts = x'01'",
		"address": "UPDATE session SET address = 'nowhere'",
	} {
		t.Run(name, func(t *testing.T) {
			k, said := newHistoryKit(t)
			k.fillHistory()
			want := k.answers()
			k.must(k.writeHistory(func(w *conn) error { return w.script(sql) }))
			if got := k.found(); !reflect.DeepEqual(got, want.Found) {
				t.Errorf("found %+v, want %+v", got, want.Found)
			}
			_ = k.Sessions(context.Background(), accounting.Filter{}, func(*accounting.Session) error { return nil })
			k.settleHistory()
			if got := k.answers(); !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			k.must(k.Close())
			if !strings.Contains(said.String(), "made again") {
				t.Error(said)
			}
		})
	}
}

// TestPruneIndex removes the journal's beginning, and then all of it: the index has what is
// left, and goes on.
func TestPruneIndex(t *testing.T) {
	k, said := newHistoryKit(t)
	for _, segments := range []int64{1, 3, 5, math.MaxInt32} {
		k.fillHistory()
		last := int64(0)
		k.must(k.readHistory(func(c *conn) (err error) {
			last, err = c.Number("SELECT max(last) FROM (SELECT last FROM segment ORDER BY first LIMIT ?)", segments)
			return err
		}))
		k.must(k.do(t.Context(), func() error {
			return errors.Join(k.db.writer.Exec("DELETE FROM journal WHERE batch <= ?", last), k.db.writer.Exec(writeMeta, tables.MetaPruned, last))
		}))
		before := k.segments()
		k.settleHistory()
		if n := k.segments(); n != max(before-segments, 0) {
			t.Errorf("%d segments of %d are left, want %d less", n, before, segments)
		}
		k.must(k.readHistory(func(c *conn) error {
			stray, err := c.Number("SELECT count(*) FROM posting WHERE (id >> 18) * 4 + id % 4 NOT IN (SELECT number FROM segment)")
			if stray > 0 {
				t.Errorf("%d lists are of no segment", stray)
			}
			return err
		}))
		got := k.found()
		k.Store.history.indexed.Store(0) // read it all
		if want := k.found(); !reflect.DeepEqual(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
		k = k.reopen()
	}
	if strings.Contains(said.String(), "made again") {
		t.Error(said)
	}
}

// TestErrorsOfOthers: an error of the journal that comes by way of who makes sessions is
// none of the history.
func TestErrorsOfOthers(t *testing.T) {
	k, said := newHistoryKit(t)
	k.fillHistory()
	k.must(k.account("alice"))
	var broken error
	k.must(k.read(func(c *conn) error {
		broken = c.Exec("DELETE FROM journal") // it may only read
		return nil
	}))
	if resultCode(broken) == 0 {
		t.Fatal(broken)
	}
	refuse := func(accounting.Tx) error { return fmt.Errorf("asking: %w", broken) }
	if err := k.Change(context.Background(), refuse); !errors.Is(err, broken) {
		t.Error(err)
	}
	n, err := k.Take(context.Background(), 9, func(tx accounting.Tx, _ []accounting.Entry) error { return refuse(tx) })
	if n != 0 || !errors.Is(err, broken) {
		t.Errorf("took %d, error %v", n, err)
	}
	k.settleHistory()
	if said.Len() > 0 || len(k.answers().Sessions) != 4 {
		t.Error(said)
	}
}

// TestHistoryWithoutRoom has the history grow no more: logins, accounting and searches go
// on, and when there is room again so does the history.
func TestHistoryWithoutRoom(t *testing.T) {
	k, said := newHistoryKit(t)
	k.fillHistory()
	full := k.fillRoom()
	if resultCode(full) != resultFull {
		t.Fatal(full)
	}
	a := attempt(3, "")
	a.Preset = otp.Excluded
	if _, err := k.Verify(context.Background(), a); err != nil {
		t.Error(err)
	}
	k.must(k.account("one more"))
	if n := len(k.found()[0]); n != 23 {
		t.Errorf("%d events are found", n)
	}
	if n := k.history.log.count(); n == 0 {
		t.Error("nothing waits")
	}
	k.limitHistory("PRAGMA max_page_count = 1000000")
	k.settleHistory()
	if n := k.history.log.count(); n != 0 {
		t.Errorf("%d entries wait", n)
	}
	k.must(k.Close())
	for _, says := range []string{"the history failed", "the history works again"} {
		if n := strings.Count(said.String(), says); n != 1 {
			t.Errorf("%d times %q in\n%s", n, says, said)
		}
	}
}

// TestStoreWithoutHistory has a folder where the history should be.
func TestStoreWithoutHistory(t *testing.T) {
	k, _ := newHistoryKit(t)
	k.fillHistory()
	want := k.answers()
	k.must(k.Close())
	path := historyPath(k.options.Path)
	k.must(errors.Join(os.Remove(path), os.MkdirAll(path+"/folder", 0o700)))
	k = openKit(t, k.options)
	k.must(k.Ready())
	if got := k.found(); !reflect.DeepEqual(got, want.Found) {
		t.Errorf("found %+v, want %+v", got, want.Found)
	}
	if err := k.account("alice"); err != nil {
		t.Error(err)
	}
	if _, err := k.takeSome(); err == nil || !strings.Contains(err.Error(), "out of service") {
		t.Errorf("error %v", err)
	}
	k.must(os.RemoveAll(path))
	k.settleHistory()
	if n := len(k.answers().Sessions); n != len(want.Sessions)+1 {
		t.Errorf("%d sessions, want %d", n, len(want.Sessions)+1)
	}
}

// TestRestoreMakesHistoryAgain: what came after the backup did not happen.
func TestRestoreMakesHistoryAgain(t *testing.T) {
	k, said := newHistoryKit(t)
	k.fillHistory()
	want := k.answers()
	backup := k.options.Path + ".backup"
	k.must(k.Backup(context.Background(), backup, nil))
	k.fillHistory()
	box, err := k.BoxKey(t.Context())
	k.must(err)
	k.must(k.Close())
	k.must(Restore(context.Background(), backup, k.options.Path, k.options, otp.DefaultPolicy()))
	said.Reset()
	k = openKit(t, k.options)
	k.settleHistory()
	if got := k.answers(); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !strings.Contains(said.String(), "of another store") {
		t.Error(said)
	}
	// Batches have the numbers of others from before: a Class must not name the wrong login.
	if now, err := k.BoxKey(t.Context()); err != nil || bytes.Equal(now, box) {
		t.Errorf("BoxKey is as before, error %v", err)
	}
	if left, err := os.ReadDir(k.options.Path[:strings.LastIndex(k.options.Path, "/")]); err != nil || len(left) > 12 {
		t.Errorf("files %v, error %v", left, err)
	}
}

// TestHistoryAgainstLogins searches and makes sessions while there are logins.
func TestHistoryAgainstLogins(t *testing.T) {
	k, _ := newHistoryKit(t)
	const rounds = 300
	parallel(4, func(i int) {
		before := 0
		for n := range rounds {
			switch i {
			case 0, 1:
				a := attempt(n%5, "")
				a.Preset = otp.Excluded
				if _, err := k.Verify(context.Background(), a); err != nil {
					t.Error(err)
				}
			case 2:
				if err := k.account(fmt.Sprint("user", n%5)); err != nil {
					t.Error(err)
				}
				if _, err := k.takeSome(); err != nil {
					t.Error(err)
				}
			default:
				count := 0
				err := k.Events(context.Background(), tms.Filter{User: "user000003"}, func(*tms.Event) error { count++; return nil })
				if err != nil || count < before {
					t.Errorf("%d events, before %d, error %v", count, before, err)
				}
				before = count
			}
		}
	})
	k.settleHistory()
	if n, events := k.segments(), len(k.found()[0]); n < 5 || events != 2*rounds/5 {
		t.Errorf("%d segments, %d events", n, events)
	}
}
