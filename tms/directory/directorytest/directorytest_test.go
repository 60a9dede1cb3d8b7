package directorytest

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestOpenLDAP asks one with the programs of OpenLDAP. (Samba is asked by the tests
// of package directory.)
func TestOpenLDAP(t *testing.T) {
	ldap := StartOpenLDAP(t, OpenLDAPOptions{MemberOf: true, LDIF: Person("bob", "secret")})
	ldap.Modify(Person("alice", "secret") + Group("staff", "uid=alice,ou=people,dc=example,dc=org"))
	ldap.Kill()
	ldap.Restart()
	t.Setenv("LDAPTLS_CACERT", ldap.CAFile)
	got := run(t, "", "ldapsearch", "-LLL", "-x", "-H", ldap.TLSURL, "-D", ldap.BindDN, "-w", ldap.BindPassword, "-b", ldap.BaseDN, "(uid=*)", "memberOf", "uid")
	for _, want := range []string{"uid: bob", "memberOf: cn=staff,ou=groups,dc=example,dc=org"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestProcessEnds verifies that a server ends with the pipe that its shell watches,
// even one that is stopped.
func TestProcessEnds(t *testing.T) {
	p := startProcess(t, filepath.Join(t.TempDir(), "log"), "sleep", "1000")
	if err := syscall.Kill(p.pid, 0); err != nil {
		t.Fatalf("process %d: %v", p.pid, err)
	}
	p.signal("STOP")
	p.kill()
	if err := syscall.Kill(p.pid, 0); err != syscall.ESRCH {
		t.Errorf("process %d did not end: %v", p.pid, err)
	}
}
