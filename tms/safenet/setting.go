package safenet

import (
	"cmp"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"
)

// What a Client has where its Options do not say.
const (
	DefaultTimeout     = 5 * time.Second
	DefaultMaxInFlight = 256
)

const (
	// maxConnectTime is how long the connection and TLS may take, each.
	maxConnectTime = 3 * time.Second
	// idleTime is how long a connection is kept that nobody uses. IIS closes them after
	// 120 s, and proxies after 60.
	idleTime = 30 * time.Second
	// maxHeader is the longest header of an answer in bytes.
	maxHeader = 32 << 10
)

// Options says where the OTP Web Service is.
type Options struct {
	URL    string // http or https, with the path: http://tms.example.com/OTPAuthentication/Service.asmx
	CAFile string // PEM; "": the authorities that the system trusts
	// Timeout is for a whole request; MaxInFlight is how many may be under way at the same
	// time, each on a connection of its own. 0 is the default.
	Timeout     time.Duration
	MaxInFlight int
	UserAgent   string           // "": countersign
	Rand        io.Reader        // for challenges, by several goroutines; nil: crypto/rand
	Clock       func() time.Time // for latencies and the end of certificates; nil: time.Now
}

// SettingError says what is wrong with a setting, and how to mend it.
type SettingError struct {
	Setting string // its key in the table [tms] of the configuration
	Problem string
	Remedy  string
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("tms.%s: %s: %s", e.Setting, e.Problem, e.Remedy)
}

// inspector collects what is wrong with Options.
type inspector struct{ faults []error }

func (i *inspector) fault(setting, problem, remedy string) {
	i.faults = append(i.faults, &SettingError{setting, problem, remedy})
}

// inspect verifies Options and returns the Client that they mean.
func inspect(o Options) (*Client, error) {
	i := new(inspector)
	c := &Client{url: i.url(o.URL), timeout: cmp.Or(o.Timeout, DefaultTimeout), agent: cmp.Or(o.UserAgent, "countersign"), rand: o.Rand, clock: o.Clock}
	if c.rand == nil {
		c.rand = rand.Reader
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	pool := i.authorities(o.CAFile)
	inFlight := cmp.Or(o.MaxInFlight, DefaultMaxInFlight)
	if o.Timeout < 0 {
		i.fault("timeout", "it is negative", "leave it out for the default")
	}
	if inFlight < 0 {
		i.fault("max_in_flight", "it is negative", "leave it out for the default")
	}
	if i.faults != nil {
		return nil, errors.Join(i.faults...)
	}
	c.slots = make(chan struct{}, inFlight)
	c.transport = newTransport(c, pool, inFlight)
	return c, nil
}

// newTransport makes what keeps the connections. It speaks HTTP/1.1 only: of that it is
// known when a request is sent a second time (doc.go). No proxy is asked for in the
// environment, because logins should not go somewhere else by accident.
func newTransport(c *Client, pool *x509.CertPool, inFlight int) *http.Transport {
	connectTime := min(c.timeout, maxConnectTime)
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTime,
		MaxConnsPerHost:        inFlight,
		MaxIdleConnsPerHost:    inFlight,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // an answer is as long as it is
		Protocols:              protocols,
	}
}

func (i *inspector) url(text string) *url.URL {
	const setting = "otp_service_url"
	u, err := url.Parse(text)
	if err != nil {
		i.fault(setting, "it is no URL", "write it as http://tms.example.com"+ServicePath)
		return new(url.URL)
	}
	switch {
	case u.User != nil:
		i.fault(setting, "it has a name or a password", "leave them out: how the service would ask for them is not known")
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		i.fault(setting, fmt.Sprintf("%q is no URL of http or https", text), "write it as http://tms.example.com"+ServicePath)
	case u.Path == "" || u.Path == "/":
		i.fault(setting, fmt.Sprintf("%q has no path", text), "write it as "+strings.TrimSuffix(text, "/")+ServicePath)
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		i.fault(setting, fmt.Sprintf("%q has more behind the path", text), "end it with the path, as "+ServicePath)
	}
	return u
}

func (i *inspector) authorities(file string) *x509.CertPool {
	const setting = "ca_file"
	if file == "" {
		return nil // those of the system
	}
	content, err := os.ReadFile(file)
	if err != nil {
		i.fault(setting, err.Error(), "name the PEM file of the CA that issued the certificate of the service")
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		i.fault(setting, "there is no certificate in "+file, "name a file with -----BEGIN CERTIFICATE-----")
	}
	return pool
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}
