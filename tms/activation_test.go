package tms

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// shows is the code that a token shows when its device is so many steps or counters
// ahead.
func shows(t otp.Token, ahead int) string {
	if t.Type.Clock() {
		return oath.TOTP(t.Algorithm, t.Seed, now.Add(time.Duration(ahead)*time.Duration(t.Period)*time.Second), t.T0, t.Period, int(t.Digits))
	}
	return oath.HOTP(t.Algorithm, t.Seed, uint64(ahead), int(t.Digits))
}

// invited is a Service with an invitation of alice, whom the store does not know.
func invited(t *testing.T, n NewInvitation) (*Service, *memory, Issued) {
	t.Helper()
	s, m := serving()
	n.User, n.Mail = "alice", "alice@example.com"
	issued, err := s.Invite(ctx, root, n)
	if err != nil {
		t.Fatal(err)
	}
	m.acts, m.mails = nil, nil
	return s, m, issued
}

func TestALinkOpensOnce(t *testing.T) {
	s, m, issued := invited(t, NewInvitation{})
	_, err := s.InvitationByKey(ctx, root, NewActivationKey(issued.Link.Reveal()))
	wantError(t, err, ErrNotFound, "Activation Key")
	i, err := s.OpenInvitation(ctx, root, issued.Link)
	if err != nil || i.User != "alice" || !i.Opened.Equal(now) || i.Links != nil || !i.WantsPIN || i.Key.Hash() != issued.Key.Hash() || i.Token.Seed.IsZero() {
		t.Errorf("%+v, %v", i, err)
	}
	if kept := m.invite["alice"]; len(kept.Links) != 0 || !kept.Opened.Equal(now) {
		t.Errorf("kept %+v", kept)
	}
	if a := m.acts[0]; len(m.acts) != 1 || a.Verb != "invitation.open" || a.Object != "alice" || a.Detail != "serial="+string(issued.Serial) {
		t.Errorf("recorded %+v", m.acts)
	}
	// Whatever is wrong with a link, it is the same.
	_, used := s.OpenInvitation(ctx, root, issued.Link)
	_, never := s.OpenInvitation(ctx, root, NewLink("x"))
	_, key := s.OpenInvitation(ctx, root, NewLink(issued.Key.Reveal()))
	_, none := s.OpenInvitation(ctx, root, Link{})
	for _, err := range []error{used, never, key, none} {
		if wantError(t, err, ErrNotFound, "activation link"); err.Error() != used.Error() {
			t.Errorf("%q is another error than %q", err, used)
		}
	}
	// The key goes on to find it, and finds out nothing else.
	byKey, err := s.InvitationByKey(ctx, root, issued.Key)
	if err != nil || byKey.ID != i.ID || !byKey.WantsPIN {
		t.Errorf("%+v, %v", byKey, err)
	}
	if len(m.acts) != 1 {
		t.Errorf("recorded %+v", m.acts)
	}
}

func TestOfSimultaneousOpeningsOneSucceeds(t *testing.T) {
	s, _, issued := invited(t, NewInvitation{})
	var mu sync.Mutex
	var opened int
	var scanners sync.WaitGroup
	for range 20 {
		scanners.Go(func() {
			if _, err := s.OpenInvitation(ctx, root, issued.Link); err == nil {
				mu.Lock()
				defer mu.Unlock()
				opened++
			} else if !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
		})
	}
	if scanners.Wait(); opened != 1 {
		t.Errorf("opened %d times", opened)
	}
}

