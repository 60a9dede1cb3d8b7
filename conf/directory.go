package conf

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Users is the table [users]: how user names are read.
type Users struct {
	// DefaultRealm is the realm of a user name without one. "" is that of the
	// only directory; if there are several, such a name is of none.
	DefaultRealm string `toml:"default_realm"`
}

// Directory is a table [[directory]]: an LDAP directory with users, and the
// servers that answer for it.
type Directory struct {
	// Name is what logs, metrics and explanations call it: 1 to 64 bytes, its own.
	Name string `toml:"name"`

	// Type is its make.
	Type DirectoryType `toml:"type" oneof:"active-directory openldap generic"`

	// Servers are its servers, as URLs: ldaps://HOST or ldap://HOST, with :PORT
	// if it is not 636 or 389. At least one; the first that answers is asked.
	Servers []string `toml:"servers"`

	// StartTLS encrypts connections to ldap:// servers before anything is sent.
	// Without it, passwords go there in clear.
	StartTLS bool `toml:"start_tls"`

	// CAFile is a file of certificates (PEM) that those of the servers are
	// verified by; "" is those that the system trusts.
	CAFile string `toml:"ca_file"`

	// BindDN is the account that looks users up; "" asks anonymously.
	BindDN string `toml:"bind_dn"`

	// BindPassword is its password, 1 to 256 bytes, wherever it was read from.
	BindPassword Secret `toml:"bind_password"`

	// BindPasswordFile is a file with the password as its only line. Not both it
	// and BindPassword are in the file. Accounts that are neither its owner nor
	// of its group must have no access.
	BindPasswordFile string `toml:"bind_password_file"`

	// BaseDN is the entry below which users are.
	BaseDN string `toml:"base_dn"`

	// GroupBaseDN is the entry below which groups are; "" is BaseDN.
	GroupBaseDN string `toml:"group_base_dn"`

	// Realms are the realms of its users: what stands behind the @ of a user
	// name, or before the \. At least one; upper and lower case are the same, and
	// no two directories have one. The first is part of the users' names here,
	// unless DefaultRealm is a realm of this directory.
	Realms []string `toml:"realms"`

	// LoginAttributes are the attributes of which one is the user name that a
	// user types, besides NameAttribute. [] is sAMAccountName and
	// userPrincipalName of Active Directory, else uid.
	LoginAttributes []string `toml:"login_attributes"`

	// NameAttribute has the name by which tokens and rules know a user. "" is
	// sAMAccountName of Active Directory, else uid.
	NameAttribute string `toml:"name_attribute"`

	// UserFilter and GroupFilter are what entries must meet to be a user or a
	// group (RFC 4515); "" is that of the type.
	UserFilter  string `toml:"user_filter"`
	GroupFilter string `toml:"group_filter"`

	// MailAttribute has the mail address; "" is mail.
	MailAttribute string `toml:"mail_attribute"`

	// PhoneAttribute has the telephone number; "" is mobile.
	PhoneAttribute string `toml:"phone_attribute"`

	// NestedGroups counts a member of a group that is in another group as a
	// member of both.
	NestedGroups bool `toml:"nested_groups"`

	// GroupDepth is how many groups deep, where they are followed one by one.
	GroupDepth int `toml:"group_depth" bounds:"1 to 50"`

	// Timeout is how long one server may take to be connected to, and to answer
	// all that is asked about one user.
	Timeout time.Duration `toml:"timeout" bounds:"100ms to 30s"`

	// CacheTime is how long what was found of a user is used without asking.
	CacheTime time.Duration `toml:"cache_time" bounds:"1s to 24h"`

	// StaleTime is how long after CacheTime it is believed when no server answers;
	// then logins that depend on it get no reply.
	StaleTime time.Duration `toml:"stale_time" bounds:"0s to 168h"`

	// NotFoundTime is how long it is remembered that there is no such user.
	NotFoundTime time.Duration `toml:"not_found_time" bounds:"0s to 1h"`

	// CacheUsers is how many users are remembered.
	CacheUsers int `toml:"cache_users" bounds:"1 to 100000000"`

	// PageSize is how many users are asked for at a time when all are listed.
	PageSize int `toml:"page_size" bounds:"10 to 5000"`

	// Connections is how many connections to each server are open at most to look
	// users up, and as many again to verify passwords.
	Connections int `toml:"connections" bounds:"1 to 256"`
}

