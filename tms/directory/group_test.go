package directory

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/go-ldap/ldap/v3"
)

func TestFoldGroup(t *testing.T) {
	for _, test := range []struct{ group, want string }{
		{"VPN Users", "vpn users"},
		{"  VPN   Users ", "vpn users"},
		{"ÄRZTE", "ärzte"},
		{"CN=VPN Users,OU=Groups,DC=Example,DC=Org", "cn=vpn users,ou=groups,dc=example,dc=org"},
		{"CN = VPN  Users , OU=Groups; DC=Example", "cn=vpn users,ou=groups,dc=example"},
		{`CN=Smith\, Alice,DC=x`, `cn=smith\, alice,dc=x`},
		{`CN=Smith\2C Alice,DC=x`, `cn=smith\, alice,dc=x`},
		{`CN=\C3\84rzte,DC=x`, "cn=ärzte,dc=x"},
		{"CN=Ärzte,DC=x", "cn=ärzte,dc=x"},
		{`CN=\#1\+1\=2,DC=x`, `cn=\#1\+1=2,dc=x`},
		{"OU=b+CN=a,DC=x", "cn=a+ou=b,dc=x"},
		{"cn=a=b,dc=x", "cn=a=b,dc=x"},
		{"2.5.4.3=a,dc=x", "2.5.4.3=a,dc=x"},
		{"1+1=2", "1+1=2"},   // no DN, so a name
		{"a,b", "a,b"},       // the same
		{"cn=a,b", "cn=a,b"}, // the same
		{"c n=a", "c n=a"},   // the same
		{`a\`, `a\`},         // the same
		{"", ""}, {" ", ""},  // nothing
		{"a\nb", ""}, {"a\x00", ""}, {"cn=a\x00,dc=x", ""}, {"\xff", ""},
		{strings.Repeat("a", maxGroupName+1), ""},
	} {
		got, ok := FoldGroup(test.group)
		if got != test.want || ok != (test.want != "") {
			t.Errorf("%.80q is %.80q, %v instead of %q", test.group, got, ok, test.want)
		}
	}
}

func FuzzFoldGroup(f *testing.F) {
	f.Fuzz(func(t *testing.T, group string) {
		folded, ok := FoldGroup(group)
		if !ok {
			return
		}
		if again, ok := FoldGroup(folded); !ok || again != folded {
			t.Errorf("%q is %q, and that is %q, %v", group, folded, again, ok)
		}
		_, wasDN, _ := foldGroup(group)
		if _, isDN, _ := foldGroup(folded); wasDN != isDN {
			t.Errorf("%q is a DN: %v, and %q: %v", group, wasDN, folded, isDN)
		}
	})
}

// TestGroupSet is about who can take the place of a group: nobody.
func TestGroupSet(t *testing.T) {
	entry := func(dn string, cn ...string) *ldap.Entry {
		return ldap.NewEntry(dn, map[string][]string{"CN": cn})
	}
	set := &groupSet{dns: map[string]struct{}{}, interner: new(interner)}
	if !set.add(entry("CN=Staff,DC=x", "Staff", "cn=admins,dc=x", "CN=Admins, DC=X", "dc=x"), "cn") {
		t.Error("a new group is none")
	}
	if set.add(entry("cn=staff, dc=x", "other"), "cn") {
		t.Error("a known group is new")
	}
	if set.add(entry("no DN", "other"), "cn") || set.add(entry("", "other"), "cn") {
		t.Error("what has no DN is a group")
	}
	if got, want := strings.Join(set.sorted(), "; "), "cn=staff,dc=x; staff"; got != want {
		t.Errorf("the groups are %s instead of %s", got, want)
	}
}

func TestInterner(t *testing.T) {
	var i interner
	first := i.intern(strings.Repeat("a", 2))
	if second := i.intern("a" + string([]byte("a"))); unsafe.StringData(first) != unsafe.StringData(second) {
		t.Error("equal strings are two")
	}
	for n := range maxInterned {
		i.intern(strings.Repeat("b", 1+n%7) + string(rune(n)))
	}
	if len(i.known) > maxInterned {
		t.Errorf("%d strings are kept", len(i.known))
	}
}

func TestIsBelow(t *testing.T) {
	for _, test := range []struct {
		dn   string
		want bool
	}{{"dc=x", true}, {"cn=a,dc=x", true}, {"cn=a,dc=xx", false}, {"cn=a,odc=x", false}, {"dc=y", false}} {
		if got := isBelow(test.dn, "dc=x"); got != test.want {
			t.Errorf("%s: %v", test.dn, got)
		}
	}
}
