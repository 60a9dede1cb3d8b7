package directory

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/tms/directory/directorytest"
)

// settingTest is a change to a good configuration.
type settingTest struct {
	about   string
	change  func(*Config)
	setting string // that New complains of, "" when all is well
}

func TestSettings(t *testing.T) {
	secret := NewPassword([]byte("x"))
	for _, test := range []settingTest{
		{"as it should be", func(*Config) {}, ""},
		{"no name", func(c *Config) { c.Name = "" }, "name"},
		{"a bad type", func(c *Config) { c.Type = 9 }, "type"},
		{"no servers", func(c *Config) { c.Servers = nil }, "servers"},
		{"no URL", func(c *Config) { c.Servers = []string{"dc1.example.com"} }, "servers"},
		{"HTTP", func(c *Config) { c.Servers = []string{"https://dc1"} }, "servers"},
		{"a password in the URL", func(c *Config) { c.Servers = []string{"ldaps://u:SECRET@dc1"} }, "servers"},
		{"a path", func(c *Config) { c.Servers = []string{"ldaps://dc1/dc=x"} }, "servers"},
		{"IPv6", func(c *Config) { c.Servers = []string{"ldaps://[2001:db8::5]:1636"} }, ""},
		{"password in the clear", func(c *Config) { c.Servers, c.BindDN, c.BindPassword = []string{"ldap://dc1"}, "cn=x", secret }, "servers"},
		{"StartTLS", func(c *Config) {
			c.Servers, c.StartTLS, c.BindDN, c.BindPassword = []string{"ldap://dc1"}, true, "cn=x", secret
		}, ""},
		{"clear loopback", func(c *Config) {
			c.Servers, c.BindDN, c.BindPassword = []string{"ldap://127.0.0.9:389", "ldap://localhost", "ldap://[::1]"}, "cn=x", secret
		}, ""},
		{"anonymous in the clear", func(c *Config) { c.Servers = []string{"ldap://dc1"} }, ""},
		{"no password", func(c *Config) { c.BindDN = "cn=x" }, "bind_password_file"},
		{"no account", func(c *Config) { c.BindPassword = secret }, "bind_dn"},
		{"no base", func(c *Config) { c.BaseDN = "" }, "base_dn"},
		{"a bad base", func(c *Config) { c.BaseDN = "example.com" }, "base_dn"},
		{"a bad base of groups", func(c *Config) { c.GroupBaseDN = "x" }, "group_base_dn"},
		{"a bad filter", func(c *Config) { c.UserFilter = "(a=b" }, "user_filter"},
		{"a filter and more", func(c *Config) { c.UserFilter = "(a=b)(c=d)" }, "user_filter"},
		{"a bad filter of groups", func(c *Config) { c.GroupFilter = "a=b" }, "group_filter"},
		{"a bad login attribute", func(c *Config) { c.LoginAttributes = []string{"uid", "a)(b"} }, "login_attributes"},
		{"a bad name attribute", func(c *Config) { c.NameAttribute = "a b" }, "name_attribute"},
		{"a bad mail attribute", func(c *Config) { c.MailAttribute = "mail*" }, "mail_attribute"},
		{"a bad phone attribute", func(c *Config) { c.PhoneAttribute = "täl" }, "phone_attribute"},
		{"no realm", func(c *Config) { c.Realms = nil }, "realms"},
		{"a bad realm", func(c *Config) { c.Realms = []string{"x", "@y"} }, "realms"},
		{"negative", func(c *Config) { c.StaleTime = -time.Second }, "stale_time"},
	} {
		test.run(t)
	}
}

func TestCASettings(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []settingTest{
		{"no CA file", func(c *Config) { c.CAFile = "/does/not/exist.pem" }, "ca_file"},
		{"an empty CA file", func(c *Config) { c.CAFile = empty }, "ca_file"},
		{"two CAs", func(c *Config) { c.CAFile, c.CA = empty, []byte("x") }, "ca_file"},
		{"a good CA", func(c *Config) { c.CA = directorytest.NewAuthority(t).PEM() }, ""},
	} {
		test.run(t)
	}
}

