package tms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// Why Activate does not: it can be tried again. Both wrap ErrInvalid.
var (
	ErrWrongCode = fmt.Errorf("%w: the token does not show this code", ErrInvalid)
	ErrOutOfStep = fmt.Errorf("%w: the token is out of step", ErrInvalid)
)

// over reports whether an invitation has ended.
func (i *Invitation) over(at time.Time) bool { return !at.Before(i.Expires) }

// is reports whether this is the invitation of an ID and not over.
func (i *Invitation) is(id InvitationID, at time.Time) bool {
	return i.Exists && i.ID == id && !i.over(at)
}

// same reports whether this is still the invitation that was found, and not over. One
// with the ID of a dialog may be withdrawn and come again: the serial of its token
// does not.
func (i *Invitation) same(found *Invitation, at time.Time) bool {
	return i.is(found.ID, at) && i.Token.Serial == found.Token.Serial
}

// OpenInvitation uses up a link, and with it every other link to the invitation. None
// is mailed any more: who has opened it has the token. The error wraps ErrNotFound whether the link never was one, was used, is over or was
// replaced.
func (s *Service) OpenInvitation(ctx context.Context, c Caller, link Link) (Invitation, error) {
	act, err := s.gate(c, "invitation.open", "", "")
	if err != nil {
		return Invitation{}, err
	}
	unknown := fmt.Errorf("activation link: %w", ErrNotFound)
	hash := link.Hash()
	found, err := s.findInvitation(ctx, hash, unknown)
	if err != nil {
		return Invitation{}, err
	}
	act.Object, act.Detail = string(found.User), "serial="+string(found.Token.Serial)
	err = s.changeHolder(ctx, found.User, act, func(h *Holder) error {
		if !h.Invitation.same(&found, act.At) || !slices.Contains(h.Invitation.Links, hash) {
			return unknown
		}
		h.Invitation.Links, h.Invitation.Opened, h.Invitation.Reminded = nil, act.At, true
		found = h.Invitation
		found.WantsPIN = s.wantsPIN(&found, &h.User)
		return nil
	})
	if err != nil {
		return Invitation{}, err
	}
	return found, nil
}

// InvitationByKey finds the invitation of an Activation Key. The error wraps
// ErrNotFound as that of OpenInvitation. Nothing is used up.
func (s *Service) InvitationByKey(ctx context.Context, c Caller, key ActivationKey) (Invitation, error) {
	act, err := s.gate(c, "invitation.find", "", "")
	if err != nil {
		return Invitation{}, err
	}
	unknown := fmt.Errorf("Activation Key: %w", ErrNotFound)
	found, err := s.findInvitation(ctx, key.Hash(), unknown)
	switch {
	case err != nil:
		return Invitation{}, err
	case found.over(act.At) || found.Key.Hash() != key.Hash():
		return Invitation{}, unknown
	}
	return s.withPIN(ctx, found)
}

// findInvitation is EnrolmentStore.FindInvitation with another error when there is
// none.
func (s *Service) findInvitation(ctx context.Context, hash Hash, unknown error) (Invitation, error) {
	if s.Enrolment == nil {
		return Invitation{}, errNoEnrolment
	}
	found, err := s.Enrolment.FindInvitation(ctx, hash)
	if errors.Is(err, ErrNotFound) {
		err = unknown
	}
	return found, err
}

// InvitationOf is a user's invitation if it is not over and has this ID (any, when
// zero), and ErrNotFound otherwise. Users may ask for theirs.
func (s *Service) InvitationOf(ctx context.Context, c Caller, user otp.UserName, id InvitationID) (Invitation, error) {
	act, err := s.gateOwn(c, user, "invitation.show", string(user), "")
	if err != nil {
		return Invitation{}, err
	}
	found, err := s.invitationOf(ctx, user, id, act.At)
	if err != nil {
		return Invitation{}, err
	}
	return s.withPIN(ctx, found)
}

// withPIN sets WantsPIN.
func (s *Service) withPIN(ctx context.Context, i Invitation) (Invitation, error) {
	pin, err := s.pinOf(ctx, i.User)
	if err != nil {
		return Invitation{}, err
	}
	i.WantsPIN = s.wantsPIN(&i, &User{Exists: true, PIN: pin})
	return i, nil
}

