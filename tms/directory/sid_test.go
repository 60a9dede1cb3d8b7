package directory

import (
	"encoding/hex"
	"testing"

	"github.com/go-ldap/ldap/v3"
)

func TestSID(t *testing.T) {
	// S-1-5-21-1004336348-1177238915-682003330-512 is the example of MS-DTYP
	// section 2.4.2.1; this is the same domain's user 1103.
	binary, _ := hex.DecodeString("010500000000000515000000dcf4dc3b833d2b46828ba6284f040000")
	user := sid(binary)
	if got, want := user.String(), "S-1-5-21-1004336348-1177238915-682003330-1103"; got != want {
		t.Errorf("SID is %s instead of %s", got, want)
	}
	group, ok := user.withRID(512)
	if want := "S-1-5-21-1004336348-1177238915-682003330-512"; !ok || group.String() != want {
		t.Errorf("group is %s, %v instead of %s", group, ok, want)
	}
	entry := ldap.NewEntry("cn=u", map[string][]string{"objectSID": {string(binary)}, "primaryGroupID": {"512"}})
	if primary, ok := primarySID(entry); !ok || primary.String() != group.String() {
		t.Errorf("primary group is %s, %v", primary, ok)
	}
	for _, attributes := range []map[string][]string{
		{"objectSid": {string(binary)}},
		{"primaryGroupID": {"512"}},
		{"objectSid": {string(binary[1:])}, "primaryGroupID": {"512"}},
		{"objectSid": {string(binary)}, "primaryGroupID": {"-1"}},
	} {
		if primary, ok := primarySID(ldap.NewEntry("cn=u", attributes)); ok {
			t.Errorf("primary group of %q is %s", attributes, primary)
		}
	}
}

func FuzzSID(f *testing.F) {
	f.Fuzz(func(t *testing.T, binary []byte, rid uint32) {
		before := string(binary)
		group, ok := sid(binary).withRID(rid)
		if ok != sid(binary).valid() || ok && (!group.valid() || len(group) != len(binary)) || string(binary) != before {
			t.Errorf("%x with %d is %x, %v", before, rid, group, ok)
		}
		_ = sid(binary).String()
	})
}
