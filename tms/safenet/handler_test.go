package safenet

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/otp"
)

// store is a TokenStore of one account, with a lock for a commit.
type store struct {
	mu      sync.Mutex
	account otp.Account
	fails   error
	full    bool
	events  []otp.Verdict
	stored  uint64
	seen    func(*otp.Attempt)
}

func (s *store) Submit(a *otp.Attempt) bool {
	if s.full {
		return false
	}
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.fails != nil {
			a.Waiter.Decided(a, s.fails)
			return
		}
		account := s.account
		if string(a.User) != "kay" {
			account = otp.Account{}
		}
		a.Decide(&account)
		if s.seen != nil {
			s.seen(a)
		}
		s.events = append(s.events, a.Decision.Verdict)
		s.stored++
		a.Event = otp.EventID{Batch: s.stored}
		a.Waiter.Decided(a, nil)
	}()
	return true
}

// server is a Handler with a real Verifier, whose one user kay has the PIN 4711 and a
// token whose codes are those of RFC 4226.
type server struct {
	*store
	handler *Handler
	log     *bytes.Buffer
	done    []Exchange
	clock   *clock
}

var rfc4226 = []string{"755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871", "520489"}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{store: &store{account: rfcAccount()}, log: new(bytes.Buffer), clock: &clock{now: time.Unix(1700000000, 0)}}
	s.handler = NewHandler(HandlerOptions{
		Verify: otp.NewVerifier(s.store, otp.DefaultPolicy()).Verify,
		Allow:  []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("2001:db8::/64")},
		Clock:  s.clock.Now,
		Logger: slog.New(slog.NewTextHandler(s.log, nil)),
		Done:   func(e Exchange) { s.done = append(s.done, e) },
	})
	return s
}

