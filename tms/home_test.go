package tms

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"countersign/otp"
)

func TestSetHome(t *testing.T) {
	s, m, _ := migrants()
	view, err := s.SetHome(ctx, root, HomeChange{User: "Proven", Home: "local"})
	if err != nil || view.Home != "local" || view.Name != "proven" || !slices.Equal(view.Tokens, []otp.Serial{"PROVEN0"}) || m.users["proven"].Home != otp.HomeLocal {
		t.Errorf("%+v, %v", view, err)
	}
	want := Act{At: now, Actor: "root@cli", Verb: "user.home", Object: "proven", Detail: "home=local"}
	if len(m.acts) != 1 || m.acts[0] != want {
		t.Errorf("recorded %+v", m.acts)
	}
	// Where it is so already there is nothing to record.
	if view, err := s.SetHome(ctx, root, HomeChange{User: "proven", Home: "local"}); err != nil || view.Home != "local" || len(m.acts) != 1 {
		t.Errorf("%+v, %v, recorded %+v", view, err, m.acts)
	}
	for _, home := range []string{"tms", "unsaid"} {
		if view, err := s.SetHome(ctx, root, HomeChange{User: "proven", Home: home}); err != nil || m.users["proven"].Home.String() != home {
			t.Errorf("%+v, %v", view, err)
		}
	}
	m.acts = nil
	for name, says := range map[string]string{
		"bare": "no token here that can be used", "expired": "no token here that can be used", "disabled": "no token here",
		"recoverer": "no token here that can be used", "young": "YOUNG0 was learned and has not proven itself: one login alone has agreed",
		"apart": "of token APART0 the TMS said otherwise 3 times in a row",
	} {
		_, err := s.SetHome(ctx, root, HomeChange{User: name, Home: "local"})
		wantError(t, err, ErrInvalid, says)
		wantError(t, err, ErrInvalid, fmt.Sprintf("user %q", name))
	}
	_, err = s.SetHome(ctx, root, HomeChange{User: "visitor", Home: "tms"})
	wantError(t, err, ErrNotFound, "visitor")
	_, err = s.SetHome(ctx, root, HomeChange{User: "proven", Home: "here"})
	wantError(t, err, ErrInvalid, "local, tms or unsaid")
	_, err = s.SetHome(ctx, root, HomeChange{User: " ", Home: "tms"})
	wantError(t, err, ErrInvalid, "user name")
	s.Migration = nil
	_, err = s.SetHome(ctx, root, HomeChange{User: "proven", Home: "tms"})
	wantError(t, err, errNoMigration, "")
	if len(m.acts) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
	s.Migration = sightings{}
	for i, name := range []string{"apart", "young"} {
		if _, err := s.SetHome(ctx, root, HomeChange{User: name, Home: "local", Force: true}); err != nil || m.acts[i].Detail != "home=local force" {
			t.Errorf("%v, recorded %+v", err, m.acts)
		}
	}
}

// moves collects what became of users.
type moves map[otp.UserName]Moved

func (m moves) note(moved Moved) error {
	m[moved.User] = moved
	return nil
}

// in is a sorted list of those who went to a home, or with "" of those who were left.
func (m moves) in(home string) (names []string) {
	for name, moved := range m {
		if moved.Left == "" && moved.Home == home || moved.Left != "" && home == "" {
			names = append(names, string(name))
		}
	}
	slices.Sort(names)
	return names
}

func wantMoves(t *testing.T, got moves, home, want string) {
	t.Helper()
	if names := strings.Join(got.in(home), " "); names != want {
		t.Errorf("to %q: %s; want %s", home, names, want)
	}
}

