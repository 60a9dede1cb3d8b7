package console

import (
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/tms"
)

func TestHeaders(t *testing.T) {
	s := activationSite(t)
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	v := s.visitor()
	for path, caching := range map[string]string{
		link: "no-store", "/activation": "no-store", "/nowhere": "no-store", DownloadPath: "no-store", styleURL: "public, max-age=604800",
	} {
		answer := v.get(path)
		for name, want := range headers {
			if name == "Cache-Control" {
				want = caching
			}
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
	}
	policy := headers["Content-Security-Policy"]
	if !strings.HasPrefix(policy, "default-src 'none'; ") || strings.Contains(policy, "unsafe") || strings.Contains(policy, "script") {
		t.Errorf("the policy is not strict: %s", policy)
	}
	// Nothing that such a policy forbids is in the pages.
	page := v.open(link)
	for _, forbidden := range []string{"<script", "style=", "<style", " onclick", "http://www.google"} {
		if strings.Contains(page.body, forbidden) {
			t.Errorf("the page has %q", forbidden)
		}
	}
}

func TestOtherSitesAreRefused(t *testing.T) {
	s := activationSite(t)
	link, _ := s.invite(tms.NewInvitation{User: "alice"})
	for name, value := range map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"} {
		v := s.visitor()
		v.header.Set(name, value)
		v.post("/activate", "link", strings.TrimPrefix(link, "/activate/")).want(s, 403, "refused")
	}
	s.visitor().open(link).want(s, 200)
}

func TestLanguages(t *testing.T) {
	for _, test := range []struct{ accept, usual, want string }{
		{"", "en", "en"}, {"", "de", "de"}, {"de-AT,de;q=0.9,en;q=0.5", "en", "de"}, {"en-US,en;q=0.9,de;q=0.8", "de", "en"},
		{"fr,de;q=0.3", "en", "de"}, {"fr, *;q=0.5", "de", "de"}, {"de;q=0,en;q=0.1", "de", "en"}, {"DE", "en", "de"},
		{"de;q=x", "en", "en"}, {"de;q=2", "en", "en"}, {"de;level=1", "en", "en"}, {";;,,;q=1", "en", "en"},
		{strings.Repeat("x,", 1000) + "de", "en", "en"}, {"en;q=NaN,de;q=0.1", "en", "de"},
	} {
		if got := chooseLanguage(test.accept, test.usual); got != test.want {
			t.Errorf("%.60q, usually %s: %s, want %s", test.accept, test.usual, got, test.want)
		}
	}
	s := activationSite(t)
	v := s.visitor()
	v.header.Set("Accept-Language", "de")
	v.get("/nowhere").want(s, 404, `<html lang="de">`, "Diese Seite gibt es nicht", "Example Works")
	s.settings.Language, s.settings.Issuer = "tlh", "Other Works"
	s.visitor().get("/nowhere").want(s, 404, `<html lang="en">`, "Other Works")
}

func FuzzChooseLanguage(f *testing.F) {
	f.Add("de-AT,de;q=0.9,en;q=0.5")
	f.Add(";q=;;,*;q=1e-9")
	f.Fuzz(func(t *testing.T, accept string) {
		for usual := range languages {
			if got := chooseLanguage(accept, usual); languages[got] == nil {
				t.Errorf("%q: %q is no language of ours", accept, got)
			}
		}
	})
}

// All languages say the same things with the same arguments, the pages and the
// program use what is there, and nothing is there that nobody uses.
func TestTexts(t *testing.T) {
	verbs := regexp.MustCompile(`%[a-z%]`)
	for language, texts := range languages {
		for key, text := range texts {
			english, ok := languages["en"][key]
			if !ok || !slices.Equal(verbs.FindAllString(text, -1), verbs.FindAllString(english, -1)) {
				t.Errorf("%s in %s does not fit the English %q", key, language, english)
			}
		}
		if len(texts) != len(languages["en"]) {
			t.Errorf("%s has %d texts, English %d", language, len(texts), len(languages["en"]))
		}
	}
	used := usedTexts(t)
	for key := range used {
		if _, ok := languages["en"][key]; !ok {
			t.Errorf("%s is used and not there", key)
		}
	}
	for key := range languages["en"] {
		if !used[key] {
			t.Errorf("%s is there and not used", key)
		}
	}
}

// usedTexts are the keys in the templates, and what looks like one in the program.
func usedTexts(t *testing.T) map[string]bool {
	t.Helper()
	used := map[string]bool{}
	note := func(file, pattern string) {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(content), -1) {
			used[found[1]] = true
		}
	}
	templates, _ := fs.Glob(pageFiles, "page/*.html")
	for _, file := range templates {
		note(file, `\{\{t "([^"]+)"`)
		if name := strings.TrimSuffix(filepath.Base(file), ".html"); name != "layout" {
			used[name+".title"] = true
		}
	}
	program, _ := filepath.Glob("*.go")
	for _, file := range program {
		if !strings.HasSuffix(file, "_test.go") {
			note(file, `"((?:problem|api|download)\.[a-z-]+)"`)
			note(file, `text\("([a-z-]+(?:\.[a-z-]+)+)"`)
		}
	}
	return used
}

