package console

import (
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// wantOut checks that a session is over: nothing is shown, and nothing done.
func (v *visitorClient) wantOut(what string) {
	v.Helper()
	if page := v.get("/self"); page.StatusCode != 200 || !strings.Contains(page.body, `name="passcode"`) || strings.Contains(page.body, "A-1") {
		v.Errorf("%s: tokens are shown", what)
	}
	for _, path := range selfPaths[1:] {
		if answer := v.post(path, "pin", "9274", "pin2", "9274", "serial", "A-1", "list", ""); answer.StatusCode != 403 {
			v.Errorf("%s: POST %s: %d", what, path, answer.StatusCode)
		}
	}
}

// A session is worth as much as the token that opened it. Another one of the user has
// nothing to do with it.
func TestSelfSessionEndsWithTheToken(t *testing.T) {
	for name, test := range map[string]struct {
		end func(s *selfSite) error
		out bool
	}{
		"lost":     {func(s *selfSite) error { _, err := s.service.LoseToken(s.Context(), admin, "A-1"); return err }, true},
		"disabled": {func(s *selfSite) error { _, err := s.service.EnableToken(s.Context(), admin, "A-1", false); return err }, true},
		"removed":  {func(s *selfSite) error { return s.service.RemoveToken(s.Context(), admin, "A-1") }, true},
		"of another": {func(s *selfSite) error {
			s.addUser("bob", "B-1")
			if err := s.service.RemoveToken(s.Context(), admin, "A-1"); err != nil {
				return err
			}
			s.addToken("bob", "A-1")
			return nil
		}, true},
		"another lost":     {func(s *selfSite) error { _, err := s.service.LoseToken(s.Context(), admin, "A-2"); return err }, false},
		"another disabled": {func(s *selfSite) error { _, err := s.service.EnableToken(s.Context(), admin, "A-2", false); return err }, false},
		"another removed":  {func(s *selfSite) error { return s.service.RemoveToken(s.Context(), admin, "A-2") }, false},
		"locked": {func(s *selfSite) error {
			for range 10 {
				s.wait(time.Minute)
				s.try(s.visitor(), "alice", "Secret of alice", "8152000000")
			}
			return nil
		}, false},
	} {
		s := newSelfSite(t, "alice", "bob")
		s.addUser("alice", "A-1")
		s.addToken("alice", "A-2")
		v := s.signIn("alice", "A-1")
		s.check(test.end(s))
		if !test.out {
			v.get("/self").want(s.site, 200, "A-1", "<strong>alice</strong>")
			continue
		}
		v.wantOut(name)
	}
}

// Codes of the help desk are over after a time, and so is what they opened.
func TestSelfSessionEndsWithTheTime(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	codes, err := s.service.CreateTemporaryCodes(t.Context(), admin, "alice", 3, 10*time.Minute)
	s.check(err)
	v := s.visitor()
	s.try(v, "alice", "Secret of alice", "8152"+codes.List[0]).want(s.site, 303)
	s.wait(9 * time.Minute)
	v.get("/self").want(s.site, 200, "A-1")
	s.wait(time.Minute)
	v.wantOut("over")
}

// A list that is replaced ends the sessions that it opened, but for the one where it
// was done.
func TestSelfSessionEndsWithTheList(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	codes, err := s.service.CreateRecoveryCodes(t.Context(), admin, "alice")
	s.check(err)
	owner, thief := s.visitor(), s.visitor()
	for i, v := range []*visitorClient{owner, thief} {
		s.try(v, "alice", "Secret of alice", "8152"+codes.List[i]).want(s.site, 303)
		v.get("/self").want(s.site, 200, "A-1")
	}
	owner.post("/self/recovery-codes", "list", listField(owner.get("/self/recovery-codes").body)).want(s.site, 200, `<li class="code">`)
	thief.wantOut("replaced")
	owner.get("/self").want(s.site, 200, "A-1")
	_, err = s.service.CreateRecoveryCodes(t.Context(), admin, "alice")
	s.check(err)
	owner.wantOut("replaced by the help desk")
}

// Another OTP PIN ends all sessions that began before it, but for the one where it was
// changed. A copy of that one's cookie is an old one.
func TestSelfSessionEndsWithThePIN(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	thief, owner := s.signIn("alice", "A-1"), s.visitor()
	s.wait(30 * time.Second)
	cookie := s.try(owner, "alice", "Secret of alice", "8152"+s.shown("A-1", 0)).Cookies()[0]
	setup := s.visitor()
	setup.activateAgain("alice")
	setup.following(setup.post("/self/begin"), "/self").want(s.site, 200, "A-1", "<strong>alice</strong>")
	s.wait(30 * time.Second)
	owner.following(owner.post("/self/pin", "passcode", "8152"+s.shown("A-1", 0), "pin", "9274", "pin2", "9274"), "/self").want(s.site, 200, "A-1")
	copied := s.visitor()
	copied.header.Set("Cookie", cookie.Name+"="+cookie.Value)
	for name, v := range map[string]*visitorClient{"earlier": thief, "setup": setup, "copied": copied} {
		v.wantOut(name)
	}
	owner.get("/self/enrol").want(s.site, 200)

	_, err := s.service.SetUser(t.Context(), admin, tms.UserChange{Name: "alice", PIN: otp.NewPIN([]byte("6038"))})
	s.check(err)
	owner.wantOut("changed by the help desk")
}

// activateAgain activates another token in this browser.
func (v *visitorClient) activateAgain(user string) otp.Serial {
	v.Helper()
	issued, err := v.service.Invite(v.Context(), admin, tms.NewInvitation{User: user, NoMail: true})
	v.check(err)
	v.post("/activate", "link", issued.Link.Reveal()).want(v.site, 303)
	i, err := v.service.InvitationOf(v.Context(), admin, otp.UserName(user), tms.InvitationID{})
	v.check(err)
	v.post("/activation", "code", oath.TOTP(i.Token.Algorithm, i.Token.Seed, v.now(), 0, i.Token.Period, int(i.Token.Digits))).want(v.site, 303)
	return i.Token.Serial
}

// What an activation began ends with its token too.
func TestSetupEndsWithTheToken(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.visitor()
	serial := v.activateAgain("alice")
	v.following(v.post("/self/begin"), "/self").want(s.site, 200, "A-1")
	_, err := s.service.LoseToken(t.Context(), admin, string(serial))
	s.check(err)
	v.wantOut("lost")
	v.following(v.post("/self/begin"), "/self").want(s.site, 200, `name="passcode"`)
}

// Whoever finds a session open cannot change the OTP PIN without it and a token, and
// guesses are counted as at a login.
func TestChangePINAsksForThePasscode(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.signIn("alice", "A-1")
	used := s.shown("A-1", 0)
	next := func() string { s.wait(30 * time.Second); return s.shown("A-1", 0) }
	for len(s.waits) > 0 {
		<-s.waits
	}
	for _, test := range []struct{ passcode, verdict string }{
		{"", "no_credentials"}, {"8152" + used, "replayed"}, {"8152000000", "wrong_code"}, {"0000" + next(), "wrong_pin"}, {next(), "wrong_pin"},
	} {
		wrong := v.post("/self/pin", "passcode", test.passcode, "pin", "9274", "pin2", "9274")
		wrong.want(s.site, 422, `id="passcode-problem"`)
		wrong.wantText(s.site, "en", "problem.self-passcode")
		s.wantEvents("self-service alice " + test.verdict)
		if len(s.waits) != 1 || <-s.waits != refusalTime {
			t.Errorf("%s: another time", test.verdict)
		}
	}
	// Without it nobody hears whether a PIN is the present one.
	v.post("/self/pin", "passcode", "8152000000", "pin", "8152", "pin2", "8152").wantText(s.site, "en", "problem.self-passcode")
	for range 10 {
		s.wait(time.Minute)
		v.post("/self/pin", "passcode", "8152000000", "pin", "9274", "pin2", "9274").want(s.site, 422)
	}
	v.post("/self/pin", "passcode", "8152"+next(), "pin", "9274", "pin2", "9274").want(s.site, 422)
	s.wantEvents("self-service alice locked")
}

// Who has no OTP PIN yet types the code alone.
func TestChooseFirstPIN(t *testing.T) {
	s := newSelfSite(t)
	_, err := s.service.AddUser(t.Context(), admin, tms.NewUser{Name: "alice", NoPIN: true})
	s.check(err)
	s.addToken("alice", "A-1")
	v := s.visitor()
	s.try(v, "alice", "", s.shown("A-1", 0)).want(s.site, 303)
	v.get("/self/pin").wantText(s.site, "en", "signin.code.hint")
	s.wait(30 * time.Second)
	v.following(v.post("/self/pin", "passcode", s.shown("A-1", 0), "pin", "9274", "pin2", "9274"), "/self").wantText(s.site, "en", "self.done.pin")
}
