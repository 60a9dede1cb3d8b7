package directory

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-ldap/ldap/v3"
)

// GroupExists reports whether a directory has a group with this DN or name, in any
// case and spacing, among those that count: below the base DN of groups, meeting
// their filter. The directories are asked each time. An error says that nobody
// knows: no directory that answers has the group, and not all have answered.
func (r *Repository) GroupExists(ctx context.Context, group string) (bool, error) {
	folded, isDN, ok := foldGroup(group)
	if !ok {
		return false, nil
	}
	var errs []error
	for _, d := range r.directories {
		found, err := d.hasGroup(ctx, folded, isDN)
		if found {
			return true, nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("looking for group %q in directory %q: %w", group, d.Name, err))
		}
	}
	return false, errors.Join(errs...)
}

// hasGroup reports whether the directory has a group with a folded DN or name.
func (d *directory) hasGroup(ctx context.Context, group string, isDN bool) (bool, error) {
	if isDN && !isBelow(group, d.groupBase) {
		return false, nil
	}
	if !d.life.begin() {
		return false, errClosed
	}
	defer d.life.done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life.ctx, cancel)()

	// What comes is held against the name as the groups of users are, or a group
	// could be found here that nobody is in.
	found := &groupSet{dns: make(map[string]struct{}), interner: &d.interner}
	err := d.query(ctx, d.Timeout, func(ctx context.Context, c *conn) error {
		if isDN {
			e, err := c.read(ctx, group, d.GroupFilter, noAttributes)
			if e != nil {
				found.add(e)
			}
			return err
		}
		names := d.groupNames()
		terms := ""
		for _, attribute := range names {
			terms += equals(attribute, group)
		}
		return d.findGroups(ctx, c, terms, names, func(e *ldap.Entry) { found.add(e, names...) })
	})
	return found.hasName(group), err
}

// groupNames are the attributes that have the name of a group.
func (d *directory) groupNames() []string {
	if d.Type == ActiveDirectory {
		return []string{commonName, accountName}
	}
	return []string{commonName}
}
