package exclusions

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// This is what rules mean, written down once more and as plainly as can be: from
// the text of the rules, without any index.

// naiveStanding judges one rule.
func naiveStanding(r *Rule, o Options, login *Login) Standing {
	if !r.Expires.IsZero() && (!o.At.Before(r.Expires) || !login.At.Before(r.Expires)) {
		return Expired
	}
	result := Met
	for _, c := range r.Criteria {
		facts, isTold := naiveFacts(c.Kind, login)
		has := slices.ContainsFunc(c.Values, func(value string) bool {
			return slices.ContainsFunc(facts, func(fact string) bool { return naiveHas(c.Kind, value, fact) })
		})
		switch {
		case login.Stranger && (c.Kind == Groups || c.Not && (c.Kind == Users || c.Kind == Realms)):
			return Missed
		case c.Kind == Groups && login.GroupsUnknown:
			result = Unknown
		case !isTold || has == c.Not:
			return Missed
		case c.Kind == Users && c.Not && login.GroupsUnknown:
			result = Unknown
		}
	}
	return result
}

// naiveFacts are the facts of a login that a kind is about, as text.
func naiveFacts(kind Kind, login *Login) (facts []string, isTold bool) {
	add := func(fact string, has bool) {
		if has {
			facts = append(facts, fact)
		}
	}
	switch kind {
	case Users:
		add(string(login.User), len(login.User) > 0)
	case Groups:
		return login.Groups, true
	case Realms:
		add(login.Realm, login.Realm != "")
	case ClientIPs:
		add(login.ClientIP.String(), login.ClientIP.IsValid())
	case ClientMACs:
		for _, m := range login.ClientMACs {
			add(fmt.Sprintf("%012x", uint64(m)), true)
		}
	case NASes:
		add(login.NAS, login.NAS != "")
	case NASAddresses:
		add(login.NASAddress.String(), login.NASAddress.IsValid())
	case NASIPAddresses:
		add(login.NASIPAddress.String(), login.NASIPAddress.IsValid())
	case NASIdentifiers:
		add(string(login.NASIdentifier), len(login.NASIdentifier) > 0)
	case Times:
		add(login.At.UTC().Format(time.RFC3339), true)
	}
	return facts, len(facts) > 0
}

// naiveHas reports whether a value has a fact. The values are those that
// randomValue makes.
func naiveHas(kind Kind, value, fact string) bool {
	switch kind {
	case ClientMACs:
		hex := func(s string) string {
			return strings.ToLower(strings.NewReplacer("-", "", ":", "", ".", "").Replace(s))
		}
		if first, last, ok := strings.Cut(value, " - "); ok {
			return hex(first) <= fact && fact <= hex(last)
		}
		if beginning, ok := strings.CutSuffix(value, "*"); ok {
			return strings.HasPrefix(fact, hex(beginning))
		}
		return hex(value) == fact
	case ClientIPs, NASAddresses, NASIPAddresses:
		address := netip.MustParseAddr(fact).Unmap()
		if first, last, ok := strings.Cut(value, "-"); ok {
			from, to := netip.MustParseAddr(first).Unmap(), netip.MustParseAddr(last).Unmap()
			return from.Is4() == address.Is4() && from.Compare(address) <= 0 && address.Compare(to) <= 0
		}
		if strings.Contains(value, "/") {
			return netip.MustParsePrefix(value).Contains(address)
		}
		return netip.MustParseAddr(value).Unmap() == address
	case Times:
		return naiveOpen(value, fact)
	case NASes, NASIdentifiers:
		return value == fact
	}
	return strings.ToLower(value) == fact
}

