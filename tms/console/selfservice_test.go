package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

func TestOverview(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.signIn("alice", "A-1")
	page := v.get("/self")
	for _, key := range []string{"self.kind.app", "self.state.good", "self.next.codes"} {
		page.wantText(s.site, "en", key)
	}

	s.addToken("alice", "A-2")
	_, err := s.service.EnableToken(t.Context(), admin, "A-2", false)
	s.check(err)
	_, err = s.service.AddToken(t.Context(), admin, tms.NewToken{
		Serial: "A-3", User: "alice", Type: "hotp", Seed: seed("A-3"), ValidFrom: s.now().Add(time.Hour), ValidUntil: s.now().Add(48 * time.Hour),
	})
	s.check(err)
	_, err = s.service.CreateTemporaryCodes(t.Context(), admin, "alice", 3, time.Hour)
	s.check(err)
	_, err = s.service.CreateRecoveryCodes(t.Context(), admin, "alice")
	s.check(err)
	s.invite(tms.NewInvitation{User: "alice"})
	page = v.get("/self")
	page.want(s.site, 200, "A-1", "A-2", "A-3", moment("2026-05-04 13:00 UTC"), moment("2026-05-06 12:00 UTC"), "<dd>10</dd>", "<dd>3</dd>")
	for _, key := range []string{"self.state.disabled", "self.state.early", "self.kind.hotp", "self.kind.temporary", "self.kind.recovery"} {
		page.wantText(s.site, "en", key)
	}
	page.wantText(s.site, "en", "self.next.invited", moment("2026-05-07 12:00 UTC"))
	if strings.Contains(page.body, languages["en"].text("self.next.codes.link")) {
		t.Error("recovery codes are still to be made")
	}

	// Codes that are over are not shown, and when few are left it says so.
	s.wait(2 * time.Hour)
	s.policy.RecoveryCodes = fewCodes
	_, err = s.service.CreateRecoveryCodes(t.Context(), admin, "alice")
	s.check(err)
	v = s.signIn("alice", "A-1")
	page = v.get("/self")
	page.wantText(s.site, "en", "self.next.few")
	if strings.Contains(page.body, languages["en"].text("self.kind.temporary")) {
		t.Error("codes are shown that are over")
	}

	for range 10 {
		s.wait(time.Minute)
		s.try(s.visitor(), "alice", "Secret of alice", "8152000000")
	}
	v.get("/self").want(s.site, 200, "Locked until "+moment("2026-05-04 14:"))
}

func TestStateOfToken(t *testing.T) {
	now := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for want, view := range map[string]tms.TokenView{
		"lost":     {Lost: true, Disabled: true, ValidUntil: &now, MustResync: true},
		"disabled": {Disabled: true, ValidUntil: &now, LockedUntil: &now}, "over": {ValidUntil: &now, LockedUntil: &now},
		"early": {ValidFrom: new(now.Add(time.Second)), MustResync: true}, "locked": {LockedUntil: new(now.Add(time.Second)), MustResync: true},
		"step": {MustResync: true, ValidFrom: &now}, "empty": {Type: "code-list"}, "good": {ValidUntil: new(now.Add(time.Second))},
	} {
		if got, _ := stateOf(&view, now); got != want {
			t.Errorf("%+v is %s, want %s", view, got, want)
		}
	}
}

