package tms

import (
	"context"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// The bounds of lists of codes.
const (
	codeDigits   = 8
	maxCodes     = 50
	minTemporary = time.Minute
	maxTemporary = 31 * 24 * time.Hour
)

// Codes is a new list of codes, which cannot be had again. Code 0 is to be used
// first. It prints without the codes.
type Codes struct {
	TokenView
	List []string `json:"-"`
}

// Format prints what is no secret.
func (c Codes) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "%+v %s", c.TokenView, oath.Redaction) }

// CreateRecoveryCodes gives a user a list of codes for the day the token is lost. An
// older list is void. Users may have one made for themselves.
func (s *Service) CreateRecoveryCodes(ctx context.Context, c Caller, user string) (Codes, error) {
	name, err := s.userName(ctx, c, user)
	if err != nil {
		return Codes{}, err
	}
	act, err := s.gateOwn(c, name, "token.recovery-codes", "", "user="+string(name))
	switch {
	case err != nil:
		return Codes{}, err
	case s.Enrolment == nil:
		return Codes{}, errNoEnrolment
	}
	count := s.EnrolmentPolicy().RecoveryCodes
	if count == 0 {
		return Codes{}, invalid("there are no recovery codes here: recovery_codes of [enrol] in the configuration is 0")
	}
	return s.createCodes(ctx, act, name, count, time.Time{})
}

// CreateTemporaryCodes gives a user so many codes, each accepted once and all for a
// time, 0 for the policy's. Older ones are void.
func (s *Service) CreateTemporaryCodes(ctx context.Context, c Caller, user string, count int, valid time.Duration) (Codes, error) {
	name, err := s.userName(ctx, c, user)
	if err != nil {
		return Codes{}, err
	}
	act, err := s.gate(c, "token.temporary-codes", "", "user="+string(name))
	switch {
	case err != nil:
		return Codes{}, err
	case s.Enrolment == nil:
		return Codes{}, errNoEnrolment
	}
	if valid == 0 {
		valid = s.EnrolmentPolicy().TemporaryTime
	}
	if valid < minTemporary || valid > maxTemporary {
		return Codes{}, invalid("codes for %v: their time is %v to %v", valid, minTemporary, maxTemporary)
	}
	until := act.At.Add(valid)
	act.Detail += " until=" + date(until)
	return s.createCodes(ctx, act, name, count, until)
}

// createCodes gives a user a list in the place of any other of its kind: those with
// an end are temporary codes, those without recovery codes.
func (s *Service) createCodes(ctx context.Context, act Act, user otp.UserName, count int, until time.Time) (Codes, error) {
	if count < 1 || count > maxCodes {
		return Codes{}, invalid("%d codes: a list has 1 to %d", count, maxCodes)
	}
	list := otp.Token{Type: otp.CodeList, Algorithm: oath.SHA256, Digits: codeDigits, Codes: uint16(count)}
	if !until.IsZero() {
		list.ValidUntil = until.Unix()
	}
	var err error
	if list.Serial, err = newSerial(s.Rand); err != nil {
		return Codes{}, err
	}
	if list.Seed, err = NewSeed(s.Rand, list.Algorithm); err != nil {
		return Codes{}, err
	}
	act.Object = string(list.Serial)
	act.Detail += fmt.Sprintf(" codes=%d", count)
	token := Token{Exists: true, Token: list, User: user, Created: act.At}
	if err := s.changeHolder(ctx, user, act, func(h *Holder) error { return h.replaceList(token) }); err != nil {
		return Codes{}, s.withDirectory(ctx, string(user), err)
	}
	codes := Codes{TokenView: s.viewToken(&token)}
	for factor := range uint64(count) {
		codes.List = append(codes.List, oath.HOTP(list.Algorithm, list.Seed, factor, codeDigits))
	}
	return codes, nil
}

// replaceList removes the lists of the same kind and adds another.
func (h *Holder) replaceList(list Token) error {
	if !h.User.Exists {
		return notFound("user", list.User)
	}
	for i := range h.Tokens {
		if t := &h.Tokens[i]; t.Type == otp.CodeList && (t.ValidUntil == 0) == (list.ValidUntil == 0) {
			t.Exists = false
		}
	}
	if err := h.takesList(); err != nil {
		return err
	}
	h.Tokens = append(h.Tokens, list)
	return nil
}
