package tms

import (
	"context"
	"time"

	"countersign/otp"
)

// queue adds a mail to what is to be sent to the user, at once.
func (h *Holder) queue(m Mail) {
	m.Exists, m.User, m.Due = true, h.name(), m.Created
	h.Mails = append(h.Mails, m)
}

// name is the user's, who may not exist yet.
func (h *Holder) name() otp.UserName {
	if h.User.Exists {
		return h.User.Name
	}
	return h.Invitation.User
}

// RemindInvitation queues the mail that an invitation is about to end, with another
// link, once: then, for who gets no mail, and when a link was opened, nothing is done:
// who opened it has the token already, so that another would lead to the same. Older
// links stay valid. The error wraps ErrNotFound as that of InvitationOf.
func (s *Service) RemindInvitation(ctx context.Context, c Caller, user otp.UserName, id InvitationID) error {
	act, err := s.gate(c, "invitation.remind", string(user), "")
	if err != nil {
		return err
	}
	link, err := newLink(s.Rand)
	if err != nil {
		return err
	}
	return s.changeHolder(ctx, user, act, func(h *Holder) error {
		i := &h.Invitation
		switch {
		case !i.is(id, act.At):
			return notFound("invitation of", user)
		case i.Reminded || i.Mail == "" || !i.Opened.IsZero():
			return errNothing
		}
		i.Reminded = true
		i.Links = append(i.Links, link.Hash())
		h.queue(Mail{Kind: ReminderMail, Invitation: i.ID, Serial: i.Token.Serial, To: i.Mail, Link: link, Created: act.At})
		return nil
	})
}

// MailView is what a listing shows of a mail that waits.
type MailView struct {
	ID        uint64       `json:"id"`
	Kind      MailKind     `json:"kind"`
	User      otp.UserName `json:"user"`
	To        string       `json:"to"`
	Created   time.Time    `json:"created"`
	Due       time.Time    `json:"due"`
	Tries     int          `json:"tries"`
	LastError string       `json:"last_error,omitempty"`
}

// Mails lists what waits to be sent.
func (s *Service) Mails(ctx context.Context, c Caller, f Filter, each func(MailView) error) error {
	if _, err := s.gate(c, "mail.list", string(f.User), ""); err != nil {
		return err
	}
	if s.Enrolment == nil {
		return errNoEnrolment
	}
	f, err := s.meant(ctx, c, f)
	if err != nil {
		return err
	}
	return s.Enrolment.Mails(ctx, f, func(m *Mail) error {
		return each(MailView{
			ID: m.ID, Kind: m.Kind, User: m.User, To: m.To, Created: m.Created, Due: m.Due, Tries: m.Tries, LastError: m.LastError,
		})
	})
}
