package radiusd

import (
	"bytes"

	"countersign/exclusions"
)

// alias reports whether the name of a login may be another name of a user: that of a
// stranger, and while the directory is away one with a realm that is not the directory's.
// The TMS may take it for the user, and we would look for burned codes, and for whether
// the user is disabled, in an account that is not theirs.
func alias(login *exclusions.Login) bool {
	if login.Stranger || !login.GroupsUnknown {
		return login.Stranger
	}
	plain, realm := splitRealm(login.User)
	return qualified(login.User) && (len(realm) == 0 || string(realm) != login.Realm || qualified(plain))
}

// qualified reports whether a realm stands before or behind a name.
func qualified(name []byte) bool { return bytes.ContainsAny(name, `\@`) }

// splitRealm splits a name: EXAMPLE\kay and kay@example.com are kay. A name may have an @
// of its own: the realm is behind the last; and before the first \.
func splitRealm(name []byte) (plain, realm []byte) {
	if realm, plain, found := bytes.Cut(name, []byte{'\\'}); found {
		return plain, realm
	}
	if at := bytes.LastIndexByte(name, '@'); at >= 0 {
		return name[:at], name[at+1:]
	}
	return name, nil
}

// withoutRealm is WithoutRealm of Options.Realms, where there is no user repository to say
// who is meant.
func (s *Server) withoutRealm(name []byte) []byte {
	if s.users != nil {
		return name
	}
	return WithoutRealm(name, s.options.Realms)
}

// WithoutRealm is a normalized name without one of these realms, folded as names are:
// the name by which a login's user is kept where Options.Realms has them. What would be no
// name then stays as it is.
func WithoutRealm(name []byte, realms []string) []byte {
	if len(realms) == 0 {
		return name
	}
	plain, realm := splitRealm(name)
	if len(realm) == 0 || len(bytes.Trim(plain, " ")) != len(plain) || len(plain) == 0 {
		return name
	}
	for _, known := range realms {
		if string(realm) == known {
			return plain
		}
	}
	return name
}
