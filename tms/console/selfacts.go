package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/otp"
	"countersign/tms"
)

// selfForm is what the pages of the acts show.
type selfForm struct {
	Tokens []selfToken // to choose from
	Serial string      // the chosen one
	Mail   string      // where a mail goes, masked, "" when none does
	Until  string      // when an invitation ends that there is
	MinPIN int
	NoPIN  bool   // the present passcode is a code alone
	Own    bool   // the chosen token is the one that was signed in with
	Left   int    // recovery codes
	List   string // the serial of the present list of them
	wrong  string
}

// Problem is what was wrong with what was typed.
func (f *selfForm) Problem() string { return f.wrong }

// PINWrong and CodesWrong say which fields it was.
func (f *selfForm) PINWrong() bool   { return strings.HasPrefix(f.wrong, "problem.pin") }
func (f *selfForm) CodesWrong() bool { return f.wrong == "problem.self-resync" }

// PasscodeWrong says that the passcode of a user who is signed in was wrong.
func (f *selfForm) PasscodeWrong() bool { return f.wrong == "problem.self-passcode" }

// KeptPIN is for the fields of a PIN: there is none.
func (f *selfForm) KeptPIN() string { return "" }

// Selected reports whether a token is the chosen one, or the only one.
func (f *selfForm) Selected(t selfToken) bool {
	return string(t.Serial) == f.Serial || len(f.Tokens) == 1
}

// selfProblems are the texts for what an act cannot do. The first that fits counts.
var selfProblems = []struct {
	is   error
	text string
}{
	{otp.ErrWeakPIN, "problem.pin-weak"}, {tms.ErrSamePIN, "problem.pin-same"}, {otp.ErrPIN, "problem.pin"}, {otp.ErrResync, "problem.self-resync"},
	{tms.ErrNotFound, "problem.self-token"}, {tms.ErrTooMany, "problem.tokens"}, {tms.ErrInvalid, "problem.self-not-possible"},
}

// ask shows the page of an act, once more when something is wrong. An error says that
// the page cannot be made, or the act not be done now.
func (v *selfVisit) ask(name, act string, f *selfForm, err error) {
	status := http.StatusOK
	for _, p := range selfProblems {
		if err != nil && errors.Is(err, p.is) {
			f.wrong, err = p.text, nil
		}
	}
	switch {
	case err != nil:
		v.Pages.fail(v.w, v.r, act, err)
		return
	case f.wrong == "problem.self-many":
		status = http.StatusTooManyRequests
	case f.wrong != "":
		status = http.StatusUnprocessableEntity
	}
	v.show(status, name, f)
}

// allowed reports whether the user may do one thing more at present, and notes in the
// form when not.
func (v *selfVisit) allowed(f *selfForm) bool {
	if !v.acts.take(v.user.Name) {
		f.wrong = "problem.self-many"
	}
	return f.wrong == ""
}

// barred reports whether this is for users who have signed in by what they know, and
// has answered then.
func (v *selfVisit) barred() bool {
	if v.session.Setup {
		v.show(http.StatusForbidden, "self-barred", nil)
	}
	return v.session.Setup
}

// choice is the form of a page that asks for one of the tokens that meet a condition.
// The one that is chosen, or in the link, may be anything.
func (v *selfVisit) choice(meets func(selfToken) bool) (*selfForm, error) {
	tokens, _, err := v.tokens()
	tokens = slices.DeleteFunc(tokens, func(t selfToken) bool { return !meets(t) })
	serial := v.r.FormValue("serial")
	if len(serial) > maxField {
		serial = ""
	}
	return &selfForm{Tokens: tokens, Serial: serial}, err
}

// chosen is the place of the token that was chosen, -1 when it is none of the choice.
func (f *selfForm) chosen() int {
	return slices.IndexFunc(f.Tokens, func(t selfToken) bool { return string(t.Serial) == f.Serial })
}

func (v *selfVisit) resyncForm() {
	if v.barred() {
		return
	}
	f, err := v.choice(selfToken.InUse)
	v.ask("self-resync", "listing tokens", f, err)
}

// resync takes two codes, one after the other.
func (v *selfVisit) resync() {
	if v.barred() {
		return
	}
	f, err := v.choice(selfToken.InUse)
	if err != nil || !v.allowed(f) {
		v.ask("self-resync", "listing tokens", f, err)
		return
	}
	code := func(name string) string { return strings.ReplaceAll(field(v.r, name), " ", "") }
	view, err := v.Service.ResyncToken(v.r.Context(), v.caller(), tms.TokenResync{Serial: f.Serial, First: code("first"), Second: code("second")})
	if err != nil {
		v.ask("self-resync", "bringing a token into step", f, err)
		return
	}
	v.finish(done{What: "resync", Serial: view.Serial})
}

func (v *selfVisit) pinForm() {
	if !v.barred() {
		v.ask("self-pin", "", &selfForm{MinPIN: v.policy().PIN.MinLength, NoPIN: !v.user.PIN}, nil)
	}
}

// changePIN takes another OTP PIN, typed twice, from who has the present one and a
// token. All other sessions of the user end by it.
func (v *selfVisit) changePIN() {
	if v.barred() {
		return
	}
	policy := v.policy()
	f := &selfForm{MinPIN: policy.PIN.MinLength, NoPIN: !v.user.PIN}
	pin, wrong := choosePIN(v.r, &policy.PIN, v.user.Name)
	f.wrong = wrong
	if wrong != "" || !v.allowed(f) {
		v.ask("self-pin", "", f, nil)
		return
	}
	right, err := v.verifyAgain()
	if err != nil || !right {
		f.wrong = "problem.self-passcode"
		v.ask("self-pin", "verifying a passcode", f, err)
		return
	}
	if err := v.Service.ChoosePIN(v.r.Context(), v.caller(), string(v.user.Name), pin); err != nil {
		v.ask("self-pin", "changing an OTP PIN", f, err)
		return
	}
	v.session.PIN = markOf(v.user.Name, pin)
	v.finish(done{What: "pin"})
}

