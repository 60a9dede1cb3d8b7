package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/seedfile"
	"countersign/tms/store/embedded"
)

// site is the real server of pages, over TLS with a certificate nobody knows.
type site struct {
	*testing.T
	URL     string
	service *tms.Service
	policy  tms.EnrolmentPolicy
	server  *httptest.Server
	// before is called for each request, and may answer it; after is called when it
	// was answered, but nobody has heard the answer.
	before, after func(w http.ResponseWriter, r *http.Request) (answered bool)
}

var admin = tms.Caller{Name: "root@test", Administrator: true}

func newSite(t *testing.T, clock func() time.Time) *site {
	s := &site{T: t, policy: tms.EnrolmentPolicy{Token: tms.NewToken{Type: "totp"}, Valid: 72 * time.Hour, PIN: otp.PINPolicy{MinLength: 4}}}
	logger := slog.New(slog.DiscardHandler)
	kek, err := seal.NewKEK(rand.Reader)
	s.check(err)
	store, err := embedded.Open(t.Context(), embedded.Options{
		Path: filepath.Join(t.TempDir(), "store.db"), KEKs: []seal.KEK{kek}, Rand: rand.Reader, Clock: clock, Logger: logger, CacheUsers: 100,
	})
	s.check(err)
	t.Cleanup(func() { s.check(store.Close()) })
	s.service = tms.NewService(tms.Options{
		Store: store, Enrolment: store, Clock: clock, Rand: rand.Reader, Policy: otp.DefaultPolicy, MinPINLength: func() int { return 4 },
		EnrolmentPolicy: func() tms.EnrolmentPolicy { return s.policy },
	})
	key, err := store.BoxKey(t.Context())
	s.check(err)
	box, err := seal.NewBox(key, "pages", rand.Reader)
	s.check(err)
	pages := console.NewPages(console.PagesOptions{Box: box, Clock: clock, Logger: logger, Settings: func() console.PageSettings {
		return console.PageSettings{Issuer: "Example Works", Language: "de"}
	}})
	handler := pages.Handler(console.NewActivation(console.ActivationOptions{Pages: pages, Service: s.service, SeedFile: seedFile}))
	s.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(handler, w, r) }))
	s.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.server.StartTLS()
	t.Cleanup(s.server.Close)
	s.URL = s.server.URL
	return s
}

func (s *site) serve(handler http.Handler, w http.ResponseWriter, r *http.Request) {
	if s.before != nil && s.before(w, r) {
		return
	}
	if s.after == nil {
		handler.ServeHTTP(w, r)
		return
	}
	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, r)
	if !s.after(w, r) {
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}
}

// seedFile is the seed file of an invitation, as the server makes it.
func seedFile(_ context.Context, i *tms.Invitation) ([]byte, error) {
	var b bytes.Buffer
	tokens := func(yield func(*seedfile.Token, error) bool) {
		yield(&seedfile.Token{Token: i.Token, User: string(i.User)}, nil)
	}
	err := seedfile.WritePSKC(&b, tokens, seedfile.NewSecret([]byte(i.Key.Reveal())), seedfile.PSKCOptions{Rand: rand.Reader, Iterations: 1000})
	return b.Bytes(), err
}

func (s *site) check(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

// invite gives a user an invitation, and returns its Activation Key.
func (s *site) invite(user, typ string) string {
	s.Helper()
	issued, err := s.service.Invite(s.Context(), admin, tms.NewInvitation{User: user, Type: typ, NoMail: true})
	s.check(err)
	return issued.Key.Reveal()
}

// invitation is the one of a user.
func (s *site) invitation(user string) tms.Invitation {
	s.Helper()
	i, err := s.service.InvitationOf(s.Context(), admin, otp.UserName(user), tms.InvitationID{})
	s.check(err)
	return i
}

// tokens are those that the server counts for a user.
func (s *site) tokens(user string) (all []tms.TokenView) {
	s.Helper()
	s.check(s.service.Tokens(s.Context(), admin, tms.Filter{User: otp.UserName(user)}, func(v tms.TokenView) error {
		all = append(all, v)
		return nil
	}))
	return all
}

// fingerprint is that of the certificate, as the server prints it.
func (s *site) fingerprint() string {
	sum := sha256.Sum256(s.server.Certificate().Raw)
	return strings.ReplaceAll(fmt.Sprintf("% X", sum), " ", ":")
}

// caFile is the certificate as a file.
func (s *site) caFile() string {
	file := filepath.Join(s.TempDir(), "ca.pem")
	s.check(os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.server.Certificate().Raw}), 0o600))
	return file
}

// args are the arguments to activate a token of the site.
func (s *site) args(more ...string) []string {
	return append([]string{"activate", "--server", s.URL, "--fingerprint", s.fingerprint()}, more...)
}