// An invitation is over at the instant it expires, for everything.
func TestInvitationsEnd(t *testing.T) {
	s, m, issued := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	i := m.invite["alice"]
	at := i.Expires.Add(-time.Second)
	s.Clock = func() time.Time { return at }
	if _, err := s.InvitationOf(ctx, alice, "alice", i.ID); err != nil {
		t.Errorf("a second before: %v", err)
	}
	at = i.Expires
	code := oath.TOTP(oath.SHA1, i.Token.Seed, at, 0, 30, 6)
	for name, act := range map[string]func() error{
		"OpenInvitation":  func() error { _, err := s.OpenInvitation(ctx, root, issued.Link); return err },
		"InvitationByKey": func() error { _, err := s.InvitationByKey(ctx, root, issued.Key); return err },
		"InvitationOf":    func() error { _, err := s.InvitationOf(ctx, alice, "alice", i.ID); return err },
		"Activate": func() error {
			_, err := s.Activate(ctx, root, Activation{User: "alice", ID: i.ID, Code: code})
			return err
		},
		"ActivateByPasscode": func() error {
			_, err := s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode([]byte("4097"+code)))
			return err
		},
	} {
		if err := act(); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(m.token)+len(m.users)+len(m.acts) != 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}

func TestInvitationOf(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{})
	id := m.invite["alice"].ID
	for _, asked := range []InvitationID{{}, id} {
		if i, err := s.InvitationOf(ctx, root, "alice", asked); err != nil || i.ID != id || !i.WantsPIN {
			t.Errorf("%+v, %v", i, err)
		}
	}
	_, err := s.InvitationOf(ctx, root, "alice", InvitationID{9})
	wantError(t, err, ErrNotFound, "alice")
	_, err = s.InvitationOf(ctx, root, "", id)
	wantError(t, err, ErrNotFound, "")
	m.users["alice"] = User{Exists: true, Name: "alice", PIN: otp.NewPIN([]byte("2580"))}
	if i, err := s.InvitationOf(ctx, root, "alice", id); err != nil || i.WantsPIN {
		t.Errorf("alice has a PIN: %+v, %v", i, err)
	}
}

func TestActivate(t *testing.T) {
	s, m, issued := invited(t, NewInvitation{})
	i := m.invite["alice"]
	code := shows(i.Token, 1)
	view, err := s.Activate(ctx, alice, Activation{User: "alice", ID: i.ID, PIN: otp.NewPIN([]byte("4097")), Code: code[:3] + " " + code[3:]})
	if err != nil || view.Serial != issued.Serial || view.User != "alice" || !view.Enrolled || view.Drift != 1 {
		t.Fatalf("%+v, %v", view, err)
	}
	step := uint64(oath.TimeStep(now, 0, 30)) + 1
	token := m.token[issued.Serial]
	if !token.Enrolled || token.User != "alice" || !token.Created.Equal(now) || !token.Seed.Equal(i.Token.Seed) || token.State != (otp.State{Counter: step + 1, Drift: 1}) {
		t.Errorf("token %+v", token)
	}
	if u := m.users["alice"]; !u.Exists || !u.Created.Equal(now) || !u.PIN.Equal(otp.NewPIN([]byte("4097"))) {
		t.Errorf("user %+v", u)
	}
	if len(m.invite) != 0 {
		t.Error("the invitation is still there")
	}
	want := Mail{Exists: true, ID: 1, Kind: ActivatedMail, User: "alice", Serial: issued.Serial, To: "alice@example.com", Created: now, Due: now}
	if len(m.mails) != 1 || m.mails[0] != want {
		t.Errorf("mails %+v", m.mails)
	}
	if a := m.acts[0]; len(m.acts) != 1 || a.Verb != "invitation.activate" || a.Object != "alice" || a.Actor != "alice@self-service" || a.Detail != "serial="+string(issued.Serial) {
		t.Errorf("recorded %+v", m.acts)
	}
	_, err = s.Activate(ctx, alice, Activation{User: "alice", ID: i.ID, Code: code})
	wantError(t, err, ErrNotFound, "alice")
}

