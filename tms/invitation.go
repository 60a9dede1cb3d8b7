package tms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// EnrolmentPolicy is what enrolment goes by.
type EnrolmentPolicy struct {
	Token         NewToken      // what is made: type, algorithm, digits and period count
	Valid         time.Duration // of an invitation
	PIN           otp.PINPolicy
	RecoveryCodes int           // on a list
	TemporaryTime time.Duration // of codes from the helpdesk, unless said otherwise
	NoPIN         bool          // the code alone will do, and no PIN is asked for
}

// NewInvitation is what Invite needs.
type NewInvitation struct {
	User string `json:"user"`
	Mail string `json:"mail"` // the directory's when empty; for administrators to say
	// NoMail: no mail brings the link, which goes another way, and none reminds of
	// it. That the token is in use is told by mail all the same.
	NoMail bool         `json:"no_mail"`
	Type   string       `json:"type"` // the policy's when empty
	PIN    otp.PIN      `json:"-"`    // if it is chosen already
	ID     InvitationID `json:"-"`    // made up when zero
}

// InvitationView is what a listing shows of an invitation.
type InvitationView struct {
	User     otp.UserName `json:"user"`
	Serial   otp.Serial   `json:"serial"`
	Type     string       `json:"type"`
	PIN      bool         `json:"pin"` // none is to be chosen: there is one, or none is wanted
	Mail     string       `json:"mail,omitempty"`
	By       string       `json:"by"`
	Created  time.Time    `json:"created"`
	Expires  time.Time    `json:"expires"`
	Opened   time.Time    `json:"opened,omitzero"`
	Reminded bool         `json:"reminded"`
}

func viewInvitation(i *Invitation) InvitationView {
	return InvitationView{
		User: i.User, Serial: i.Token.Serial, Type: i.Token.Type.String(), PIN: !i.WantsPIN, Mail: i.Mail, By: i.By,
		Created: i.Created, Expires: i.Expires, Opened: i.Opened, Reminded: i.Reminded,
	}
}

// Issued is a new invitation with what opens it, which cannot be had again.
type Issued struct {
	InvitationView
	Link Link          `json:"-"`
	Key  ActivationKey `json:"-"`
	// Mailed: a mail to the user is queued.
	Mailed bool `json:"mailed"`
	// Again: the invitation was there already, and nothing was done. There is no Link.
	Again bool `json:"again"`
}

// errNothing ends a change that finds nothing to do: it is no error, and nothing is
// written.
var errNothing = errors.New("there is nothing to change")

// changeHolder changes a user with all that is theirs.
func (s *Service) changeHolder(ctx context.Context, user otp.UserName, act Act, change func(*Holder) error) error {
	if s.Enrolment == nil {
		return errNoEnrolment
	}
	return unless(errNothing, s.Enrolment.ChangeHolder(ctx, user, act, change))
}

// errNoEnrolment is a mistake of the program.
var errNoEnrolment = errors.New("nobody can be invited here: no EnrolmentStore")

