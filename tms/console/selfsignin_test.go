package console

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

func TestSignIn(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.visitor()
	form := v.following(v.get("/"), "/self")
	form.want(s.site, 200, `name="user"`, `name="password"`, `name="passcode"`)
	code := s.shown("A-1", 0)
	in := s.try(v, " ALICE@corp.example ", "Secret of alice", "8152"+code[:3]+" "+code[3:])
	v.following(in, "/self").want(s.site, 200, "<strong>alice</strong>", "A-1")
	s.wantEvents("self-service alice accepted")
	if s.users.asked != 1 {
		t.Errorf("the directory was asked %d times", s.users.asked)
	}
	cookie := in.Cookies()[0]
	if cookie.Name != "__Host-self-service" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.MaxAge != 900 {
		t.Errorf("cookie %v", cookie)
	}

	// A code is good for one time.
	again := s.try(s.visitor(), "alice", "Secret of alice", "8152"+code)
	again.want(s.site, 403)
	s.wantEvents("self-service alice replayed")
	if s.users.asked != 1 {
		t.Error("the directory was asked after a code that was used")
	}

	out := v.post("/self/sign-out")
	v.following(out, "/self").want(s.site, 200, `name="passcode"`)
	v.get("/self/pin").want(s.site, 403, `name="passcode"`)
}

func TestSignInWithoutDirectory(t *testing.T) {
	s := newSelfSite(t)
	s.addUser("alice", "A-1")
	if form := s.visitor().get("/self"); strings.Contains(form.body, `name="password"`) {
		t.Error("a password is asked for")
	}
	s.signIn("alice", "A-1").get("/self").want(s.site, 200, "A-1")
	s.policy.NoPIN = true
	s.visitor().get("/self").wantText(s.site, "en", "signin.code.hint")
}

// Whatever was wrong, the answer and the time are the same, and the directory hears
// only of passwords that came with a right code.
func TestRefusalsAreAlike(t *testing.T) {
	s := newSelfSite(t, "alice", "disabled", "leaver", "expired", "stranger-to-us", "locked")
	for _, name := range []string{"alice", "disabled", "leaver", "expired", "local", "locked"} {
		s.addUser(name, strings.ToUpper(name))
	}
	disable := true
	_, err := s.service.SetUser(t.Context(), admin, tms.UserChange{Name: "disabled", Disabled: &disable})
	s.check(err)
	s.users.of["leaver"].Disabled = true
	s.users.of["expired"].verdict = otp.PasswordExpired
	for range 10 {
		s.wait(2 * time.Minute)
		s.try(s.visitor(), "locked", "Secret of locked", "8152"+s.shown("LOCKED", time.Hour))
	}
	s.users.asked = 0
	for len(s.waits) > 0 {
		<-s.waits
	}
	want := ""
	for _, test := range []struct {
		name, password, passcode, serial, event string
		asked                                   int
	}{
		{"alice", "Secret of alice", "0000", "ALICE", "wrong_pin", 0},
		{"alice", "Secret of alice", "8152000000", "", "wrong_code", 0},
		{"alice", "Secret of alice", "", "ALICE", "wrong_pin", 0},
		{"alice", "wrong", "8152", "ALICE", "wrong_password", 1},
		{"alice", "", "8152", "ALICE", "no_credentials", 0},
		{"alice", "Secret of alice", "", "", "no_credentials", 0},
		{"alice", "Secret of alice", "8152\x01", "ALICE", "unreadable", 0},
		{"nobody", "Secret of alice", "8152", "ALICE", "unknown_user", 0},
		{"stranger-to-us", "Secret of stranger-to-us", "8152", "ALICE", "unknown_user", 0},
		{"local", "Secret of local", "8152", "LOCAL", "unknown_user", 0},
		{"disabled", "Secret of disabled", "8152", "DISABLED", "user_disabled", 0},
		{"leaver", "Secret of leaver", "8152", "LEAVER", "directory_disabled", 0},
		{"expired", "Secret of expired", "8152", "EXPIRED", "password_expired", 1},
		{"locked", "Secret of locked", "8152", "LOCKED", "locked", 0},
		{"", "Secret of alice", "8152", "ALICE", "bad_user_name", 0},
		{strings.Repeat("x", 300), "Secret of alice", "8152", "ALICE", "bad_user_name", 0},
	} {
		s.wait(time.Minute)
		s.users.asked = 0
		passcode := test.passcode
		if test.serial != "" {
			passcode += s.shown(test.serial, 0)
		}
		answer := s.try(s.visitor(), test.name, test.password, passcode)
		answer.want(s.site, 403)
		if got := s.events(1)[0]; !strings.HasPrefix(got, "self-service ") || !strings.HasSuffix(got, " "+test.event) {
			t.Errorf("%.20q: event %q, want %s", test.name, got, test.event)
		}
		if s.users.asked != test.asked {
			t.Errorf("%.20q, %s: the directory was asked %d times", test.name, test.event, s.users.asked)
		}
		if len(s.waits) != 1 || <-s.waits != refusalTime {
			t.Errorf("%.20q, %s: another time", test.name, test.event)
		}
		if answer.Header.Get("Set-Cookie") != "" {
			t.Errorf("%.20q: a cookie", test.name)
		}
		// The field has the name that was typed, and nothing else is different.
		shownName := test.name
		if len(shownName) > maxField {
			shownName = ""
		}
		body := strings.Replace(answer.body, `required value="`+shownName+`"`, `required value=""`, 1)
		body = strings.Replace(body, " autofocus", "", 1)
		if want == "" {
			want = body
		} else if body != want {
			t.Errorf("%.20q, %s: another answer:\n%s", test.name, test.event, body)
		}
	}
}

