package exclusions

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestCompileReportsAllFaults(t *testing.T) {
	user := with(Users, "alice")
	rules := []Rule{
		{Name: "fine", Criteria: []Criterion{user}},
		{Criteria: []Criterion{user}},
		{Name: strings.Repeat("n", 65), Criteria: []Criterion{user}},
		{Name: strings.Repeat("n", 64), Criteria: []Criterion{user}},
		{Name: " space", Criteria: []Criterion{user}},
		{Name: "space ", Criteria: []Criterion{user}},
		{Name: "bell\a", Criteria: []Criterion{user}},
		{Name: "latin \xe9", Criteria: []Criterion{user}},
		{Name: "fine", Criteria: []Criterion{user}},
		{Name: "empty"},
		{Name: "values", Criteria: []Criterion{user, with(Realms), {Kind: kindCount, Values: []string{"x"}}, with(NASIdentifiers, "fw", "", " ")}},
		{Name: "words", Criteria: []Criterion{
			with(Users, "alice", "no user"), with(Groups, "no group", "staff"), with(Realms, "example.org", "@example.org", "a b", "no-realm"),
			with(NASes, "vpn", "VPN", "ftp"), with(NASIdentifiers, strings.Repeat("x", 253), strings.Repeat("x", 254)),
		}},
		{Name: "several", Criteria: []Criterion{with(ClientIPs, "192.0.2.7", "192.0.2.7/24"), without(ClientMACs, "x"), with(Times, "never")}},
	}
	fold := func(s string) (string, bool) { return strings.ToLower(s), !strings.HasPrefix(s, "no") }
	l, faults := Compile(rules, Options{FoldUser: fold, FoldRealm: fold, FoldGroup: fold, NASes: []string{"vpn", "office"}})
	if l != nil {
		t.Error("there is a list in spite of faults")
	}
	got := make([]string, len(faults))
	for i, f := range faults {
		got[i] = f.Error()
	}
	want := []string{
		`rule 2: has no name; give it one, as name = "printers"`,
		`rule 3: has a name of 65 bytes; shorten it to 64`,
		`rule 5: the name " space" has control characters or spaces at its ends; leave them out`,
		`rule 6: the name "space " has control characters or spaces at its ends; leave them out`,
		`rule 7: the name "bell\a" has control characters or spaces at its ends; leave them out`,
		`rule 8: the name "latin \xe9" has control characters or spaces at its ends; leave them out`,
		`rule 9: the name "fine" is that of rule 1 too; give each rule a name of its own`,
		`rule 10: has no criterion, so everybody would meet it; name one, as client_ips = ["192.0.2.0/24"]`,
		`rule 11, criterion 2: realms has no values; name one, or leave the criterion out`,
		`rule 11, criterion 3: there is no kind(10); name one of ` + alternatives(kinds[:]),
		`rule 11, criterion 4, value 2: a value of nas_identifiers is empty; leave it out`,
		`rule 11, criterion 4, value 3: a value of nas_identifiers is empty; leave it out`,
		`rule 12, criterion 1, value 2: "no user" is no user name; write it as "alice" or "alice@example.org"`,
		`rule 12, criterion 2, value 1: "no group" is no group; write its name, as "vpn-users", or its DN`,
		`rule 12, criterion 3, value 2: "@example.org" is no realm; write what stands behind the @, as "example.org"`,
		`rule 12, criterion 3, value 3: "a b" is no realm; write what stands behind the @, as "example.org"`,
		`rule 12, criterion 3, value 4: "no-realm" is no realm; write what stands behind the @, as "example.org"`,
		`rule 12, criterion 4, value 2: there is no NAS "VPN"; name one of vpn and office`,
		`rule 12, criterion 4, value 3: there is no NAS "ftp"; name one of vpn and office`,
		`rule 12, criterion 5, value 2: "` + strings.Repeat("x", 64) + `" is longer than the 253 bytes of an attribute; shorten it to what the NAS sends`,
		`rule 13, criterion 1, value 2: "192.0.2.7/24" has bits behind its first 24; write "192.0.2.0/24", or "192.0.2.7" for this one address`,
		`rule 13, criterion 2, value 1: "x" is no MAC; ` + macExample,
		`rule 13, criterion 3, value 1: "never" is neither a day nor hours; write days as "Mon", "Mon-Fri", "Mon,Wed,Fri" or "daily", without spaces, and hours as "08:00-18:00"`,
	}
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			t.Errorf("missing: %s", want[i])
		case i >= len(want):
			t.Errorf("unexpected: %s", got[i])
		case got[i] != want[i]:
			t.Errorf("got  %s\nwant %s", got[i], want[i])
		}
	}
}

func TestCompileOfNASes(t *testing.T) {
	rules := named([]Criterion{with(NASes, "vpn")})
	if _, faults := Compile(rules, Options{}); faults != nil {
		t.Errorf("any name will do, but %v", faults)
	}
	_, faults := Compile(rules, Options{NASes: []string{}})
	if len(faults) != 1 || !strings.Contains(faults[0].Remedy, "there is none yet") {
		t.Errorf("faults %v", faults)
	}
}

