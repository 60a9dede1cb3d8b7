package tms

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
)

// staff has users in a directory, of whom the store knows none.
func staff() (*Service, *memory, *repository) {
	s, m := serving()
	r := &repository{identities: []exclusions.Identity{
		{Name: "alice", Directory: "corp", Mail: "alice@corp.example"},
		{Name: "carol", Directory: "corp"},
		{Name: "dora", Directory: "corp", Mail: "not an address"},
		{Name: "eve", Directory: "corp", Mail: "eve@corp.example", Disabled: true},
	}}
	s.Directory = r
	return s, m, r
}

func TestInvite(t *testing.T) {
	s, m, _ := staff()
	issued, err := s.Invite(ctx, root, NewInvitation{User: `CORP\Alice`})
	if err != nil {
		t.Fatal(err)
	}
	i := m.invite["alice"]
	switch {
	case issued.User != "alice" || issued.Mail != "alice@corp.example" || !issued.Mailed || issued.Again || issued.PIN || issued.Type != "totp":
		t.Errorf("issued %+v", issued)
	case len(issued.Serial) != 16 || strings.Trim(string(issued.Serial), "0123456789ABCDEF") != "":
		t.Errorf("serial %s", issued.Serial)
	case !issued.Expires.Equal(now.Add(72*time.Hour)) || !issued.Created.Equal(now) || issued.By != "root@cli" || issued.Reminded:
		t.Errorf("issued %+v", issued)
	case i.ID.IsZero() || i.Token.Serial != issued.Serial || i.Token.Seed.Len() != 20 || i.Token.State != (otp.State{}) || !i.PIN.IsZero():
		t.Errorf("invitation %+v", i)
	case len(i.Links) != 1 || i.Links[0] != issued.Link.Hash() || i.Key.Hash() != issued.Key.Hash():
		t.Error("the link or the key does not open it")
	case len(m.users)+len(m.token) != 0:
		t.Error("there is a user or a token already")
	}
	link, key := issued.Link.Reveal(), issued.Key.Reveal()
	if len(link) != 43 || len(key) != 16 || strings.ContainsAny(key, "0O1Il") {
		t.Errorf("link of %d and key of %d characters", len(link), len(key))
	}
	want := Mail{Exists: true, ID: 1, Kind: InvitationMail, User: "alice", Invitation: i.ID, Serial: issued.Serial, To: "alice@corp.example", Link: issued.Link, Created: now, Due: now}
	if len(m.mails) != 1 || m.mails[0] != want {
		t.Errorf("mails %+v", m.mails)
	}
	if a := m.acts[0]; len(m.acts) != 1 || a.Verb != "invitation.add" || a.Object != "alice" || a.Detail != "serial="+string(issued.Serial)+" type=totp mail=alice@corp.example" {
		t.Errorf("recorded %+v", m.acts)
	}
}

// The token to be is of the policy's kind, or of the type that was asked for.
func TestThePendingToken(t *testing.T) {
	s, m := serving()
	policy := s.EnrolmentPolicy()
	policy.Token = NewToken{Type: "totp", Algorithm: "sha256", Digits: 8, Period: 60, Serial: "X", Seed: seed, ValidUntil: now}
	s.EnrolmentPolicy = func() EnrolmentPolicy { return policy }
	for _, test := range []struct {
		typ  string
		want otp.Token
		seed int
	}{
		{"", otp.Token{Type: otp.TOTP, Algorithm: oath.SHA256, Digits: 8, Period: 60}, 32},
		{"totp", otp.Token{Type: otp.TOTP, Algorithm: oath.SHA256, Digits: 8, Period: 60}, 32},
		{"hotp", otp.Token{Type: otp.HOTP, Digits: 6}, 20},
		{"mobilepass", otp.Token{Type: otp.MobilePASS, Algorithm: oath.SHA256, Digits: 6}, 0},
	} {
		issued, err := s.Invite(ctx, root, NewInvitation{User: "alice", NoMail: true, Type: test.typ})
		got := m.invite["alice"].Token
		length := got.Seed.Len()
		if got.Seed = (oath.Seed{}); length != test.seed || got.Serial != issued.Serial || got.Serial == "X" {
			t.Errorf("%q: seed of %d bytes, %v", test.typ, length, err)
		}
		if got.Serial = ""; got != test.want {
			t.Errorf("%q: %+v", test.typ, got)
		}
	}
	for _, typ := range []string{"code-list", "sms"} {
		_, err := s.Invite(ctx, root, NewInvitation{User: "alice", Type: typ})
		wantError(t, err, ErrInvalid, typ)
	}
}

