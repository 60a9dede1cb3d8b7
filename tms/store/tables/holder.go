package tables

import (
	"context"
	"fmt"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// holderRecord is a user with everything that belongs to them, as a change finds it.
type holderRecord struct {
	user       *userRecord
	tokens     []*tokenRecord
	invitation *invitationRecord
}

// holderChange is what a change makes of it, checked.
type holderChange struct {
	*holderRecord
	user       tms.User
	tokens     []tokenChange // those that change, the new ones last
	invitation tms.Invitation
	text       []byte // of the invitation
	mails      []tms.Mail
}

// tokenChange is what becomes of a token.
type tokenChange struct {
	before *tokenRecord
	after  tms.Token
}

// ChangeHolder implements tms.EnrolmentStore. The function change must not block,
// nor call the store.
func (s *Tables) ChangeHolder(ctx context.Context, name otp.UserName, act tms.Act, change func(*tms.Holder) error) error {
	return s.change(ctx, func(w Conn) error {
		return s.engine.Alone(w, name, func() error { return s.changeHolder(w, name, &act, change) })
	})
}

func (s *Tables) changeHolder(w Conn, name otp.UserName, act *tms.Act, change func(*tms.Holder) error) error {
	before, err := s.readHolder(w, name)
	if err != nil {
		return fmt.Errorf("reading user %q with what is theirs: %w", name, err)
	}
	after := before.holder()
	if err := change(&after); err != nil {
		return err
	}
	c, err := before.changed(&after, act)
	if err != nil || c.nothing() {
		return err
	}
	err = s.engine.Transaction(w, func(w Conn) error {
		changes, err := s.writeHolder(w, c, act)
		if err != nil {
			return fmt.Errorf("writing user %q with what is theirs: %w", name, err)
		}
		return s.writeActIfAny(w, act, changes)
	})
	if err == nil {
		s.engine.Invite(name, c.invitation.Exists)
	}
	return err
}

// readHolder reads a user for a change, with the latest states. Nobody decides logins of the
// user meanwhile.
func (s *Tables) readHolder(w Conn, name otp.UserName) (*holderRecord, error) {
	h := &holderRecord{}
	var err error
	if h.user, err = s.readUser(w, name); err != nil {
		return nil, err
	}
	for _, serial := range h.user.User.Tokens {
		t, err := s.readToken(w, serial)
		if err != nil {
			return nil, err
		}
		h.tokens = append(h.tokens, t)
	}
	if err := s.catchUp(w, h.tokens...); err != nil {
		return nil, err
	}
	h.invitation, err = s.readInvitation(w, name)
	return h, err
}

// holder is what the function that changes it sees.
func (h *holderRecord) holder() tms.Holder {
	v := tms.Holder{User: h.user.User, Invitation: h.invitation.Invitation}
	v.User.Tokens = nil
	for _, t := range h.tokens {
		v.Tokens = append(v.Tokens, t.Token)
	}
	return v
}

// changed checks what a change made of a holder.
func (h *holderRecord) changed(after *tms.Holder, act *tms.Act) (*holderChange, error) {
	name := h.user.Name
	c := &holderChange{holderRecord: h, user: after.User, invitation: after.Invitation}
	c.user.Name = name
	if err := verifyUser(&c.user); err != nil {
		return nil, err
	}
	if h.user.Exists && !c.user.Exists {
		c.invitation = tms.Invitation{} // it goes with the user
	}
	var err error
	if c.tokens, err = h.changedTokens(after); err != nil {
		return nil, err
	}
	c.text, err = encodeInvitation(&c.invitation, name)
	c.mails = newMails(after.Mails, name, act)
	return c, err
}

// changedTokens pairs the tokens with what became of them, by serial.
func (h *holderRecord) changedTokens(after *tms.Holder) ([]tokenChange, error) {
	there := map[otp.Serial]*tokenRecord{}
	for _, t := range h.tokens {
		there[t.Serial] = t
	}
	var changes, added []tokenChange
	for _, token := range after.Tokens {
		c := tokenChange{there[token.Serial], token}
		delete(there, token.Serial)
		isNew := c.before == nil
		if err := c.prepare(h.user.Name, after.User.Exists); err != nil {
			return nil, err
		}
		switch {
		case c.after == c.before.Token: // as it was, or new and removed again
		case isNew:
			added = append(added, c)
		default:
			changes = append(changes, c)
		}
	}
	for serial := range there {
		return nil, invalid("token %q is missing from what became of user %q: it is removed by Exists, and its serial cannot change", serial, h.user.Name)
	}
	return append(changes, added...), nil
}

// prepare checks what became of a token of a user. A new one is the user's.
func (c *tokenChange) prepare(user otp.UserName, userExists bool) error {
	t := &c.after
	if c.before == nil {
		c.before = &tokenRecord{}
		if t.User == "" {
			t.User = user
		}
		if t.Exists && !userExists {
			return fmt.Errorf("user %q: %w", user, tms.ErrNotFound)
		}
	}
	switch {
	case !t.Exists:
		if !c.before.Exists {
			*t = tms.Token{}
		}
		return nil
	case t.User != "" && t.User != user:
		return invalid("token %q cannot go from user %q to %q in a change of the first", t.Serial, user, t.User)
	case !userExists:
		t.User, t.Lost, t.Revoked = "", false, false
	}
	t.Learned = t.Learned && staysWith(c.before.User, t.User)
	return verifyToken(t)
}

// nothing reports whether there was nothing and is nothing.
func (c *holderChange) nothing() bool {
	return !c.holderRecord.user.Exists && !c.user.Exists && !c.holderRecord.invitation.Exists && !c.invitation.Exists && len(c.mails) == 0
}

// writeHolder writes what changes and returns the states that do.
func (s *Tables) writeHolder(w Conn, c *holderChange, act *tms.Act) ([]store.Change, error) {
	before := c.holderRecord
	if !sameUser(&before.user.User, &c.user) {
		if err := s.writeUser(w, before.user, &c.user, act); err != nil {
			return nil, err
		}
	}
	var changes []store.Change
	for i := range c.tokens {
		changed, err := s.writeTokenOfHolder(w, &c.tokens[i], act)
		if err != nil {
			return nil, err
		}
		changes = append(changes, changed...)
	}
	if err := s.writeInvitation(w, before.invitation, &c.invitation, c.text); err != nil {
		return nil, err
	}
	return changes, s.writeMails(w, c.mails)
}

// sameUser reports whether there is nothing to write of a user.
func sameUser(a, b *tms.User) bool {
	if !a.Exists && !b.Exists {
		return true
	}
	return a.Exists == b.Exists && a.Disabled == b.Disabled && a.PIN.Equal(b.PIN) &&
		a.Created.Equal(b.Created) && a.Unentitled.Equal(b.Unentitled) && a.Home == b.Home
}

func (s *Tables) writeTokenOfHolder(w Conn, c *tokenChange, act *tms.Act) ([]store.Change, error) {
	if !c.before.Exists {
		there, err := w.Number("SELECT count(*) FROM token WHERE serial = ?", string(c.after.Serial))
		if err != nil {
			return nil, err
		}
		if there > 0 {
			return nil, fmt.Errorf("token %q %w", c.after.Serial, tms.ErrExists)
		}
	}
	return s.writeToken(w, c.before, &c.after, act)
}
