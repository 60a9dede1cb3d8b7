package tms

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/radiusd/accounting"
)

// Nobody but an administrator gets past the gate: no method of Service may
// reach its store, which is nil here.
func TestTheGateRefusesEveryAct(t *testing.T) {
	s := NewService(Options{Clock: time.Now, Rand: bytes.NewReader(make([]byte, 64)), MinPINLength: func() int { return 4 }})
	ctx, stranger := context.Background(), Caller{Name: "mallory@socket"}
	disabled := true
	acts := map[string]func() error{
		"AddUser": func() error { _, err := s.AddUser(ctx, stranger, NewUser{Name: "x", NoPIN: true}); return err },
		"SetUser": func() error {
			_, err := s.SetUser(ctx, stranger, UserChange{Name: "x", Disabled: &disabled})
			return err
		},
		"RemoveUser":   func() error { return s.RemoveUser(ctx, stranger, "x") },
		"Users":        func() error { return s.Users(ctx, stranger, Filter{}, nil) },
		"AddToken":     func() error { _, err := s.AddToken(ctx, stranger, NewToken{Seed: seed}); return err },
		"AssignToken":  func() error { _, err := s.AssignToken(ctx, stranger, "s", "x"); return err },
		"EnableToken":  func() error { _, err := s.EnableToken(ctx, stranger, "s", true); return err },
		"UnlockToken":  func() error { _, err := s.UnlockToken(ctx, stranger, "s"); return err },
		"ResyncToken":  func() error { _, err := s.ResyncToken(ctx, stranger, TokenResync{Serial: "s"}); return err },
		"RemoveToken":  func() error { return s.RemoveToken(ctx, stranger, "s") },
		"Tokens":       func() error { return s.Tokens(ctx, stranger, Filter{}, nil) },
		"Events":       func() error { return s.Events(ctx, stranger, Filter{}, nil) },
		"AddRule":      func() error { _, err := s.AddRule(ctx, stranger, NewRule{}); return err },
		"RemoveRule":   func() error { return s.RemoveRule(ctx, stranger, "r") },
		"Rules":        func() error { return s.Rules(ctx, stranger, "", nil) },
		"RuleReport":   func() error { _, err := s.RuleReport(ctx, stranger, 0); return err },
		"BehindState":  func() error { _, err := s.BehindState(ctx, stranger); return err },
		"Explain":      func() error { _, err := s.Explain(ctx, stranger, ExplainRequest{}); return err },
		"ExplainEvent": func() error { _, err := s.ExplainEvent(ctx, stranger, "1-0"); return err },
		"CreateToken":  func() error { return s.CreateToken(ctx, stranger, "x", NewToken{}) },
		"HandOverToken": func() error {
			_, err := s.HandOverToken(ctx, stranger, HandOver{Serial: "s", Seed: seed})
			return err
		},
		"Invite":           func() error { _, err := s.Invite(ctx, stranger, NewInvitation{User: "x"}); return err },
		"Invitations":      func() error { return s.Invitations(ctx, stranger, Filter{}, nil) },
		"Withdraw":         func() error { return s.Withdraw(ctx, stranger, "x") },
		"OpenInvitation":   func() error { _, err := s.OpenInvitation(ctx, stranger, NewLink("x")); return err },
		"InvitationByKey":  func() error { _, err := s.InvitationByKey(ctx, stranger, NewActivationKey("x")); return err },
		"InvitationOf":     func() error { _, err := s.InvitationOf(ctx, stranger, "", InvitationID{}); return err },
		"RemindInvitation": func() error { return s.RemindInvitation(ctx, stranger, "x", InvitationID{}) },
		"ExpireInvitation": func() error { return s.ExpireInvitation(ctx, stranger, "x", InvitationID{}) },
		"Activate":         func() error { _, err := s.Activate(ctx, stranger, Activation{}); return err },
		"ActivateByPasscode": func() error {
			_, err := s.ActivateByPasscode(ctx, stranger, "x", otp.Passcode{})
			return err
		},
		"LoseToken":            func() error { _, err := s.LoseToken(ctx, stranger, "s"); return err },
		"CreateRecoveryCodes":  func() error { _, err := s.CreateRecoveryCodes(ctx, stranger, "x"); return err },
		"CreateTemporaryCodes": func() error { _, err := s.CreateTemporaryCodes(ctx, stranger, "x", 1, 0); return err },
		"ChoosePIN":            func() error { return s.ChoosePIN(ctx, stranger, "x", otp.PIN{}) },
		"SetInvitationPIN":     func() error { return s.SetInvitationPIN(ctx, stranger, &Invitation{User: "x"}, otp.PIN{}) },
		"SetEntitled":          func() error { _, err := s.SetEntitled(ctx, stranger, "x", true); return err },
		"RevokeEnrolled":       func() error { return s.RevokeEnrolled(ctx, stranger, "x") },
		"Mails":                func() error { return s.Mails(ctx, stranger, Filter{}, nil) },

		"SetHome": func() error {
			_, err := s.SetHome(ctx, stranger, HomeChange{User: "x", Home: "local"})
			return err
		},
		"Cutover":         func() error { _, err := s.Cutover(ctx, stranger, Move{All: true}, nil, nil); return err },
		"Rollback":        func() error { _, err := s.Rollback(ctx, stranger, Move{All: true}, nil, nil); return err },
		"MigrationStatus": func() error { _, err := s.MigrationStatus(ctx, stranger, nil, nil, nil); return err },

		"LearnToken":   func() error { return s.LearnToken(ctx, stranger, Lesson{User: "x", Serial: "s"}) },
		"LearnPIN":     func() error { return s.LearnPIN(ctx, stranger, Lesson{User: "x", Serial: "s"}) },
		"UnlearnToken": func() error { return s.UnlearnToken(ctx, stranger, Lesson{User: "x", Serial: "s"}) },

		"ListSessions":   func() error { return s.ListSessions(ctx, stranger, accounting.Filter{User: "x"}, nil) },
		"Session":        func() error { _, err := s.Session(ctx, stranger, "17-3"); return err },
		"SessionRecords": func() error { return s.SessionRecords(ctx, stranger, "17-3", nil) },
		"AccountingRecords": func() error {
			_, err := s.AccountingRecords(ctx, stranger, accounting.Position{}, 0, nil)
			return err
		},
		"CloseSession":      func() error { return s.CloseSession(ctx, stranger, "17-3") },
		"DisconnectSession": func() error { _, err := s.DisconnectSession(ctx, stranger, "17-3"); return err },
		"CollectorStates":   func() error { _, err := s.CollectorStates(ctx, stranger); return err },
		"NASReports":        func() error { return s.NASReports(ctx, stranger, "", nil) },
		"ClusterStatus":     func() error { _, err := s.ClusterStatus(ctx, stranger); return err },
		"ForgetNode":        func() error { return s.ForgetNode(ctx, stranger, "b") },

		"ImportTokens": func() error { _, err := s.ImportTokens(ctx, stranger, TokenImport{}, nil); return err },
		"ExportTokens": func() error { _, err := s.ExportTokens(ctx, stranger, TokenExport{}); return err },

		"AuditKey":    func() error { _, err := s.AuditKey(ctx, stranger); return err },
		"SignAudit":   func() error { _, err := s.SignAudit(ctx, stranger); return err },
		"ExportAudit": func() error { _, err := s.ExportAudit(ctx, stranger, AuditRange{}, nil); return err },
		"Watch":       func() error { return s.Watch(ctx, stranger, Watching{}, nil, nil, nil) },

		"Import":     func() error { _, err := s.Import(ctx, stranger, strings.NewReader("user\nx\n"), false); return err },
		"Backup":     func() error { _, _, err := s.Backup(ctx, stranger); return err },
		"RotateKeys": func() error { return s.RotateKeys(ctx, stranger, nil) },
	}
	for name, act := range acts {
		if err := act(); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "mallory@socket") {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
	if missing := ungated(acts); missing != "" {
		t.Errorf("Service.%s is not in this test", missing)
	}
}

var seed = oath.NewSeed([]byte("12345678901234567890"))

// ungated is the first exported method of Service without an entry.
func ungated(acts map[string]func() error) string {
	methods := reflect.TypeFor[*Service]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; acts[name] == nil {
			return name
		}
	}
	return ""
}