// What is to be done next is said, but not what a visitor may not do.
func TestNextThings(t *testing.T) {
	for name, test := range map[string]struct {
		setup, hasPIN bool
		want          []string
		never         []string
	}{
		"signed in": {false, false, []string{"self.next.pin", "self.next.codes"}, nil},
		"setup":     {true, false, []string{"self.next.codes"}, []string{"self.next.pin"}},
		"with PIN":  {false, true, []string{"self.next.codes"}, []string{"self.next.pin"}},
	} {
		s := newSelfSite(t, "alice")
		p := &selfOverview{Setup: test.setup, PIN: true, RecoveryCodes: true, Tokens: []selfToken{{Serial: "A-1", Kind: "app", State: "step"}}}
		p.findNext(test.hasPIN)
		w := httptest.NewRecorder()
		s.pages.show(w, httptest.NewRequest("GET", "/self", nil), 200, "self", p)
		texts := languages["en"]
		for _, key := range test.want {
			if !strings.Contains(w.Body.String(), texts.text(key)) {
				t.Errorf("%s: %s is missing", name, key)
			}
		}
		for _, key := range test.never {
			if strings.Contains(w.Body.String(), texts.text(key)) {
				t.Errorf("%s: %s is there", name, key)
			}
		}
		if step := strings.Contains(w.Body.String(), texts.text("self.next.step", "A-1")); step == test.setup {
			t.Errorf("%s: out of step: %t", name, step)
		}
	}
}

func TestSelfResync(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	s.addToken("alice", "A-2")
	v := s.signIn("alice", "A-1")
	v.get("/self/resync?serial=A-2").want(s.site, 200, `value="A-2" required checked`)
	first, second := s.shown("A-2", 5*time.Minute), s.shown("A-2", 5*time.Minute+30*time.Second)
	wrong := v.post("/self/resync", "serial", "A-2", "first", second, "second", first)
	wrong.want(s.site, 422, `value="A-2" required checked`, `aria-invalid="true"`)
	wrong.wantText(s.site, "en", "problem.self-resync")
	v.post("/self/resync", "serial", "A-2", "first", "x", "second", "").wantText(s.site, "en", "problem.self-resync")
	done := v.following(v.post("/self/resync", "serial", "A-2", "first", first[:3]+" "+first[3:], "second", second), "/self")
	done.wantText(s.site, "en", "self.done.resync", "A-2")
	s.wantEvents("alice@self-service token.resync A-2")
	if again := v.get("/self"); strings.Contains(again.body, `role="status"`) {
		t.Error("what was done is told twice")
	}
	s.wait(time.Minute)
	s.try(s.visitor(), "alice", "Secret of alice", "8152"+s.shown("A-2", 5*time.Minute)).want(s.site, 303)
}

func TestChangePIN(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.signIn("alice", "A-1")
	for key, pins := range map[string][2]string{
		"problem.pins": {"9274", "9275"}, "problem.pin-weak": {"1234", "1234"}, "problem.pin": {"92", "92"},
	} {
		wrong := v.post("/self/pin", "passcode", "8152"+s.shown("A-1", 30*time.Second), "pin", pins[0], "pin2", pins[1])
		wrong.want(s.site, 422, `aria-invalid="true"`)
		wrong.wantText(s.site, "en", key)
	}
	// Nothing of that has used a code up.
	s.wait(30 * time.Second)
	same := v.post("/self/pin", "passcode", "8152"+s.shown("A-1", 0), "pin", "8152", "pin2", "8152")
	same.want(s.site, 422, `aria-invalid="true"`)
	same.wantText(s.site, "en", "problem.pin-same")
	s.wait(30 * time.Second)
	code := s.shown("A-1", 0)
	done := v.following(v.post("/self/pin", "passcode", "8152"+code[:3]+" "+code[3:], "pin", "9274", "pin2", "9274"), "/self")
	done.wantText(s.site, "en", "self.done.pin")
	s.wantEvents("alice@self-service user.pin alice")
	s.wait(time.Minute)
	s.try(s.visitor(), "alice", "Secret of alice", "8152"+s.shown("A-1", 0)).want(s.site, 403)
	s.wait(time.Minute)
	s.try(s.visitor(), "alice", "Secret of alice", "9274"+s.shown("A-1", 0)).want(s.site, 303)
}

