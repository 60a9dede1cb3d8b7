package directorytest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

const (
	openLDAPPort    = "41389"
	openLDAPTLSPort = "41636"
	openLDAPSuffix  = "dc=example,dc=org"
	openLDAPRoot    = "cn=root," + openLDAPSuffix
	rootPassword    = "root-Passw0rd"
	servicePassword = "reader-Passw0rd"
)

// OpenLDAPOptions say what an OpenLDAP is like. All may be zero.
type OpenLDAPOptions struct {
	MemberOf       bool       // the overlay memberof keeps memberOf, of groupOfNames
	PasswordPolicy bool       // the overlay ppolicy locks a user after 3 wrong passwords
	Anonymous      bool       // who is not bound may read, too
	LDIF           string     // entries loaded before the start; overlays do not see them
	Authority      *Authority // issues its certificate; DefaultAuthority when nil
	Hosts          []string   // whom its certificate is for; its address when empty
}

// OpenLDAP is a slapd. Below its BaseDN, dc=example,dc=org, are ou=people and
// ou=groups, empty but for what LDIF brings.
type OpenLDAP struct {
	Server
}

// StartOpenLDAP starts an OpenLDAP, which lives until the test ends.
func StartOpenLDAP(t testing.TB, o OpenLDAPOptions) *OpenLDAP {
	t.Helper()
	dir, address := t.TempDir(), ownAddress(t, openLDAPPort)
	s := &OpenLDAP{Server{
		URL:    "ldap://" + address + ":" + openLDAPPort,
		TLSURL: "ldaps://" + address + ":" + openLDAPTLSPort,
		Host:   address, CAFile: filepath.Join(dir, "ca.pem"), BaseDN: openLDAPSuffix,
		BindDN: "cn=reader," + openLDAPSuffix, BindPassword: servicePassword,
		t: t, dir: dir,
		listens: []string{address + ":" + openLDAPPort, address + ":" + openLDAPTLSPort},
	}}
	if o.Authority == nil {
		o.Authority = DefaultAuthority(t)
	}
	if len(o.Hosts) == 0 {
		o.Hosts = []string{address}
	}
	o.Authority.files(t, dir, o.Hosts)
	config := filepath.Join(dir, "slapd.conf")
	writeFile(t, config, []byte(o.config(dir)))
	entries := openLDAPEntries
	if o.PasswordPolicy {
		entries += passwordPolicyEntry
	}
	run(t, entries+o.LDIF, "slapadd", "-q", "-f", config)
	s.command = []string{"slapd", "-f", config, "-h", s.URL + "/ " + s.TLSURL + "/", "-d", "stats"}
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

func (o OpenLDAPOptions) config(dir string) string {
	var modules, overlays strings.Builder
	others := "none"
	if o.Anonymous {
		others = "read"
	}
	if o.MemberOf {
		modules.WriteString("moduleload memberof\nmoduleload refint\n")
		overlays.WriteString("overlay memberof\nmemberof-group-oc groupOfNames\nmemberof-refint TRUE\n")
	}
	if o.PasswordPolicy {
		modules.WriteString("moduleload ppolicy\n")
		fmt.Fprintf(&overlays, "overlay ppolicy\nppolicy_default cn=policy,%s\nppolicy_use_lockout\n", openLDAPSuffix)
	}
	return fmt.Sprintf(`include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
%[1]sTLSCACertificateFile %[2]s/ca.pem
TLSCertificateFile %[2]s/cert.pem
TLSCertificateKeyFile %[2]s/key.pem
database mdb
maxsize 1073741824
directory %[2]s
suffix %[3]s
rootdn %[4]s
rootpw %[5]s
dbnosync
index objectClass,uid,cn,member,memberUid eq
limits dn.exact=cn=reader,%[3]s size=unlimited
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact=cn=reader,%[3]s read by * %[6]s
%[7]s`, modules.String(), dir, openLDAPSuffix, openLDAPRoot, rootPassword, others, overlays.String())
}

const openLDAPEntries = `dn: dc=example,dc=org
objectClass: domain
dc: example

dn: cn=reader,dc=example,dc=org
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: reader
userPassword: ` + servicePassword + `

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=groups,dc=example,dc=org
objectClass: organizationalUnit
ou: groups

`

const passwordPolicyEntry = `dn: cn=policy,dc=example,dc=org
objectClass: organizationalRole
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdMustChange: TRUE

`

// Modify makes changes, in LDIF. An entry without a changetype is added.
func (s *OpenLDAP) Modify(ldif string) {
	s.t.Helper()
	run(s.t, ldif, "ldapmodify", "-a", "-x", "-D", openLDAPRoot, "-w", rootPassword, "-H", s.URL)
}

// Person is the LDIF of a user of ou=people with a password; more are further
// lines.
func Person(uid, password string, more ...string) string {
	lines := append([]string{
		"dn: uid=" + uid + ",ou=people," + openLDAPSuffix, "objectClass: inetOrgPerson",
		"uid: " + uid, "cn: " + uid, "sn: " + uid, "userPassword: " + password,
	}, more...)
	return strings.Join(lines, "\n") + "\n\n"
}

// Group is the LDIF of a groupOfNames of ou=groups; members are DNs.
func Group(cn string, members ...string) string {
	text := "dn: cn=" + cn + ",ou=groups," + openLDAPSuffix + "\nobjectClass: groupOfNames\ncn: " + cn + "\n"
	for _, member := range members {
		text += "member: " + member + "\n"
	}
	return text + "\n"
}
