package conf

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// wrongRules is a Check that finds fault with each value of each rule.
func wrongRules(c *Config, fault func(key, problem, remedy string)) {
	criteria := func(table string, of *Criteria) {
		for _, criterion := range of.List() {
			for i := range criterion.Values {
				fault(fmt.Sprintf("%s.%s[%d]", table, criterion.Key(), i), "is wrong", "correct it")
			}
		}
	}
	for i := range c.Exclusions {
		criteria(fmt.Sprintf("exclusion[%d]", i), &c.Exclusions[i].Criteria)
	}
	for i := range c.Replies {
		criteria(fmt.Sprintf("reply[%d]", i), &c.Replies[i].Criteria)
		for _, attribute := range c.Replies[i].Attributes {
			for k := range attribute.Values {
				fault(fmt.Sprintf("reply[%d].attributes.%s[%d]", i, attribute.Name, k), "is wrong", "correct it")
			}
		}
	}
}

// TestCheckFindsLines has a Check find fault with values, of which each word
// stands on its line and nowhere else.
func TestCheckFindsLines(t *testing.T) {
	const text = `[[nas]]
name = "gateway"
addresses = ["192.0.2.10"]
secret = "xyzzy5461xyzzy5461"
excluded = "accept"

[[exclusion]]
name = "one"
owner = "o"
reason = "r"
client_macs = [
  "line12",

  # a comment
  "line15", "line15",
]
not_users = "line17"

[[exclusion]]
name = "two"
owner = "o"
reason = "r"
users = ["line23",
         "line24"]

[[reply]]
groups = "line27"
attributes = { Class = ["line28"], Filter-Id = [
  "line29",
] }

[[reply]]
[reply.attributes]
Class = "line34"
"Reply Message" = "line35"
`
	_, err := Parse("countersign.toml", []byte(text), wrongRules)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v, want Faults", err)
	}
	var got []int
	for _, fault := range faults {
		got = append(got, fault.Line)
	}
	// The key of the last is not written as in Fault, and has the line of its table.
	if want := []int{12, 15, 15, 17, 23, 24, 27, 28, 29, 33, 34}; !slices.Equal(got, want) {
		t.Errorf("got lines %v, want %v\n%v", got, want, err)
	}
}

// TestCheckComesAfterTheOthers finds the faults of a Check beside those of the
// package, and of one key not both.
func TestCheckComesAfterTheOthers(t *testing.T) {
	const text = `exclusion = ["no table", { name = "a", owner = "o", reason = "r", users = ["", "x", 5], groups = 7, realms = [] }, { name = "b", owner = "o", reason = "r", users = "x" }]
login.window = 99
`
	called := 0
	check := func(c *Config, fault func(key, problem, remedy string)) {
		called++
		if got, want := c.Exclusions[1].Users, []string{"", "x", ""}; !slices.Equal(got, want) {
			t.Errorf("got users %q, want %q", got, want)
		}
		for _, key := range []string{
			"exclusion[0].name", "exclusion[0]", "exclusion[1].users[0]", "exclusion[1].users[1]", "exclusion[1].users[2]",
			"exclusion[1].users", "exclusion[1].groups", "exclusion[1].groups[0]", "exclusion[1].realms", "exclusion[1]", "exclusion[2]", "login.window", "log.level",
		} {
			fault(key, "is wrong", "correct it")
		}
	}
	_, err := Parse("countersign.toml", []byte(text), check, check)
	var faults Faults
	if !errors.As(err, &faults) {
		t.Fatalf("got %v, want Faults", err)
	}
	var got []string
	for _, fault := range faults {
		if fault.Problem == "is wrong" {
			got = append(got, fault.Key+" of Check")
		} else {
			got = append(got, fault.Key)
		}
	}
	slices.Sort(got)
	if want := []string{
		"exclusion[0]", "exclusion[1].groups", "exclusion[1].realms", "exclusion[1].users[0]",
		"exclusion[1].users[1] of Check", "exclusion[1].users[2]", "exclusion[2] of Check", "log.level of Check", "login.window",
	}; !slices.Equal(got, want) {
		t.Errorf("got faults of %q, want %q", got, want)
	}
	if called != 2 {
		t.Errorf("the Check was called %d times, want 2", called)
	}
	if _, err := Parse("countersign.toml", []byte("not TOML"), check); err == nil || called != 2 {
		t.Errorf("of a text that is not TOML got %v, and the Check was called", err)
	}
}

