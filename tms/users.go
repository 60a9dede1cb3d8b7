package tms

import (
	"context"
	"fmt"

	"countersign/otp"
)

// NewUser is what AddUser needs: a PIN, or the word that there shall be none.
type NewUser struct {
	Name  string  `json:"name"`
	PIN   otp.PIN `json:"-"`
	NoPIN bool    `json:"no_pin"`
}

// AddUser adds a user.
func (s *Service) AddUser(ctx context.Context, c Caller, n NewUser) (UserView, error) {
	name, err := s.userName(ctx, c, n.Name)
	if err != nil {
		return UserView{}, err
	}
	act, err := s.gate(c, "user.add", string(name), "")
	if err != nil {
		return UserView{}, err
	}
	if n.PIN.IsZero() && !n.NoPIN {
		return UserView{}, invalid("user %q needs an OTP PIN, or --no-pin when the code alone shall do", name)
	}
	if err := s.checkPIN(n.PIN, n.NoPIN); err != nil {
		return UserView{}, err
	}
	var view UserView
	err = s.Store.ChangeUser(ctx, name, act, func(u *User) error {
		if u.Exists {
			return fmt.Errorf("user %q %w", name, ErrExists)
		}
		*u = User{Exists: true, Name: name, PIN: n.PIN, Created: act.At}
		view = viewUser(u)
		return nil
	})
	return view, err
}

// UserChange is what SetUser changes; what is not set stays.
type UserChange struct {
	Name     string  `json:"name"`
	PIN      otp.PIN `json:"-"`
	NoPIN    bool    `json:"no_pin"`
	Disabled *bool   `json:"disabled"`
}

// SetUser changes a user.
func (s *Service) SetUser(ctx context.Context, c Caller, change UserChange) (UserView, error) {
	var view UserView
	err := s.changeUser(ctx, c, "user.set", change.Name, change.detail(), func(u *User) error {
		if err := s.checkPIN(change.PIN, change.NoPIN); err != nil {
			return err
		}
		if change.NoPIN || !change.PIN.IsZero() {
			u.PIN = change.PIN
		}
		if change.Disabled != nil {
			u.Disabled = *change.Disabled
		}
		view = viewUser(u)
		return nil
	})
	return view, err
}

// detail says what was changed, without the PIN.
func (change *UserChange) detail() string {
	detail := ""
	if change.NoPIN || !change.PIN.IsZero() {
		detail = "pin"
	}
	if change.Disabled != nil {
		detail += fmt.Sprintf(" disabled=%t", *change.Disabled)
	}
	return detail
}

// RemoveUser removes a user. The tokens stay, assigned to nobody.
func (s *Service) RemoveUser(ctx context.Context, c Caller, name string) error {
	return s.changeUser(ctx, c, "user.remove", name, "", func(u *User) error {
		u.Exists = false
		return nil
	})
}

// changeUser changes a user who must be there.
func (s *Service) changeUser(ctx context.Context, c Caller, verb, name, detail string, change func(*User) error) error {
	parsed, err := s.userName(ctx, c, name)
	if err != nil {
		return err
	}
	act, err := s.gate(c, verb, string(parsed), detail)
	if err != nil {
		return err
	}
	return s.Store.ChangeUser(ctx, parsed, act, func(u *User) error {
		if !u.Exists {
			return fmt.Errorf("user %q: %w", parsed, ErrNotFound)
		}
		return change(u)
	})
}

// checkPIN checks a PIN that is to be set, if one is.
func (s *Service) checkPIN(pin otp.PIN, none bool) error {
	switch {
	case pin.IsZero():
		return nil
	case none:
		return invalid("a PIN and no PIN at once")
	}
	if _, err := otp.ParsePIN(string(pin.Bytes()), s.MinPINLength()); err != nil {
		return invalid("%w", err)
	}
	return nil
}