func TestWhatDoesNotActivate(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{})
	i := m.invite["alice"]
	pin := otp.NewPIN([]byte("4097"))
	for _, test := range []struct {
		name string
		a    Activation
		kind error
		says string
	}{
		{"wrong code", Activation{Code: "000000", PIN: pin}, ErrWrongCode, "does not show"},
		{"no code", Activation{PIN: pin}, ErrWrongCode, ""},
		{"PIN and code", Activation{Code: "4097" + shows(i.Token, 0), PIN: pin}, ErrWrongCode, ""},
		{"letters", Activation{Code: "abcdef", PIN: pin}, ErrInvalid, ""},
		{"slow clock", Activation{Code: shows(i.Token, -10), PIN: pin}, ErrOutOfStep, "about 5m0s slow"},
		{"fast clock", Activation{Code: shows(i.Token, 10), PIN: pin}, ErrInvalid, "about 5m0s fast"},
		{"no PIN", Activation{Code: shows(i.Token, 0)}, ErrInvalid, "has to be chosen"},
		{"weak PIN", Activation{Code: shows(i.Token, 0), PIN: otp.NewPIN([]byte("1234"))}, otp.ErrWeakPIN, ""},
		{"short PIN", Activation{Code: shows(i.Token, 0), PIN: otp.NewPIN([]byte("40"))}, otp.ErrPIN, ""},
		{"name as PIN", Activation{Code: shows(i.Token, 0), PIN: otp.NewPIN([]byte("alice"))}, otp.ErrWeakPIN, ""},
		{"other ID", Activation{Code: shows(i.Token, 0), PIN: pin, ID: InvitationID{9}}, ErrNotFound, ""},
		{"seed", Activation{Code: shows(i.Token, 0), PIN: pin, Seed: seed}, ErrInvalid, "no activation code is needed"},
	} {
		test.a.User = "alice"
		view, err := s.Activate(ctx, root, test.a)
		if wantError(t, err, test.kind, test.says); view != (TokenView{}) {
			t.Errorf("%s: %+v", test.name, view)
		}
	}
	m.users["alice"] = User{Exists: true, Name: "alice", Disabled: true}
	_, err := s.Activate(ctx, root, Activation{User: "alice", Code: shows(i.Token, 0), PIN: pin})
	wantError(t, err, ErrInvalid, "disabled")
	delete(m.users, "alice")
	m.token[i.Token.Serial] = Token{Exists: true, User: "bob"}
	_, err = s.Activate(ctx, root, Activation{User: "alice", Code: shows(i.Token, 0), PIN: pin})
	wantError(t, err, ErrExists, "")
	if len(m.users)+len(m.acts)+len(m.mails) > 0 || !m.invite["alice"].Exists {
		t.Errorf("something was done: %+v", m.acts)
	}
}

// The PIN of a user is the one there is, then that of the invitation, then the one
// that comes with the code. One that was chosen before cannot be changed with it.
func TestWhichPINCounts(t *testing.T) {
	before, chosen, now := otp.NewPIN([]byte("2581")), otp.NewPIN([]byte("4097")), otp.NewPIN([]byte("6013"))
	for _, test := range []struct {
		name                      string
		user, invitation, given   otp.PIN
		noPIN                     bool
		want                      otp.PIN
		refused, wantsPIN, byCode bool
	}{
		{name: "user", user: before, want: before, byCode: true},
		{name: "user and invitation", user: before, invitation: chosen, want: before, byCode: true},
		{name: "user and given", user: before, given: now, refused: true},
		{name: "invitation", invitation: chosen, want: chosen, byCode: true},
		{name: "invitation and given", invitation: chosen, given: now, refused: true},
		{name: "given", given: now, want: now, wantsPIN: true},
		{name: "none", refused: true, wantsPIN: true},
		{name: "none wanted", noPIN: true, byCode: true},
		{name: "none wanted and given", noPIN: true, given: now, want: now, byCode: true},
	} {
		for _, known := range []bool{false, true} {
			s, m, _ := invited(t, NewInvitation{})
			policy := s.EnrolmentPolicy()
			policy.NoPIN = test.noPIN
			s.EnrolmentPolicy = func() EnrolmentPolicy { return policy }
			i := m.invite["alice"]
			i.PIN = test.invitation
			m.invite["alice"] = i
			if known || !test.user.IsZero() {
				m.users["alice"] = User{Exists: true, Name: "alice", PIN: test.user}
			}
			if found, err := s.InvitationOf(ctx, root, "alice", i.ID); err != nil || found.WantsPIN != test.wantsPIN {
				t.Errorf("%s: wanted %t, %v", test.name, found.WantsPIN, err)
			}
			_, err := s.Activate(ctx, root, Activation{User: "alice", PIN: test.given, Code: shows(i.Token, 0)})
			if test.refused != errors.Is(err, ErrInvalid) || !test.refused && (err != nil || !m.users["alice"].PIN.Equal(test.want)) {
				t.Errorf("%s: %v", test.name, err)
			}
			if test.given.IsZero() {
				testPasscode(t, s, m, i, test.want, test.byCode)
			}
		}
	}
}