func (v *selfVisit) lostForm() {
	if v.barred() {
		return
	}
	f, err := v.choice(selfToken.Losable)
	v.ask("self-lost", "listing tokens", f, err)
}

// confirmLost says what will become of a token that was lost, before it does.
func (v *selfVisit) confirmLost() {
	if v.barred() {
		return
	}
	f, err := v.choice(selfToken.Losable)
	at := f.chosen()
	if err != nil || at < 0 {
		f.wrong = "problem.self-token"
		v.ask("self-lost", "listing tokens", f, err)
		return
	}
	f.Tokens = f.Tokens[at : at+1]
	f.Own = f.Tokens[0].Serial == v.session.Serial
	if v.identity != nil {
		f.Mail = maskMail(v.identity.Mail)
	}
	v.ask("self-lost-confirm", "", f, nil)
}

// lose takes a token out of use. With the one that was signed in with the session ends.
func (v *selfVisit) lose() {
	if v.barred() {
		return
	}
	f, err := v.choice(selfToken.Losable)
	if err == nil && v.allowed(f) && f.chosen() < 0 {
		f.wrong = "problem.self-token"
	}
	if err != nil || f.wrong != "" {
		v.ask("self-lost", "listing tokens", f, err)
		return
	}
	issued, err := v.Service.LoseToken(v.r.Context(), v.caller(), f.Serial)
	if err != nil {
		v.ask("self-lost", "reporting a token lost", f, err)
		return
	}
	d := done{What: "lost"}
	if issued.Mailed {
		d.What, d.Mail = "lost-mail", maskMail(issued.Mail)
	}
	if f.Tokens[f.chosen()].Serial == v.session.Serial {
		v.leave(d)
		return
	}
	v.finish(d)
}

// leave ends the session, and tells what was done.
func (v *selfVisit) leave(d done) {
	if d.What == "lost" {
		d.What = "lost-own"
	}
	v.Pages.dropCookie(v.w, selfCookie)
	page := v.signInPage(string(v.user.Name))
	page.Done = d
	v.Pages.show(v.w, v.r, http.StatusOK, "signin", page)
}

// maskMail is a mail address that its owner recognizes, and nobody else learns.
func maskMail(address string) string {
	at := strings.LastIndexByte(address, '@')
	if at < 1 {
		return ""
	}
	first, _ := utf8.DecodeRuneInString(address[:at])
	last, _ := utf8.DecodeLastRuneInString(address[:at])
	if utf8.RuneCountInString(address[:at]) < 3 {
		return string(first) + "***" + address[at:]
	}
	return string(first) + "***" + string(last) + address[at:]
}

func (v *selfVisit) enrolForm() {
	f := &selfForm{}
	var err error
	f.Until, err = v.invited()
	v.ask("self-enrol", "finding an invitation", f, err)
}

// enrol invites the user to another token, and opens the invitation in this browser.
func (v *selfVisit) enrol() {
	f := &selfForm{}
	if !v.allowed(f) {
		v.ask("self-enrol", "", f, nil)
		return
	}
	issued, err := v.Service.Invite(v.r.Context(), v.caller(), tms.NewInvitation{User: string(v.user.Name), NoMail: true})
	if err != nil {
		v.ask("self-enrol", "inviting a user to another token", f, err)
		return
	}
	invitation, err := v.Service.OpenInvitation(v.r.Context(), byLink, issued.Link)
	if err != nil {
		v.ask("self-enrol", "opening an invitation", f, err)
		return
	}
	if err := v.Pages.setActivation(v.w, &invitation, issued.Link); err != nil {
		v.Pages.fail(v.w, v.r, "opening an invitation", err)
		return
	}
	v.keep(v.w, v.r, v.session, func() { v.Pages.redirect(v.w, v.r, "/activation") })
}

// codes is the form about recovery codes.
func (v *selfVisit) codes() (*selfForm, error) {
	_, lists, err := v.tokens()
	f := &selfForm{Left: codesLeft(lists)}
	for _, t := range lists {
		if t.Kind == "recovery" {
			f.List = string(t.Serial)
		}
	}
	if v.policy().RecoveryCodes == 0 {
		f.wrong = "problem.self-not-possible"
	}
	return f, err
}

func (v *selfVisit) codesForm() {
	f, err := v.codes()
	v.ask("self-recovery-codes", "listing tokens", f, err)
}

// makeCodes makes a list of recovery codes and shows it, once: it is in this answer
// only. The form names the list it replaces, so that nobody gets another one, which
// makes the first worthless, by loading the answer again.
func (v *selfVisit) makeCodes() {
	f, err := v.codes()
	switch {
	case err != nil:
	case field(v.r, "list") != f.List:
		v.Pages.redirect(v.w, v.r, "/self/recovery-codes")
		return
	case v.allowed(f):
		codes, failed := v.Service.CreateRecoveryCodes(v.r.Context(), v.caller(), string(v.user.Name))
		if failed == nil {
			if v.session.Serial == otp.Serial(f.List) { // which is replaced, here
				v.session.Serial = codes.Serial
			}
			v.show(http.StatusOK, "self-codes", v.Pages.codeSheet(v.user.Name, &codes, !v.user.PIN))
			return
		}
		err = failed
	}
	v.ask("self-recovery-codes", "making recovery codes", f, err)
}
