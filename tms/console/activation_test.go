package console

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
)

func TestActivation(t *testing.T) {
	s := activationSite(t)
	link, issued := s.invite(tms.NewInvitation{User: "Alice"})
	v := s.visitor()

	// Programs that look through mails open the link: that does nothing.
	for range 3 {
		v.get(link).want(s, 200, "Begin", `action="/activate"`)
	}
	if cookies := v.get(link).Cookies(); len(cookies) > 0 {
		t.Errorf("a look at the link gave %v", cookies)
	}
	page := v.open(link)
	page.want(s, 200, "alice", string(issued.Serial), "<svg", "otpauth://totp/Example%20Works:alice?", issued.Key.Reveal(),
		"etoken activate --server "+s.URL+"</p>", `name="pin2"`)
	if len(s.tokens("alice")) > 0 {
		t.Error("there is a token before the first code")
	}

	wrong := v.post("/activation", "pin", "4711", "pin2", "4712", "code", "000000")
	wrong.want(s, 422)
	wrong.wantText(s, "en", "problem.pins")
	v.post("/activation", "pin", "1234", "pin2", "1234", "code", "000000").wantText(s, "en", "problem.pin-weak")
	v.post("/activation", "pin", "47", "pin2", "47", "code", "000000").wantText(s, "en", "problem.pin")
	v.post("/activation", "pin", "4711", "pin2", "4711", "code", "4711000000").wantText(s, "en", "problem.code-form")
	v.post("/activation", "pin", "4711", "pin2", "4711", "code", s.code("alice", time.Hour)).wantText(s, "en", "problem.code")
	late := v.post("/activation", "pin", "4711", "pin2", "4711", "code", s.code("alice", 5*time.Minute))
	late.wantText(s, "en", "problem.step")
	late.wantText(s, "en", "pin.kept")
	if strings.Contains(late.body, "4711") && !strings.Contains(string(issued.Serial)+issued.Key.Reveal()+kept(late.body), "4711") {
		t.Error("the page shows the PIN")
	}

	code := s.code("alice", 0)
	done := v.post("/activation", "kept", kept(late.body), "code", code[:3]+" "+code[3:])
	done.want(s, 303)
	v.get(done.Header.Get("Location")).want(s, 200, string(issued.Serial), "4711", "Show recovery codes")
	if all := s.tokens("alice"); len(all) != 1 || all[0].Serial != issued.Serial {
		t.Errorf("tokens %+v", all)
	}
	if has, err := s.activation().hasPIN(t.Context(), "alice"); !has || err != nil {
		t.Errorf("the PIN is not set: %v", err)
	}
	v.get("/activation").want(s, 404)

	codes := v.post("/activation/recovery-codes")
	codes.want(s, 200)
	if n := strings.Count(codes.body, `<li class="code">`); n != 10 {
		t.Errorf("%d codes:\n%s", n, codes.body)
	}
	v.post("/activation/recovery-codes").want(s, 404)
	v.get("/activation/done").want(s, 404)
}

// kept is the hidden field of a page that keeps the PIN.
func kept(body string) string {
	_, after, _ := strings.Cut(body, `name="kept" value="`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}

// Who holds as many tokens as one may have gets no other, and hears why.
func TestActivationOfTooMany(t *testing.T) {
	s := activationSite(t)
	_, err := s.service.AddUser(t.Context(), admin, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("4711"))})
	s.check(err)
	link, issued := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	v.open(link)
	for range otp.MaxTokens {
		_, err := s.service.AddToken(t.Context(), admin, tms.NewToken{User: "alice", Seed: seed("")})
		s.check(err)
	}
	full := v.post("/activation", "code", s.code("alice", 0))
	full.want(s, 422)
	full.wantText(s, "en", "problem.tokens")
	if strings.Contains(full.body, "aria-invalid") {
		t.Errorf("what was typed is not wrong:\n%s", full.body)
	}
	body := fmt.Sprintf(`{"activation_key":%q,"code":%q}`, issued.Key.Reveal(), s.code("alice", 0))
	v.send("POST", "/api/activation/confirm", "application/json", body).want(s, 422, `"too_many_tokens"`)
	s.check(s.service.RemoveToken(t.Context(), admin, string(s.tokens("alice")[0].Serial)))
	v.post("/activation", "code", s.code("alice", 0)).want(s, 303)
}

