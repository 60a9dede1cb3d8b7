package tms

import (
	"context"
	"fmt"

	"countersign/otp"
)

// ErrSamePIN: a user has chosen the OTP PIN that they have already.
var ErrSamePIN = fmt.Errorf("%w: it is the present one", otp.ErrPIN)

// ChoosePIN sets a user's OTP PIN to one of their own choice. The error wraps
// otp.ErrPIN. Users may choose theirs, and then it is ErrSamePIN when nothing would
// change: who changes a PIN that others know must not believe that it is done.
func (s *Service) ChoosePIN(ctx context.Context, c Caller, user string, pin otp.PIN) error {
	name, err := s.userName(ctx, c, user)
	if err != nil {
		return err
	}
	act, err := s.gateOwn(c, name, "user.pin", string(name), "")
	switch {
	case err != nil:
		return err
	case s.Enrolment == nil:
		return errNoEnrolment
	}
	chosen, err := s.choosePIN(pin, name)
	if err != nil {
		return err
	}
	return s.changeHolder(ctx, name, act, func(h *Holder) error {
		if !h.User.Exists {
			return notFound("user", name)
		}
		if c.User == name && h.User.PIN.Equal(chosen) {
			return ErrSamePIN
		}
		h.User.PIN = chosen
		return nil
	})
}

// SetInvitationPIN notes the OTP PIN that a user has chosen for an invitation that
// was found before, in the place of any other. The error wraps ErrNotFound as that
// of InvitationOf, also when the invitation is for another token by now, and
// otp.ErrPIN; a user who has a PIN keeps it.
func (s *Service) SetInvitationPIN(ctx context.Context, c Caller, found *Invitation, pin otp.PIN) error {
	user := found.User
	act, err := s.gate(c, "invitation.pin", string(user), "")
	switch {
	case err != nil:
		return err
	case s.Enrolment == nil:
		return errNoEnrolment
	}
	chosen, err := s.choosePIN(pin, user)
	if err != nil {
		return err
	}
	return s.changeHolder(ctx, user, act, func(h *Holder) error {
		switch i := &h.Invitation; {
		case !i.same(found, act.At):
			return notFound("invitation of", user)
		case h.User.Exists && !h.User.PIN.IsZero():
			return invalid("user %q has an OTP PIN already", user)
		}
		h.Invitation.PIN = chosen
		return nil
	})
}
