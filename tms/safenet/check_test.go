package safenet

import (
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/tms/safenet/safenettest"
)

// TestCheck of a service that is as it should be, with and without TLS.
func TestCheck(t *testing.T) {
	now := &clock{now: time.Now()}
	for certificate, version := range map[safenettest.Certificate]string{safenettest.NoTLS: "", safenettest.Valid: "TLS 1.3"} {
		tms := safenettest.Start(t, safenettest.Options{Certificate: certificate})
		ticks := func() time.Time { now.forward(time.Millisecond); return now.Now() }
		c := newClient(t, Options{URL: tms.URL, CAFile: tms.CAFile, Clock: ticks})
		r := c.Check(t.Context())
		if r.Problem != nil || len(r.Warnings) != 0 || !r.Kept || r.URL != tms.URL {
			t.Errorf("%v, warnings %q, kept is %v", r.Problem, r.Warnings, r.Kept)
		}
		if r.First != time.Millisecond || r.Again != time.Millisecond || r.Server != "Microsoft-IIS/6.0" || r.Code != 1 || r.Description != "OTP authentication failed." {
			t.Errorf("it took %v and %v; it is %q and says %d %q", r.First, r.Again, r.Server, r.Code, r.Description)
		}
		if r.TLS != version {
			t.Errorf("it speaks %q", r.TLS)
		}
		if version != "" && (len(r.Chain) != 2 || r.Chain[0].Subject != "CN=tms" || r.Chain[0].Issuer != "CN=Test CA" || r.Chain[1].Subject != "CN=Test CA" || r.Chain[0].Fingerprint == r.Chain[1].Fingerprint) {
			t.Errorf("the chain is %+v", r.Chain)
		}
		if tms.Requests() != 2 {
			t.Errorf("it was asked %d times", tms.Requests())
		}
		if err := c.Probe(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// TestCheckFindsProblems, and Probe finds the same.
func TestCheckFindsProblems(t *testing.T) {
	for behaviour, want := range map[safenettest.Behaviour]string{
		safenettest.Forged:    "it accepted a user who cannot exist, and so anybody: verify in otp_service_url that this is the TMS; if it is, take it out of service",
		safenettest.NotFound:  "verify the path in otp_service_url",
		safenettest.LogIn:     "anonymous access",
		safenettest.ErrorPage: "event log",
		safenettest.OtherPage: "This is the intranet.",
		safenettest.Garbage:   "is not as the service's are",
	} {
		tms, c := start(t, safenettest.Options{})
		tms.Behave(behaviour)
		contains(t, c.Check(t.Context()).Problem, want)
		contains(t, c.Probe(t.Context()), want)
		if tms.Requests() != 2 {
			t.Errorf("it was asked %d times", tms.Requests())
		}
	}
}

// TestCheckShowsChain of a certificate that is not trusted, so that an administrator can
// see whose it is.
func TestCheckShowsChain(t *testing.T) {
	tms := safenettest.Start(t, safenettest.Options{Certificate: safenettest.Valid})
	r := newClient(t, Options{URL: tms.URL}).Check(t.Context())
	contains(t, r.Problem, "set ca_file to the certificate")
	if len(r.Chain) != 2 || r.Chain[0].Subject != "CN=tms" {
		t.Errorf("the chain is %+v", r.Chain)
	}
	for certificate, want := range map[safenettest.Certificate][2]string{
		safenettest.Expired:   {"renew", "127.0.0.1"},
		safenettest.WrongName: {"a name that the certificate has (elsewhere.example.com)", "elsewhere.example.com"},
	} {
		_, c := start(t, safenettest.Options{Certificate: certificate})
		r := c.Check(t.Context())
		contains(t, r.Problem, want[0])
		if len(r.Chain) != 2 || !slices.Equal(r.Chain[0].Names, want[1:]) || r.Chain[1].Names != nil {
			t.Errorf("the chain is %+v", r.Chain)
		}
	}
}

// TestNamesOfCertificates are those that a client looks at, made fit for a line.
func TestNamesOfCertificates(t *testing.T) {
	c := &x509.Certificate{
		Subject:  pkix.Name{CommonName: "unused.example.com"},
		DNSNames: []string{"tms.example.com", "a\nb"}, IPAddresses: []net.IP{net.IPv4(192, 0, 2, 7), net.ParseIP("2001:db8::1")},
	}
	if got := namesOf(c); !slices.Equal(got, []string{"tms.example.com", "a b", "192.0.2.7", "2001:db8::1"}) {
		t.Errorf("they are %q", got)
	}
	c.DNSNames = make([]string, 500)
	if got := namesOf(c); len(got) != maxNames+1 || got[maxNames] != "..." {
		t.Errorf("of many they are %q", got)
	}
	none := x509.HostnameError{Certificate: new(x509.Certificate), Host: "tms"}
	if got := remedy(none); !strings.Contains(got, "subjectAltName") {
		t.Errorf("for a certificate without names it says %q", got)
	}
}

func TestWarnings(t *testing.T) {
	warns := func(c *Client, want string) {
		t.Helper()
		r := c.Check(t.Context())
		if r.Problem != nil || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], want) {
			t.Errorf("%v, and the warnings are %q, not %q", r.Problem, r.Warnings, want)
		}
	}
	_, c := start(t, safenettest.Options{Certificate: safenettest.EndsSoon})
	warns(c, "the certificate of CN=tms ends on ")
	tms, c := start(t, safenettest.Options{})
	tms.Behave(safenettest.UnknownCode)
	warns(c, `with the error_code 7 ("The dog ate it.")`)
	tms.Behave(safenettest.KeepsNone)
	warns(c, "closes the connection behind each answer")
	c = newClient(t, Options{URL: "http://tms.invalid" + ServicePath})
	r := c.Check(t.Context())
	contains(t, r.Problem, "verify the name")
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "in the clear") || r.First != 0 {
		t.Errorf("the warnings are %q, and it took %v", r.Warnings, r.First)
	}
}

// TestNobodyIsProbed: the user of a probe is another each time, and its proof is of no
// passcode.
func TestNobodyIsProbed(t *testing.T) {
	seen := map[string]bool{}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		l, err := parseRequest(must(io.ReadAll(r.Body)))
		if err != nil {
			t.Error(err)
			return
		}
		if seen[l.user] || len(l.user) != len("countersign-check-")+32 || string(l.userName) != l.user || seen[string(l.response[:])] {
			t.Errorf("the user is %q", l.user)
		}
		seen[l.user], seen[string(l.response[:])] = true, true
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write((&outcome{code: codeRefused}).write())
	}))
	defer service.Close()
	c := newClient(t, Options{URL: service.URL + ServicePath})
	for range 3 {
		if err := c.Probe(t.Context()); err != nil {
			t.Error(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Probe(ctx); err == nil {
		t.Error("given up, it is well")
	}
}
