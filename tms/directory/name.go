package directory

import (
	"strings"

	"countersign/exclusions"
)

// qualifier is how a user name says which realm it is of.
type qualifier uint8

const (
	plain   qualifier = iota // user
	domain                   // REALM\user
	atRealm                  // user@realm
)

// splitName splits a user name. A name may have an @ of its own: the realm is
// behind the last; and before the first \.
func splitName[T string | []byte](name T) (user, realm T, q qualifier) {
	at := -1
	for i := range len(name) {
		switch name[i] {
		case '\\':
			return name[i+1:], name[:i], domain
		case '@':
			at = i
		}
	}
	if at >= 0 {
		return name[:at], name[at+1:], atRealm
	}
	return name, name[:0], plain
}

// asked is a user name and the directory it is of.
type asked struct {
	name      string     // the whole name, folded
	user      string     // without realm
	qualifier qualifier  // how it said the realm
	directory *directory // nil when no directory has to do with it
}

// ask finds out which directory a folded name is of.
func (r *Repository) ask(name string) asked {
	user, _, q := splitName(name)
	return asked{name: name, user: user, qualifier: q, directory: r.directoryOf([]byte(name))}
}

// directoryOf is the directory that a folded name is of, or nil.
func (r *Repository) directoryOf(name []byte) *directory {
	user, realm, q := splitName(name)
	switch {
	case len(user) == 0:
		return nil
	case q == plain:
		return r.main
	}
	return r.realms[string(realm)]
}

// stranger is the identity of a name that no directory is asked for.
func stranger(name string) *exclusions.Identity {
	_, realm, _ := splitName(name)
	return &exclusions.Identity{Name: name, Realm: realm}
}

// unknown is the identity that the name alone tells, of a user whom the directory
// does not have, or while it does not answer.
func (d *directory) unknown(name string) *exclusions.Identity {
	user, _, _ := splitName(name)
	canonical := d.canonical(user)
	if d.repository.ask(canonical).directory != d { // it would name somebody else
		canonical = name
	}
	return &exclusions.Identity{Name: canonical, Realm: d.realm}
}

// CanonicalName is the canonical name that a folded user name alone tells; nobody is
// asked. It is what Find has of a user whom the directory does not have: a name of
// which no directory is asked stands as it is, and so does each when r is nil. What
// stands beside the realm is taken for a value of the name attribute: what the
// values of other login attributes stand for only the directory knows.
func (r *Repository) CanonicalName(name string) string {
	if r == nil {
		return name
	}
	if d := r.directoryOf([]byte(name)); d != nil {
		return d.unknown(name).Name
	}
	return name
}

// CanonicalRealm is the first realm of the directory that has the folded realm: the
// one that identities have. One that no directory has stands as it is, and so does
// each when r is nil.
func (r *Repository) CanonicalRealm(realm string) string {
	if r == nil {
		return realm
	}
	if d := r.realms[realm]; d != nil {
		return d.realm
	}
	return realm
}

// canonical is the canonical name of a user of the directory.
func (d *directory) canonical(user string) string {
	if d.plain {
		return user
	}
	return user + "@" + d.realm
}

// foldText folds what directories compare without regard to case: letters to
// lower case, spaces to one, none at the ends (RFC 4518 section 2).
func foldText(s string) string {
	return strings.ToLower(strings.Join(strings.Fields(s), " "))
}