// A user who has a PIN is not asked for one.
func TestActivationWithPIN(t *testing.T) {
	s := activationSite(t)
	_, err := s.service.AddUser(t.Context(), admin, tms.NewUser{Name: "alice", PIN: otp.NewPIN([]byte("4711"))})
	s.check(err)
	link, _ := s.invite(tms.NewInvitation{User: "alice", Type: "hotp"})
	v := s.visitor()
	page := v.open(link)
	page.want(s, 200, "otpauth://hotp/", "counter=0")
	if strings.Contains(page.body, `name="pin"`) {
		t.Error("a PIN is asked for")
	}
	v.post("/activation", "code", s.code("alice", 0)).want(s, 303)
	v.get("/activation/done").want(s, 200, "OTP PIN")
}

func TestActivationWithoutPIN(t *testing.T) {
	s := activationSite(t)
	s.policy.NoPIN, s.policy.RecoveryCodes = true, 0
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	if page := v.open(link); strings.Contains(page.body, `name="pin"`) {
		t.Error("a PIN is asked for")
	}
	v.post("/activation", "code", s.code("alice", 0)).want(s, 303)
	done := v.get("/activation/done")
	done.wantText(s, "en", "activated.login.code")
	if strings.Contains(done.body, "OTP PIN") || strings.Contains(done.body, "recovery-codes") {
		t.Errorf("a PIN or recovery codes that are not there:\n%s", done.body)
	}
}

// The command for the token client goes by the fingerprint of a certificate that is
// self-made, and never has the Activation Key in it, which others could see there.
func TestActivationCommand(t *testing.T) {
	s := activationSite(t)
	s.settings.Fingerprint = "AB:CD:EF"
	link, issued := s.invite(tms.NewInvitation{User: "alice"})
	page := s.visitor().open(link)
	page.want(s, 200, `<p class="copy code">etoken activate --server `+s.URL+` --fingerprint AB:CD:EF</p>`,
		`<p class="copy code">`+issued.Key.Reveal()+`</p>`)
	page.wantText(s, "en", "activation.client.key")
}

func TestActivationOfMobilePASS(t *testing.T) {
	s := activationSite(t)
	link, _ := s.invite(tms.NewInvitation{User: "alice", Type: "mobilepass", PIN: otp.NewPIN([]byte("4711"))})
	v := s.visitor()
	page := v.open(link)
	page.want(s, 200, `name="activation_code"`, "etoken mobilepass new")
	for _, never := range []string{"<svg xmlns", "otpauth:", "etoken activate", `name="pin"`} {
		if strings.Contains(page.body, never) {
			t.Errorf("the page has %q", never)
		}
	}
	// The activation code and the first code are those of the facts page.
	wrong := v.post("/activation", "activation_code", "QVKYC-FM6KO-SY6F7-TR22X", "code", "374844")
	wrong.want(s, 422, "QVKYC-FM6KO-SY6F7-TR22X")
	wrong.wantText(s, "en", "problem.activation-code")
	v.post("/activation", "activation_code", "QVKYC-FM6KO-SY6F7-TR22W", "code", "374845").wantText(s, "en", "problem.code")
	v.post("/activation", "activation_code", "qvkyc fm6ko sy6f7 tr22w", "code", "374844").want(s, 303)
	if all := s.tokens("alice"); len(all) != 1 || all[0].Type != "mobilepass" {
		t.Errorf("tokens %+v", all)
	}
}

// Whatever is wrong with a link, the answer is the same.
func TestLinksThatDoNotCount(t *testing.T) {
	s := activationSite(t)
	used, _ := s.invite(tms.NewInvitation{User: "used"})
	s.visitor().open(used)
	replaced, _ := s.invite(tms.NewInvitation{User: "bob"})
	s.invite(tms.NewInvitation{User: "bob"})
	over, _ := s.invite(tms.NewInvitation{User: "carol"})
	s.wait(73 * time.Hour)
	again, _ := s.invite(tms.NewInvitation{User: "dave"})
	first := s.visitor()
	first.open(again)
	want := ""
	for _, link := range []string{used, replaced, over, "unknown", "", again, strings.Repeat("x", 5000), "a/b"} {
		answer := s.visitor().post("/activate", "link", strings.TrimPrefix(link, "/activate/"))
		answer.want(s, 404)
		if answer.Header.Get("Set-Cookie") != "" {
			t.Errorf("%s: a cookie", link)
		}
		if want == "" {
			want = answer.body
		} else if answer.body != want {
			t.Errorf("%.50s: another answer:\n%s", link, answer.body)
		}
	}
	s.visitor().get("/activation").want(s, 404)
	// The browser that opened it may press the button again, but with that link only.
	first.post("/activate", "link", strings.TrimPrefix(again, "/activate/")).want(s, 303)
	first.post("/activate", "link", strings.TrimPrefix(used, "/activate/")).want(s, 404)
}