func (s *Service) invitationOf(ctx context.Context, user otp.UserName, id InvitationID, at time.Time) (Invitation, error) {
	if s.Enrolment == nil {
		return Invitation{}, errNoEnrolment
	}
	unknown := notFound("invitation of", user)
	if user == "" {
		return Invitation{}, unknown // a Filter without a user would find anybody's
	}
	var found Invitation
	err := s.Enrolment.Invitations(ctx, Filter{User: user}, func(i *Invitation) error {
		found = *i
		return nil
	})
	switch {
	case err != nil:
		return Invitation{}, err
	case !found.Exists || found.over(at) || !id.IsZero() && found.ID != id:
		return Invitation{}, unknown
	}
	return found, nil
}

// Activation is what Activate needs: whose, which, and the first code.
type Activation struct {
	User   otp.UserName
	ID     InvitationID
	Serial otp.Serial // of the token; "" for any
	PIN    otp.PIN    // chosen now; zero unless Invitation.WantsPIN
	Seed   oath.Seed  // of MobilePASS, which the app has made
	Code   string     // that the token shows
}

// Activate makes the token of an invitation its user's, if the code is one that it
// shows, and burns the code. The error wraps ErrNotFound as that of InvitationOf,
// ErrWrongCode, ErrOutOfStep, or otp.ErrPIN. Wrong codes are the caller's to count; a
// right one after anything else counts as a failure, as in ActivateByPasscode.
func (s *Service) Activate(ctx context.Context, c Caller, a Activation) (TokenView, error) {
	act, err := s.gateOwn(c, a.User, "invitation.activate", string(a.User), "")
	if err != nil {
		return TokenView{}, err
	}
	found, err := s.invitationOf(ctx, a.User, a.ID, act.At)
	switch {
	case err != nil:
		return TokenView{}, err
	case a.Serial != "" && a.Serial != found.Token.Serial:
		return TokenView{}, notFound("invitation of", a.User)
	}
	if err := a.setSeed(&found.Token); err != nil {
		return TokenView{}, err
	}
	code := strings.ReplaceAll(a.Code, " ", "") // apps show it in groups
	shown, offset := otp.VerifyFirst(&found.Token, otp.PIN{}, otp.NewPasscode([]byte(code)), act.At, s.Policy())
	switch shown {
	case otp.Shown:
		return s.settle(ctx, act, &found, a.PIN)
	case otp.OutOfStep:
		return TokenView{}, outOfStep(&found.Token, offset)
	case otp.WrongFirstPIN:
		if err := s.countFailure(ctx, act, &found); err != nil {
			return TokenView{}, err
		}
	}
	return TokenView{}, ErrWrongCode
}

// setSeed sets the seed that an app has made, where that is the way.
func (a *Activation) setSeed(t *otp.Token) error {
	switch {
	case t.Seed.IsZero() && a.Seed.IsZero():
		return invalid("the activation code that the %s app shows is missing", t.Type)
	case t.Seed.IsZero():
		t.Seed = a.Seed
	case !a.Seed.IsZero():
		return invalid("a %s token has its seed from the server: no activation code is needed", t.Type)
	}
	return nil
}

// outOfStep says how far a token is off and what can be done.
func outOfStep(t *otp.Token, offset int64) error {
	if !t.Type.Clock() {
		return fmt.Errorf("%w: it is %d codes ahead; ask for another invitation, and give its first code", ErrOutOfStep, offset)
	}
	wrong, off := "fast", time.Duration(offset)*time.Duration(t.Period)*time.Second
	if off < 0 {
		wrong, off = "slow", -off
	}
	return fmt.Errorf("%w: the clock of its device is about %v %s; set the clock, and give the next code", ErrOutOfStep, off, wrong)
}

