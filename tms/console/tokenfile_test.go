package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/seedfile"
)

// manyTokens is a tms.Store and tms.TokenImporter that keeps what is imported.
type manyTokens struct {
	tms.Store
	tokens []tms.Token
	acts   []tms.Act
	broken error // of a listing, after the tokens
}

func (s *manyTokens) ReadStock(_ context.Context, rows []tms.TokenRow) (*tms.Stock, error) {
	k := &tms.Stock{Tokens: make([]tms.Token, len(rows)), Holds: map[otp.UserName]int{"alice": 0}}
	for i := range rows {
		k.Tokens[i].Serial = rows[i].Token.Serial
	}
	return k, nil
}

func (s *manyTokens) ChangeStock(ctx context.Context, rows []tms.TokenRow, change func(*tms.Stock) (tms.Act, error)) error {
	k, _ := s.ReadStock(ctx, rows)
	act, err := change(k)
	if err != nil {
		return err
	}
	s.acts = append(s.acts, act)
	s.tokens = append(s.tokens, k.Tokens...)
	return nil
}

func (s *manyTokens) Tokens(_ context.Context, _ tms.Filter, each func(*tms.Token) error) error {
	for i := range s.tokens {
		if err := each(&s.tokens[i]); err != nil {
			return err
		}
	}
	return s.broken
}

func (s *manyTokens) Record(_ context.Context, act tms.Act) error {
	s.acts = append(s.acts, act)
	return nil
}

func connectMany(t *testing.T, administrator bool) (*Client, *manyTokens) {
	t.Helper()
	store := &manyTokens{}
	service := tms.NewService(tms.Options{Store: store, Clock: time.Now, Rand: rand.Reader})
	return mount(t, service, administrator), store
}

func rowOf(n int) *tms.TokenRow {
	return &tms.TokenRow{Line: n, User: "alice", Token: otp.Token{
		Serial: otp.Serial(fmt.Sprintf("T%05d", n)), Type: otp.TOTP, Algorithm: oath.SHA256, Digits: 8, Period: 60, T0: -5,
		Seed: oath.NewSeed([]byte("a seed to be found")), ValidFrom: 1, ValidUntil: math.MaxInt64,
		State: otp.State{Counter: 1<<62 - 1, Drift: -7},
	}}
}

// rowsOf gives rows and then an error, if there is one.
func rowsOf(count int, last error) iter.Seq2[*tms.TokenRow, error] {
	return func(yield func(*tms.TokenRow, error) bool) {
		for n := range count {
			if !yield(rowOf(n), nil) {
				return
			}
		}
		if last != nil {
			yield(nil, last)
		}
	}
}

// sameRow compares rows by what they say.
func sameRow(a, b tms.TokenRow) bool {
	same := a.Token.Seed.Equal(b.Token.Seed)
	a.Token.Seed, b.Token.Seed = oath.Seed{}, oath.Seed{}
	return same && a == b
}