// testPasscode activates an invitation again, by passcode.
func testPasscode(t *testing.T, s *Service, m *memory, i Invitation, pin otp.PIN, want bool) {
	t.Helper()
	delete(m.token, i.Token.Serial)
	m.invite["alice"] = i
	guess := otp.NotShown
	if want {
		guess = otp.WrongFirstPIN
	}
	for wrong, found := range map[string]otp.FirstCode{"9" + string(pin.Bytes()) + shows(i.Token, 0): guess, string(pin.Bytes()) + "000000": otp.NotShown} {
		if shown, err := s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode([]byte(wrong))); shown != found || err != nil {
			t.Errorf("a wrong passcode: %v, %v", shown, err)
		}
	}
	right := append(append([]byte{}, pin.Bytes()...), shows(i.Token, 0)...)
	shown, err := s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode(right))
	if (shown == otp.Shown) != want || err != nil || m.token[i.Token.Serial].Exists != want {
		t.Errorf("by passcode: %v, %v", shown, err)
	}
}

// The login whose passcode activated a token is still to be decided, so its code is
// not burned.
func TestActivateByPasscode(t *testing.T) {
	s, m, issued := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	i := m.invite["alice"]
	passcode := otp.NewPasscode([]byte("4097" + shows(i.Token, 0)))
	far := otp.NewPasscode([]byte("4097" + shows(i.Token, 10)))
	if shown, err := s.ActivateByPasscode(ctx, root, "alice", far); shown != otp.OutOfStep || err != nil {
		t.Errorf("out of step: %v, %v", shown, err)
	}
	if shown, err := s.ActivateByPasscode(ctx, root, "alice", passcode); shown != otp.Shown || err != nil {
		t.Fatalf("%v, %v", shown, err)
	}
	token := m.token[issued.Serial]
	if token.State != (otp.State{}) || !token.Enrolled || m.posted() != "[activated]" || m.verbs() != "[invitation.activate]" {
		t.Errorf("token %+v", token)
	}
	if found, _ := otp.VerifyFirst(&token.Token, m.users["alice"].PIN, passcode, now, otp.DefaultPolicy()); found != otp.Shown {
		t.Error("the login is refused")
	}
	_, err := s.ActivateByPasscode(ctx, root, "alice", passcode)
	wantError(t, err, ErrNotFound, "alice")
}

// Of two at once, on whatever nodes, one activates the token.
func TestSimultaneousActivations(t *testing.T) {
	s, m, issued := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	code := shows(m.invite["alice"].Token, 0)
	var mu sync.Mutex
	done := map[string]int{}
	note := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case err == nil:
			done["won"]++
		case errors.Is(err, ErrNotFound):
			done["lost"]++
		default:
			t.Error(err)
		}
	}
	var logins sync.WaitGroup
	for range 10 {
		logins.Go(func() {
			_, err := s.Activate(ctx, root, Activation{User: "alice", Code: code})
			note(err)
		})
		logins.Go(func() {
			_, err := s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode([]byte("4097"+code)))
			note(err)
		})
	}
	logins.Wait()
	if done["won"] != 1 || done["lost"] != 19 || !m.token[issued.Serial].Exists || m.verbs() != "[invitation.activate]" || m.posted() != "[activated]" {
		t.Errorf("%v", done)
	}
}

