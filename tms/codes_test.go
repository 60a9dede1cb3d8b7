package tms

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
)

func TestRecoveryCodes(t *testing.T) {
	s, m := holders(t)
	codes, err := s.CreateRecoveryCodes(ctx, alice, "Alice")
	if err != nil {
		t.Fatal(err)
	}
	token := m.token[codes.Serial]
	want := otp.Token{Serial: codes.Serial, Type: otp.CodeList, Algorithm: oath.SHA256, Digits: 8, Codes: 10, Seed: token.Seed}
	if token.Token != want || token.Seed.Len() != 32 || token.User != "alice" || !token.Created.Equal(now) || token.Enrolled {
		t.Errorf("token %+v", token)
	}
	if codes.Codes != 10 || codes.ValidUntil != nil || codes.Type != "code-list" || len(codes.List) != 10 {
		t.Errorf("codes %v", codes)
	}
	for n, code := range codes.List {
		if len(code) != 8 || code != oath.HOTP(oath.SHA256, token.Seed, uint64(n), 8) {
			t.Errorf("code %d is wrong", n)
		}
	}
	// The list lets its holder in, each code once.
	passcode := otp.NewPasscode([]byte("2580" + codes.List[3]))
	if found, _ := otp.VerifyFirst(&token.Token, m.users["alice"].PIN, passcode, now, otp.DefaultPolicy()); found != otp.Shown || token.State.Counter != 4 {
		t.Errorf("%v, %+v", found, token.State)
	}
	if lists := m.lists("alice"); len(lists) != 1 || lists[0].Serial != codes.Serial {
		t.Errorf("lists %+v", lists)
	}
	if a := m.acts[0]; len(m.acts) != 1 || a.Verb != "token.recovery-codes" || a.Object != string(codes.Serial) || a.Detail != "user=alice codes=10" || a.Actor != "alice@self-service" {
		t.Errorf("recorded %+v", m.acts)
	}
	if m.posted() != "[]" || len(m.lists("bob")) != 1 {
		t.Error("more than that was done")
	}
}

// lists are a user's lists of codes.
func (m *memory) lists(user otp.UserName) (lists []Token) {
	for _, serial := range m.holding(User{Name: user}).Tokens {
		if t := m.token[serial]; t.Type == otp.CodeList {
			lists = append(lists, t)
		}
	}
	return lists
}

func TestTemporaryCodes(t *testing.T) {
	s, m := holders(t)
	at := now
	s.Clock = func() time.Time { return at }
	codes, err := s.CreateTemporaryCodes(ctx, root, "alice", 3, 0)
	if err != nil || len(codes.List) != 3 || codes.ValidUntil == nil || !codes.ValidUntil.Equal(now.Add(24*time.Hour)) {
		t.Fatalf("%v, %v", codes, err)
	}
	if a := m.acts[0]; a.Verb != "token.temporary-codes" || a.Object != string(codes.Serial) || a.Detail != "user=alice until=2026-05-05T12:00:00Z codes=3" {
		t.Errorf("recorded %+v", a)
	}
	// The recovery codes stay, and so does everything else.
	if len(m.lists("alice")) != 2 || !m.token["ALICE-1"].Exists {
		t.Errorf("lists %+v", m.lists("alice"))
	}
	token := m.token[codes.Serial]
	passcode := otp.NewPasscode([]byte("2580" + codes.List[0]))
	for at, want := range map[time.Time]otp.FirstCode{now.Add(24*time.Hour - time.Second): otp.Shown, now.Add(24 * time.Hour): otp.NotShown} {
		fresh := token.Token
		if found, _ := otp.VerifyFirst(&fresh, m.users["alice"].PIN, passcode, at, otp.DefaultPolicy()); found != want {
			t.Errorf("at %v: %v", at, found)
		}
	}
	second, err := s.CreateTemporaryCodes(ctx, root, "alice", 50, time.Hour)
	if err != nil || len(second.List) != 50 || !second.ValidUntil.Equal(now.Add(time.Hour)) || m.token[codes.Serial].Exists || len(m.lists("alice")) != 2 {
		t.Errorf("%v, %v", second, err)
	}
}

