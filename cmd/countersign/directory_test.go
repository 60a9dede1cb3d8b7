package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"countersign/tms/directory/directorytest"
)

// staff starts a real OpenLDAP with alice and bob, of whom alice is in the group
// helpdesk by way of night-shift, and returns its [[directory]], to which more
// settings may be appended.
func staff(t *testing.T) (*directorytest.OpenLDAP, string) {
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{
		LDIF: directorytest.Person("alice", anyPassword) + directorytest.Person("bob", anyPassword) +
			directorytest.Group("night-shift", "uid=alice,ou=people,dc=example,dc=org") +
			directorytest.Group("helpdesk", "cn=night-shift,ou=groups,dc=example,dc=org"),
	})
	return ldap, fmt.Sprintf(`
[[directory]]
name = "staff"
type = "openldap"
servers = [%q]
ca_file = %q
bind_dn = %q
bind_password = %q
base_dn = %q
realms = ["example.org", "EXAMPLE"]
`, ldap.TLSURL, ldap.CAFile, ldap.BindDN, ldap.BindPassword, ldap.BaseDN)
}

const helpdesk = `
[[exclusion]]
name = "helpdesk"
owner = "ops"
reason = "they answer the phone"
groups = ["helpdesk"]
`

func password(text string) string { return fmt.Sprintf("User-Password = %q", text) }

// While the directory is down, what it said is believed for the stale time.
func TestDirectoryDownWithOldAnswers(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	ldap, directory := staff(t)
	in := installRules(t, directory+"cache_time = \"1s\"\nstale_time = \"1h\"\n"+helpdesk)
	in.alice("--type", "hotp")
	in.start()
	in.demand("Access-Accept", `User-Name = "EXAMPLE\\alice"`, password("x"))
	ldap.Kill()
	in.await("an old answer", func() bool {
		in.demand("Access-Accept", `User-Name = "EXAMPLE\\alice"`, password("x"))
		return strings.Contains(in.log.String(), "directory=stale")
	})
	// Of bob nothing is known: he may be in the group, so he gets no answer, and
	// nothing of him is changed.
	in.demandSilence(`User-Name = "bob"`, password("x"))
	in.demandSilence(`User-Name = "unknown"`, password("x"))
	if n := in.metric(`countersign_radius_dropped_total{reason="directory_unavailable"}`); n != "2" {
		t.Errorf("%s packets were dropped because of the directory, want 2", n)
	}
	ldap.Restart()
	in.await("an answer", func() bool {
		return strings.Contains(in.radclientFor("1", `User-Name = "bob"`, password("x")), "Access-Reject")
	})
	contains(t, in.run("", "token", "list"), "A1", "alice")
}

// Without old answers there is silence, except for the right code.
func TestDirectoryDownWithoutOldAnswers(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	ldap, directory := staff(t)
	in := installRules(t, directory+"cache_time = \"1s\"\nstale_time = \"0s\"\n"+helpdesk)
	in.alice("--type", "hotp")
	in.start()
	in.demand("Access-Accept", `User-Name = "alice"`, password("x"))
	ldap.Kill()
	in.await("silence", func() bool {
		return strings.Contains(in.radclientFor("1", `User-Name = "alice"`, password("x")), "No reply")
	})
	in.demand("Access-Accept", `User-Name = "alice"`, password(eventPasscode(0)))
	in.demandSilence(`User-Name = "alice"`, password(eventPasscode(0)))
	contains(t, in.run("", "explain", in.lastEvent()), "directory does not answer", "helpdesk")
}

// demandSilence demands that a request gets no reply.
func (in *installation) demandSilence(attributes ...string) {
	in.Helper()
	if out := in.radclientFor("1", attributes...); !strings.Contains(out, "No reply") {
		in.Errorf("%q: want silence, got\n%s", attributes, out)
	}
}

// In the mode create-token the first login with the right directory password
// makes a token, which the administrator hands over.
func TestCreateToken(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	_, directory := staff(t)
	in := install(t, directory)
	in.rewrite("mode = \"create-token\"\n", directory+"[token]\ntype = \"hotp\"\n[login]\nno_token_message = \"Ask the helpdesk for your eToken.\"\n")
	in.start()
	wrong := in.demand("Access-Reject", `User-Name = "bob"`, password("wrong"))
	if strings.Contains(wrong, "helpdesk") || strings.Contains(in.run("", "token", "list"), "bob") {
		t.Errorf("a wrong password has made a token:\n%s", wrong)
	}
	contains(t, in.demand("Access-Reject", `User-Name = "bob"`, password(anyPassword)), "Ask the helpdesk")
	contains(t, in.run("", "explain", in.lastEvent()), "token_created")
	contains(t, in.run("", "token", "list"), "bob", "hotp", "never used")
	in.demand("Access-Reject", `User-Name = "bob"`, password(anyPassword)) // now it needs the code
	if n := strings.Count(in.run("", "token", "list"), "bob"); n != 1 {
		t.Errorf("%d tokens of bob, want 1", n)
	}
	contains(t, in.run("", "user", "list"), "alice", "bob", "staff", "local")
}