// Invite gives a user an invitation: a token that counts from its first code on. A
// user who has one already gets another, and the old one is void, unless it has the
// same ID: then nothing is done. Users may invite themselves, to another token.
//
// A PIN is for users who have none: the error wraps otp.ErrPIN if it may not be
// chosen. Where there are directories, one of them or the store must have the user.
func (s *Service) Invite(ctx context.Context, c Caller, n NewInvitation) (Issued, error) {
	name, err := s.userName(ctx, c, n.User)
	if err != nil {
		return Issued{}, err
	}
	act, err := s.gateInvite(c, name, &n)
	if err != nil {
		return Issued{}, err
	}
	to, err := s.findInvitee(ctx, c, name, &n)
	if err != nil {
		return Issued{}, err
	}
	d, err := s.draft(act, to, &n)
	if err != nil {
		return Issued{}, err
	}
	act.Object, act.Detail = string(to.name), d.detail()
	var issued Issued
	err = s.changeHolder(ctx, to.name, act, func(h *Holder) (err error) {
		if i := h.Invitation; i.Exists && i.ID == d.ID {
			issued = s.again(i, h)
			return errNothing
		}
		if err = to.fit(h, &n); err == nil {
			issued = s.issue(d, h)
		}
		return err
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// gateInvite is the gate of Invite.
func (s *Service) gateInvite(c Caller, user otp.UserName, n *NewInvitation) (Act, error) {
	act, err := s.gateOwn(c, user, "invitation.add", string(user), "")
	switch {
	case err != nil:
		return act, err
	case n.Mail != "" && !c.Administrator:
		return act, forbidden(c, "invitation.add to another address than the directory's")
	case s.Enrolment == nil:
		return act, errNoEnrolment
	}
	return act, nil
}

// again is what an invitation that was there already is issued as.
func (s *Service) again(i Invitation, h *Holder) Issued {
	i.WantsPIN = s.wantsPIN(&i, &h.User)
	return Issued{InvitationView: viewInvitation(&i), Key: i.Key, Mailed: i.Mailed, Again: true}
}

// draft is an invitation that is about to be issued.
type draft struct {
	Invitation
	link Link
}

// draft makes up everything of an invitation that is random.
func (s *Service) draft(act Act, to invitee, n *NewInvitation) (d draft, err error) {
	d.Invitation = Invitation{
		Exists: true, ID: n.ID, User: to.name, Mail: to.mail, Mailed: to.mail != "" && !n.NoMail, Local: to.local, By: act.Actor, Created: act.At,
		Expires: act.At.Add(s.EnrolmentPolicy().Valid), Reminded: n.NoMail,
	}
	if d.Token, err = s.pendingToken(n.Type); err != nil {
		return d, err
	}
	if !n.PIN.IsZero() {
		if d.PIN, err = s.choosePIN(n.PIN, to.name); err != nil {
			return d, err
		}
	}
	if d.ID.IsZero() {
		if d.ID, err = newInvitationID(s.Rand); err != nil {
			return d, err
		}
	}
	if d.Key, err = newActivationKey(s.Rand); err != nil {
		return d, err
	}
	if d.link, err = newLink(s.Rand); err == nil {
		d.Links = []Hash{d.link.Hash()}
	}
	return d, err
}

// pendingToken makes a token of the policy's kind, or of another type, which then
// has its usual figures. That of MobilePASS has no seed: the app makes it.
func (s *Service) pendingToken(typ string) (otp.Token, error) {
	template := s.EnrolmentPolicy().Token
	if wanted := orWord(typ, template.Type); wanted != template.Type {
		template = NewToken{Type: wanted}
	}
	template.ValidFrom, template.ValidUntil = time.Time{}, time.Time{}
	token, err := s.unknownToken(template)
	if err != nil {
		return token, err
	}
	if token.Type == otp.MobilePASS {
		token.Seed = oath.Seed{}
	}
	token.Serial, err = newSerial(s.Rand)
	return token, err
}

// choosePIN checks a PIN that a user has chosen.
func (s *Service) choosePIN(pin otp.PIN, user otp.UserName) (otp.PIN, error) {
	policy := s.EnrolmentPolicy().PIN
	chosen, err := policy.Choose(string(pin.Bytes()), user)
	if err != nil {
		return otp.PIN{}, invalid("%w", err)
	}
	return chosen, nil
}

// detail is what the audit record says of an invitation.
func (d *draft) detail() string {
	detail := fmt.Sprintf("serial=%s type=%s", d.Token.Serial, d.Token.Type)
	if d.Mailed {
		detail += " mail=" + d.Mail
	}
	return detail
}

// fit refuses users who cannot have another token.
func (to *invitee) fit(h *Holder, n *NewInvitation) error {
	switch {
	case !h.User.Exists && to.absent != nil:
		return to.absent
	case !n.PIN.IsZero() && h.User.Exists && !h.User.PIN.IsZero():
		return invalid("user %q has an OTP PIN already: leave it out, and it stays", to.name)
	}
	return h.takesToken()
}

// takesToken refuses users who cannot be invited to another token. It takes the place
// of those that were lost.
func (h *Holder) takesToken() error {
	return h.takes(func(t *Token) bool { return !t.Lost })
}

// takesList refuses users who cannot have another list of codes.
func (h *Holder) takesList() error {
	return h.takes(func(*Token) bool { return true })
}

// takes refuses users who are disabled, and those of whose tokens as many stay as there
// may be.
func (h *Holder) takes(stays func(*Token) bool) error {
	if h.User.Exists && h.User.Disabled {
		return invalid("user %q is disabled: enable the user first", h.User.Name)
	}
	n := 0
	for i := range h.Tokens {
		if t := &h.Tokens[i]; t.Exists && t.User != "" && stays(t) {
			n++
		}
	}
	if n >= otp.MaxTokens {
		return fmt.Errorf("%w: user %q has %d tokens, which is the most: remove one first", ErrTooMany, h.User.Name, otp.MaxTokens)
	}
	return nil
}

// issue makes a draft the user's invitation, in the place of any other, and queues
// the mail.
func (s *Service) issue(d draft, h *Holder) Issued {
	h.Invitation = d.Invitation
	if d.Mailed {
		h.queue(Mail{Kind: InvitationMail, Invitation: d.ID, Serial: d.Token.Serial, To: d.Mail, Link: d.link, Created: d.Created})
	}
	d.WantsPIN = s.wantsPIN(&d.Invitation, &h.User)
	return Issued{InvitationView: viewInvitation(&d.Invitation), Link: d.link, Key: d.Key, Mailed: d.Mailed}
}

// wantsPIN reports whether a user has to choose a PIN yet.
func (s *Service) wantsPIN(i *Invitation, u *User) bool {
	return !s.EnrolmentPolicy().NoPIN && i.PIN.IsZero() && (!u.Exists || u.PIN.IsZero())
}

// Invitations lists invitations by user, also those that are over and still there.
func (s *Service) Invitations(ctx context.Context, c Caller, f Filter, each func(InvitationView) error) error {
	if _, err := s.gate(c, "invitation.list", string(f.User), ""); err != nil {
		return err
	}
	if s.Enrolment == nil {
		return errNoEnrolment
	}
	f, err := s.meant(ctx, c, f)
	if err != nil {
		return err
	}
	// A store is not asked about users while it lists. Views are small.
	var views []InvitationView
	if err := s.Enrolment.Invitations(ctx, f, func(i *Invitation) error {
		i.WantsPIN = s.wantsPIN(i, &User{})
		views = append(views, viewInvitation(i))
		return nil
	}); err != nil {
		return err
	}
	for _, v := range views {
		if !v.PIN {
			pin, err := s.pinOf(ctx, v.User)
			if err != nil {
				return err
			}
			v.PIN = !pin.IsZero()
		}
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}

// pinOf is the PIN of a user, zero when there is none, or no such user.
func (s *Service) pinOf(ctx context.Context, user otp.UserName) (pin otp.PIN, err error) {
	err = s.Store.Users(ctx, Filter{User: user}, func(u *User) error {
		pin = u.PIN
		return nil
	})
	return pin, err
}

// Withdraw ends a user's invitation. Users may withdraw theirs.
func (s *Service) Withdraw(ctx context.Context, c Caller, user string) error {
	name, err := s.userName(ctx, c, user)
	if err != nil {
		return err
	}
	act, err := s.gateOwn(c, name, "invitation.withdraw", string(name), "")
	if err != nil {
		return err
	}
	return s.changeHolder(ctx, name, act, func(h *Holder) error {
		if !h.Invitation.Exists {
			return notFound("invitation of", name)
		}
		h.Invitation.Exists = false
		return nil
	})
}

// ExpireInvitation removes an invitation that is over. The error wraps ErrNotFound
// when the user has none of this ID any more.
func (s *Service) ExpireInvitation(ctx context.Context, c Caller, user otp.UserName, id InvitationID) error {
	act, err := s.gate(c, "invitation.expire", string(user), "")
	if err != nil {
		return err
	}
	return s.changeHolder(ctx, user, act, func(h *Holder) error {
		switch i := &h.Invitation; {
		case !i.Exists || i.ID != id:
			return notFound("invitation of", user)
		case !i.over(act.At):
			return invalid("the invitation of %q lasts until %s: withdraw it to end it before", user, date(i.Expires))
		}
		h.Invitation.Exists = false
		return nil
	})
}
