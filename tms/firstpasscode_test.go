package tms

import (
	"errors"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// guess shows a right code after a PIN.
func guess(s *Service, m *memory, pin string) (otp.FirstCode, error) {
	return s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode([]byte(pin+shows(m.invite["alice"].Token, 0))))
}

// What a restored backup has burned is burned, and stays so: the login that comes next
// is decided by the state that the token gets.
func TestActivationKeepsWhatIsBurned(t *testing.T) {
	s, m, issued := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	at := now
	s.Clock = func() time.Time { return at }
	i := m.invite["alice"]
	i.Token.State.Counter = uint64(oath.TimeStep(now, 0, 30)) + 3
	m.invite["alice"] = i
	if found, err := guess(s, m, "4097"); found != otp.NotShown || err != nil {
		t.Errorf("a code that may be used: %v, %v", found, err)
	}
	at = now.Add(90 * time.Second)
	passcode := otp.NewPasscode([]byte("4097" + oath.TOTP(oath.SHA1, i.Token.Seed, at, 0, 30, 6)))
	if found, err := s.ActivateByPasscode(ctx, root, "alice", passcode); found != otp.Shown || err != nil {
		t.Fatalf("%v, %v", found, err)
	}
	if state := m.token[issued.Serial].State; state != i.Token.State {
		t.Errorf("the token has %+v, not %+v", state, i.Token.State)
	}
}

// Of an event token nobody knows which codes were used before a restore.
func TestNoFirstCodeWhereTwoAreWanted(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{Type: "hotp", PIN: otp.NewPIN([]byte("4097"))})
	i := m.invite["alice"]
	i.Token.State.MustResync = true
	m.invite["alice"] = i
	if found, err := guess(s, m, "4097"); found != otp.NotShown || err != nil {
		t.Errorf("%v, %v", found, err)
	}
	_, err := s.Activate(ctx, root, Activation{User: "alice", Code: shows(i.Token, 0)})
	wantError(t, err, ErrWrongCode, "")
	if len(m.token)+len(m.acts) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}

// Who has the token and not the PIN has as many guesses as a login would give.
func TestGuessesEndAnInvitation(t *testing.T) {
	s, m, issued := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	most := otp.DefaultPolicy().MaxFailures
	for n := range most - 1 {
		if found, err := guess(s, m, "1357"); found != otp.WrongFirstPIN || err != nil || m.invite["alice"].Failures != n+1 {
			t.Fatalf("guess %d: %v, %v, %d failures", n, found, err, m.invite["alice"].Failures)
		}
	}
	// What is no guess at the PIN does not count.
	wrong := otp.NewPasscode([]byte("1357000000"))
	if found, err := s.ActivateByPasscode(ctx, root, "alice", wrong); found != otp.NotShown || err != nil || len(m.acts) > 0 {
		t.Errorf("%v, %v, recorded %+v", found, err, m.acts)
	}
	_, none := s.ActivateByPasscode(ctx, root, "nobody", wrong)
	found, err := guess(s, m, "1357")
	if wantError(t, err, ErrNotFound, `"alice"`); found != otp.WrongFirstPIN || len(none.Error()) != len(err.Error())+len("nobody")-len("alice") {
		t.Errorf("%v, %v; of nobody it is %v", found, err, none)
	}
	if a := m.acts[0]; len(m.acts) != 1 || a.Verb != "invitation.locked" || a.Object != "alice" || a.Detail != "serial="+string(issued.Serial)+" failures=10" {
		t.Errorf("recorded %+v", m.acts)
	}
	if len(m.invite)+len(m.token)+len(m.mails) > 0 {
		t.Error("the invitation is still there")
	}
}

// The page takes a code alone. With anything before it a code is a failure, too.
func TestFailuresOfThePage(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	i := m.invite["alice"]
	a := Activation{User: "alice", Code: "4097" + shows(i.Token, 0)}
	for range otp.DefaultPolicy().MaxFailures - 1 {
		_, err := s.Activate(ctx, root, a)
		wantError(t, err, ErrWrongCode, "")
	}
	_, err := s.Activate(ctx, root, a)
	wantError(t, err, ErrNotFound, "alice")
	if m.verbs() != "[invitation.locked]" || len(m.token) > 0 {
		t.Error("it was not ended, or activated")
	}
}

// However many guess at once, every one of them counts.
func TestSimultaneousGuesses(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	token := m.invite["alice"].Token
	var mu sync.Mutex
	looked := 0
	var guesses sync.WaitGroup
	for range 100 {
		guesses.Go(func() {
			_, err := s.ActivateByPasscode(ctx, root, "alice", otp.NewPasscode([]byte("1357"+shows(token, 0))))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				looked++
			} else if !errors.Is(err, ErrNotFound) {
				t.Error(err)
			}
		})
	}
	if guesses.Wait(); looked != otp.DefaultPolicy().MaxFailures-1 || m.verbs() != "[invitation.locked]" || len(m.invite) > 0 {
		t.Errorf("%d guesses before the last", looked)
	}
}

// Others may have counted theirs between looking and counting.
func TestAGuessAfterOthers(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{PIN: otp.NewPIN([]byte("4097"))})
	most := otp.DefaultPolicy().MaxFailures
	fresh := m.invite["alice"]
	for _, others := range []int{most - 2, most - 1} {
		m.invite["alice"] = fresh
		s.Enrolment = between{m, func() {
			i := m.invite["alice"]
			i.Failures = others
			m.invite["alice"] = i
		}}
		last := others == most-1
		if _, err := guess(s, m, "1357"); errors.Is(err, ErrNotFound) != last || m.invite["alice"].Exists == last {
			t.Errorf("after %d: %v, %+v", others, err, m.invite["alice"].Failures)
		}
	}
	if m.verbs() != "[invitation.locked]" {
		t.Error("recorded otherwise")
	}
}

// A dialog makes the same ID when its invitation was withdrawn: what was found before
// is another invitation nevertheless.
func TestTheSameIDForAnotherToken(t *testing.T) {
	s, m, _ := invited(t, NewInvitation{ID: InvitationID{7}})
	old := m.invite["alice"]
	if err := s.Withdraw(ctx, root, "alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Invite(ctx, root, NewInvitation{User: "alice", ID: InvitationID{7}}); err != nil {
		t.Fatal(err)
	}
	m.acts = nil
	pin := otp.NewPIN([]byte("4097"))
	wantError(t, s.SetInvitationPIN(ctx, server, &old, pin), ErrNotFound, "alice")
	code := shows(m.invite["alice"].Token, 0)
	_, err := s.Activate(ctx, root, Activation{User: "alice", ID: old.ID, Serial: old.Token.Serial, PIN: pin, Code: code})
	wantError(t, err, ErrNotFound, "alice")
	if !m.invite["alice"].PIN.IsZero() || len(m.acts) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
	// Also when it becomes another between looking and doing.
	found := m.invite["alice"]
	s.Enrolment = between{m, func() { m.invite["alice"] = old }}
	_, err = s.Activate(ctx, root, Activation{User: "alice", ID: found.ID, PIN: pin, Code: code})
	wantError(t, err, ErrNotFound, "alice")
	if len(m.token)+len(m.acts) > 0 {
		t.Errorf("recorded %+v", m.acts)
	}
}