func TestCodesThatAreNotMade(t *testing.T) {
	s, m := holders(t)
	m.users["off"] = User{Exists: true, Name: "off", Disabled: true}
	for n := range otp.MaxTokens {
		serial := otp.Serial(fmt.Sprint("T", n))
		m.token[serial] = Token{Exists: true, Token: otp.Token{Serial: serial}, User: "bob"}
	}
	for _, test := range []struct {
		user  string
		count int
		valid time.Duration
		kind  error
		says  string
	}{
		{"alice", 0, 0, ErrInvalid, "1 to 50"},
		{"alice", 51, 0, ErrInvalid, "1 to 50"},
		{"alice", -1, 0, ErrInvalid, "1 to 50"},
		{"alice", 1, -time.Hour, ErrInvalid, "their time"},
		{"alice", 1, time.Minute - time.Second, ErrInvalid, "their time is 1m0s to"},
		{"alice", 1, 1000 * time.Hour, ErrInvalid, "their time"},
		{"nobody", 1, 0, ErrNotFound, "nobody"},
		{"off", 1, 0, ErrInvalid, "disabled"},
		{"bob", 1, 0, ErrInvalid, "32 tokens"},
		{" x", 1, 0, ErrInvalid, "user name"},
	} {
		codes, err := s.CreateTemporaryCodes(ctx, root, test.user, test.count, test.valid)
		if wantError(t, err, test.kind, test.says); codes.List != nil {
			t.Errorf("%+v: %v", test, codes)
		}
	}
	_, err := s.CreateRecoveryCodes(ctx, root, " x")
	wantError(t, err, ErrInvalid, "user name")
	s.EnrolmentPolicy = func() EnrolmentPolicy { return EnrolmentPolicy{} }
	_, err = s.CreateRecoveryCodes(ctx, root, "alice")
	wantError(t, err, ErrInvalid, "no recovery codes")
	if len(m.acts) > 0 || len(m.lists("alice")) != 1 {
		t.Errorf("recorded %+v", m.acts)
	}
	_, err = s.ResyncToken(ctx, root, TokenResync{Serial: string(m.lists("alice")[0].Serial), First: "12345678", Second: "12345678"})
	wantError(t, err, ErrInvalid, "list of codes")
}

func TestLosingAToken(t *testing.T) {
	s, m := holders(t)
	s.Directory = &repository{identities: []exclusions.Identity{{Name: "alice", Directory: "corp", Mail: "alice@corp.example"}}}
	list := m.lists("alice")[0].Serial
	before := m.invite["alice"].ID
	issued, err := s.LoseToken(ctx, alice, "alice-1")
	if err != nil || issued.User != "alice" || !issued.Mailed || issued.Mail != "alice@corp.example" || !issued.PIN || issued.Link.IsZero() {
		t.Fatalf("%+v, %v", issued, err)
	}
	if lost := m.token["ALICE-1"]; !lost.Lost || !lost.Disabled || lost.User != "alice" || !m.token[list].Exists || m.invite["alice"].ID == before || m.invite["alice"].Token.Serial != issued.Serial {
		t.Errorf("tokens %+v", m.token)
	}
	if len(m.mails) != 2 || m.mails[0].Kind != LostMail || m.mails[0].Serial != "ALICE-1" || m.mails[0].To != "alice@corp.example" || m.mails[1].Kind != InvitationMail || m.mails[1].Invitation != m.invite["alice"].ID {
		t.Errorf("mails %+v", m.mails)
	}
	want := fmt.Sprintf("user=alice serial=%s type=totp mail=alice@corp.example", issued.Serial)
	if a := m.acts[0]; len(m.acts) != 1 || a.Verb != "token.lost" || a.Object != "ALICE-1" || a.Detail != want {
		t.Errorf("recorded %+v", m.acts)
	}
	_, err = s.LoseToken(ctx, alice, "alice-1")
	wantError(t, err, ErrInvalid, "lost before")

	// A device, too, stays for a while. Without an address nobody is told by mail.
	device := m.token["BOB-1"]
	device.Enrolled = false
	m.token["BOB-1"] = device
	m.acts, m.mails = nil, nil
	issued, err = s.LoseToken(ctx, root, "BOB-1")
	if after := m.token["BOB-1"]; err != nil || issued.Mailed || after.User != "bob" || !after.Disabled || !after.Lost || !after.Exists || m.posted() != "[]" {
		t.Errorf("%+v, %+v, %v", issued, after, err)
	}
	device.User = ""
	m.token["BOB-1"], m.acts = device, nil
	_, err = s.LoseToken(ctx, root, "BOB-1")
	wantError(t, err, ErrInvalid, "in stock")
	_, err = s.LoseToken(ctx, root, string(list))
	wantError(t, err, ErrInvalid, "list of codes")
	_, err = s.LoseToken(ctx, root, "a b")
	wantError(t, err, ErrInvalid, "serial")
	if len(m.acts) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}

// Who has the most tokens can lose one: there is room for the next.
func TestLosingOneOfManyTokens(t *testing.T) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice"}
	for n := range otp.MaxTokens {
		serial := otp.Serial(fmt.Sprint("T", n))
		m.token[serial] = Token{Exists: true, Enrolled: n == 0, Token: otp.Token{Serial: serial}, User: "alice"}
	}
	for _, serial := range []string{"T0", "T1"} {
		if _, err := s.LoseToken(ctx, root, serial); err != nil {
			t.Error(err)
		}
	}
	m.users["alice"] = User{Exists: true, Name: "alice", Disabled: true}
	issued, err := s.LoseToken(ctx, root, "T2")
	if err != nil || issued.Serial != "" || issued.Mailed || !m.token["T2"].Lost {
		t.Errorf("%+v, %v: a disabled user's token is lost all the same, and nobody is invited", issued, err)
	}
}

