package directory

import (
	"context"
	"testing"

	"countersign/tms/directory/directorytest"
)

// groupExists demands what is said of groups.
func (k *kit) groupExists(want bool, groups ...string) {
	k.Helper()
	for _, group := range groups {
		if found, err := k.GroupExists(context.Background(), group); found != want || err != nil {
			k.Errorf("group %q: %v, %v instead of %v", group, found, err, want)
		}
	}
}

func testGroupExistence(t *testing.T, ldap *directorytest.OpenLDAP) {
	k := newKit(t, "", openLDAPConfig(ldap))
	k.groupExists(true, "three", "  RING   a ", "comma, inc", "posix", "unique", groupDN("ring b"), "CN=Three , OU=Groups,DC=Example,DC=ORG", `cn=comma\, Inc,ou=groups,dc=example,dc=org`)
	k.groupExists(false, "thre", "*", "three)(cn=*", "", "\xff", "alice", personDN("alice"), groupDN("gone"), "cn=three,dc=elsewhere", "CN=,")

	// What does not count for users does not count here.
	narrow := openLDAPConfig(ldap)
	narrow.GroupFilter = "(cn=one)"
	k = newKit(t, "", narrow)
	k.groupExists(true, "one", groupDN("one"))
	k.groupExists(false, "two", groupDN("two"))
	elsewhere := openLDAPConfig(ldap)
	elsewhere.GroupBaseDN = "ou=people,dc=example,dc=org"
	newKit(t, "", elsewhere).groupExists(false, "one", groupDN("one"))
}

// TestGroupExistenceUnknown is about directories of which one does not answer: it may
// have the group that the other does not have.
func TestGroupExistenceUnknown(t *testing.T) {
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{LDIF: directorytest.Person("alice", "secret") + directorytest.Group("staff", personDN("alice"))})
	away := openLDAPConfig(ldap)
	away.Name, away.Realms, away.Servers = "away", []string{"away.test"}, []string{"ldaps://127.0.0.1:1"}
	k := newKit(t, "example.org", away, openLDAPConfig(ldap))
	k.groupExists(true, "staff")
	if found, err := k.GroupExists(context.Background(), "stuff"); found || err == nil {
		t.Errorf("a group that only a directory that is away can have: %v, %v", found, err)
	}
	ldap.Kill()
	if found, err := k.GroupExists(context.Background(), "staff"); found || err == nil {
		t.Errorf("no directory answers: %v, %v", found, err)
	}
	k.Close()
	if found, err := k.GroupExists(context.Background(), "staff"); found || err == nil {
		t.Errorf("closed: %v, %v", found, err)
	}
}

func testSambaGroupExistence(t *testing.T, samba *directorytest.Samba) {
	k := newKit(t, "", sambaConfig(samba))
	k.groupExists(true, "level1", "DOMAIN  users", "CN=Level1, CN=Users, DC=ad, DC=test", "cn=everyone,cn=users,dc=ad,dc=test")
	k.groupExists(false, "level9", "alice", "CN=alice,CN=Users,DC=ad,DC=test", "CN=Level9,CN=Users,DC=ad,DC=test", "CN=Level1,CN=Users,DC=other,DC=test", "lev*")
}
