package tms

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// ReadStock implements TokenImporter.
func (m *memory) ReadStock(_ context.Context, rows []TokenRow) (*Stock, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := &Stock{Holds: map[otp.UserName]int{}}
	for _, row := range rows {
		t := m.token[row.Token.Serial]
		t.Serial = row.Token.Serial
		s.Tokens = append(s.Tokens, t)
		if u := m.users[row.User]; u.Exists {
			s.Holds[row.User] = len(m.holding(u).Tokens)
		}
	}
	return s, nil
}

// ChangeStock implements TokenImporter. It calls change twice.
func (m *memory) ChangeStock(ctx context.Context, rows []TokenRow, change func(*Stock) (Act, error)) error {
	for again := range 2 {
		s, err := m.ReadStock(ctx, rows)
		if err != nil {
			return err
		}
		act, err := change(s)
		if err != nil || again == 0 {
			if err != nil {
				return err
			}
			continue
		}
		m.acts = append(m.acts, act)
		for _, name := range s.Added {
			m.users[name] = User{Exists: true, Name: name, Created: act.At}
		}
		for _, t := range s.Tokens {
			if t.Exists {
				m.token[t.Serial] = t
			}
		}
	}
	return nil
}

// each gives rows as ImportTokens takes them.
func each(rows ...TokenRow) func() (TokenRow, error) {
	return func() (TokenRow, error) {
		if len(rows) == 0 {
			return TokenRow{}, io.EOF
		}
		row := rows[0]
		rows = rows[1:]
		return row, nil
	}
}

func eventRow(line int, serial string, user otp.UserName) TokenRow {
	return TokenRow{Line: line, User: user, Token: otp.Token{
		Serial: otp.Serial(serial), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed([]byte("seed of " + serial)),
	}}
}

func clockRow(line int, serial string, user otp.UserName) TokenRow {
	r := eventRow(line, serial, user)
	r.Token.Type, r.Token.Period = otp.TOTP, 30
	return r
}

func (m *memory) addUsers(names ...otp.UserName) {
	for _, name := range names {
		m.users[name] = User{Exists: true, Name: name, PIN: otp.NewPIN([]byte("4711"))}
	}
}

