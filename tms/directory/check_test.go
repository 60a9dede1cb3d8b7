package directory

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/tms/directory/directorytest"
)

// checked is what Check says of one server.
func checked(t *testing.T, c Config) string {
	t.Helper()
	checks := newKit(t, "", c).Check(context.Background())
	if len(checks) != len(c.Servers) {
		t.Fatalf("%d servers were checked of %d", len(checks), len(c.Servers))
	}
	if checks[0].Directory != c.Name || checks[0].Server != c.Servers[0] {
		t.Errorf("what was checked is %+v", checks[0])
	}
	if checks[0].Err == nil {
		return "ok"
	}
	return checks[0].Err.Error()
}

func TestCheck(t *testing.T) {
	foreign := directorytest.NewAuthority(t).PEM()
	ldap := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{LDIF: directorytest.Person("alice", "secret")})
	misnamed := directorytest.StartOpenLDAP(t, directorytest.OpenLDAPOptions{Hosts: []string{"ldap.example.org"}})
	startTLS := func(c *Config) { c.Servers[0], c.StartTLS = ldap.URL, true }
	both := func(a, b func(*Config)) func(*Config) { return func(c *Config) { a(c); b(c) } }
	wrongCA := func(c *Config) { c.CAFile, c.CA = "", foreign }
	for _, test := range []struct {
		about  string
		change func(*Config)
		want   []string // parts of the line
	}{
		{"LDAPS", func(*Config) {}, []string{"ok"}},
		{"StartTLS", startTLS, []string{"ok"}},
		{"in the clear on loopback", func(c *Config) { c.Servers[0] = ldap.URL }, []string{"ok"}},
		{"another CA", wrongCA, []string{"agreeing on TLS", "unknown authority", "set ca_file"}},
		{"another CA, StartTLS", both(startTLS, wrongCA), []string{"agreeing on TLS", "unknown authority", "set ca_file"}},
		{"another name", func(c *Config) { c.Servers[0] = misnamed.TLSURL }, []string{"agreeing on TLS", "write in servers a name that the certificate has"}},
		{"another name, StartTLS", func(c *Config) { c.Servers[0], c.StartTLS = misnamed.URL, true }, []string{"agreeing on TLS", "give the server a certificate with this name"}},
		{"server_name", func(c *Config) { c.Servers[0], c.ServerName = misnamed.TLSURL, "ldap.example.org" }, []string{"user_filter"}},
		{"LDAPS where LDAP is spoken", func(c *Config) { c.Servers[0] = "ldaps" + strings.TrimPrefix(ldap.URL, "ldap") }, []string{"agreeing on TLS"}},
		{"StartTLS where LDAPS is spoken", func(c *Config) { c.Servers[0], c.StartTLS = "ldap"+strings.TrimPrefix(ldap.TLSURL, "ldaps"), true }, []string{"starting TLS", "write ldaps://"}},
		{"wrong password", func(c *Config) { c.BindPassword = NewPassword([]byte("wrong")) }, []string{"binding as cn=reader", `"Invalid Credentials": verify bind_dn and bind_password_file`}},
		{"nobody is let in", func(c *Config) { c.BindDN, c.BindPassword = "", Password{} }, []string{"verify base_dn"}},
		{"no such base", func(c *Config) { c.BaseDN = "dc=elsewhere" }, []string{`reading base_dn "dc=elsewhere"`, "verify base_dn"}},
		{"no such group base", func(c *Config) { c.GroupBaseDN = "ou=x,dc=example,dc=org" }, []string{"reading group_base_dn", "verify base_dn and group_base_dn"}},
		{"no users", func(c *Config) { c.UserFilter = "(objectClass=device)" }, []string{"no entry below", "(objectClass=device)", "verify base_dn, user_filter"}},
		{"nothing there", func(c *Config) { c.Servers[0] = "ldaps://" + ldap.Host + ":9" }, []string{"connecting", "refused", "nothing listens there"}},
		{"no such host", func(c *Config) { c.Servers[0] = "ldaps://no-such-host.invalid" }, []string{"connecting", `verify the name "no-such-host.invalid"`}},
	} {
		c := openLDAPConfig(ldap)
		test.change(&c)
		got := checked(t, c)
		for _, part := range test.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s\nhas no %q", test.about, got, part)
			}
		}
		if strings.Contains(got, "\n") || strings.Contains(got, directorytestPassword(ldap)) {
			t.Errorf("%s: %q", test.about, got)
		}
	}
}

