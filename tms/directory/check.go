package directory

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-ldap/ldap/v3"
)

// ServerCheck is how a server did that was contacted by Check.
type ServerCheck struct {
	Directory string
	Server    string // its URL, as configured
	Err       error  // what failed and how to mend it, in one line; nil when all is well
}

// errNotBound stands for a bind that was spared.
var errNotBound = errors.New("it was connected to, but not bound to: the account of bind_dn was refused by another server, and more wrong passwords could lock it")

// Check contacts every server of every directory, in their order: it connects,
// binds, and looks for the base DNs and for a user. It goes past what
// the Repository remembers of servers and users.
func (r *Repository) Check(ctx context.Context) []ServerCheck {
	perDirectory := make([][]ServerCheck, len(r.directories))
	var group sync.WaitGroup
	for i, d := range r.directories {
		group.Go(func() { perDirectory[i] = d.check(ctx) })
	}
	group.Wait()
	var all []ServerCheck
	for _, checks := range perDirectory {
		all = append(all, checks...)
	}
	return all
}

func (d *directory) check(ctx context.Context) []ServerCheck {
	var checks []ServerCheck
	wrongAccount := false
	for _, s := range d.servers {
		err := s.check(ctx, wrongAccount)
		wrongAccount = wrongAccount || isRefused(err)
		checks = append(checks, ServerCheck{d.Name, s.url, err})
	}
	return checks
}

func (s *server) check(ctx context.Context, wrongAccount bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 2*s.config.Timeout, errTimeout)
	defer cancel()
	if wrongAccount {
		c, err := s.dial(ctx)
		if err != nil {
			return err
		}
		c.close()
		return errNotBound
	}
	c, err := s.bound(ctx)
	if err != nil {
		return err
	}
	defer c.close()
	for _, base := range []struct{ setting, dn string }{{"base_dn", s.config.BaseDN}, {"group_base_dn", s.config.GroupBaseDN}} {
		request := ldap.NewSearchRequest(base.dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, everything, []string{noAttributes}, nil)
		if _, err := c.search(ctx, request); err != nil {
			return s.diagnose(fmt.Sprintf("reading %s %q", base.setting, base.dn), err)
		}
	}
	return s.checkUsers(ctx, c)
}

// checkUsers verifies that there is a user with a name.
func (s *server) checkUsers(ctx context.Context, c *conn) error {
	filter := "(&" + s.config.UserFilter + "(" + s.config.NameAttribute + "=*))"
	request := ldap.NewSearchRequest(s.config.BaseDN, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 1, 0, false, filter, []string{noAttributes}, nil)
	result, err := c.search(ctx, request)
	switch {
	case ldap.IsErrorWithCode(err, ldap.LDAPResultSizeLimitExceeded):
		return nil // there are more
	case err != nil:
		return s.diagnose("looking for a user", err)
	case len(result.Entries) == 0:
		return &unusable{fmt.Sprintf("no entry below %q matches %s", s.config.BaseDN, filter), "verify base_dn, user_filter and name_attribute, and that the account of bind_dn may read users"}
	}
	return nil
}