// holders is a store of alice and bob with a token, an invitation and a list of
// codes each.
func holders(t *testing.T) (*Service, *memory) {
	t.Helper()
	s, m := serving()
	for _, user := range []otp.UserName{"alice", "bob"} {
		m.users[user] = User{Exists: true, Name: user, PIN: otp.NewPIN([]byte("2580"))}
		serial := otp.Serial(strings.ToUpper(string(user)) + "-1")
		m.token[serial] = Token{Exists: true, Enrolled: true, User: user, Token: otp.Token{Serial: serial, Digits: 6, Period: 30, Seed: seed}}
		if _, err := s.CreateRecoveryCodes(ctx, root, string(user)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Invite(ctx, root, NewInvitation{User: string(user), Mail: string(user) + "@example.com"}); err != nil {
			t.Fatal(err)
		}
	}
	m.acts, m.mails = nil, nil
	return s, m
}

// ownActs are the acts that users may do, done to what is of a user who has it, or
// to what nobody has.
func ownActs(s *Service, c Caller, user otp.UserName, serial string) map[string]func() error {
	return map[string]func() error{
		"Tokens": func() error {
			return s.Tokens(ctx, c, Filter{User: user, Serial: otp.Serial(serial)}, func(TokenView) error { return nil })
		},
		"ResyncToken": func() error {
			second := now.Add(30 * time.Second)
			_, err := s.ResyncToken(ctx, c, TokenResync{Serial: serial, First: oath.TOTP(oath.SHA1, seed, now, 0, 30, 6), Second: oath.TOTP(oath.SHA1, seed, second, 0, 30, 6)})
			return err
		},
		"InvitationOf":        func() error { _, err := s.InvitationOf(ctx, c, user, InvitationID{}); return err },
		"Withdraw":            func() error { return s.Withdraw(ctx, c, string(user)) },
		"Invite":              func() error { _, err := s.Invite(ctx, c, NewInvitation{User: string(user)}); return err },
		"ChoosePIN":           func() error { return s.ChoosePIN(ctx, c, string(user), otp.NewPIN([]byte("4097"))) },
		"CreateRecoveryCodes": func() error { _, err := s.CreateRecoveryCodes(ctx, c, string(user)); return err },
		"LoseToken":           func() error { _, err := s.LoseToken(ctx, c, serial); return err },
		"Activate":            func() error { _, err := s.Activate(ctx, c, Activation{User: user, Code: "000000"}); return err },
	}
}

var alice = Caller{Name: "alice@self-service", User: "alice"}

// What is somebody else's is not there for users, word for word as if it were not.
func TestUsersCannotTouchWhatIsOthers(t *testing.T) {
	s, m := holders(t)
	users, tokens, invitations := maps.Clone(m.users), maps.Clone(m.token), maps.Clone(m.invite)
	nobodys := ownActs(s, alice, "nobody", "NOBODY-1")
	for name, act := range ownActs(s, alice, "bob", "BOB-1") {
		err, want := act(), nobodys[name]()
		if !errors.Is(err, ErrNotFound) || !errors.Is(want, ErrNotFound) {
			t.Errorf("%s: %v, want what of nobody: %v", name, err, want)
			continue
		}
		said := strings.NewReplacer("bob", "nobody", "BOB", "NOBODY").Replace(err.Error())
		if said != want.Error() {
			t.Errorf("%s says %q, but of nobody %q", name, err, want)
		}
	}
	// Not even when it is asked for as one's own.
	for _, serial := range []otp.Serial{"BOB-1", "NOBODY-1"} {
		err := s.Tokens(ctx, alice, Filter{User: "alice", Serial: serial}, func(TokenView) error { return nil })
		wantError(t, err, ErrNotFound, string(serial))
	}
	// Nor where the store lists more than it was asked for, or a directory has them
	// under another name.
	s.Store = sloppy{m}
	if err := s.Tokens(ctx, alice, Filter{User: "alice"}, func(v TokenView) error {
		if v.User != "alice" {
			t.Errorf("alice sees %+v", v)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	s.Directory = &repository{identities: []exclusions.Identity{{Name: "bob", Directory: "corp"}}}
	alias := Caller{Name: "bob@self-service", User: `corp\bob`}
	_, err := s.Invite(ctx, alias, NewInvitation{User: `corp\bob`})
	wantError(t, err, ErrNotFound, "bob")
	if !reflect.DeepEqual(m.users, users) || !reflect.DeepEqual(m.token, tokens) || !reflect.DeepEqual(m.invite, invitations) || len(m.acts)+len(m.mails) > 0 {
		t.Errorf("something was changed, by %+v", m.acts)
	}
}

// sloppy is a Store that does not look at Filters.
type sloppy struct{ *memory }

func (s sloppy) Tokens(ctx context.Context, _ Filter, each func(*Token) error) error {
	return s.memory.Tokens(ctx, Filter{}, each)
}

func TestUsersLookAfterWhatIsTheirs(t *testing.T) {
	for _, name := range []string{"Tokens", "ResyncToken", "InvitationOf", "Withdraw", "Invite", "ChoosePIN", "CreateRecoveryCodes", "LoseToken"} {
		s, m := holders(t)
		if err := ownActs(s, alice, "alice", "ALICE-1")[name](); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, act := range m.acts {
			if act.Actor != "alice@self-service" || !act.At.Equal(now) {
				t.Errorf("%s: recorded %+v", name, act)
			}
		}
	}
	s, _ := holders(t)
	wantError(t, ownActs(s, alice, "alice", "")["Activate"](), ErrWrongCode, "")
}

// What is for administrators is refused, whatever it is about.
func TestUsersMayDoNothingElse(t *testing.T) {
	s, m := holders(t)
	disabled := true
	for name, act := range map[string]func() error{
		"all tokens": func() error { return s.Tokens(ctx, alice, Filter{}, nil) },
		"a token":    func() error { return s.Tokens(ctx, alice, Filter{Serial: "ALICE-1"}, nil) },
		"rewind": func() error {
			_, err := s.ResyncToken(ctx, alice, TokenResync{Serial: "ALICE-1", Rewind: true})
			return err
		},
		"another address": func() error {
			_, err := s.Invite(ctx, alice, NewInvitation{User: "alice", Mail: "mallory@example.net"})
			return err
		},
		"AssignToken": func() error { _, err := s.AssignToken(ctx, alice, "BOB-1", "alice"); return err },
		"RemoveToken": func() error { return s.RemoveToken(ctx, alice, "ALICE-1") },
		"UnlockToken": func() error { _, err := s.UnlockToken(ctx, alice, "ALICE-1"); return err },
		"AddToken":    func() error { _, err := s.AddToken(ctx, alice, NewToken{Seed: seed, User: "alice"}); return err },
		"SetUser": func() error {
			_, err := s.SetUser(ctx, alice, UserChange{Name: "alice", Disabled: &disabled})
			return err
		},
		"Users":       func() error { return s.Users(ctx, alice, Filter{User: "alice"}, nil) },
		"Invitations": func() error { return s.Invitations(ctx, alice, Filter{User: "alice"}, nil) },
		"temporary":   func() error { _, err := s.CreateTemporaryCodes(ctx, alice, "alice", 1, 0); return err },
		"SetEntitled": func() error { _, err := s.SetEntitled(ctx, alice, "alice", true); return err },
		"Mails":       func() error { return s.Mails(ctx, alice, Filter{User: "alice"}, nil) },
		"passcode":    func() error { _, err := s.ActivateByPasscode(ctx, alice, "alice", otp.Passcode{}); return err },
		"by key":      func() error { _, err := s.InvitationByKey(ctx, alice, m.invite["alice"].Key); return err },
		"Events":      func() error { return s.Events(ctx, alice, Filter{User: "alice"}, nil) },
		"sessions":    func() error { return s.ListSessions(ctx, alice, accounting.Filter{User: "alice"}, nil) },
		"disconnect":  func() error { _, err := s.DisconnectSession(ctx, alice, "17-3"); return err },
		"SetHome":     func() error { _, err := s.SetHome(ctx, alice, HomeChange{User: "alice", Home: "local"}); return err },
		"Cutover":     func() error { _, err := s.Cutover(ctx, alice, Move{User: "alice"}, nil, nil); return err },
		"Rollback":    func() error { _, err := s.Rollback(ctx, alice, Move{User: "alice"}, nil, nil); return err },
	} {
		if err := act(); !errors.Is(err, ErrForbidden) {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
	if len(m.acts)+len(m.mails) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}

func TestNewTokensAreChecked(t *testing.T) {
	for want, n := range map[string]NewToken{
		"a seed is missing": {},
		"5 digits":          {Seed: seed, Digits: 5},
		"11 digits":         {Seed: seed, Digits: 11},
		"must be totp":      {Seed: seed, Type: "sms"},
		"period":            {Seed: seed, Type: "hotp", Period: 60},
		"counter":           {Seed: seed, Counter: 1},
		"always has 6":      {Seed: seed, Type: "mobilepass", Digits: 8},
		"serial":            {Seed: seed, Serial: "a b"},
		"86400":             {Seed: seed, Period: 86401},
		"by itself":         {Seed: seed, Type: "code-list"},
		"before 1970":       {Seed: seed, ValidFrom: time.Unix(-1, 0)},
		"after it begins":   {Seed: seed, ValidFrom: now, ValidUntil: now},
		"after 1970":        {Seed: seed, ValidUntil: time.Unix(0, 0)},
	} {
		if _, err := n.Token(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want it to say %q", n, err, want)
		}
	}
	token, err := (&NewToken{Seed: seed, Type: "mobilepass"}).Token()
	if err != nil || token.Algorithm != oath.SHA256 || token.Digits != 6 || token.Period != 0 {
		t.Errorf("%+v, %v", token, err)
	}
	token, err = (&NewToken{Seed: seed, ValidFrom: now, ValidUntil: now.Add(time.Hour)}).Token()
	if err != nil || token.ValidFrom != now.Unix() || token.ValidUntil != now.Unix()+3600 {
		t.Errorf("%+v, %v", token, err)
	}
}

func TestWhatAListingShowsOfAToken(t *testing.T) {
	s, _ := serving()
	v := s.viewToken(&Token{Enrolled: true, Token: otp.Token{Type: otp.CodeList, Codes: 10, ValidUntil: now.Unix(), State: otp.State{Counter: 7}}})
	if v.Codes != 3 || v.ValidFrom != nil || v.ValidUntil == nil || !v.ValidUntil.Equal(now) || !v.Enrolled || v.Type != "code-list" {
		t.Errorf("%+v", v)
	}
	v = s.viewToken(&Token{Lost: true, Token: otp.Token{ValidFrom: now.Unix(), State: otp.State{Counter: 7}}})
	if !v.Lost || v.Codes != 0 || v.ValidFrom == nil || !v.ValidFrom.Equal(now) || v.ValidUntil != nil || v.Enrolled {
		t.Errorf("%+v", v)
	}
}