func TestReportLost(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	s.addToken("alice", "A-2")
	s.addToken("alice", "A-3")
	_, err := s.service.EnableToken(t.Context(), admin, "A-3", false)
	s.check(err)
	v := s.signIn("alice", "A-1")
	v.get("/self/lost").want(s.site, 200, "A-1", "A-2", "A-3", `action="/self/lost/confirm"`)
	confirm := v.get("/self/lost/confirm?serial=A-2")
	confirm.want(s.site, 200, "A-2", `class="danger"`)
	confirm.wantText(s.site, "en", "self-lost-confirm.mail", "a***e@example.com")
	if strings.Contains(confirm.body, "alice@example.com") || strings.Contains(confirm.body, "A-1") {
		t.Errorf("too much is shown:\n%s", confirm.body)
	}
	if s.tokens("alice")[1].Lost {
		t.Error("a question has changed something")
	}
	done := v.following(v.post("/self/lost", "serial", "A-2"), "/self")
	done.wantText(s.site, "en", "self.done.lost-mail", "a***e@example.com")
	s.wantEvents("alice@self-service token.lost A-2")
	if all := s.tokens("alice"); len(all) != 3 || all[0].Lost || !all[1].Lost || !all[1].Disabled || all[2].Lost {
		t.Errorf("tokens %+v", all)
	}
	// It is shown as what it is, and there is nothing more to do with it.
	done.wantText(s.site, "en", "self.state.lost")
	if strings.Contains(done.body, "serial=A-2") || !strings.Contains(done.body, "confirm?serial=A-1") || !strings.Contains(done.body, "confirm?serial=A-3") {
		t.Errorf("other acts are offered:\n%s", done.body)
	}
	for _, path := range []string{"/self/lost", "/self/resync"} {
		if page := v.get(path); strings.Contains(page.body, "A-2") || !strings.Contains(page.body, "A-1") {
			t.Errorf("%s is for other tokens:\n%s", path, page.body)
		}
	}
	v.get("/self/lost/confirm?serial=A-2").wantText(s.site, "en", "problem.self-token")
	v.post("/self/lost", "serial", "A-2").wantText(s.site, "en", "problem.self-token")

	// Without an address the help desk has the link.
	s.users.of["alice"].Mail = ""
	v.get("/self/lost/confirm?serial=A-1").wantText(s.site, "en", "self-lost-confirm.desk")
	v.get("/self/lost/confirm?serial=A-1").wantText(s.site, "en", "self-lost-confirm.own")
	v.get("/self/lost/confirm?serial=A-3").wantText(s.site, "en", "self-lost-confirm.until")
	v.following(v.post("/self/lost", "serial", "A-3"), "/self").wantText(s.site, "en", "self.act.lost")
	codes := sheetCodes(v.post("/self/recovery-codes", "list", "").body)
	out := v.post("/self/lost", "serial", "A-1")
	out.want(s.site, 200, `name="passcode"`)
	out.wantText(s.site, "en", "self.done.lost-own")
	v.get("/self/enrol").want(s.site, 403)
	s.try(v, "alice", "Secret of alice", "8152"+codes[0]).want(s.site, 303)
	last := v.get("/self")
	if strings.Contains(last.body, languages["en"].text("self.act.lost")) {
		t.Error("there is no token left to be lost")
	}
	for _, path := range []string{"/self/lost", "/self/resync"} {
		v.get(path).wantText(s.site, "en", "self.none.here")
	}

	// They are gone when another one is there.
	v.post("/self/enrol").want(s.site, 303)
	v.post("/activation", "code", s.code("alice", 0)).want(s.site, 303)
	if all := s.tokens("alice"); len(all) != 2 || all[0].Lost || all[1].Lost { // with the list of codes
		t.Errorf("tokens %+v", all)
	}
}