// When the directory does not answer nobody can sign in, and no code is used up for
// that as long as it is known before.
func TestSignInWithSilentDirectory(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.visitor()
	s.users.silent = true
	s.try(v, "alice", "Secret of alice", "8152"+s.shown("A-1", 0)).want(s.site, 503)
	s.users.silent = false
	v.following(s.try(v, "alice", "Secret of alice", "8152"+s.shown("A-1", 0)), "/self").want(s.site, 200, "A-1")
	// Who is signed in goes on.
	s.users.silent = true
	v.get("/self").want(s.site, 200, "A-1")

	// It may stop answering at any time. Then it has counted the password, perhaps, and
	// is not shown it once more at once.
	s.users.silent, s.users.mute, s.users.asked = false, true, 0
	s.wait(time.Minute)
	for _, later := range []time.Duration{0, 30 * time.Second} {
		s.try(s.visitor(), "alice", "Secret of alice", "8152"+s.shown("A-1", later)).want(s.site, 503)
		s.wantEvents("self-service alice accepted")
	}
	if s.users.asked != 1 {
		t.Errorf("the directory was asked %d times", s.users.asked)
	}
}

// A wrong password is shown to the directory once, and few of them at all.
func TestPasswordsAreBounded(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	for _, password := range []string{"one", "one", "two", "three", "four", "Secret of alice"} {
		s.wait(30 * time.Second)
		s.try(s.visitor(), "alice", password, "8152"+s.shown("A-1", 0)).want(s.site, 403)
	}
	if s.users.asked != 3 {
		t.Errorf("the directory was shown %d wrong passwords", s.users.asked)
	}
	s.wantEvents("self-service alice throttled", "self-service alice accepted")
}

func TestSignInsAreCounted(t *testing.T) {
	s := newSelfSite(t)
	s.addUser("alice", "A-1")
	s.group.signIns.limit = 3
	for range 3 {
		s.try(s.visitor(), "nobody", "", "0000000000").want(s.site, 403)
	}
	right := func() visitAnswer { return s.try(s.visitor(), "alice", "", "8152"+s.shown("A-1", 0)) }
	refused := right()
	refused.want(s.site, 429)
	refused.wantText(s.site, "en", "problem.self-many")
	s.wait(2 * selfWindow)
	right().want(s.site, 303)
}