func TestWhereTheMailGoes(t *testing.T) {
	for _, test := range []struct {
		invite   NewInvitation
		mail     string
		posted   string
		reminded bool
	}{
		{NewInvitation{User: "alice"}, "alice@corp.example", "[invitation]", false},
		{NewInvitation{User: "alice", Mail: "a@example.net"}, "a@example.net", "[invitation]", false},
		{NewInvitation{User: "alice", NoMail: true}, "alice@corp.example", "[]", true},
		{NewInvitation{User: "carol"}, "", "[]", false},
		{NewInvitation{User: "dora", NoMail: true}, "", "[]", true},
		{NewInvitation{User: "dora", Mail: "dora@corp.example"}, "dora@corp.example", "[invitation]", false},
	} {
		s, m, _ := staff()
		issued, err := s.Invite(ctx, root, test.invite)
		if posted := m.posted(); err != nil || issued.Mail != test.mail || posted != test.posted || issued.Mailed != (posted != "[]") || m.invite["alice"].Mailed != (issued.Mailed && issued.User == "alice") || issued.Reminded != test.reminded {
			t.Errorf("%+v: %+v, posted %s, %v", test.invite, issued, posted, err)
		}
	}
}

// What is no plain address could address others too, or write lines of the mail.
func TestAddressesAreChecked(t *testing.T) {
	s, m, _ := staff()
	for _, address := range []string{
		"alice", "@", "a@b@c", "alice@example.com, bob@example.com", "Alice <alice@example.com>", "<alice@example.com>", " alice@example.com",
		"alice@example.com\r\nBcc: mallory@example.net", "alice@example.com\n", "alice (Alice) @example.com", "alice@example.com (Alice)", "alice@exam\x00ple.com",
		strings.Repeat("a", 243) + "@example.com",
	} {
		_, err := s.Invite(ctx, root, NewInvitation{User: "alice", Mail: address})
		wantError(t, err, ErrInvalid, "mail address")
	}
	_, err := s.Invite(ctx, root, NewInvitation{User: "dora"})
	wantError(t, err, ErrInvalid, `"not an address"`)
	if len(m.invite)+len(m.acts)+len(m.mails) > 0 {
		t.Error("somebody was invited")
	}
	long := strings.Repeat("a", 242) + "@example.com"
	for _, address := range []string{"alice@example.com", "a+b.c@sub.example.com", "jörg@example.com", long} {
		if _, err := s.Invite(ctx, root, NewInvitation{User: "alice", Mail: address}); err != nil {
			t.Error(err)
		}
	}
}

