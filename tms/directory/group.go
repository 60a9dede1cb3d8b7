package directory

import (
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/go-ldap/ldap/v3"
)

// maxGroupName is the longest DN or name of a group in bytes.
const maxGroupName = 4096

// FoldGroup brings the DN or the name of a group into the form it has in
// Identity.Groups; false says that it is neither. What can be read as a DN (RFC
// 4514) is one: attribute types and values are folded, escapes and the spaces
// around separators are made uniform.
func FoldGroup(group string) (string, bool) {
	folded, _, ok := foldGroup(group)
	return folded, ok
}

// foldGroup is FoldGroup that also says whether it is a DN.
func foldGroup(group string) (folded string, isDN, ok bool) {
	if len(group) > maxGroupName || !isText(group) {
		return "", false, false
	}
	name := foldText(group)
	for _, text := range []string{group, name} { // which must not become one by being folded
		if dn, ok := foldDN(text); ok {
			return dn, true, true
		}
	}
	return name, false, name != ""
}

// isText reports whether s is UTF-8 without control characters.
func isText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// foldDN folds a DN; false says that it is none.
func foldDN(s string) (string, bool) {
	if !strings.Contains(s, "=") {
		return "", false
	}
	dn, err := ldap.ParseDN(s)
	if err != nil || len(dn.RDNs) == 0 {
		return "", false
	}
	var rdns []string
	for _, rdn := range dn.RDNs {
		var pairs []string
		for _, pair := range rdn.Attributes {
			if !isAttribute(pair.Type) || !isText(pair.Value) {
				return "", false
			}
			pairs = append(pairs, strings.ToLower(pair.Type)+"="+ldap.EscapeDN(foldText(pair.Value)))
		}
		slices.Sort(pairs)
		rdns = append(rdns, strings.Join(pairs, "+"))
	}
	return strings.Join(rdns, ","), true
}

// isBelow reports whether a folded DN is that of base or of an entry below it.
func isBelow(dn, base string) bool { return dn == base || strings.HasSuffix(dn, ","+base) }

// groupSet collects the groups of a user.
type groupSet struct {
	names    []string            // folded DNs and names
	dns      map[string]struct{} // the folded DNs among them
	interner *interner
}

// add takes a group in and reports whether it is new. Names that could be taken
// for the DN of a group are left out: whoever may name a group could else take
// the place of any.
func (s *groupSet) add(e *ldap.Entry, nameAttributes ...string) bool {
	dn, ok := foldDN(e.DN)
	if !ok {
		return false
	}
	if _, known := s.dns[dn]; known {
		return false
	}
	s.dns[dn] = struct{}{}
	s.names = append(s.names, s.interner.intern(dn))
	for _, attribute := range nameAttributes {
		for _, value := range e.GetEqualFoldAttributeValues(attribute) {
			if name, isDN, ok := foldGroup(value); ok && !isDN {
				s.names = append(s.names, s.interner.intern(name))
			}
		}
	}
	return true
}

func (s *groupSet) has(dn string) bool {
	_, known := s.dns[dn]
	return known
}

// hasName reports whether a folded DN or name is in the set.
func (s *groupSet) hasName(name string) bool { return slices.Contains(s.names, name) }

// sorted is what Identity.Groups has.
func (s *groupSet) sorted() []string {
	slices.Sort(s.names)
	return slices.Clip(slices.Compact(s.names))
}

// maxInterned bounds what an interner keeps alive.
const maxInterned = 1 << 17

// interner makes one string of equal ones, so that many users share the names of
// their groups.
type interner struct {
	mu    sync.Mutex
	known map[string]string
}

func (i *interner) intern(s string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	if kept, ok := i.known[s]; ok {
		return kept
	}
	if len(i.known) >= maxInterned || i.known == nil {
		i.known = make(map[string]string)
	}
	s = strings.Clone(s)
	i.known[s] = s
	return s
}
