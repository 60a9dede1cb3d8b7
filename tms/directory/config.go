package directory

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Type is the make of a directory: how groups nest in it, which attributes it
// has, and how it says why a password is refused.
type Type uint8

const (
	// ActiveDirectory is Microsoft's, and Samba's.
	ActiveDirectory Type = iota
	// OpenLDAP is OpenLDAP's slapd.
	OpenLDAP
	// Generic is any other by LDAP version 3 (RFC 4511).
	Generic
)

var types = [...]string{"active-directory", "openldap", "generic"}

// String is the type's word: active-directory, openldap or generic.
func (t Type) String() string {
	if int(t) < len(types) {
		return types[t]
	}
	return fmt.Sprintf("type(%d)", uint8(t))
}

// ParseType is the inverse of String.
func ParseType(word string) (Type, error) {
	for t, known := range types {
		if word == known {
			return Type(t), nil
		}
	}
	return 0, fmt.Errorf("directory type %.40q: must be %s", word, strings.Join(types[:], ", "))
}

// Config is one directory: its servers, which all hold the same entries, and how
// to find users and groups in it. Numbers and texts that are zero become the
// default told with them.
type Config struct {
	Name string // in logs, metrics and rules
	Type Type

	// Servers are ldap://host[:port] and ldaps://host[:port], in the order in
	// which they are asked.
	Servers []string
	// StartTLS encrypts connections to ldap:// (RFC 4511 section 4.14).
	StartTLS bool
	// CA, or the file CAFile, has the certificates (PEM) by which those of the
	// servers are verified; the system's when both are empty. There is no way
	// not to verify.
	CA     []byte
	CAFile string
	// ServerName is what the certificates must be for; the host in Servers when
	// empty.
	ServerName string

	// BindDN is the service account that looks users up, a DN, or for Active
	// Directory a UPN, too. Empty: anonymously.
	BindDN       string
	BindPassword Password

	BaseDN      string // users are below it
	GroupBaseDN string // and groups below this: BaseDN

	// Realms are what stands behind the @ of its users' names, or before the \.
	// The first is part of the canonical names, unless the directory is that of
	// the default realm.
	Realms []string

	// LoginAttributes are the attributes a user name is looked for in:
	// sAMAccountName and userPrincipalName in Active Directory, else uid.
	// userPrincipalName is compared with the whole name as typed. NameAttribute
	// is always one of them.
	LoginAttributes []string
	// NameAttribute has the canonical user name: sAMAccountName in Active
	// Directory, else uid.
	NameAttribute string

	UserFilter     string // what users meet (RFC 4515): persons and accounts
	GroupFilter    string // what groups meet: the usual classes of groups
	MailAttribute  string // mail
	PhoneAttribute string // mobile

	NestedGroups bool // groups of groups count, too
	GroupDepth   int  // how many levels of them, where they are walked: 10

	// Timeout is how long a server may take to be connected to, and to answer
	// all that is asked about one user: 3 s.
	Timeout time.Duration
	// CacheTime is how long an answer is fresh: 5 min. StaleTime is how long
	// after that it is used while no server answers; 0: not at all.
	CacheTime, StaleTime time.Duration
	// NotFoundTime is how long it is remembered that there is no such user; 0:
	// not at all.
	NotFoundTime time.Duration
	CacheUsers   int // how many names are remembered: 100,000
	PageSize     int // how many entries a search brings at a time: 500
	// Connections is how many connections to each server there are at most for
	// looking up, and again for verifying passwords: 8.
	Connections int
}

// The defaults.
const (
	defaultGroupDepth  = 10
	defaultTimeout     = 3 * time.Second
	defaultCacheTime   = 5 * time.Minute
	defaultCacheUsers  = 100_000
	defaultPageSize    = 500
	defaultConnections = 8
)

// The users of a type are persons, and not the computers that Active Directory has
// among them; groups have members. The filters are about what is indexed: else the
// server would go through all entries for a term that is not.
const (
	usersOfAD   = "(sAMAccountType=805306368)"
	groupsOfAD  = "(objectCategory=group)"
	usualUsers  = "(|(objectClass=person)(objectClass=account)(objectClass=posixAccount))"
	usualGroups = "(|(objectClass=groupOfNames)(objectClass=groupOfUniqueNames)(objectClass=groupOfMembers)(objectClass=groupOfEntries)(objectClass=groupOfURLs)(objectClass=posixGroup)(objectClass=group))"
)

// complete puts the defaults in.
func (c Config) complete() Config {
	logins, filters := []string{userID}, [2]string{usualUsers, usualGroups}
	if c.Type == ActiveDirectory {
		logins, filters = []string{accountName, principalName}, [2]string{usersOfAD, groupsOfAD}
	}
	setDefault(&c.NameAttribute, logins[0])
	setDefault(&c.UserFilter, filters[0])
	setDefault(&c.GroupFilter, filters[1])
	setDefault(&c.GroupBaseDN, c.BaseDN)
	setDefault(&c.MailAttribute, "mail")
	setDefault(&c.PhoneAttribute, "mobile")
	setDefault(&c.GroupDepth, defaultGroupDepth)
	setDefault(&c.Timeout, defaultTimeout)
	setDefault(&c.CacheTime, defaultCacheTime)
	setDefault(&c.CacheUsers, defaultCacheUsers)
	setDefault(&c.PageSize, defaultPageSize)
	setDefault(&c.Connections, defaultConnections)
	if len(c.LoginAttributes) == 0 {
		c.LoginAttributes = logins
	}
	for _, attribute := range c.LoginAttributes {
		if strings.EqualFold(attribute, c.NameAttribute) {
			return c
		}
	}
	c.LoginAttributes = append(c.LoginAttributes[:len(c.LoginAttributes):len(c.LoginAttributes)], c.NameAttribute)
	return c
}

func setDefault[T comparable](setting *T, value T) {
	if *setting == *new(T) {
		*setting = value
	}
}

// Options are what a Repository is made of.
type Options struct {
	Directories []Config
	// DefaultRealm is the realm of user names without one. When it is empty and
	// there is one directory, that is the directory of those names.
	DefaultRealm string
	// Fold brings a user name into the form in which names are compared; false
	// says that it is none. Lower case when nil.
	Fold       func(string) (string, bool)
	Clock      func() time.Time // time.Now when nil
	Logger     *slog.Logger     // nobody when nil
	Registerer prometheus.Registerer
}

func (o Options) complete() Options {
	if o.Fold == nil {
		o.Fold = func(name string) (string, bool) { return strings.ToLower(name), name != "" }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}