// DirectoryType is a make of directory.
type DirectoryType string

// The makes of Directory.Type.
const (
	ActiveDirectory  DirectoryType = "active-directory" // and Samba
	OpenLDAP         DirectoryType = "openldap"
	GenericDirectory DirectoryType = "generic" // any other by LDAP version 3
)

// defaultDirectory is a table [[directory]] without keys.
func defaultDirectory() Directory {
	return Directory{
		LoginAttributes: []string{},

		NestedGroups: true,
		GroupDepth:   10,
		Timeout:      3 * time.Second,
		CacheTime:    5 * time.Minute,
		StaleTime:    time.Hour,
		NotFoundTime: 30 * time.Second,
		CacheUsers:   100000,
		PageSize:     500,
		Connections:  8,
	}
}

// verifyDirectories reports what is missing of a directory, what its keys
// contradict, and what two of them share.
func (c *Config) verifyDirectories(r *report) {
	r.verifyNames("directory", "directory", "headquarters", namesOf(c.Directories, func(d *Directory) string { return d.Name }))
	realms := map[string]int{} // in lower case, to the index of the directory
	for i := range c.Directories {
		directory, key := &c.Directories[i], joinIndex("directory", i)
		if r.has(key) {
			continue // not a table at all
		}
		if directory.Name == local {
			r.add(key+".name", fmt.Sprintf("%q is what listings call users who are in no directory", local), "choose another")
		}
		if directory.Type == "" {
			r.addMissing(key+".type", "the directory has no type", `add type = "active-directory", "openldap" or "generic"`)
		}
		if directory.BaseDN == "" {
			r.addMissing(key+".base_dn", "the directory has no base_dn", `name the entry below which users are, as base_dn = "dc=example,dc=com"`)
		}
		r.verifyServers(key, directory)
		r.verifyAccount(key, directory)
		r.verifyAttributeNames(key, directory)
		r.verifyRealms(key+".realms", directory.Realms, i, realms)
	}
	realm := strings.ToLower(c.Users.DefaultRealm)
	if _, known := realms[realm]; !known && realm != "" && len(c.Directories) > 0 {
		r.add("users.default_realm", fmt.Sprintf("no directory has the realm %q", c.Users.DefaultRealm), "write one that a [[directory]] has in realms, or add it there")
	}
}

// local is where users are who are in no directory.
const local = "local"

// verifyServers reports servers that are none, and what their connections cannot be.
func (r *report) verifyServers(key string, d *Directory) {
	if len(d.Servers) == 0 {
		r.addMissing(key+".servers", "the directory has no server", `name one, as servers = ["ldaps://dc1.example.com"]`)
	}
	encrypted := d.StartTLS
	for i, server := range d.Servers {
		element := r.element(key+".servers", i)
		if wrong := verifyServer(server); wrong != nil {
			r.addMissing(element, wrong.problem, wrong.remedy)
			encrypted = true // as far as is known
			continue
		}
		if slices.Contains(d.Servers[:i], server) {
			r.add(element, fmt.Sprintf("%q is given already", server), "leave it out at one of the two places")
		}
		secure := strings.HasPrefix(server, "ldaps:")
		if d.StartTLS && secure {
			r.addMissing(key+".start_tls", fmt.Sprintf("connections to %q are encrypted already", server), "leave it out, or write ldap:// there")
		}
		encrypted = encrypted || secure
	}
	if d.CAFile != "" && !encrypted {
		r.addMissing(key+".ca_file", "no connection is encrypted, so there are no certificates to verify", "write ldaps:// in servers, or start_tls = true")
	}
}

