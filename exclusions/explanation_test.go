package exclusions

import (
	"net/netip"
	"testing"
	"time"
)

func TestExplain(t *testing.T) {
	one := &Login{
		At: monday, User: []byte("alice"), Realm: "example.org", NAS: "vpn gateway", ClientMACs: []MAC{mac},
		ClientIP: netip.MustParseAddr("192.0.2.7"), Groups: []string{"staff"}, NASIdentifier: []byte("fw\x1b[31m\"1\""),
	}
	two := &Login{At: monday, User: []byte("al ice"), ClientMACs: []MAC{mac, mac + 1}, GroupsUnknown: true}
	for _, c := range []struct {
		login    *Login
		criteria []Criterion
		standing Standing
		text     string
	}{
		{one, []Criterion{with(ClientMACs, "00-11-*", "00:10:A4:23:19:C0")}, Met, "client MAC 00-10-A4-23-19-C0 is in 00:10:A4:23:19:C0"},
		{one, []Criterion{with(ClientMACs, "00-11-*")}, Missed, "client MAC 00-10-A4-23-19-C0 is not in 00-11-*"},
		{one, []Criterion{with(ClientMACs, "00-11-00-00-00-00 - 00-11-00-00-00-FF")}, Missed,
			`client MAC 00-10-A4-23-19-C0 is not in "00-11-00-00-00-00 - 00-11-00-00-00-FF"`},
		{one, []Criterion{with(ClientIPs, "10.0.0.0/8")}, Missed, "client IP 192.0.2.7 is not in 10.0.0.0/8"},
		{one, []Criterion{with(ClientIPs, "10.0.0.0/8", "172.16.0.0/12")}, Missed, "client IP 192.0.2.7 is in none of 10.0.0.0/8 and 172.16.0.0/12"},
		{one, []Criterion{without(ClientIPs, "192.0.2.0/24")}, Missed, "client IP 192.0.2.7 is in 192.0.2.0/24, which is excepted"},
		{one, []Criterion{without(ClientIPs, "10.0.0.0/8")}, Met, "client IP 192.0.2.7 is not in 10.0.0.0/8"},
		{one, []Criterion{with(Users, "bob")}, Missed, "user alice is not bob"},
		{one, []Criterion{with(Users, "b", "c", "d")}, Missed, "user alice is none of b, c and d"},
		{one, []Criterion{with(Users, "b", "c", "d", "e", "f")}, Missed, "user alice is none of b, c, d and 2 more"},
		{one, []Criterion{with(Users, "ALICE")}, Met, "user alice is listed as ALICE"},
		{one, []Criterion{with(Users, "alice")}, Met, "user alice is listed"},
		{one, []Criterion{with(Groups, "vpn-users")}, Missed, `alice is not in the group "vpn-users"`},
		{one, []Criterion{with(Groups, "a", "b", "c", "d", "e", "f")}, Missed, `alice is in none of the groups "a", "b", "c" and 3 more`},
		{one, []Criterion{with(Groups, "vpn", "Staff")}, Met, `alice is in the group "Staff"`},
		{one, []Criterion{without(Groups, "Staff")}, Missed, `alice is in the group "Staff", which is excepted`},
		{one, []Criterion{with(Realms, "Example.org")}, Met, "realm example.org is listed as Example.org"},
		{one, []Criterion{with(NASes, "office")}, Missed, `NAS "vpn gateway" is not office`},
		{one, []Criterion{with(NASIdentifiers, "fw")}, Missed, `NAS-Identifier "fw\x1b[31m\"1\"" is not fw`},
		{one, []Criterion{with(NASAddresses, "192.0.2.1")}, Missed, "the address of the NAS is not told"},
		{one, []Criterion{with(Times, "Mon-Fri 08:00-18:00 Europe/Berlin")}, Met, `Mon 2026-01-05 10:00 CET is within "Mon-Fri 08:00-18:00 Europe/Berlin"`},
		{one, []Criterion{with(Times, "Tue 08:00-18:00")}, Missed, `Mon 2026-01-05 09:00 UTC is not within "Tue 08:00-18:00"`},
		{one, []Criterion{with(Users, "alice"), with(Groups, "staff"), without(ClientIPs, "10.0.0.0/8")}, Met,
			`user alice is listed; alice is in the group "staff"; client IP 192.0.2.7 is not in 10.0.0.0/8`},
		{one, []Criterion{with(Users, "alice"), with(Groups, "admins"), with(ClientIPs, "10.0.0.0/8")}, Missed, `alice is not in the group "admins"`},
		{two, []Criterion{with(ClientMACs, "00-10-A4-23-19-C1")}, Met, "client MAC 00-10-A4-23-19-C1 is in 00-10-A4-23-19-C1"},
		{two, []Criterion{with(ClientMACs, "00-11-*", "00-12-*")}, Missed,
			"of the client MACs 00-10-A4-23-19-C0 and 00-10-A4-23-19-C1, none is in 00-11-* and 00-12-*"},
		{two, []Criterion{with(ClientIPs, "10.0.0.0/8")}, Missed, "the request tells no client IP"},
		{two, []Criterion{without(ClientIPs, "10.0.0.0/8")}, Missed, "the request tells no client IP"},
		{two, []Criterion{with(Groups, "staff")}, Unknown, `the groups and other names of "al ice" are unknown, because the directory does not answer`},
		{two, []Criterion{with(Groups, "staff"), with(Users, "bob")}, Missed, `user "al ice" is not bob`},
		{&Login{User: []byte(`corp\al`), Stranger: true}, []Criterion{without(Groups, "staff")}, Missed, `no directory has "corp\\al", so who that is and what they are not is not known`},
		{&Login{User: []byte("al"), Stranger: true}, []Criterion{without(Users, "bob")}, Missed, "no directory has al, so who that is and what they are not is not known"},
		{&Login{GroupsUnknown: true}, []Criterion{with(Groups, "staff")}, Unknown, "the groups and other names of the user are unknown, because the directory does not answer"},
	} {
		f := list(t, c.criteria).Explain(c.login)[0]
		if f.Standing != c.standing || f.Text != c.text {
			t.Errorf("%+v:\n got %v: %s\nwant %v: %s", c.criteria, f.Standing, f.Text, c.standing, c.text)
		}
	}
}

func TestExplainExpiry(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	rules := named([]Criterion{with(Users, "alice")}, []Criterion{with(Users, "alice")})
	rules[0].Expires = time.Date(2025, 12, 31, 17, 0, 0, 0, time.UTC)
	rules[1].Expires = rules[0].Expires.Add(-time.Second)
	for location, want := range map[*time.Location][]string{
		nil:    {"expired on 2025-12-31 17:00 UTC", "expired on 2025-12-31 16:59:59 UTC"},
		berlin: {"expired on 2025-12-31 18:00 CET", "expired on 2025-12-31 17:59:59 CET"},
	} {
		for i, f := range listWith(t, Options{Location: location}, rules...).Explain(fullLogin()) {
			if f.Standing != Expired || f.Text != want[i] {
				t.Errorf("%v: %s, want %s", f.Standing, f.Text, want[i])
			}
		}
	}
}
