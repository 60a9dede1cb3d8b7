package directory

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

const aliceLDIF = "dn: cn=staff,ou=groups,dc=example,dc=org\nobjectClass: groupOfNames\ncn: staff\nmember: uid=alice,ou=people,dc=example,dc=org\n\n"

func startWithAlice(t *testing.T) *directorytest.OpenLDAP {
	return directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{
		LDIF: directorytest.Person("alice", "secret") + directorytest.Person("bob", "secret") + aliceLDIF,
	})
}

// peek demands an answer from memory.
func (k *kit) peek(name string, want exclusions.Source) *exclusions.Identity {
	k.Helper()
	identity, source, ok := k.Peek([]byte(name), k.clock.now())
	if !ok || source != want {
		k.Fatalf("%q is remembered: %v, %+v, source %d instead of %d\n%s", name, ok, identity, source, want, k.log)
	}
	return identity
}

// TestOutage follows a directory from its death to its return.
func TestOutage(t *testing.T) {
	ldap := startWithAlice(t)
	k := newKit(t, "", openLDAPConfig(ldap))
	up := `countersign_directory_server_up{directory="openldap",server="` + ldap.TLSURL + `"}`
	alice := k.find("alice", exclusions.Fresh)
	k.find("nobody", exclusions.Fresh)
	ldap.Kill()

	k.peek("alice", exclusions.Fresh)
	k.clock.advance(defaultCacheTime)
	if old := k.find("alice", exclusions.Stale); old != alice {
		t.Errorf("the old answer is %+v", old)
	}
	if got := k.metric(up); got != 0 {
		t.Errorf("server_up is %v", got)
	}
	k.peek("alice", exclusions.Stale)
	for _, test := range []struct{ typed, name string }{{"bob", "bob"}, {"nobody", "nobody"}, {`ex\bob`, "bob"}, {"alice@ex", "alice"}} {
		for _, got := range []*exclusions.Identity{k.peek(test.typed, exclusions.Unavailable), k.find(test.typed, exclusions.Unavailable)} {
			if got.Name != test.name || got.Directory != "" || got.Realm != "example.org" || got.Groups != nil {
				t.Errorf("without a directory %s is %+v", test.typed, got)
			}
		}
	}
	k.peek("alice@elsewhere", exclusions.NotAsked)
	if got, err := k.VerifyPassword(context.Background(), alice, []byte("secret")); got != Undecided || !errors.Is(err, errNoServer) {
		t.Errorf("a password without a directory: %v, %v", got, err)
	}
	if err := k.Users(context.Background(), func(*exclusions.Identity) error { return nil }); err == nil || !strings.Contains(err.Error(), `directory "openldap"`) || !strings.Contains(err.Error(), ldap.TLSURL) {
		t.Errorf("listing without a directory: %v", err)
	}
	k.clock.advance(time.Hour - time.Second)
	k.peek("alice", exclusions.Stale)
	k.clock.advance(time.Second)
	k.peek("alice", exclusions.Unavailable)
	k.logged("directory server does not answer")

	ldap.Restart()
	k.eventually("the server is in service", func() bool { return k.metric(up) == 1 })
	k.logged("directory server answers again")
	if again := k.find("alice", exclusions.Fresh); strings.Join(again.Groups, ";") != strings.Join(alice.Groups, ";") || len(again.Groups) != 2 {
		t.Errorf("afterwards alice is %+v", again)
	}
	k.verify(alice, "secret", Agreed)
}

// TestKilledDuringLookups has many ask while the server dies and returns. No answer
// may be that there is no such user, or one without groups.
func TestKilledDuringLookups(t *testing.T) {
	ldap := startWithAlice(t)
	k := newKit(t, "", openLDAPConfig(ldap))
	var lookups sync.WaitGroup
	var asked [4]atomic.Int64 // by source
	done := make(chan struct{})
	for range 4 {
		lookups.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				k.clock.advance(time.Minute)
				alice, source := k.Find(context.Background(), []byte("alice"))
				asked[source].Add(1)
				if known := alice.Directory == "openldap" && len(alice.Groups) == 2; known != (source != exclusions.Unavailable) {
					t.Errorf("from source %d alice is %+v", source, alice)
				}
			}
		})
	}
	for _, source := range []exclusions.Source{exclusions.Fresh, exclusions.Unavailable, exclusions.Fresh} {
		before := asked[source].Load()
		k.eventually("lookups have such an answer", func() bool { return asked[source].Load() > before })
		if source == exclusions.Fresh {
			ldap.Kill()
		} else {
			ldap.Restart()
		}
	}
	close(done)
	lookups.Wait()
}

