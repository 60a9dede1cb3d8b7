package tms

import (
	"context"
	"slices"

	"countersign/otp"
)

// LoseToken takes a token that was lost out of use, and invites its user to another,
// in one step. It stays the user's (Token.Lost) until that is activated; then a token
// that came of an invitation is removed, and another goes back into stock, disabled.
// Users may do it with theirs. Where the directory knows an address the user is told.
func (s *Service) LoseToken(ctx context.Context, c Caller, serial string) (Issued, error) {
	parsed, err := otp.ParseSerial(serial)
	if err != nil {
		return Issued{}, invalid("%w", err)
	}
	act, err := s.gateUser(c, "token.lost", string(parsed), "")
	switch {
	case err != nil:
		return Issued{}, err
	case s.Enrolment == nil:
		return Issued{}, errNoEnrolment
	}
	to, err := s.loser(ctx, c, parsed)
	if err != nil {
		return Issued{}, err
	}
	d, err := s.draft(act, to, &NewInvitation{})
	if err != nil {
		return Issued{}, err
	}
	act.Detail = "user=" + string(to.name) + " " + d.detail()
	var issued Issued
	err = s.changeHolder(ctx, to.name, act, func(h *Holder) error {
		if err := h.lose(parsed); err != nil {
			return err
		}
		if h.User.Disabled { // out of use all the same, and nobody is invited
			issued.User = to.name
			return nil
		}
		if err := h.takesToken(); err != nil {
			return err
		}
		if d.Mail != "" {
			h.queue(Mail{Kind: LostMail, Serial: parsed, To: d.Mail, Created: act.At})
		}
		issued = s.issue(d, h)
		return nil
	})
	if err != nil {
		return Issued{}, err
	}
	return issued, nil
}

// loser is the user of a token that was lost, who is to be invited to another.
func (s *Service) loser(ctx context.Context, c Caller, serial otp.Serial) (invitee, error) {
	var token Token
	if err := s.Store.Tokens(ctx, Filter{Serial: serial}, func(t *Token) error {
		token = *t
		return nil
	}); err != nil {
		return invitee{}, err
	}
	switch {
	case !token.Exists || !c.owns(token.User):
		return invitee{}, notFound("token", serial)
	case token.User == "":
		return invitee{}, invalid("token %q is in stock: disable or remove it", serial)
	case token.Type == otp.CodeList:
		return invitee{}, invalid("%q is a list of codes: make a new one, and this one is void", serial)
	}
	identity, absent := s.identity(ctx, token.User)
	to := invitee{name: token.User, mail: usableAddress(identity)}
	to.local = isLocal(identity, absent) || identity == nil && token.Local // when nobody can be asked, as it was
	return to, nil
}

// lose takes a token out of use.
func (h *Holder) lose(serial otp.Serial) error {
	at := slices.IndexFunc(h.Tokens, func(t Token) bool { return t.Serial == serial })
	switch {
	case at < 0:
		return notFound("token", serial)
	case h.Tokens[at].Lost:
		return invalid("token %q was reported lost before: invite its user to another", serial)
	}
	t := &h.Tokens[at]
	t.Disabled, t.Lost = true, true
	return nil
}

// dropLost removes the tokens that were lost, as another takes their place. Those that
// came of no invitation go back into stock.
func (h *Holder) dropLost() {
	for i := range h.Tokens {
		switch t := &h.Tokens[i]; {
		case t.Lost && t.Enrolled:
			t.Exists = false
		case t.Lost:
			t.User, t.Lost = "", false
		}
	}
}
