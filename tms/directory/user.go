package directory

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"countersign/exclusions"
)

// Attributes that mean the same everywhere.
const (
	commonName      = "cn"
	userID          = "uid"
	memberOf        = "memberOf"
	accountName     = "sAMAccountName"
	principalName   = "userPrincipalName"
	accountControl  = "userAccountControl"
	objectSID       = "objectSid"
	primaryGroup    = "primaryGroupID"
	lockedTime      = "pwdAccountLockedTime"
	accountDisabled = 2                                 // ADS_UF_ACCOUNTDISABLE of accountControl
	lockedForGood   = "000001010000Z"                   // of lockedTime: until an administrator unlocks it
	maxValue        = 1024                              // bytes of a mail address or a telephone number
	maxGroups       = 10_000                            // of one user
	memberChain     = "member:1.2.840.113556.1.4.1941:" // LDAP_MATCHING_RULE_IN_CHAIN
	everything      = "(objectClass=*)"
	noAttributes    = "1.1" // RFC 4511 section 4.5.1.8
)

// lookUp finds a user and their groups; nil when there is none.
func (d *directory) lookUp(ctx context.Context, c *conn, a asked) (*exclusions.Identity, error) {
	attributes := append(d.ownAttributes(), d.groupAttributes()...)
	request := ldap.NewSearchRequest(d.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, 0, false, d.userFilter(a), attributes, nil)
	result, err := c.search(ctx, request)
	if ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded) || err == nil && len(result.Entries) > 1 {
		return nil, &unusable{fmt.Sprintf("several users match the name %q%s", a.name, found(result)), "make their values of login_attributes unique, or narrow user_filter"}
	}
	if err != nil || len(result.Entries) == 0 {
		return nil, err
	}
	entry := result.Entries[0]
	identity, err := d.identity(entry)
	if err != nil {
		return nil, err
	}
	groups := &groupSet{dns: make(map[string]struct{}), interner: &d.interner}
	if d.Type == ActiveDirectory {
		err = d.chainGroups(ctx, c, entry, groups)
	} else {
		err = d.walkGroups(ctx, c, entry, groups)
	}
	identity.Groups = groups.sorted()
	return identity, err
}

// found lists the DNs of entries.
func found(result *ldap.SearchResult) string {
	text := ""
	for _, e := range result.Entries {
		text += fmt.Sprintf(", %q", e.DN)
	}
	return text
}

// userFilter finds the user of a name in any of the login attributes.
func (d *directory) userFilter(a asked) string {
	var terms strings.Builder
	for _, attribute := range d.LoginAttributes {
		isPrincipal := strings.EqualFold(attribute, principalName)
		if !isPrincipal {
			terms.WriteString(equals(attribute, a.user))
		}
		if a.qualifier == atRealm && !strings.EqualFold(attribute, accountName) {
			terms.WriteString(equals(attribute, a.name))
		}
	}
	if terms.Len() == 0 { // there are only UPNs, and the name has no suffix
		terms.WriteString(equals(principalName, a.user+"@"+d.realm))
	}
	return "(&" + d.UserFilter + "(|" + terms.String() + "))"
}

// equals is the filter of entries whose attribute has a value. The value is a
// user's own, and cannot become a part of the filter.
func equals(attribute, value string) string {
	return "(" + attribute + "=" + ldap.EscapeFilter(value) + ")"
}

// ownAttributes are those of a user that identity needs.
func (d *directory) ownAttributes() []string {
	if d.Type == ActiveDirectory {
		return []string{d.NameAttribute, d.MailAttribute, d.PhoneAttribute, accountControl}
	}
	return []string{d.NameAttribute, d.MailAttribute, d.PhoneAttribute, lockedTime}
}

// groupAttributes are those of a user that tell something of their groups.
func (d *directory) groupAttributes() []string {
	if d.Type == ActiveDirectory {
		return []string{objectSID, primaryGroup}
	}
	return []string{userID, memberOf}
}

// identity is a user's entry, without groups.
func (d *directory) identity(e *ldap.Entry) (*exclusions.Identity, error) {
	name, err := d.nameOf(e)
	if err != nil {
		return nil, err
	}
	return &exclusions.Identity{
		Name: name, Realm: d.realm, Directory: d.Name, DN: e.DN, Disabled: d.isDisabled(e),
		Mail: firstValue(e, d.MailAttribute), Phone: firstValue(e, d.PhoneAttribute),
	}, nil
}

// nameOf is the canonical name of a user. It has to lead back to this directory.
func (d *directory) nameOf(e *ldap.Entry) (string, error) {
	values := e.GetEqualFoldAttributeValues(d.NameAttribute)
	if len(values) == 0 {
		return "", &unusable{fmt.Sprintf("entry %q has no %s", e.DN, d.NameAttribute), "give it one that the account of bind_dn may read, or set name_attribute to an attribute it has"}
	}
	value := values[0]
	if len(values) > 1 {
		value = distinguished(e.DN, d.NameAttribute, values)
	}
	folded, ok := d.repository.fold(value)
	name := d.canonical(folded)
	if again, same := d.repository.fold(name); !ok || !same || again != name || d.repository.ask(name).directory != d {
		return "", &unusable{fmt.Sprintf("entry %q: its %s %q is no user name of this directory", e.DN, d.NameAttribute, value), "change it, or set name_attribute to another attribute"}
	}
	return name, nil
}

// distinguished is the value that is in the name of the entry, else the least one.
func distinguished(dn, attribute string, values []string) string {
	parsed, err := ldap.ParseDN(dn)
	if err == nil && len(parsed.RDNs) > 0 {
		for _, pair := range parsed.RDNs[0].Attributes {
			if strings.EqualFold(pair.Type, attribute) && slices.Contains(values, pair.Value) {
				return pair.Value
			}
		}
	}
	return slices.Min(values)
}

func (d *directory) isDisabled(e *ldap.Entry) bool {
	if d.Type != ActiveDirectory {
		return e.GetEqualFoldAttributeValue(lockedTime) == lockedForGood
	}
	control, err := strconv.ParseInt(e.GetEqualFoldAttributeValue(accountControl), 10, 64)
	return err == nil && control&accountDisabled != 0
}

// firstValue is the first value of an attribute that can be of use.
func firstValue(e *ldap.Entry, attribute string) string {
	for _, value := range e.GetEqualFoldAttributeValues(attribute) {
		if value != "" && len(value) <= maxValue && isText(value) {
			return value
		}
	}
	return ""
}