// ActivateByPasscode is Activate by OTP PIN and first code, where there is a PIN or
// none is wanted. It does not burn the code: the login that showed it is still to be
// decided. It reports whether the passcode was right; wrong ones are the caller's to
// count. But a right code with a wrong PIN counts as a failure of the invitation, and
// as many of them as lock a token end it: then the error wraps ErrNotFound.
func (s *Service) ActivateByPasscode(ctx context.Context, c Caller, user otp.UserName, p otp.Passcode) (otp.FirstCode, error) {
	act, err := s.gate(c, "invitation.activate", string(user), "")
	if err != nil {
		return otp.NotShown, err
	}
	found, err := s.invitationOf(ctx, user, InvitationID{}, act.At)
	if err != nil || found.Token.Seed.IsZero() {
		return otp.NotShown, err
	}
	pin, err := s.pinOf(ctx, user)
	if err != nil {
		return otp.NotShown, err
	}
	if pin.IsZero() {
		pin = found.PIN
	}
	if pin.IsZero() && !s.EnrolmentPolicy().NoPIN {
		return otp.NotShown, nil
	}
	before := found.Token.State
	shown, _ := otp.VerifyFirst(&found.Token, pin, p, act.At, s.Policy())
	switch shown {
	case otp.Shown:
		found.Token.State = before // what a restored backup has burned stays burned
		_, err = s.settle(ctx, act, &found, otp.PIN{})
	case otp.WrongFirstPIN:
		err = s.countFailure(ctx, act, &found)
	}
	return shown, err
}

// errChanged says that an invitation has changed since it was looked at.
var errChanged = errors.New("the invitation has changed")

// countFailure counts a right code with a wrong PIN, durably. The last that there may
// be ends the invitation, with an error as if there were none.
func (s *Service) countFailure(ctx context.Context, act Act, found *Invitation) error {
	gone := notFound("invitation of", found.User)
	for {
		last := found.Failures+1 >= s.Policy().MaxFailures
		record := Act{At: act.At}
		if last {
			record = act
			record.Verb, record.Detail = "invitation.locked", fmt.Sprintf("serial=%s failures=%d", found.Token.Serial, found.Failures+1)
		}
		err := s.changeHolder(ctx, found.User, record, func(h *Holder) error {
			i := &h.Invitation
			switch {
			case !i.same(found, act.At):
				return gone
			case i.Failures != found.Failures: // somebody else was quicker
				found.Failures = i.Failures
				return errChanged
			}
			i.Failures++
			i.Exists = !last
			return nil
		})
		switch {
		case errors.Is(err, errChanged):
		case err == nil && last:
			return gone
		default:
			return err
		}
	}
}

// settle ends an invitation by making its token the user's, who is added if need be,
// with the PIN that was chosen before or now. The token is as it is in found. It takes
// the place of those that were lost. The TMS does not know it, so nobody asks there any
// more, unless an administrator has said so.
func (s *Service) settle(ctx context.Context, act Act, found *Invitation, chosen otp.PIN) (TokenView, error) {
	act.Detail = "serial=" + string(found.Token.Serial)
	var view TokenView
	err := s.changeHolder(ctx, found.User, act, func(h *Holder) error {
		if !h.Invitation.same(found, act.At) {
			return notFound("invitation of", found.User)
		}
		if err := h.takesToken(); err != nil {
			return err
		}
		pin, err := s.settledPIN(h, chosen)
		if err != nil {
			return err
		}
		if !h.User.Exists {
			h.User = User{Exists: true, Name: found.User, Created: act.At}
		}
		h.User.PIN = pin
		if h.User.Home == otp.HomeUnsaid {
			h.User.Home = otp.HomeLocal
		}
		token := Token{Exists: true, Token: found.Token, User: found.User, Created: act.At, Enrolled: true, Local: found.Local}
		h.dropLost()
		h.Tokens = append(h.Tokens, token)
		if to := h.Invitation.Mail; to != "" {
			h.queue(Mail{Kind: ActivatedMail, Serial: token.Serial, To: to, Created: act.At})
		}
		h.Invitation.Exists = false
		view = s.viewToken(&token)
		return nil
	})
	return view, err
}

// settledPIN is the PIN that a user has from the first code on: the one there is,
// that of the invitation, or the one chosen now.
func (s *Service) settledPIN(h *Holder, chosen otp.PIN) (otp.PIN, error) {
	pin := h.Invitation.PIN
	if h.User.Exists && !h.User.PIN.IsZero() {
		pin = h.User.PIN
	}
	switch {
	case !pin.IsZero() && !chosen.IsZero():
		return pin, invalid("the OTP PIN was chosen before: leave it out here; it can be changed once the token is in use")
	case !chosen.IsZero():
		return s.choosePIN(chosen, h.Invitation.User)
	case pin.IsZero() && !s.EnrolmentPolicy().NoPIN:
		return pin, invalid("an OTP PIN has to be chosen")
	}
	return pin, nil
}