func TestSessionEnds(t *testing.T) {
	s := activationSite(t)
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	v.open(link).want(s, 200)
	s.wait(59 * time.Minute)
	v.get("/activation").want(s, 200)
	s.wait(2 * time.Minute)
	// The jar of the test goes by the real clock and still has the cookie.
	v.get("/activation").want(s, 404)

	s.policy.Valid = 10 * time.Minute
	link, issued := s.invite(tms.NewInvitation{User: "bob"})
	v = s.visitor()
	opened := v.post("/activate", "link", strings.TrimPrefix(link, "/activate/"))
	cookie := opened.Cookies()[0]
	if time.Duration(cookie.MaxAge)*time.Second > issued.Expires.Sub(s.now()) {
		t.Errorf("the cookie lives for %d s, longer than the invitation", cookie.MaxAge)
	}
}

// The cookie of an invitation is nothing to another one, and what nobody sealed is
// nothing at all.
func TestCookie(t *testing.T) {
	s := activationSite(t)
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	opened := v.post("/activate", "link", strings.TrimPrefix(link, "/activate/"))
	cookie := opened.Cookies()[0]
	if cookie.Name != "__Host-activation" || !cookie.Secure || !cookie.HttpOnly || cookie.SameSite != http.SameSiteStrictMode || cookie.Path != "/" || cookie.Domain != "" {
		t.Errorf("cookie %v", cookie)
	}
	if strings.Contains(cookie.Value, "alice") || strings.Contains(cookie.Value, base64.RawURLEncoding.EncodeToString([]byte("alice"))) {
		t.Error("the cookie can be read")
	}
	with := func(name, value string) int {
		other := s.visitor()
		other.header.Set("Cookie", name+"="+value)
		return other.get("/activation").StatusCode
	}
	if status := with(cookie.Name, cookie.Value); status != 200 {
		t.Errorf("the cookie: %d", status)
	}
	changed := []byte(cookie.Value)
	changed[len(changed)/2] ^= 1
	for _, bad := range []string{string(changed), cookie.Value[:40], "", "%%%", strings.Repeat("A", 3000)} {
		if status := with(cookie.Name, bad); status != 404 {
			t.Errorf("cookie %.20q: %d", bad, status)
		}
	}
	// Sealed as something else.
	other := s.visitor()
	other.header.Set("Cookie", "__Host-activated="+cookie.Value)
	other.get("/activation/done").want(s, 404)
	other.post("/activation/recovery-codes").want(s, 404)
	// Sealed without a token, as nothing here does.
	i, err := s.service.InvitationOf(t.Context(), admin, "alice", tms.InvitationID{})
	s.check(err)
	w := httptest.NewRecorder()
	s.check(s.pages.setCookie(w, activationCookie, activationSession{User: i.User, ID: i.ID}, i.Expires))
	if status := with(cookie.Name, w.Result().Cookies()[0].Value); status != 404 {
		t.Errorf("a cookie without a serial: %d", status)
	}
	// A new invitation of the same user.
	s.invite(tms.NewInvitation{User: "alice"})
	v.get("/activation").want(s, 404)
	v.post("/activation", "pin", "4711", "pin2", "4711", "code", s.code("alice", 0)).want(s, 404)
}

// A PIN that was kept for one invitation is none for another.
func TestKeptPIN(t *testing.T) {
	s := activationSite(t)
	pages := map[string]string{}
	for _, user := range []string{"alice", "bob"} {
		link, _ := s.invite(tms.NewInvitation{User: user})
		v := s.visitor()
		v.open(link)
		pages[user] = kept(v.post("/activation", "pin", "4711", "pin2", "4711", "code", "000000").body)
		if user == "bob" {
			v.post("/activation", "kept", pages["alice"], "code", s.code("bob", 0)).wantText(s, "en", "problem.pin")
			// What is typed counts before what is kept.
			v.post("/activation", "kept", pages["bob"], "pin", "8152", "code", s.code("bob", 0)).wantText(s, "en", "problem.pins")
		}
	}
}

