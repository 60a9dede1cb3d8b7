package exclusions

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// told has a criterion of each kind that fullLogin meets.
var told = []struct {
	kind      Kind
	value     string
	other     string // a value it has not
	metUntold bool   // negated, by a login that tells nothing
	silence   string // what Explain says of a login that tells nothing
}{
	{Users, "alice", "bob", false, "the request tells no user name"},
	{Groups, "vpn", "admins", true, ""},
	{Realms, "example.org", "example.com", false, "the user name has no realm"},
	{ClientIPs, "203.0.113.0/24", "198.51.100.0/24", false, "the request tells no client IP"},
	{ClientMACs, "00-10-A4-23-19-C1", "00-10-A4-23-19-C2", false, "the request tells no client MAC"},
	{NASes, "gateway", "office", false, "the NAS is not told"},
	{NASAddresses, "192.0.2.1", "192.0.2.2", false, "the address of the NAS is not told"},
	{NASIPAddresses, "2001:db8::/64", "2001:db8:1::/64", false, "there is no NAS-IP-Address of a NAS trusted to state it"},
	{NASIdentifiers, "fw1", "FW1", false, "the request tells no NAS-Identifier"},
	{Times, "Mon 09:00-10:00", "Tue 09:00-10:00", true, ""},
}

func TestEachKindOfCriterion(t *testing.T) {
	if len(told) != int(kindCount) {
		t.Errorf("%d kinds of %d", len(told), kindCount)
	}
	nothing := &Login{At: monday.Add(12 * time.Hour)}
	for _, c := range told {
		for _, r := range []struct {
			criterion   Criterion
			met, untold bool
		}{
			{with(c.kind, c.value), true, false},
			{with(c.kind, c.other, c.value), true, false},
			{with(c.kind, c.other), false, false},
			{without(c.kind, c.value), false, c.metUntold},
			{without(c.kind, c.other, c.value), false, c.metUntold},
			{without(c.kind, c.other), true, c.metUntold},
		} {
			l := list(t, []Criterion{r.criterion})
			if rule, doubt := l.Decide(fullLogin()); (rule == 0) != r.met || doubt {
				t.Errorf("%+v: rule %d, %t", r.criterion, rule, doubt)
			}
			if rule, doubt := l.Decide(nothing); (rule == 0) != r.untold || doubt {
				t.Errorf("%+v, nothing told: rule %d, %t", r.criterion, rule, doubt)
			}
			if f := l.Explain(nothing)[0]; c.silence != "" && f.Text != c.silence {
				t.Errorf("%+v, nothing told: %s", r.criterion, f.Text)
			}
		}
	}
}

func TestCriteriaAreANDedAndRulesORed(t *testing.T) {
	l := list(t,
		[]Criterion{with(Users, "alice"), with(ClientIPs, "198.51.100.0/24")},
		[]Criterion{with(Users, "bob"), with(ClientIPs, "203.0.113.0/24")},
		[]Criterion{with(ClientIPs, "203.0.113.0/24"), without(ClientIPs, "203.0.113.9")},
		[]Criterion{with(Users, "alice"), with(ClientIPs, "203.0.113.0/24"), without(NASes, "office"), with(Groups, "staff")},
		[]Criterion{with(Users, "alice")},
		[]Criterion{with(Users, "mallory")},
		[]Criterion{with(Groups, "staff", "vpn"), with(ClientMACs, "00-10-A4-*", "00-10-A4-23-19-C0")},
	)
	if rule, doubt := l.Decide(fullLogin()); rule != 3 || doubt {
		t.Errorf("rule %d, %t", rule, doubt)
	}
	got, doubt := l.Matches([]int{99}, fullLogin())
	if !slices.Equal(got, []int{99, 3, 4, 6}) || doubt {
		t.Errorf("matches %v, %t", got, doubt)
	}
}

func TestSeveralClientMACs(t *testing.T) {
	l := list(t, []Criterion{with(ClientMACs, "00-10-A4-23-19-C1")}, []Criterion{without(ClientMACs, "00-10-A4-23-19-C1")})
	for _, c := range []struct {
		macs []MAC
		want int
	}{
		{[]MAC{mac}, 1}, {[]MAC{mac + 1}, 0}, {[]MAC{mac, mac + 1}, 0}, {[]MAC{mac, mac + 2}, 1}, {nil, -1},
	} {
		if rule, _ := l.Decide(&Login{ClientMACs: c.macs}); rule != c.want {
			t.Errorf("%v: rule %d, want %d", c.macs, rule, c.want)
		}
	}
}

func TestDoubt(t *testing.T) {
	unknown := func(user string) *Login {
		return &Login{At: monday, User: []byte(user), GroupsUnknown: true, ClientIP: netip.MustParseAddr("203.0.113.9")}
	}
	group, notGroup := with(Groups, "vpn"), without(Groups, "vpn")
	for _, c := range []struct {
		name  string
		rules [][]Criterion
		rule  int
		doubt bool
	}{
		{"a group", [][]Criterion{{group}}, -1, true},
		{"not a group", [][]Criterion{{notGroup}}, -1, true},
		{"a group and something that is met", [][]Criterion{{group, with(Users, "alice")}}, -1, true},
		{"a group and something that is missed", [][]Criterion{{group, with(Users, "bob")}}, -1, false},
		{"not a group and something that is missed", [][]Criterion{{with(Realms, "example.org"), notGroup}}, -1, false},
		{"a group and a time that is missed", [][]Criterion{{group, with(Times, "Tue")}}, -1, false},
		{"something definite behind it", [][]Criterion{{group}, {with(Users, "alice")}}, 1, false},
		{"something definite before it", [][]Criterion{{with(Users, "alice")}, {group}}, 0, false},
		{"something else that is missed", [][]Criterion{{group}, {with(Users, "bob")}}, -1, true},
	} {
		l := list(t, c.rules...)
		if rule, doubt := l.Decide(unknown("alice")); rule != c.rule || doubt != c.doubt {
			t.Errorf("%s: rule %d, %t, want %d, %t", c.name, rule, doubt, c.rule, c.doubt)
		}
		inDoubt := slices.ContainsFunc(l.Explain(unknown("alice")), func(f Finding) bool { return f.Standing == Unknown })
		if _, doubt := l.Matches(nil, unknown("alice")); doubt != inDoubt {
			t.Errorf("%s: doubt of the matches is %t, of the findings %t", c.name, doubt, inDoubt)
		}
	}
}

// TestDoubtDoesNotAskForGroups: what is in Groups does not count while they are
// unknown.
func TestDoubtDoesNotAskForGroups(t *testing.T) {
	login := fullLogin()
	login.GroupsUnknown = true
	l := list(t, []Criterion{with(Groups, "vpn")}, []Criterion{with(Groups, "vpn"), with(Users, "alice")})
	if rule, doubt := l.Decide(login); rule != -1 || !doubt {
		t.Errorf("rule %d, %t", rule, doubt)
	}
}
