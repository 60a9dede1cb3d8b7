package console

import (
	"encoding/base64"
	"errors"
	"net/http"

	"countersign/otp"
	"countersign/tms"
)

// checkPIN checks an OTP PIN that a user has chosen. Otherwise it returns the key of the
// text that says what is wrong with it.
func checkPIN(policy *otp.PINPolicy, text string, user otp.UserName) (pin otp.PIN, wrong string) {
	pin, err := policy.Choose(text, user)
	switch {
	case errors.Is(err, otp.ErrWeakPIN):
		return otp.PIN{}, "problem.pin-weak"
	case err != nil:
		return otp.PIN{}, "problem.pin"
	}
	return pin, ""
}

// choosePIN is checkPIN of the fields "pin" and "pin2" of a form.
func choosePIN(r *http.Request, policy *otp.PINPolicy, user otp.UserName) (pin otp.PIN, wrong string) {
	text := r.PostFormValue("pin")
	if text != r.PostFormValue("pin2") {
		return otp.PIN{}, "problem.pins"
	}
	return checkPIN(policy, text, user)
}

// readPIN is the PIN that was chosen with this form, or the time before, when only
// the code was wrong: nobody wants to type it twice again. Between the two the page
// keeps it, sealed.
func (a *Activation) readPIN(r *http.Request, i *tms.Invitation, page *activationPage) (pin otp.PIN, wrong string) {
	typed := r.PostFormValue("pin") + r.PostFormValue("pin2")
	if kept, ok := a.openPIN(r.PostFormValue("kept"), i); ok && typed == "" {
		page.KeptPIN = r.PostFormValue("kept")
		return kept, ""
	}
	policy := a.Service.EnrolmentPolicy().PIN
	pin, wrong = choosePIN(r, &policy, i.User)
	if wrong == "" {
		page.KeptPIN = a.sealPIN(pin, i)
	}
	return pin, wrong
}

// pinContext binds a sealed PIN to an invitation and its token: a dialog that begins
// again gives its next invitation the same ID.
func pinContext(i *tms.Invitation) []byte {
	return append(append([]byte("pin "), i.ID[:]...), i.Token.Serial...)
}

// sealPIN is "" when it cannot be sealed: then it is typed again.
func (a *Activation) sealPIN(pin otp.PIN, i *tms.Invitation) string {
	sealed, err := a.Pages.Box.Seal(nil, pin.Bytes(), pinContext(i))
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sealed)
}

func (a *Activation) openPIN(kept string, i *tms.Invitation) (otp.PIN, bool) {
	sealed, err := base64.RawURLEncoding.DecodeString(kept)
	if err != nil || len(kept) > maxField {
		return otp.PIN{}, false
	}
	pin, err := a.Pages.Box.Open(nil, sealed, pinContext(i))
	return otp.NewPIN(pin), err == nil
}
