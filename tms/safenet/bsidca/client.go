package bsidca

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// maxAnswer is how many bytes of an answer are read.
const maxAnswer = 4 << 20

// Options of a Client.
type Options struct {
	// URL is where the service is, as in https://cloud.eu.safenetid.com/bsidca/BSIDCA.asmx.
	URL string
	// CAs issue the service's certificate; nil: those of the system.
	CAs *x509.CertPool
	// Timeout is for one operation with its answer; 0: 30 seconds.
	Timeout time.Duration
	// PageSize is how many users or tokens are asked for at once; 0: 100.
	PageSize int
}

// Client speaks to one service, as one operator, for one goroutine.
type Client struct {
	http     *http.Client
	url      *url.URL
	pageSize int
}

// New makes a Client. Nothing is sent yet.
func New(o Options) (*Client, error) {
	at, err := parseURL(o.URL)
	if err != nil {
		return nil, err
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	if o.PageSize == 0 {
		o.PageSize = 100
	}
	transport := &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: o.CAs},
	}
	c := &Client{url: at, pageSize: o.PageSize}
	c.http = &http.Client{
		Transport: transport, Timeout: o.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, c.forget()
}

// parseURL takes an address to which a secret may be sent.
func parseURL(s string) (*url.URL, error) {
	at, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("the URL of the service cannot be read: give one like https://cloud.eu.safenetid.com/bsidca/BSIDCA.asmx")
	}
	switch {
	case at.User != nil:
		return nil, errors.New("the URL of the service has a name or a password: leave them out")
	case at.Host == "", at.Scheme != "http" && at.Scheme != "https", at.RawQuery != "", at.Fragment != "":
		return nil, fmt.Errorf("the URL of the service is %q: give one like https://cloud.eu.safenetid.com/bsidca/BSIDCA.asmx", s)
	case at.Scheme == "http" && !loopback(at.Hostname()):
		return nil, fmt.Errorf("the URL of the service is %q: it must be https, because the operator's OTP is sent there", s)
	}
	return at, nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// Close forgets the session and drops idle connections.
func (c *Client) Close() {
	_ = c.forget()
	c.http.CloseIdleConnections()
}

func (c *Client) forget() (err error) {
	c.http.Jar, err = cookiejar.New(nil)
	return err
}

// ask calls an operation of a session. When it fails, or answers without a result, and
// the session is over, the error says that.
func (c *Client) ask(ctx context.Context, r *request) (*element, error) {
	response, err := c.call(ctx, r)
	if refused := (*fault)(nil); err != nil && !errors.As(err, &refused) {
		return nil, err
	}
	result := response.child(r.operation + "Result")
	if result != nil {
		return result, nil
	}
	if alive, pingErr := c.ping(ctx); pingErr == nil && !alive {
		return nil, fmt.Errorf("calling %s: the session is over: connect again", r.operation)
	}
	return nil, err
}

// call sends a request, once, and reads the answer.
func (c *Client) call(ctx context.Context, r *request) (*element, error) {
	body, err := r.envelope()
	if err != nil {
		return nil, err
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("calling %s: %w", r.operation, err)
	}
	post.Header.Set("Content-Type", "text/xml; charset=utf-8")
	post.Header.Set("SOAPAction", `"`+namespace+r.operation+`"`)
	response, err := c.http.Do(post)
	if err != nil {
		return nil, c.failed(r, c.cause(err))
	}
	defer response.Body.Close()
	answer, err := c.read(r, response)
	if err != nil {
		return nil, c.failed(r, err)
	}
	return answer, nil
}

// failed is that a call failed, with what to do about it.
func (c *Client) failed(r *request, err error) error {
	text := hint(err)
	if text != "" {
		text = ": " + text
	}
	return fmt.Errorf("calling %s at %s: %w%s", r.operation, c.url, err, text)
}

// cause is why a request failed, without the address, which is said already.
func (c *Client) cause(err error) error {
	failed := (*url.Error)(nil)
	switch {
	case !errors.As(err, &failed):
		return err
	case failed.Timeout():
		return fmt.Errorf("there was no answer within %s: %w", c.http.Timeout, failed.Err)
	}
	return failed.Err
}

// read reads an answer. Faults come with status 500.
func (c *Client) read(r *request, response *http.Response) (*element, error) {
	if response.StatusCode/100 == 3 {
		where := "elsewhere"
		if to, err := response.Location(); err == nil {
			where = "to " + to.Host
		}
		return nil, fmt.Errorf("the answer leads %s (HTTP %d), where no secret is sent: give the URL of the service itself", where, response.StatusCode)
	}
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if !strings.HasSuffix(kind, "xml") || strings.Contains(kind, "html") {
		return nil, fmt.Errorf("%w, but HTTP %d with %q: is this the URL of BSIDCA.asmx?", errNotAnAnswer, response.StatusCode, kind)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("reading the answer: %w", c.cause(err))
	}
	if len(data) > maxAnswer {
		return nil, fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	}
	answer, err := parseAnswer(r.operation, data)
	if refused := (*fault)(nil); errors.As(err, &refused) {
		refused.code, refused.text = r.scrub(refused.code), r.scrub(refused.text)
		return nil, refused
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer is HTTP %s", http.StatusText(response.StatusCode))
	}
	return answer, err
}

// unsent reports whether an error came before anything of the request was sent: in the
// connection to the service or to a proxy, or because of the certificate.
func unsent(err error) bool {
	failed, untrusted := (*net.OpError)(nil), (*tls.CertificateVerificationError)(nil)
	return errors.As(err, &failed) && (failed.Op == "dial" || failed.Op == proxyConnect) || errors.As(err, &untrusted)
}
