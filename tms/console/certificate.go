package console

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Certificate is what the pages are served with: the files of the administrator,
// read again when they change, or, where there are none, a self-made certificate that
// is kept in the data folder and made anew before it ends.
type Certificate struct {
	CertificateOptions

	mu      sync.Mutex
	current *tls.Certificate
	stamp   string    // of the files that current was read from
	looked  time.Time // when that was last compared
	failure string    // that was logged last
}

// CertificateOptions are what a Certificate works with.
type CertificateOptions struct {
	CertFile, KeyFile string   // PEM, the chain with the server's own first; "" for a self-made one
	DataDir           string   // where that is kept
	Hosts             []string // names and addresses that it is for, beside localhost
	Clock             func() time.Time
	Rand              io.Reader
	Logger            *slog.Logger
}

const (
	// selfMadeFile has certificate and key, so that both change at once.
	selfMadeFile = "web-certificate.pem"
	// selfMadeTime is the longest that all browsers take; selfMadeRest is how long
	// before its end the next is made.
	selfMadeTime, selfMadeRest = 825 * 24 * time.Hour, 30 * 24 * time.Hour
	// lookEvery is how often the files are looked at, while there are handshakes.
	lookEvery = 5 * time.Second
)

// OpenCertificate reads the certificate, or makes it.
func OpenCertificate(o CertificateOptions) (*Certificate, error) {
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("certificate: certificate_file and key_file go together: name both, or none for a self-made one")
	}
	c := &Certificate{CertificateOptions: o, looked: o.Clock()}
	return c, c.refresh()
}

// TLSConfig is TLS 1.2 or later with the certificate.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.get(), nil }}
}

// Fingerprint is the SHA-256 of the certificate, as browsers and openssl write it.
func (c *Certificate) Fingerprint() string {
	sum := sha256.Sum256(c.get().Leaf.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// Ends is until when it is valid.
func (c *Certificate) Ends() time.Time { return c.get().Leaf.NotAfter }

// SelfMade reports whether browsers do not know who made the certificate.
func (c *Certificate) SelfMade() bool { return c.CertFile == "" }

// get is the certificate. One that cannot be read any more is used on, and the log
// told so once.
func (c *Certificate) get() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.Clock()
	if now.Sub(c.looked) < lookEvery {
		return c.current
	}
	c.looked = now
	failure := ""
	if err := c.refresh(); err != nil {
		failure = err.Error()
	}
	if failure != "" && failure != c.failure {
		c.Logger.Error("the certificate of the pages cannot be renewed, the one before is used on", "error", failure)
	}
	c.failure = failure
	return c.current
}

// refresh reads or makes the certificate, if that is needed.
func (c *Certificate) refresh() error {
	if c.SelfMade() {
		return c.refreshSelfMade()
	}
	stamp, err := stampOf(c.CertFile, c.KeyFile)
	if err != nil || stamp == c.stamp {
		return err
	}
	read, err := tls.LoadX509KeyPair(c.CertFile, c.KeyFile)
	if err != nil {
		return fmt.Errorf("reading certificate %q and key %q: %w", c.CertFile, c.KeyFile, err)
	}
	if c.current != nil {
		c.Logger.Info("the certificate of the pages was read again", "ends", read.Leaf.NotAfter)
	}
	c.current, c.stamp = &read, stamp
	return nil
}

// stampOf changes when one of the files does.
func stampOf(files ...string) (string, error) {
	var b strings.Builder
	for _, file := range files {
		info, err := os.Stat(file)
		if err != nil {
			return "", fmt.Errorf("certificate: %w", err)
		}
		fmt.Fprintf(&b, "%d %d ", info.ModTime().UnixNano(), info.Size())
	}
	return b.String(), nil
}

// refreshSelfMade reads the self-made certificate, and makes it when there is none, it
// is about to end, or it is not for these hosts.
func (c *Certificate) refreshSelfMade() error {
	if c.current != nil && c.serves(c.current.Leaf) {
		return nil
	}
	file := filepath.Join(c.DataDir, selfMadeFile)
	content, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return fmt.Errorf("reading the self-made certificate: %w", err)
	default:
		read, err := tls.X509KeyPair(content, content)
		if err != nil {
			return fmt.Errorf("reading the self-made certificate %q: %w; remove the file, and another will be made", file, err)
		}
		if c.serves(read.Leaf) {
			c.current = &read
			return nil
		}
	}
	made, content, err := c.make()
	if err != nil {
		return fmt.Errorf("making a certificate: %w", err)
	}
	if err := writeWhole(file, content); err != nil {
		return fmt.Errorf("keeping the self-made certificate: %w", err)
	}
	c.current = &made
	return nil
}

// serves reports whether a self-made certificate can be used.
func (c *Certificate) serves(leaf *x509.Certificate) bool {
	if now := c.Clock(); now.Before(leaf.NotBefore) || now.After(leaf.NotAfter.Add(-selfMadeRest)) {
		return false
	}
	for _, host := range c.hosts() {
		if leaf.VerifyHostname(host) != nil {
			return false
		}
	}
	return true
}

// hosts are those that a self-made certificate is for.
func (c *Certificate) hosts() []string {
	return append([]string{"localhost", "127.0.0.1", "::1"}, c.Hosts...)
}

// make makes a certificate that vouches for itself, and its PEM with the key.
func (c *Certificate) make() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), c.Rand)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	now := c.Clock()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Countersign"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfMadeTime - time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, host := range c.hosts() {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	signed, err := x509.CreateCertificate(c.Rand, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	var content bytes.Buffer
	for _, block := range []pem.Block{{Type: "CERTIFICATE", Bytes: signed}, {Type: "PRIVATE KEY", Bytes: private}} {
		if err := pem.Encode(&content, &block); err != nil {
			return tls.Certificate{}, nil, err
		}
	}
	made, err := tls.X509KeyPair(content.Bytes(), content.Bytes())
	return made, content.Bytes(), err
}

// writeWhole writes a file that only we may read, so that it is there as a whole or
// as it was before.
func writeWhole(file string, content []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name()) // when it is still there
	_, err = temporary.Write(content)
	if err = errors.Join(err, temporary.Sync(), temporary.Close()); err != nil {
		return err
	}
	return os.Rename(temporary.Name(), file)
}
