package console

import (
	"strings"
	"testing"
	"time"

	"countersign/tms"
)

// Who has just activated a token goes on to the rest, but not to what takes more than
// the link in a mail.
func TestSetup(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	v.following(v.post("/self/begin"), "/self").want(s.site, 200, `name="passcode"`)
	v.open(link)
	v.following(v.post("/self/begin"), "/self").want(s.site, 200, `name="passcode"`)
	v.post("/activation", "code", s.code("alice", 0)).want(s.site, 303)
	page := v.following(v.post("/self/begin"), "/self")
	page.want(s.site, 200, "A-1", "/self/recovery-codes", "/self/enrol")
	page.wantText(s.site, "en", "self.setup")
	for _, barred := range []string{"/self/pin", "/self/lost", "/self/resync"} {
		if strings.Contains(page.body, barred) {
			t.Errorf("%s is offered", barred)
		}
		v.get(barred).want(s.site, 403)
		v.post(barred, "pin", "9274", "pin2", "9274", "serial", "A-1", "first", s.shown("A-1", 0), "second", s.shown("A-1", 30*time.Second)).want(s.site, 403)
	}
	v.get("/self/lost/confirm?serial=A-1").want(s.site, 403)
	v.post("/self/recovery-codes", "list", "").want(s.site, 200, `<li class="code">`)
	s.wait(10 * time.Minute)
	v.get("/self").want(s.site, 200)
	s.wait(6 * time.Minute)
	v.get("/self").want(s.site, 200, `name="passcode"`)
}

// Whoever kept the cookie of an activation is not let in when the token is out of use.
func TestSetupOfATokenThatIsNoMore(t *testing.T) {
	s := newSelfSite(t, "kept", "removed", "disabled", "lost", "no-user")
	for user, end := range map[string]func(serial string) error{
		"removed": func(serial string) error { return s.service.RemoveToken(t.Context(), admin, serial) },
		"disabled": func(serial string) error {
			_, err := s.service.EnableToken(t.Context(), admin, serial, false)
			return err
		},
		"lost": func(serial string) error {
			_, err := s.service.LoseToken(t.Context(), admin, serial)
			return err
		},
		"no-user": func(string) error { return s.service.RemoveUser(t.Context(), admin, "no-user") },
		"kept":    func(string) error { return nil },
	} {
		thief := s.activate(user)
		s.check(end(string(s.tokens(user)[0].Serial)))
		in := strings.Contains(thief.following(thief.post("/self/begin"), "/self").body, "<strong>"+user+"</strong>")
		if in != (user == "kept") {
			t.Errorf("%s: let in: %t", user, in)
		}
	}
}
