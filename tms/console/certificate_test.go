package console

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// certified is what a test makes certificates with.
type certified struct {
	*testing.T
	CertificateOptions
	at  time.Time
	log bytes.Buffer
}

func newCertified(t *testing.T) *certified {
	c := &certified{T: t, at: time.Now()}
	c.CertificateOptions = CertificateOptions{
		DataDir: t.TempDir(), Hosts: []string{"otp.example.com", "192.0.2.7"}, Clock: func() time.Time { return c.at }, Rand: rand.Reader,
		Logger: slog.New(slog.NewTextHandler(&c.log, nil)),
	}
	return c
}

func (c *certified) open() *Certificate {
	c.Helper()
	certificate, err := OpenCertificate(c.CertificateOptions)
	if err != nil {
		c.Fatal(err)
	}
	return certificate
}

func TestSelfMadeCertificate(t *testing.T) {
	c := newCertified(t)
	made := c.open()
	for _, host := range []string{"otp.example.com", "192.0.2.7", "localhost", "127.0.0.1"} {
		if err := made.get().Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	file := filepath.Join(c.DataDir, selfMadeFile)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	out, err := exec.Command("openssl", "x509", "-in", file, "-noout", "-fingerprint", "-sha256").Output()
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), "="+made.Fingerprint()) {
		t.Errorf("openssl says %s, %v; we %s", out, err, made.Fingerprint())
	}
	if again := c.open(); again.Fingerprint() != made.Fingerprint() || !again.SelfMade() {
		t.Error("it is made anew at every start")
	}
	// Shortly before its end there is another, while the server runs.
	before := made.Fingerprint()
	c.at = made.get().Leaf.NotAfter.Add(-24 * time.Hour)
	if made.Fingerprint() == before || !made.get().Leaf.NotAfter.After(c.at.Add(800*24*time.Hour)) {
		t.Error("it is not renewed")
	}
	// For another host there is another.
	before = made.Fingerprint()
	c.Hosts = []string{"login.example.com"}
	if c.open().Fingerprint() == before {
		t.Error("it is not for the new host")
	}
	if left, _ := os.ReadDir(c.DataDir); len(left) != 1 {
		t.Errorf("left behind: %v", left)
	}
	if err := os.WriteFile(file, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCertificate(c.CertificateOptions); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Error(err)
	}
}

// The administrator's files are read again when they change; a broken one is told of,
// and the certificate before stays.
func TestCertificateFilesChange(t *testing.T) {
	c := newCertified(t)
	first, second := c.open(), newCertified(t).open()
	c.CertFile, c.KeyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	put := func(from *Certificate) {
		t.Helper()
		content, err := os.ReadFile(filepath.Join(from.DataDir, selfMadeFile))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{c.CertFile, c.KeyFile} {
			if err := os.WriteFile(file, content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(first)
	served := c.open()
	if served.Fingerprint() != first.Fingerprint() || served.SelfMade() {
		t.Fatal("another certificate")
	}
	put(second)
	c.at = c.at.Add(time.Second)
	if served.Fingerprint() != first.Fingerprint() {
		t.Error("the files are looked at at every handshake")
	}
	c.at = c.at.Add(lookEvery)
	if served.Fingerprint() != second.Fingerprint() {
		t.Error("the files are not read again")
	}
	if err := os.WriteFile(c.KeyFile, []byte("half a ke"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.at = c.at.Add(lookEvery)
		if served.Fingerprint() != second.Fingerprint() {
			t.Error("the certificate is gone")
		}
	}
	if n := strings.Count(c.log.String(), "level=ERROR"); n != 1 {
		t.Errorf("%d errors in the log:\n%s", n, c.log.String())
	}
	if _, err := OpenCertificate(c.CertificateOptions); err == nil {
		t.Error("a start with a broken key")
	}
	c.KeyFile = ""
	if _, err := OpenCertificate(c.CertificateOptions); err == nil || !strings.Contains(err.Error(), "key_file") {
		t.Error(err)
	}
}

func TestTLS(t *testing.T) {
	c := newCertified(t)
	served := c.open()
	trusted := x509.NewCertPool()
	trusted.AddCert(served.get().Leaf)
	shake := func(maximum uint16) error {
		client, server := net.Pipe()
		defer client.Close()
		go func() {
			defer server.Close()
			_ = tls.Server(server, served.TLSConfig()).Handshake()
		}()
		return tls.Client(client, &tls.Config{ServerName: "otp.example.com", RootCAs: trusted, MinVersion: tls.VersionTLS10, MaxVersion: maximum}).Handshake()
	}
	for version, accepted := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		if err := shake(version); (err == nil) != accepted {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}
