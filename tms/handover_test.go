package tms

import (
	"errors"
	"slices"
	"sync"
	"testing"

	"countersign/otp"
	"countersign/otp/oath"
)

var server = Caller{Name: "server", Administrator: true}

func TestCreatedTokens(t *testing.T) {
	for _, test := range []struct {
		template NewToken
		length   int
	}{
		{NewToken{}, 20}, {NewToken{Algorithm: "sha256", Period: 60}, 32}, {NewToken{Type: "hotp", Algorithm: "sha512"}, 64}, {NewToken{Type: "mobilepass"}, 32},
	} {
		s, m := serving()
		test.template.Seed, test.template.Serial, test.template.User = seed, "S1", "mallory"
		if err := s.CreateToken(ctx, server, "alice", test.template); err != nil {
			t.Fatal(err)
		}
		if u := m.users["alice"]; !u.Exists || !u.PIN.IsZero() || u.Disabled {
			t.Errorf("user %+v", u)
		}
		token := m.token[createdSerial("alice", 0)]
		if token.User != "alice" || token.Seed.Len() != test.length || token.Seed.Equal(seed) || token.State != (otp.State{}) || len(m.token) != 1 {
			t.Errorf("%+v: token %+v", test.template, token)
		}
		if got := m.verbs(); got != "[user.add token.create]" {
			t.Errorf("recorded %s", got)
		}
	}
}

func TestATokenIsCreatedOnlyForWhoHoldsNone(t *testing.T) {
	s, m := serving()
	m.users["bob"] = User{Exists: true, Name: "bob"}
	m.users["eve"] = User{Exists: true, Name: "eve", Disabled: true}
	m.users["carol"] = User{Exists: true, Name: "carol"}
	m.token["T1"] = Token{Exists: true, Token: otp.Token{Serial: "T1", Disabled: true}, User: "carol"}
	for range 2 {
		if err := s.CreateToken(ctx, server, "bob", NewToken{}); err != nil {
			t.Error(err)
		}
	}
	if err := s.CreateToken(ctx, server, "carol", NewToken{}); err != nil {
		t.Error(err)
	}
	wantError(t, s.CreateToken(ctx, server, "eve", NewToken{}), ErrInvalid, "disabled")
	wantError(t, s.CreateToken(ctx, server, "bob", NewToken{Type: "hopt"}), ErrInvalid, "hopt")
	if len(m.token) != 2 || len(m.users) != 3 || m.verbs() != "[token.create]" {
		t.Errorf("tokens %+v", m.token)
	}

	// Of a token that was taken back into stock the serial is not to be had.
	first := m.token[createdSerial("bob", 0)]
	first.User = ""
	m.token[first.Serial] = first
	if err := s.CreateToken(ctx, server, "bob", NewToken{}); err != nil {
		t.Error(err)
	}
	if m.token[createdSerial("bob", 1)].User != "bob" || m.token[first.Serial].User != "" {
		t.Errorf("tokens %+v", m.token)
	}
	for n := range otp.MaxTokens {
		m.token[createdSerial("bob", n)] = first
	}
	if err := s.CreateToken(ctx, server, "bob", NewToken{}); err == nil {
		t.Error("all serials are taken, and no word of it")
	}
}

// Of many logins at once one makes the token. That of other nodes may come
// between any two steps.
func TestSimultaneousLoginsMakeOneToken(t *testing.T) {
	s, m := serving()
	var logins sync.WaitGroup
	for range 50 {
		logins.Go(func() {
			if err := s.CreateToken(ctx, server, "alice", NewToken{}); err != nil {
				t.Error(err)
			}
		})
	}
	logins.Wait()
	if len(m.token) != 1 || len(m.acts) != 2 {
		t.Errorf("%d tokens, %d acts", len(m.token), len(m.acts))
	}
}

