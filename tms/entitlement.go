package tms

import (
	"context"
	"slices"
	"strings"
	"time"

	"countersign/otp"
)

// SetEntitled notes what the directory says of a user's entitlement to enrolled
// tokens. When it is back, the tokens that were revoked are removed: the user is as
// one who never had any. When it is gone it returns since when. The error wraps ErrNotFound if the
// store does not have the user. Where that is known already nothing is written.
func (s *Service) SetEntitled(ctx context.Context, c Caller, user otp.UserName, entitled bool) (since time.Time, err error) {
	detail := "entitled"
	if !entitled {
		detail = "not entitled"
	}
	act, err := s.gate(c, "user.entitled", string(user), detail)
	if err != nil {
		return time.Time{}, err
	}
	err = s.changeHolder(ctx, user, act, func(h *Holder) error {
		switch {
		case !h.User.Exists:
			return notFound("user", user)
		case entitled == h.User.Unentitled.IsZero():
			since = h.User.Unentitled
			return errNothing
		case !entitled:
			since = act.At
		}
		h.User.Unentitled = since
		if entitled {
			h.dropRevoked()
		}
		return nil
	})
	if err != nil {
		return time.Time{}, err
	}
	return since, nil
}

// RevokeEnrolled takes the enrolled tokens of a user who is not entitled to them, by
// what SetEntitled noted last, out of use for good, and removes the lists of codes and
// the invitation. The tokens stay the user's (Token.Lost), or the user would be one
// without a token, whom some gateways let in by their password. When there is
// nothing to revoke nothing is done.
func (s *Service) RevokeEnrolled(ctx context.Context, c Caller, user otp.UserName) error {
	act, err := s.gate(c, "user.revoke", string(user), "")
	if err != nil {
		return err
	}
	revoked, err := s.revocable(ctx, user)
	if err != nil {
		return err
	}
	act.Detail = strings.TrimSpace("tokens " + strings.Join(revoked, " "))
	to := s.knownAddress(ctx, user)
	return s.changeHolder(ctx, user, act, func(h *Holder) error {
		if h.User.Exists && h.User.Unentitled.IsZero() {
			return invalid("user %q is entitled to enrolled tokens", user)
		}
		gone := h.revoke()
		switch {
		case gone == nil && !h.Invitation.Exists:
			return errNothing
		case !slices.Equal(gone, revoked):
			return invalid("the tokens of %q changed just now: try again", user)
		case gone != nil && to != "":
			h.queue(Mail{Kind: RevokedMail, To: to, Created: act.At})
		}
		h.Invitation.Exists = false
		return nil
	})
}

// revoke takes what goes with the entitlement from the user and returns the serials,
// ascending.
func (h *Holder) revoke() (gone []string) {
	for i := range h.Tokens {
		t := &h.Tokens[i]
		switch {
		case !t.revocable():
			continue
		case t.Type == otp.CodeList:
			t.Exists = false
		default:
			t.Disabled, t.Lost, t.Revoked = true, true, true
		}
		gone = append(gone, string(t.Serial))
	}
	slices.Sort(gone)
	return gone
}

// dropRevoked removes the tokens that were revoked.
func (h *Holder) dropRevoked() {
	for i := range h.Tokens {
		if t := &h.Tokens[i]; t.Revoked {
			t.Exists = false
		}
	}
}

// revocable reports whether a token goes with its user's entitlement, and has not yet.
func (t *Token) revocable() bool {
	return t.Enrolled && !t.Local && !t.Lost || t.Type == otp.CodeList
}

// revocable are the serials of the tokens that a revocation would take, ascending: the
// audit record names them.
func (s *Service) revocable(ctx context.Context, user otp.UserName) (serials []string, err error) {
	err = s.Store.Tokens(ctx, Filter{User: user}, func(t *Token) error {
		if t.revocable() {
			serials = append(serials, string(t.Serial))
		}
		return nil
	})
	slices.Sort(serials)
	return serials, err
}