// A dialog that begins again within its time invites with the same ID, to another
// token: who has opened the invitation before has not opened this one.
func TestSameInvitationIDAgain(t *testing.T) {
	s := activationSite(t)
	id := tms.InvitationID{1, 2, 3}
	link, _ := s.invite(tms.NewInvitation{User: "alice", ID: id})
	thief := s.visitor()
	thief.open(link)
	before := kept(thief.post("/activation", "pin", "8152", "pin2", "8152", "code", "000000").body)
	if before == "" {
		t.Fatal("no PIN was kept")
	}
	s.check(s.service.Withdraw(t.Context(), admin, "alice"))
	next, issued := s.invite(tms.NewInvitation{User: "alice", ID: id})
	if page := thief.get("/activation"); page.StatusCode != 404 || strings.Contains(page.body, issued.Key.Reveal()) {
		t.Errorf("the cookie of the last invitation: %d\n%s", page.StatusCode, page.body)
	}
	thief.post("/activation", "pin", "8152", "pin2", "8152", "code", s.code("alice", 0)).want(s, 404)
	thief.post("/activate", "link", strings.TrimPrefix(link, "/activate/")).want(s, 404)
	v := s.visitor()
	v.open(next).want(s, 200, issued.Key.Reveal())
	v.post("/activation", "kept", before, "code", s.code("alice", 0)).wantText(s, "en", "problem.pin")
	if len(s.tokens("alice")) > 0 {
		t.Error("there is a token")
	}
}

func TestWrongCodesAreCounted(t *testing.T) {
	s := activationSite(t)
	link, issued := s.invite(tms.NewInvitation{User: "alice", PIN: otp.NewPIN([]byte("4711"))})
	v := s.visitor()
	v.open(link)
	for range sessionCodes {
		v.post("/activation", "code", s.code("alice", time.Hour)).want(s, 422)
	}
	refused := v.post("/activation", "code", s.code("alice", 0))
	refused.want(s, 429)
	refused.wantText(s, "en", "problem.many")
	// The invitation has some left, for the token client.
	key, _ := json.Marshal(issued.Key.Reveal())
	confirm := func(code string) visitAnswer {
		return v.send("POST", "/api/activation/confirm", "application/json", fmt.Sprintf(`{"activation_key":%s,"code":%q}`, key, code))
	}
	for range invitationCodes - sessionCodes {
		confirm(s.code("alice", time.Hour)).want(s, 422, `"wrong_code"`)
	}
	confirm(s.code("alice", 0)).want(s, 429, `"too_many"`)
	s.wait(2 * codeWindow)
	v.post("/activation", "code", s.code("alice", 0)).want(s, 303)
}

