package tables

import (
	"bytes"
	"context"
	"database/sql/driver"
	"fmt"
	"slices"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// invitationRecord is an invitation as a change finds it, with what the table adds.
type invitationRecord struct {
	id   int64
	text []byte // what was sealed
	tms.Invitation
}

const selectInvitation = "SELECT i.id, i.name, i.sealed FROM invitation i "

// read returns a function that takes a row of selectInvitation.
func (i *invitationRecord) read(s *Tables) func(Row) error {
	return func(r Row) (err error) {
		name := r.Text(1)
		if i.text, err = s.keyring.Open(nil, r.Blob(2), invitationContext(name)); err != nil {
			return err
		}
		if i.Invitation, err = store.ParseInvitation(i.text); err != nil {
			return fmt.Errorf("invitation of user %q: %w", name, err)
		}
		i.id, i.User = r.Integer(0), otp.UserName(name)
		return nil
	}
}

// The context that a sealed invitation belongs to.
func invitationContext[T ~string](name T) string { return "invitation/" + string(name) }

// readInvitation reads a user's invitation for a change.
func (s *Tables) readInvitation(w Conn, name otp.UserName) (*invitationRecord, error) {
	i := &invitationRecord{}
	return i, w.Query(selectInvitation+"WHERE i.name = ?", i.read(s), string(name))
}

// encodeInvitation checks what a change made of a user's invitation and returns
// what is to be sealed, nothing when there is none.
func encodeInvitation(i *tms.Invitation, user otp.UserName) ([]byte, error) {
	if !i.Exists {
		return nil, nil
	}
	i.User = user
	t := &tms.Token{Token: i.Token}
	switch {
	case i.ID.IsZero():
		return nil, invalid("an invitation of user %q without an ID", user)
	case len(i.PIN.Bytes()) > otp.MaxPasscode:
		return nil, invalid("PIN of %d bytes: must not have more than %d", len(i.PIN.Bytes()), otp.MaxPasscode)
	}
	verify := verifyToken
	if t.Type == otp.MobilePASS && t.Seed.IsZero() {
		verify = verifyUnseeded // the app is still to make the seed
	}
	if err := verify(t); err != nil {
		return nil, err
	}
	return store.EncodeInvitation(i)
}

// writeInvitation writes what became of a user's invitation: the text, none when it
// is gone.
func (s *Tables) writeInvitation(w Conn, before *invitationRecord, after *tms.Invitation, text []byte) error {
	switch {
	case bytes.Equal(before.text, text):
		return nil
	case !after.Exists:
		return removeInvitation(w, before.User)
	}
	sealed, err := s.keyring.Seal(nil, text, invitationContext(after.User))
	if err != nil {
		return err
	}
	err = w.Exec("INSERT INTO invitation (name, sealed) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed",
		string(after.User), sealed)
	if err != nil {
		return err
	}
	return writeOpeners(w, after)
}

// writeOpeners writes what opens an invitation in the place of what did before.
func writeOpeners(w Conn, i *tms.Invitation) error {
	if err := removeOpeners(w, i.User); err != nil {
		return err
	}
	for _, hash := range openers(i) {
		err := w.Exec("INSERT INTO opener (hash, invitation_id) VALUES (?, (SELECT id FROM invitation WHERE name = ?))", hash[:], string(i.User))
		if err != nil {
			return err
		}
	}
	return nil
}

// openers are the hashes of what opens an invitation.
func openers(i *tms.Invitation) []tms.Hash {
	hashes := slices.Clone(i.Links)
	if !i.Key.IsZero() {
		hashes = append(hashes, i.Key.Hash())
	}
	return hashes
}

func removeOpeners(w Conn, name otp.UserName) error {
	return w.Exec("DELETE FROM opener WHERE invitation_id = (SELECT id FROM invitation WHERE name = ?)", string(name))
}

// removeInvitation removes a user's invitation, if there is one.
func removeInvitation(w Conn, name otp.UserName) error {
	if err := removeOpeners(w, name); err != nil {
		return err
	}
	return w.Exec("DELETE FROM invitation WHERE name = ?", string(name))
}

// FindInvitation implements tms.EnrolmentStore. The table of hashes only leads to
// the invitation: what opens it is what is sealed in it.
func (s *Tables) FindInvitation(ctx context.Context, h tms.Hash) (tms.Invitation, error) {
	if err := ctx.Err(); err != nil {
		return tms.Invitation{}, err
	}
	i := &invitationRecord{}
	err := s.engine.Read(func(c Conn) error {
		return c.Query(selectInvitation+"JOIN opener o ON o.invitation_id = i.id WHERE o.hash = ?", i.read(s), h[:])
	})
	if err == nil && !slices.Contains(openers(&i.Invitation), h) {
		err = tms.ErrNotFound
	}
	if err != nil {
		return tms.Invitation{}, fmt.Errorf("finding an invitation: %w", err)
	}
	return i.Invitation, nil
}

// Invitations implements tms.EnrolmentStore.
func (s *Tables) Invitations(ctx context.Context, f tms.Filter, each func(*tms.Invitation) error) error {
	from, to := "", highest
	if f.User != "" {
		from, to = string(f.User), string(f.User)
	}
	return list(ctx, f.Limit, func() ([]tms.Invitation, error) {
		for {
			page, err := s.readInvitations(from, to)
			if err != nil {
				return nil, fmt.Errorf("listing invitations: %w", err)
			}
			if len(page) == 0 {
				return nil, ctx.Err()
			}
			from = following(string(page[len(page)-1].User))
			page = slices.DeleteFunc(page, func(i tms.Invitation) bool { return f.Serial != "" && i.Token.Serial != f.Serial })
			if len(page) > 0 {
				return page, nil
			}
		}
	}, each)
}

// readInvitations reads a page of invitations from one user to another.
func (s *Tables) readInvitations(from, to string) ([]tms.Invitation, error) {
	var page []tms.Invitation
	err := s.engine.Read(func(c Conn) error {
		var i invitationRecord
		read := i.read(s)
		return c.Query(selectInvitation+"WHERE i.name >= ? AND i.name <= ? ORDER BY i.name LIMIT ?", func(r Row) error {
			if err := read(r); err != nil {
				return err
			}
			page = append(page, i.Invitation)
			return nil
		}, from, to, driver.Value(int64(ListPage)))
	})
	return page, err
}

// checkEnrolment reads everything that enrolment keeps.
func (s *Tables) checkEnrolment(ctx context.Context) error {
	if err := s.Invitations(ctx, tms.Filter{}, func(*tms.Invitation) error { return nil }); err != nil {
		return err
	}
	strict := func(err error) error { return err }
	if err := s.listMails(ctx, tms.Filter{}, strict, func(*tms.Mail) error { return nil }); err != nil {
		return err
	}
	return s.engine.Read(func(c Conn) error {
		_, err := s.readBoxKey(c)
		return err
	})
}
