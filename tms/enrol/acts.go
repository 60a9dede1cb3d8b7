package enrol

import (
	"context"
	"errors"
	"fmt"

	"countersign/otp"
	"countersign/tms"
)

// look reads what the store knows of the user.
func (c *conversation) look(ctx context.Context) error {
	c.owner = owner{}
	err := c.Service.Store.Users(ctx, tms.Filter{User: c.user}, func(u *tms.User) error {
		c.owner.disabled, c.owner.pin = u.Disabled, !u.PIN.IsZero()
		return nil
	})
	if err == nil {
		err = c.Service.Store.Tokens(ctx, tms.Filter{User: c.user}, func(t *tms.Token) error {
			c.owner.holds = c.owner.holds || !t.Lost && !overList(t, c.now.Unix())
			return nil
		})
	}
	if err != nil {
		return fmt.Errorf("dialog of %q: %w", c.user, err)
	}
	return nil
}

// overList reports whether a token is a list of codes whose time is over, which is
// no token.
func overList(t *tms.Token, unix int64) bool {
	return t.Type == otp.CodeList && t.ValidUntil != 0 && unix >= t.ValidUntil
}

// invitation is the user's open invitation with this ID, or any when it is zero. It
// does not exist when there is none.
func (c *conversation) invitation(ctx context.Context, id tms.InvitationID) (tms.Invitation, error) {
	open, err := c.Service.InvitationOf(ctx, c.caller, c.user, id)
	switch {
	case errors.Is(err, tms.ErrNotFound):
		return tms.Invitation{}, nil
	case err != nil:
		return tms.Invitation{}, fmt.Errorf("dialog of %q: %w", c.user, err)
	}
	return open, nil
}

// setPIN notes the PIN that the user chose for an invitation that was there before,
// if it is another than that has. That the invitation is gone by now is seen at the
// next step.
func (c *conversation) setPIN(ctx context.Context, open *tms.Invitation) error {
	if c.dialog.pin.IsZero() || c.owner.pin || c.dialog.pin.Equal(open.PIN) {
		return nil
	}
	err := c.Service.SetInvitationPIN(ctx, c.caller, open, c.dialog.pin)
	if err != nil && !errors.Is(err, tms.ErrNotFound) {
		return fmt.Errorf("noting the PIN of %q: %w", c.user, err)
	}
	return nil
}