// naiveOpen tries the two days on which the window could have begun.
func naiveOpen(value, fact string) bool {
	at, _ := time.Parse(time.RFC3339, fact)
	parts := strings.Fields(value) // days, hours, zone
	zone, err := time.LoadLocation(parts[2])
	if err != nil {
		panic(err)
	}
	at = at.In(zone)
	from, to, _ := strings.Cut(parts[1], "-")
	clock := at.Format("15:04")
	today, yesterday := at.Format("Mon"), at.AddDate(0, 0, -1).Format("Mon")
	if from < to {
		return strings.Contains(parts[0], today) && from <= clock && clock < to
	}
	return strings.Contains(parts[0], today) && from <= clock || strings.Contains(parts[0], yesterday) && clock < to
}

// dice make rules and logins of a world so small that they often meet.
type dice struct{ *rand.Rand }

func (d dice) pick(words ...string) string { return words[d.IntN(len(words))] }

func (d dice) address() string {
	last := d.IntN(16)
	switch d.IntN(4) {
	case 0:
		return fmt.Sprintf("2001:db8::%x", last)
	case 1:
		return fmt.Sprintf("::ffff:10.0.0.%d", last)
	}
	return fmt.Sprintf("10.0.0.%d", last)
}

func (d dice) mac() MAC { return 0x0010A40000F8 + MAC(d.IntN(16)) }

func (d dice) value(kind Kind) string {
	switch kind {
	case Users:
		return d.pick("alice", "Bob", "CAROL", "dave")
	case Groups:
		return d.pick("g0", "G1", "g2", "g3", "cn=a group with a long name,dc=example")
	case Realms:
		return d.pick("example.org", "EXAMPLE.com", "other")
	case NASes, NASIdentifiers:
		return d.pick("vpn", "VPN", "office")
	case ClientMACs:
		m := d.mac()
		return d.pick(m.String(), strings.ToLower(m.String()), m.String()[:16]+"*", "00:10:a4*",
			min(m, 0x0010A4000100).String()+" - "+max(m, 0x0010A4000100).String())
	case Times:
		return d.pick("Mon,Tue,Wed 08:00-18:00 UTC", "Fri,Sat,Sun 22:00-06:00 Europe/Berlin",
			"Sun,Mon,Thu 18:00-03:00 America/New_York", "Mon,Tue,Wed,Thu,Fri,Sat,Sun 00:00-24:00 UTC")
	}
	return d.addresses()
}

func (d dice) addresses() string {
	a, b := netip.MustParseAddr(d.address()), netip.MustParseAddr(d.address())
	if b.Less(a) {
		a, b = b, a
	}
	if a.Unmap().Is4() == b.Unmap().Is4() && a.Unmap().Compare(b.Unmap()) < 0 && d.IntN(2) == 0 {
		return a.String() + "-" + b.String()
	}
	a = a.Unmap()
	prefix, _ := a.Prefix(a.BitLen() - d.IntN(6))
	return d.pick(a.String(), prefix.String(), "0.0.0.0/0", "::/0")
}

func (d dice) rule(i int) Rule {
	r := Rule{Name: fmt.Sprint(i)}
	if d.IntN(4) == 0 {
		r.Expires = monday.Add(time.Duration(d.IntN(7*24)) * time.Hour)
	}
	for range 1 + d.IntN(3) {
		c := Criterion{Kind: Kind(d.IntN(int(kindCount))), Not: d.IntN(4) == 0}
		for range 1 + d.IntN(3) {
			c.Values = append(c.Values, d.value(c.Kind))
		}
		r.Criteria = append(r.Criteria, c)
	}
	return r
}

