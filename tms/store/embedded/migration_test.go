package embedded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
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
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// oldUsers is how many users a store of an old version has in these tests.
const oldUsers = 3

// oldVersion makes a store of an old version, with users, tokens, states and a
// journal that no fold has reached, by hand, and returns options for it.
func oldVersion(t *testing.T, version int) Options {
	t.Helper()
	o := testOptions(t)
	schema, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("version%d.sql", version)))
	if err != nil {
		t.Fatal(err)
	}
	if err := createFile(o.Path); err != nil {
		t.Fatal(err)
	}
	c, err := openConn(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	marks := fmt.Sprintf("PRAGMA journal_mode(WAL); PRAGMA application_id = %d; PRAGMA user_version = %d", applicationID, version)
	if err := errors.Join(c.script(string(schema)), c.script(marks), fillOldVersion(c, o), c.close()); err != nil {
		t.Fatal(err)
	}
	return o
}

func firstVersion(t *testing.T) Options { return oldVersion(t, 1) }

func fillOldVersion(c *conn, o Options) error {
	keyring, err := seal.NewKeyring(o.Rand)
	if err != nil {
		return err
	}
	sealed, err := keyring.Marshal(o.KEKs[0], o.Rand)
	if err != nil {
		return err
	}
	errs := []error{c.Exec("INSERT INTO meta VALUES ('keyring', ?), ('folded', 1), ('users', ?), ('tokens', ?)", sealed, int64(oldUsers), int64(oldUsers))}
	for n := range int64(oldUsers) {
		pin, err := keyring.Seal(nil, []byte(pin), "pin/"+userName(int(n)))
		errs = append(errs, err)
		seed, err := keyring.Seal(nil, seed(int(n)), "seed/"+string(serial(int(n))))
		errs = append(errs, err,
			c.Exec("INSERT INTO user (id, name, pin, disabled, created) VALUES (?, ?, ?, 0, ?)", n+1, userName(int(n)), pin, noon.Unix()),
			c.Exec("INSERT INTO token (id, serial, user_id, type, algorithm, digits, period, t0, seed, disabled, created) "+
				"VALUES (?, ?, ?, 1, 0, 6, 0, 0, ?, 0, ?)", n+1, string(serial(int(n))), n+1, seed, noon.Unix()),
			c.Exec("INSERT INTO state VALUES (?, 4, ?)", n+1, store.AppendState(nil, &otp.State{Counter: 4})))
	}
	folded := oldBatch(0, store.Change{Token: 1, Rev: 3, State: otp.State{Counter: 3}})
	unfolded := oldBatch(1, store.Change{Token: 2, Rev: 5, State: otp.State{Counter: 7}})
	return errors.Join(append(errs,
		c.Exec("INSERT INTO journal VALUES (1, ?), (2, ?)", folded, unfolded),
		c.Exec("INSERT INTO nas_seen VALUES ('ras')"))...)
}

// oldBatch is a batch with a login.
func oldBatch(user int, change store.Change) []byte {
	r := oldLogin(user, change)
	return store.AppendToBatch(store.BeginBatch(nil), store.AppendRecord(nil, &r))
}

func oldLogin(user int, change store.Change) store.Record {
	login := tms.Login{User: userName(user), NAS: "ras", Decision: otp.Decision{Verdict: otp.Accepted, Serial: serial(user)}}
	return store.Record{Event: tms.Event{At: noon, Kind: tms.LoginEvent, Login: login}, Changes: []store.Change{change}}
}

// isMigrated expects that a store which was of an old version has kept everything and
// can do everything.
func (k *kit) isMigrated() {
	k.Helper()
	version := int64(0)
	k.must(k.read(func(c *conn) (err error) { version, err = c.Number("PRAGMA user_version"); return err }))
	if version != schemaVersion {
		k.Errorf("version %d, want %d", version, schemaVersion)
	}
	k.must(k.Check(context.Background()))
	if seen, err := k.MessageAuthenticatorSeen(context.Background()); err != nil || len(seen) != 1 {
		k.Errorf("seen %q, error %v", seen, err)
	}
	logins := 0
	k.must(k.Events(context.Background(), tms.Filter{}, func(e *tms.Event) error {
		if e.Kind == tms.LoginEvent && e.ID.Batch <= 2 && e.Rule == 0 && e.Trace == nil {
			logins++
		}
		return nil
	}))
	if logins != 2 {
		k.Errorf("%d logins of before, want 2", logins)
	}
}