func TestWhoCannotBeInvited(t *testing.T) {
	s, m, r := staff()
	m.users["off"] = User{Exists: true, Name: "off", Disabled: true}
	m.users["full"] = User{Exists: true, Name: "full"}
	m.users["pin"] = User{Exists: true, Name: "pin", PIN: otp.NewPIN([]byte("2580"))}
	for n := range otp.MaxTokens {
		serial := otp.Serial(fmt.Sprint("T", n))
		m.token[serial] = Token{Exists: true, Token: otp.Token{Serial: serial}, User: "full"}
	}
	chosen := otp.NewPIN([]byte("4097"))
	for _, test := range []struct {
		invite NewInvitation
		kind   error
		says   string
	}{
		{NewInvitation{User: "off", NoMail: true}, ErrInvalid, "disabled: enable"},
		{NewInvitation{User: "full", NoMail: true}, ErrInvalid, "32 tokens"},
		{NewInvitation{User: "eve"}, ErrInvalid, `disabled in the directory "corp"`},
		{NewInvitation{User: "nobody", Mail: "n@example.com"}, ErrNotFound, "neither here nor in a directory"},
		{NewInvitation{User: " x"}, ErrInvalid, "user name"},
		{NewInvitation{User: "alice", PIN: otp.NewPIN([]byte("1234"))}, otp.ErrWeakPIN, ""},
		{NewInvitation{User: "alice", PIN: otp.NewPIN([]byte("12"))}, otp.ErrPIN, "4 to 32"},
		{NewInvitation{User: "alice", PIN: otp.NewPIN([]byte("12"))}, ErrInvalid, ""},
		{NewInvitation{User: "pin", PIN: chosen}, ErrInvalid, "has an OTP PIN already"},
	} {
		_, err := s.Invite(ctx, root, test.invite)
		wantError(t, err, test.kind, test.says)
	}
	r.silent = errors.New("no route")
	_, err := s.Invite(ctx, root, NewInvitation{User: "alice"})
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "does not answer: try again later") {
		t.Errorf("the directory is away: %v", err)
	}
	if _, err := s.Invite(ctx, root, NewInvitation{User: "alice", NoMail: true}); err == nil || errors.Is(err, ErrNotFound) {
		t.Errorf("nobody knows whether there is an alice: %v", err)
	}
	if len(m.invite)+len(m.acts)+len(m.mails) > 0 {
		t.Errorf("invited %+v", m.invite)
	}
	// Whom the store has, has a name.
	if _, err := s.Invite(ctx, root, NewInvitation{User: "pin", Mail: "p@example.com"}); err != nil {
		t.Error(err)
	}
	s.Enrolment = nil
	if _, err := s.Invite(ctx, root, NewInvitation{User: "pin"}); err == nil || errors.Is(err, ErrInvalid) {
		t.Errorf("without a store: %v", err)
	}
}

// A step of a dialog that is done twice invites once, whoever does it.
func TestTheSameInvitationAgain(t *testing.T) {
	s, m, _ := staff()
	n := NewInvitation{User: "alice", ID: InvitationID{7}, PIN: otp.NewPIN([]byte("4097"))}
	first, err := s.Invite(ctx, root, n)
	if err != nil || first.Again || !first.PIN {
		t.Fatal(first, err)
	}
	var dialogs sync.WaitGroup
	for range 20 {
		dialogs.Go(func() {
			again, err := s.Invite(ctx, root, n)
			if err != nil || !again.Again || !again.Mailed || again.Serial != first.Serial || !again.Link.IsZero() || again.Key.Hash() != first.Key.Hash() {
				t.Errorf("%+v, %v", again, err)
			}
		})
	}
	dialogs.Wait()
	if len(m.acts) != 1 || m.posted() != "[invitation]" {
		t.Errorf("recorded %s", m.verbs())
	}
	// Another ID is another invitation, and the old one is void.
	other, err := s.Invite(ctx, root, NewInvitation{User: "alice"})
	if err != nil || other.Again || other.Serial == first.Serial || other.PIN {
		t.Fatal(other, err)
	}
	_, err = s.OpenInvitation(ctx, root, first.Link)
	wantError(t, err, ErrNotFound, "")
	_, err = s.InvitationByKey(ctx, root, first.Key)
	wantError(t, err, ErrNotFound, "")
}

func TestAStoreThatFailsLeavesNothing(t *testing.T) {
	s, m := holders(t)
	m.broken = errors.New("disk full")
	before := m.invite["alice"].ID
	for name, act := range map[string]func() (any, error){
		"Invite":               func() (any, error) { return s.Invite(ctx, root, NewInvitation{User: "alice"}) },
		"LoseToken":            func() (any, error) { return s.LoseToken(ctx, root, "ALICE-1") },
		"CreateRecoveryCodes":  func() (any, error) { return s.CreateRecoveryCodes(ctx, root, "alice") },
		"CreateTemporaryCodes": func() (any, error) { return s.CreateTemporaryCodes(ctx, root, "alice", 1, 0) },
	} {
		got, err := act()
		if !errors.Is(err, m.broken) {
			t.Errorf("%s: %v", name, err)
		}
		if issued, ok := got.(Issued); ok && (issued != Issued{}) {
			t.Errorf("%s gave out %+v", name, issued)
		}
		if codes, ok := got.(Codes); ok && codes.List != nil {
			t.Errorf("%s gave out codes", name)
		}
	}
	if m.invite["alice"].ID != before || !m.token["ALICE-1"].Exists || len(m.acts)+len(m.mails) > 0 {
		t.Error("something was written")
	}
}

