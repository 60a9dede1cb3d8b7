package directory

import (
	"strings"
	"testing"

	"github.com/go-ldap/ldap/v3"

	"countersign/exclusions"
)

func TestSplitName(t *testing.T) {
	for _, test := range []struct {
		name, user, realm string
		q                 qualifier
	}{
		{"", "", "", plain},
		{"alice", "alice", "", plain},
		{"alice@ex", "alice", "ex", atRealm},
		{"alice@b@ex", "alice@b", "ex", atRealm},
		{`ex\alice`, "alice", "ex", domain},
		{`ex\alice@b`, "alice@b", "ex", domain},
		{`a@b\alice`, "alice", "a@b", domain},
		{`a\b\c`, `b\c`, "a", domain},
		{"@", "", "", atRealm},
		{`\`, "", "", domain},
		{"a@", "a", "", atRealm},
		{"@a", "", "a", atRealm},
	} {
		user, realm, q := splitName(test.name)
		if user != test.user || realm != test.realm || q != test.q {
			t.Errorf("%q is %q of %q, %d", test.name, user, realm, q)
		}
	}
}

func FuzzSplitName(f *testing.F) {
	f.Fuzz(func(t *testing.T, name string) {
		user, realm, q := splitName(name)
		joined := map[qualifier]string{plain: user, domain: realm + `\` + user, atRealm: user + "@" + realm}[q]
		if joined != name {
			t.Errorf("%q is %q of %q", name, user, realm)
		}
		if strings.Contains(realm, `\`) || q == atRealm && strings.Contains(realm, "@") || q != domain && strings.Contains(name, `\`) {
			t.Errorf("%q is of realm %q", name, realm)
		}
		bytesUser, bytesRealm, again := splitName([]byte(name))
		if string(bytesUser) != user || string(bytesRealm) != realm || again != q {
			t.Errorf("%q is not the same as bytes", name)
		}
	})
}

// unreachable is a directory that is never asked in these tests.
func unreachable(name string, realms ...string) Config {
	return Config{Name: name, Type: OpenLDAP, Servers: []string{"ldaps://" + name + ".invalid"}, BaseDN: "dc=x", Realms: realms}
}

// TestDirectoryOf is about whose name a name is, before anybody is asked.
func TestDirectoryOf(t *testing.T) {
	a, b := unreachable("a", "A.example", "A"), unreachable("b", "b.example")
	for _, test := range []struct {
		about       string
		realm       string
		directories []Config
		want        map[string]string
	}{
		{"one directory", "", []Config{a}, map[string]string{"u": "a", "u@a": "a", `a.example\u`: "a", "u@b.example": "", "": ""}},
		{"two without default", "", []Config{a, b}, map[string]string{"u": "", "u@a.example": "a", "u@b.example": "b"}},
		{"two with default", "B.EXAMPLE", []Config{a, b}, map[string]string{"u": "b", "u@a": "a", `b.example\u`: "b"}},
		{"none", "", nil, map[string]string{"u": "", "u@a": ""}},
	} {
		k := newKit(t, test.realm, test.directories...)
		for name, want := range test.want {
			got := ""
			if d := k.directoryOf([]byte(name)); d != nil {
				got = d.Name
			} else if identity := k.find(name, exclusions.NotAsked); identity.Name != name {
				t.Errorf("%s: %q is %+v", test.about, name, identity)
			}
			if got != want {
				t.Errorf("%s: %q is asked of %q instead of %q", test.about, name, got, want)
			}
		}
	}
	k := newKit(t, "", a, b)
	for name, realm := range map[string]string{"u@c": "c", `c\u`: "c", "u": "", "u@d@c": "c"} {
		if got := k.find(name, exclusions.NotAsked); got.Realm != realm || got.Directory != "" {
			t.Errorf("%q is %+v", name, got)
		}
	}
}

// TestUnknownNames is about what a name alone tells. It must never be the name of
// a user of another directory.
func TestUnknownNames(t *testing.T) {
	k := newKit(t, "a", unreachable("a", "a", "a2"), unreachable("b", "b", "b2"))
	for name, want := range map[string]string{
		"u": "u", "u@a": "u", `a2\u`: "u", "u@a2": "u",
		"u@b": "u@b", `b2\u`: "u@b", "u@b2": "u@b",
		"u@b@a": "u@b@a", "u@c@a": "u@c@a", `a\u@b`: `a\u@b`, "u@a@b2": "u@a@b", `a\b\u`: `a\b\u`,
	} {
		if got := k.directoryOf([]byte(name)).unknown(name); got.Name != want || got.Directory != "" {
			t.Errorf("of %q alone: %+v instead of %q", name, got, want)
		}
	}
}

// TestCanonicalNames is about names and realms that are written down, and have to
// become those that identities have, without asking.
func TestCanonicalNames(t *testing.T) {
	a, b := unreachable("a", "A.example", "A", "mail.test"), unreachable("b", "b.example", "B")
	for _, test := range []struct {
		about       string
		realm       string
		directories []Config
		want        map[string]string
	}{
		{"one directory", "", []Config{a}, map[string]string{
			"u": "u", `a\u`: "u", "u@a.example": "u", "u@a": "u", "u@mail.test": "u",
			"u@b": "u@b", `b\u`: `b\u`, "u@b@a": "u@b@a", `a\`: `a\`, "@a": "@a", "": "",
		}},
		{"two without default", "", []Config{a, b}, map[string]string{
			"u": "u", `a\u`: "u@a.example", "u@mail.test": "u@a.example", "u@a.example": "u@a.example", "u@b": "u@b.example", "u@c": "u@c",
		}},
		{"two with default", "B", []Config{a, b}, map[string]string{
			"u": "u", `b\u`: "u", "u@b.example": "u", `a\u`: "u@a.example", "u@a@b": "u@a@b", `c\u`: `c\u`,
		}},
		{"none", "", nil, map[string]string{"u": "u", "u@a": "u@a", `a\u`: `a\u`}},
	} {
		k := newKit(t, test.realm, test.directories...)
		for name, want := range test.want {
			if got := k.CanonicalName(name); got != want {
				t.Errorf("%s: %q is %q instead of %q", test.about, name, got, want)
			}
		}
	}
	k := newKit(t, "", a, b)
	for realm, want := range map[string]string{"a": "a.example", "mail.test": "a.example", "a.example": "a.example", "b": "b.example", "c": "c", "": ""} {
		if got := k.CanonicalRealm(realm); got != want {
			t.Errorf("realm %q is %q instead of %q", realm, got, want)
		}
	}
	var none *Repository
	if name, realm := none.CanonicalName(`a\u`), none.CanonicalRealm("a"); name != `a\u` || realm != "a" {
		t.Errorf("without a repository: name %q, realm %q", name, realm)
	}
}

// TestUserFilter is about what a name is looked for as.
func TestUserFilter(t *testing.T) {
	ad := unreachable("ad", "ad.test", "adt")
	ad.Type, ad.UserFilter = ActiveDirectory, "(f=1)"
	other := unreachable("other", "x")
	other.LoginAttributes, other.UserFilter = []string{"mail"}, "(f=1)"
	principals := ad
	principals.LoginAttributes, principals.NameAttribute = []string{"userPrincipalName"}, "userPrincipalName"
	for _, test := range []struct {
		config     Config
		name, want string
	}{
		{ad, "alice", "(&(f=1)(|(sAMAccountName=alice)))"},
		{ad, `adt\alice`, "(&(f=1)(|(sAMAccountName=alice)))"},
		{ad, "alice@adt", "(&(f=1)(|(sAMAccountName=alice)(userPrincipalName=alice@adt)))"},
		{ad, "*)(cn=*@adt", `(&(f=1)(|(sAMAccountName=\2a\29\28cn=\2a)(userPrincipalName=\2a\29\28cn=\2a@adt)))`},
		{principals, "alice", "(&(f=1)(|(userPrincipalName=alice@ad.test)))"},
		{principals, "alice@adt", "(&(f=1)(|(userPrincipalName=alice@adt)))"},
		{other, "alice", "(&(f=1)(|(mail=alice)(uid=alice)))"},
		{other, "alice@x", "(&(f=1)(|(mail=alice)(mail=alice@x)(uid=alice)(uid=alice@x)))"},
	} {
		k := newKit(t, "", test.config)
		a := k.ask(test.name)
		if got := a.directory.userFilter(a); got != test.want {
			t.Errorf("%q is looked for as %s instead of %s", test.name, got, test.want)
		}
	}
}

// FuzzUserFilter is about names that would like to be more than a value.
func FuzzUserFilter(f *testing.F) {
	k := newKit(f, "", unreachable("a", "x"))
	f.Fuzz(func(t *testing.T, name string) {
		a := k.ask(name)
		if a.directory == nil {
			return
		}
		compiled, err := ldap.CompileFilter(a.directory.userFilter(a))
		if err != nil || len(compiled.Children) != 2 {
			t.Fatalf("%q makes no filter: %v", name, err)
		}
		for _, term := range compiled.Children[1].Children {
			value, _ := term.Children[1].Value.(string)
			if term.Tag != ldap.FilterEqualityMatch || value != a.user && value != name {
				t.Errorf("%q makes a term of kind %d with value %q", name, term.Tag, value)
			}
		}
		if terms := len(compiled.Children[1].Children); terms != 1 && (terms != 2 || a.qualifier != atRealm) {
			t.Errorf("%q makes %d terms", name, terms)
		}
	})
}