// usesRules adds rules and logs in by them.
func (k *kit) usesRules() {
	k.Helper()
	if rules := k.rules(); len(rules) != 0 {
		k.Errorf("rules %+v", rules)
	}
	k.setFileRules("one")
	k.excluded(0, k.rules()[0].ID)
	if r := k.rules()[0]; r.Use.Count != 1 || r.ID != 1 {
		k.Errorf("rule %+v", r)
	}
}

// enrols invites a user, and makes another a holder of a token with all that tokens
// have.
func (k *kit) enrols() {
	k.Helper()
	k.invite("invited")
	token := otp.Token{Serial: "LIST", Type: otp.CodeList, Digits: 6, Codes: 9, ValidFrom: 1, ValidUntil: noon.Unix() + 1, Seed: oath.NewSeed(seed(9))}
	k.must(k.ChangeHolder(context.Background(), otp.UserName(userName(0)), tms.Act{At: noon, Verb: "test"}, func(h *tms.Holder) error {
		if !h.User.Exists || len(h.Tokens) == 0 || h.Invitation.Exists || h.Tokens[0].Enrolled || h.Tokens[0].ValidUntil != 0 || !h.User.Unentitled.IsZero() {
			k.Errorf("holder %+v", h)
		}
		h.Tokens = append(h.Tokens, tms.Token{Exists: true, Token: token, Enrolled: true})
		return nil
	}))
	k.expect(otp.Accepted, 0, pin+oath.HOTP(oath.SHA1, token.Seed, 7, 6))
	if got := k.token("LIST"); got.Codes != 9 || got.ValidFrom != 1 || got.ValidUntil != token.ValidUntil || !got.Enrolled {
		k.Errorf("token %+v", got)
	}
}

// comesFromTMS has a user cut over, another learn a token, and notes that a third was
// seen.
func (k *kit) comesFromTMS() {
	k.Helper()
	users := 0
	k.must(k.Users(context.Background(), tms.Filter{}, func(u *tms.User) error {
		if users++; u.Home != otp.HomeUnsaid {
			k.Errorf("user %+v", u)
		}
		return nil
	}))
	k.setHome(1, otp.HomeLocal)
	if users != oldUsers || len(k.learnable()) != 0 {
		k.Errorf("%d users, and learnable are %q", users, k.learnable())
	}
	k.must(k.ChangeToken(context.Background(), serial(2), tms.Act{At: noon}, func(t *tms.Token) error {
		if t.Learned || t.State.Agreed != 0 {
			k.Errorf("token %+v", t)
		}
		t.Learned = true
		return nil
	}))
	if got := k.learnable(); !slices.Equal(got, []otp.Serial{serial(2)}) {
		k.Errorf("learnable are %q", got)
	}
	k.must(k.NoteSeen(context.Background(), []tms.Seen{{User: "seen", Last: noon}}))
	k.must(k.SeenAtTMS(context.Background(), tms.Filter{}, func(s *tms.Seen) error {
		if s.User != "seen" || !s.Last.Equal(noon) {
			k.Errorf("seen %+v", s)
		}
		return nil
	}))
}

func TestOldVersionsAreMigrated(t *testing.T) {
	for version := 1; version < schemaVersion; version++ {
		t.Run(fmt.Sprint(version), func(t *testing.T) { oldVersionIsMigrated(t, version) })
	}
}

func oldVersionIsMigrated(t *testing.T, version int) {
	k := openKit(t, oldVersion(t, version))
	k.isMigrated()
	k.expect(otp.Replayed, 0, passcode(0, 3))
	k.expect(otp.Replayed, 1, passcode(1, 6)) // only the journal knows
	k.expect(otp.Accepted, 0, passcode(0, 4))
	k.expect(otp.Accepted, 1, passcode(1, 7))
	k.usesRules()
	k.enrols()
	k.comesFromTMS()
	next := newKEK(t, 8)
	k.must(k.RotateKeys(context.Background(), next, nil))
	k.onlyKey(t, next)
	k.options.KEKs = []seal.KEK{next}
	k = k.reopen()
	k.isMigrated()
	k.expect(otp.Replayed, 1, passcode(1, 7))
	k.expect(otp.Accepted, 2, passcode(2, 4))
}

