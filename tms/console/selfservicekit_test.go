package console

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// selfSite is a site with the pages of self-service and activation.
type selfSite struct {
	*site
	group *SelfService
	users *people // nil when there is no directory
	waits chan time.Duration
}

// people are the users of a directory.
type people struct {
	mu     sync.Mutex
	of     map[string]*person
	silent bool // nobody answers
	mute   bool // about passwords
	asked  int  // about passwords
}

type person struct {
	exclusions.Identity
	password string
	verdict  otp.Verdict // instead of otp.Accepted, when the password is right
}

func (p *people) Find(_ context.Context, name []byte) (*exclusions.Identity, exclusions.Source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.silent {
		return &exclusions.Identity{Name: string(name)}, exclusions.Unavailable
	}
	plain, _, _ := strings.Cut(string(name), "@")
	if known := p.of[plain]; known != nil {
		identity := known.Identity
		return &identity, exclusions.Fresh
	}
	return &exclusions.Identity{Name: string(name)}, exclusions.Fresh
}

func (p *people) VerifyPassword(_ context.Context, identity *exclusions.Identity, password []byte) (otp.Verdict, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	known := p.of[identity.Name]
	switch {
	case p.mute:
		return otp.Undecided, errors.New("no answer")
	case len(password) == 0 || !bytes.Equal(password, []byte(known.password)):
		return otp.WrongPassword, nil
	case known.verdict != otp.Undecided:
		return known.verdict, nil
	}
	return otp.Accepted, nil
}

func (p *people) Users(context.Context, func(*exclusions.Identity) error) error { return nil }

// newSelfSite makes a site, with a directory if its users are told.
func newSelfSite(t *testing.T, users ...string) *selfSite {
	s := &selfSite{site: newSite(t), waits: make(chan time.Duration, 1000)}
	s.service.MinPINLength = func() int { return 4 }
	var repository UserRepository
	if users != nil {
		s.users = &people{of: map[string]*person{}}
		for _, name := range users {
			s.users.of[name] = &person{Identity: exclusions.Identity{Name: name, Directory: "corp", Mail: name + "@example.com"}, password: "Secret of " + name}
		}
		repository, s.service.Directory = s.users, s.users
	}
	s.serve(repository)
	return s
}

// serve serves the site with a directory, nil for none.
func (s *selfSite) serve(repository UserRepository) {
	s.group = NewSelfService(SelfServiceOptions{
		Pages: s.pages, Service: s.service, Users: repository,
		Verifier: otp.NewVerifier(s.service.Store.(otp.TokenStore), otp.DefaultPolicy()),
		After: func(d time.Duration) <-chan time.Time {
			s.waits <- d
			now := make(chan time.Time)
			close(now)
			return now
		},
	})
	s.start(s.group, s.activation())
}

// seed is that of a user's token.
func seed(serial string) oath.Seed {
	return oath.NewSeed([]byte((serial + strings.Repeat("s", 20))[:20]))
}

// addUser adds a user with OTP PIN 8152 and a token.
func (s *selfSite) addUser(name, serial string) {
	s.Helper()
	_, err := s.service.AddUser(s.Context(), admin, tms.NewUser{Name: name, PIN: otp.NewPIN([]byte("8152"))})
	s.check(err)
	s.addToken(name, serial)
}

func (s *selfSite) addToken(name, serial string) {
	s.Helper()
	_, err := s.service.AddToken(s.Context(), admin, tms.NewToken{Serial: serial, User: name, Seed: seed(serial)})
	s.check(err)
}

// shown is the code that the token of a serial shows after a time.
func (s *selfSite) shown(serial string, later time.Duration) string {
	return oath.TOTP(oath.SHA1, seed(serial), s.now().Add(later), 0, 30, 6)
}

// signIn signs a user in, at the next code of the token.
func (s *selfSite) signIn(name, serial string) *visitorClient {
	s.Helper()
	s.wait(30 * time.Second)
	v := s.visitor()
	answer := s.try(v, name, "Secret of "+name, "8152"+s.shown(serial, 0))
	answer.want(s.site, http.StatusSeeOther)
	if to := answer.Header.Get("Location"); to != "/self" {
		s.Fatalf("sent to %q", to)
	}
	return v
}

// try is one attempt to sign in.
func (s *selfSite) try(v *visitorClient, name, password, passcode string) visitAnswer {
	s.Helper()
	form := []string{"user", name, "passcode", passcode}
	if s.users != nil {
		form = append(form, "password", password)
	}
	return v.post("/self", form...)
}

// events are the latest of the journal, the newest first: verbs and verdicts.
func (s *selfSite) events(n int) (all []string) {
	s.Helper()
	s.check(s.service.Events(s.Context(), admin, tms.Filter{Limit: n}, func(e *tms.Event) error {
		what := e.Actor + " " + e.Verb + " " + e.Object
		if e.Kind == tms.LoginEvent {
			what = e.NAS + " " + e.Login.User + " " + e.Decision.Verdict.String()
		}
		all = append(all, what)
		return nil
	}))
	return all
}

// wantEvents checks the latest events.
func (s *selfSite) wantEvents(want ...string) {
	s.Helper()
	got := s.events(len(want))
	if strings.Join(got, "; ") != strings.Join(want, "; ") {
		s.Errorf("events %q, want %q", got, want)
	}
}

// following goes where a visitor is sent.
func (v *visitorClient) following(answer visitAnswer, to string) visitAnswer {
	v.Helper()
	answer.want(v.site, http.StatusSeeOther)
	if got := answer.Header.Get("Location"); got != to {
		v.Errorf("sent to %q, want %q", got, to)
	}
	return v.get(to)
}

// moment is an instant as the pages show it.
func moment(text string) string { return unbroken.Replace(text) }
