package bsidca

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// errorSays demands an error with some words, and without a secret.
func errorSays(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
	noSecrets(t, err.Error())
}

// noSecrets searches a text for what was planted.
func noSecrets(t *testing.T, text string) {
	t.Helper()
	for _, secret := range []string{plantedOTP, plantedPIN, "81726354", "9182"} {
		if strings.Contains(text, secret) {
			t.Errorf("%q has the secret %q", text, secret)
		}
	}
}

func collectTokens(t *testing.T, c *Client) ([]Token, error) {
	t.Helper()
	var all []Token
	err := c.Tokens(t.Context(), organization, func(found Token) error { all = append(all, found); return nil })
	return all, err
}

func collectUsers(t *testing.T, c *Client) ([]User, error) {
	t.Helper()
	var all []User
	err := c.Users(t.Context(), organization, func(found User) error { all = append(all, found); return nil })
	return all, err
}

func TestListings(t *testing.T) {
	s := newService(t)
	var tokens []Token
	for i := range 7 {
		tokens = append(tokens, Token{Serial: fmt.Sprintf("30000%02d", i), Type: "KT", State: "Active", Owner: fmt.Sprintf("user%d", i), Container: "Default"})
	}
	tokens[3].Owner = ""
	for _, k := range tokens {
		s.tokens = append(s.tokens, tokenRow(k.Serial, k.State, k.Owner, k.Type))
	}
	s.users = []string{
		"<userName>ann</userName><firstname>Ann</firstname><lastname>O&apos;Neil &amp; Co</lastname><email>ann@example.org</email>",
		"<userid>bob</userid><User_x0020_Type>x</User_x0020_Type>",
	}
	for _, size := range []int{1, 2, 3, 7, 100} {
		c := s.connected(t, Options{PageSize: size})
		if got, err := collectTokens(t, c); err != nil || !slices.Equal(got, tokens) {
			t.Errorf("tokens in pages of %d: %v %v", size, got, err)
		}
		want := []User{{"ann", "Ann", "O'Neil & Co", "ann@example.org"}, {Name: "bob"}}
		if got, err := collectUsers(t, c); err != nil || !slices.Equal(got, want) {
			t.Errorf("users in pages of %d: %v %v", size, got, err)
		}
	}
}

// A service that gives fewer on a page than were asked for has all listed nevertheless.
func TestShortPages(t *testing.T) {
	s := newService(t)
	s.most = 20
	for i := range 45 {
		s.users = append(s.users, fmt.Sprintf("<username>user%d</username>", i))
		s.tokens = append(s.tokens, tokenRow(fmt.Sprint(3000000+i), "Active", "", "KT"))
	}
	c := s.connected(t, Options{})
	users, err := collectUsers(t, c)
	if err != nil || len(users) != 45 || users[44].Name != "user44" {
		t.Errorf("%d users came, %v", len(users), err)
	}
	tokens, err := collectTokens(t, c)
	if err != nil || len(tokens) != 45 || tokens[44].Serial != "3000044" {
		t.Errorf("%d tokens came, %v", len(tokens), err)
	}
}

func TestRequests(t *testing.T) {
	s := newService(t)
	s.tokens = []string{tokenRow("1", "Suspended", "", "KT")}
	c := s.connected(t, Options{})
	if _, err := collectUsers(t, c); err != nil {
		t.Fatal(err)
	}
	if _, err := collectTokens(t, c); err != nil {
		t.Fatal(err)
	}
	for _, a := range []ActivateRequest{{Serial: "1", Organization: organization, ChangePIN: true, NewPIN: NewSecret(plantedPIN)}, {Serial: "2", Organization: organization}} {
		if became, err := c.Activate(t.Context(), a); became != Activated || err != nil {
			t.Fatal(became, err)
		}
	}
	want := []call{
		{"Connect", map[string]string{"OperatorEmail": operator, "OTP": plantedOTP}},
		{"GetUsers", map[string]string{"authMethod": "Any", "firstRecord": "0", "pageSize": "100", "organization": organization}},
		{"GetTotalTokens", map[string]string{"organization": organization}},
		{"GetTokens", map[string]string{"organization": organization, "startRecord": "0", "pageSize": "100"}},
		{"GetTokens", map[string]string{"organization": organization, "startRecord": "1", "pageSize": "100"}},
		{"ActivateToken", map[string]string{"serial": "1", "changePinOnFirstUse": "true", "newPIN": plantedPIN, "organization": organization}},
		{"ActivateToken", map[string]string{"serial": "2", "changePinOnFirstUse": "false", "organization": organization}},
	}
	if got := s.calls(); !reflect.DeepEqual(got, want) {
		t.Errorf("called\n%v, want\n%v", got, want)
	}
}