// The randomness may end.
func TestWithoutChanceNothingIsMade(t *testing.T) {
	s, m := holders(t)
	for length := range 100 {
		s.Rand = bytes.NewReader(make([]byte, length))
		if _, err := s.Invite(ctx, root, NewInvitation{User: "alice"}); err == nil {
			if length < 20+8+8+16+32 {
				t.Errorf("invited out of %d bytes", length)
			}
			break
		}
		if len(m.acts) > 0 {
			t.Fatalf("recorded without chance: %+v", m.acts)
		}
	}
	s.Rand = bytes.NewReader(nil)
	if err := s.RemindInvitation(ctx, root, "alice", m.invite["alice"].ID); err == nil {
		t.Error("reminded out of nothing")
	}
}

func TestKeysAreFair(t *testing.T) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	seen := map[rune]int{}
	source := bytes.NewReader(bytes.Repeat(all, 16))
	for range 57 * 4 * 16 / 16 { // what of the bytes is used
		key, err := newActivationKey(source)
		if err != nil {
			t.Fatal(err)
		}
		for _, letter := range key.Reveal() {
			seen[letter]++
		}
	}
	for letter, n := range seen {
		if n != 4*16 {
			t.Errorf("%c: %d times", letter, n)
		}
	}
	if len(seen) != 57 {
		t.Errorf("%d letters", len(seen))
	}
}

func TestListingInvitations(t *testing.T) {
	s, m := holders(t)
	m.users["bob"] = User{Exists: true, Name: "bob"}
	list := func(f Filter) (views []InvitationView) {
		t.Helper()
		if err := s.Invitations(ctx, root, f, func(v InvitationView) error { views = append(views, v); return nil }); err != nil {
			t.Error(err)
		}
		return views
	}
	all := list(Filter{})
	if len(all) != 2 || all[0].User != "alice" || !all[0].PIN || all[1].PIN || all[1].Mail != "bob@example.com" {
		t.Errorf("%+v", all)
	}
	if one := list(Filter{User: "bob"}); len(one) != 1 || one[0].User != "bob" {
		t.Errorf("%+v", one)
	}
	s.EnrolmentPolicy = func() EnrolmentPolicy { return EnrolmentPolicy{NoPIN: true} }
	if one := list(Filter{User: "bob"}); !one[0].PIN {
		t.Error("a PIN is wanted where none is")
	}
	enough := errors.New("enough")
	if err := s.Invitations(ctx, root, Filter{}, func(InvitationView) error { return enough }); !errors.Is(err, enough) {
		t.Error(err)
	}
}

func TestEndsOfInvitations(t *testing.T) {
	s, m := holders(t)
	at := now
	s.Clock = func() time.Time { return at }
	bobs := m.invite["bob"].ID
	if err := s.Withdraw(ctx, root, "ALICE"); err != nil || m.invite["alice"].Exists || m.verbs() != "[invitation.withdraw]" {
		t.Error(err)
	}
	wantError(t, s.Withdraw(ctx, root, "alice"), ErrNotFound, `"alice"`)
	wantError(t, s.Withdraw(ctx, root, " x"), ErrInvalid, "user name")
	wantError(t, s.ExpireInvitation(ctx, root, "bob", bobs), ErrInvalid, "2026-05-07T12:00:00Z")
	at = now.Add(72 * time.Hour)
	wantError(t, s.ExpireInvitation(ctx, root, "bob", InvitationID{9}), ErrNotFound, `"bob"`)
	if err := s.ExpireInvitation(ctx, root, "bob", bobs); err != nil || len(m.invite) != 0 || m.verbs() != "[invitation.expire]" {
		t.Error(err)
	}
	wantError(t, s.ExpireInvitation(ctx, root, "bob", bobs), ErrNotFound, `"bob"`)
	if len(m.acts)+len(m.mails) > 0 {
		t.Error("more than that was done")
	}
}

