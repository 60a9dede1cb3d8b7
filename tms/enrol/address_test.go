package enrol

import (
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	for _, good := range []string{"alice@example.com", "a.b+c_d-e@sub.example.com", "o'neill@example.com", "a@localhost"} {
		if got, ok := parseAddress(" " + good + "\n"); !ok || got != good {
			t.Errorf("%q: %q %t", good, got, ok)
		}
	}
	for _, bad := range []string{
		"", "alice", "@example.com", "alice@", "a b@example.com", "Alice <alice@example.com>", "<alice@example.com>", "a@b@example.com", `"a b"@example.com`,
		`"a@b"@example.com`, "alice@example.com, bob@example.com", "alice@example.com\r\nBcc: bob@example.com", "alice@exämple.com", "älice@example.com",
		"alice@example.com (Alice)", strings.Repeat("a", 250) + "@example.com", "alice@[192.0.2.1", ".alice@example.com",
	} {
		if got, ok := parseAddress(bad); ok {
			t.Errorf("%q is taken as %q", bad, got)
		}
	}
}

func TestMask(t *testing.T) {
	for address, want := range map[string]string{
		"alice@example.com": "a...e@example.com", "ab@example.com": "a...@example.com", "a@example.com": "a...@example.com", "äöü@example.com": "ä...ü@example.com",
		"": "...@", "alice@" + strings.Repeat("x", 60): "a...e@..." + strings.Repeat("x", maxDomain),
	} {
		if got := mask(address); got != want {
			t.Errorf("%q: %q, want %q", address, got, want)
		}
	}
}

func TestDomains(t *testing.T) {
	s := Settings{Domains: []string{"example.com"}}
	for address, want := range map[string]bool{"a@example.com": true, "a@EXAMPLE.com": true, "a@sub.example.com": false, "a@badexample.com": false} {
		if s.mayEnter(address) != want {
			t.Errorf("%q: %t", address, !want)
		}
	}
	if s.Domains = append(s.Domains, "*"); !s.mayEnter("a@anywhere.test") {
		t.Error("any domain will do")
	}
	if s.Domains = nil; s.mayEnter("a@example.com") || s.mayEnter("a@") {
		t.Error("no domain will do")
	}
}