func TestConnectOutcomes(t *testing.T) {
	for outcome := range meanings {
		s := newService(t)
		s.outcomes = []string{string(outcome), "AUTH_SUCCESS"}
		c := s.client(t, Options{})
		err := c.Connect(t.Context(), operator, NewSecret(plantedOTP))
		errorSays(t, err, string(outcome), meanings[outcome])
		var refused *RefusedError
		if !errors.As(err, &refused) || refused.Outcome != outcome || refused.Challenge.Reveal() != plantedPIN[:7] {
			t.Errorf("%s: %#v", outcome, refused)
		}
		if err := c.Connect(t.Context(), operator, NewSecret("next")); err != nil {
			t.Errorf("after %s: %v", outcome, err)
		}
	}
	s := newService(t)
	s.outcomes = []string{"SOMETHING_" + plantedPIN[:7] + "_ELSE"}
	errorSays(t, s.client(t, Options{}).Connect(t.Context(), operator, NewSecret(plantedOTP)), "SOMETHING_", "not documented")
	s.instead["Connect"] = func(w http.ResponseWriter, _ *http.Request) { answer(w, "Connect", "AUTH_SUCCESS") }
	errorSays(t, s.client(t, Options{}).Connect(t.Context(), operator, NewSecret(plantedOTP)), "without a session cookie")
}

func TestActivations(t *testing.T) {
	s := newService(t)
	c := s.connected(t, Options{})
	for word, meaning := range activations {
		s.activate = string(word)
		became, err := c.Activate(t.Context(), ActivateRequest{Serial: "1", Organization: organization})
		if became != word || err != nil || became.Meaning() != meaning || became.Succeeded() != strings.HasSuffix(strings.ToLower(string(word)), "success") {
			t.Errorf("%s: %v %v", word, became, err)
		}
	}
	s.activate = "perhaps"
	_, err := c.Activate(t.Context(), ActivateRequest{Serial: "S1", Organization: organization, NewPIN: NewSecret(plantedPIN)})
	errorSays(t, err, `"perhaps"`, "not documented", "whether token S1 was activated is not known")
}

// An activation is sent once, whatever becomes of it.
func TestDoubtfulActivation(t *testing.T) {
	ask := ActivateRequest{Serial: "S1", Organization: organization, NewPIN: NewSecret(plantedPIN)}
	count := func(s *service) (n int) {
		for _, c := range s.calls() {
			if c.operation == "ActivateToken" {
				n++
			}
		}
		return n
	}
	for about, instead := range map[string]http.HandlerFunc{
		"no answer": silent,
		"cut off":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"reset":     func(w http.ResponseWriter, _ *http.Request) { reset(t, w) },
		"fault":     func(w http.ResponseWriter, _ *http.Request) { sendFault(w, "disk full") },
		"HTML":      func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) },
		"no result": func(w http.ResponseWriter, _ *http.Request) { answerWithout(w, "ActivateToken") },
		"truncated": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml")
			_, _ = io.WriteString(w, `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>`)
		},
	} {
		s := newService(t)
		c := s.connected(t, Options{})
		s.instead["ActivateToken"] = instead
		if about == "no answer" {
			c.http.Timeout = soon
		}
		_, err := c.Activate(t.Context(), ask)
		errorSays(t, err, "whether token S1 was activated is not known")
		if broke := (*net.OpError)(nil); about == "reset" && !errors.As(err, &broke) {
			t.Errorf("a reset is %v", err)
		}
		if count(s) != 1 {
			t.Errorf("%s: sent %d times", about, count(s))
		}
	}
	s := newService(t)
	c := s.connected(t, Options{})
	c.http.CloseIdleConnections()
	s.Close()
	_, err := c.Activate(t.Context(), ask)
	if errorSays(t, err, "refused: nothing listens there: verify the URL"); strings.Contains(err.Error(), "not known") {
		t.Errorf("nothing was sent: %v", err)
	}
	proxy := &url.URL{Scheme: "http", Host: s.Listener.Addr().String()} // where nobody listens any more
	c.http.Transport.(*http.Transport).Proxy = http.ProxyURL(proxy)
	_, err = c.Activate(t.Context(), ask)
	if errorSays(t, err, "that is the proxy: correct HTTPS_PROXY"); strings.Contains(err.Error(), "not known") {
		t.Errorf("nothing was sent to the proxy: %v", err)
	}
}

// reset breaks a connection as a server does that crashes.
func reset(t *testing.T, w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	raw := conn.(*tls.Conn).NetConn()
	_ = raw.(*net.TCPConn).SetLinger(0)
	_ = raw.Close()
}