func TestActivationAPI(t *testing.T) {
	s := activationSite(t)
	_, issued := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	ask := func(path string, request ActivationRequest) visitAnswer {
		body, err := json.Marshal(request)
		s.check(err)
		return v.send("POST", path, "application/json", string(body))
	}
	given := ask("/api/activation", ActivationRequest{ActivationKey: " " + issued.Key.Reveal() + "\n"})
	given.want(s, 200)
	var answer ActivationAnswer
	s.check(json.Unmarshal([]byte(given.body), &answer))
	if string(answer.SeedFile) != "seed file of "+string(issued.Serial) || answer.Serial != issued.Serial || !answer.PINNeeded ||
		answer.MinPIN != 4 || answer.User != "alice" || answer.Issuer != "Example Works" || answer.Digits != 6 {
		t.Errorf("%+v", answer)
	}
	unknown := ask("/api/activation", ActivationRequest{ActivationKey: "xxxxxxxxxxxxxxxx"})
	unknown.want(s, 404, `"not_found"`)
	for _, path := range []string{"/api/activation", "/api/activation/confirm"} {
		for _, key := range []string{"", strings.Repeat("k", 10_000), "xxxxxxxxxxxxxxxx"} {
			if answer := ask(path, ActivationRequest{ActivationKey: key, PIN: "4711", Code: "000000"}); answer.StatusCode != 404 || answer.body != unknown.body {
				t.Errorf("%s of %.20q: %d %s", path, key, answer.StatusCode, answer.body)
			}
		}
	}
	v.send("POST", "/api/activation", "application/json", "{").want(s, 400, `"bad_request"`)

	right := ActivationRequest{ActivationKey: issued.Key.Reveal(), PIN: "4711", Code: s.code("alice", 0)}
	for word, change := range map[string]func(*ActivationRequest){
		"weak_pin":    func(r *ActivationRequest) { r.PIN = "1234" },
		"bad_pin":     func(r *ActivationRequest) { r.PIN = "" },
		"wrong_code":  func(r *ActivationRequest) { r.Code = "x" },
		"out_of_step": func(r *ActivationRequest) { r.Code = s.code("alice", 5*time.Minute) },
	} {
		request := right
		change(&request)
		ask("/api/activation/confirm", request).want(s, 422, `"`+word+`"`)
	}
	ask("/api/activation/confirm", right).want(s, 200)
	if len(s.tokens("alice")) != 1 {
		t.Error("no token")
	}
	ask("/api/activation/confirm", right).want(s, 404)

	_, issued = s.invite(tms.NewInvitation{User: "bob", Type: "mobilepass"})
	ask("/api/activation", ActivationRequest{ActivationKey: issued.Key.Reveal()}).want(s, 409, `"mobilepass"`)
}

// Nothing that a user is called gets out of its place in the page.
func TestHostileUserName(t *testing.T) {
	s := activationSite(t)
	s.settings.Issuer = `Ex: <i>"Works"&`
	const name = `<script>alert("1")</script>'&otpauth:`
	link, _ := s.invite(tms.NewInvitation{User: name})
	page := s.visitor().open(link)
	page.want(s, 200, "&lt;script&gt;alert(&#34;1&#34;)&lt;/script&gt;&#39;&amp;otpauth:", "Ex: &lt;i&gt;")
	for _, never := range []string{"<script", "<i>", `alert("`, "ZgotmplZ"} {
		if strings.Contains(page.body, never) {
			t.Errorf("the page has %q:\n%s", never, page.body)
		}
	}
	hostile := s.visitor().get(`/activate/%22%3E%3Cscript%3E`)
	hostile.want(s, 200, "&#34;&gt;&lt;script&gt;")
}

// brokenBox seals nothing.
type brokenBox struct{ Box }

func (brokenBox) Seal(dst, _, _ []byte) ([]byte, error) { return dst, errors.New("no randomness") }

func TestWhatTheServerCannotDo(t *testing.T) {
	s := activationSite(t)
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	s.pages.Box = brokenBox{s.pages.Box}
	answer := s.visitor().post("/activate", "link", strings.TrimPrefix(link, "/activate/"))
	answer.want(s, 503, "try again in a few minutes")
	if strings.Contains(answer.body, "randomness") || !strings.Contains(s.log.String(), "no randomness") {
		t.Errorf("the reason is for the log:\n%s\n%s", answer.body, s.log)
	}
}

func TestNoSecretsInTheLog(t *testing.T) {
	s := activationSite(t)
	link, issued := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	v.get(link)
	v.open(link)
	wrong := s.code("alice", time.Hour)
	page := v.post("/activation", "pin", "840593", "pin2", "840593", "code", wrong)
	v.send("POST", "/activation", "application/x-www-form-urlencoded", "pin=840593&code=%zz")
	v.send("POST", "/activation", "application/x-www-form-urlencoded", "pin=840593"+strings.Repeat("x", maxForm))
	i, err := s.service.InvitationOf(t.Context(), admin, "alice", tms.InvitationID{})
	s.check(err)
	s.server.Close()
	if strings.Count(s.log.String(), "\n") < 2 {
		t.Errorf("the log is too short to be searched:\n%s", s.log)
	}
	for _, secret := range []string{strings.TrimPrefix(link, "/activate/"), issued.Key.Reveal(), "840593", wrong, kept(page.body), string(i.Token.Seed.Bytes())} {
		if secret == "" || strings.Contains(s.log.String(), secret) {
			t.Errorf("the log has a secret:\n%s", s.log)
		}
	}
}