// TestMigrationIsDurable crashes right after it.
func TestMigrationIsDurable(t *testing.T) {
	k := openKit(t, openKit(t, firstVersion(t)).crash())
	k.isMigrated()
	k.usesRules()
}

func TestFirstVersionBackedUp(t *testing.T) {
	old := firstVersion(t)
	o := testOptions(t)
	o.Clock = func() time.Time { return noon }
	policy := otp.DefaultPolicy()
	if err := Restore(context.Background(), old.Path, o.Path, o, policy); err != nil {
		t.Fatal(err)
	}
	k := openKit(t, o)
	k.isMigrated()
	k.expect(otp.NextCode, 1, passcode(1, 7))
	k.expect(otp.Accepted, 1, passcode(1, 8))
	k.usesRules()
	backup := filepath.Join(t.TempDir(), "backup.db")
	k.must(k.Backup(context.Background(), backup, nil))
	k.excluded(0, k.rules()[0].ID)
	k.must(k.Close())
	k.must(Restore(context.Background(), backup, o.Path, o, policy))
	k = openKit(t, o)
	k.isMigrated()
	if r := k.rules()[0]; r.Use.Count != 1 {
		t.Errorf("the rule was used once when the backup was made, now %d uses are listed", r.Use.Count)
	}
}

// TestFirstVersionWithAnotherKeyStays does not turn what it cannot open into what
// the older Countersign cannot open.
func TestFirstVersionWithAnotherKeyStays(t *testing.T) {
	o := firstVersion(t)
	other := o
	other.KEKs = []seal.KEK{newKEK(t, 9)}
	if _, err := Open(context.Background(), other); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("error %v, want %v", err, seal.ErrOpen)
	}
	c, err := openConn(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	version, err := c.Number("PRAGMA user_version")
	if err := errors.Join(err, c.close()); err != nil || version != 1 {
		t.Errorf("version %d, error %v", version, err)
	}
	openKit(t, o).isMigrated()
}

// TestOldFormat looks at a store of version 1, which stays as it is, and at what
// Open makes of it, not without a word.
func TestOldFormat(t *testing.T) {
	o := firstVersion(t)
	before, err := os.ReadFile(o.Path)
	if err != nil {
		t.Fatal(err)
	}
	if format, err := OldFormat(o); err != nil || format != 1 {
		t.Errorf("format %d, error %v; want 1", format, err)
	}
	other := o
	other.KEKs = []seal.KEK{newKEK(t, 9)}
	if _, err := OldFormat(other); !errors.Is(err, seal.ErrOpen) {
		t.Errorf("another key: error %v, want %v", err, seal.ErrOpen)
	}
	if after, err := os.ReadFile(o.Path); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file has changed, error %v", err)
	}
	var said bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
	k := openKit(t, o)
	k.isMigrated()
	if !strings.Contains(said.String(), fmt.Sprintf("from=1 to=%d", schemaVersion)) {
		t.Errorf("logged: %q", &said)
	}
	if format, err := OldFormat(o); err != nil || format != 0 {
		t.Errorf("while it is open: format %d, error %v; want 0", format, err)
	}
	k.usesRules()
	foreign := testOptions(t)
	if err := os.WriteFile(foreign.Path, bytes.Repeat([]byte("not a database\n"), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OldFormat(foreign); err == nil {
		t.Error("a text has a format")
	}
}

// TestSchemaIsThatOfAMigratedStore compares the tables that a new store gets with
// those of one that came all the way.
func TestSchemaIsThatOfAMigratedStore(t *testing.T) {
	tables := func(k *kit) (sql []string) {
		k.must(k.read(func(c *conn) error {
			return c.Query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name", func(r tables.Row) error {
				sql = append(sql, r.Text(0))
				return nil
			})
		}))
		return sql
	}
	fresh := tables(newKit(t))
	for version := 1; version < schemaVersion; version++ {
		if migrated := tables(openKit(t, oldVersion(t, version))); fmt.Sprint(fresh) != fmt.Sprint(migrated) {
			t.Errorf("a new store has\n%s\none that was of version %d\n%s", fresh, version, migrated)
		}
	}
}
