package directory

import (
	"slices"
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

// TestActiveDirectory is about one Samba, in parts that do not disturb each other.
func TestActiveDirectory(t *testing.T) {
	samba := directorytest.StartSamba(t)
	samba.Modify("dn: CN=bob,CN=Users,DC=ad,DC=test\nchangetype: modify\nreplace: userPrincipalName\nuserPrincipalName: frank@mail.test\n\n")
	t.Run("names", func(t *testing.T) { testSambaNames(t, samba) })
	t.Run("UPN of another", func(t *testing.T) { testSambaUPN(t, samba) })
	t.Run("groups", func(t *testing.T) { testSambaGroups(t, samba) })
	t.Run("existence", func(t *testing.T) { testSambaGroupExistence(t, samba) })
	t.Run("passwords", func(t *testing.T) { testSambaPasswords(t, samba) })
}

func testSambaNames(t *testing.T, samba *directorytest.Samba) {
	second := sambaConfig(samba) // the same users, as another directory
	second.Name, second.Realms = "second", []string{"second.test"}
	k := newKit(t, "ad.test", sambaConfig(samba), second)
	for _, test := range []struct{ typed, name, directory string }{
		{"alice", "alice", "active-directory"},
		{"alice@ad.test", "alice", "active-directory"},
		{"ALICE@AD.Test", "alice", "active-directory"},
		{`adt\alice`, "alice", "active-directory"},
		{`ADT\Alice`, "alice", "active-directory"},
		{"alice@adt", "alice", "active-directory"},
		{`ad.test\alice`, "alice", "active-directory"},
		{"e.jones@mail.test", "erin", "active-directory"},
		{"erin", "erin", "active-directory"},
		{`adt\erin`, "erin", "active-directory"},
		{"erin@ad.test", "erin", "active-directory"},
		{"alice@second.test", "alice@second.test", "second"},
		{`second.test\alice`, "alice@second.test", "second"},
		{"nobody", "nobody", ""},
		{`adt\nobody`, "nobody", ""},
		{"nobody@ad.test", "nobody", ""},
		{"nobody@second.test", "nobody@second.test", ""},
		{"e.jones", "e.jones", ""},
		{"e.jones@ad.test", "e.jones", ""},
		{"*", "*", ""},
		{"alice*", "alice*", ""},
		{"*)(sAMAccountName=*", "*)(samaccountname=*", ""},
		{"alice)(|(cn=*", "alice)(|(cn=*", ""},
		{`a\2a`, "", "not asked"},
	} {
		want := exclusions.Fresh
		if test.directory == "not asked" {
			want, test.name, test.directory = exclusions.NotAsked, test.typed, ""
		}
		got := k.find(test.typed, want)
		if got.Name != test.name || got.Directory != test.directory {
			t.Errorf("%q is %q of directory %q instead of %q of %q", test.typed, got.Name, got.Directory, test.name, test.directory)
		}
	}
}

// testSambaUPN is about a UPN that is the account name of somebody else.
func testSambaUPN(t *testing.T, samba *directorytest.Samba) {
	k := newKit(t, "", sambaConfig(samba))
	if got := k.find("frank@mail.test", exclusions.Unavailable); got.Directory != "" || got.Groups != nil {
		t.Errorf("two users make %+v", got)
	}
	k.logged("several users match the name")
	if got := k.find("frank", exclusions.Fresh); got.Name != "frank" {
		t.Errorf("frank is %+v", got)
	}
}

func testSambaGroups(t *testing.T, samba *directorytest.Samba) {
	k := newKit(t, "", sambaConfig(samba))
	alice := k.find("alice", exclusions.Fresh)
	for _, group := range []string{"level3", "level2", "level1", "everyone", "domain users",
		"CN=Level1, CN=Users, DC=ad, DC=test", "CN=Domain Users,CN=Users,DC=AD,DC=TEST"} {
		folded, ok := FoldGroup(group)
		if _, has := slices.BinarySearch(alice.Groups, folded); !ok || !has {
			t.Errorf("alice is not in %q: %q", group, alice.Groups)
		}
	}
	if slices.Contains(alice.Groups, "others") {
		t.Errorf("alice is in others: %q", alice.Groups)
	}
	if alice.Mail != "alice@mail.test" || alice.Phone != "+49 151 1" || alice.Disabled || alice.Realm != "ad.test" || alice.DN != "CN=alice,CN=Users,DC=ad,DC=test" {
		t.Errorf("alice is %+v", alice)
	}
	if dave := k.find("dave", exclusions.Fresh); !dave.Disabled {
		t.Errorf("dave is not disabled: %+v", dave)
	}

	if frank := k.find("frank", exclusions.Fresh); frank.DN != `CN=Frank\, Jr. Smith,CN=Users,DC=ad,DC=test` || !slices.Contains(frank.Groups, "others") || !slices.Contains(frank.Groups, "everyone") {
		t.Errorf("frank is %+v", frank)
	}

	direct := sambaConfig(samba)
	direct.NestedGroups = false
	got := strings.Join(newKit(t, "", direct).find("alice", exclusions.Fresh).Groups, "; ")
	const want = "cn=domain users,cn=users,dc=ad,dc=test; cn=level3,cn=users,dc=ad,dc=test; domain users; level3"
	if got != want {
		t.Errorf("alice is directly in %s instead of %s", got, want)
	}

	below := sambaConfig(samba)
	below.GroupBaseDN, below.GroupFilter = "CN=Users,DC=ad,DC=test", "(cn=Level1)"
	got = strings.Join(newKit(t, "", below).find("alice", exclusions.Fresh).Groups, "; ")
	if want := "cn=level1,cn=users,dc=ad,dc=test; level1"; got != want {
		t.Errorf("of the groups that count, alice is in %s instead of %s", got, want)
	}
}

func testSambaPasswords(t *testing.T, samba *directorytest.Samba) {
	k := newKit(t, "", sambaConfig(samba))
	verify := func(user, password string, want Refusal) {
		t.Helper()
		k.verify(k.find(user, exclusions.Fresh), password, want)
	}
	verify("alice", directorytest.Password("alice"), Agreed)
	verify("alice", "wrong", WrongPassword) // 52e
	verify("alice", "", WrongPassword)      // a bind would succeed
	verify("alice", directorytest.Password("alice")+"\x00", WrongPassword)
	verify("frank", directorytest.Password("frank"), Agreed)
	verify("carol", directorytest.Password("carol"), PasswordExpired) // 773
	verify("dave", directorytest.Password("dave"), AccountDisabled)   // 533
	for range 3 {
		verify("bob", "wrong", WrongPassword)
	}
	verify("bob", directorytest.Password("bob"), AccountLocked) // 775
	if counts := samba.Tool("user", "show", "alice", "--attributes=badPwdCount"); !strings.Contains(counts, "badPwdCount: 1") {
		t.Errorf("one wrong password counts as %s", counts)
	}
}
