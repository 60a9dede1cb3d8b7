package exclusions

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// TestRangesAtTheirEdges: for each value the clients that are in it and those
// that are just not.
func TestRangesAtTheirEdges(t *testing.T) {
	for _, c := range []struct {
		kind    Kind
		value   string
		in, out string
	}{
		{ClientMACs, "00:10:A4:23:19:C0", "0010.a423.19c0", "0010a42319bf 0010a42319c1"},
		{ClientMACs, "00-10-A4-*", "0010a4000000 0010a4ffffff", "0010a3ffffff 0010a5000000"},
		{ClientMACs, "00-10-A4*", "0010a4000000 0010a4ffffff", "0010a3ffffff 0010a5000000"},
		{ClientMACs, "00:10:a4*", "0010a4000000 0010a4ffffff", "0010a3ffffff 0010a5000000"},
		{ClientMACs, "0010.a4*", "0010a4000000 0010a4ffffff", "0010a3ffffff 0010a5000000"},
		{ClientMACs, "0010a4-*", "0010a4000000 0010a4ffffff", "0010a3ffffff 0010a5000000"},
		{ClientMACs, "0010-A423-*", "0010a4230000 0010a423ffff", "0010a422ffff 0010a4240000"},
		{ClientMACs, "0010a4*", "0010a4000000 0010a4ffffff", "0010a3ffffff 0010a5000000"},
		{ClientMACs, "00-1*", "001000000000 001fffffffff", "000fffffffff 002000000000"},
		{ClientMACs, "00-10-A4-23-19-C*", "0010a42319c0 0010a42319cf", "0010a42319bf 0010a42319d0"},
		{ClientMACs, "f*", "f00000000000 ffffffffffff", "efffffffffff 000000000001"},
		{ClientMACs, "00-10-A4-00-00-10 - 00-10-A4-00-00-1F", "0010a4000010 0010a400001f", "0010a400000f 0010a4000020"},
		{ClientMACs, "00-10-A4-00-00-10-00-10-A4-00-00-1F", "0010a4000010 0010a400001f", "0010a400000f 0010a4000020"},
		{ClientMACs, "0010a4-000010-0010a4-00001f", "0010a4000010 0010a400001f", "0010a400000f 0010a4000020"},
		{ClientMACs, "0010-a400-0010-0010-a400-001f", "0010a4000010 0010a400001f", "0010a400000f 0010a4000020"},
		{ClientMACs, "0010a4000010-0010.a400.001f", "0010a4000010 0010a400001f", "0010a400000f 0010a4000020"},
		{ClientMACs, "00:10:a4:00:00:10-0010a400001f", "0010a4000010 0010a400001f", "0010a400000f 0010a4000020"},
		{ClientMACs, "0010a4000010-0010a4000010", "0010a4000010", "0010a400000f 0010a4000011"},
		{ClientMACs, "000000000000-ffffffffffff", "000000000001 ffffffffffff", ""},

		{ClientIPs, "192.0.2.7", "192.0.2.7 ::ffff:192.0.2.7", "192.0.2.6 192.0.2.8 ::192.0.2.7"},
		{ClientIPs, "::ffff:192.0.2.7", "192.0.2.7 ::ffff:192.0.2.7", "192.0.2.6 192.0.2.8 ::192.0.2.7"},
		{ClientIPs, "192.0.2.0/24", "192.0.2.0 192.0.2.255 ::ffff:192.0.2.9", "192.0.1.255 192.0.3.0"},
		{ClientIPs, "::ffff:192.0.2.0/120", "192.0.2.0 192.0.2.255", "192.0.1.255 192.0.3.0"},
		{ClientIPs, "192.0.2.7/32", "192.0.2.7", "192.0.2.6 192.0.2.8"},
		{ClientIPs, "192.0.2.6/31", "192.0.2.6 192.0.2.7", "192.0.2.5 192.0.2.8"},
		{ClientIPs, "128.0.0.0/1", "128.0.0.0 255.255.255.255", "127.255.255.255 ::1"},
		{ClientIPs, "0.0.0.0/0", "0.0.0.1 255.255.255.255 ::ffff:1.2.3.4", "::1 ffff:: ::1:0:0:0 ::fffe:ffff:ffff"},
		{ClientIPs, "192.0.2.10-192.0.2.20", "192.0.2.10 192.0.2.20", "192.0.2.9 192.0.2.21"},
		{ClientIPs, "192.0.2.10 - ::ffff:192.0.2.20", "192.0.2.10 192.0.2.20", "192.0.2.9 192.0.2.21"},
		{ClientIPs, "192.0.2.255-192.0.3.0", "192.0.2.255 192.0.3.0", "192.0.2.254 192.0.3.1"},
		{ClientIPs, "2001:db8::7", "2001:db8::7", "2001:db8::6 2001:db8::8"},
		{ClientIPs, "2001:db8::/32", "2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff 2001:db9::"},
		{ClientIPs, "2001:db8::/127", "2001:db8:: 2001:db8::1", "2001:db8::2"},
		{ClientIPs, "::/0", "::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::1:0:0:0 ::fffe:ffff:ffff", "0.0.0.1 192.0.2.7 255.255.255.255"},
		{ClientIPs, "::fffe:0:0-::1:0:0:0", "::fffe:0:0 ::1:0:0:0", "::fffd:ffff:ffff ::1:0:0:1 0.0.0.1 255.255.255.255"},
		{ClientIPs, "2001:db8::10-2001:db8::1f", "2001:db8::10 2001:db8::1f", "2001:db8::f 2001:db8::20"},
		{ClientIPs, "2001:db8::ffff:ffff:ffff:ffff-2001:db8:0:1::", "2001:db8:0:1::", "2001:db8:0:1::1 2001:db8::ffff:ffff:ffff:fffe"},
	} {
		positive, negative := list(t, []Criterion{with(c.kind, c.value)}), list(t, []Criterion{without(c.kind, c.value)})
		check := func(clients string, want bool) {
			for client := range strings.FieldsSeq(clients) {
				login := loginFrom(t, c.kind, client)
				if rule, _ := positive.Decide(login); (rule == 0) != want {
					t.Errorf("%s in %s: %t", client, c.value, !want)
				}
				if rule, _ := negative.Decide(login); (rule == 0) == want {
					t.Errorf("%s not in %s: %t", client, c.value, want)
				}
			}
		}
		check(c.in, true)
		check(c.out, false)
	}
}

