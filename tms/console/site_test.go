package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/store/embedded"
)

// site is a server of pages with a real store behind it, at an instant that a test
// chooses.
type site struct {
	*testing.T
	URL      string
	service  *tms.Service
	pages    *Pages
	server   *httptest.Server
	policy   tms.EnrolmentPolicy
	settings PageSettings
	log      *logBuffer

	mu sync.Mutex
	at time.Time
}

var admin = tms.Caller{Name: "root@test", Administrator: true}

// logBuffer is where a site's log goes.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// newSite makes a site. start serves it.
func newSite(t *testing.T) *site {
	s := &site{
		T: t, at: time.Date(2026, 5, 4, 12, 0, 5, 0, time.UTC), log: &logBuffer{},
		settings: PageSettings{Issuer: "Example Works", Language: "en"},
		policy: tms.EnrolmentPolicy{
			Token: tms.NewToken{Type: "totp"}, Valid: 72 * time.Hour, PIN: otp.PINPolicy{MinLength: 4}, RecoveryCodes: 10,
		},
	}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	kek, err := seal.NewKEK(rand.Reader)
	s.check(err)
	store, err := embedded.Open(t.Context(), embedded.Options{
		Path: filepath.Join(t.TempDir(), "store.db"), KEKs: []seal.KEK{kek}, Rand: rand.Reader, Clock: s.now, Logger: logger, CacheUsers: 100,
	})
	s.check(err)
	t.Cleanup(func() { s.check(store.Close()) })
	s.service = tms.NewService(tms.Options{
		Store: store, Enrolment: store, Clock: s.now, Rand: rand.Reader, Policy: otp.DefaultPolicy, MinPINLength: func() int { return 4 },
		EnrolmentPolicy: func() tms.EnrolmentPolicy { return s.policy },
	})
	key, err := store.BoxKey(t.Context())
	s.check(err)
	box, err := seal.NewBox(key, "pages", rand.Reader)
	s.check(err)
	s.pages = NewPages(PagesOptions{Box: box, Settings: func() PageSettings { return s.settings }, Clock: s.now, Logger: logger})
	return s
}

// start serves groups of pages over TLS.
func (s *site) start(groups ...Group) {
	s.server = httptest.NewUnstartedServer(s.pages.Handler(groups...))
	s.server.Config.ErrorLog = slog.NewLogLogger(slog.NewTextHandler(s.log, nil), slog.LevelInfo)
	s.server.EnableHTTP2 = true
	s.server.StartTLS()
	s.Cleanup(s.server.Close)
	s.URL = s.server.URL
}

// activationSite is a site with the pages of activation and downloads.
func activationSite(t *testing.T) *site {
	s := newSite(t)
	s.start(s.activation(), &Downloads{Pages: s.pages, Folder: func() string { return "" }})
	return s
}

func (s *site) activation() *Activation {
	return NewActivation(ActivationOptions{
		Pages: s.pages, Service: s.service,
		SeedFile: func(_ context.Context, i *tms.Invitation) ([]byte, error) {
			return []byte("seed file of " + string(i.Token.Serial)), nil
		},
	})
}

func (s *site) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *site) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// wait moves the clock.
func (s *site) wait(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = s.at.Add(d)
}

// invite gives a user an invitation and returns the path of its link.
func (s *site) invite(n tms.NewInvitation) (path string, issued tms.Issued) {
	s.Helper()
	n.NoMail = true
	issued, err := s.service.Invite(s.Context(), admin, n)
	s.check(err)
	return "/activate/" + issued.Link.Reveal(), issued
}

// code is what the token of a user's invitation shows after a time.
func (s *site) code(user string, later time.Duration) string {
	s.Helper()
	i, err := s.service.InvitationOf(s.Context(), admin, otp.UserName(user), tms.InvitationID{})
	s.check(err)
	return shows(&i.Token, s.now().Add(later))
}

// shows is the code that a token shows.
func shows(t *otp.Token, at time.Time) string {
	if t.Type.Clock() {
		return oath.TOTP(t.Algorithm, t.Seed, at, t.T0, t.Period, int(t.Digits))
	}
	return oath.HOTP(t.Algorithm, t.Seed, t.State.Counter, int(t.Digits))
}

// tokens are the user's.
func (s *site) tokens(user string) (all []tms.TokenView) {
	s.Helper()
	s.check(s.service.Tokens(s.Context(), admin, tms.Filter{User: otp.UserName(user)}, func(t tms.TokenView) error {
		all = append(all, t)
		return nil
	}))
	return all
}

// visitorClient is a browser without a screen: it keeps cookies, and follows no redirect.
type visitorClient struct {
	*site
	*http.Client
	header http.Header
}

func (s *site) visitor() *visitorClient {
	jar, err := cookiejar.New(nil)
	s.check(err)
	return &visitorClient{s, &http.Client{
		Jar: jar, Transport: s.server.Client().Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, http.Header{}}
}

// visitAnswer is what came back.
type visitAnswer struct {
	*http.Response
	body string
}

func (v *visitorClient) send(method, path, mediaType, body string) visitAnswer {
	v.Helper()
	r, err := http.NewRequestWithContext(v.Context(), method, v.URL+path, strings.NewReader(body))
	v.check(err)
	for name, values := range v.header {
		r.Header[name] = values
	}
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	response, err := v.Do(r)
	v.check(err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	v.check(err)
	return visitAnswer{response, string(content)}
}

func (v *visitorClient) get(path string) visitAnswer { v.Helper(); return v.send("GET", path, "", "") }

// post sends a form of names and values.
func (v *visitorClient) post(path string, form ...string) visitAnswer {
	v.Helper()
	values := url.Values{}
	for i := 0; i < len(form); i += 2 {
		values.Set(form[i], form[i+1])
	}
	return v.send("POST", path, "application/x-www-form-urlencoded", values.Encode())
}

// open opens an activation link and shows the token.
func (v *visitorClient) open(path string) visitAnswer {
	v.Helper()
	opened := v.post("/activate", "link", strings.TrimPrefix(path, "/activate/"))
	opened.want(v.site, http.StatusSeeOther)
	if to := opened.Header.Get("Location"); to != "/activation" {
		v.Fatalf("sent to %q", to)
	}
	return v.get("/activation")
}

// want checks status and content of an answer.
func (a visitAnswer) want(s *site, status int, contents ...string) {
	s.Helper()
	if a.StatusCode != status {
		s.Errorf("%s %s: status %d, want %d\n%s", a.Request.Method, a.Request.URL, a.StatusCode, status, a.body)
	}
	for _, content := range contents {
		if !strings.Contains(a.body, content) {
			s.Errorf("%s %s lacks %q:\n%s", a.Request.Method, a.Request.URL, content, a.body)
		}
	}
}

// wantText checks that an answer has a text of the pages.
func (a visitAnswer) wantText(s *site, language, key string, arguments ...any) {
	s.Helper()
	text := strings.NewReplacer("'", "&#39;", `"`, "&#34;", "&", "&amp;").Replace(languages[language].text(key, arguments...))
	if !strings.Contains(a.body, text) {
		s.Errorf("%s %s lacks %s %q:\n%s", a.Request.Method, a.Request.URL, key, text, a.body)
	}
}