// TestRestartBetweenLogins has every idle connection be dead.
func TestRestartBetweenLogins(t *testing.T) {
	ldap := startWithAlice(t)
	k := newKit(t, "", openLDAPConfig(ldap))
	alice := k.find("alice", exclusions.Fresh)
	k.verify(alice, "secret", Agreed)
	ldap.Restart()
	k.clock.advance(time.Hour)
	k.verify(alice, "secret", Agreed)
	k.find("alice", exclusions.Fresh)
	if strings.Contains(k.log.String(), "does not answer") {
		t.Errorf("an outage was made of a restart:\n%s", k.log)
	}
}

// TestFrozenServer is about a server that accepts connections and does nothing.
func TestFrozenServer(t *testing.T) {
	ldap := startWithAlice(t)
	c := openLDAPConfig(ldap)
	c.Timeout = 500 * time.Millisecond
	k := newKit(t, "", c)
	alice := k.find("alice", exclusions.Fresh)
	k.verify(alice, "secret", Agreed)
	ldap.Freeze()
	k.clock.advance(defaultCacheTime)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, source := k.Find(ctx, []byte("alice")); source != exclusions.Stale {
		t.Errorf("who cannot wait gets source %d", source)
	}
	soon, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	if got, err := k.VerifyPassword(soon, alice, []byte("secret")); got != Undecided || err == nil {
		t.Errorf("a password of somebody who cannot wait: %v, %v", got, err)
	}
	cancel()
	if _, _, ok := k.Peek([]byte("alice"), k.clock.now()); ok {
		t.Error("a caller who gave up was taken for an outage")
	}
	k.find("alice", exclusions.Stale)
	k.peek("alice", exclusions.Stale)
	if got, err := k.VerifyPassword(context.Background(), alice, []byte("secret")); got != Undecided || err == nil {
		t.Errorf("a password: %v, %v", got, err)
	}
	ldap.Thaw()
	k.eventually("the server answers", func() bool {
		_, source := k.Find(context.Background(), []byte("alice"))
		return source == exclusions.Fresh
	})
}

// TestFailover has a second server take over.
func TestFailover(t *testing.T) {
	first, second := startWithAlice(t), startWithAlice(t)
	c := openLDAPConfig(first)
	c.Servers = []string{first.TLSURL, second.TLSURL}
	k := newKit(t, "", c)
	alice := k.find("alice", exclusions.Fresh)
	first.Kill()
	k.clock.advance(time.Hour)
	k.find("alice", exclusions.Fresh)
	k.verify(alice, "secret", Agreed)
	k.verify(alice, "wrong", WrongPassword)
	if checks := k.Check(context.Background()); len(checks) != 2 || checks[0].Err == nil || checks[1].Err != nil {
		t.Errorf("checked: %+v", checks)
	}
	users := 0
	if err := k.Users(context.Background(), func(*exclusions.Identity) error { users++; return nil }); err != nil || users != 2 {
		t.Errorf("%d users, %v", users, err)
	}
	second.Kill()
	k.clock.advance(defaultCacheTime)
	k.find("alice", exclusions.Stale)
}

// cutter is a server that passes everything on to another, and that one's first
// answers back; instead of passing on the next it ends the connection.
func cutter(t *testing.T, address string, answers int) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				_ = client.Close()
				return
			}
			go func() { _, _ = io.Copy(server, client) }()
			for answer := make([]byte, 1<<16); ; answers-- {
				n, err := server.Read(answer)
				if err != nil || answers == 0 {
					break
				}
				_, _ = client.Write(answer[:n])
			}
			_, _ = client.Close(), server.Close()
		}
	}()
	return "ldap://" + l.Addr().String()
}

// TestUnknownOutcome is about a bind of which nobody knows how it went: it must not
// be tried again, here or elsewhere; on a new connection or on one that was idle.
func TestUnknownOutcome(t *testing.T) {
	ldap := startWithAlice(t)
	for before := range 2 {
		c := openLDAPConfig(ldap)
		c.Servers = []string{cutter(t, strings.TrimPrefix(ldap.URL, "ldap://"), before), ldap.TLSURL}
		k := newKit(t, "", c)
		alice := &exclusions.Identity{Name: "alice", Directory: "openldap", DN: personDN("alice")}
		binds, earlier := 0, strings.Count(ldap.Log(), aliceBinds)
		for range before {
			k.verify(alice, "secret", Agreed)
			binds++
		}
		got, err := k.VerifyPassword(context.Background(), alice, []byte("secret"))
		if binds++; got != Undecided || err == nil {
			t.Errorf("a password whose answer got lost: %v, %v", got, err)
		}
		k.verify(alice, "secret", Agreed) // by the second: the first is out of service
		binds++
		if got := strings.Count(ldap.Log(), aliceBinds) - earlier; got != binds {
			t.Errorf("%d binds for %d passwords", got, binds)
		}
	}
}

// aliceBinds is how slapd logs a bind as alice.
const aliceBinds = `BIND dn="uid=alice,ou=people,dc=example,dc=org" method=128`
