package safenettest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

const day = 24 * time.Hour

// issue makes an authority, writes its certificate into a file, and has it issue one for
// a server. The times are real, because crypto/tls has no other.
func issue(t testing.TB, kind Certificate) (server tls.Certificate, caFile string) {
	t.Helper()
	now := time.Now()
	authority := template("Test CA", now.Add(-30*day), now.Add(30*365*day))
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	authorityKey := newKey(t)
	encoded := sign(t, authority, authorityKey, authority, authorityKey)
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encoded}), 0o600); err != nil {
		t.Fatal(err)
	}
	leaf := template("tms", now.Add(-20*day), now.Add(365*day))
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	switch kind {
	case Expired:
		leaf.NotAfter = now.Add(-day)
	case EndsSoon:
		leaf.NotAfter = now.Add(day)
	case WrongName:
		leaf.IPAddresses, leaf.DNSNames = nil, []string{"elsewhere.example.com"}
	}
	key := newKey(t)
	chain := [][]byte{sign(t, leaf, key, authority, authorityKey), encoded}
	return tls.Certificate{Certificate: chain, PrivateKey: key}, caFile
}

func template(name string, from, until time.Time) *x509.Certificate {
	serial, _ := rand.Int(rand.Reader, big.NewInt(1<<62))
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: until}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, subject *x509.Certificate, key *ecdsa.PrivateKey, issuer *x509.Certificate, issuerKey *ecdsa.PrivateKey) []byte {
	t.Helper()
	encoded, err := x509.CreateCertificate(rand.Reader, subject, issuer, key.Public(), issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return encoded
}
