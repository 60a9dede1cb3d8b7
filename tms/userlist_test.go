package tms

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
)

// repository is a Directory of identities; those of "lab" it does not get to see
// when it is silent.
type repository struct {
	identities []exclusions.Identity
	silent     error
	listings   int
	finds      atomic.Int32
}

func (r *repository) Users(_ context.Context, each func(*exclusions.Identity) error) error {
	r.listings++
	for i := range r.identities {
		if r.silent != nil && r.identities[i].Directory == "lab" {
			continue
		}
		if err := each(&r.identities[i]); err != nil {
			return err
		}
	}
	return r.silent
}

func (r *repository) Find(_ context.Context, name []byte) (*exclusions.Identity, exclusions.Source) {
	r.finds.Add(1)
	if r.silent != nil {
		return &exclusions.Identity{Name: string(name)}, exclusions.Unavailable
	}
	plain := strings.TrimPrefix(string(name), `corp\`)
	for i := range r.identities {
		if r.identities[i].Name == plain {
			return &r.identities[i], exclusions.Fresh
		}
	}
	return &exclusions.Identity{Name: string(name)}, exclusions.Fresh
}

// mixed has local users, directory users and both.
func mixed() (*Service, *repository) {
	s, m := serving()
	for _, name := range []otp.UserName{"bob", "carol", "dave"} {
		m.users[name] = User{Exists: true, Name: name, Created: now}
	}
	m.token["T1"] = Token{Exists: true, Token: otp.Token{Serial: "T1"}, User: "carol"}
	r := &repository{identities: []exclusions.Identity{
		{Name: "zoe", Directory: "lab", Realm: "lab.example"},
		{Name: "carol", Directory: "corp", Mail: "carol@corp.example", Realm: "corp.example"},
		{Name: "alice", Directory: "corp", Disabled: true},
		{Name: "cecil", Directory: "corp"},
	}}
	s.Directory = r
	return s, r
}

// listed are the names and sources of a listing.
func listed(s *Service, f Filter) (string, error) {
	var rows []string
	err := s.Users(ctx, root, f, func(v UserView) error {
		rows = append(rows, string(v.Name)+"="+strings.Join(v.Sources, "+"))
		return nil
	})
	return strings.Join(rows, " "), err
}

func TestUsersOfAllSources(t *testing.T) {
	s, r := mixed()
	for _, test := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "alice=corp bob=local carol=local+corp cecil=corp dave=local zoe=lab"},
		{Filter{Limit: 3}, "alice=corp bob=local carol=local+corp"},
		{Filter{Limit: 1}, "alice=corp"},
		{Filter{Source: "corp"}, "alice=corp carol=local+corp cecil=corp"},
		{Filter{Source: "corp", Limit: 2}, "alice=corp carol=local+corp"},
		{Filter{Source: "lab"}, "zoe=lab"},
		{Filter{Source: Local}, "bob=local carol=local dave=local"},
		{Filter{User: "carol"}, "carol=local+corp"},
		{Filter{User: `corp\carol`}, "carol=local+corp"},
		{Filter{User: "alice"}, "alice=corp"},
		{Filter{User: "bob"}, "bob=local"},
	} {
		if got, err := listed(s, test.filter); err != nil || got != test.want {
			t.Errorf("%+v: %s, %v; want %s", test.filter, got, err, test.want)
		}
	}
	if r.listings != 6 || r.finds.Load() != 4 {
		t.Errorf("%d listings and %d searches of the directory", r.listings, r.finds.Load())
	}
	_, err := listed(s, Filter{User: "nobody"})
	wantError(t, err, ErrNotFound, "nobody")
	_, err = listed(s, Filter{Source: "crop"})
	wantError(t, err, ErrNotFound, "crop")
}

func TestWhatTheDirectorySaysOfAUser(t *testing.T) {
	s, _ := mixed()
	var views []UserView
	if err := s.Users(ctx, root, Filter{Limit: 3}, func(v UserView) error { views = append(views, v); return nil }); err != nil {
		t.Fatal(err)
	}
	alice, carol := views[0], views[2]
	if !alice.DirectoryDisabled || !alice.Created.IsZero() || alice.Tokens != nil {
		t.Errorf("alice %+v", alice)
	}
	if carol.Mail != "carol@corp.example" || carol.Realm != "corp.example" || carol.DirectoryDisabled || len(carol.Tokens) != 1 || !carol.Created.Equal(now) {
		t.Errorf("carol %+v", carol)
	}
}

func TestADirectoryThatDoesNotAnswerHidesNobodyElse(t *testing.T) {
	s, r := mixed()
	r.silent = errors.New("lab.example:636 does not answer")
	got, err := listed(s, Filter{})
	if got != "alice=corp bob=local carol=local+corp cecil=corp dave=local" || !errors.Is(err, r.silent) {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := listed(s, Filter{Source: "lab"}); got != "" || !errors.Is(err, r.silent) {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := listed(s, Filter{Source: Local}); got != "bob=local carol=local dave=local" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
	if got, err := listed(s, Filter{User: "bob"}); got != "bob=local" || err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("%s, %v", got, err)
	}
	if _, err := listed(s, Filter{User: "nobody"}); errors.Is(err, ErrNotFound) {
		t.Errorf("nobody knows that: %v", err)
	}
}

func TestAListingEndsWhereItsReaderDoes(t *testing.T) {
	s, _ := mixed()
	enough := errors.New("enough")
	for stop := range 6 {
		seen := 0
		err := s.Users(ctx, root, Filter{}, func(UserView) error {
			if seen++; seen > stop {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) || seen != stop+1 {
			t.Errorf("after %d: %v", seen, err)
		}
	}
	s.Directory = nil
	if got, err := listed(s, Filter{}); got != "bob=local carol=local dave=local" || err != nil {
		t.Errorf("%s, %v", got, err)
	}
}
