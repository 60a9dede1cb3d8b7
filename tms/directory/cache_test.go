package directory

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

// TestComingAndGoing is about users who are made and deleted while they are
// remembered.
func TestComingAndGoing(t *testing.T) {
	ldap := startWithAlice(t)
	k := newKit(t, "", openLDAPConfig(ldap))
	if carol := k.find(`ex\carol`, exclusions.Fresh); carol.Directory != "" || carol.Name != "carol" || carol.Realm != "example.org" {
		t.Errorf("who is not there is %+v", carol)
	}
	ldap.Modify(directorytest.Person("carol", "secret") + "dn: " + personDN("alice") + "\nchangetype: modify\nreplace: mail\nmail: a@b\n\n")
	k.clock.advance(30*time.Second - 1)
	if carol := k.peek(`ex\carol`, exclusions.Fresh); carol.Directory != "" {
		t.Errorf("for the not-found time carol is %+v", carol)
	}
	k.clock.advance(1)
	if _, _, ok := k.Peek([]byte(`ex\carol`), k.clock.now()); ok {
		t.Error("that there is no user was remembered for too long")
	}
	carol := k.find(`ex\carol`, exclusions.Fresh)
	if carol.Directory != "openldap" {
		t.Errorf("who is there now is %+v", carol)
	}
	if k.peek("carol", exclusions.Fresh) != carol {
		t.Error("the canonical name is not remembered")
	}

	ldap.Modify("dn: " + personDN("carol") + "\nchangetype: delete\n\n")
	k.clock.advance(defaultCacheTime - 1)
	if k.peek(`ex\carol`, exclusions.Fresh) != carol {
		t.Error("an answer is not fresh for the cache time")
	}
	k.clock.advance(1)
	if gone := k.find(`ex\carol`, exclusions.Fresh); gone.Directory != "" {
		t.Errorf("who is gone is %+v", gone)
	}
	ldap.Kill()
	k.clock.advance(time.Minute)
	k.find(`ex\carol`, exclusions.Unavailable) // and the old answer was forgotten
}

// TestBounds is about how much is remembered, and who can drive it out.
func TestBounds(t *testing.T) {
	k := filled(t, 100)
	for i := range 1000 {
		name := strings.Repeat("x", 1+i)
		k.main.nobody.Add(name, remembered{&exclusions.Identity{}, k.clock.now()})
	}
	if k.main.users.Len() != 100 || k.main.nobody.Len() != 100 {
		t.Errorf("%d users and %d others are remembered", k.main.users.Len(), k.main.nobody.Len())
	}
	k.peek("user7", exclusions.Fresh)
}

// endless is a server whose answers never end.
func endless(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = c.Read(make([]byte, 1))
				_, _ = io.WriteString(c, "\x30\x84\x7f\xff\xff\xff\x02\x01\x01\x64\x84\x7f\xff\xff\xf0\x04\x84\x7f\xff\xff\xe0")
				for block := make([]byte, 1<<16); err == nil; {
					_, err = c.Write(block)
				}
			}()
		}
	}()
	return "ldap://" + l.Addr().String()
}

func TestEndlessAnswer(t *testing.T) {
	c := unreachable("a", "example.org")
	c.Servers = []string{endless(t)}
	k := newKit(t, "", c)
	k.find("alice", exclusions.Unavailable)
	k.logged(errLongAnswer.Error())
}

// TestClose is about goroutines: none stays.
func TestClose(t *testing.T) {
	ldap := startWithAlice(t)
	before := runtime.NumGoroutine()
	c := openLDAPConfig(ldap)
	c.Servers = append(c.Servers, "ldaps://"+ldap.Host+":9")
	k := newKit(t, "", c)
	alice := k.find("alice", exclusions.Fresh)
	k.verify(alice, "secret", Agreed)
	ldap.Freeze()
	k.clock.advance(time.Hour)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	k.Find(ctx, []byte("alice")) // which leaves a question under way
	listing := make(chan error)
	go func() {
		listing <- k.Users(context.Background(), func(*exclusions.Identity) error { return nil })
	}()
	k.eventually("the listing is under way", func() bool { return len(k.main.servers[0].searches.slots) == 2 })
	k.Close()
	if err := <-listing; err == nil {
		t.Error("a listing outlived its repository")
	}
	k.eventually("all goroutines are gone", func() bool { return runtime.NumGoroutine() <= before })
	if _, source := k.Find(context.Background(), []byte("bob")); source != exclusions.Unavailable {
		t.Errorf("a closed repository answers from source %d", source)
	}
	if got, err := k.VerifyPassword(context.Background(), alice, []byte("secret")); got != Undecided || err == nil {
		t.Errorf("a closed repository judges a password: %v, %v", got, err)
	}
}

// TestMetrics reads what a scrape would.
func TestMetrics(t *testing.T) {
	ldap := startWithAlice(t)
	k := newKit(t, "", openLDAPConfig(ldap))
	alice := k.find("alice", exclusions.Fresh)
	k.find("nobody", exclusions.Fresh)
	k.peek("alice", exclusions.Fresh)
	k.verify(alice, "secret", Agreed)
	k.verify(alice, "wrong", WrongPassword)
	if err := k.Users(context.Background(), func(*exclusions.Identity) error { return nil }); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{
		`operations_total{directory="openldap",operation="lookup",result="succeeded"}`:   1,
		`operations_total{directory="openldap",operation="lookup",result="not_found"}`:   1,
		`operations_total{directory="openldap",operation="lookup",result="failed"}`:      0,
		`operations_total{directory="openldap",operation="password",result="succeeded"}`: 1,
		`operations_total{directory="openldap",operation="password",result="refused"}`:   1,
		`operations_total{directory="openldap",operation="password",result="failed"}`:    0,
		`operations_total{directory="openldap",operation="list",result="succeeded"}`:     1,
		`operation_duration_seconds{directory="openldap",operation="lookup"}`:            2,
		`cache_requests_total{directory="openldap",result="hit"}`:                        1,
		`cache_requests_total{directory="openldap",result="miss"}`:                       2,
		`cache_requests_total{directory="openldap",result="stale"}`:                      0,
		`cache_requests_total{directory="openldap",result="unavailable"}`:                0,
		`server_up{directory="openldap",server="` + ldap.TLSURL + `"}`:                   1,
	} {
		if got := k.metric("countersign_directory_" + name); got != want {
			t.Errorf("%s is %v instead of %v", name, got, want)
		}
	}
}
