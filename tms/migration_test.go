package tms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// sightings is a MigrationStore in memory.
type sightings map[otp.UserName]time.Time

func (s sightings) NoteSeen(_ context.Context, seen []Seen) error {
	for _, one := range seen {
		s[one.User] = one.Last
	}
	return nil
}

func (s sightings) SeenAtTMS(_ context.Context, f Filter, each func(*Seen) error) error {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if f.User == "" || f.User == name {
			if err := each(&Seen{User: name, Last: s[name]}); err != nil {
				return err
			}
		}
	}
	return nil
}

// grouped is a repository that has groups: those its users are in.
type grouped struct{ repository }

func (g *grouped) GroupExists(_ context.Context, group string) (bool, error) {
	return slices.ContainsFunc(g.identities, func(i exclusions.Identity) bool { return slices.Contains(i.Groups, group) }), g.silent
}

// migrants is a Service of users in all states: each is in the group of the same name,
// and all of them in "vpn". The directory has "newcomer" besides.
func migrants() (*Service, *memory, *grouped) {
	s, m := serving()
	seen, g := sightings{}, &grouped{}
	s.Migration, s.Directory = seen, g
	known := func(name otp.UserName, group string) {
		g.identities = append(g.identities, exclusions.Identity{Name: string(name), Directory: "corp", Groups: []string{group, "vpn"}})
	}
	add := func(name otp.UserName, home otp.Home, group string, tokens ...otp.Token) {
		m.users[name] = User{Exists: true, Name: name, Home: home}
		for i, t := range tokens {
			t.Serial, t.Seed, t.Digits, t.Period = otp.Serial(fmt.Sprintf("%s%d", strings.ToUpper(string(name)), i)), seed, 6, 30
			m.token[t.Serial] = Token{Exists: true, User: name, Token: t}
		}
		known(name, group)
	}
	own := otp.Token{}
	active := otp.Token{Learned: true, State: otp.State{Agreed: 2}}
	young := otp.Token{Learned: true, State: otp.State{Agreed: 1}}
	apart := otp.Token{Learned: true, State: otp.State{Agreed: 7, Disagreed: 3}}
	off, over := otp.Token{Disabled: true}, otp.Token{ValidUntil: now.Unix()}
	list := otp.Token{Type: otp.CodeList, Codes: 10}

	add("assigned", otp.HomeUnsaid, "local", own)
	add("proven", otp.HomeUnsaid, "local", active)
	add("cutover", otp.HomeLocal, "local", active)
	add("forced", otp.HomeLocal, "local", apart)
	add("empty", otp.HomeLocal, "local")
	add("young", otp.HomeUnsaid, "learned", young)
	add("back", otp.HomeTMS, "learned", active)
	add("backown", otp.HomeTMS, "tms", own)
	add("apart", otp.HomeUnsaid, "disagreeing", apart)
	add("backapart", otp.HomeTMS, "disagreeing", own, apart)
	add("recoverer", otp.HomeUnsaid, "tms", list)
	add("disabled", otp.HomeUnsaid, "tms", off)
	add("expired", otp.HomeUnsaid, "never-seen", over)
	add("bare", otp.HomeUnsaid, "never-seen")
	known("visitor", "tms")
	known("newcomer", "never-seen")
	for _, name := range []otp.UserName{"visitor", "recoverer", "disabled", "apart", "proven", "stranger"} {
		seen[name] = now
	}
	m.token["STOCK"] = Token{Exists: true, Token: otp.Token{Serial: "STOCK"}}
	return s, m, g
}

var states = []string{"tms", "learned", "local", "disagreeing", "never-seen"}

// Each user is in one state, and counted once.
func TestMigrationStatus(t *testing.T) {
	s, m, g := migrants()
	in := map[otp.UserName]string{}
	for _, i := range g.identities {
		in[otp.UserName(i.Name)] = i.Groups[0]
	}
	for i := range g.identities { // as Identity has them
		slices.Sort(g.identities[i].Groups)
	}
	var told []int64
	listed := map[otp.UserName]UserMigration{}
	report, err := s.MigrationStatus(ctx, root, append(states, "vpn", "tms"), func(done, total int64) { told = append(told, done, total) }, func(u UserMigration) error {
		if want := in[u.User]; string(u.State) != want || !slices.Contains(u.Groups, want) {
			t.Errorf("%s is %s in %v, want %s", u.User, u.State, u.Groups, want)
		}
		listed[u.User] = u
		return nil
	})
	if err != nil || len(report.Groups) != len(states)+1 || len(listed) != len(g.identities) {
		t.Fatalf("%+v, %v, %d listed", report, err, len(listed))
	}
	counts := func(n MigrationCount) []int { return []int{n.TMS, n.Learned, n.Local, n.Disagreeing, n.NeverSeen} }
	for i, n := range report.Groups[:len(states)] {
		if each := counts(n); n.Group != states[i] || each[i] != n.Users || n.Users == 0 {
			t.Errorf("%+v", n)
		}
	}
	// "stranger" is in no directory, and so in no group.
	if vpn := report.Groups[len(states)]; fmt.Sprint(vpn.Users, counts(vpn)) != "16 [4 2 5 2 3]" {
		t.Errorf("%+v", vpn)
	}
	if n := report.Total; fmt.Sprint(n.Users, counts(n), n.Group) != "17 [5 2 5 2 3]" {
		t.Errorf("%+v", n)
	}
	if fmt.Sprint(told) != "[17 17]" {
		t.Errorf("progress %v", told)
	}
	apart := listed["apart"]
	if fmt.Sprint(apart.Tokens) != "[{APART0 true true 7 3}]" || !apart.Seen.Equal(now) || apart.Home != "" {
		t.Errorf("%+v", apart)
	}
	if back := listed["back"]; back.Home != "tms" || !back.Seen.IsZero() || len(listed["expired"].Tokens)+len(listed["recoverer"].Tokens) > 0 {
		t.Errorf("%+v", back)
	}
	if len(m.acts) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}