func directorytestPassword(ldap *directorytest.OpenLDAP) string { return ldap.BindPassword }

// TestCheckActiveDirectory is about what Active Directory refuses.
func TestCheckActiveDirectory(t *testing.T) {
	samba := directorytest.StartSamba(t)
	for _, test := range []struct {
		about  string
		change func(*Config)
		want   []string
	}{
		{"LDAPS", func(*Config) {}, []string{"ok"}},
		{"StartTLS", func(c *Config) { c.Servers[0], c.StartTLS = samba.URL, true }, []string{"ok"}},
		{"UPN as account", func(c *Config) { c.BindDN = "svc@ad.test" }, []string{"ok"}},
		{"in the clear", func(c *Config) { c.Servers[0] = samba.URL }, []string{"Result Code 8", "takes no password in the clear"}},
		{"wrong password", func(c *Config) { c.BindPassword = NewPassword([]byte("wrong")) }, []string{"data 52e", "verify bind_dn and bind_password_file"}},
		{"disabled account", func(c *Config) {
			c.BindDN, c.BindPassword = "dave@ad.test", NewPassword([]byte(directorytest.Password("dave")))
		}, []string{"enable the account"}},
		{"anonymously", func(c *Config) { c.BindDN, c.BindPassword = "", Password{} }, []string{"the server wants an account"}},
		{"no such base", func(c *Config) { c.BaseDN = "DC=elsewhere" }, []string{"verify base_dn"}},
	} {
		c := sambaConfig(samba)
		test.change(&c)
		got := checked(t, c)
		for _, part := range test.want {
			if !strings.Contains(got, part) {
				t.Errorf("%s: %s\nhas no %q", test.about, got, part)
			}
		}
	}

	// One that is refused is not tried at every server.
	c := sambaConfig(samba)
	c.BindDN, c.BindPassword = "erin@ad.test", NewPassword([]byte("wrong"))
	c.Servers = []string{samba.TLSURL, samba.TLSURL, samba.TLSURL, samba.TLSURL}
	checks := newKit(t, "", c).Check(context.Background())
	for i, check := range checks {
		if check.Err == nil || (check.Err == errNotBound) != (i > 0) {
			t.Errorf("server %d: %v", i, check.Err)
		}
	}
	if counts := samba.Tool("user", "show", "erin", "--attributes=badPwdCount"); !strings.Contains(counts, "badPwdCount: 1") {
		t.Errorf("checking counts as %s", counts)
	}

	// Nor at every login.
	k := newKit(t, "", c)
	for _, name := range []string{"alice", "bob", "carol"} {
		k.find(name, exclusions.Unavailable)
	}
	k.logged("the account was refused and is not tried again")
	if counts := samba.Tool("user", "show", "erin", "--attributes=badPwdCount"); !strings.Contains(counts, "badPwdCount: 3") {
		t.Errorf("checking once and looking up counts as %s", counts)
	}
}

// TestSilentServer is about a server that accepts connections and says nothing.
func TestSilentServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, scheme := range []string{"ldap", "ldaps"} {
		for _, startTLS := range []bool{false, true} {
			c := Config{
				Name: "silent", Type: Generic, Servers: []string{scheme + "://" + l.Addr().String()}, StartTLS: startTLS,
				BaseDN: "dc=x", Realms: []string{"x"}, BindDN: "cn=x", BindPassword: NewPassword([]byte("x")), Timeout: 100 * time.Millisecond,
			}
			if got := checked(t, c); !strings.Contains(got, "verify servers, the firewall, and that the directory runs") {
				t.Errorf("%s, StartTLS %v: %s", scheme, startTLS, got)
			}
		}
	}
}
