package console

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store/embedded"
)

// staffed is a directory in which all are in the group "vpn" but carol.
type staffed struct{ names []string }

func (s *staffed) Users(_ context.Context, each func(*exclusions.Identity) error) error {
	for _, name := range s.names {
		if err := each(&exclusions.Identity{Name: name, Directory: "corp"}); err != nil {
			return err
		}
	}
	return nil
}

func (s *staffed) Find(_ context.Context, name []byte) (*exclusions.Identity, exclusions.Source) {
	i := &exclusions.Identity{Name: string(name), Directory: "corp"}
	if i.Name != "carol" {
		i.Groups = []string{"vpn"}
	}
	return i, exclusions.Fresh
}

func (s *staffed) GroupExists(_ context.Context, group string) (bool, error) {
	return group == "vpn", nil
}

var migrantSeed = oath.NewSeed([]byte("12345678901234567890"))

// migration is the API over a real store with alice, bob and carol, who have a PIN and a
// token each, and dave in the directory. The TMS has seen dave.
func migration(t *testing.T) (*site, *Client, *embedded.Store) {
	t.Helper()
	s := newSite(t)
	store := s.service.Store.(*embedded.Store)
	s.service.Migration, s.service.Directory = store, &staffed{[]string{"alice", "bob", "carol", "dave"}}
	c := mount(t, s.service, true)
	ctx := t.Context()
	for _, name := range []string{"alice", "bob", "carol"} {
		_, err := c.AddUser(ctx, tms.NewUser{Name: name, PIN: otp.NewPIN([]byte("4711"))})
		s.check(err)
		_, err = c.AddToken(ctx, tms.NewToken{Serial: name + "1", User: name, Seed: migrantSeed})
		s.check(err)
	}
	s.check(store.NoteSeen(ctx, []tms.Seen{{User: "dave", Last: s.now()}}))
	return s, c, store
}

// differ has the TMS accept a passcode of bob with another PIN than his here.
func differ(t *testing.T, s *site, store *embedded.Store) {
	t.Helper()
	passcode := otp.NewPasscode([]byte("0815" + oath.TOTP(oath.SHA1, migrantSeed, s.now(), 0, 30, 6)))
	a := &otp.Attempt{
		At: s.now(), User: []byte("bob"), NAS: "gw", Method: otp.PAP, Passcode: passcode,
		Order: otp.LocalThenTMS, TMS: otp.TMSAccepted, Shadow: true,
	}
	verdict, err := otp.NewVerifier(store, otp.DefaultPolicy()).Verify(t.Context(), a)
	if err != nil || verdict != otp.AcceptedByTMS {
		t.Fatalf("%v, %v", verdict, err)
	}
}