// Who has lost the token signs in with a recovery code, reports it lost and goes on to
// another one.
func TestLostAndBackByRecoveryCode(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	codes, err := s.service.CreateRecoveryCodes(t.Context(), admin, "alice")
	s.check(err)
	v := s.visitor()
	s.try(v, "alice", "Secret of alice", "8152"+codes.List[0]).want(s.site, 303)
	s.try(s.visitor(), "alice", "Secret of alice", "8152"+codes.List[0]).want(s.site, 403)
	v.following(v.post("/self/lost", "serial", "A-1"), "/self").want(s.site, 200, "<dd>9</dd>")
	v.following(v.post("/self/enrol"), "/activation").want(s.site, 200, "<svg")
	v.post("/activation", "code", s.code("alice", 0)).want(s.site, 303)
	if all := s.tokens("alice"); len(all) != 2 { // with the list of codes
		t.Errorf("tokens %+v", all)
	}
}

func TestAddToken(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	v := s.signIn("alice", "A-1")
	v.get("/self/enrol").wantText(s.site, "en", "self-enrol.replaces", moment("2026-05-07 12:00 UTC"))
	page := v.following(v.post("/self/enrol"), "/activation")
	page.want(s.site, 200, "otpauth://totp/", "alice")
	if strings.Contains(page.body, `name="pin"`) {
		t.Error("an OTP PIN is asked for, and there is one")
	}
	s.wantEvents("link@web invitation.open alice", "alice@self-service invitation.add alice")
	v.post("/activation", "code", s.code("alice", 0)).want(s.site, 303)
	if all := s.tokens("alice"); len(all) != 2 {
		t.Errorf("tokens %+v", all)
	}
	v.following(v.post("/self/begin"), "/self").want(s.site, 200, "A-1", string(s.tokens("alice")[0].Serial), "/self/pin")
	s.visitor().post("/activate", "link", strings.TrimPrefix(link, "/activate/")).want(s.site, 404)
	var mails []string
	s.check(s.service.Mails(t.Context(), admin, tms.Filter{}, func(m tms.MailView) error {
		mails = append(mails, string(m.Kind)+" "+m.To)
		return nil
	}))
	if !slices.Equal(mails, []string{"activated alice@example.com"}) {
		t.Errorf("mails %q", mails)
	}
	// There is an end to it.
	for i := len(s.tokens("alice")); i < otp.MaxTokens; i++ {
		s.addToken("alice", fmt.Sprint("M-", i))
	}
	full := v.post("/self/enrol")
	full.want(s.site, 422)
	full.wantText(s.site, "en", "problem.tokens")
	full = v.post("/self/recovery-codes")
	full.want(s.site, 422)
	full.wantText(s.site, "en", "problem.tokens")
	// The place of one that was lost is free.
	_, err := s.service.LoseToken(t.Context(), admin, "M-2")
	s.check(err)
	v.post("/self/enrol").want(s.site, 303)
}