func TestLoadRunsChecks(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "countersign.toml", plantedFile)
	if _, err := Load("countersign.toml", func(*Config, func(key, problem, remedy string)) {}); err != nil {
		t.Error(err)
	}
	_, err := Load("countersign.toml", func(_ *Config, fault func(key, problem, remedy string)) {
		fault("directory[0].user_filter", "is wrong", "correct it")
	})
	if want := "countersign.toml:6: directory[0].user_filter: is wrong; correct it"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// TestCriteria sets each criterion of a rule in turn.
func TestCriteria(t *testing.T) {
	kinds := "users groups realms client_ips client_macs nases nas_addresses nas_ip_addresses nas_identifiers times"
	for _, kind := range strings.Fields(kinds) {
		for _, not := range []string{"", "not_"} {
			key := not + kind
			text := plantedFile + "[[reply]]\nattributes.Class = 'a'\n" + key + " = 'gateway'\n"
			config, err := Parse("countersign.toml", []byte(text))
			if err != nil {
				t.Error(err)
				continue
			}
			list := config.Replies[0].List()
			want := []Criterion{{kind, not != "", []string{"gateway"}}}
			if !reflect.DeepEqual(list, want) || list[0].Key() != key {
				t.Errorf("%s: got %+v, want %+v", key, list, want)
			}
		}
	}
	if got := reflect.TypeFor[Criteria]().NumField(); got != 2*len(strings.Fields(kinds)) {
		t.Errorf("there are %d criteria", got)
	}
}

// TestClientIPFrom tells an empty list from none.
func TestClientIPFrom(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                     nil,
		"preset = 'pfsense-openvpn'":           nil,
		"client_ip_from = []":                  {},
		"client_ip_from = ''":                  {},
		"client_ip_from = 'framed-ip-address'": {"framed-ip-address"},
		"client_ip_from = ['cisco-avpair', 'framed-ip-address']": {"cisco-avpair", "framed-ip-address"},
	} {
		config, err := Parse("countersign.toml", []byte("[[nas]]\nname = 'a'\naddresses = '192.0.2.1'\nsecret = 'xyzzy5461'\n"+text))
		if err != nil {
			t.Fatal(err)
		}
		if got := config.NAS[0].ClientIPFrom; !reflect.DeepEqual(got, want) {
			t.Errorf("of %q got %#v, want %#v", text, got, want)
		}
	}
}

func TestModeOf(t *testing.T) {
	config := Config{Login: Login{Mode: ModeCreateToken}}
	if got := config.ModeOf(&NAS{}); got != ModeCreateToken {
		t.Errorf("got %q, want that of [login]", got)
	}
	if got := config.ModeOf(&NAS{Mode: ModeMandatory}); got != ModeMandatory {
		t.Errorf("got %q, want that of the NAS", got)
	}
}

func TestNASesWithoutExcluded(t *testing.T) {
	config := Config{NAS: []NAS{{Name: "a"}, {Name: "b", Excluded: ExcludedAccept}, {Name: "c"}, {Name: "d", Excluded: ExcludedDirectoryPassword}}}
	for _, test := range []struct{ nases, not, want []string }{
		{nil, nil, []string{"a", "c"}},
		{[]string{"a", "b"}, nil, []string{"a"}},
		{nil, []string{"a"}, []string{"c"}},
		{[]string{"a", "c"}, []string{"a", "d"}, []string{"c"}},
		{[]string{"b", "d"}, nil, nil},
		{[]string{"unknown"}, nil, nil},
		{[]string{}, nil, nil},
	} {
		if got := config.NASesWithoutExcluded(test.nases, test.not); !slices.Equal(got, test.want) {
			t.Errorf("of %q and not %q got %q, want %q", test.nases, test.not, got, test.want)
		}
	}
}
