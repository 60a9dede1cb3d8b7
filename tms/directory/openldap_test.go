package directory

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

// TestOpenLDAP is about one OpenLDAP, in parts that do not disturb each other.
func TestOpenLDAP(t *testing.T) {
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{MemberOf: true, PasswordPolicy: true})
	ldap.Modify(directorytest.Person("alice", "secret", "mail: alice@mail.example", "mobile: +49 151 1", "employeeNumber: 4711") +
		directorytest.Person("bob", "secret", "mail: alice2@mail.example") +
		directorytest.Person("twin", "secret", "uid: other-twin", "employeeNumber: 1") +
		directorytest.Person("jörg", "secret") +
		directorytest.Person("twin2", "secret", "employeeNumber: 1") +
		directorytest.Person("locked", "secret") +
		directorytest.Person("reset", "secret") +
		directorytest.Group("three", personDN("alice")) +
		directorytest.Group("two", groupDN("three")) +
		directorytest.Group("one", groupDN("two")) +
		directorytest.Group("Ring A", groupDN("one")) +
		directorytest.Group("Ring B", groupDN("Ring A")) +
		directorytest.Group("others", personDN("bob")) + more)
	t.Run("names", func(t *testing.T) { testNames(t, ldap) })
	t.Run("groups", func(t *testing.T) { testGroups(t, ldap) })
	t.Run("existence", func(t *testing.T) { testGroupExistence(t, ldap) })
	t.Run("ambiguity", func(t *testing.T) { testAmbiguity(t, ldap) })
	t.Run("passwords", func(t *testing.T) { testPasswords(t, ldap) })
	t.Run("binds", func(t *testing.T) { testBinds(t, ldap) })
	t.Run("crowd", func(t *testing.T) { testCrowd(t, ldap) })
}

// more closes the ring of groups, and makes groups and accounts of other kinds.
const more = `dn: cn=Ring A,ou=groups,dc=example,dc=org
changetype: modify
add: member
member: cn=Ring B,ou=groups,dc=example,dc=org

dn: cn=comma\2C Inc,ou=groups,dc=example,dc=org
changetype: add
objectClass: groupOfNames
cn: comma, Inc
member: uid=alice,ou=people,dc=example,dc=org

dn: cn=outer,ou=groups,dc=example,dc=org
changetype: add
objectClass: groupOfNames
cn: outer
member: cn=comma\, Inc,ou=groups,dc=example,dc=org

dn: cn=posix,ou=groups,dc=example,dc=org
changetype: add
objectClass: posixGroup
cn: posix
gidNumber: 1
memberUid: alice

dn: cn=unique,ou=groups,dc=example,dc=org
changetype: add
objectClass: groupOfUniqueNames
cn: unique
cn: cn=others,ou=groups,dc=example,dc=org
uniqueMember: uid=alice,ou=people,dc=example,dc=org

dn: uid=locked,ou=people,dc=example,dc=org
changetype: modify
replace: pwdAccountLockedTime
pwdAccountLockedTime: 000001010000Z

dn: uid=reset,ou=people,dc=example,dc=org
changetype: modify
replace: pwdReset
pwdReset: TRUE

`

