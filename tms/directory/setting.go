package directory

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode"

	"github.com/go-ldap/ldap/v3"
)

// SettingError says what is wrong with a setting of a directory, and how to mend
// it.
type SettingError struct {
	Directory string // its name, or its number when it has none
	Setting   string // as the configuration calls it
	Problem   string
	Remedy    string
}

func (e *SettingError) Error() string {
	if e.Directory == "" {
		return fmt.Sprintf("%s: %s: %s", e.Setting, e.Problem, e.Remedy)
	}
	return fmt.Sprintf("directory %q: %s: %s: %s", e.Directory, e.Setting, e.Problem, e.Remedy)
}

// endpoint is where a server is.
type endpoint struct {
	url       string // as configured
	host      string
	address   string // host:port
	encrypted bool   // by TLS from the start
	startTLS  bool
}

// clear reports whether what is sent there can be read on the way.
func (e endpoint) clear() bool { return !e.encrypted && !e.startTLS && !isLoopback(e.host) }

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}

// inspector collects what is wrong with the configuration of one directory.
type inspector struct {
	directory string
	faults    []error
}

func (i *inspector) fault(setting, problem, remedy string) {
	i.faults = append(i.faults, &SettingError{i.directory, setting, problem, remedy})
}

// inspect verifies a complete configuration and returns what it means.
func inspect(number int, c Config) ([]endpoint, *x509.CertPool, error) {
	i := &inspector{directory: c.Name}
	if c.Name == "" {
		i.directory = strconv.Itoa(number + 1)
		i.fault("name", "it has none", "give it one, for logs and rules")
	}
	if int(c.Type) >= len(types) {
		i.fault("type", "it is unknown", "choose "+strings.Join(types[:], ", "))
	}
	endpoints, pool := i.endpoints(c), i.certificates(c)
	i.account(c)
	i.dn("base_dn", c.BaseDN)
	if c.GroupBaseDN != c.BaseDN {
		i.dn("group_base_dn", c.GroupBaseDN)
	}
	i.filter("user_filter", c.UserFilter)
	i.filter("group_filter", c.GroupFilter)
	i.attributes("name_attribute", c.NameAttribute)
	i.attributes("login_attributes", c.LoginAttributes...)
	i.attributes("mail_attribute", c.MailAttribute)
	i.attributes("phone_attribute", c.PhoneAttribute)
	if len(c.Realms) == 0 {
		i.fault("realms", "there is none", "name what stands behind the @ of its users' names")
	}
	i.numbers(c)
	return endpoints, pool, errors.Join(i.faults...)
}

func (i *inspector) endpoints(c Config) []endpoint {
	if len(c.Servers) == 0 {
		i.fault("servers", "there is none", "name one, as ldaps://dc1.example.com")
	}
	var all []endpoint
	for _, server := range c.Servers {
		e, err := parseServer(server, c.StartTLS)
		if err != nil {
			i.fault("servers", err.Error(), "write ldaps://host or ldap://host, with :port if need be")
			continue
		}
		if e.clear() && c.BindDN != "" {
			i.fault("servers", server+" would be sent the password of bind_dn in the clear", "write ldaps:// or set start_tls = true; only loopback needs neither")
		}
		all = append(all, e)
	}
	return all
}

// parseServer reads the URL of a server.
func parseServer(server string, startTLS bool) (endpoint, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return endpoint{}, errors.New("one is not the URL of a server") // which may have a password in it
	}
	e := endpoint{url: server, host: u.Hostname()}
	port := ldap.DefaultLdapPort
	switch u.Scheme {
	case "ldap":
		e.startTLS = startTLS
	case "ldaps":
		e.encrypted, port = true, ldap.DefaultLdapsPort
	default:
		return endpoint{}, fmt.Errorf("%q is not the URL of an LDAP server", server)
	}
	e.address = net.JoinHostPort(e.host, cmp.Or(u.Port(), port))
	return e, nil
}

func (i *inspector) certificates(c Config) *x509.CertPool {
	text := c.CA
	switch {
	case c.CAFile == "" && len(c.CA) == 0:
		return nil // those of the system
	case c.CAFile != "" && len(c.CA) != 0:
		i.fault("ca_file", "there are certificates besides the file", "give one of both")
	case c.CAFile != "":
		content, err := os.ReadFile(c.CAFile)
		if err != nil {
			i.fault("ca_file", err.Error(), "name the PEM file of the CA that issued the servers' certificates")
			return nil
		}
		text = content
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		i.fault("ca_file", "there is no certificate in it", "name a file with -----BEGIN CERTIFICATE-----")
	}
	return pool
}

// account verifies that there is an account and a password, or neither: a bind
// with an empty password succeeds as nobody (RFC 4513 section 5.1.2).
func (i *inspector) account(c Config) {
	if c.BindDN != "" && c.BindPassword.IsZero() {
		i.fault("bind_password_file", "bind_dn has no password", "name the file that has it, or leave bind_dn out to ask anonymously")
	}
	if c.BindDN == "" && !c.BindPassword.IsZero() {
		i.fault("bind_dn", "there is a password and no account", "name the account it belongs to")
	}
}

func (i *inspector) dn(setting, dn string) {
	if parsed, err := ldap.ParseDN(dn); err != nil || len(parsed.RDNs) == 0 {
		i.fault(setting, fmt.Sprintf("%q is no distinguished name", dn), "write it as dc=example,dc=com")
	}
}

func (i *inspector) filter(setting, filter string) {
	if _, err := ldap.CompileFilter(filter); err != nil {
		i.fault(setting, fmt.Sprintf("%q is no filter: %v", filter, err), "write it as (objectClass=person), with all its parentheses")
	}
}

func (i *inspector) attributes(setting string, names ...string) {
	for _, name := range names {
		if !isAttribute(name) {
			i.fault(setting, fmt.Sprintf("%q is no name of an attribute", name), "use letters, digits, hyphens and dots, as in uid")
		}
	}
}

// isAttribute reports whether name can be an attribute (RFC 4512 section 1.4).
func isAttribute(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool {
		return c > unicode.MaxASCII || !unicode.IsLetter(c) && !unicode.IsDigit(c) && c != '-' && c != '.'
	})
}

func (i *inspector) numbers(c Config) {
	for _, n := range []struct {
		setting string
		value   int64
	}{
		{"group_depth", int64(c.GroupDepth)}, {"timeout", int64(c.Timeout)}, {"cache_time", int64(c.CacheTime)}, {"stale_time", int64(c.StaleTime)},
		{"not_found_time", int64(c.NotFoundTime)}, {"cache_users", int64(c.CacheUsers)}, {"page_size", int64(c.PageSize)}, {"connections", int64(c.Connections)},
	} {
		if n.value < 0 {
			i.fault(n.setting, "it is negative", "leave it out for the default")
		}
	}
}