func imports(t *testing.T, s *Service, o TokenImport, rows ...TokenRow) TokenReport {
	t.Helper()
	report, err := s.ImportTokens(t.Context(), root, o, each(rows...))
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// figures are the numbers of a report.
func (r TokenReport) figures() string {
	return fmt.Sprintf("%d read, %d imported, %d updated, %d unchanged, %d skipped, %d users, stopped %t", r.Read, r.Imported, r.Updated, r.Unchanged, r.Skipped, r.Users, r.Stopped)
}

func wantFigures(t *testing.T, r TokenReport, want string) {
	t.Helper()
	if got := r.figures(); got != want {
		t.Errorf("%s; want %s; reasons %v, notes %v", got, want, r.Reasons, r.Notes)
	}
}

func TestImportTokens(t *testing.T) {
	s, m := serving()
	m.addUsers("alice")
	rows := []TokenRow{eventRow(1, "A1", "alice"), clockRow(2, "S1", "")}
	rows[0].Token.State = otp.State{Counter: 7}
	rows[1].Token.State = otp.State{Drift: -2}
	wantFigures(t, imports(t, s, TokenImport{DryRun: true}, rows...), "2 read, 2 imported, 0 updated, 0 unchanged, 0 skipped, 0 users, stopped false")
	if len(m.token) > 0 || m.verbs() != "[]" {
		t.Error("a dry run has written something")
	}
	report := imports(t, s, TokenImport{File: "seeds.csv"}, rows...)
	wantFigures(t, report, "2 read, 2 imported, 0 updated, 0 unchanged, 0 skipped, 0 users, stopped false")
	if a := m.token["A1"]; a.User != "alice" || a.State.Counter != 7 || !a.Created.Equal(now) {
		t.Errorf("%+v", a)
	}
	if d := m.token["S1"]; d.User != "" || d.State.Drift != -2 {
		t.Errorf("%+v", d)
	}
	if act := m.acts[0]; len(m.acts) != 1 || act.Verb != "token.import" || act.Actor != root.Name ||
		act.Detail != `file "seeds.csv" tokens 1 to 2: 2 imported, 0 updated, 0 unchanged, 0 skipped, 0 users added` {
		t.Errorf("%+v", m.acts)
	}
	wantFigures(t, imports(t, s, TokenImport{}, rows...), "2 read, 0 imported, 0 updated, 2 unchanged, 0 skipped, 0 users, stopped false")
	rows[1].Token.Digits = 8
	wantFigures(t, imports(t, s, TokenImport{}, rows...), "2 read, 0 imported, 1 updated, 1 unchanged, 0 skipped, 0 users, stopped false")
}

func TestImportKeepsWhatIsTheUsers(t *testing.T) {
	s, m := serving()
	m.addUsers("alice", "bob")
	there := Token{Exists: true, Token: eventRow(0, "A1", "").Token, User: "alice", Created: now.Add(-time.Hour), Enrolled: true}
	there.Disabled = true
	there.State = otp.State{Counter: 20, Failures: 3, LockedUntil: now.Unix() + 60}
	m.token["A1"] = there
	row := eventRow(3, "A1", "bob")
	row.Token.State.Counter = 5
	row.Token.Digits, row.Token.ValidUntil = 8, now.Unix()
	report := imports(t, s, TokenImport{}, row)
	wantFigures(t, report, "1 read, 0 imported, 1 updated, 0 unchanged, 0 skipped, 0 users, stopped false")
	want := there
	want.Digits, want.ValidUntil = 8, now.Unix()
	if got := m.token["A1"]; got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if len(report.Notes) != 1 || report.Notes[0].Line != 3 || !strings.Contains(report.Notes[0].Text, `"alice"'s and stays so`) {
		t.Errorf("%v", report.Notes)
	}
}

// TestRenewal compares the states that a token gets, by what it was and what the file
// says.
func TestRenewal(t *testing.T) {
	same, another := oath.NewSeed([]byte("12345678")), oath.NewSeed([]byte("another seed"))
	event := func(seed oath.Seed, s otp.State) otp.Token {
		return otp.Token{Serial: "T", Type: otp.HOTP, Digits: 6, Seed: seed, State: s}
	}
	clock := func(seed oath.Seed, period uint32, t0 int64, s otp.State) otp.Token {
		return otp.Token{Serial: "T", Type: otp.TOTP, Digits: 6, Period: period, T0: t0, Seed: seed, State: s}
	}
	again := oath.NewSeed([]byte("12345678"))
	for _, test := range []struct {
		name       string
		was, file  otp.Token
		want       otp.State
		stayedSeed bool
	}{
		{"further on here", event(same, otp.State{Counter: 9, Failures: 2}), event(again, otp.State{Counter: 4}), otp.State{Counter: 9, Failures: 2}, true},
		{"further on in the file", event(same, otp.State{Counter: 4, ResyncFactor: 6, ResyncUntil: 9}), event(again, otp.State{Counter: 9}), otp.State{Counter: 9}, true},
		{"never used, another seed", event(same, otp.State{}), event(another, otp.State{Counter: 3}), otp.State{Counter: 3}, false},
		{"used, another seed", event(same, otp.State{Counter: 9, Failures: 2, LockedUntil: 5}), event(another, otp.State{Counter: 3}), otp.State{Counter: 3, MustResync: true}, false},
		{"restored, another seed", event(same, otp.State{MustResync: true}), event(another, otp.State{}), otp.State{MustResync: true}, false},
		{"clock", clock(same, 30, 0, otp.State{Counter: 1000, Drift: 2}), clock(again, 30, 0, otp.State{Drift: -5}), otp.State{Counter: 1000, Drift: 2}, true},
		{"clock, never used", clock(same, 30, 0, otp.State{}), clock(again, 30, 0, otp.State{Drift: -5}), otp.State{Drift: -5}, true},
		{"clock, another seed", clock(same, 30, 0, otp.State{Counter: 1000, Drift: 2}), clock(another, 30, 0, otp.State{Drift: -5}), otp.State{Counter: 1000, Drift: -5}, false},
		{"clock, longer period", clock(same, 30, 0, otp.State{Counter: 58_000_001, Drift: 2}), clock(again, 60, 0, otp.State{}), otp.State{Counter: 29_000_001}, true},
		{"clock, shorter period", clock(same, 60, 0, otp.State{Counter: 501}), clock(again, 30, 0, otp.State{}), otp.State{Counter: 1002}, true},
		{"clock, later T0", clock(same, 30, 0, otp.State{Counter: 1001}), clock(again, 30, 45, otp.State{}), otp.State{Counter: 1001}, true},
		{"clock, earlier T0", clock(same, 30, 45, otp.State{Counter: 1001}), clock(again, 30, 0, otp.State{}), otp.State{Counter: 1003}, true},
		{"clock, T0 of 2000", clock(same, 30, 0, otp.State{Counter: 58_000_000}), clock(again, 30, 946684800, otp.State{}), otp.State{Counter: 26_443_840}, true},
		{"clock, T0 of 1970", clock(same, 30, 946684800, otp.State{Counter: 26_443_840}), clock(again, 30, 0, otp.State{}), otp.State{Counter: 58_000_000}, true},
		{"clock, T0 to come", clock(same, 30, 0, otp.State{Counter: 58_000_000}), clock(again, 30, 1<<40, otp.State{}), otp.State{}, true},
		{"clock, counter of no clock", clock(same, 30, 0, otp.State{Counter: 1 << 61}), clock(again, 60, 0, otp.State{}), otp.State{Counter: 1 << 61}, true},
	} {
		got := test.was
		renew(&got, test.file)
		if got.State != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got.State, test.want)
		}
		if (got.Seed == test.was.Seed) != test.stayedSeed || !got.Seed.Equal(test.file.Seed) {
			t.Errorf("%s: the seed", test.name)
		}
		if got.Period != test.file.Period || got.T0 != test.file.T0 {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

// What was learned of a token stays when its seed file is imported again, and its user's
// home too; with another seed it has to prove itself anew.
func TestImportKeepsWhatWasLearned(t *testing.T) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice", Home: otp.HomeTMS}
	row := eventRow(3, "A1", "")
	learned := Token{Exists: true, Token: row.Token, User: "alice", Created: now}
	learned.Learned, learned.State = true, otp.State{Counter: 9, Agreed: 2, Disagreed: 1}
	m.token["A1"] = learned
	row.Token.Seed = oath.NewSeed([]byte("seed of A1")) // read from a file once more
	wantFigures(t, imports(t, s, TokenImport{}, row), "1 read, 0 imported, 0 updated, 1 unchanged, 0 skipped, 0 users, stopped false")
	if got := m.token["A1"]; got != learned || m.users["alice"].Home != otp.HomeTMS {
		t.Errorf("%+v, want %+v; %+v", got, learned, m.users["alice"])
	}
	row.Token.Seed = oath.NewSeed([]byte("another seed"))
	wantFigures(t, imports(t, s, TokenImport{}, row), "1 read, 0 imported, 1 updated, 0 unchanged, 0 skipped, 0 users, stopped false")
	if got := m.token["A1"]; !got.Learned || got.User != "alice" || got.State.Agreed != 0 {
		t.Errorf("%+v", got)
	}
}

// TestRenewalKeepsMobilePASS: a seed file has such a token as the hotp token that it is.
func TestRenewalKeepsMobilePASS(t *testing.T) {
	mobile := otp.Token{Type: otp.MobilePASS, Algorithm: oath.SHA256, Digits: 6, Seed: oath.NewSeed([]byte("12345678"))}
	file := mobile
	file.Type = otp.HOTP
	got := mobile
	if renew(&got, file); got != mobile {
		t.Errorf("%+v", got)
	}
	file.Digits = 8
	if renew(&got, file); got.Type != otp.HOTP {
		t.Errorf("%+v", got)
	}
}

func TestImportSkips(t *testing.T) {
	s, m := serving()
	m.addUsers("alice", "full")
	for i := range otp.MaxTokens {
		serial := otp.Serial(fmt.Sprint("F", i))
		m.token[serial] = Token{Exists: true, Token: eventRow(0, string(serial), "").Token, User: "full"}
	}
	m.token["LIST"] = Token{Exists: true, Token: otp.Token{Serial: "LIST", Type: otp.CodeList}}
	m.token["EVENT"] = Token{Exists: true, Token: eventRow(0, "EVENT", "").Token}
	mobile, list, ended, timeless := eventRow(3, "M", ""), eventRow(4, "L", ""), eventRow(5, "E", ""), clockRow(6, "P", "")
	mobile.Token.Type, list.Token.Type, timeless.Token.Period = otp.MobilePASS, otp.CodeList, 0
	ended.Token.ValidFrom, ended.Token.ValidUntil = 100, 100
	astray, never := clockRow(10, "D", ""), clockRow(11, "N", "")
	astray.Token.State.Drift, never.Token.T0 = -2881, 1<<60
	rows := []TokenRow{
		eventRow(1, "GOOD", "alice"), eventRow(2, "X", "nobody"), mobile, list, ended, timeless,
		eventRow(7, "LIST", ""), clockRow(8, "EVENT", ""), eventRow(9, "Y", "full"), astray, never,
	}
	says := []string{
		"no user \"nobody\".*user add.*--add-users", "MobilePASS token comes from its app", "list of codes, and those the server makes", "ends before it begins",
		"without a period", "serial is that of a list", "a hotp token here and a totp token in the file", `"full" has 32 tokens`,
		"a drift of -2881 steps", "begin at no time",
	}
	before := maps.Clone(m.token)
	for _, dry := range []bool{true, false} {
		report := imports(t, s, TokenImport{DryRun: dry}, rows...)
		if dry {
			wantFigures(t, report, "11 read, 1 imported, 0 updated, 0 unchanged, 10 skipped, 0 users, stopped false")
		} else {
			wantFigures(t, report, "11 read, 0 imported, 0 updated, 0 unchanged, 10 skipped, 0 users, stopped true")
		}
		for i, reason := range report.Reasons {
			part := strings.Split(says[i], ".*")
			if reason.Line != i+2 || slices.ContainsFunc(part, func(p string) bool { return !strings.Contains(reason.Text, p) }) {
				t.Errorf("%+v, want %s", reason, says[i])
			}
		}
		if !maps.Equal(m.token, before) || m.verbs() != "[]" {
			t.Error("something was written")
		}
	}
	wantFigures(t, imports(t, s, TokenImport{KeepGoing: true}, rows...), "11 read, 1 imported, 0 updated, 0 unchanged, 10 skipped, 0 users, stopped false")
	if !m.token["GOOD"].Exists || len(m.token) != len(before)+1 {
		t.Errorf("%d tokens", len(m.token))
	}
}

// TestImportAddsUsers: one user gets tokens in several chunks of a file, and another one
// more than anybody may have.
func TestImportAddsUsers(t *testing.T) {
	const many = WholeImport + 3*tokenChunk
	rows := make([]TokenRow, many)
	for i := range rows {
		rows[i] = eventRow(i+1, fmt.Sprint("T", i), "")
	}
	for n := range otp.MaxTokens {
		rows[n*300].User = "carol"
	}
	s, m := serving()
	wantFigures(t, imports(t, s, TokenImport{DryRun: true, AddUsers: true}, rows...), fmt.Sprintf("%d read, %d imported, 0 updated, 0 unchanged, 0 skipped, 1 users, stopped false", many, many))
	rows[many-1].User = "carol"
	report := imports(t, s, TokenImport{DryRun: true, AddUsers: true}, rows...)
	if report.Skipped != 1 || report.Reasons[0].Line != many {
		t.Errorf("%+v", report.Reasons)
	}
	report = imports(t, s, TokenImport{AddUsers: true}, rows...)
	wantFigures(t, report, fmt.Sprintf("%d read, %d imported, 0 updated, 0 unchanged, 1 skipped, 1 users, stopped true", many, many-tokenChunk))
	if len(m.token) != many-tokenChunk || len(m.acts) != many/tokenChunk-1 || !m.users["carol"].Exists || !m.users["carol"].PIN.IsZero() {
		t.Errorf("%d tokens, %d acts, user %+v", len(m.token), len(m.acts), m.users["carol"])
	}
	if want := fmt.Sprintf("tokens %d to %d:", 1, tokenChunk); !strings.Contains(m.acts[0].Detail, want) {
		t.Errorf("%q, want %q in it", m.acts[0].Detail, want)
	}
}

// TestImportIsWhole: as many tokens as go into one transaction do.
func TestImportIsWhole(t *testing.T) {
	rows := make([]TokenRow, WholeImport)
	for i := range rows {
		rows[i] = eventRow(i+1, fmt.Sprint("T", i), "")
	}
	s, m := serving()
	broken := errors.New("the file was cut off")
	good := each(rows...)
	_, err := s.ImportTokens(t.Context(), root, TokenImport{}, func() (TokenRow, error) {
		row, err := good()
		if errors.Is(err, io.EOF) {
			err = broken
		}
		return row, err
	})
	if !errors.Is(err, broken) || len(m.token) > 0 {
		t.Errorf("error %v, %d tokens", err, len(m.token))
	}
	imports(t, s, TokenImport{}, rows...)
	if len(m.acts) != 1 || len(m.token) != WholeImport {
		t.Errorf("%d transactions, %d tokens", len(m.acts), len(m.token))
	}
}

// TestReportIsBounded: the reasons of a million tokens would fill the memory.
func TestReportIsBounded(t *testing.T) {
	rows := make([]TokenRow, 3*MaxRemarks)
	for i := range rows {
		rows[i] = eventRow(i+1, fmt.Sprint("T", i), "nobody")
	}
	s, _ := serving()
	report := imports(t, s, TokenImport{DryRun: true}, rows...)
	if report.Skipped != len(rows) || len(report.Reasons) != MaxRemarks {
		t.Errorf("%d skipped, %d reasons", report.Skipped, len(report.Reasons))
	}
}

func TestImportIsForAdministrators(t *testing.T) {
	s, m := serving()
	_, err := s.ImportTokens(t.Context(), Caller{Name: "alice@web", User: "alice"}, TokenImport{}, each(eventRow(1, "T", "")))
	wantError(t, err, ErrForbidden, "token.import")
	_, err = s.ExportTokens(t.Context(), Caller{Name: "alice@web", User: "alice"}, TokenExport{User: "alice"})
	wantError(t, err, ErrForbidden, "token.export")
	if len(m.token) > 0 || m.verbs() != "[]" {
		t.Error("something was written")
	}
}

func TestImportShowsNoSeed(t *testing.T) {
	s, m := serving()
	rows := []TokenRow{eventRow(1, "A", "nobody"), eventRow(2, "B", "")}
	other := eventRow(3, "B", "")
	other.Token.Seed = oath.NewSeed([]byte("seed of another"))
	report := imports(t, s, TokenImport{KeepGoing: true}, rows...)
	more := imports(t, s, TokenImport{KeepGoing: true}, other)
	if len(more.Notes) != 1 {
		t.Errorf("%+v", more)
	}
	text := fmt.Sprintf("%+v %#v %v %+v %+v %#v", report, report, rows, more, m.acts, m.acts)
	if strings.Contains(text, "seed of") || strings.Contains(text, fmt.Sprintf("%x", "seed of")) {
		t.Errorf("a seed is shown in %s", text)
	}
}

func (m *memory) Record(_ context.Context, act Act) error {
	m.acts = append(m.acts, act)
	return nil
}

func TestExportTokens(t *testing.T) {
	s, m := serving()
	m.addUsers("alice")
	m.token["A1"] = Token{Exists: true, Token: eventRow(0, "A1", "").Token, User: "alice"}
	m.token["LIST"] = Token{Exists: true, Token: otp.Token{Serial: "LIST", Type: otp.CodeList}, User: "alice"}
	m.token["S1"] = Token{Exists: true, Token: clockRow(0, "S1", "").Token}
	for user, want := range map[otp.UserName]string{"": "[A1 S1]", "alice": "[A1]"} {
		tokens, err := s.ExportTokens(t.Context(), root, TokenExport{Format: "pskc", User: user})
		if err != nil {
			t.Fatal(err)
		}
		var serials []otp.Serial
		for token, err := range tokens {
			if err != nil {
				t.Fatal(err)
			}
			serials = append(serials, token.Serial)
		}
		if fmt.Sprint(serials) != want {
			t.Errorf("%q: %v, want %s", user, serials, want)
		}
		for range tokens {
			break // a listing that nobody wants more of
		}
	}
	if verbs := m.verbs(); verbs != "[token.export token.export]" {
		t.Error(verbs)
	}
}