func TestEntitlement(t *testing.T) {
	s, m := holders(t)
	at := now
	s.Clock = func() time.Time { return at }
	entitled := func(is bool, want time.Time, verbs string) {
		t.Helper()
		since, err := s.SetEntitled(ctx, server, "alice", is)
		if got := m.verbs(); err != nil || !since.Equal(want) || got != verbs {
			t.Errorf("since %v, %v, recorded %s", since, err, got)
		}
	}
	entitled(true, time.Time{}, "[]")
	entitled(false, now, "[user.entitled]")
	at = now.Add(time.Hour)
	entitled(false, now, "[]")
	entitled(true, time.Time{}, "[user.entitled]")
	entitled(false, at, "[user.entitled]")
	since, err := s.SetEntitled(ctx, server, "nobody", false)
	if wantError(t, err, ErrNotFound, "nobody"); !since.IsZero() {
		t.Errorf("since %v", since)
	}
	m.broken = errors.New("disk full")
	if since, err := s.SetEntitled(ctx, server, "bob", false); !since.IsZero() || !errors.Is(err, m.broken) {
		t.Errorf("since %v, %v", since, err)
	}
}

func TestRevoking(t *testing.T) {
	s, m := holders(t)
	s.Directory = &repository{identities: []exclusions.Identity{{Name: "alice", Directory: "corp", Mail: "alice@corp.example"}}}
	m.token["DEVICE"] = Token{Exists: true, Token: otp.Token{Serial: "DEVICE"}, User: "alice"}
	list := m.lists("alice")[0].Serial
	wantError(t, s.RevokeEnrolled(ctx, server, "alice"), ErrInvalid, "is entitled")
	if _, err := s.SetEntitled(ctx, server, "alice", false); err != nil {
		t.Fatal(err)
	}
	m.acts = nil
	if err := s.RevokeEnrolled(ctx, server, "alice"); err != nil {
		t.Fatal(err)
	}
	if held := m.holding(m.users["alice"]).Tokens; fmt.Sprint(held) != "[ALICE-1 DEVICE]" || m.token["DEVICE"].Disabled || m.invite["alice"].Exists || !m.invite["bob"].Exists {
		t.Errorf("alice holds %v", held)
	}
	if gone := m.token["ALICE-1"]; !gone.Lost || !gone.Revoked || !gone.Disabled {
		t.Errorf("it is still in use: %+v", gone)
	}
	first, second := list, otp.Serial("ALICE-1")
	if second < first {
		first, second = second, first
	}
	if a := m.acts[0]; len(m.acts) != 1 || a.Verb != "user.revoke" || a.Object != "alice" || a.Detail != fmt.Sprintf("tokens %s %s", first, second) {
		t.Errorf("recorded %+v", m.acts)
	}
	if len(m.mails) != 1 || m.mails[0].Kind != RevokedMail || m.mails[0].To != "alice@corp.example" || !m.mails[0].Invitation.IsZero() {
		t.Errorf("mails %+v", m.mails)
	}
	m.acts, m.mails = nil, nil
	if err := s.RevokeEnrolled(ctx, server, "alice"); err != nil || len(m.acts)+len(m.mails) > 0 {
		t.Errorf("again: %v, recorded %+v", err, m.acts)
	}
	// Whom only an invitation is known of loses that.
	if _, err := s.Invite(ctx, root, NewInvitation{User: "alice", NoMail: true}); err != nil {
		t.Fatal(err)
	}
	delete(m.users, "alice")
	if err := s.RevokeEnrolled(ctx, server, "alice"); err != nil || m.invite["alice"].Exists || m.posted() != "[]" {
		t.Error(err)
	}
}

// between is a store in which something happens before each change of a user.
type between struct {
	*memory
	happens func()
}

func (b between) ChangeHolder(c context.Context, name otp.UserName, act Act, change func(*Holder) error) error {
	b.happens()
	return b.memory.ChangeHolder(c, name, act, change)
}

// What happens between looking and doing is noticed.
func TestRaces(t *testing.T) {
	s, m := holders(t)
	m.users["alice"] = User{Exists: true, Name: "alice", Unentitled: now}
	s.Enrolment = between{m, func() { delete(m.token, "ALICE-1") }}
	wantError(t, s.RevokeEnrolled(ctx, server, "alice"), ErrInvalid, "try again")

	s, m = holders(t)
	s.Enrolment = between{m, func() {
		token := m.token["ALICE-1"]
		token.User = "bob"
		m.token["ALICE-1"] = token
	}}
	_, err := s.LoseToken(ctx, alice, "ALICE-1")
	wantError(t, err, ErrNotFound, "ALICE-1")

	s, m = holders(t)
	code := shows(m.invite["alice"].Token, 0)
	s.Enrolment = between{m, func() {
		i := m.invite["alice"]
		i.ID = InvitationID{9}
		m.invite["alice"] = i
	}}
	_, err = s.Activate(ctx, alice, Activation{User: "alice", Code: code})
	wantError(t, err, ErrNotFound, "alice")
	if len(m.acts) > 0 || m.users["bob"].Disabled {
		t.Errorf("recorded %+v", m.acts)
	}
}
