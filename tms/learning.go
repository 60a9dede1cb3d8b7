package tms

import (
	"context"
	"fmt"
	"time"

	"countersign/otp"
)

// Why a token cannot be learned, for who learns.
var (
	// ErrTaken says that the token is not, or not any more, where it was thought to be:
	// in stock, or learned by this user and not active. It wraps ErrInvalid.
	ErrTaken = fmt.Errorf("%w: the token is not there any more", ErrInvalid)
	// ErrOtherPIN says that the user has an OTP PIN here that is not the one that was
	// seen, and tokens that go by it. It wraps ErrInvalid.
	ErrOtherPIN = fmt.Errorf("%w: the user has another OTP PIN here", ErrInvalid)
)

// Lesson is what a login that the TMS accepted told of a token.
type Lesson struct {
	User   otp.UserName // by the name that the store has, or will have
	Serial otp.Serial
	PIN    otp.PIN // what stood before the code
	// Next is the lowest factor of the token that is not burned by that login; 0 when
	// the login is about to be decided, which burns the code.
	Next uint64
}

// LearnToken gives a token that is in stock to the user who showed its code, and the
// PIN with it; the user is added if need be. Nothing has agreed to it yet. The error
// wraps ErrTaken when the token is not in stock, and ErrInvalid when it is disabled
// or not in its time, or the user is disabled. A user who holds tokens has a PIN, or
// none, that they go by: it is ErrOtherPIN when it is not the same.
//
// It is done in two steps, the PIN first: it counts for nothing without a token. What is
// left when the second one fails is a user with a PIN and no token, and the next login
// that is learned from sets the PIN anew.
func (s *Service) LearnToken(ctx context.Context, c Caller, l Lesson) error {
	act, err := s.gateLearning(c, "token.learn", &l)
	if err != nil {
		return err
	}
	token, err := s.token(ctx, l.Serial)
	if err == nil {
		err = learnable(&token, act.At)
	}
	if err != nil {
		return err
	}
	first := newAct(act.At, c, "pin.learn", string(l.User), "serial="+string(l.Serial))
	err = s.changeHolder(ctx, l.User, first, func(h *Holder) error { return l.prepare(h, act) })
	if err != nil {
		return err
	}
	return s.Store.ChangeToken(ctx, l.Serial, act, func(t *Token) error {
		if err := learnable(t, act.At); err != nil {
			return err
		}
		t.User, t.Learned = l.User, true
		t.State.Counter = max(t.State.Counter, l.Next)
		t.State.Agreed, t.State.Disagreed = 0, 0
		return nil
	})
}

// gateLearning is the gate of who learns.
func (s *Service) gateLearning(c Caller, verb string, l *Lesson) (Act, error) {
	act, err := s.gate(c, verb, string(l.Serial), "user="+string(l.User))
	if err == nil && s.Enrolment == nil {
		err = errNoEnrolment
	}
	return act, err
}

// token reads a token; it does not exist when there is none of the serial.
func (s *Service) token(ctx context.Context, serial otp.Serial) (token Token, err error) {
	token.Serial = serial
	err = s.Store.Tokens(ctx, Filter{Serial: serial}, func(t *Token) error {
		token = *t
		return nil
	})
	return token, err
}

// learnable refuses tokens that nobody can come by.
func learnable(t *Token, at time.Time) error {
	switch {
	case !t.Exists:
		return fmt.Errorf("token %q: %w", t.Serial, ErrTaken)
	case t.User != "":
		return fmt.Errorf("token %q, which %q has: %w", t.Serial, t.User, ErrTaken)
	case t.Disabled || t.Lost || t.Type == otp.CodeList:
		return invalid("token %q is disabled: enable it first, and it can be learned", t.Serial)
	case !t.Valid(at):
		return invalid("token %q is not valid now: it cannot be learned", t.Serial)
	}
	return nil
}

// prepare gives the user the PIN, before there is the token.
func (l *Lesson) prepare(h *Holder, act Act) error {
	if !h.User.Exists {
		h.User = User{Exists: true, Name: l.User, PIN: l.PIN, Created: act.At}
		return nil
	}
	if err := h.takesList(); err != nil {
		return err
	}
	switch {
	case h.User.PIN.Equal(l.PIN):
		return errNothing
	case len(h.Tokens) > 0:
		return fmt.Errorf("user %q: %w", l.User, ErrOtherPIN)
	}
	h.User.PIN = l.PIN
	return nil
}

// LearnPIN sets a user's OTP PIN to the one that was seen before the code of a token
// that the user was given by LearnToken: the TMS has another PIN than we. The error
// wraps ErrTaken when the user has not learned the token, and is ErrOtherPIN when the
// user has tokens that were not learned: their PIN is not the TMS's.
func (s *Service) LearnPIN(ctx context.Context, c Caller, l Lesson) error {
	act, err := s.gateLearning(c, "pin.learn", &l)
	if err != nil {
		return err
	}
	act.Object, act.Detail = string(l.User), "serial="+string(l.Serial)
	return s.changeHolder(ctx, l.User, act, func(h *Holder) error {
		switch own, learned := h.learned(l.Serial); {
		case !learned:
			return fmt.Errorf("token %q: %w", l.Serial, ErrTaken)
		case h.User.Disabled:
			return invalid("user %q is disabled: enable the user first", l.User)
		case h.User.PIN.Equal(l.PIN):
			return errNothing
		case own:
			return fmt.Errorf("user %q: %w", l.User, ErrOtherPIN)
		}
		h.User.PIN = l.PIN
		return nil
	})
}

// learned reports whether a token in use was learned, and whether the user has own ones
// besides, which were not. A list of codes is neither: it goes by the PIN of the tokens.
func (h *Holder) learned(serial otp.Serial) (own, learned bool) {
	for i := range h.Tokens {
		switch t := &h.Tokens[i]; {
		case !t.Learned:
			own = own || t.Type != otp.CodeList
		case t.Serial == serial:
			learned = !t.Disabled
		}
	}
	return own, learned
}

// UnlearnToken takes a token that a user has learned back into stock, as it came to the
// user by chance. The PIN is not looked at, and the user's stays. The error wraps
// ErrTaken when the user has not learned it, or when it is active by now, and
// ErrInvalid when it is disabled, lost or revoked: then it stays its user's, as everywhere.
func (s *Service) UnlearnToken(ctx context.Context, c Caller, l Lesson) error {
	act, err := s.gateLearning(c, "token.unlearn", &l)
	if err != nil {
		return err
	}
	agreements := s.Policy().Agreements
	return s.Store.ChangeToken(ctx, l.Serial, act, func(t *Token) error {
		if !t.Exists || !t.Learned || t.User != l.User || int(t.State.Agreed) >= agreements {
			return fmt.Errorf("token %q of %q: %w", l.Serial, l.User, ErrTaken)
		}
		if t.Disabled || t.Lost || t.Revoked {
			return invalid("token %q of %q is disabled: it stays its user's", l.Serial, l.User)
		}
		t.User, t.Learned = "", false
		t.State.Agreed, t.State.Disagreed = 0, 0
		t.State.Failures, t.State.LockedUntil = 0, 0
		return nil
	})
}
