package exclusions

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"
)

// shape makes rules of one kind, and logins that meet one of them or just none.
type shape struct {
	name string
	rule func(i int) []Criterion
	// login changes a login that tells everything and meets nothing, so that it
	// meets rule i, or so that it comes close to it.
	login func(login *Login, i int, meets bool)
}

var shapes = []shape{
	{"groups", func(i int) []Criterion {
		return []Criterion{{Kind: Groups, Values: []string{benchGroup(i)}}}
	}, func(login *Login, i int, meets bool) {
		login.Groups = append(slices.Clone(login.Groups), benchGroup(either(meets, i, -i-1)))
		slices.Sort(login.Groups)
	}},
	{"users", func(i int) []Criterion {
		return []Criterion{{Kind: Users, Values: []string{"user" + strconv.Itoa(i)}}}
	}, func(login *Login, i int, meets bool) {
		login.User = fmt.Appendf(nil, "%s%d", either(meets, "user", "xser"), i)
	}},
	{"macs", func(i int) []Criterion {
		return []Criterion{{Kind: ClientMACs, Values: []string{scatteredMAC(i).String()}}}
	}, func(login *Login, i int, meets bool) {
		login.ClientMACs = []MAC{scatteredMAC(i) + either[MAC](meets, 0, 1)}
	}},
	{"mac-ranges", func(i int) []Criterion {
		first := clusteredMAC(i)
		return []Criterion{{Kind: ClientMACs, Values: []string{first.String() + " - " + (first + 99).String()}}}
	}, func(login *Login, i int, meets bool) {
		login.ClientMACs = []MAC{clusteredMAC(i) + either[MAC](meets, 50, 500)}
	}},
	{"cidrs", func(i int) []Criterion {
		return []Criterion{{Kind: ClientIPs, Values: []string{fmt.Sprintf("10.%d.%d.0/25", i/256, i%256)}}}
	}, func(login *Login, i int, meets bool) {
		login.ClientIP = netip.AddrFrom4([4]byte{10, byte(i / 256), byte(i), either[byte](meets, 7, 200)})
	}},
	{"nested-cidrs", func(i int) []Criterion { // all within one another, told apart by their users
		return []Criterion{
			{Kind: ClientIPs, Values: []string{fmt.Sprintf("10.0.0.0/%d", 8+i%17)}},
			{Kind: Users, Values: []string{"user" + strconv.Itoa(i)}},
		}
	}, func(login *Login, i int, meets bool) {
		login.ClientIP = netip.AddrFrom4([4]byte{10, 0, 0, 7})
		login.User = fmt.Appendf(nil, "%s%d", either(meets, "user", "xser"), i)
	}},
}

func either[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

// scatteredMAC is anywhere, clusteredMAC of one of forty manufacturers.
func scatteredMAC(i int) MAC { return MAC(uint64(i+1) * 0x9E3779B97F4A7C15 >> (64 - macBits)) }
func clusteredMAC(i int) MAC { return scatteredMAC(i%40)>>24<<24 + MAC(i/40*(997+i%40*31)) }

func benchGroup(i int) string {
	return "cn=vpn-" + strconv.Itoa(i) + ",ou=groups,dc=example,dc=org"
}

// mixed has rules of all the other shapes by turns, each with a window that is
// always open.
func mixed(i int) []Criterion {
	return append(shapes[i%len(shapes)].rule(i), Criterion{Kind: Times, Not: true, Values: []string{"Sun 03:00-04:00"}})
}

// benchLogin tells everything and meets nothing.
func benchLogin() *Login {
	login := &Login{
		At: time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC), User: []byte("alice"), Realm: "example.org", NAS: "vpn",
		NASAddress: netip.MustParseAddr("192.0.2.1"), NASIdentifier: []byte("gateway"),
		ClientIP: netip.MustParseAddr("203.0.113.9"), ClientMACs: []MAC{0x5254005A2301},
	}
	for i := range 20 {
		login.Groups = append(login.Groups, fmt.Sprintf("cn=project %d,ou=groups,dc=example,dc=org", i))
	}
	slices.Sort(login.Groups)
	return login
}

func makeRules(n int, rule func(i int) []Criterion) []Rule {
	rules := make([]Rule, n)
	for i := range rules {
		rules[i] = Rule{Name: "rule " + strconv.Itoa(i), Criteria: rule(i)}
	}
	return rules
}

// BenchmarkDecide shows that a decision costs the same with 10 rules and with
// 10,000. The logins are different ones, spread over the rules.
func BenchmarkDecide(b *testing.B) {
	all := append(slices.Clone(shapes), shape{"mixed", mixed, func(login *Login, i int, meets bool) {
		shapes[i%len(shapes)].login(login, i, meets)
	}})
	for _, s := range all {
		for _, outcome := range []string{"miss", "hit"} {
			for _, rules := range []int{10, 10_000} {
				b.Run(fmt.Sprintf("shape=%s/%s/rules=%d", s.name, outcome, rules), func(b *testing.B) {
					benchmarkDecide(b, &s, rules, outcome == "hit")
				})
			}
		}
	}
}

func benchmarkDecide(b *testing.B, s *shape, rules int, hit bool) {
	list := listWith(b, Options{}, makeRules(rules, s.rule)...)
	var logins [256]*Login
	for i := range logins {
		logins[i] = benchLogin()
		s.login(logins[i], i*rules/len(logins), hit)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if rule, _ := list.Decide(logins[i%len(logins)]); (rule >= 0) != hit {
			b.Fatal(rule)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	for _, s := range append(slices.Clone(shapes), shape{name: "mixed", rule: mixed}) {
		rules := makeRules(10_000, s.rule)
		b.Run("shape="+s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Compile(rules, Options{})
			}
		})
	}
}

func BenchmarkTrace(b *testing.B) {
	trace := usualTrace()
	encoded := trace.Append(nil)
	b.Run("Append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			encoded = trace.Append(encoded[:0])
		}
		b.ReportMetric(float64(len(encoded)), "bytes")
	})
	b.Run("Parse", func(b *testing.B) {
		for b.Loop() {
			if _, err := ParseTrace(encoded); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, text := range []string{"00-10-A4-23-19-C0", "0010-A423-19C0", "192.0.2.7:50123", "[2001:db8::7]:50123"} {
		b.Run(text, func(b *testing.B) {
			attribute := []byte(text)
			for b.Loop() {
				if _, ok := ParseMAC(attribute); !ok {
					ParseClientIP(attribute)
				}
			}
		})
	}
}
