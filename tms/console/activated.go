package console

import (
	"context"
	"errors"
	"net/http"

	"countersign/otp"
	"countersign/tms"
)

// activatedSession is what activatedCookie has.
type activatedSession struct {
	User   otp.UserName
	Serial otp.Serial
}

// finish goes on to the page that says how to log in.
func (a *Activation) finish(w http.ResponseWriter, r *http.Request, user otp.UserName, serial otp.Serial) {
	a.Pages.dropCookie(w, activationCookie)
	if err := a.Pages.setCookie(w, activatedCookie, activatedSession{user, serial}, a.Pages.Clock().Add(activatedTime)); err != nil {
		a.Pages.fail(w, r, "finishing an activation", err)
		return
	}
	a.Pages.redirect(w, r, "/activation/done")
}

// activatedToken is a token that was activated in this browser.
type activatedToken struct {
	activatedSession
	Codes bool // recovery codes have been made since
}

// activated is the token that this browser has activated, while it is still its
// user's and in use; nil otherwise. For a cookie outlives what became of the token.
func (p *Pages) activated(r *http.Request, service *tms.Service) (*activatedToken, error) {
	found := &activatedToken{}
	if !p.cookie(r, activatedCookie, &found.activatedSession) {
		return nil, nil
	}
	var token, list tms.TokenView
	err := service.Tokens(r.Context(), byUser(found.User), tms.Filter{User: found.User}, func(t tms.TokenView) error {
		switch {
		case t.Serial == found.Serial && !t.Disabled:
			token = t
		case kindOf(&t) == "recovery" && t.Created.After(list.Created):
			list = t
		}
		return nil
	})
	if err != nil || token.Serial == "" {
		return nil, err
	}
	// A store may keep whole seconds: a list of the same one was made afterwards.
	found.Codes = !list.Created.Before(token.Created)
	return found, nil
}

// activatedHere is Pages.activated, with whether its user has an OTP PIN. It has
// answered when there is none.
func (a *Activation) activatedHere(w http.ResponseWriter, r *http.Request) (found *activatedToken, hasPIN, ok bool) {
	found, err := a.Pages.activated(r, a.Service)
	if err == nil && found != nil {
		hasPIN, err = a.hasPIN(r.Context(), found.User)
	}
	switch {
	case err != nil:
		a.Pages.fail(w, r, "finding an activated token", err)
	case found == nil:
		a.gone(w, r)
	}
	return found, hasPIN, err == nil && found != nil
}

// hasPIN reports whether a user has an OTP PIN already.
func (a *Activation) hasPIN(ctx context.Context, user otp.UserName) (has bool, err error) {
	err = a.Service.Users(ctx, byLink, tms.Filter{User: user, Source: tms.Local}, func(u tms.UserView) error {
		has = u.PIN
		return nil
	})
	if errors.Is(err, tms.ErrNotFound) {
		err = nil
	}
	return has, err
}

// done says how to log in, and offers recovery codes.
func (a *Activation) done(w http.ResponseWriter, r *http.Request) {
	found, has, ok := a.activatedHere(w, r)
	if !ok {
		return
	}
	a.Pages.show(w, r, http.StatusOK, "activated", struct {
		Serial        otp.Serial
		NoPIN         bool
		RecoveryCodes bool
	}{found.Serial, !has, !found.Codes && a.Service.EnrolmentPolicy().RecoveryCodes > 0})
}

// recoveryCodes makes a list of codes and shows it, once: it is in this answer only.
// The browser forgets its cookie; one that was kept elsewhere makes no second list,
// and none for a token that is no more.
func (a *Activation) recoveryCodes(w http.ResponseWriter, r *http.Request) {
	a.lists.Lock()
	defer a.lists.Unlock()
	found, has, ok := a.activatedHere(w, r)
	switch {
	case !ok:
		return
	case found.Codes:
		a.gone(w, r)
		return
	}
	codes, err := a.Service.CreateRecoveryCodes(r.Context(), byUser(found.User), string(found.User))
	switch {
	case errors.Is(err, tms.ErrNotFound):
		a.gone(w, r)
		return
	case err != nil:
		a.Pages.fail(w, r, "making recovery codes", err)
		return
	}
	a.Pages.dropCookie(w, activatedCookie)
	a.Pages.show(w, r, http.StatusOK, "recovery-codes", a.Pages.codeSheet(found.User, &codes, !has))
}

// codeSheet is what the template "codes" shows: a list of codes to print.
type codeSheet struct {
	User   otp.UserName
	Serial otp.Serial
	Date   string
	List   []string
	NoPIN  bool // they are typed alone
}

func (p *Pages) codeSheet(user otp.UserName, codes *tms.Codes, noPIN bool) codeSheet {
	return codeSheet{user, codes.Serial, p.Clock().Format("2006-01-02"), codes.List, noPIN}
}
