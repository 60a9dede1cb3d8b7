package tms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"countersign/otp"
	"countersign/otp/oath"
)

// Why CreateToken goes no further; nothing is written then.
var (
	errHolds     = errors.New("the user holds a token")
	errLacks     = errors.New("the user is there and holds no token")
	errNotTheirs = errors.New("this serial is somebody else's")
)

// CreateToken gives a token of the template's kind to a user who holds none; the
// user is added, without an OTP PIN, when there is none of that name. The seed is
// one that nobody knows: HandOverToken makes the token usable. Serial, user, seed
// and counter of the template do not count. A user who holds a token already is
// no error, and nothing is done.
func (s *Service) CreateToken(ctx context.Context, c Caller, user otp.UserName, template NewToken) error {
	act, err := s.gate(c, "token.create", "", "user="+string(user))
	if err != nil {
		return err
	}
	token, err := s.unknownToken(template)
	if err != nil {
		return err
	}
	if err := s.addHolder(ctx, act, user); err != nil {
		return unless(errHolds, err)
	}
	// The serial follows from the user, so that of several logins at once, on
	// whatever nodes, the first makes the token and the others find it. A serial
	// that is in stock or another's by now is passed over.
	for n := range otp.MaxTokens {
		token.Serial = createdSerial(user, n)
		act.Object = string(token.Serial)
		err := s.Store.ChangeToken(ctx, token.Serial, act, func(t *Token) error {
			switch {
			case t.Exists && t.User == user:
				return errHolds
			case t.Exists:
				return errNotTheirs
			}
			*t = Token{Exists: true, Token: token, User: user, Created: act.At}
			return nil
		})
		if !errors.Is(err, errNotTheirs) {
			return unless(errHolds, err)
		}
	}
	return fmt.Errorf("creating a token for %q: %d that were created before are no longer theirs: remove those that are in stock", user, otp.MaxTokens)
}

// unless is err, or nil if it is this one.
func unless(this, err error) error {
	if errors.Is(err, this) {
		return nil
	}
	return err
}

// unknownToken is a token of the template's kind with a seed nobody knows.
func (s *Service) unknownToken(template NewToken) (otp.Token, error) {
	template.Serial, template.User, template.Counter = "", "", 0
	template.Seed = oath.NewSeed(make([]byte, 20)) // only to be complete
	token, err := template.Token()
	if err != nil {
		return token, err
	}
	if token.Type == otp.MobilePASS {
		code, err := oath.NewActivationCode(s.Rand)
		token.Seed = code.Seed("")
		return token, err
	}
	token.Seed, err = NewSeed(s.Rand, token.Algorithm)
	return token, err
}

// addHolder adds the user who is to get the token, unless there is one. The
// error is errHolds when the user holds a token.
func (s *Service) addHolder(ctx context.Context, act Act, user otp.UserName) error {
	act.Verb, act.Object, act.Detail = "user.add", string(user), "for a created token"
	err := s.Store.ChangeUser(ctx, user, act, func(u *User) error {
		switch {
		case !u.Exists:
			*u = User{Exists: true, Name: user, Created: act.At}
			return nil
		case len(u.Tokens) > 0:
			return errHolds
		case u.Disabled:
			return invalid("user %q is disabled", user)
		}
		return errLacks
	})
	return unless(errLacks, err)
}

// createdSerial is the serial of the nth token that is created for a user, of 16
// hexadecimal digits as those that are made up.
func createdSerial(user otp.UserName, n int) otp.Serial {
	sum := sha256.Sum256(fmt.Appendf(nil, "created token %d of %s", n, user))
	return otp.Serial(strings.ToUpper(hex.EncodeToString(sum[:8])))
}

// HandOver is what HandOverToken needs.
type HandOver struct {
	Serial  string    `json:"serial"`
	Seed    oath.Seed `json:"-"` // the new one
	PIN     otp.PIN   `json:"-"` // the user's new one, if it is to change
	NoPIN   bool      `json:"no_pin"`
	Reissue bool      `json:"reissue"` // the token may have been used
}

// HandOverToken gives a token the seed that its user is about to get, and turns
// its state back to that of a new one. The old seed is void from then on. A token
// that was used needs Reissue; a user without an OTP PIN needs one, or NoPIN.
func (s *Service) HandOverToken(ctx context.Context, c Caller, h HandOver) (TokenView, error) {
	serial, err := otp.ParseSerial(h.Serial)
	if err != nil {
		return TokenView{}, invalid("%w", err)
	}
	if _, err := s.gate(c, "token.hand-over", string(serial), ""); err != nil {
		return TokenView{}, err
	}
	if h.Seed.IsZero() {
		return TokenView{}, invalid("a seed is missing")
	}
	if err := s.checkPIN(h.PIN, h.NoPIN); err != nil {
		return TokenView{}, err
	}
	user, err := s.holder(ctx, serial, &h)
	if err != nil {
		return TokenView{}, err
	}
	detail := "user=" + string(user)
	if h.Reissue {
		detail += " reissue"
	}
	view, err := s.changeToken(ctx, c, "token.hand-over", h.Serial, detail, func(t *Token) error { return h.replaceSeed(t, user) })
	if err != nil || h.PIN.IsZero() && !h.NoPIN {
		return view, err
	}
	// Last, so that nothing of the user has changed when the token refuses. Until
	// then nobody knows the seed.
	_, err = s.SetUser(ctx, c, UserChange{Name: string(user), PIN: h.PIN, NoPIN: h.NoPIN})
	return view, err
}

// holder is the user of a token that is to be handed over, who has an OTP PIN, or
// will have one, or shall have none.
func (s *Service) holder(ctx context.Context, serial otp.Serial, h *HandOver) (otp.UserName, error) {
	var user otp.UserName
	found := false
	if err := s.Store.Tokens(ctx, Filter{Serial: serial}, func(t *Token) error {
		found, user = true, t.User
		return nil
	}); err != nil {
		return "", err
	}
	switch {
	case !found:
		return "", fmt.Errorf("token %q: %w", serial, ErrNotFound)
	case user == "":
		return "", invalid("token %q is in stock: give it to a user first, with `countersign token assign`", serial)
	case h.NoPIN || !h.PIN.IsZero():
		return user, nil
	}
	return user, s.Store.Users(ctx, Filter{User: user}, func(u *User) error {
		if u.PIN.IsZero() {
			return invalid("user %q has no OTP PIN yet: give one, or --no-pin when the code alone shall do", user)
		}
		return nil
	})
}

// replaceSeed is the change of the token.
func (h *HandOver) replaceSeed(t *Token, user otp.UserName) error {
	switch {
	case t.User != user:
		return invalid("token %q was given to somebody else just now: try again", t.Serial)
	case t.State.Counter != 0 && !h.Reissue:
		return invalid("token %q has been used, or began with a counter: --reissue makes the token that its user has worthless", t.Serial)
	}
	t.Seed, t.State = h.Seed, otp.State{}
	return nil
}
