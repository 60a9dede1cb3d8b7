package console

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms/directory"
	"countersign/tms/directory/directorytest"
)

// openLDAP is a directory.Repository in the words of this package.
type openLDAP struct{ *directory.Repository }

func (l openLDAP) VerifyPassword(ctx context.Context, identity *exclusions.Identity, password []byte) (otp.Verdict, error) {
	refusal, err := l.Repository.VerifyPassword(ctx, identity, password)
	switch {
	case err != nil:
		return otp.Undecided, err
	case refusal == directory.Agreed:
		return otp.Accepted, nil
	}
	return otp.WrongPassword, nil
}

// The passwords are those of a real directory, which locks after three wrong ones:
// without a code nobody can have it do that.
func TestSignInByOpenLDAP(t *testing.T) {
	s := newSelfSite(t, "nobody")
	s.server.Close()
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{PasswordPolicy: true})
	ldap.Modify(directorytest.Person("Alice", "pass word ", "mail: alice@mail.example") + directorytest.Person("bob", "bob's"))
	users, err := directory.New(directory.Options{
		Directories: []directory.Config{{
			Name: "corp", Type: directory.OpenLDAP, Servers: []string{ldap.TLSURL}, CAFile: ldap.CAFile, Realms: []string{"corp.example"},
			BindDN: ldap.BindDN, BindPassword: directory.NewPassword([]byte(ldap.BindPassword)), BaseDN: ldap.BaseDN,
		}},
		Clock: s.now, Logger: slog.New(slog.DiscardHandler), Registerer: prometheus.NewRegistry(),
	})
	s.check(err)
	t.Cleanup(users.Close)
	s.service.Directory = users
	s.serve(openLDAP{users})

	s.addUser("alice", "A-1")
	s.addUser("local", "L-1")
	for range 5 { // without a right code the directory is not asked
		s.wait(2 * time.Minute)
		s.try(s.visitor(), "alice", "guess", "8152000000").want(s.site, 403)
	}
	s.wait(time.Minute)
	s.try(s.visitor(), "local", "guess", "8152"+s.shown("L-1", 0)).want(s.site, 403)
	s.try(s.visitor(), "bob", "bob's", "8152"+s.shown("A-1", 0)).want(s.site, 403)
	s.try(s.visitor(), "alice", "pass word", "8152"+s.shown("A-1", 0)).want(s.site, 403)
	s.wantEvents("self-service alice wrong_password", "self-service alice accepted", "self-service bob unknown_user", "self-service local unknown_user")
	s.wait(time.Minute)
	v := s.visitor()
	s.try(v, "corp.example\\ALICE", "pass word ", "8152"+s.shown("A-1", 0)).want(s.site, 303)
	v.get("/self").want(s.site, 200, "<strong>alice</strong>", "A-1")
	v.post("/self/lost", "serial", "A-1").wantText(s.site, "en", "self.done.lost-mail", "a***e@mail.example")
}
