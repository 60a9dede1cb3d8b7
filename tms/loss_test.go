package tms

import (
	"errors"
	"fmt"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
)

// held are a user's tokens that are no lists of codes, each with what is to be said of
// it.
func (m *memory) held(user otp.UserName) string {
	var all []string
	for _, serial := range m.holding(User{Name: user}).Tokens {
		t := m.token[serial]
		if t.Type == otp.CodeList {
			continue
		}
		word := string(serial)
		if len(word) == 16 {
			word = "new"
		}
		if t.Lost {
			word += " lost"
		}
		if t.Disabled {
			word += " disabled"
		}
		all = append(all, word)
	}
	return fmt.Sprint(all)
}

// takeUp activates alice's invitation.
func takeUp(t *testing.T, s *Service, m *memory) {
	t.Helper()
	i := m.invite["alice"]
	if _, err := s.Activate(ctx, root, Activation{User: "alice", ID: i.ID, Serial: i.Token.Serial, Code: shows(i.Token, 0)}); err != nil {
		t.Fatal(err)
	}
}

// Until they have another token, who has lost theirs holds tokens: or a gateway that
// asks only those for a code would let them in without one.
func TestALostTokenHoldsItsPlace(t *testing.T) {
	s, m := holders(t)
	m.token["DEVICE"] = Token{Exists: true, Token: otp.Token{Serial: "DEVICE"}, User: "alice"}
	m.token["OFF"] = Token{Exists: true, Token: otp.Token{Serial: "OFF", Disabled: true}, User: "alice"}
	for _, serial := range []string{"ALICE-1", "DEVICE"} {
		if _, err := s.LoseToken(ctx, alice, serial); err != nil {
			t.Fatal(err)
		}
	}
	if held := m.held("alice"); held != "[ALICE-1 lost disabled DEVICE lost disabled OFF disabled]" {
		t.Errorf("alice holds %s", held)
	}
	takeUp(t, s, m)
	if held := m.held("alice"); held != "[new OFF disabled]" && held != "[OFF disabled new]" {
		t.Errorf("alice holds %s", held)
	}
	if device := m.token["DEVICE"]; m.token["ALICE-1"].Exists || !device.Exists || device.User != "" || !device.Disabled || device.Lost {
		t.Errorf("the device is %+v", device)
	}
}

// The lost ones count as any other, but for the token that takes their place.
func TestLostTokensCount(t *testing.T) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice", PIN: otp.NewPIN([]byte("2580"))}
	for n := range otp.MaxTokens {
		serial := otp.Serial(fmt.Sprint("T", n))
		m.token[serial] = Token{Exists: true, Enrolled: true, Token: otp.Token{Serial: serial}, User: "alice"}
	}
	_, err := s.Invite(ctx, root, NewInvitation{User: "alice"})
	wantError(t, err, ErrInvalid, "32 tokens")
	if _, err := s.LoseToken(ctx, root, "T0"); err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateRecoveryCodes(ctx, root, "alice")
	wantError(t, err, ErrInvalid, "32 tokens")
	takeUp(t, s, m)
	if n := len(m.holding(m.users["alice"]).Tokens); n != otp.MaxTokens || m.token["T0"].Exists {
		t.Errorf("%d tokens", n)
	}
}

// A lost token is not enabled; taken back or given to somebody else it is no longer
// lost, and disabled.
func TestFoundTokens(t *testing.T) {
	s, m := holders(t)
	lost := m.token["ALICE-1"]
	lost.Lost, lost.Revoked, lost.Disabled = true, true, true
	m.token["ALICE-1"] = lost
	_, err := s.EnableToken(ctx, root, "ALICE-1", true)
	wantError(t, err, ErrInvalid, "--nobody")
	if !m.token["ALICE-1"].Disabled {
		t.Error("a lost token was enabled")
	}
	for user, stays := range map[string]bool{"": false, "bob": false, "Alice": true} {
		m.token["ALICE-1"] = lost
		view, err := s.AssignToken(ctx, root, "ALICE-1", user)
		if after := m.token["ALICE-1"]; err != nil || view.Lost != stays || after.Revoked != stays || !after.Disabled {
			t.Errorf("to %q: %+v, %v", user, after, err)
		}
	}
	m.token["ALICE-1"] = lost
	if view, err := s.EnableToken(ctx, root, "ALICE-1", false); err != nil || !view.Lost {
		t.Errorf("disabled once more: %+v, %v", view, err)
	}
}