func (test settingTest) run(t *testing.T) {
	t.Helper()
	c := unreachable("a", "x")
	test.change(&c)
	r, err := New(Options{Directories: []Config{c}})
	if err == nil {
		r.Close()
	}
	var setting *SettingError
	switch {
	case test.setting == "" && err != nil:
		t.Errorf("%s: %v", test.about, err)
	case test.setting != "" && (!errors.As(err, &setting) || setting.Setting != test.setting || setting.Problem == "" || setting.Remedy == ""):
		t.Errorf("%s: %v, not about %s", test.about, err, test.setting)
	case err != nil && strings.Contains(err.Error(), "SECRET"):
		t.Errorf("%s: %v", test.about, err)
	}
}

func TestSettingsOfSeveral(t *testing.T) {
	for _, test := range []struct {
		about, realm, want string
		directories        []Config
	}{
		{"one name", "", `directory "a": name: another directory has it: give each its own`, []Config{unreachable("a", "x"), unreachable("a", "y")}},
		{"one realm", "", `directory "b": realms: directory "a" has "x", too: leave it out of one of both`, []Config{unreachable("a", "x"), unreachable("b", "X")}},
		{"another default realm", "z", `default_realm: no directory has the realm "z": write one that a directory has in realms`, []Config{unreachable("a", "x")}},
	} {
		if _, err := New(Options{Directories: test.directories, DefaultRealm: test.realm}); err == nil || err.Error() != test.want {
			t.Errorf("%s: %v instead of %s", test.about, err, test.want)
		}
	}
	broken := unreachable("", "x")
	broken.BaseDN, broken.Servers = "", nil
	_, err := New(Options{Directories: []Config{broken, broken}})
	if err == nil || strings.Count(err.Error(), "\n") != 5 || !strings.Contains(err.Error(), `directory "2": base_dn`) {
		t.Errorf("all faults are %v", err)
	}
}

func TestDefaults(t *testing.T) {
	ad := Config{Type: ActiveDirectory, NameAttribute: "employeeID", BaseDN: "dc=x"}.complete()
	if !slices.Equal(ad.LoginAttributes, []string{"sAMAccountName", "userPrincipalName", "employeeID"}) || ad.GroupBaseDN != "dc=x" || ad.MailAttribute != "mail" {
		t.Errorf("Active Directory's are %+v", ad)
	}
	given := []string{"UID", "mail", "spare"}[:2]
	other := Config{Type: Generic, LoginAttributes: given}.complete()
	if !slices.Equal(other.LoginAttributes, []string{"UID", "mail"}) || other.Timeout != defaultTimeout || other.StaleTime != 0 {
		t.Errorf("others' are %+v", other)
	}
	_ = Config{NameAttribute: "x", LoginAttributes: given}.complete()
	if given[:3][2] != "spare" {
		t.Error("a slice of the caller's was written to")
	}
}

func TestTypes(t *testing.T) {
	for _, kind := range []Type{ActiveDirectory, OpenLDAP, Generic} {
		if got, err := ParseType(kind.String()); got != kind || err != nil {
			t.Errorf("%v is read as %v, %v", kind, got, err)
		}
	}
	if _, err := ParseType("LDAP"); err == nil || Type(9).String() != "type(9)" {
		t.Errorf("LDAP is a type: %v", err)
	}
}

// TestRegistering is about metrics that another has registered.
func TestRegistering(t *testing.T) {
	registry := prometheus.NewRegistry()
	first, err := New(Options{Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := New(Options{Registerer: registry}); err == nil {
		t.Error("metrics were registered twice")
	}
	first.Close()
	second, err := New(Options{Registerer: registry})
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	second.Close()
}