func TestSelfSessionEnds(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.signIn("alice", "A-1")
	s.wait(14 * time.Minute)
	v.get("/self").want(s.site, 200, "A-1")
	s.wait(14 * time.Minute)
	v.get("/self/pin").want(s.site, 200)
	s.wait(16 * time.Minute)
	ended := v.post("/self/pin", "pin", "9274", "pin2", "9274")
	ended.want(s.site, 403, `name="passcode"`)
	ended.wantText(s.site, "en", "problem.self-session")

	// However much it is used, it ends.
	v = s.signIn("alice", "A-1")
	began := s.now()
	for s.now().Sub(began) < selfTime-10*time.Minute {
		v.get("/self/enrol").want(s.site, 200)
		s.wait(10 * time.Minute)
	}
	last := v.get("/self")
	last.want(s.site, 200, "A-1")
	if age := last.Cookies()[0].MaxAge; age > 600 {
		t.Errorf("the cookie lives for %d s more", age)
	}
	s.wait(11 * time.Minute)
	v.get("/self/enrol").want(s.site, 403)
}

// A session is worth as much as the account.
func TestSelfSessionEndsWithTheAccount(t *testing.T) {
	for name, end := range map[string]func(s *selfSite){
		"disabled here": func(s *selfSite) {
			disable := true
			_, err := s.service.SetUser(t.Context(), admin, tms.UserChange{Name: "alice", Disabled: &disable})
			s.check(err)
		},
		"removed here":          func(s *selfSite) { s.check(s.service.RemoveUser(t.Context(), admin, "alice")) },
		"disabled in directory": func(s *selfSite) { s.users.of["alice"].Disabled = true },
		"gone from directory":   func(s *selfSite) { delete(s.users.of, "alice") },
	} {
		s := newSelfSite(t, "alice")
		s.addUser("alice", "A-1")
		v := s.signIn("alice", "A-1")
		end(s)
		if answer := v.post("/self/recovery-codes"); answer.StatusCode != 403 {
			t.Errorf("%s: %d", name, answer.StatusCode)
		}
		v.get("/self").want(s.site, 200, `name="passcode"`)
	}
}

// A cookie that nobody sealed, or that was sealed for something else, is none.
func TestSelfCookie(t *testing.T) {
	s := newSelfSite(t, "alice", "bob")
	s.addUser("alice", "A-1")
	s.addUser("bob", "B-1")
	in := s.try(s.visitor(), "alice", "Secret of alice", "8152"+s.shown("A-1", 0))
	cookie := in.Cookies()[0]
	with := func(name, value string) visitAnswer {
		v := s.visitor()
		v.header.Set("Cookie", name+"="+value)
		return v.get("/self/enrol")
	}
	with(cookie.Name, cookie.Value).want(s.site, 200)
	changed := []byte(cookie.Value)
	changed[len(changed)/2] ^= 1
	for _, bad := range []string{string(changed), cookie.Value[:40], "", "%%%", strings.Repeat("A", 3000)} {
		with(cookie.Name, bad).want(s.site, 403)
	}
	link, _ := s.invite(tms.NewInvitation{User: "bob"})
	opened := s.visitor().post("/activate", "link", strings.TrimPrefix(link, "/activate/")).Cookies()[0]
	with(cookie.Name, opened.Value).want(s.site, 403)
	with("__Host-activation", cookie.Value).want(s.site, 403)
	// That of alice shows what is hers.
	v := s.visitor()
	v.header.Set("Cookie", cookie.Name+"="+cookie.Value)
	if page := v.get("/self"); !strings.Contains(page.body, "A-1") || strings.Contains(page.body, "B-1") {
		t.Errorf("not alice's page:\n%s", page.body)
	}
}