func TestCompileFoldsAndCopies(t *testing.T) {
	rules := []Rule{
		{Name: "user", Criteria: []Criterion{with(Users, "ALICE")}},
		{Name: "group", Criteria: []Criterion{with(Groups, "CN=VPN,DC=example")}},
		{Name: "realm", Criteria: []Criterion{with(Realms, "Example.ORG")}},
	}
	l := listWith(t, Options{}, rules...)
	for i := range rules {
		rules[i].Criteria[0].Values[0] = "changed"
	}
	if got, _ := l.Matches(nil, fullLogin()); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("matches %v", got)
	}
	if got, want := l.Explain(fullLogin())[0].Text, "user alice is listed as ALICE"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	fold := func(s string) (string, bool) { return strings.TrimSuffix(s, "@example.org"), true }
	l = listWith(t, Options{FoldUser: fold}, Rule{Name: "user", Criteria: []Criterion{with(Users, "alice@example.org")}})
	if rule, _ := l.Decide(fullLogin()); rule != 0 {
		t.Errorf("rule %d", rule)
	}
}

// A user may be written by either name, a realm by any that folds to the one that
// logins have.
func TestCompileOfOtherNames(t *testing.T) {
	o := Options{
		CanonicalUser: func(s string) string { return strings.TrimPrefix(s, `ex\`) },
		FoldRealm: func(s string) (string, bool) {
			return map[string]string{"EX": "example.org", "other": "other"}[s], true
		},
	}
	for _, c := range []struct {
		about string
		with  Criterion
		user  string
		want  string // what is met; "" for nothing
	}{
		{"the canonical name", with(Users, `EX\Alice`), "alice", `user alice is listed as "EX\\Alice"`},
		{"the name as it stands", with(Users, `EX\Alice`), `ex\alice`, `user "ex\\alice" is listed as "EX\\Alice"`},
		{"another user", with(Users, `EX\Bob`), "alice", ""},
		{"an excepted user", without(Users, `EX\Alice`), "alice", ""},
		{"a realm", with(Realms, "other", "EX"), "alice", "realm example.org is listed as EX"},
		{"another realm", with(Realms, "other"), "alice", ""},
		{"an excepted realm", without(Realms, "EX"), "alice", ""},
	} {
		l := listWith(t, o, Rule{Name: "r", Criteria: []Criterion{c.with}})
		login := fullLogin()
		login.User = []byte(c.user)
		rule, _ := l.Decide(login)
		got := l.Explain(login)[0]
		if met := rule == 0; met != (c.want != "") || met && got.Text != c.want {
			t.Errorf("%s: rule %d, %s, want %q", c.about, rule, got.Text, c.want)
		}
	}
}

func TestExpiry(t *testing.T) {
	rule := func(name string, expires time.Time) Rule {
		return Rule{Name: name, Expires: expires, Criteria: []Criterion{with(Users, "alice")}}
	}
	rules := []Rule{rule("expired", monday.Add(-time.Hour)), rule("ends", monday.Add(time.Hour)), rule("stays", time.Time{})}
	far := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		compiled, at time.Time
		want         int
	}{
		{monday, monday, 1},
		{monday, monday.Add(time.Hour - 1), 1},
		{monday, monday.Add(time.Hour), 2},
		{monday, far, 2},
		{time.Time{}, monday.Add(-time.Hour - 1), 0},
		{time.Time{}, monday.Add(-time.Hour), 1},
		{monday.Add(time.Hour), monday, 2}, // it had expired when the list was made
	} {
		l := listWith(t, Options{At: c.compiled}, rules...)
		login := fullLogin()
		login.At = c.at
		if got, doubt := l.Decide(login); got != c.want || doubt {
			t.Errorf("compiled %v, at %v: rule %d, want %d", c.compiled, c.at, got, c.want)
		}
		for i, f := range l.Explain(login) {
			if want := i < c.want; (f.Standing == Expired) != want {
				t.Errorf("compiled %v, at %v: rule %d is %v", c.compiled, c.at, i, f.Standing)
			}
		}
		if l.Len() != 3 {
			t.Errorf("%d rules", l.Len())
		}
	}
}

func TestNoRules(t *testing.T) {
	empty, faults := Compile(nil, Options{})
	if empty == nil || faults != nil {
		t.Errorf("%v, %v", empty, faults)
	}
	for _, l := range []*List{nil, {}, empty} {
		rule, doubt := l.Decide(fullLogin())
		matches, doubts := l.Matches(nil, fullLogin())
		if rule != -1 || doubt || matches != nil || doubts || l.Len() != 0 || l.NeedsGroups() || len(l.Explain(fullLogin())) != 0 {
			t.Errorf("%+v: rule %d, matches %v", l, rule, matches)
		}
		if got := l.NamedGroups(nil, []string{"a"}); got != nil {
			t.Errorf("named groups %v", got)
		}
	}
}

func TestNamedGroups(t *testing.T) {
	rules := named([]Criterion{with(Groups, "A", "b", "d")}, []Criterion{with(Users, "x"), without(Groups, "e")}, []Criterion{with(Groups, "c")})
	rules[2].Expires = monday
	l := listWith(t, Options{At: monday}, rules...)
	if !l.NeedsGroups() {
		t.Error("needs no groups")
	}
	var many []string
	for i := range 100 {
		many = append(many, fmt.Sprintf("g%02d", i))
	}
	for _, c := range []struct{ groups, want []string }{
		{nil, nil},
		{[]string{"x", "y"}, nil},
		{[]string{"a", "c", "e"}, []string{"a", "e"}},
		{append([]string{"a", "d", "e"}, many...), []string{"a", "d", "e"}},
	} {
		if got := l.NamedGroups(nil, c.groups); !slices.Equal(got, c.want) {
			t.Errorf("of %v %v, want %v", c.groups, got, c.want)
		}
	}
	rules[0].Expires, rules[1].Expires = monday, monday
	if listWith(t, Options{At: monday}, rules...).NeedsGroups() {
		t.Error("needs groups of expired rules")
	}
}
