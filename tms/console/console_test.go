package console

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// oneToken is a tms.Store of one token, which remembers what it was asked.
type oneToken struct {
	tms.Store
	token   tms.Token
	created *tms.User
	acts    []string
	backup  string
}

func (s *oneToken) ChangeUser(_ context.Context, name otp.UserName, _ tms.Act, change func(*tms.User) error) error {
	u := &tms.User{Name: name, Exists: name == s.token.User}
	err := change(u)
	s.created = u
	return err
}

func (s *oneToken) Users(_ context.Context, f tms.Filter, each func(*tms.User) error) error {
	if f.User != s.token.User || f.User == "" {
		return nil
	}
	return each(&tms.User{Exists: true, Name: f.User})
}

func (s *oneToken) ChangeToken(_ context.Context, serial otp.Serial, _ tms.Act, change func(*tms.Token) error) error {
	if serial != s.token.Serial {
		return change(&tms.Token{Token: otp.Token{Serial: serial}})
	}
	return change(&s.token)
}

func (s *oneToken) Tokens(_ context.Context, f tms.Filter, each func(*tms.Token) error) error {
	if f.Serial == s.token.Serial {
		return each(&s.token)
	}
	for i := range 3 {
		t := s.token
		t.Serial = otp.Serial(fmt.Sprintf("%s%d", t.Serial, i))
		if err := each(&t); err != nil {
			return err
		}
	}
	return nil
}

func (s *oneToken) Record(_ context.Context, act tms.Act) error {
	s.acts = append(s.acts, act.Verb)
	return nil
}

// Backup and RotateKeys make oneToken a tms.Keeper.
func (s *oneToken) Backup(context.Context) (io.ReadCloser, int64, error) {
	if s.backup == "" {
		return nil, 0, errors.New("no space left")
	}
	return io.NopCloser(strings.NewReader(s.backup)), 6, nil
}

func (s *oneToken) RotateKeys(_ context.Context, progress func(done, total int64)) error {
	progress(1, 2)
	progress(2, 2)
	return errors.New("the disk is full")
}

// connect serves the API over a real connection.
func connect(t *testing.T, administrator bool) (*Client, *oneToken) {
	t.Helper()
	store := &oneToken{token: tms.Token{Exists: true, Token: otp.Token{Serial: "T1", Digits: 6, Period: 30, Seed: oath.NewSeed([]byte("12345678901234567890"))}}}
	service := tms.NewService(tms.Options{
		Store: store, Keeper: store, Clock: time.Now, Rand: strings.NewReader(strings.Repeat("r", 64)),
		Policy: otp.DefaultPolicy, MinPINLength: func() int { return 4 },
	})
	return mount(t, service, administrator), store
}

// mount serves the acts of a service.
func mount(t *testing.T, service *tms.Service, administrator bool) *Client {
	t.Helper()
	mux := http.NewServeMux()
	(&API{Service: service, Caller: func(*http.Request) tms.Caller {
		return tms.Caller{Name: "test", Administrator: administrator}
	}}).Mount(mux)
	return serve(t, mux)
}

func serve(t *testing.T, handler http.Handler) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c := NewClient(func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", server.Listener.Addr().String())
	})
	t.Cleanup(c.Close)
	return c
}

func TestSecretsTravelAndErrorsKeepTheirKind(t *testing.T) {
	c, store := connect(t, true)
	ctx := context.Background()
	u, err := c.AddUser(ctx, tms.NewUser{Name: "Alice", PIN: otp.NewPIN([]byte("4711"))})
	if err != nil || u.Name != "alice" || !u.PIN || string(store.created.PIN.Bytes()) != "4711" {
		t.Fatalf("%+v, %v", u, err)
	}
	for want, act := range map[error]func() error{
		tms.ErrInvalid:  func() error { _, err := c.AddUser(ctx, tms.NewUser{Name: "bob"}); return err },
		tms.ErrNotFound: func() error { _, err := c.ChangeToken(ctx, "unlock", "T2"); return err },
		tms.ErrExists: func() error {
			_, err := c.AddToken(ctx, tms.NewToken{Serial: "T1", Seed: oath.NewSeed([]byte("12345678901234567890"))})
			return err
		},
	} {
		if err := act(); !errors.Is(err, want) {
			t.Errorf("%v, want it to be %v", err, want)
		}
	}
	stranger, _ := connect(t, false)
	if _, err := stranger.ChangeToken(ctx, "unlock", "T1"); !errors.Is(err, tms.ErrForbidden) {
		t.Errorf("%v, want it to be %v", err, tms.ErrForbidden)
	}
}

func TestListingsAndProgressAreStreamed(t *testing.T) {
	c, _ := connect(t, true)
	ctx := context.Background()
	var serials []otp.Serial
	if err := c.Tokens(ctx, tms.Filter{}, func(v tms.TokenView) error {
		serials = append(serials, v.Serial)
		return nil
	}); err != nil || fmt.Sprint(serials) != "[T10 T11 T12]" {
		t.Errorf("%v, %v", serials, err)
	}
	enough := errors.New("enough")
	if err := c.Tokens(ctx, tms.Filter{}, func(tms.TokenView) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v, want the caller's own error", err)
	}
	var progress []Progress
	c.OnProgress = func(p Progress) { progress = append(progress, p) }
	err := c.RotateKeys(ctx)
	if err == nil || !strings.Contains(err.Error(), "the disk is full") || fmt.Sprint(progress) != "[{1 2} {2 2}]" {
		t.Errorf("%v, %v", progress, err)
	}
}