// A password is verified by one bind at most, and a wrong one that is repeated
// by none.
func TestOneBindALogin(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	ldap, directory := staff(t)
	in := install(t, "")
	in.rewrite("excluded = \"directory-password\"\n", directory+helpdesk)
	in.start()
	binds := func() int {
		return strings.Count(ldap.Log(), `BIND dn="uid=alice,ou=people,dc=example,dc=org" method=128`)
	}
	in.demand("Access-Accept", `User-Name = "alice"`, password(anyPassword))
	in.await("the bind in the log", func() bool { return binds() == 1 })
	for range 5 {
		in.demand("Access-Reject", `User-Name = "alice"`, password("wrong"))
	}
	in.demand("Access-Reject", `User-Name = "alice"`, password(""))
	in.demand("Access-Reject", `User-Name = "nobody"`, password("wrong"))
	in.await("the bind in the log", func() bool { return binds() == 2 })
	in.demand("Access-Accept", `User-Name = "alice"`, password(anyPassword))
	in.await("the bind in the log", func() bool { return binds() >= 3 })
	if n := binds(); n != 3 {
		t.Errorf("%d binds, want 3", n)
	}
}

// check contacts every server of every directory.
func TestCheckContactsDirectories(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	ldap, directory := staff(t)
	in := install(t, "")
	in.rewrite("", directory)
	contains(t, in.run("", "check"), "directory staff, "+ldap.TLSURL+": good")
	in.rewrite("", strings.Replace(directory, ldap.TLSURL, ldap.TLSURL+`", "ldaps://127.0.0.1:1`, 1))
	out, status := in.try("", "check")
	if status != 1 {
		t.Errorf("exit status %d with a server that is down", status)
	}
	contains(t, out, "directory staff, "+ldap.TLSURL+": good", "directory staff, ldaps://127.0.0.1:1: ", "verify servers")
}

// anyDigest is the value of a Message-Authenticator.
var anyDigest = regexp.MustCompile("0x[0-9a-f]{32}")

// A real Active Directory: nested groups, names in all forms, and what it says of
// accounts that must not log in, all the same outside and precise inside.
func TestActiveDirectoryLogins(t *testing.T) {
	need(t, "radclient", "samba")
	samba := directorytest.StartSamba(t)
	in := install(t, "")
	in.rewrite("excluded = \"directory-password\"\n", fmt.Sprintf(`
[login]
max_wrong_passwords = 4 # one more than Samba takes
[[directory]]
name = "ad"
type = "active-directory"
servers = [%q]
ca_file = %q
bind_dn = %q
bind_password = %q
base_dn = %q
realms = [%q, %q, "mail.test"]
[[exclusion]]
name = "level1"
owner = "ops"
reason = "test"
groups = ["Level1"]
[[exclusion]]
name = "everybody at night"
owner = "ops"
reason = "test"
groups = ["CN=Everyone,CN=Users,DC=ad,DC=test"]
client_ips = "192.0.2.0/24"
`, samba.TLSURL, samba.CAFile, samba.BindDN, samba.BindPassword, samba.BaseDN, directorytest.SambaRealm, directorytest.SambaDomain))
	in.start()
	contains(t, in.run("", "check"), "directory ad, "+samba.TLSURL+": good")
	const station = `Calling-Station-Id = "192.0.2.9"`
	for _, name := range []string{`alice`, `ADT\\Alice`, `ALICE@ad.test`} {
		in.demand("Access-Accept", fmt.Sprintf(`User-Name = "%s"`, name), password(directorytest.Password("alice")))
		contains(t, in.run("", "explain", in.lastEvent()), `rule "level1"`, "alice, realm ad.test (directory ad)", "excluded")
	}
	in.demand("Access-Reject", `User-Name = "bob"`, password(directorytest.Password("bob")))
	in.demand("Access-Accept", `User-Name = "bob"`, password(directorytest.Password("bob")), station)
	in.demand("Access-Accept", `User-Name = "e.jones@mail.test"`, password(directorytest.Password("erin")), station)
	contains(t, in.run("", "explain", in.lastEvent()), "e.jones@mail.test is erin")

	var refusals []string
	refused := func(user, typed, verdict string) {
		t.Helper()
		out := in.demand("Access-Reject", fmt.Sprintf("User-Name = %q", user), password(typed), station)
		contains(t, in.run("", "explain", in.lastEvent()), verdict)
		_, reply, _ := strings.Cut(out, "Received")
		_, attributes, _ := strings.Cut(reply, "\n")
		refusals = append(refusals, anyDigest.ReplaceAllString(attributes, "-"))
	}
	refused("alice", "wrong", "wrong_password")
	refused("carol", directorytest.Password("carol"), "password_expired")
	refused("dave", directorytest.Password("dave"), "directory_disabled")
	for i := range 3 {
		refused("erin", fmt.Sprintf("wrong %d", i), "wrong_password")
	}
	refused("erin", directorytest.Password("erin"), "directory_locked")
	for _, r := range refusals {
		if r != refusals[0] {
			t.Errorf("refusals differ:\n%s\n%s", refusals[0], r)
		}
	}
}
