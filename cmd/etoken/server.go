package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"countersign/otp"
)

// The API of the server is two POSTs of JSON: /api/activation gets an offer for an
// Activation Key, and /api/activation/confirm takes the first code. Any other answer
// is a refusal.
type (
	activationRequest struct {
		ActivationKey string `json:"activation_key"`
		PIN           string `json:"pin,omitempty"`
		Code          string `json:"code,omitempty"`
	}
	// offer is the token that it is to be.
	offer struct {
		Serial    otp.Serial `json:"serial"`
		User      string     `json:"user"`
		Issuer    string     `json:"issuer"`
		PINNeeded bool       `json:"pin_needed"` // an OTP PIN must be chosen
		MinPIN    int        `json:"min_pin"`    // of so many characters
		SeedFile  []byte     `json:"seed_file"`  // PSKC (RFC 6030), under the Activation Key
	}
	// refusal is why the server does not do what it was asked.
	refusal struct {
		Word    string `json:"error"`
		Message string `json:"message"` // for the user
	}
)

// Words of a refusal that mean something to us.
const (
	notFound = "not_found" // no invitation has this key: it is used up, over or replaced
	weakPIN  = "weak_pin"
	badPIN   = "bad_pin"
)

func (r *refusal) Error() string { return "the server says: " + printable(r.Message) }

// refused reports whether err is a refusal with one of these words.
func refused(err error, words ...string) bool {
	r := (*refusal)(nil)
	if !errors.As(err, &r) {
		return false
	}
	for _, word := range words {
		if r.Word == word {
			return true
		}
	}
	return len(words) == 0
}

// trust says which certificate a server has that this computer does not know.
type trust struct {
	Fingerprint string // SHA-256 in hexadecimal, with or without colons; ""
	CAFile      string // PEM, of the authority; ""
}

// server is a Countersign server.
type server struct {
	url    *url.URL
	client *http.Client
}

const (
	serverTime = 30 * time.Second
	maxAnswer  = 1 << 20 // bytes
)

// newServer makes the client of a server: "https://otp.example.com:8443", or without
// https://.
func newServer(address string, t trust) (*server, error) {
	if !strings.Contains(address, "://") {
		address = "https://" + address
	}
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "":
		return nil, fmt.Errorf("--server: %q is no address such as https://otp.example.com:8443", printable(address))
	case u.Scheme != "https":
		return nil, fmt.Errorf("--server: the Activation Key must not travel by %s: the address has to begin with https://", u.Scheme)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.User != nil:
		return nil, fmt.Errorf("--server: give only the address of the server, https://%s; an activation link is for the browser", u.Host)
	}
	config, err := t.config()
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.TLSClientConfig = config
	return &server{
		url: &url.URL{Scheme: u.Scheme, Host: u.Host},
		client: &http.Client{
			Transport: transport, Timeout: serverTime,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// config accepts the certificates that the system knows, or those of the authority,
// or the one with the fingerprint.
func (t trust) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	switch {
	case t.Fingerprint != "":
		want, err := hex.DecodeString(strings.NewReplacer(":", "", " ", "").Replace(t.Fingerprint))
		if err != nil || len(want) != sha256.Size {
			return nil, fmt.Errorf("--fingerprint: it must be %d bytes in hexadecimal, such as the server prints at its start", sha256.Size)
		}
		config.InsecureSkipVerify = true // VerifyConnection does it
		config.VerifyConnection = func(s tls.ConnectionState) error {
			if seen := sha256.Sum256(s.PeerCertificates[0].Raw); !bytes.Equal(seen[:], want) {
				return fmt.Errorf("its certificate has another fingerprint than you gave, %s: ask the administrator whether that is right; otherwise somebody is between you and the server",
					fingerprint(s.PeerCertificates[0]))
			}
			return nil
		}
	case t.CAFile != "":
		content, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("--ca-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, fmt.Errorf("--ca-file: %q has no certificate in PEM form", t.CAFile)
		}
	}
	return config, nil
}

// fingerprint is the SHA-256 of a certificate, as servers print it.
func fingerprint(c *x509.Certificate) string {
	sum := sha256.Sum256(c.Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// fetch gets the offer for an Activation Key.
func (s *server) fetch(ctx context.Context, key secret) (*offer, error) {
	o := &offer{}
	return o, s.post(ctx, "api/activation", activationRequest{ActivationKey: key.reveal()}, o)
}

// confirm gives the first code, and the OTP PIN when one had to be chosen.
func (s *server) confirm(ctx context.Context, key, pin secret, code string) error {
	return s.post(ctx, "api/activation/confirm", activationRequest{key.reveal(), pin.reveal(), code}, &struct{}{})
}

func (s *server) post(ctx context.Context, path string, request activationRequest, answer any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return err
	}
	defer clear(body)
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept-Language", "en")
	response, err := s.client.Do(r)
	if err != nil {
		return s.explain(err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return s.explain(err)
	}
	if response.StatusCode == http.StatusOK {
		if err = json.Unmarshal(content, answer); err == nil {
			return nil
		}
	}
	no := &refusal{}
	if json.Unmarshal(content, no) == nil && no.Word != "" && response.StatusCode != http.StatusOK {
		return no
	}
	return fmt.Errorf("what %s answers (status %d) is not from a Countersign server: compare the address", s.url, response.StatusCode)
}

// explain says why a server was not reached, and what to do about a certificate.
func (s *server) explain(err error) error {
	if wrapped := (*url.Error)(nil); errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	unknown := (*tls.CertificateVerificationError)(nil)
	if !errors.As(err, &unknown) || len(unknown.UnverifiedCertificates) == 0 {
		return fmt.Errorf("reaching %s: %w", s.url, err)
	}
	return fmt.Errorf("the certificate of %s is not trusted (%w): if its administrator tells you the same fingerprint, add --fingerprint %s",
		s.url, unknown.Err, fingerprint(unknown.UnverifiedCertificates[0]))
}
