package embedded

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// noon is the instant of all attempts.
var noon = time.Unix(1_800_000_000, 0)

const pin = "4711"

// kit is a store with a verifier over it.
type kit struct {
	testing.TB
	*Store
	*otp.Verifier
	options Options
}

// testOptions are those of a new store that says nothing.
func testOptions(tb testing.TB) Options {
	tb.Helper()
	o, err := options(filepath.Join(tb.TempDir(), "countersign.db"))
	if err != nil {
		tb.Fatal(err)
	}
	o.Logger = newLogger(io.Discard)
	return o
}

func newLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func newKit(tb testing.TB) *kit { return openKit(tb, testOptions(tb)) }

// openKit opens a store and closes it at the end of the test, if that has not
// been done.
func openKit(tb testing.TB, o Options) *kit {
	tb.Helper()
	s, err := Open(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	k := &kit{tb, s, otp.NewVerifier(s, otp.DefaultPolicy()), o}
	tb.Cleanup(func() { k.must(s.Close()) })
	return k
}

func (k *kit) Submit(a *otp.Attempt) bool { return k.Verifier.Submit(a) }

func (k *kit) must(err error) {
	k.Helper()
	if err != nil {
		k.Fatal(err)
	}
}

func (k *kit) reopen() *kit {
	k.Helper()
	k.must(k.Close())
	return openKit(k.TB, k.options)
}

// user n has the event token of serial n.
func userName(n int) string { return fmt.Sprintf("user%06d", n) }

func serial(n int) otp.Serial { return otp.Serial(fmt.Sprintf("T%06d", n)) }

func seed(n int) []byte { return []byte(fmt.Sprintf("seed of user %06d", n)) }

func passcode(n int, counter uint64) string {
	return pin + oath.HOTP(oath.SHA1, oath.NewSeed(seed(n)), counter, 6)
}

// populate imports users, each with an event token, or a clock token if n is odd
// and clocks is set.
func (k *kit) populate(users int, clocks bool) {
	k.Helper()
	n := 0
	_, err := k.Import(context.Background(), tms.Act{At: noon, Actor: "test", Verb: "user.import"}, func() (tms.User, tms.Token, bool, error) {
		if n == users {
			return tms.User{}, tms.Token{}, false, nil
		}
		u := tms.User{Exists: true, Name: otp.UserName(userName(n)), PIN: otp.NewPIN([]byte(pin))}
		t := tms.Token{Exists: true, User: u.Name, Token: otp.Token{Serial: serial(n), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed(seed(n))}}
		if clocks && n%2 == 1 {
			t.Type, t.Period = otp.TOTP, 30
		}
		n++
		return u, t, true, nil
	})
	k.must(err)
}

func attempt(n int, passcode string) *otp.Attempt {
	return &otp.Attempt{
		At: noon, User: []byte(userName(n)), NAS: "ras-gateway", Station: []byte("00-11-22-33-44-55"),
		Passcode: otp.NewPasscode([]byte(passcode)),
	}
}

func (k *kit) login(n int, passcode string) (otp.Verdict, error) {
	return k.Verify(context.Background(), attempt(n, passcode))
}

func (k *kit) expect(want otp.Verdict, n int, passcode string) {
	k.Helper()
	if got, err := k.login(n, passcode); got != want || err != nil {
		k.Errorf("login of user %d: %v, error %v, want %v", n, got, err, want)
	}
}

// token is a token as it is listed.
func (k *kit) token(s otp.Serial) tms.Token {
	k.Helper()
	var token tms.Token
	k.must(k.Tokens(context.Background(), tms.Filter{Serial: s}, func(t *tms.Token) error {
		token = *t
		return nil
	}))
	return token
}

// counters are those of all tokens, by serial.
func (k *kit) counters() map[otp.Serial]uint64 {
	k.Helper()
	counters := map[otp.Serial]uint64{}
	k.must(k.Tokens(context.Background(), tms.Filter{}, func(t *tms.Token) error {
		counters[t.Serial] = t.State.Counter
		return nil
	}))
	return counters
}

// learnable are the serials of the tokens that Filter.Learnable chooses.
func (k *kit) learnable() (serials []otp.Serial) {
	k.Helper()
	k.must(k.Tokens(context.Background(), tms.Filter{Learnable: true}, func(t *tms.Token) error {
		serials = append(serials, t.Serial)
		return nil
	}))
	return serials
}

func (k *kit) setHome(n int, home otp.Home) {
	k.Helper()
	k.must(k.ChangeUser(context.Background(), otp.UserName(userName(n)), tms.Act{At: noon}, func(u *tms.User) error {
		u.Home = home
		return nil
	}))
}

// setFileRules makes rules of these names those of the configuration.
func (k *kit) setFileRules(names ...string) {
	k.Helper()
	var rules []exclusions.Rule
	for _, name := range names {
		rules = append(rules, exclusions.Rule{Name: name, Criteria: []exclusions.Criterion{{Kind: exclusions.Users, Values: []string{name}}}})
	}
	k.must(k.SetFileRules(context.Background(), tms.Act{At: noon, Actor: "test", Verb: "rule.file"}, rules))
}

// rules are those of the present revision.
func (k *kit) rules() (rules []tms.Rule) {
	k.Helper()
	_, err := k.Rules(context.Background(), 0, func(r *tms.Rule) error { rules = append(rules, *r); return nil })
	k.must(err)
	return rules
}

// excluded logs a user in by a rule.
func (k *kit) excluded(n int, rule uint64) {
	k.Helper()
	a := attempt(n, "")
	a.Preset, a.Rule, a.Trace = otp.Excluded, rule, []byte("trace")
	if verdict, err := k.Verify(context.Background(), a); verdict != otp.Excluded || err != nil {
		k.Errorf("login of user %d: %v, error %v", n, verdict, err)
	}
}

// crash copies the files of the store to a new place as a crash at this instant
// would leave them, while everything goes on, and returns options for the copy.
func (k *kit) crash() Options {
	k.Helper()
	o := k.options
	err := k.do(context.Background(), func() error { // no commit is under way,
		k.files.Lock() // and no checkpoint
		defer k.files.Unlock()
		o.Path = copyStore(k.TB, o.Path)
		return nil
	})
	k.must(err)
	return o
}

// copyStore copies a store's files, which must be still, and returns the path.
func copyStore(tb testing.TB, path string) string {
	tb.Helper()
	to := filepath.Join(tb.TempDir(), "copied.db")
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + end)
		if err == nil {
			err = errors.Join(os.WriteFile(to+end, b, 0o600), syncFile(to+end))
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
	return to
}

// insertAct is for the committer: it appends an act to the journal.
func (k *kit) insertAct(act *tms.Act) error {
	r := store.Record{Event: tms.Event{At: act.At, Kind: tms.ActEvent, Act: *act}}
	return k.insert(store.AppendToBatch(store.BeginBatch(nil), store.AppendRecord(nil, &r)), 1)
}

// plans are how SQLite goes about the statements with some text that were prepared on
// connections until now, by statement.
func plans(tb testing.TB, text string, of ...*conn) map[string]string {
	tb.Helper()
	found := map[string]string{}
	for _, c := range of {
		for _, sql := range slices.Collect(maps.Keys(c.stmts)) {
			if strings.HasPrefix(sql, "EXPLAIN") || !strings.Contains(sql, text) {
				continue
			}
			var steps strings.Builder
			err := c.Query("EXPLAIN QUERY PLAN "+sql, func(r tables.Row) error {
				fmt.Fprintln(&steps, r.Text(3))
				return nil
			}, make([]driver.Value, strings.Count(sql, "?"))...)
			if err != nil {
				tb.Fatal(err)
			}
			found[sql] = steps.String()
		}
	}
	if len(found) == 0 {
		tb.Fatalf("no statement has %q", text)
	}
	return found
}

// idle takes all connections out of a pool, and puts them back at the end of the test.
func idle(tb testing.TB, pool chan *conn) (all []*conn) {
	for range cap(pool) {
		c := <-pool
		all = append(all, c)
		tb.Cleanup(func() { pool <- c })
	}
	return all
}

// parallel runs f n times at once and waits.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}

// newKEK is a key that follows from a byte.
func newKEK(tb testing.TB, b byte) seal.KEK {
	tb.Helper()
	kek, err := seal.NewKEK(bytes.NewReader(bytes.Repeat([]byte{b}, 64)))
	if err != nil {
		tb.Fatal(err)
	}
	return kek
}
