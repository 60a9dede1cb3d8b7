package console

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"

	"countersign/otp"
	"countersign/tms"
)

// stands reports whether all that the session was begun by still holds: the token is
// the user's, in use and within its time, and the OTP PIN is the same. A cookie
// outlives what becomes of them, and somebody may have a copy of it.
func (v *selfVisit) stands() (bool, error) {
	mark, err := v.pinMark(v.r.Context(), v.user.Name)
	if err != nil || !hmac.Equal(mark, v.session.PIN) {
		return false, err
	}
	good, now := false, v.Pages.Clock()
	err = v.Service.Tokens(v.r.Context(), v.caller(), tms.Filter{User: v.user.Name}, func(t tms.TokenView) error {
		if t.Serial == v.session.Serial {
			good = usable(&t, now)
		}
		return nil
	})
	return good, err
}

// pinMark is the markOf the user's OTP PIN as it is now, nil when there is no such
// user.
func (s *SelfService) pinMark(ctx context.Context, name otp.UserName) (mark []byte, err error) {
	err = s.Service.Store.Users(ctx, tms.Filter{User: name}, func(u *tms.User) error {
		mark = markOf(name, u.PIN)
		return nil
	})
	return mark, err
}

// markOf is what a session keeps of the OTP PIN, to see that it was changed. It could
// be tried out: only a sealed cookie may have it.
func markOf(name otp.UserName, pin otp.PIN) []byte {
	h := sha256.New()
	h.Write([]byte("OTP PIN of " + string(name) + "\x00"))
	h.Write(pin.Bytes())
	return h.Sum(nil)
}