func TestActivatingEventTokens(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{Type: "hotp", PIN: otp.NewPIN([]byte("4097"))})
	token := m.invite["alice"].Token
	_, err := s.Activate(ctx, root, Activation{User: "alice", Code: shows(token, 40)})
	wantError(t, err, ErrOutOfStep, "40 codes ahead")
	view, err := s.Activate(ctx, root, Activation{User: "alice", Code: shows(token, 3)})
	if err != nil || view.Counter != 4 {
		t.Errorf("%+v, %v", view, err)
	}

	// The seed of MobilePASS comes with the first code.
	s, m, _ = invited(t, NewInvitation{Type: "mobilepass", PIN: otp.NewPIN([]byte("4097"))})
	_, err = s.Activate(ctx, root, Activation{User: "alice", Code: "123456"})
	wantError(t, err, ErrInvalid, "activation code that the mobilepass app shows is missing")
	// Without a seed anybody could know the codes.
	none := oath.HOTP(oath.SHA256, oath.Seed{}, 0, 6)
	if shown, err := s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode([]byte("4097"+none))); shown != otp.NotShown || err != nil {
		t.Errorf("%v, %v", shown, err)
	}
	code, err := oath.ParseActivationCode("QVKYC-FM6KO-SY6F7-TR22W")
	if err != nil {
		t.Fatal(err)
	}
	view, err = s.Activate(ctx, root, Activation{User: "alice", Seed: code.Seed(""), Code: "374844"})
	if err != nil || view.Type != "mobilepass" || view.Counter != 1 || !m.token[view.Serial].Seed.Equal(code.Seed("")) {
		t.Errorf("%+v, %v", view, err)
	}
}

// A second token leaves the first, and the PIN, alone.
func TestASecondToken(t *testing.T) {
	s, m := holders(t)
	if err := s.Withdraw(ctx, alice, "alice"); err != nil {
		t.Fatal(err)
	}
	issued, err := s.Invite(ctx, alice, NewInvitation{User: "Alice", NoMail: true})
	if err != nil || !issued.PIN || issued.Mailed {
		t.Fatalf("%+v, %v", issued, err)
	}
	created := m.users["alice"].Created
	view, err := s.Activate(ctx, alice, Activation{User: "alice", Code: shows(m.invite["alice"].Token, 0)})
	if err != nil || len(m.holding(m.users["alice"]).Tokens) != 3 || !m.users["alice"].PIN.Equal(otp.NewPIN([]byte("2580"))) || !m.users["alice"].Created.Equal(created) {
		t.Errorf("%+v, %v", view, err)
	}
	for n := range otp.MaxTokens {
		serial := otp.Serial(fmt.Sprint("T", n))
		m.token[serial] = Token{Exists: true, Token: otp.Token{Serial: serial}, User: "bob"}
	}
	_, err = s.Activate(ctx, root, Activation{User: "bob", Code: shows(m.invite["bob"].Token, 0)})
	wantError(t, err, ErrInvalid, "32 tokens")
}

func TestChoosingAPIN(t *testing.T) {
	s, m := holders(t)
	if err := s.ChoosePIN(ctx, alice, "Alice", otp.NewPIN([]byte("4097"))); err != nil || !m.users["alice"].PIN.Equal(otp.NewPIN([]byte("4097"))) {
		t.Error(err)
	}
	if a := m.acts[0]; a.Verb != "user.pin" || a.Object != "alice" || a.Actor != "alice@self-service" || a.Detail != "" {
		t.Errorf("recorded %+v", a)
	}
	wantError(t, s.ChoosePIN(ctx, alice, "alice", otp.NewPIN([]byte("0000"))), otp.ErrWeakPIN, "")
	wantError(t, s.ChoosePIN(ctx, alice, "alice", otp.PIN{}), otp.ErrPIN, "")
	wantError(t, s.ChoosePIN(ctx, root, " x", otp.PIN{}), ErrInvalid, "user name")
	wantError(t, s.ChoosePIN(ctx, root, "nobody", otp.NewPIN([]byte("4097"))), ErrNotFound, "nobody")
	if len(m.acts) != 1 {
		t.Errorf("recorded %s", m.verbs())
	}
}

