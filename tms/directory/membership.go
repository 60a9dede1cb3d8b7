package directory

import (
	"context"
	"fmt"
	"strconv"

	"github.com/go-ldap/ldap/v3"
)

// chainGroups finds a user's groups in Active Directory, by one search: those that
// have the user as member, through any number of groups in between; and the same
// for the primary group, of which the user is a member without being one of its
// members.
func (d *directory) chainGroups(ctx context.Context, c *conn, user *ldap.Entry, groups *groupSet) error {
	member := "member"
	if d.NestedGroups {
		member = memberChain
	}
	terms := equals(member, user.DN)
	if primary, ok := primarySID(user); ok {
		terms += equals(objectSID, string(primary))
		entry, err := c.read(ctx, "<SID="+primary.String()+">", everything, noAttributes)
		if err != nil {
			return err
		}
		if entry != nil && d.NestedGroups {
			terms += equals(memberChain, entry.DN)
		}
	}
	return d.findGroups(ctx, c, terms, d.groupNames(), func(e *ldap.Entry) { groups.add(e, d.groupNames()...) })
}

// primarySID is the SID of a user's primary group: that of the domain, which the
// user's begins with, and the number in the user's entry.
func primarySID(user *ldap.Entry) (sid, bool) {
	rid, err := strconv.ParseUint(user.GetEqualFoldAttributeValue(primaryGroup), 10, 32)
	if err != nil {
		return nil, false
	}
	return sid(user.GetEqualFoldRawAttributeValue(objectSID)).withRID(uint32(rid))
}

// findGroups searches groups that meet one of the terms.
func (d *directory) findGroups(ctx context.Context, c *conn, terms string, attributes []string, each func(*ldap.Entry)) error {
	count := 0
	return c.find(ctx, d.PageSize, d.GroupBaseDN, "(&"+d.GroupFilter+"(|"+terms+"))", attributes, func(entries []*ldap.Entry) error {
		if count += len(entries); count > maxGroups {
			return &unusable{fmt.Sprintf("a user is in more than %d groups", maxGroups), "narrow group_base_dn or group_filter"}
		}
		for _, e := range entries {
			each(e)
		}
		return nil
	})
}

// maxTerms is how many DNs one search is about.
const maxTerms = 40

// walkGroups finds a user's groups level by level: those that name the user as
// member, then those that name one of these, to the depth of GroupDepth. Groups
// that only the memberOf of a member tells are read one by one. A group that was
// met before is not followed again, so cycles end.
func (d *directory) walkGroups(ctx context.Context, c *conn, user *ldap.Entry, groups *groupSet) error {
	level, depth := []*ldap.Entry{user}, 1
	if d.NestedGroups {
		depth = d.GroupDepth
	}
	uids := user.GetEqualFoldAttributeValues(userID)
	for ; len(level) > 0 && depth > 0; depth-- {
		next, err := d.parents(ctx, c, level, uids, groups)
		if err != nil {
			return err
		}
		level, uids = next, nil
		if len(groups.dns) > maxGroups {
			return &unusable{fmt.Sprintf("%q is in more than %d groups", user.DN, maxGroups), "narrow group_base_dn or group_filter"}
		}
	}
	return nil
}

// parents are the groups that have one of the members, or uids, and are new to the
// set, which takes them in.
func (d *directory) parents(ctx context.Context, c *conn, members []*ldap.Entry, uids []string, groups *groupSet) ([]*ldap.Entry, error) {
	var found []*ldap.Entry
	attributes := []string{commonName, memberOf}
	add := func(e *ldap.Entry) {
		if groups.add(e, commonName) {
			found = append(found, e)
		}
	}
	for _, terms := range memberTerms(members, uids) {
		if err := d.findGroups(ctx, c, terms, attributes, add); err != nil {
			return nil, err
		}
	}
	for _, member := range members {
		for _, dn := range member.GetEqualFoldAttributeValues(memberOf) {
			folded, ok := foldDN(dn)
			if !ok || groups.has(folded) || !isBelow(folded, d.groupBase) {
				continue
			}
			e, err := c.read(ctx, dn, d.GroupFilter, attributes...)
			if err != nil {
				return nil, err
			}
			if e != nil {
				add(e)
			}
		}
	}
	return found, nil
}

// memberTerms are the filters of groups that have one of these members, some of
// them in each. Attributes that may have no index are asked of those groups alone
// that can have them.
func memberTerms(members []*ldap.Entry, uids []string) []string {
	var all []string
	for len(members) > 0 || len(uids) > 0 {
		var terms, unique, posix string
		for _, uid := range uids {
			posix += equals("memberUid", uid)
		}
		count := min(len(members), maxTerms)
		for _, member := range members[:count] {
			terms += equals("member", member.DN)
			unique += equals("uniqueMember", member.DN)
		}
		if posix != "" {
			terms += "(&(objectClass=posixGroup)(|" + posix + "))"
		}
		if unique != "" {
			terms += "(&(objectClass=groupOfUniqueNames)(|" + unique + "))"
		}
		members, uids = members[count:], nil
		all = append(all, terms)
	}
	return all
}