func TestReminders(t *testing.T) {
	s, m := holders(t)
	at := now
	s.Clock = func() time.Time { return at }
	first, err := s.Invite(ctx, root, NewInvitation{User: "alice", Mail: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	m.acts, m.mails = nil, nil
	id := m.invite["alice"].ID
	for range 3 {
		if err := s.RemindInvitation(ctx, root, "alice", id); err != nil {
			t.Error(err)
		}
	}
	if len(m.mails) != 1 || len(m.acts) != 1 || m.acts[0].Verb != "invitation.remind" {
		t.Fatalf("mails %+v, recorded %+v", m.mails, m.acts)
	}
	mail := m.mails[0]
	if mail.Kind != ReminderMail || mail.Invitation != id || mail.Serial != first.Serial || mail.To != "a@example.com" || mail.Link.Hash() == first.Link.Hash() || mail.Link.IsZero() {
		t.Errorf("mail %+v", mail)
	}
	// Both links open it, and one of them uses up the other.
	if links := m.invite["alice"].Links; len(links) != 2 || links[0] != first.Link.Hash() || links[1] != mail.Link.Hash() {
		t.Errorf("%d links", len(links))
	}
	if _, err := s.OpenInvitation(ctx, root, mail.Link); err != nil {
		t.Error(err)
	}
	_, err = s.OpenInvitation(ctx, root, first.Link)
	wantError(t, err, ErrNotFound, "")
	wantError(t, s.RemindInvitation(ctx, root, "alice", InvitationID{9}), ErrNotFound, "")
	wantError(t, s.RemindInvitation(ctx, root, "nobody", id), ErrNotFound, "")
	bobs := m.invite["bob"]
	bobs.Mail = ""
	m.invite["bob"] = bobs
	m.acts, m.mails = nil, nil
	if err := s.RemindInvitation(ctx, root, "bob", bobs.ID); err != nil || len(m.acts)+len(m.mails) > 0 {
		t.Errorf("without an address: %v", err)
	}
	at = now.Add(72 * time.Hour)
	wantError(t, s.RemindInvitation(ctx, root, "bob", bobs.ID), ErrNotFound, "")
}

// Who has opened a link has the token, whoever it was: nobody else is led to it.
func TestNoReminderOnceOpened(t *testing.T) {
	s, m := holders(t)
	issued, err := s.Invite(ctx, root, NewInvitation{User: "alice", Mail: "a@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	opened, err := s.OpenInvitation(ctx, root, issued.Link)
	if err != nil || !m.invite["alice"].Reminded {
		t.Fatal("it is to be reminded of", err)
	}
	for _, reminded := range []bool{true, false} {
		i := m.invite["alice"]
		i.Reminded = reminded
		m.invite["alice"], m.acts, m.mails = i, nil, nil
		if err := s.RemindInvitation(ctx, root, "alice", opened.ID); err != nil || len(m.acts)+len(m.mails)+len(m.invite["alice"].Links) > 0 {
			t.Errorf("%v, recorded %+v, mails %+v", err, m.acts, m.mails)
		}
	}
}

func TestListingMails(t *testing.T) {
	s, m := holders(t)
	m.mails = []Mail{
		{Exists: true, ID: 7, Kind: LostMail, User: "alice", To: "a@example.com", Created: now, Due: now.Add(time.Minute), Tries: 2, LastError: "451 later"},
		{Exists: true, ID: 8, Kind: LostMail, User: "bob"},
	}
	var views []MailView
	if err := s.Mails(ctx, root, Filter{User: "alice"}, func(v MailView) error { views = append(views, v); return nil }); err != nil {
		t.Fatal(err)
	}
	want := MailView{ID: 7, Kind: "lost", User: "alice", To: "a@example.com", Created: now, Due: now.Add(time.Minute), Tries: 2, LastError: "451 later"}
	if len(views) != 1 || views[0] != want {
		t.Errorf("%+v", views)
	}
}
