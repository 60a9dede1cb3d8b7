package safenet

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"time"
)

// endsSoon is how long before its end a certificate is worth a warning.
const endsSoon = 30 * 24 * time.Hour

var errAcceptsAll = errors.New("it accepted a user who cannot exist, and so anybody")

// Report is what Check has found out.
type Report struct {
	URL string
	// Problem is what is wrong, with how to mend it; nil when logins can be verified.
	Problem error
	// Warnings are what works and should be mended nevertheless.
	Warnings []string
	// First is how long an answer took with a new connection, and Again with the same one,
	// if it could be kept; 0 where there was no answer.
	First, Again time.Duration
	Kept         bool
	// Server is how the server calls itself, such as Microsoft-IIS/10.0, and Code and
	// Description are its refusal.
	Server      string
	Code        int
	Description string
	// TLS is the version, such as TLS 1.2, "" without TLS. Chain are the certificates as the
	// server sent them, its own first, also when they are not trusted.
	TLS   string
	Chain []Certificate
}

// Certificate is a certificate as people compare it.
type Certificate struct {
	Subject, Issuer     string
	Names               []string // whom it is for: DNS names and addresses; none in that of a CA
	NotBefore, NotAfter time.Time
	Fingerprint         [sha256.Size]byte
}

// Probe finds out whether the service answers: a user who cannot exist has to be
// refused, with whatever code.
func (c *Client) Probe(ctx context.Context) error {
	_, err := c.probe(ctx, c.transport)
	return err
}

// probe is Probe on the connections of a transport.
func (c *Client) probe(ctx context.Context, transport *http.Transport) (*reply, error) {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	l := new(login)
	name := make([]byte, 16)
	if err := c.random(name, l.challenge[:], l.peer[:], l.response[:]); err != nil {
		return nil, err
	}
	l.user = fmt.Sprintf("countersign-check-%x", name)
	l.userName = []byte(l.user)
	r, err := c.exchange(ctx, transport, l)
	if err == nil && r.outcome.code == codeAccepted {
		return r, c.problem("asking for a user who cannot exist", errAcceptsAll)
	}
	return r, err
}

// Check does as Probe, twice on a connection of its own, and reports what it saw.
func (c *Client) Check(ctx context.Context) *Report {
	r := &Report{URL: c.url.String()}
	transport := c.transport.Clone()
	defer transport.CloseIdleConnections()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotConn: func(got httptrace.GotConnInfo) { r.Kept = got.Reused },
	})
	if r.First = c.look(ctx, transport, r); r.Problem == nil {
		r.Again = c.look(ctx, transport, r)
	}
	r.Warnings = c.warnings(r)
	return r
}

// look probes once, notes what it saw, and returns how long the answer took.
func (c *Client) look(ctx context.Context, transport *http.Transport, r *Report) time.Duration {
	start := c.clock()
	reply, err := c.probe(ctx, transport)
	took := c.clock().Sub(start)
	r.Problem = err
	var untrusted *tls.CertificateVerificationError
	if errors.As(err, &untrusted) {
		r.Chain = certificates(untrusted.UnverifiedCertificates)
	}
	if reply == nil {
		return 0
	}
	r.Server = clip(oneLine(reply.header.Get("Server")), 60)
	r.Code, r.Description = reply.outcome.code, reply.outcome.description
	if reply.tls != nil {
		r.TLS = tls.VersionName(reply.tls.Version)
		r.Chain = certificates(reply.tls.PeerCertificates)
	}
	return took
}

func certificates(chain []*x509.Certificate) []Certificate {
	list := make([]Certificate, len(chain))
	for i, c := range chain {
		list[i] = Certificate{c.Subject.String(), c.Issuer.String(), namesOf(c), c.NotBefore, c.NotAfter, sha256.Sum256(c.Raw)}
	}
	return list
}

// maxNames is how many names of a certificate are told: some have hundreds.
const maxNames = 20

// namesOf are whom a certificate is for. Its common name is none of them: crypto/x509 does
// not look at it.
func namesOf(c *x509.Certificate) []string {
	var list []string
	for _, name := range c.DNSNames {
		list = append(list, clip(oneLine(name), 120))
	}
	for _, address := range c.IPAddresses {
		list = append(list, address.String())
	}
	if len(list) > maxNames {
		list = append(list[:maxNames], "...")
	}
	return list
}

// warnings are those of a Report.
func (c *Client) warnings(r *Report) []string {
	var list []string
	if c.url.Scheme == "http" && !isLoopback(c.url.Hostname()) {
		list = append(list, "logins go there in the clear, and passcodes can be guessed from them: have IIS serve https, and write https:// in otp_service_url")
	}
	for _, certificate := range r.Chain {
		if left := certificate.NotAfter.Sub(c.clock()); left > 0 && left < endsSoon {
			list = append(list, fmt.Sprintf("the certificate of %s ends on %s: renew it", certificate.Subject, certificate.NotAfter.Format(time.DateOnly)))
		}
	}
	if r.Problem != nil {
		return list
	}
	if !r.Kept {
		list = append(list, "the server closes the connection behind each answer, which makes logins slower: have IIS keep connections (HTTP keep-alive)")
	}
	if r.Code != codeRefused {
		list = append(list, fmt.Sprintf("it refuses a user whom it does not know with the error_code %d (%q), and only %d is known as a refusal: logins that get it are taken for unanswered", r.Code, r.Description, codeRefused))
	}
	return list
}