// Without groups everybody is listed, and nobody asked about each.
func TestMigrationStatusOfAll(t *testing.T) {
	s, _, g := migrants()
	users := 0
	report, err := s.MigrationStatus(ctx, root, nil, nil, func(UserMigration) error { users++; return nil })
	if err != nil || report.Total.Users != 17 || users != 17 || report.Groups != nil || g.finds.Load() != 0 {
		t.Errorf("%+v, %v, %d users, %d questions", report, err, users, g.finds.Load())
	}
	s.Directory = nil
	if report, err = s.MigrationStatus(ctx, root, nil, nil, nil); err != nil || report.Total.Users != 16 {
		t.Errorf("%+v, %v", report, err)
	}
	_, err = s.MigrationStatus(ctx, root, []string{"vpn"}, nil, nil)
	wantError(t, err, ErrInvalid, "no [[directory]]")
}

// Numbers that would be wrong are not told.
func TestMigrationStatusWithoutADirectory(t *testing.T) {
	s, m, g := migrants()
	_, err := s.MigrationStatus(ctx, root, []string{"vpn", "night shift"}, nil, nil)
	wantError(t, err, ErrNotFound, `group "night shift": not found in any directory`)

	g.silent = errors.New("no server answers")
	_, err = s.MigrationStatus(ctx, root, nil, nil, nil)
	wantError(t, err, g.silent, "listing the users of the directories")
	_, err = s.MigrationStatus(ctx, root, []string{"vpn"}, nil, nil)
	wantError(t, err, g.silent, `"vpn"`)
	s.Directory = &failing{repository: g.repository.identities}
	_, err = s.MigrationStatus(ctx, root, []string{"vpn"}, nil, nil)
	if err == nil || !strings.Contains(err.Error(), `user "apart": the directory does not answer`) {
		t.Error(err)
	}

	full := errors.New("disk full")
	s.Directory, s.Store = nil, unreadable{m, full}
	_, err = s.MigrationStatus(ctx, root, nil, nil, nil)
	wantError(t, err, full, "")
	s.Store = m
	gone, cancel := context.WithCancel(ctx)
	cancel()
	_, err = s.MigrationStatus(gone, root, nil, nil, nil)
	wantError(t, err, context.Canceled, "")
	s.Migration = nil
	_, err = s.MigrationStatus(ctx, root, nil, nil, nil)
	wantError(t, err, errNoMigration, "MigrationStore")
}

// failing is a Directory that lists its users, and then has old answers only.
type failing struct{ repository []exclusions.Identity }

func (f *failing) Users(_ context.Context, each func(*exclusions.Identity) error) error {
	for i := range f.repository {
		if err := each(&f.repository[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *failing) Find(_ context.Context, name []byte) (*exclusions.Identity, exclusions.Source) {
	return &exclusions.Identity{Name: string(name), Directory: "corp", Groups: []string{"vpn"}}, exclusions.Stale
}

func TestWhatADifferenceMeans(t *testing.T) {
	for _, d := range []otp.Decision{
		{Verdict: otp.AcceptedByTMS}, {Verdict: otp.AcceptedByTMS, Own: otp.Accepted}, {Verdict: otp.Accepted},
		{Verdict: otp.RefusedByTMS, Own: otp.WrongPIN}, {Verdict: otp.RefusedByTMS},
	} {
		if meaning := Difference(&d); meaning != "" {
			t.Errorf("%+v: %s", d, meaning)
		}
	}
	said := map[string]bool{}
	for _, own := range []otp.Verdict{otp.WrongPIN, otp.WrongCode, otp.WrongPasscode, otp.Replayed, otp.NextCode, otp.Locked, otp.TokenExpired} {
		meaning := Difference(&otp.Decision{Verdict: otp.AcceptedByTMS, Own: own})
		if meaning == "" || said[meaning] || strings.Contains(meaning, "_") != (own == otp.TokenExpired) {
			t.Errorf("%v: %q", own, meaning)
		}
		said[meaning] = true
	}
	if meaning := Difference(&otp.Decision{Verdict: otp.RefusedByTMS, Own: otp.Accepted}); !strings.Contains(meaning, "the TMS refused") {
		t.Error(meaning)
	}
}
