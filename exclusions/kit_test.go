package exclusions

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
	_ "time/tzdata" // the machine need not have it
)

// monday is an instant for logins: Monday at nine, an hour later in Berlin.
var monday = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

func with(kind Kind, values ...string) Criterion    { return Criterion{Kind: kind, Values: values} }
func without(kind Kind, values ...string) Criterion { return Criterion{kind, true, values} }

// list compiles rules of these criteria, one each.
func list(t testing.TB, rules ...[]Criterion) *List {
	t.Helper()
	return listWith(t, Options{}, named(rules...)...)
}

func named(rules ...[]Criterion) []Rule {
	written := make([]Rule, len(rules))
	for i, criteria := range rules {
		written[i] = Rule{Name: fmt.Sprintf("rule %d", i), Criteria: criteria}
	}
	return written
}

func listWith(t testing.TB, o Options, rules ...Rule) *List {
	t.Helper()
	l, faults := Compile(rules, o)
	for _, f := range faults {
		t.Error(f)
	}
	if l == nil {
		t.FailNow()
	}
	return l
}

// fullLogin is a login that tells everything.
func fullLogin() *Login {
	return &Login{
		At: monday, User: []byte("alice"), Realm: "example.org", Groups: []string{"cn=vpn,dc=example", "staff", "vpn"},
		NAS: "gateway", NASAddress: netip.MustParseAddr("192.0.2.1"), NASIPAddress: netip.MustParseAddr("2001:db8::1"),
		NASIdentifier: []byte("fw1"), ClientIP: netip.MustParseAddr("203.0.113.9"), ClientMACs: []MAC{mac, mac + 1},
	}
}
