package directory

import (
	"context"
	"errors"
	"time"

	"github.com/go-ldap/ldap/v3"

	"countersign/exclusions"
)

// errStopped says that who gets the users wants no more.
var errStopped = errors.New("stopped")

// list gives each all users, page by page. Another server takes over only before
// the first page: pages belong to a connection.
func (d *directory) list(ctx context.Context, each func(*exclusions.Identity) error) error {
	if !d.life.begin() {
		return errClosed
	}
	defer d.life.done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life.ctx, cancel)()

	began, given, nameless := time.Now(), false, 0
	err := d.query(ctx, 0, func(ctx context.Context, c *conn) error {
		if given {
			return &unusable{"the connection ended in the middle", "list again"}
		}
		return c.find(ctx, d.PageSize, d.BaseDN, d.UserFilter, d.ownAttributes(), func(entries []*ldap.Entry) error {
			given = true
			for _, entry := range entries {
				identity, err := d.identity(entry)
				if err != nil {
					nameless++
				} else if each(identity) != nil {
					return errStopped
				}
			}
			return nil
		})
	})
	if nameless > 0 {
		d.log.Warn("users without a user name are not listed", "count", nameless, "attribute", d.NameAttribute)
	}
	outcome := succeeded
	if err != nil && !errors.Is(err, errStopped) {
		outcome = failed
	}
	d.meter.observe(opList, outcome, began)
	return err
}
