package tables

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"strconv"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

const selectMail = "SELECT m.id, m.sealed, m.due FROM mail m "

// readMail reads a row of selectMail.
func (s *Tables) readMail(r Row) (tms.Mail, error) {
	id := r.Integer(0)
	text, err := s.keyring.Open(nil, r.Blob(1), mailContext(strconv.FormatInt(id, 10)))
	var m tms.Mail
	if err == nil {
		m, err = store.ParseMail(text)
	}
	if err != nil {
		return tms.Mail{}, fmt.Errorf("mail %d: %w", id, err)
	}
	m.ID = uint64(id)
	return m, nil
}

// mailContext is the context that a sealed mail belongs to.
func mailContext(id string) string { return "mail/" + id }

func (s *Tables) sealMail(m *tms.Mail) ([]byte, error) {
	text, err := store.EncodeMail(m)
	if err != nil {
		return nil, err
	}
	return s.keyring.Seal(nil, text, mailContext(strconv.FormatUint(m.ID, 10)))
}

// newMails are the mails that a change of a user queues. They are due at once, if
// they do not say when.
func newMails(queued []tms.Mail, user otp.UserName, act *tms.Act) []tms.Mail {
	mails := slices.Clone(queued)
	for i := range mails {
		m := &mails[i]
		m.User = cmp.Or(m.User, user)
		if m.Created.IsZero() {
			m.Created = act.At
		}
		if m.Due.IsZero() {
			m.Due = m.Created
		}
	}
	return mails
}

// writeMails gives new mails their ids and queues them.
func (s *Tables) writeMails(w Conn, mails []tms.Mail) error {
	if len(mails) == 0 {
		return nil
	}
	id, err := s.newIDs(w, MetaMails, len(mails))
	if err != nil {
		return err
	}
	for i := range mails {
		m := &mails[i]
		m.ID = uint64(id) + uint64(i)
		sealed, err := s.sealMail(m)
		if err != nil {
			return err
		}
		err = w.Exec("INSERT INTO mail (id, name, due, sealed) VALUES (?, ?, ?, ?)", int64(m.ID), string(m.User), m.Due.Unix(), sealed)
		if err != nil {
			return err
		}
	}
	return nil
}

// ChangeMail implements tms.EnrolmentStore. The function change must not block, nor
// call the store. Whose mail it is does not change.
func (s *Tables) ChangeMail(ctx context.Context, id uint64, act tms.Act, change func(*tms.Mail) error) error {
	return s.change(ctx, func(w Conn) error {
		before := tms.Mail{}
		err := w.Query(selectMail+"WHERE m.id = ?", func(r Row) (err error) {
			before, err = s.readMail(r)
			return err
		}, int64(id))
		if err == nil && !before.Exists {
			err = tms.ErrNotFound
		}
		if err != nil {
			return fmt.Errorf("mail %d: %w", id, err)
		}
		after := before
		if err := change(&after); err != nil {
			return err
		}
		after.ID, after.User = before.ID, before.User
		return s.engine.Transaction(w, func(w Conn) error {
			if err := s.replaceMail(w, &after); err != nil {
				return fmt.Errorf("writing mail %d: %w", id, err)
			}
			return s.writeActIfAny(w, &act, nil)
		})
	})
}

func (s *Tables) replaceMail(w Conn, m *tms.Mail) error {
	if !m.Exists {
		return w.Exec("DELETE FROM mail WHERE id = ?", int64(m.ID))
	}
	sealed, err := s.sealMail(m)
	if err != nil {
		return err
	}
	return w.Exec("UPDATE mail SET due = ?, sealed = ? WHERE id = ?", m.Due.Unix(), sealed, int64(m.ID))
}

// Mails implements tms.EnrolmentStore. Those that are due in the same second come
// in the order of their ids. One that cannot be opened is left out, and logged the
// first time: it must not keep the others from being sent. Check finds it.
func (s *Tables) Mails(ctx context.Context, f tms.Filter, each func(*tms.Mail) error) error {
	return s.listMails(ctx, f, s.noteDamaged, each)
}

// listMails is Mails where skip says, by returning nil, that a listing goes on past a
// mail that cannot be opened.
func (s *Tables) listMails(ctx context.Context, f tms.Filter, skip func(error) error, each func(*tms.Mail) error) error {
	page := mailPage{due: math.MinInt64}
	return list(ctx, f.Limit, func() ([]tms.Mail, error) {
		for {
			if err := s.readMails(&page, f.User, skip); err != nil {
				return nil, fmt.Errorf("listing mails: %w", err)
			}
			if page.rows == 0 {
				return nil, ctx.Err()
			}
			page.mails = slices.DeleteFunc(page.mails, func(m tms.Mail) bool { return f.Serial != "" && m.Serial != f.Serial })
			if len(page.mails) > 0 {
				return page.mails, nil
			}
		}
	}, each)
}

// noteDamaged logs that a mail cannot be opened, once for each.
func (s *Tables) noteDamaged(err error) error {
	if _, known := s.damagedMails.LoadOrStore(err.Error(), true); !known {
		s.config.Damaged()
		s.config.Logger.Error("a mail cannot be opened, and is not sent", "error", err)
	}
	return nil
}

// mailPage is a page of a listing of mails.
type mailPage struct {
	due, id int64 // of the last row
	rows    int
	mails   []tms.Mail // fewer than rows when some cannot be opened
}

// readMails reads the page after this one in its place, of the mails of a user if one
// is named.
func (s *Tables) readMails(page *mailPage, user otp.UserName, skip func(error) error) error {
	where, args := "WHERE (m.due, m.id) > (?, ?) ", []driver.Value{page.due, page.id}
	if user != "" {
		where, args = where+"AND m.name = ? ", append(args, string(user))
	}
	page.rows, page.mails = 0, nil
	return s.engine.Read(func(c Conn) error {
		return c.Query(selectMail+where+"ORDER BY m.due, m.id LIMIT ?", func(r Row) error {
			page.rows, page.id, page.due = page.rows+1, r.Integer(0), r.Integer(2)
			m, err := s.readMail(r)
			if err != nil {
				return skip(err)
			}
			page.mails = append(page.mails, m)
			return nil
		}, append(args, int64(ListPage))...)
	})
}