// Errors of the network and of others say what to do.
func TestHints(t *testing.T) {
	s := newService(t)
	untrusted := s.Certificate()
	for _, test := range []struct {
		err  error
		want string
	}{
		{&net.DNSError{Err: "no such host", Name: "sas.invalid", IsNotFound: true}, "verify the name in the URL"},
		{x509.HostnameError{Certificate: untrusted, Host: "sas.invalid"}, "a name that the certificate has"},
		{x509.CertificateInvalidError{Cert: untrusted, Reason: x509.Expired}, "verify the clock"},
		{tls.RecordHeaderError{Msg: "x"}, "nobody speaks TLS at this port"},
		{fmt.Errorf("reading the answer: %w", io.ErrUnexpectedEOF), "broke off"},
		{fmt.Errorf("dialling: %w", syscall.ENETUNREACH), "the firewall"},
		{fmt.Errorf("there was no answer within 1s: %w", context.DeadlineExceeded), "the firewall"},
		{&fault{code: "soap:Client", text: "unknown"}, "is this the URL of BSIDCA.asmx?"},
		{&fault{code: "soap:Server", text: "disk full"}, ""},
		{x509.UnknownAuthorityError{}, ""},
		{context.Canceled, ""},
	} {
		if got := hint(test.err); !strings.Contains(got, test.want) || got != "" && test.want == "" {
			t.Errorf("for %v the hint is %q", test.err, got)
		}
	}
	s.instead["Connect"] = func(w http.ResponseWriter, _ *http.Request) {
		send(w, http.StatusInternalServerError, "<soap:Fault><faultcode>soap:Client</faultcode><faultstring>Server did not recognize it.</faultstring></soap:Fault>")
	}
	err := s.client(t, Options{}).Connect(t.Context(), operator, NewSecret(plantedOTP))
	errorSays(t, err, `(soap:Client): "Server did not recognize it.": is this the URL of BSIDCA.asmx?`)
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	err = s.client(t, Options{URL: strings.Replace(plain.URL, "http", "https", 1)}).Connect(t.Context(), operator, NewSecret(plantedOTP))
	errorSays(t, err, "nobody speaks TLS at this port")
}

// When a session is over the service faults, or answers without a result; both are
// told from a session that is well.
func TestSessionLost(t *testing.T) {
	s := newService(t)
	c := s.connected(t, Options{})
	s.end()
	_, err := collectTokens(t, c)
	errorSays(t, err, "calling GetTotalTokens", "the session is over: connect again")
	s.instead["GetUsers"] = func(w http.ResponseWriter, _ *http.Request) { answerWithout(w, "GetUsers") }
	_, err = collectUsers(t, c)
	errorSays(t, err, "calling GetUsers", "the session is over")

	c = s.connected(t, Options{})
	if users, err := collectUsers(t, c); len(users) != 0 || err != nil {
		t.Errorf("no users: %v %v", users, err)
	}
	s.instead["GetUsers"] = func(w http.ResponseWriter, _ *http.Request) { sendFault(w, "No such organization") }
	_, err = collectUsers(t, c)
	errorSays(t, err, "calling GetUsers", "No such organization")
	c.Close()
	s.instead = map[string]http.HandlerFunc{}
	_, err = collectUsers(t, c)
	errorSays(t, err, "the session is over")
}

// A listing that is not complete is an error.
func TestIncompleteListings(t *testing.T) {
	s := newService(t)
	for i := range 4 {
		s.tokens = append(s.tokens, tokenRow(fmt.Sprint(i), "Active", "", "KT"))
	}
	s.total = 5
	c := s.connected(t, Options{PageSize: 2})
	got, err := collectTokens(t, c)
	if errorSays(t, err, "only 4 of 5 came"); len(got) != 4 {
		t.Errorf("%d came", len(got))
	}
	s.instead["GetTokens"] = func(w http.ResponseWriter, _ *http.Request) {
		sendTable(w, "GetTokens", "Named_Tokens_Table", s.tokens, "0", "2")
	}
	_, err = collectTokens(t, c)
	errorSays(t, err, `the page that begins with "0" came twice`)

	s.instead = map[string]http.HandlerFunc{}
	s.tokens = []string{"<serial_x0020_no>1</serial_x0020_no><Type>KT</Type>"}
	_, err = collectTokens(t, c)
	errorSays(t, err, "row 1 has no serialnumber, only serial no, type")
	s.total, s.tokens = -1, []string{tokenRow("1", "Active", "", "KT")}
	stop := errors.New("enough")
	if err := c.Tokens(t.Context(), organization, func(Token) error { return stop }); !errors.Is(err, stop) {
		t.Error(err)
	}
	for _, total := range []string{"", "many", "-1"} {
		s.instead["GetTotalTokens"] = func(w http.ResponseWriter, _ *http.Request) { answer(w, "GetTotalTokens", total) }
		_, err = collectTokens(t, c)
		errorSays(t, err, "GetTotalTokens", fmt.Sprintf("the number is %q", total))
	}
	s.instead["GetTotalTokens"] = func(w http.ResponseWriter, _ *http.Request) { answerWithout(w, "GetTotalTokens") }
	_, err = collectTokens(t, c)
	errorSays(t, err, "it has no number")
}