// Whose token follows the directory is the same after a loss.
func TestALossKeepsUsersLocal(t *testing.T) {
	for _, test := range []struct {
		name      string
		directory Directory
		local     bool // the lost token
		want      bool
	}{
		{"no directory", nil, true, true},
		{"no directory, a device", nil, false, true},
		{"in no directory", &repository{}, true, true},
		{"in no directory, a device", &repository{}, false, true},
		{"in a directory", &repository{identities: []exclusions.Identity{{Name: "alice", Directory: "corp"}}}, false, false},
		{"in a directory by now", &repository{identities: []exclusions.Identity{{Name: "alice", Directory: "corp"}}}, true, false},
		{"local, and no answer", &repository{silent: errors.New("no route")}, true, true},
		{"not local, and no answer", &repository{silent: errors.New("no route")}, false, false},
	} {
		s, m := holders(t)
		s.Directory = test.directory
		lost := m.token["ALICE-1"]
		lost.Local = test.local
		m.token["ALICE-1"] = lost
		if _, err := s.LoseToken(ctx, root, "ALICE-1"); err != nil || m.invite["alice"].Local != test.want {
			t.Errorf("%s: local %t, %v", test.name, m.invite["alice"].Local, err)
		}
		takeUp(t, s, m)
		for serial, token := range m.token {
			if token.Enrolled && token.User == "alice" && token.Local != test.want {
				t.Errorf("%s: token %s", test.name, serial)
			}
		}
	}
}

// What was revoked holds its place until the user is entitled again. What was lost
// holds it longer: that the directory was wrong for an hour opens nothing.
func TestEntitledAgain(t *testing.T) {
	for name, test := range map[string]struct {
		lose, revoke bool
		want         string
	}{
		"neither":          {false, false, "[ALICE-1]"},
		"lost":             {true, false, "[ALICE-1 lost disabled]"},
		"revoked":          {false, true, "[]"},
		"lost and revoked": {true, true, "[ALICE-1 lost disabled]"},
	} {
		s, m := holders(t)
		if test.lose {
			if _, err := s.LoseToken(ctx, root, "ALICE-1"); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.SetEntitled(ctx, server, "alice", false); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if !test.revoke {
				break
			}
			if err := s.RevokeEnrolled(ctx, server, "alice"); err != nil || m.held("alice") != "[ALICE-1 lost disabled]" || len(m.lists("alice")) > 0 {
				t.Errorf("%s: alice holds %s, %v", name, m.held("alice"), err)
			}
		}
		if _, err := s.SetEntitled(ctx, server, "alice", true); err != nil || m.held("alice") != test.want {
			t.Errorf("%s: alice holds %s, %v", name, m.held("alice"), err)
		}
		if err := s.CreateToken(ctx, root, "alice", NewToken{}); err != nil || (m.held("alice") == "[new]") != (test.revoke && !test.lose) {
			t.Errorf("%s: created, alice holds %s, %v", name, m.held("alice"), err)
		}
	}
}

// Tokens of users in no directory do not go with what one says.
func TestRevokingLeavesLocalTokens(t *testing.T) {
	s, m := holders(t)
	local := m.token["ALICE-1"]
	local.Local = true
	m.token["ALICE-1"] = local
	if _, err := s.SetEntitled(ctx, server, "alice", false); err != nil {
		t.Fatal(err)
	}
	if err := s.RevokeEnrolled(ctx, server, "alice"); err != nil || m.held("alice") != "[ALICE-1]" {
		t.Errorf("alice holds %s, %v", m.held("alice"), err)
	}
}
