package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// selfToken is a token as its user sees it.
type selfToken struct {
	Serial otp.Serial
	Kind   string // see kindOf
	State  string // see stateOf
	Until  string // the instant that State is about
	From   string // the bounds of the token's time, "" when there are none
	To     string
	Codes  int // left on a list of codes
}

// List reports whether this is a list of codes.
func (t selfToken) List() bool { return t.Kind == "recovery" || t.Kind == "temporary" }

// InUse reports whether a token may be brought back into step.
func (t selfToken) InUse() bool { return t.Losable() && t.State != "disabled" && t.State != "over" }

// Losable reports whether a token may be reported lost: it was not before.
func (t selfToken) Losable() bool { return t.State != "lost" }

// kindOf is what kind of thing a token is for its user: "app", "hotp", "mobilepass",
// "recovery" or "temporary".
func kindOf(t *tms.TokenView) string {
	switch {
	case t.Type == otp.CodeList.String() && t.ValidUntil != nil:
		return "temporary"
	case t.Type == otp.CodeList.String():
		return "recovery"
	case t.Type == otp.TOTP.String():
		return "app"
	}
	return t.Type
}

// stateOf is the one word about the state of a token that matters most, with the
// instant it is about: "lost", "disabled", "over", "early", "locked", "step", "empty" or
// "good".
func stateOf(t *tms.TokenView, now time.Time) (string, *time.Time) {
	switch {
	case t.Lost:
		return "lost", nil
	case t.Disabled:
		return "disabled", nil
	case t.ValidUntil != nil && !now.Before(*t.ValidUntil):
		return "over", t.ValidUntil
	case t.ValidFrom != nil && now.Before(*t.ValidFrom):
		return "early", t.ValidFrom
	case t.LockedUntil != nil:
		return "locked", t.LockedUntil
	case t.MustResync:
		return "step", nil
	case t.Type == otp.CodeList.String() && t.Codes == 0:
		return "empty", nil
	}
	return "good", nil
}

// usable reports whether a token is in use and within its time. It may be locked, or
// out of step.
func usable(t *tms.TokenView, now time.Time) bool {
	state, _ := stateOf(t, now)
	return !slices.Contains([]string{"lost", "disabled", "over", "early"}, state)
}

// unbroken keeps a date on one line.
var unbroken = strings.NewReplacer("-", "\u2011", " ", "\u00a0")

// moment is an instant as the pages show it.
func (s *SelfService) moment(at *time.Time) string {
	if at == nil {
		return ""
	}
	return unbroken.Replace(at.In(s.Pages.Clock().Location()).Format("2006-01-02 15:04 MST"))
}

// tokens are the user's, those that are no lists of codes first.
func (v *selfVisit) tokens() (tokens, lists []selfToken, err error) {
	err = v.Service.Tokens(v.r.Context(), v.caller(), tms.Filter{User: v.user.Name}, func(view tms.TokenView) error {
		state, at := stateOf(&view, v.Pages.Clock())
		t := selfToken{
			Serial: view.Serial, Kind: kindOf(&view), State: state, Codes: view.Codes,
			Until: v.moment(at), From: v.moment(view.ValidFrom), To: v.moment(view.ValidUntil),
		}
		switch {
		case !t.List():
			tokens = append(tokens, t)
		case t.State != "over":
			lists = append(lists, t)
		}
		return nil
	})
	return tokens, lists, err
}

// fewCodes is how many recovery codes are so few that a new sheet is due.
const fewCodes = 2

// selfOverview is what the page "self" shows.
type selfOverview struct {
	User    otp.UserName
	Setup   bool
	Done    done
	Tokens  []selfToken
	Lists   []selfToken
	Invited string // until when there is an invitation, "" when there is none

	PIN           bool // there is one, or there should be
	RecoveryCodes bool // there may be some
	Losable       bool // there is a token that may be reported lost

	// What is to be done next.
	ChoosePIN bool
	Resync    []selfToken
	NoCodes   bool
	FewCodes  bool
}

// Any reports whether something is to be done.
func (p *selfOverview) Any() bool {
	return p.ChoosePIN || p.NoCodes || p.FewCodes || p.Invited != "" || len(p.Resync) > 0
}

// overview shows the user's tokens.
func (v *selfVisit) overview() {
	policy := v.policy()
	p := &selfOverview{
		User: v.user.Name, Setup: v.session.Setup, Done: v.session.Done,
		PIN: v.user.PIN || !policy.NoPIN, RecoveryCodes: policy.RecoveryCodes > 0,
	}
	var err error
	if p.Tokens, p.Lists, err = v.tokens(); err == nil {
		p.Invited, err = v.invited()
	}
	if err != nil {
		v.Pages.fail(v.w, v.r, "listing tokens", err)
		return
	}
	p.Losable = slices.ContainsFunc(p.Tokens, selfToken.Losable)
	p.findNext(v.user.PIN)
	v.session.Done = done{}
	v.show(http.StatusOK, "self", p)
}

// findNext finds what is to be done next. What a session that an activation began may
// not do is left out.
func (p *selfOverview) findNext(hasPIN bool) {
	if !p.Setup {
		p.ChoosePIN = p.PIN && !hasPIN
		for _, t := range p.Tokens {
			if t.State == "step" {
				p.Resync = append(p.Resync, t)
			}
		}
	}
	if p.RecoveryCodes {
		left := codesLeft(p.Lists)
		p.NoCodes, p.FewCodes = left == 0, left > 0 && left <= fewCodes
	}
}

// codesLeft is how many recovery codes are left.
func codesLeft(lists []selfToken) int {
	at := slices.IndexFunc(lists, func(t selfToken) bool { return t.Kind == "recovery" && t.State == "good" })
	if at < 0 {
		return 0
	}
	return lists[at].Codes
}

// invited is until when the user has an invitation, "" when there is none.
func (v *selfVisit) invited() (string, error) {
	i, err := v.Service.InvitationOf(v.r.Context(), v.caller(), v.user.Name, tms.InvitationID{})
	switch {
	case errors.Is(err, tms.ErrNotFound):
		return "", nil
	case err != nil:
		return "", err
	}
	return v.moment(&i.Expires), nil
}