// loginFrom is a login that tells only where it comes from. An IPv4-mapped address
// stays what it is.
func loginFrom(t *testing.T, kind Kind, client string) *Login {
	t.Helper()
	if kind == ClientMACs {
		m, ok := ParseMAC([]byte(client))
		if !ok {
			t.Fatalf("%q is no MAC", client)
		}
		return &Login{ClientMACs: []MAC{m}}
	}
	return &Login{ClientIP: netip.MustParseAddr(client)}
}

func TestAddressesOfTheNAS(t *testing.T) {
	l := list(t, []Criterion{with(NASAddresses, "fe80::/10")}, []Criterion{with(NASIPAddresses, "198.51.100.0/24")})
	login := &Login{NASAddress: netip.MustParseAddr("fe80::1%eth0"), ClientIP: netip.MustParseAddr("198.51.100.9")}
	if rule, _ := l.Decide(login); rule != 0 {
		t.Errorf("an address with a zone meets rule %d", rule)
	}
	login.NASAddress, login.NASIPAddress = login.ClientIP, netip.MustParseAddr("::ffff:198.51.100.9")
	if rule, _ := l.Decide(login); rule != 1 {
		t.Errorf("NAS-IP-Address meets rule %d", rule)
	}
}

func TestValuesOfAddressesThatAreRefused(t *testing.T) {
	for _, c := range []struct {
		kind                   Kind
		value, problem, remedy string
	}{
		{ClientIPs, "192.0.2.7/24", "has bits behind its first 24", `write "192.0.2.0/24", or "192.0.2.7" for this one address`},
		{ClientIPs, "::ffff:192.0.2.7/120", "has bits behind its first 24", `write "192.0.2.0/24", or "192.0.2.7"`},
		{ClientIPs, "2001:db8::7/64", "has bits behind its first 64", `write "2001:db8::/64", or "2001:db8::7"`},
		{ClientIPs, "::ffff:0.0.0.0/95", "mixes IPv4 and IPv6", `"192.0.2.0/24"`},
		{ClientIPs, "192.0.2.0/33", "is no network", `"192.0.2.0/24"`},
		{ClientIPs, "192.0.2.0/024", "is no network", `"192.0.2.0/24"`},
		{ClientIPs, "192.0.2/24", "is no network", `"192.0.2.0/24"`},
		{ClientIPs, "192.0.2.0/255.255.255.0", "is no network", `"192.0.2.0/24"`},
		{ClientIPs, "192.0.2.20-192.0.2.10", "ends before it begins", `write "192.0.2.10-192.0.2.20"`},
		{ClientIPs, "2001:db8::2-2001:db8::1", "ends before it begins", `write "2001:db8::1-2001:db8::2"`},
		{ClientIPs, "192.0.2.1-2001:db8::1", "from one family", "value of its own"},
		{ClientIPs, "192.0.2.1-20", `"20" is no IP address`, `"192.0.2.10-192.0.2.20"`},
		{ClientIPs, "192.0.2.1-", `"" is no IP address`, `"192.0.2.10-192.0.2.20"`},
		{ClientIPs, "fe80::1%eth0", "has a zone", `write "fe80::1"`},
		{ClientIPs, "fe80::%eth0/64", "is no network", `"2001:db8::/64"`},
		{ClientIPs, "0.0.0.0", "nobody has", `"0.0.0.0/0"`},
		{ClientIPs, "::", "nobody has", `"::/0"`},
		{ClientIPs, "192.0.2.*", "is no IP address", `"192.0.2.0/24"`},
		{ClientIPs, "192.0.2.7:443", "is no IP address", `"192.0.2.7"`},
		{ClientIPs, "vpn.example.org", "is no IP address", `"192.0.2.7"`},
		{ClientIPs, " 192.0.2.7", "is no IP address", `"192.0.2.7"`},
		{NASAddresses, "gateway", "is no IP address", `"192.0.2.7"`},
		{NASIPAddresses, "gateway", "is no IP address", `"192.0.2.7"`},

		{ClientMACs, "00-10-A4-23-19-G0", "is no MAC", "00-10-A4-*"},
		{ClientMACs, "00-10-A4-23-19-C0:office", "is no MAC", "00-10-A4-*"},
		{ClientMACs, "192.0.2.7", "is no MAC", "00-10-A4-*"},
		{ClientMACs, "-", "is no MAC", "00-10-A4-*"},
		{ClientMACs, "00:10:a4", "only the beginning", `write "00:10:a4*"`},
		{ClientMACs, "00-10-A4-", "only the beginning", `write "00-10-A4-*"`},
		{ClientMACs, "*", "is not the beginning", "00-10-A4-*"},
		{ClientMACs, "00-10-A4-**", "is not the beginning", "00-10-A4-*"},
		{ClientMACs, "*-19-C0", "is no MAC", "00-10-A4-*"},
		{ClientMACs, "00-10:A4-*", "is not the beginning", "00-10-A4-*"},
		{ClientMACs, "00-10-A4-23-19-C0*", "nothing left", `write "00-10-A4-23-19-C0"`},
		{ClientMACs, "00-00-00-00-00-00", "taken for none", "00-10-A4-*"},
		{ClientMACs, "00-10-A4-00-00-1F - 0010a4000010", "ends before it begins", `write "00-10-A4-00-00-10 - 00-10-A4-00-00-1F"`},
		{ClientMACs, "00-10-A4-00-00-10 - 00-10-A4-00-00", "is no MAC", "00-10-A4-*"},
	} {
		_, faults := Compile(named([]Criterion{with(c.kind, c.value)}), Options{})
		if len(faults) != 1 {
			t.Errorf("%s: faults %v", c.value, faults)
			continue
		}
		f := faults[0]
		if f.Rule != 0 || f.Criterion != 0 || f.Value != 0 || !strings.Contains(f.Problem, c.problem) || !strings.Contains(f.Remedy, c.remedy) {
			t.Errorf("%s: %v", c.value, f)
		}
		checkRemedy(t, c.kind, f.Remedy)
	}
}

// checkRemedy compiles what a remedy says to write.
func checkRemedy(t *testing.T, kind Kind, remedy string) {
	t.Helper()
	quoted := strings.Split(remedy, `"`)
	for i := 1; i < len(quoted); i += 2 {
		if _, faults := Compile(named([]Criterion{with(kind, quoted[i])}), Options{}); len(faults) > 0 {
			t.Errorf("the remedy %s leads to %v", remedy, faults)
		}
	}
}

func TestMerge(t *testing.T) {
	p := func(lo uint64) point { return point{0, lo} }
	last := point{^uint64(0), ^uint64(0)}
	got := merge([]span{{p(9), p(9)}, {p(1), p(5)}, {p(2), p(3)}, {p(6), p(7)}, {p(20), last}, {p(30), p(31)}, {last, last}})
	want := []span{{p(1), p(7)}, {p(9), p(9)}, {p(20), last}}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
