package console

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"countersign/otp"
	"countersign/tms"
)

// Where the Activation Key alone must not do, it is as good as unknown until the link
// in the mail was opened.
func TestActivationKeyAlone(t *testing.T) {
	s := newSite(t)
	alone := false
	a := s.activation()
	a.KeyAlone = func() bool { return alone }
	s.start(a)
	link, issued := s.invite(tms.NewInvitation{User: "alice", PIN: otp.NewPIN([]byte("4711"))})
	v := s.visitor()
	request := func(key, code string) string { return fmt.Sprintf(`{"activation_key":%q,"code":%q}`, key, code) }
	unknown := v.send("POST", "/api/activation", "application/json", request("xxxxxxxxxxxxxxxx", ""))
	unknown.want(s, 404, `"not_found"`)
	unknown.wantText(s, "en", "api.key")
	right := request(issued.Key.Reveal(), s.code("alice", 0))
	for _, path := range []string{"/api/activation", "/api/activation/confirm"} {
		if answer := v.send("POST", path, "application/json", right); answer.StatusCode != 404 || answer.body != unknown.body {
			t.Errorf("%s without the link: %d %s", path, answer.StatusCode, answer.body)
		}
	}
	if len(s.tokens("alice")) > 0 {
		t.Fatal("the key alone gave a token")
	}
	alone = true
	v.send("POST", "/api/activation", "application/json", right).want(s, 200, "seed_file")
	alone = false
	v.open(link)
	v.send("POST", "/api/activation", "application/json", right).want(s, 200, "seed_file")
	v.send("POST", "/api/activation/confirm", "application/json", right).want(s, 200)
	if len(s.tokens("alice")) != 1 {
		t.Error("no token")
	}
}

// A program hears why it is refused in its own language, whatever refuses it.
func TestRefusalsOfTheAPI(t *testing.T) {
	s := newSite(t)
	s.pages = NewPages(PagesOptions{
		Box: s.pages.Box, Settings: s.pages.Settings, Clock: s.now, Logger: s.pages.Logger, Limits: Limits{Requests: 9, Address: 9, PerMinute: 3},
	})
	handler := s.pages.Handler(s.activation())
	ask := func(method, path, origin string) visitAnswer {
		r := httptest.NewRequest(method, path, strings.NewReader("{}"))
		r.Header.Set("Origin", origin)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		answer := w.Result()
		answer.Request = r
		return visitAnswer{answer, w.Body.String()}
	}
	for _, test := range []struct {
		method, path, origin string
		status               int
		word                 string
	}{
		{"POST", "/api/activation", "https://evil.example", http.StatusForbidden, "foreign"},
		{"POST", "/api/nothing", "", http.StatusNotFound, "bad_request"},
		{"GET", "/api/activation", "", http.StatusNotFound, "bad_request"},
		{"POST", "/api/activation", "", http.StatusTooManyRequests, "busy"},
	} {
		answer := ask(test.method, test.path, test.origin)
		answer.want(s, test.status, `{"error":"`+test.word+`","message":"`)
		if got := answer.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s %s: %s", test.method, test.path, got)
		}
	}
	page := ask("GET", "/apiary", "")
	page.want(s, http.StatusTooManyRequests, "<html")
}