func TestCutover(t *testing.T) {
	s, m, _ := migrants()
	users := fmt.Sprint(m.users)
	dry, got := moves{}, moves{}
	foretold, err := s.Cutover(ctx, root, Move{Group: "vpn", DryRun: true}, nil, dry.note)
	if err != nil || fmt.Sprint(m.users) != users || len(m.acts) > 0 || !foretold.DryRun {
		t.Fatalf("%+v, %v: a dry run changed %+v", foretold, err, m.acts)
	}
	var told []int64
	report, err := s.Cutover(ctx, root, Move{Group: "vpn"}, func(done, total int64) { told = append(told, done, total) }, got.note)
	if err != nil || report != (MoveReport{Moved: 4, Left: 9, Before: 3}) || fmt.Sprint(told) != "[17 17]" {
		t.Errorf("%+v, %v, progress %v", report, err, told)
	}
	foretold.DryRun = false
	if foretold != report || !reflect.DeepEqual(dry, got) {
		t.Errorf("foretold %+v %+v,\ncame %+v %+v", foretold, dry, report, got)
	}
	wantMoves(t, got, "local", "assigned back backown proven")
	wantMoves(t, got, "", "apart backapart bare disabled expired newcomer recoverer visitor young")
	if left := got["apart"]; left.Home != "unsaid" || left.Was != "unsaid" || !strings.Contains(left.Left, "APART0") {
		t.Errorf("%+v", left)
	}
	if left := got["young"]; left.Home != "unsaid" || !strings.Contains(left.Left, "YOUNG0 was learned and has not proven itself") {
		t.Errorf("%+v", left)
	}
	if back := got["back"]; back.Was != "tms" || back.Home != "local" || m.users["back"].Home != otp.HomeLocal {
		t.Errorf("%+v", back)
	}
	if len(m.acts) != 4 || m.acts[0].Verb != "user.home" || m.acts[0].Object != "assigned" || m.acts[0].Detail != `home=local group="vpn"` || m.acts[0].Actor != "root@cli" {
		t.Errorf("recorded %+v", m.acts)
	}
	// Done again it changes nothing.
	m.acts = nil
	if report, err = s.Cutover(ctx, root, Move{Group: "vpn"}, nil, moves{}.note); err != nil || report != (MoveReport{Left: 9, Before: 7}) || len(m.acts) > 0 {
		t.Errorf("%+v, %v, recorded %+v", report, err, m.acts)
	}
	got = moves{}
	if report, err = s.Cutover(ctx, root, Move{All: true, Force: true}, nil, got.note); err != nil || report != (MoveReport{Moved: 3, Left: 7, Before: 7}) {
		t.Errorf("%+v, %v", report, err)
	}
	wantMoves(t, got, "local", "apart backapart young")
	wantMoves(t, got, "", "bare disabled expired newcomer recoverer stranger visitor")
	if m.acts[0].Detail != "home=local all force" {
		t.Errorf("recorded %+v", m.acts)
	}
}

func TestMovingOneUser(t *testing.T) {
	s, m, g := migrants()
	got := moves{}
	if report, err := s.Cutover(ctx, root, Move{User: "Proven"}, nil, got.note); err != nil || report.Moved != 1 || len(got) != 1 || m.acts[0].Detail != "home=local" {
		t.Errorf("%+v, %v, %+v", report, err, got)
	}
	for _, name := range []string{"newcomer", `corp\newcomer`, "stranger"} {
		got = moves{}
		if report, err := s.Cutover(ctx, root, Move{User: name}, nil, got.note); err != nil || report.Left != 1 || len(got) != 1 {
			t.Errorf("%s: %+v, %v, %+v", name, report, err, got)
		}
	}
	_, err := s.Cutover(ctx, root, Move{User: "nobody"}, nil, got.note)
	wantError(t, err, ErrNotFound, "nobody")
	for _, wrong := range []Move{{}, {User: "young", All: true}, {Group: "vpn", User: "young"}} {
		_, err := s.Rollback(ctx, root, wrong, nil, got.note)
		wantError(t, err, ErrInvalid, "one group, one user, or all")
	}
	_, err = s.Cutover(ctx, root, Move{User: " "}, nil, got.note)
	wantError(t, err, ErrInvalid, "user name")
	_, err = s.Cutover(ctx, root, Move{Group: "gone"}, nil, got.note)
	wantError(t, err, ErrNotFound, "gone")

	// A way back is there without a directory.
	g.silent = errors.New("no server answers")
	for _, m := range []Move{{User: "young"}, {All: true}} {
		if report, err := s.Rollback(ctx, root, m, nil, got.note); err != nil || report.Moved == 0 {
			t.Errorf("%+v, %v", report, err)
		}
	}
	_, err = s.Cutover(ctx, root, Move{All: true}, nil, got.note)
	wantError(t, err, g.silent, "")
}

func TestRollback(t *testing.T) {
	s, m, _ := migrants()
	got := moves{}
	report, err := s.Rollback(ctx, root, Move{Group: "vpn", Force: true}, nil, got.note)
	if err != nil || report != (MoveReport{Moved: 10, Before: 5}) {
		t.Errorf("%+v, %v", report, err)
	}
	wantMoves(t, got, "tms", "apart assigned cutover disabled empty expired forced proven recoverer young")
	if len(m.acts) != 10 || m.acts[0].Detail != `home=tms group="vpn"` || m.users["bare"].Home != otp.HomeUnsaid {
		t.Errorf("recorded %+v", m.acts)
	}
	m.acts, got = nil, moves{}
	if report, err = s.Rollback(ctx, root, Move{All: true, Clear: true}, nil, got.note); err != nil || report != (MoveReport{Moved: 13, Before: 3}) || len(m.acts) != 13 {
		t.Errorf("%+v, %v, recorded %+v", report, err, m.acts)
	}
	for name, u := range m.users {
		if u.Home != otp.HomeUnsaid {
			t.Errorf("%s is %v", name, u.Home)
		}
	}
}