func TestHandingOver(t *testing.T) {
	s, m := serving()
	if err := s.CreateToken(ctx, server, "alice", NewToken{}); err != nil {
		t.Fatal(err)
	}
	serial := createdSerial("alice", 0)
	token := m.token[serial]
	token.State = otp.State{Failures: 3, LockedUntil: now.Unix() + 60} // she has tried her directory password
	m.token[serial] = token
	m.acts = nil
	fresh := oath.NewSeed(other)
	_, err := s.HandOverToken(ctx, root, HandOver{Serial: string(serial), Seed: fresh})
	wantError(t, err, ErrInvalid, `user "alice" has no OTP PIN yet`)
	_, err = s.HandOverToken(ctx, root, HandOver{Serial: string(serial), Seed: fresh, PIN: otp.NewPIN([]byte("12"))})
	wantError(t, err, otp.ErrPIN, "")
	_, err = s.HandOverToken(ctx, root, HandOver{Serial: string(serial), Seed: fresh, PIN: otp.NewPIN([]byte("4711")), NoPIN: true})
	wantError(t, err, ErrInvalid, "at once")
	if m.verbs() != "[]" {
		t.Error("something was done before all was right")
	}
	view, err := s.HandOverToken(ctx, root, HandOver{Serial: string(serial), Seed: fresh, PIN: otp.NewPIN([]byte("4711"))})
	if err != nil || view.User != "alice" || view.Failures != 0 || view.LockedUntil != nil {
		t.Fatalf("%+v, %v", view, err)
	}
	if after := m.token[serial]; !after.Seed.Equal(fresh) || after.State != (otp.State{}) {
		t.Errorf("token %+v", after)
	}
	if u := m.users["alice"]; !u.PIN.Equal(otp.NewPIN([]byte("4711"))) {
		t.Error("alice has another PIN")
	}
	if got := m.verbs(); got != "[token.hand-over user.set]" {
		t.Errorf("recorded %s", got)
	}
	// Nobody else has used it: it can be handed over again, and she keeps her PIN.
	if _, err := s.HandOverToken(ctx, root, HandOver{Serial: string(serial), Seed: seed}); err != nil || m.verbs() != "[token.hand-over]" {
		t.Error(err)
	}
	if _, err := s.HandOverToken(ctx, root, HandOver{Serial: string(serial), Seed: seed, NoPIN: true}); err != nil || !m.users["alice"].PIN.IsZero() {
		t.Error(err)
	}
}

func TestTokensThatAreNotToBeHandedOver(t *testing.T) {
	s, m := serving()
	m.users["bob"] = User{Exists: true, Name: "bob", PIN: otp.NewPIN([]byte("4711"))}
	m.token["USED"] = Token{Exists: true, Token: otp.Token{Serial: "USED", Seed: seed, State: otp.State{Counter: 7, Drift: 1}}, User: "bob"}
	m.token["STOCK"] = Token{Exists: true, Token: otp.Token{Serial: "STOCK", Seed: seed}}
	for serial, want := range map[string]error{"USED": ErrInvalid, "STOCK": ErrInvalid, "NONE": ErrNotFound, "a b": ErrInvalid} {
		if _, err := s.HandOverToken(ctx, root, HandOver{Serial: serial, Seed: oath.NewSeed(other)}); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", serial, err, want)
		}
	}
	_, err := s.HandOverToken(ctx, root, HandOver{Serial: "used"})
	wantError(t, err, ErrInvalid, "seed")
	if len(m.acts) != 0 {
		t.Errorf("recorded %s", m.verbs())
	}
	if _, err := s.HandOverToken(ctx, root, HandOver{Serial: "used", Seed: oath.NewSeed(other), Reissue: true}); err != nil {
		t.Fatal(err)
	}
	if token := m.token["USED"]; token.State != (otp.State{}) || token.Seed.Equal(seed) || token.User != "bob" {
		t.Errorf("token %+v", token)
	}
	if i := slices.IndexFunc(m.acts, func(a Act) bool { return a.Detail == "user=bob reissue" }); i != 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}