func TestMigrationOverTheAPI(t *testing.T) {
	s, c, store := migration(t)
	ctx := t.Context()
	differ(t, s, store)
	var progress []Progress
	c.OnProgress = func(p Progress) { progress = append(progress, p) }
	users := map[otp.UserName]tms.UserMigration{}
	report, err := c.MigrationStatus(ctx, []string{"vpn"}, func(u tms.UserMigration) error { users[u.User] = u; return nil })
	want := tms.MigrationReport{
		Groups: []tms.MigrationCount{{Group: "vpn", Users: 3, TMS: 1, Local: 1, Disagreeing: 1}},
		Total:  tms.MigrationCount{Users: 4, TMS: 1, Local: 2, Disagreeing: 1},
	}
	if err != nil || fmt.Sprint(report) != fmt.Sprint(want) || len(users) != 3 || fmt.Sprint(progress) != "[{4 4}]" {
		t.Errorf("%+v, %v, %+v, %v", report, err, users, progress)
	}
	if bob := users["bob"]; bob.State != tms.StateDisagreeing || fmt.Sprint(bob.Tokens) != "[{BOB1 false true 0 1}]" {
		t.Errorf("%+v", bob)
	}
	if dave := users["dave"]; dave.State != tms.StateTMS || dave.Seen.IsZero() || dave.Tokens == nil {
		t.Errorf("%+v", dave)
	}
	if report, err = c.MigrationStatus(ctx, nil, nil); err != nil || report.Total != want.Total || len(report.Groups) > 0 {
		t.Errorf("%+v, %v", report, err)
	}
	_, err = c.MigrationStatus(ctx, []string{"gone"}, nil)
	if !errors.Is(err, tms.ErrNotFound) {
		t.Error(err)
	}

	var moved []tms.Moved
	note := func(m tms.Moved) error { moved = append(moved, m); return nil }
	done, err := c.Cutover(ctx, tms.Move{Group: "vpn"}, note)
	if err != nil || done != (tms.MoveReport{Moved: 1, Left: 2}) || len(moved) != 3 || moved[0].Home != "local" || !strings.Contains(moved[1].Left, "BOB1") {
		t.Errorf("%+v, %v, %+v", done, err, moved)
	}
	if done, err = c.Rollback(ctx, tms.Move{All: true, DryRun: true}, note); err != nil || done != (tms.MoveReport{Moved: 3, Before: 1, DryRun: true}) {
		t.Errorf("%+v, %v", done, err)
	}
	if u, err := c.SetHome(ctx, tms.HomeChange{User: "bob", Home: "local", Force: true}); err != nil || u.Home != "local" || fmt.Sprint(u.Tokens) != "[BOB1]" {
		t.Errorf("%+v, %v", u, err)
	}
	if _, err := c.SetHome(ctx, tms.HomeChange{User: "dave", Home: "local"}); !errors.Is(err, tms.ErrNotFound) {
		t.Error(err)
	}
	homes := map[otp.UserName]string{}
	s.check(c.Users(ctx, tms.Filter{}, func(u tms.UserView) error { homes[u.Name] = u.Home; return nil }))
	if fmt.Sprint(homes) != "map[alice:local bob:local carol: dave:]" {
		t.Error(homes)
	}
	s.check(c.Tokens(ctx, tms.Filter{Serial: "BOB1"}, func(v tms.TokenView) error {
		if v.Disagreed != 1 || v.Agreed != 0 || v.Learned {
			t.Errorf("%+v", v)
		}
		return nil
	}))
}

// The logins that differ can be listed, with what that means.
func TestDifferencesOverTheAPI(t *testing.T) {
	s, c, store := migration(t)
	differ(t, s, store)
	var events []EventView
	list := func(f tms.Filter) {
		events = nil
		s.check(c.Events(t.Context(), f, func(e EventView) error { events = append(events, e); return nil }))
	}
	for _, user := range []otp.UserName{"", "bob"} {
		list(tms.Filter{User: user, Differing: true})
		if len(events) != 1 || events[0].Verdict != "accepted_by_tms" || events[0].Own != "wrong_pin" || !strings.Contains(events[0].Difference, "another OTP PIN") || events[0].User != "bob" {
			t.Errorf("%+v", events)
		}
	}
	if list(tms.Filter{User: "alice", Differing: true}); len(events) > 0 {
		t.Errorf("%+v", events)
	}
	if list(tms.Filter{}); len(events) != 7 {
		t.Errorf("%d events", len(events))
	}
}

func TestMigrationIsForAdministrators(t *testing.T) {
	s, _, _ := migration(t)
	c := mount(t, s.service, false)
	ctx, none := context.Background(), func(tms.Moved) error { return nil }
	_, status := c.MigrationStatus(ctx, nil, nil)
	_, cutover := c.Cutover(ctx, tms.Move{All: true}, none)
	_, rollback := c.Rollback(ctx, tms.Move{All: true}, none)
	_, home := c.SetHome(ctx, tms.HomeChange{User: "alice", Home: "tms"})
	for _, err := range []error{status, cutover, rollback, home} {
		if !errors.Is(err, tms.ErrForbidden) {
			t.Error(err)
		}
	}
}

// A move whose caller went away is completed by the next.
func TestAMoveThatIsCutOff(t *testing.T) {
	_, c, _ := migration(t)
	enough := errors.New("enough")
	if _, err := c.Cutover(t.Context(), tms.Move{All: true}, func(tms.Moved) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
	var left int
	report, err := c.Cutover(t.Context(), tms.Move{All: true}, func(tms.Moved) error { left++; return nil })
	if err != nil || report.Moved+report.Before != 3 || report.Left != 1 || left != report.Moved+1 {
		t.Errorf("%+v, %v", report, err)
	}
}