func (d dice) login() *Login {
	login := &Login{At: monday.Add(time.Duration(d.IntN(7*24*60)) * time.Minute), GroupsUnknown: d.IntN(4) == 0}
	maybe := func(fill func()) {
		if d.IntN(4) > 0 {
			fill()
		}
	}
	maybe(func() { login.User = []byte(strings.ToLower(d.value(Users))) })
	maybe(func() { login.Realm = strings.ToLower(d.value(Realms)) })
	maybe(func() { login.NAS = d.value(NASes) })
	maybe(func() { login.NASIdentifier = []byte(d.value(NASIdentifiers)) })
	maybe(func() { login.NASAddress = netip.MustParseAddr(d.address()) })
	maybe(func() { login.NASIPAddress = netip.MustParseAddr(d.address()) })
	maybe(func() { login.ClientIP = netip.MustParseAddr(d.address()) })
	for range d.IntN(3) {
		login.ClientMACs = append(login.ClientMACs, d.mac())
	}
	for range d.IntN(3) * d.IntN(4) {
		login.Groups = append(login.Groups, strings.ToLower(d.value(Groups)), d.pick("x", "y", "z"))
	}
	slices.Sort(login.Groups)
	login.Groups = slices.Compact(login.Groups)
	if d.IntN(4) == 0 {
		login.Stranger, login.GroupsUnknown, login.Groups = true, false, nil
	}
	return login
}

// TestDecideAgreesWithWhatRulesMean compares Decide, Matches and Explain with the
// naive judge, and lets a login go through a Trace on its way.
func TestDecideAgreesWithWhatRulesMean(t *testing.T) {
	for seed := range uint64(150) {
		d := dice{rand.New(rand.NewPCG(seed, 3))}
		rules := make([]Rule, d.IntN(40))
		for i := range rules {
			rules[i] = d.rule(i)
		}
		o := Options{At: monday.Add(time.Duration(d.IntN(3*24)) * time.Hour)}
		l := listWith(t, o, rules...)
		for range 40 {
			checkLogin(t, l, rules, o, d.login())
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
	}
}

func checkLogin(t *testing.T, l *List, rules []Rule, o Options, login *Login) {
	t.Helper()
	first, doubtful, matches := -1, false, []int(nil)
	findings := l.Explain(login)
	for i := range rules {
		want := naiveStanding(&rules[i], o, login)
		if f := findings[i]; f.Standing != want || f.Rule != i || f.Text == "" {
			t.Errorf("%+v\n%+v\nexplained as %+v, want %v", rules[i], login, f, want)
		}
		switch want {
		case Met:
			matches = append(matches, i)
		case Unknown:
			doubtful = true
		}
	}
	if len(matches) > 0 {
		first = matches[0]
	}
	if rule, doubt := l.Decide(login); rule != first || doubt != (doubtful && first < 0) {
		t.Errorf("%+v\ndecided %d, %t, want %d, %t", login, rule, doubt, first, doubtful)
	}
	if got, doubt := l.Matches(nil, login); !slices.Equal(got, matches) || doubt != doubtful {
		t.Errorf("%+v\nmatches %v, %t, want %v, %t", login, got, doubt, matches, doubtful)
	}
	candidates := []int(nil)
	for i, f := range findings {
		if f.Standing == Unknown || f.Standing == Met {
			candidates = append(candidates, i)
		}
		if f.Standing == Met {
			break
		}
	}
	if first < 0 {
		candidates = append(candidates, -1)
	}
	if got := l.Candidates(nil, login); !slices.Equal(got, candidates) {
		t.Errorf("%+v\ncandidates %v, want %v", login, got, candidates)
	}
	checkReplay(t, l, login, findings)
}

// checkReplay keeps the login as a trace and explains it again.
func checkReplay(t *testing.T, l *List, login *Login, findings []Finding) {
	t.Helper()
	kept := Trace{Login: *login}
	kept.Groups = l.NamedGroups(nil, login.Groups)
	back, err := ParseTrace(kept.Append(nil))
	if err != nil {
		t.Fatal(err)
	}
	back.At, back.NAS = login.At, login.NAS
	for i, f := range l.Explain(&back.Login) {
		if f != findings[i] {
			t.Errorf("%+v\nexplained later as %+v, at first as %+v", login, f, findings[i])
		}
	}
	if !bytes.Equal(back.User, login.User) {
		t.Errorf("user %q has become %q", login.User, back.User)
	}
}