func TestABackupIsWholeOrAnError(t *testing.T) {
	c, store := connect(t, true)
	var copied strings.Builder
	if err := c.Backup(context.Background(), &copied); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("%v", err)
	}
	store.backup = "sqlite"
	if err := c.Backup(context.Background(), &copied); err != nil || copied.String() != "sqlite" {
		t.Errorf("%q, %v", &copied, err)
	}
	store.backup = "sql" // breaks off
	if err := c.Backup(context.Background(), &copied); err == nil {
		t.Error("a part of a backup is no backup")
	}
	if fmt.Sprint(store.acts) != "[store.backup store.backup store.backup]" {
		t.Errorf("recorded %v", store.acts)
	}
}

func TestAServerThatIsNotOurs(t *testing.T) {
	ctx := context.Background()
	const perhaps = "may have been done"
	broken := serve(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"progress":{"done":1}}`+"\n")
	}))
	if err := broken.RotateKeys(ctx); err == nil || !strings.Contains(err.Error(), "broke off") || !strings.Contains(err.Error(), perhaps) {
		t.Errorf("%v", err)
	}
	nothing := func(tms.TokenView) error { return nil }
	if err := broken.Tokens(ctx, tms.Filter{}, nothing); err == nil || strings.Contains(err.Error(), perhaps) {
		t.Errorf("%v", err)
	}
	killed := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	if err := killed.RemoveRule(ctx, "x"); err == nil || !strings.Contains(err.Error(), "EOF; it "+perhaps) {
		t.Errorf("%v", err)
	}
	if err := killed.Tokens(ctx, tms.Filter{}, nothing); err == nil || strings.Contains(err.Error(), perhaps) {
		t.Errorf("%v", err)
	}
	other := serve(t, http.NotFoundHandler())
	if err := other.RotateKeys(ctx); err == nil || !strings.Contains(err.Error(), "another version") {
		t.Errorf("%v", err)
	}
	gone := NewClient(func(context.Context) (net.Conn, error) { return nil, errors.New("nobody there") })
	if err := gone.RotateKeys(ctx); err == nil || !strings.Contains(err.Error(), "nobody there") || strings.Contains(err.Error(), perhaps) {
		t.Errorf("%v", err)
	}
}

func TestRequestsThatAreNoEnvelopes(t *testing.T) {
	mux := http.NewServeMux()
	(&API{Service: tms.NewService(tms.Options{}), Caller: func(*http.Request) tms.Caller { return tms.Caller{} }}).Mount(mux)
	for _, body := range []string{"", "x", `{"request":7}`, `{"request":{"Serial":[]}}`, `{"request":` + strings.Repeat(" ", maxRequest) + `{}}`} {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest("POST", "/v1/token.unlock", strings.NewReader(body)))
		if !strings.Contains(answer.Body.String(), `"kind":"invalid"`) {
			t.Errorf("%.40q: %s", body, answer.Body)
		}
	}
}

func TestRequestsThatAreTooLarge(t *testing.T) {
	c, _ := connect(t, true)
	_, err := c.AssignToken(context.Background(), "T1", strings.Repeat("x", maxRequest))
	if !errors.Is(err, tms.ErrInvalid) || !strings.Contains(err.Error(), "too large: it may have 1048576 bytes") {
		t.Errorf("%v", err)
	}
	if err := c.Tokens(context.Background(), tms.Filter{Limit: -1}, nil); !errors.Is(err, tms.ErrInvalid) || !strings.Contains(err.Error(), "limit -1") {
		t.Errorf("%v", err)
	}
}

func TestStatus(t *testing.T) {
	var fault error
	started := time.Unix(1_800_000_000, 0)
	s := &Status{
		Version: "1.2.3", Started: started, Clock: func() time.Time { return started.Add(90 * time.Second) },
		Ready: func() error { return fault }, Listening: []string{"127.0.0.1:1812"},
		TMS: func() string { return "logins are shown to it" },
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	s.MountPage(mux)
	get := func(path string) *httptest.ResponseRecorder {
		answer := httptest.NewRecorder()
		mux.ServeHTTP(answer, httptest.NewRequest("GET", path, nil))
		return answer
	}
	check := func(path string, code int, wants ...string) {
		t.Helper()
		answer := get(path)
		if answer.Code != code {
			t.Errorf("%s: status %d, want %d", path, answer.Code, code)
		}
		for _, want := range wants {
			if !strings.Contains(answer.Body.String(), want) {
				t.Errorf("%s lacks %q:\n%s", path, want, answer.Body)
			}
		}
	}
	check("/", 200, "logins are shown to it")
	check("/healthz", 200, "ok")
	check("/readyz", 200, "ready")
	check("/", 200, "1.2.3", "1m30s", "127.0.0.1:1812", "Logins are being answered")
	fault = errors.New("the disk <b>is full")
	check("/healthz", 200, "ok")
	check("/readyz", 503, "the disk")
	check("/", 503, "the disk &lt;b&gt;is full")
	check("/other", 404)
	if policy := get("/").Header().Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("Content-Security-Policy %q", policy)
	}
}
