package console

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// activate leads a user to a token, and returns another browser that has nothing but
// the cookie of the activated token.
func (s *site) activate(user string) *visitorClient {
	s.Helper()
	link, _ := s.invite(tms.NewInvitation{User: user, PIN: otp.NewPIN([]byte("4711"))})
	v := s.visitor()
	v.open(link)
	done := v.post("/activation", "code", s.code(user, 0))
	done.want(s, 303)
	thief := s.visitor()
	for _, cookie := range done.Cookies() {
		if cookie.Name == cookiePrefix+activatedCookie {
			thief.header.Set("Cookie", cookie.Name+"="+cookie.Value)
		}
	}
	thief.get("/activation/done").want(s, 200, "/activation/recovery-codes")
	return thief
}

// Whoever kept the cookie of an activation gets no codes when the token is out of use.
func TestRecoveryCodesOfATokenThatIsNoMore(t *testing.T) {
	s := activationSite(t)
	_, err := s.service.AddUser(t.Context(), admin, tms.NewUser{Name: "bob", PIN: otp.NewPIN([]byte("4711"))})
	s.check(err)
	for name, end := range map[string]func(serial string) error{
		"removed": func(serial string) error { return s.service.RemoveToken(t.Context(), admin, serial) },
		"disabled": func(serial string) error {
			_, err := s.service.EnableToken(t.Context(), admin, serial, false)
			return err
		},
		"assigned to another": func(serial string) error {
			_, err := s.service.AssignToken(t.Context(), admin, serial, "bob")
			return err
		},
	} {
		user := strings.ReplaceAll(name, " ", "-")
		thief := s.activate(user)
		s.check(end(string(s.tokens(user)[0].Serial)))
		left := len(s.tokens(user))
		for range 2 {
			thief.post("/activation/recovery-codes").want(s, 404)
		}
		thief.get("/activation/done").want(s, 404)
		if now := len(s.tokens(user)); now != left {
			t.Errorf("%s: %d tokens, %d before", name, now, left)
		}
	}
}

// An activation gives one list of codes, however often it is asked for.
func TestRecoveryCodesOnce(t *testing.T) {
	s := activationSite(t)
	thief := s.activate("alice")
	s.wait(time.Minute)
	status := make(chan int, 8)
	var all sync.WaitGroup
	for range cap(status) {
		all.Go(func() { status <- thief.post("/activation/recovery-codes").StatusCode })
	}
	all.Wait()
	close(status)
	given := 0
	for code := range status {
		if code == http.StatusOK {
			given++
		} else if code != http.StatusNotFound {
			t.Errorf("status %d", code)
		}
	}
	if given != 1 || len(s.tokens("alice")) != 2 {
		t.Errorf("%d lists were given, and there are %d tokens", given, len(s.tokens("alice")))
	}
	done := thief.get("/activation/done")
	done.want(s, 200)
	if strings.Contains(done.body, "/activation/recovery-codes") {
		t.Error("recovery codes are offered again")
	}
	// Codes of the help desk are no recovery codes, and older ones are none for another token.
	s.wait(time.Minute)
	_, err := s.service.CreateTemporaryCodes(t.Context(), admin, "carol", 3, 0)
	if err == nil {
		t.Fatal("carol is there already")
	}
	s.policy.TemporaryTime = time.Hour
	v := s.activate("carol")
	_, err = s.service.CreateTemporaryCodes(t.Context(), admin, "carol", 3, 0)
	s.check(err)
	v.post("/activation/recovery-codes").want(s, 200)
	s.wait(time.Minute)
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	another := s.visitor()
	another.open(link)
	another.post("/activation", "code", s.code("alice", 0)).want(s, 303)
	another.post("/activation/recovery-codes").want(s, 200)
}