// verifyServer tells what is wrong with the URL of a server. What could be a
// password in it stays out.
func verifyServer(server string) *complaint {
	const example = `write it as "ldaps://dc1.example.com", "ldap://192.0.2.5:389" or "ldap://[2001:db8::5]"`
	if strings.Contains(server, "@") {
		return &complaint{"has a user name in it", "leave it out: the account is that of bind_dn"}
	}
	scheme, host, _ := strings.Cut(server, "://")
	if scheme != "ldap" && scheme != "ldaps" {
		return &complaint{fmt.Sprintf("%q is not the URL of an LDAP server", server), example}
	}
	if end := strings.IndexAny(host, "/?#"); end >= 0 {
		return &complaint{fmt.Sprintf("%q has more than a host and a port", server),
			fmt.Sprintf("write %q; where to look for users says base_dn", scheme+"://"+host[:end])}
	}
	if u, err := url.Parse(server); err != nil || u.Hostname() == "" {
		return &complaint{fmt.Sprintf("%q has no host, or a bad one", server), example}
	}
	_, port, hasPort := strings.Cut(host[strings.LastIndexByte(host, ']')+1:], ":")
	if hasPort && !isPort(port) {
		return &complaint{fmt.Sprintf("%q has a bad port", server),
			"choose a port from 1 to 65535, or leave it out; put an IPv6 address in [ ]"}
	}
	return nil
}

// isPort reports whether a text is a port that can be connected to.
func isPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// verifyAccount reports an account without password, and a password without account.
func (r *report) verifyAccount(key string, d *Directory) {
	inline, file := key+".bind_password", key+".bind_password_file"
	password := ""
	switch {
	case r.has(inline) || r.has(file):
		return // who knows
	case d.BindPasswordFile != "":
		password = "bind_password_file"
	case d.BindPassword.hidden != nil:
		password = "bind_password"
	}
	if d.BindDN != "" && password == "" {
		r.add(key+".bind_dn", "the account has no password", `add bind_password_file = "directory.password", a file with the password as its only line`)
	}
	if d.BindDN == "" && password != "" {
		r.addMissing(key+"."+password, "there is no account that it could be of", "add bind_dn, or leave "+password+" out to ask anonymously")
	}
}

// verifyAttributeNames reports names that no attribute of a directory can have.
func (r *report) verifyAttributeNames(key string, d *Directory) {
	verify := func(key, name string) {
		if !isAttributeName(name) {
			r.addMissing(key, fmt.Sprintf("%q is no name of an attribute", name), `write one as "sAMAccountName" or "2.5.4.3"`)
		}
	}
	for i, name := range d.LoginAttributes {
		verify(r.element(key+".login_attributes", i), name)
	}
	for name, value := range map[string]string{"name_attribute": d.NameAttribute, "mail_attribute": d.MailAttribute, "phone_attribute": d.PhoneAttribute} {
		if value != "" {
			verify(key+"."+name, value)
		}
	}
}

// isAttributeName reports whether a text can name an attribute: letters, digits,
// hyphens and dots (RFC 4512 section 1.4).
func isAttributeName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool { return !isBare(c) && c != '.' || c == '_' })
}

// verifyRealms reports realms that no user name can have, and those that a
// directory before has. first has the realms seen, and gets these.
func (r *report) verifyRealms(key string, realms []string, directory int, first map[string]int) {
	if len(realms) == 0 {
		r.addMissing(key, "the directory has no realm, and no user would be looked for in it", `name what stands behind the @ of its users' names, as realms = ["example.com", "EXAMPLE"]`)
	}
	for i, realm := range realms {
		element := r.element(key, i)
		other, taken := first[strings.ToLower(realm)]
		switch {
		case realm == "":
			r.addMissing(element, "is empty", "leave it out")
		case strings.ContainsFunc(realm, isNoRealm):
			r.add(element, fmt.Sprintf("%q cannot be a realm: it has a space, a @ or a \\ in it", realm), `write it as "example.com" or "EXAMPLE"`)
		case taken && other == directory:
			r.add(element, fmt.Sprintf("%q is given already; upper and lower case are the same", realm), "leave it out at one of the two places")
		case taken:
			r.add(element, fmt.Sprintf("%q is a realm of the directory at line %d", realm, r.lines.line(joinIndex("directory", other))), "leave it out at one of the two places")
		default:
			first[strings.ToLower(realm)] = directory
		}
	}
}

// isNoRealm reports whether a realm cannot have c in it.
func isNoRealm(c rune) bool {
	return c == '@' || c == '\\' || unicode.IsSpace(c) || !unicode.IsPrint(c)
}