// listField is the hidden field of the page about recovery codes.
func listField(body string) string {
	_, after, _ := strings.Cut(body, `name="list" value="`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}

// sheetCodes are the codes of a sheet.
func sheetCodes(body string) (codes []string) {
	for _, found := range regexp.MustCompile(`<li class="code">(\d{8})</li>`).FindAllStringSubmatch(body, -1) {
		codes = append(codes, found[1])
	}
	return codes
}

func TestPrintRecoveryCodes(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.signIn("alice", "A-1")
	if page := v.get("/self/recovery-codes"); strings.Contains(page.body, languages["en"].text("self-recovery-codes.void")) {
		t.Error("there is no sheet that could be void")
	}
	sheet := v.post("/self/recovery-codes", "list", "")
	sheet.want(s.site, 200)
	codes := sheetCodes(sheet.body)
	if len(codes) != 10 {
		t.Fatalf("%d codes:\n%s", len(codes), sheet.body)
	}
	// Loaded again, it makes no other list.
	page := v.following(v.post("/self/recovery-codes", "list", ""), "/self/recovery-codes")
	page.wantText(s.site, "en", "self-recovery-codes.left", 10)
	page.wantText(s.site, "en", "self-recovery-codes.void")
	if strings.Contains(page.body, codes[0]) {
		t.Error("the codes are shown again")
	}
	s.try(s.visitor(), "alice", "Secret of alice", "8152"+codes[3]).want(s.site, 303)
	v.get("/self/recovery-codes").wantText(s.site, "en", "self-recovery-codes.left", 6)
	v.post("/self/recovery-codes", "list", listField(page.body)).want(s.site, 200)
	s.try(s.visitor(), "alice", "Secret of alice", "8152"+codes[4]).want(s.site, 403)

	s.policy.RecoveryCodes = 0
	v.get("/self/recovery-codes").wantText(s.site, "en", "problem.self-not-possible")
	if page := v.get("/self"); strings.Contains(page.body, "/self/recovery-codes") {
		t.Error("recovery codes are offered that there are not")
	}
}

// Nobody gets at another one's tokens, nor hears whether they are there.
func TestTokensOfOthers(t *testing.T) {
	s := newSelfSite(t, "alice", "bob")
	s.addUser("alice", "A-1")
	s.addUser("bob", "B-1")
	_, err := s.service.AddToken(t.Context(), admin, tms.NewToken{Serial: "STOCK-1", Seed: seed("STOCK-1")})
	s.check(err)
	v := s.signIn("alice", "A-1")
	right := []string{"first", s.shown("B-1", 0), "second", s.shown("B-1", 30*time.Second)}
	answers := map[string]string{}
	for _, serial := range []string{"NO-SUCH", "B-1", "STOCK-1", "", "\x00", strings.Repeat("x", 1000)} {
		for name, answer := range map[string]visitAnswer{
			"resync":  v.post("/self/resync", append([]string{"serial", serial}, right...)...),
			"lose":    v.post("/self/lost", "serial", serial),
			"confirm": v.get("/self/lost/confirm?serial=" + strings.ReplaceAll(serial, "\x00", "%00")),
		} {
			if answer.StatusCode != 422 {
				t.Errorf("%s of %.20q: %d", name, serial, answer.StatusCode)
			}
			if answers[name] == "" {
				answers[name] = answer.body
			} else if strings.Contains(answer.body, "B-1") || serial == "B-1" && answer.body != answers[name] {
				t.Errorf("%s of %.20q: another answer:\n%s", name, serial, answer.body)
			}
		}
	}
	if all := s.tokens("bob"); len(all) != 1 || all[0].Counter != 0 {
		t.Errorf("bob's tokens %+v", all)
	}
}

func TestActsAreCounted(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	s.group.acts.limit = 2
	v := s.signIn("alice", "A-1")
	for range 2 {
		v.post("/self/resync", "serial", "A-1", "first", "000000", "second", "000000").want(s.site, 422)
	}
	first, second := s.shown("A-1", 30*time.Second), s.shown("A-1", time.Minute)
	for path, form := range map[string][]string{
		"/self/resync": {"serial", "A-1", "first", first, "second", second}, "/self/pin": {"pin", "9274", "pin2", "9274"},
		"/self/lost": {"serial", "A-1"}, "/self/enrol": nil, "/self/recovery-codes": nil,
	} {
		refused := v.post(path, form...)
		refused.want(s.site, http.StatusTooManyRequests)
		refused.wantText(s.site, "en", "problem.self-many")
	}
}

// selfPaths are the pages of a user, and the acts.
var selfPaths = []string{"/self", "/self/resync", "/self/pin", "/self/lost", "/self/enrol", "/self/recovery-codes"}

func TestSelfHeaders(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	s.addToken("alice", "A-2")
	v := s.signIn("alice", "A-1")
	for _, path := range append(selfPaths, "/self/lost/confirm?serial=A-1") {
		for _, v := range []*visitorClient{v, s.visitor()} {
			answer := v.get(path)
			for name, want := range headers {
				if got := answer.Header.Get(name); got != want {
					t.Errorf("%s: %s is %q, want %q", path, name, got, want)
				}
			}
			for _, forbidden := range []string{"<script", "style=", "<style", " onclick"} {
				if strings.Contains(answer.body, forbidden) {
					t.Errorf("%s has %q", path, forbidden)
				}
			}
		}
	}
}

func TestSelfServiceIsForOwnPages(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	v := s.signIn("alice", "A-1")
	before := s.events(100)
	for _, path := range append(selfPaths, "/self/begin", "/self/sign-out") {
		for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
			v.header = http.Header{name: {value}}
			v.post(path, "serial", "A-1", "pin", "9274", "pin2", "9274", "user", "alice").want(s.site, 403, "refused")
		}
	}
	if after := s.events(100); !slices.Equal(before, after) {
		t.Errorf("events %q", after)
	}
	v.header = http.Header{}
	v.get("/self").want(s.site, 200, "A-1")
}