func TestThePINOfAnInvitation(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{})
	found, first, second := m.invite["alice"], otp.NewPIN([]byte("4097")), otp.NewPIN([]byte("6013"))
	for _, pin := range []otp.PIN{first, second} {
		if err := s.SetInvitationPIN(ctx, server, &found, pin); err != nil || !m.invite["alice"].PIN.Equal(pin) {
			t.Error(err)
		}
	}
	if a := m.acts[0]; len(m.acts) != 2 || a.Verb != "invitation.pin" || a.Object != "alice" || a.Detail != "" {
		t.Errorf("recorded %+v", m.acts)
	}
	wantError(t, s.SetInvitationPIN(ctx, server, &found, otp.NewPIN([]byte("1111"))), otp.ErrWeakPIN, "")
	another, nobodys := found, found
	another.ID, nobodys.User = InvitationID{9}, "nobody"
	wantError(t, s.SetInvitationPIN(ctx, server, &another, first), ErrNotFound, "alice")
	wantError(t, s.SetInvitationPIN(ctx, server, &nobodys, first), ErrNotFound, "nobody")
	m.users["alice"] = User{Exists: true, Name: "alice", PIN: first}
	wantError(t, s.SetInvitationPIN(ctx, server, &found, first), ErrInvalid, "already")
	if len(m.acts) != 2 || !m.invite["alice"].PIN.Equal(second) {
		t.Errorf("recorded %+v", m.acts)
	}
}

// Without an EnrolmentStore, and where it or the store fails, nothing else happens.
func TestEnrolmentWithoutAStore(t *testing.T) {
	s, m := holders(t)
	s.Enrolment = nil
	id := m.invite["alice"].ID
	acts := ownActs(s, root, "alice", "ALICE-1")
	delete(acts, "Tokens")
	delete(acts, "ResyncToken")
	acts["OpenInvitation"] = func() error { _, err := s.OpenInvitation(ctx, root, NewLink("x")); return err }
	acts["InvitationByKey"] = func() error { _, err := s.InvitationByKey(ctx, root, NewActivationKey("x")); return err }
	acts["Invitations"] = func() error { return s.Invitations(ctx, root, Filter{}, nil) }
	acts["Mails"] = func() error { return s.Mails(ctx, root, Filter{}, nil) }
	acts["CreateTemporaryCodes"] = func() error { _, err := s.CreateTemporaryCodes(ctx, root, "alice", 1, 0); return err }
	acts["SetInvitationPIN"] = func() error {
		return s.SetInvitationPIN(ctx, root, &Invitation{User: "alice", ID: id}, otp.NewPIN([]byte("4097")))
	}
	acts["RevokeEnrolled"] = func() error { return s.RevokeEnrolled(ctx, root, "alice") }
	for name, act := range acts {
		if err := act(); !errors.Is(err, errNoEnrolment) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A store that cannot be read decides nothing.
	s.Enrolment = m
	full := errors.New("disk full")
	s.Store = unreadable{m, full}
	for name, act := range map[string]func() error{
		"InvitationOf": func() error { _, err := s.InvitationOf(ctx, root, "alice", id); return err },
		"ActivateByPasscode": func() error {
			_, err := s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode([]byte("2580000000")))
			return err
		},
		"RevokeEnrolled": func() error { return s.RevokeEnrolled(ctx, root, "alice") },
		"LoseToken":      func() error { _, err := s.LoseToken(ctx, root, "ALICE-1"); return err },
	} {
		if err := act(); !errors.Is(err, full) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(m.acts) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}

// unreadable is a Store whose listings fail.
type unreadable struct {
	*memory
	err error
}

func (u unreadable) Users(context.Context, Filter, func(*User) error) error   { return u.err }
func (u unreadable) Tokens(context.Context, Filter, func(*Token) error) error { return u.err }