func TestTokensAreSent(t *testing.T) {
	c, store := connectMany(t, true)
	const count = otp.MaxTokens
	report, err := c.ImportTokens(t.Context(), tms.TokenImport{File: "a.csv"}, rowsOf(count, nil))
	if err != nil || report.Imported != count || len(store.tokens) != count {
		t.Fatalf("%+v, %v", report, err)
	}
	for n, token := range store.tokens {
		if want := rowOf(n); !sameRow(tms.TokenRow{Line: n, User: token.User, Token: token.Token}, *want) {
			t.Errorf("%+v, want %+v", token, want)
		}
	}
	if act := store.acts[0]; !strings.Contains(act.Detail, `"a.csv"`) {
		t.Errorf("%+v", act)
	}
	report, err = c.ImportTokens(t.Context(), tms.TokenImport{DryRun: true}, rowsOf(count+2, nil))
	if err != nil || report.Skipped != 2 || len(report.Reasons) != 2 || report.Reasons[0].Line != count || len(store.tokens) != count {
		t.Errorf("%+v, %v", report, err)
	}
	if report, err := c.ImportTokens(t.Context(), tms.TokenImport{}, rowsOf(0, nil)); err != nil || report.Read != 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

// TestAnImportThatBreaksOff: what the file's reader says comes back as it is, and
// nothing is written.
func TestAnImportThatBreaksOff(t *testing.T) {
	c, store := connectMany(t, true)
	broken := errors.New("line 9: cut off")
	for _, count := range []int{0, 3, 5000} { // within one buffer, and beyond
		if _, err := c.ImportTokens(t.Context(), tms.TokenImport{}, rowsOf(count, broken)); err != broken {
			t.Errorf("%d rows: %v", count, err)
		}
	}
	if len(store.tokens) > 0 || len(store.acts) > 0 {
		t.Errorf("%d tokens, acts %v", len(store.tokens), store.acts)
	}
	if _, err := c.ImportTokens(t.Context(), tms.TokenImport{}, rowsOf(3, nil)); err != nil {
		t.Error(err)
	}
}

func TestBadImportRequests(t *testing.T) {
	c, store := connectMany(t, true)
	row := string(appendTokenRow(nil, rowOf(1)))
	for name, body := range map[string]string{
		"nothing":           "",
		"no first line":     "{}",
		"no JSON":           "x\n",
		"no fields":         "{}\nx\n",
		"cut off":           "{}\n" + row[:len(row)-1],
		"bad number":        "{}\n" + strings.Replace(row, "\t60\t", "\t4294967296\t", 1),
		"bad seed":          "{}\n" + strings.Replace(row, "6120", "612x", 1),
		"odd seed":          "{}\n" + strings.Replace(row, "6120", "612", 1),
		"bad serial":        "{}\n" + strings.Replace(row, "T00001", "T 1", 1),
		"no serial":         "{}\n" + strings.Replace(row, "T00001", "", 1),
		"user not in order": "{}\n" + strings.Replace(row, "alice", "Alice", 1),
		"tab in a user":     "{}\n" + strings.Replace(row, "alice", "al\tice", 1),
		"much too long":     "{}\n" + strings.Repeat("x", 1<<20),
	} {
		err := c.post(t.Context(), "token.import", strings.NewReader(body), nil, nil)
		if !errors.Is(err, tms.ErrInvalid) || strings.Contains(fmt.Sprint(err), "612") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(store.tokens) > 0 {
		t.Errorf("%d tokens", len(store.tokens))
	}
}

func TestTokenFilesAreForAdministrators(t *testing.T) {
	c, store := connectMany(t, false)
	if _, err := c.ImportTokens(t.Context(), tms.TokenImport{}, rowsOf(20000, nil)); !errors.Is(err, tms.ErrForbidden) {
		t.Error(err)
	}
	var out bytes.Buffer
	if _, err := c.ExportTokens(t.Context(), tms.TokenExport{Format: ExportPSKC}, []byte("long enough"), &out); !errors.Is(err, tms.ErrForbidden) || out.Len() > 0 {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
	if len(store.acts) > 0 {
		t.Errorf("%v", store.acts)
	}
}

// TestTokensAreExported: what crosses the wire has no seed in it, and is a seed file.
func TestTokensAreExported(t *testing.T) {
	wire := &tap{}
	store := &manyTokens{}
	mux := http.NewServeMux()
	(&API{Service: tms.NewService(tms.Options{Store: store, Clock: time.Now, Rand: rand.Reader}), Caller: func(*http.Request) tms.Caller {
		return tms.Caller{Name: "test", Administrator: true}
	}}).Mount(mux)
	c := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { mux.ServeHTTP(&tapped{w, wire}, r) }))
	const count = 300
	for n := range count {
		row := rowOf(n)
		row.Token.ValidUntil, row.Token.State.Counter = 2, 0
		store.tokens = append(store.tokens, tms.Token{Exists: true, Token: row.Token, User: row.User})
	}
	password := []byte("correct horse")
	var file bytes.Buffer
	written, err := c.ExportTokens(t.Context(), tms.TokenExport{Format: ExportPSKC}, password, &file)
	if err != nil || written != count {
		t.Fatalf("%d tokens, %v", written, err)
	}
	for _, secret := range []string{"a seed to be found", "YSBzZWVkIHRvIGJlIGZvdW5k", fmt.Sprintf("%x", "a seed to be found")} {
		if wire.Contains(secret) || bytes.Contains(file.Bytes(), []byte(secret)) {
			t.Errorf("%s is on the wire, or in the file", secret)
		}
	}
	reader, err := seedfile.Open(&file, seedfile.Options{Password: seedfile.NewSecret(password)})
	if err != nil {
		t.Fatal(err)
	}
	for n := range count {
		got, err := reader.Next()
		if err != nil {
			t.Fatal(err)
		}
		want := store.tokens[n].Token
		if !got.Seed.Equal(want.Seed) || got.Serial != want.Serial || got.User != "alice" || got.State.Drift != -7 || got.T0 != -5 {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	if _, err := reader.Next(); err != io.EOF {
		t.Error(err)
	}
	var list bytes.Buffer
	if written, err := c.ExportTokens(t.Context(), tms.TokenExport{Format: ExportCSV, User: "ALICE"}, nil, &list); err != nil || written != count || strings.Count(list.String(), "\n") != count+1 {
		t.Errorf("%d tokens, %v", written, err)
	}
	if verbs := []string{store.acts[0].Verb, store.acts[1].Detail}; !slices.Equal(verbs, []string{"token.export", "format=csv user=alice"}) {
		t.Errorf("%v", verbs)
	}
}

// tap keeps what is written to a client.
type tap struct{ bytes.Buffer }

func (t *tap) Contains(text string) bool { return bytes.Contains(t.Bytes(), []byte(text)) }

type tapped struct {
	http.ResponseWriter
	tap *tap
}

func (t *tapped) Write(b []byte) (int, error) {
	t.tap.Write(b)
	return t.ResponseWriter.Write(b)
}

func TestBadExports(t *testing.T) {
	c, store := connectMany(t, true)
	for _, test := range []struct {
		export   tms.TokenExport
		password string
		says     string
	}{
		{tms.TokenExport{Format: "xml"}, "", "choose pskc or csv"},
		{tms.TokenExport{Format: ExportPSKC}, "", "8 characters"},
		{tms.TokenExport{Format: ExportPSKC}, "sesam 7", "8 characters"},
		{tms.TokenExport{Format: ExportCSV, User: " "}, "", "user name"},
	} {
		if _, err := c.ExportTokens(t.Context(), test.export, []byte(test.password), io.Discard); !errors.Is(err, tms.ErrInvalid) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%+v: %v", test.export, err)
		}
	}
	if len(store.acts) > 0 {
		t.Errorf("%v", store.acts)
	}
	store.broken = errors.New("the disk is gone")
	if _, err := c.ExportTokens(t.Context(), tms.TokenExport{Format: ExportCSV}, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "the disk is gone") {
		t.Error(err)
	}
	full := errors.New("no space left")
	store.broken = nil
	if _, err := c.ExportTokens(t.Context(), tms.TokenExport{Format: ExportCSV}, nil, failing{full}); err != full {
		t.Error(err)
	}
}

type failing struct{ error }

func (f failing) Write([]byte) (int, error) { return 0, f.error }

// FuzzTokenRow: whatever a line says, what is read of it is written as it was read.
func FuzzTokenRow(f *testing.F) {
	f.Add(string(appendTokenRow(nil, rowOf(3))[:len(appendTokenRow(nil, rowOf(3)))-1]))
	f.Add("1\tA\t0\t0\t6\t30\t0\t0\t0\t0\t0\t\t")
	f.Add("\t\t\t\t\t\t\t\t\t\t\t\t")
	f.Fuzz(func(t *testing.T, line string) {
		row, err := parseTokenRow([]byte(line))
		if err != nil {
			return
		}
		written := appendTokenRow(nil, &row)
		again, err := parseTokenRow(written[:len(written)-1])
		if err != nil || !sameRow(again, row) {
			t.Fatalf("%q: %+v, again %+v, %v", line, row, again, err)
		}
	})
}

// TestTokenRowBounds: what no token can be is refused with its line.
func TestTokenRowBounds(t *testing.T) {
	for line, good := range map[string]bool{
		"1\tA\t1\t0\t6\t86400\t0\t0\t0\t0\t0\t3132\t":  true,
		"1\tA\t1\t0\t6\t86401\t0\t0\t0\t0\t0\t3132\t":  false,
		"1\tA\t99\t0\t6\t30\t0\t0\t0\t0\t0\t3132\t":    false,
		"1\tA\t1\t99\t6\t30\t0\t0\t0\t0\t0\t3132\t":    false,
		"1\tA\t1\t0\t255\t30\t0\t0\t0\t0\t0\t3132\t":   false,
		"1\tA\t1\t0\t0\t30\t0\t0\t0\t0\t0\t3132\t":     false,
		"1\tA\t1\t0\t6\t30\t0\t0\tNaN\t0\t0\t3132\t":   false,
		"1\tA\t1\t0\t6\t30\t0\t0\t1e300\t0\t0\t3132\t": false,
	} {
		if _, err := parseTokenRow([]byte(line)); (err == nil) != good {
			t.Errorf("%q: %v", line, err)
		}
	}
}

// Users has nobody: what is exported is asked for by the name as it is.
func (s *manyTokens) Users(context.Context, tms.Filter, func(*tms.User) error) error { return nil }