func TestTextsThatCannotBeRead(t *testing.T) {
	for _, bad := range []string{"key", "key=text", "key = a\nkey = b"} {
		if err := (texts{}).read(bad); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
	if text := (texts{}).text("no.such"); text != "no.such" {
		t.Error(text)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	s := newSite(t)
	s.pages = NewPages(PagesOptions{
		Box: s.pages.Box, Settings: s.pages.Settings, Clock: s.now, Logger: s.pages.Logger, Limits: Limits{Requests: 2, Address: 1, PerMinute: 5},
	})
	handler := s.pages.Handler()
	get := func(from string) int {
		r := httptest.NewRequest("GET", "/nowhere", nil)
		r.RemoteAddr = from
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	for i := range 8 {
		want := 404
		if i >= 5 {
			want = 429
		}
		// One visitor of IPv6 has a whole network.
		if got := get("[2001:db8::" + strconv.Itoa(i+1) + "]:1234"); got != want {
			t.Errorf("request %d: %d, want %d", i, got, want)
		}
	}
	if got := get("192.0.2.1:1234"); got != 404 {
		t.Errorf("another address: %d", got)
	}
	s.wait(2 * time.Minute)
	if got := get("[2001:db8::1]:1234"); got != 404 {
		t.Errorf("later: %d", got)
	}
}

// slow is a page that takes as long as it is told.
type slow struct{ began, end chan struct{} }

func (g slow) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /slow", func(http.ResponseWriter, *http.Request) { g.began <- struct{}{}; <-g.end })
}

func TestRequestsAtOnceAreLimited(t *testing.T) {
	s := newSite(t)
	s.pages = NewPages(PagesOptions{
		Box: s.pages.Box, Settings: s.pages.Settings, Clock: s.now, Logger: s.pages.Logger, Limits: Limits{Requests: 3, Address: 2, PerMinute: 100},
	})
	g := slow{make(chan struct{}), make(chan struct{})}
	handler := s.pages.Handler(g)
	var all sync.WaitGroup
	get := func(from, path string) int {
		r := httptest.NewRequest("GET", path, nil)
		r.RemoteAddr = from + ":1"
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w.Code
	}
	for _, from := range []string{"192.0.2.1", "192.0.2.1"} {
		all.Go(func() { get(from, "/slow") })
		<-g.began
	}
	if got := get("192.0.2.1", "/"); got != 429 {
		t.Errorf("a third one from there: %d", got)
	}
	all.Go(func() { get("192.0.2.2", "/slow") })
	<-g.began
	if got := get("192.0.2.3", "/"); got != 429 {
		t.Errorf("a fourth one: %d", got)
	}
	close(g.end)
	all.Wait()
	if got := get("192.0.2.1", "/"); got != 404 {
		t.Errorf("afterwards: %d", got)
	}
	if len(s.pages.traffic.from) != 0 || s.pages.traffic.all != 0 {
		t.Errorf("left over: %v", s.pages.traffic.from)
	}
}

func TestLargeRequestsAreRefused(t *testing.T) {
	s := activationSite(t)
	s.visitor().post("/activate", "link", strings.Repeat("x", maxForm)).want(s, 400)
	s.visitor().send("POST", "/api/activation", "application/json", `{"activation_key":"`+strings.Repeat("x", maxForm)).want(s, 400)
}

func TestQuota(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	q := newQuota[int](3, time.Minute, func() time.Time { return at })
	takes := func(k, n int) (taken int) {
		for range n {
			if q.take(k) {
				taken++
			}
		}
		return taken
	}
	if n := takes(1, 5); n != 3 {
		t.Errorf("%d of 5", n)
	}
	at = at.Add(59 * time.Second)
	if n := takes(1, 1); n != 0 {
		t.Error("the window is not over")
	}
	at = at.Add(2 * time.Second) // the next window; what was counted is still there
	if n := takes(1, 1) + takes(2, 1); n != 1 {
		t.Errorf("%d in the next window", n)
	}
	at = at.Add(time.Minute)
	if n := takes(1, 5); n != 3 {
		t.Errorf("%d of 5 in the window after", n)
	}
	for k := range 5 * maxKeys {
		q.take(k)
	}
	if len(q.now)+len(q.previous) > 2*maxKeys {
		t.Errorf("%d keys", len(q.now)+len(q.previous))
	}
}

func TestVisitor(t *testing.T) {
	for from, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8::1:2:3:4]:80": "2001:db8::", "[fe80::1%eth0]:80": "fe80::",
	} {
		if got := visitor(&http.Request{RemoteAddr: from}); got != netip.MustParseAddr(want) {
			t.Errorf("%s: %s, want %s", from, got, want)
		}
	}
	if visitor(&http.Request{RemoteAddr: "@"}).IsValid() {
		t.Error("a Unix socket has an address")
	}
}
