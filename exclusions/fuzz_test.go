package exclusions

import (
	"bytes"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

// FuzzParseMAC: what is read has twelve hexadecimal digits and is no address, and
// String reads back.
func FuzzParseMAC(f *testing.F) {
	for _, c := range clients {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := ParseMAC(b)
		if !ok {
			if got != 0 {
				t.Fatalf("%q is refused, but %v", b, got)
			}
			return
		}
		digits := strings.ToUpper(strings.NewReplacer("-", "", ":", "", ".", "").Replace(string(b)))
		if want := strings.ReplaceAll(got.String(), "-", ""); digits != want {
			t.Fatalf("%q is %v", b, got)
		}
		if back, ok := ParseMAC([]byte(got.String())); !ok || back != got {
			t.Fatalf("%v reads back as %v", got, back)
		}
		if address, ok := ParseClientIP(b); ok {
			t.Fatalf("%q is MAC %v and address %v", b, got, address)
		}
		// A rule with the same text is about the same client.
		if rule, _ := list(t, []Criterion{with(ClientMACs, string(b))}).Decide(&Login{ClientMACs: []MAC{got}}); rule != 0 {
			t.Fatalf("a rule with %q does not match it", b)
		}
	})
}

// FuzzParseClientIP holds the parser against that of netip.
func FuzzParseClientIP(f *testing.F) {
	for _, c := range clients {
		f.Add([]byte(c.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got, ok := ParseClientIP(b)
		want, wanted := referenceIP(string(b))
		if got != want || ok != wanted {
			t.Fatalf("%q is %v, %t, want %v, %t", b, got, ok, want, wanted)
		}
		if !ok {
			return
		}
		if back, ok := ParseClientIP([]byte(got.String())); !ok || back != got {
			t.Fatalf("%v reads back as %v", got, back)
		}
	})
}

// referenceIP is ParseClientIP by means of netip.
func referenceIP(text string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(text)
	if err != nil {
		var endpoint netip.AddrPort
		endpoint, err = netip.ParseAddrPort(text)
		address = endpoint.Addr()
		if _, port, _ := strings.Cut(text[strings.LastIndexByte(text, ']')+1:], ":"); err == nil && len(port) > 1 && port[0] == '0' {
			return netip.Addr{}, false
		}
	}
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		address, err = netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		if err == nil && address.Is4() {
			return netip.Addr{}, false
		}
	}
	if err != nil || address.Zone() != "" || address.Unmap().IsUnspecified() {
		return netip.Addr{}, false
	}
	return address.Unmap(), true
}

// FuzzValue reads a value of each kind: either there is one fault that says
// where it is and how to mend it, or what it holds meets the rule and what is
// just beside does not.
func FuzzValue(f *testing.F) {
	for _, c := range clients {
		f.Add(uint8(ClientMACs), c.text)
		f.Add(uint8(ClientIPs), c.text)
	}
	for _, c := range told {
		f.Add(uint8(c.kind), c.value)
	}
	f.Fuzz(func(t *testing.T, number uint8, value string) {
		kind := Kind(number % uint8(kindCount))
		l, faults := Compile(named([]Criterion{with(kind, value)}), Options{})
		if len(faults) > 0 {
			if want := (Fault{0, 0, 0, faults[0].Problem, faults[0].Remedy}); len(faults) > 1 || faults[0] != want || want.Problem == "" || want.Remedy == "" {
				t.Fatalf("%q: %+v", value, faults)
			}
			return
		}
		l.Explain(fullLogin())
		l.Decide(fullLogin())
		for _, s := range l.rules[0].criteria[0].spans {
			if s.last.below(s.first) == 1 {
				t.Fatalf("%q ends before it begins", value)
			}
			checkEdges(t, l, kind, s)
		}
	})
}

// checkEdges checks that a span is met at its ends and not beside them.
func checkEdges(t *testing.T, l *List, kind Kind, s span) {
	t.Helper()
	check := func(p point, want bool) {
		login := pointLogin(kind, p)
		if rule, _ := l.Decide(login); (rule == 0) != want {
			t.Fatalf("%+v: rule %d, want %t", login, rule, want)
		}
		if want != (l.Explain(login)[0].Standing == Met) {
			t.Fatalf("%+v is explained otherwise", login)
		}
	}
	check(s.first, true)
	check(s.last, true)
	if s.first != (point{}) && s.first != firstIPv4 {
		check(s.first.previous(), kind != ClientMACs && l.rules[0].criteria[0].askAddress(pointLogin(kind, s.first.previous()).ClientIP) == found)
	}
	if next, ok := s.last.next(); ok && (kind != ClientMACs || next.lo < 1<<macBits) {
		check(next, false)
	}
}

// pointLogin is a login from a point.
func pointLogin(kind Kind, p point) *Login {
	if kind == ClientMACs {
		return &Login{ClientMACs: []MAC{MAC(p.lo)}}
	}
	var octets [16]byte
	for i := range 8 {
		octets[i], octets[8+i] = byte(p.hi>>(56-8*i)), byte(p.lo>>(56-8*i))
	}
	address := netip.AddrFrom16(octets).Unmap()
	return &Login{ClientIP: address, NASAddress: address, NASIPAddress: address}
}

// FuzzParseTrace: what is read is written again to the byte.
func FuzzParseTrace(f *testing.F) {
	for _, trace := range traces {
		f.Add(trace.Append(nil))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := bytes.Clone(b)
		trace, err := ParseTrace(b)
		if !bytes.Equal(b, before) {
			t.Fatal("the argument was written to")
		}
		if err != nil {
			if !reflect.DeepEqual(trace, Trace{}) {
				t.Fatalf("an error, but %+v", trace)
			}
			return
		}
		if again := trace.Append(nil); !bytes.Equal(again, b) {
			t.Fatalf("%x is written again as %x", b, again)
		}
		list(t, []Criterion{with(Groups, "staff"), with(ClientIPs, "::/0")}).Explain(&trace.Login)
	})
}