func TestSelfServiceLogsNoSecrets(t *testing.T) {
	s := newSelfSite(t, "alice")
	s.addUser("alice", "A-1")
	secrets := []string{"Secret of alice", "Wr0ng-Passw0rd", "840593"}
	v := s.visitor()
	s.try(v, "alice", "Wr0ng-Passw0rd", "8152"+s.shown("A-1", 0))
	s.wait(30 * time.Second)
	code := s.shown("A-1", 0)
	secrets = append(secrets, "8152"+code)
	s.try(v, "alice", "Secret of alice", "8152"+code).want(s.site, 303)
	secrets = append(secrets, v.Jar.Cookies(v.get("/self").Request.URL)[0].Value, "8152"+s.shown("A-1", 30*time.Second))
	v.post("/self/pin", "pin", "840593", "pin2", "8405937").want(s.site, 422)
	v.post("/self/pin", "passcode", "8152"+code, "pin", "840593", "pin2", "840593").want(s.site, 422)
	s.wait(30 * time.Second)
	v.post("/self/pin", "passcode", "8152"+s.shown("A-1", 0), "pin", "840593", "pin2", "840593").want(s.site, 303)
	sheet := v.post("/self/recovery-codes")
	secrets = append(secrets, sheetCodes(sheet.body)[0])
	v.send("POST", "/self/pin", "application/x-www-form-urlencoded", "pin=840593&code=%zz").want(s.site, 400)
	s.users.silent = true
	s.try(s.visitor(), "alice", "Secret of alice", "840593"+s.shown("A-1", 30*time.Second)).want(s.site, 503)
	s.server.Close()
	if strings.Count(s.log.String(), "\n") < 2 {
		t.Errorf("the log is too short to be searched:\n%s", s.log)
	}
	journal := strings.Join(s.events(100), "\n")
	for _, secret := range secrets {
		if secret == "" || strings.Contains(s.log.String()+journal, secret) {
			t.Errorf("%q is in the log or the journal:\n%s\n%s", secret, s.log, journal)
		}
	}
}

func TestMaskMail(t *testing.T) {
	for address, want := range map[string]string{
		"alice@example.com": "a***e@example.com", "al@example.com": "a***@example.com", "a@example.com": "a***@example.com",
		"jörgö@example.com": "j***ö@example.com", "": "", "@example.com": "", "alice": "", `"a@b"@example.com`: `"***"@example.com`,
	} {
		if got := maskMail(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

// Nothing that a user is called gets out of its place in the page.
func TestSelfServiceOfHostileName(t *testing.T) {
	s := newSelfSite(t)
	const name = `<script>alert("1")</script>'&`
	s.addUser(name, "A-1")
	in := s.signIn(name, "A-1").get("/self")
	out := s.try(s.visitor(), name+`" autofocus`, "", "0")
	for _, answer := range []visitAnswer{in, out} {
		for _, never := range []string{"<script", `alert("`, "ZgotmplZ"} {
			if strings.Contains(answer.body, never) {
				t.Errorf("the page has %q:\n%s", never, answer.body)
			}
		}
	}
	in.want(s.site, 200, "&lt;script&gt;")
	out.want(s.site, 403, "&lt;script&gt;")
}
