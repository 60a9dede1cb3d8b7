package tms

import (
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
)

// withRealms has a service take EXAMPLE\name and name@example.org for name, and ask a
// directory that knows e.jones@mail.test as erin.
func withRealms(s *Service) {
	s.CanonicalUser = func(name string) string {
		return strings.TrimSuffix(strings.TrimPrefix(name, `example\`), "@example.org")
	}
	s.Directory = &repository{identities: []exclusions.Identity{{Name: "erin", Directory: "corp"}, {Name: "bob", Directory: "corp"}}}
}

// However a name is written, there is one user of it.
func TestUserNamesWithRealms(t *testing.T) {
	s, m := serving()
	withRealms(s)
	if _, err := s.AddUser(ctx, root, NewUser{Name: `EXAMPLE\Alice`, NoPIN: true}); err != nil || !m.users["alice"].Exists || len(m.users) != 1 {
		t.Fatalf("%v, %v", m.users, err)
	}
	_, err := s.AddUser(ctx, root, NewUser{Name: "alice@example.org", NoPIN: true})
	wantError(t, err, ErrExists, "alice")
	token, err := s.AddToken(ctx, root, NewToken{Serial: "T1", User: "Alice@Example.org", Type: "hotp", Seed: oath.NewSeed(other)})
	if err != nil || token.User != "alice" {
		t.Errorf("%+v, %v", token, err)
	}
	listed := 0
	if err := s.Tokens(ctx, root, Filter{User: `example\alice`}, func(TokenView) error { listed++; return nil }); err != nil || listed != 1 {
		t.Errorf("%d tokens, %v", listed, err)
	}
	exported := 0
	tokens, err := s.ExportTokens(ctx, root, TokenExport{Format: "csv", User: `example\alice`})
	if err != nil {
		t.Fatal(err)
	}
	for range tokens {
		exported++
	}
	if exported != 1 {
		t.Errorf("%d tokens exported", exported)
	}
	if view, err := s.AssignToken(ctx, root, "T1", `EXAMPLE\alice`); err != nil || view.User != "alice" {
		t.Errorf("%+v, %v", view, err)
	}
	if _, err := s.SetUser(ctx, root, UserChange{Name: "alice@example.org", NoPIN: true}); err != nil {
		t.Error(err)
	}
	if err := s.RemoveUser(ctx, root, `EXAMPLE\alice`); err != nil || len(m.users) != 0 {
		t.Errorf("%v, %v", m.users, err)
	}
}

// A user from before there was a directory can still be reached by the old name.
func TestUserNamesOfBefore(t *testing.T) {
	s, m := serving()
	m.users["alice@example.org"] = User{Exists: true, Name: "alice@example.org"}
	m.users["alice"] = User{Exists: true, Name: "alice"}
	withRealms(s)
	if err := s.RemoveUser(ctx, root, "alice@example.org"); err != nil || !m.users["alice"].Exists || len(m.users) != 1 {
		t.Errorf("%v, %v", m.users, err)
	}
}

// The rows of a seed file are given to users by the names they are kept by.
func TestImportWithRealms(t *testing.T) {
	s, m := serving()
	withRealms(s)
	m.addUsers("bob")
	report, err := s.ImportTokens(ctx, root, TokenImport{File: "f"}, each(eventRow(1, "A1", "bob@example.org")))
	if err != nil || report.Imported != 1 || m.token["A1"].User != otp.UserName("bob") {
		t.Errorf("%+v, %v, %+v", report, err, m.token)
	}
}