func testNames(t *testing.T, ldap *directorytest.OpenLDAP) {
	byMail := openLDAPConfig(ldap)
	byMail.Name, byMail.Realms, byMail.LoginAttributes = "second", []string{"mail.example"}, []string{"mail", "employeeNumber"}
	k := newKit(t, "example.org", openLDAPConfig(ldap), byMail)
	for _, test := range []struct {
		typed, name, directory string
		source                 exclusions.Source
	}{
		{"alice", "alice", "openldap", exclusions.Fresh},
		{"ALICE", "alice", "openldap", exclusions.Fresh},
		{"alice@example.org", "alice", "openldap", exclusions.Fresh},
		{"Alice@EX", "alice", "openldap", exclusions.Fresh},
		{`ex\alice`, "alice", "openldap", exclusions.Fresh},
		{"alice@mail.example", "alice@mail.example", "second", exclusions.Fresh},
		{"4711@mail.example", "alice@mail.example", "second", exclusions.Fresh},
		{`mail.example\4711`, "alice@mail.example", "second", exclusions.Fresh},
		{"alice2@mail.example", "bob@mail.example", "second", exclusions.Fresh},
		{"JÖRG@ex", "jörg", "openldap", exclusions.Fresh},
		{"other-twin", "twin", "openldap", exclusions.Fresh},
		{"nobody@mail.example", "nobody@mail.example", "", exclusions.Fresh},
		{"nobody", "nobody", "", exclusions.Fresh},
		{"nobody@example.org", "nobody", "", exclusions.Fresh},
		{"alice@mail.example@example.org", "alice@mail.example@example.org", "", exclusions.Fresh},
		{"*", "*", "", exclusions.Fresh},
		{"*)(uid=*", "*)(uid=*", "", exclusions.Fresh},
		{"alice)(|(uid=*", "alice)(|(uid=*", "", exclusions.Fresh},
		{"alice\x00", "alice\x00", "", exclusions.Fresh},
		{"al\xffice", "al\xffice", "", exclusions.Fresh},
		{"alice@elsewhere", "alice@elsewhere", "", exclusions.NotAsked},
		{`elsewhere\alice`, `elsewhere\alice`, "", exclusions.NotAsked},
		{"@example.org", "@example.org", "", exclusions.NotAsked},
		{`ex\`, `ex\`, "", exclusions.NotAsked},
		{"alice@", "alice@", "", exclusions.NotAsked},
		{"", "", "", exclusions.NotAsked},
	} {
		got := k.find(test.typed, test.source)
		if got.Name != strings.ToLower(test.name) || got.Directory != test.directory {
			t.Errorf("%q is %q of directory %q instead of %q of %q", test.typed, got.Name, got.Directory, test.name, test.directory)
		}
		if again, source, ok := k.Peek([]byte(strings.ToLower(test.typed)), k.clock.now()); !ok || source != test.source || again.Name != got.Name {
			t.Errorf("%q is remembered as %+v, %v, %v", test.typed, again, source, ok)
		}
	}
}

func testGroups(t *testing.T, ldap *directorytest.OpenLDAP) {
	const (
		level1 = `comma, inc; cn=comma\, inc,ou=groups,dc=example,dc=org; cn=posix,ou=groups,dc=example,dc=org; cn=three,ou=groups,dc=example,dc=org; cn=unique,ou=groups,dc=example,dc=org; posix; three; unique`
		all    = `cn=comma\, inc,ou=groups,dc=example,dc=org; cn=one,ou=groups,dc=example,dc=org; cn=outer,ou=groups,dc=example,dc=org; cn=posix,ou=groups,dc=example,dc=org; cn=ring a,ou=groups,dc=example,dc=org; cn=ring b,ou=groups,dc=example,dc=org; cn=three,ou=groups,dc=example,dc=org; cn=two,ou=groups,dc=example,dc=org; cn=unique,ou=groups,dc=example,dc=org; comma, inc; one; outer; posix; ring a; ring b; three; two; unique`
	)
	for _, test := range []struct {
		about  string
		change func(*Config)
		want   string
	}{
		{"all, through a ring", func(c *Config) { c.GroupDepth = 1_000_000 }, all},
		{"as generic", func(c *Config) { c.Type = Generic }, all},
		{"direct ones", func(c *Config) { c.NestedGroups = false }, strings.Join(sortedParts(level1), "; ")},
		{"two levels", func(c *Config) { c.GroupDepth, c.GroupFilter = 2, "(|(cn=t*)(cn=one))" },
			"cn=three,ou=groups,dc=example,dc=org; cn=two,ou=groups,dc=example,dc=org; three; two"},
		{"below a base", func(c *Config) { c.GroupBaseDN = "ou=people,dc=example,dc=org" }, ""},
	} {
		c := openLDAPConfig(ldap)
		test.change(&c)
		k := newKit(t, "", c)
		if got := strings.Join(k.find("alice", exclusions.Fresh).Groups, "; "); got != test.want {
			t.Errorf("%s: alice is in\n%s instead of\n%s", test.about, got, test.want)
		}
	}
	k := newKit(t, "", openLDAPConfig(ldap))
	if got := k.find("locked", exclusions.Fresh); !got.Disabled {
		t.Errorf("an account locked for good is not disabled: %+v", got)
	}
	alice := k.find("alice", exclusions.Fresh)
	if alice.Mail != "alice@mail.example" || alice.Phone != "+49 151 1" || alice.Disabled || alice.DN != personDN("alice") || alice.Realm != "example.org" {
		t.Errorf("alice is %+v", alice)
	}
}

func sortedParts(list string) []string {
	set := &groupSet{names: strings.Split(list, "; ")}
	return set.sorted()
}

func testAmbiguity(t *testing.T, ldap *directorytest.OpenLDAP) {
	c := openLDAPConfig(ldap)
	c.LoginAttributes = []string{"uid", "employeeNumber"}
	k := newKit(t, "", c)
	if got := k.find("1", exclusions.Unavailable); got.Directory != "" || got.Groups != nil || got.Name != "1" {
		t.Errorf("two users make %+v", got)
	}
	k.logged("several users match the name")
	k.find("alice", exclusions.Fresh) // and nothing is wrong with the server

	c = openLDAPConfig(ldap)
	c.NameAttribute = "mail" // whose realm is not this directory's
	k = newKit(t, "", c)
	k.find("alice", exclusions.Unavailable)
	k.logged("is no user name of this directory")
}

func testPasswords(t *testing.T, ldap *directorytest.OpenLDAP) {
	k := newKit(t, "", openLDAPConfig(ldap))
	verify := func(user, password string, want Refusal) {
		t.Helper()
		k.verify(k.find(user, exclusions.Fresh), password, want)
	}
	verify("alice", "secret", Agreed)
	verify("alice", "wrong", WrongPassword)
	verify("alice", "", WrongPassword)
	verify("reset", "secret", PasswordExpired)
	verify("locked", "secret", AccountLocked)
	for range 3 {
		verify("bob", "wrong", WrongPassword)
	}
	verify("bob", "secret", AccountLocked)
	gone := *k.find("twin", exclusions.Fresh)
	gone.DN = personDN("gone")
	k.verify(&gone, "secret", WrongPassword) // slapd does not tell the difference
	for _, wrong := range []exclusions.Identity{{Name: "x"}, {Name: "x", Directory: "openldap"}, {Name: "x", Directory: "other", DN: personDN("alice")}} {
		if got, err := k.VerifyPassword(context.Background(), &wrong, []byte("secret")); got != Undecided || err == nil {
			t.Errorf("password of %+v: %v, %v", wrong, got, err)
		}
	}
}

// testBinds counts the binds that reach the server.
func testBinds(t *testing.T, ldap *directorytest.OpenLDAP) {
	k := newKit(t, "", openLDAPConfig(ldap))
	twin := k.find("twin", exclusions.Fresh)
	count := func() int { return strings.Count(ldap.Log(), `BIND dn="`+personDN("twin")+`" method=128`) }
	for i, password := range []string{"wrong", "secret", "wrong", "secret"} {
		before := count()
		k.verify(twin, password, []Refusal{WrongPassword, Agreed}[i%2])
		k.eventually("the bind is in the log", func() bool { return count() > before })
		if got := count() - before; got != 1 {
			t.Errorf("%d binds for one password", got)
		}
	}
	before := count()
	k.verify(twin, "", WrongPassword)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if got, err := k.VerifyPassword(ctx, twin, []byte("secret")); got != Undecided || err == nil {
		t.Errorf("with a context that has ended: %v, %v", got, err)
	}
	if got := count() - before; got != 0 {
		t.Errorf("%d binds where none was needed", got)
	}
}

// testCrowd has many ask at once, of whom one asks the server.
func testCrowd(t *testing.T, ldap *directorytest.OpenLDAP) {
	c := openLDAPConfig(ldap)
	c.Connections = 3
	k := newKit(t, "", c)
	var crowd sync.WaitGroup
	for range 16 {
		crowd.Go(func() {
			for _, name := range []string{"alice", "bob", "nobody", `ex\alice`, "twin@ex"} {
				identity := k.find(name, exclusions.Fresh)
				if again, source, ok := k.Peek([]byte(name), k.clock.now()); !ok || source != exclusions.Fresh || again.Name != identity.Name {
					t.Errorf("%s is remembered as %+v, %v, %v", name, again, source, ok)
				}
				if identity.Directory == "" {
					continue
				}
				if got, err := k.VerifyPassword(context.Background(), identity, []byte("secret")); err != nil || got == Undecided {
					t.Errorf("password of %s: %v, %v", name, got, err)
				}
			}
		})
	}
	crowd.Wait()
	k.clock.advance(defaultCacheTime + time.Second)
	if _, _, ok := k.Peek([]byte("alice"), k.clock.now()); ok {
		t.Error("an answer is fresh for longer than the cache time")
	}
}