func TestAnswersOfOthers(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	xml := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml; charset=utf-8")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for about, test := range map[string]struct {
		instead http.HandlerFunc
		words   []string
	}{
		"HTML": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, "<html>"+plantedOTP)
		}, []string{"HTTP 404", `"text/html"`, "is this the URL of BSIDCA.asmx?"}},
		"XHTML":       {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Type", "application/xhtml+xml") }, []string{"HTTP 200", "is this the URL"}},
		"redirect":    {http.RedirectHandler(other.URL, http.StatusTemporaryRedirect).ServeHTTP, []string{"leads to 127.0.0.1", "HTTP 307"}},
		"no place":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }, []string{"leads elsewhere"}},
		"not XML":     {xml(200, "\n<a>"+plantedOTP), []string{"line 2 is not XML"}},
		"empty":       {xml(200, ""), []string{"is not XML"}},
		"encoding":    {xml(200, `<?xml version="1.0" encoding="`+plantedOTP[:7]+`"?><a/>`), []string{"is not XML"}},
		"no envelope": {xml(200, "<a/>"), []string{"no SOAP envelope"}},
		"no body":     {xml(200, "<Envelope/>"), []string{"no ConnectResponse"}},
		"another":     {xml(200, "<Envelope><Body><GetUserResponse/></Body></Envelope>"), []string{"no ConnectResponse"}},
		"status":      {xml(503, "<a/>"), []string{"Service Unavailable"}},
		"large":       {xml(200, strings.Repeat(" ", maxAnswer+1)), []string{"larger than 4 MiB"}},
		"fault": {func(w http.ResponseWriter, _ *http.Request) {
			sendFault(w, "Input was planted-otp&lt;&amp;&gt;81726354\x0a\x0a"+strings.Repeat("x", 2*maxQuoted))
		}, []string{"reports a fault (soap:Server)", "Input was [redacted] xx", "x..."}},
		"slow": {silent, []string{"there was no answer within 50ms"}},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/xml")
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, []string{"reading the answer: unexpected EOF"}},
	} {
		s := newService(t)
		s.instead["Connect"] = test.instead
		o := Options{}
		if about == "slow" {
			o.Timeout = soon
		}
		err := s.client(t, o).Connect(t.Context(), operator, NewSecret(plantedOTP))
		errorSays(t, err, append(test.words, "calling Connect at https://127.0.0.1:")...)
	}
	if elsewhere != 0 {
		t.Errorf("a redirect was followed %d times", elsewhere)
	}
}

func TestUnreadableParameters(t *testing.T) {
	s := newService(t)
	c := s.client(t, Options{})
	for _, otp := range []string{"a\x00" + plantedOTP, "\xff" + plantedOTP, plantedOTP + "\n"} {
		errorSays(t, c.Connect(t.Context(), operator, NewSecret(otp)), "OTP has characters that cannot be sent")
	}
	if len(s.calls()) != 0 {
		t.Errorf("sent %v", s.calls())
	}
}

func TestCanceled(t *testing.T) {
	s := newService(t)
	c := s.connected(t, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Users(ctx, organization, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestURLs(t *testing.T) {
	for _, good := range []string{"https://sas.example.org/bsidca/BSIDCA.asmx", "http://127.0.0.1:8080/x", "http://[::1]/x", "http://localhost/x"} {
		if c, err := New(Options{URL: good}); err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
	}
	for bad, words := range map[string]string{
		"":                                    "give one like",
		"sas.example.org":                     "give one like",
		"ftp://sas.example.org":               "give one like",
		"https://x/y?" + plantedPIN[:3]:       "give one like",
		"https://%zz":                         "cannot be read",
		"https://ops:" + "9182@example.org/x": "a name or a password",
		"http://sas.example.org/x":            "must be https",
		"http://127.0.0.1.example.org/x":      "must be https",
		"http://127.0.0.1@sas.example.org/":   "a name or a password",
	} {
		_, err := New(Options{URL: bad})
		errorSays(t, err, words)
	}
}

func TestTLS(t *testing.T) {
	s := newService(t)
	c, err := New(Options{URL: s.URL + "/bsidca/BSIDCA.asmx", CAs: x509.NewCertPool()})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	err = c.Connect(t.Context(), operator, NewSecret(plantedOTP))
	errorSays(t, err, "calling Connect", "unknown authority")
	if !errors.As(err, new(x509.UnknownAuthorityError)) || !unsent(err) || len(s.calls()) != 0 {
		t.Errorf("%v, called %v", err, s.calls())
	}
}