// ask serves a request, of kay's to the service unless a test changes it.
func (s *server) ask(body []byte, change func(*http.Request)) *http.Response {
	r := httptest.NewRequest(http.MethodPost, ServicePath, bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	r.Header.Set("SOAPAction", soapAction)
	if change != nil {
		change(r)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

// TestGoldenHandler: the known login gets the known answer, byte for byte.
func TestGoldenHandler(t *testing.T) {
	h := NewHandler(HandlerOptions{
		Verify: func(_ context.Context, a *otp.Attempt) (otp.Verdict, error) {
			if string(a.User) != "kay" || a.NAS != DefaultNAS || string(a.Station) != "192.0.2.1" || a.Method != otp.MSCHAPv2 || a.Preset != otp.Undecided {
				t.Errorf("the attempt is of %q at %q from %q by %v", a.User, a.NAS, a.Station, a.Method)
			}
			for _, wrong := range []string{"test533268", "", "Test533269"} {
				if a.Challenge.Matches([]byte(wrong)) {
					t.Errorf("%q matches", wrong)
				}
			}
			candidate := []byte(goldenPasscode)
			if !a.Challenge.Matches(candidate) {
				return otp.WrongPasscode, nil
			}
			clear(candidate) // as a store does that tries others in the same place
			return otp.Accepted, nil
		},
		Allow: []netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")},
	})
	s := &server{handler: h}
	response := s.ask(golden(t).write(), nil)
	got := must(io.ReadAll(response.Body))
	want := file(t, "golden.answer.xml")
	if response.StatusCode != 200 || response.Header.Get("Content-Type") != contentType || !bytes.Equal(got, want) {
		t.Errorf("it is %s\n%s\nnot\n%s", response.Status, got, want)
	}
	if len(got) != 1023 {
		t.Errorf("it has %d bytes, and the captured accept had 1023", len(got))
	}
	refused := s.ask(file(t, "accepted.request.xml"), nil)
	if got := must(io.ReadAll(refused.Body)); refused.StatusCode != 200 || !bytes.Equal(got, file(t, "refused.answer.xml")) {
		t.Errorf("it is %s\n%s", refused.Status, got)
	}
}

// TestRoundTrip: our client has codes of our tokens verified by our server, over TCP.
func TestRoundTrip(t *testing.T) {
	s := newServer(t)
	web := httptest.NewServer(s.handler)
	defer web.Close()
	c := newClient(t, Options{URL: web.URL + strings.ToLower(ServicePath)})
	for i, test := range []struct {
		user, passcode string
		want           bool
		verdict        otp.Verdict
	}{
		{"kay", "4711" + rfc4226[1], true, otp.Accepted},
		{"kay", "4711" + rfc4226[1], false, otp.Replayed},
		{"kay", "4711" + rfc4226[0], false, otp.WrongPasscode},
		{"kay", "4712" + rfc4226[2], false, otp.WrongPasscode},
		{"KAY", "4711" + rfc4226[2], true, otp.Accepted},
		{"nobody", "4711" + rfc4226[3], false, otp.UnknownUser},
		{"kay", rfc4226[3], false, otp.WrongPasscode},
	} {
		s.clock.forward(time.Hour) // so that nobody has to wait
		answer, err := c.VerifyPasscode(t.Context(), test.user, passcode(test.passcode))
		if err != nil || answer.Accepted != test.want {
			t.Errorf("login %d: accepted is %v, %v", i, answer.Accepted, err)
		}
		if got := s.events[len(s.events)-1]; got != test.verdict || s.done[len(s.done)-1] != (Exchange{200, test.verdict, 0}) {
			t.Errorf("login %d: the verdict is %v, and told was %+v", i, got, s.done[len(s.done)-1])
		}
	}
	if err := c.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	if r := c.Check(t.Context()); r.Problem != nil || !r.Kept || len(r.Warnings) != 0 {
		t.Errorf("%v %q", r.Problem, r.Warnings)
	}
	log := s.log.String()
	for _, want := range []string{`msg=login user=kay verdict=accepted nas=otp-service station=127.0.0.1 method=mschapv2 serial=T1 offset=1 event=1-0`, "user=nobody verdict=unknown_user"} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log:\n%s", want, log)
		}
	}
	for _, code := range rfc4226 {
		if strings.Contains(log, code) {
			t.Errorf("the log has the code %s", code)
		}
	}
}

// TestOnce: of many requests with one code one is accepted.
func TestOnce(t *testing.T) {
	s := newServer(t)
	body := proofOf("kay", "4711"+rfc4226[0]).write()
	accepted := make(chan bool, 50)
	var all sync.WaitGroup
	s.handler.options.Done = nil
	for range 50 {
		all.Go(func() {
			response := s.ask(body, nil)
			accepted <- strings.Contains(string(must(io.ReadAll(response.Body))), "&lt;error_code&gt;0&lt;")
		})
	}
	all.Wait()
	close(accepted)
	n := 0
	for ok := range accepted {
		if ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d were accepted", n)
	}
}

func TestBadUserName(t *testing.T) {
	s := newServer(t)
	for _, name := range []string{"", " kay", strings.Repeat("k", 300)} {
		response := s.ask(proofOf(name, "4711"+rfc4226[0]).write(), nil)
		if got := must(io.ReadAll(response.Body)); response.StatusCode != 200 || !bytes.Equal(got, file(t, "refused.answer.xml")) {
			t.Errorf("%q: it is %s\n%s", name, response.Status, got)
		}
	}
	if got := fmt.Sprint(s.events); got != "[bad_user_name bad_user_name bad_user_name]" {
		t.Errorf("the verdicts are %s", got)
	}
	if strings.Contains(s.log.String(), strings.Repeat("k", 260)) {
		t.Error("the log has a name without end")
	}
}

// TestStrangers are told nothing, and what they send is not read.
func TestStrangers(t *testing.T) {
	s := newServer(t)
	body := proofOf("kay", "4711"+rfc4226[0]).write()
	for from, allowed := range map[string]bool{
		"192.0.2.77:1234": true, "127.0.0.1:1": true, "[::ffff:192.0.2.77]:5": true, "[2001:db8::1%eth0]:5": true,
		"192.0.3.1:1": false, "127.0.0.2:1": false, "[2001:db8:1::1]:5": false, "": false, "x": false, "@": false,
	} {
		response := s.ask(body, func(r *http.Request) {
			r.RemoteAddr = from
			r.Header.Set("X-Forwarded-For", "127.0.0.1")
		})
		if answer := must(io.ReadAll(response.Body)); allowed != (response.StatusCode == 200) || !allowed && (response.StatusCode != 403 || len(answer) != 0) {
			t.Errorf("%s: it is %s: %s", from, response.Status, answer)
		}
	}
	if n := strings.Count(s.log.String(), "not allowed; if it may ask, add it to allow in [otp_service]"); n != 1 {
		t.Errorf("it was complained %d times within a minute", n)
	}
	s.clock.forward(complaintPause)
	s.ask(body, func(r *http.Request) { r.RemoteAddr = "192.0.3.9:1" })
	if !strings.Contains(s.log.String(), "source=192.0.3.9:1") {
		t.Error("it was not complained a minute later")
	}
	none := &server{handler: NewHandler(HandlerOptions{})}
	if response := none.ask(body, nil); response.StatusCode != 403 {
		t.Errorf("without a list it is %s", response.Status)
	}
}

// TestBadInput is not decided.
func TestBadInput(t *testing.T) {
	s := newServer(t)
	good := proofOf("kay", "4711"+rfc4226[0]).write()
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for i, test := range []struct {
		body   []byte
		change func(*http.Request)
		status int
		text   string
	}{
		{good, func(r *http.Request) { r.Method = "GET" }, 405, "only POST"},
		{good, func(r *http.Request) { r.Method = "PUT" }, 405, "only POST"},
		{good, func(r *http.Request) { r.URL.Path = "/" }, 404, ServicePath},
		{good, func(r *http.Request) { r.URL.Path += "/x" }, 404, ServicePath},
		{good, header("Content-Type", ""), 415, "text/xml"},
		{good, header("Content-Type", "application/soap+xml; charset=utf-8"), 415, "text/xml"},
		{good, header("Content-Type", "text/xml; charset=utf-16"), 415, "UTF-8"},
		{good, header("Content-Type", ";;"), 415, "text/xml"},
		{good, header("SOAPAction", `"http://tempuri.org/Other"`), 400, "SOAPAction"},
		{bytes.Repeat(good, 100), nil, 413, "too long"},
		{nil, nil, 400, "it is empty"},
		{[]byte(" \r\n"), nil, 400, "it is empty"},
		{[]byte("user=kay"), nil, 400, "it is no XML: there is no element"},
		{[]byte("<!-- kay -->"), nil, 400, "it is no XML: there is no element"},
		{bytes.Replace(good, []byte("MSCHAPv2"), []byte("PAP"), 1), nil, 400, `the type "PAP" is not known: only MSCHAPv2 is`},
		{good[:len(good)-30], nil, 400, "it is no XML"},
		{append([]byte(`<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>`), bytes.Replace(good, []byte("&lt;user_name&gt;kay"), []byte("&lt;user_name&gt;&e;"), 1)...), nil, 400, "it is no XML"},
		{good, func(r *http.Request) { r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(good[:99]), broken{})) }, 400, "did not come whole"},
	} {
		response := s.ask(test.body, test.change)
		text := string(must(io.ReadAll(response.Body)))
		if response.StatusCode != test.status || !strings.Contains(text, test.text) || len(text) > 200 {
			t.Errorf("request %d: it is %s: %s", i, response.Status, text)
		}
		if e := s.done[len(s.done)-1]; e.Status != test.status || e.Verdict != otp.Undecided {
			t.Errorf("request %d: told was %+v", i, e)
		}
	}
	if len(s.events) != 0 {
		t.Errorf("they were decided: %v", s.events)
	}
	for _, change := range []func(*http.Request){
		func(r *http.Request) { r.Header.Del("SOAPAction") },
		header("SOAPAction", "http://tempuri.org/Authenticate"),
		header("Content-Type", "text/xml"),
		header("Content-Type", `TEXT/XML; charset="UTF-8"`),
		func(r *http.Request) { r.URL.Path = strings.ToUpper(ServicePath) },
	} {
		if response := s.ask(good, change); response.StatusCode != 200 {
			t.Errorf("it is %s: %s", response.Status, must(io.ReadAll(response.Body)))
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("test: it broke") }

// TestUndecided: without a verdict there is no answer but a status, and no refusal.
func TestUndecided(t *testing.T) {
	good := proofOf("kay", "4711"+rfc4226[0]).write()
	for name, prepare := range map[string]func(*server){
		"the store fails":   func(s *server) { s.fails = errors.New("disk on fire") },
		"the store is full": func(s *server) { s.full = true },
		"too many are under way": func(s *server) {
			for range cap(s.handler.slots) {
				s.handler.slots <- struct{}{}
			}
		},
		"nobody knows who the user is": func(s *server) {
			s.handler.options.Verify = func(context.Context, *otp.Attempt) (otp.Verdict, error) { return otp.Undecided, nil }
		},
		"no passcode was shown": func(s *server) {
			s.handler.options.Verify = func(context.Context, *otp.Attempt) (otp.Verdict, error) { return otp.Excluded, nil }
		},
	} {
		s := newServer(t)
		prepare(s)
		response := s.ask(good, nil)
		text := string(must(io.ReadAll(response.Body)))
		if response.StatusCode != 503 || strings.Contains(text, "otp_authentication_response") || strings.Contains(text, "disk") || response.Header.Get("Retry-After") == "" {
			t.Errorf("%s: it is %s: %s", name, response.Status, text)
		}
		if len(s.events) != 0 {
			t.Errorf("%s: the verdicts are %v", name, s.events)
		}
	}
}

// TestSlotsAreGivenBack: as many as one likes may ask one after another.
func TestSlotsAreGivenBack(t *testing.T) {
	s := newServer(t)
	s.handler.slots = make(chan struct{}, 1)
	for range 3 {
		if response := s.ask(proofOf("nobody", "x").write(), nil); response.StatusCode != 200 {
			t.Errorf("it is %s", response.Status)
		}
	}
}