// A token that has not proven itself is no reason to stay beside one that is active.
func TestAnUnprovenTokenBesideAnActiveOne(t *testing.T) {
	young, active := TokenStanding{Serial: "Y", Learned: true}, TokenStanding{Serial: "A", Active: true}
	for _, c := range []struct {
		tokens []TokenStanding
		force  bool
		want   string
	}{
		{[]TokenStanding{young}, false, "no login has agreed"},
		{[]TokenStanding{{Learned: true, Agreed: 2}}, false, "only 2 logins have agreed"},
		{[]TokenStanding{young, young}, false, "token Y was learned"},
		{[]TokenStanding{young}, true, ""},
		{[]TokenStanding{young, active}, false, ""},
	} {
		if why := unready(c.tokens, c.force); (c.want == "") != (why == "") || !strings.Contains(why, c.want) {
			t.Errorf("%+v: %q", c, why)
		}
	}
}

// A move that is broken off is completed by another, and what changes meanwhile is
// looked at.
func TestMovesThatAreDisturbed(t *testing.T) {
	s, m, _ := migrants()
	enough := errors.New("enough")
	done := 0
	_, err := s.Cutover(ctx, root, Move{All: true}, nil, func(Moved) error {
		if done++; done == 4 {
			return enough
		}
		return nil
	})
	wantError(t, err, enough, "")
	if report, err := s.Cutover(ctx, root, Move{All: true}, nil, moves{}.note); err != nil || report.Moved == 0 || len(m.acts) != 4 {
		t.Errorf("%+v, %v, recorded %+v", report, err, m.acts)
	}

	s, _, _ = migrants()
	gone, cancel := context.WithCancel(ctx)
	_, err = s.Cutover(gone, root, Move{All: true}, nil, func(Moved) error { cancel(); return nil })
	wantError(t, err, context.Canceled, "")

	s, m, _ = migrants()
	got := moves{}
	report, err := s.Cutover(ctx, root, Move{All: true}, nil, func(moved Moved) error {
		if moved.User == "apart" { // the first of them
			delete(m.users, "back")
			token := m.token["PROVEN0"]
			token.Disabled = true
			m.token["PROVEN0"] = token
		}
		return got.note(moved)
	})
	if err != nil || report.Moved != 2 || !strings.Contains(got["back"].Left, "not found") || !strings.Contains(got["proven"].Left, "no token here") {
		t.Errorf("%+v, %v, %+v", report, err, got)
	}

	s, m, _ = migrants()
	m.broken = errors.New("disk full")
	_, err = s.Cutover(ctx, root, Move{All: true}, nil, moves{}.note)
	wantError(t, err, m.broken, "")
}

// A token that was enrolled here is one that the TMS does not know: our own tokens decide
// from then on, unless an administrator has said who does.
func TestActivationAndHome(t *testing.T) {
	for before, after := range map[otp.Home]otp.Home{otp.HomeUnsaid: otp.HomeLocal, otp.HomeTMS: otp.HomeTMS, otp.HomeLocal: otp.HomeLocal} {
		s, m, _ := invited(t, NewInvitation{})
		m.users["alice"] = User{Exists: true, Name: "alice", PIN: otp.NewPIN([]byte("4097")), Home: before}
		if _, err := s.Activate(ctx, root, Activation{User: "alice", Code: shows(m.invite["alice"].Token, 0)}); err != nil || m.users["alice"].Home != after {
			t.Errorf("%v, %v, want %v", m.users["alice"].Home, err, after)
		}
	}
	s, m, _ := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))}) // a new user, by a login
	passcode := otp.NewPasscode([]byte("4097" + shows(m.invite["alice"].Token, 0)))
	if shown, err := s.ActivateByPasscode(ctx, root, "alice", passcode); shown != otp.Shown || err != nil || m.users["alice"].Home != otp.HomeLocal {
		t.Errorf("%v, %v, %v", shown, err, m.users["alice"].Home)
	}
	// What is given by other ways leaves it alone: the TMS may have that token, too.
	if _, err := s.AddUser(ctx, root, NewUser{Name: "bob", NoPIN: true}); err != nil {
		t.Fatal(err)
	}
	_, added := s.AddToken(ctx, root, NewToken{Serial: "B1", User: "bob", Seed: seed})
	_, assigned := s.AssignToken(ctx, root, "B1", "bob")
	_, handed := s.HandOverToken(ctx, root, HandOver{Serial: "B1", Seed: seed, NoPIN: true})
	if err := errors.Join(added, assigned, handed); err != nil || m.users["bob"].Home != otp.HomeUnsaid {
		t.Errorf("%v, %v", m.users["bob"].Home, err)
	}
}
