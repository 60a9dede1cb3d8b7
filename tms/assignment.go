package tms

import (
	"fmt"

	"countersign/exclusions"
	"countersign/otp"
)

// Assignment is who verifies the code of a login where there is a TMS, and what that
// follows from.
type Assignment struct {
	OTPService bool // the TMS is SafeNet's OTP service; otherwise it is RADIUS servers

	// The rest is of a login that did not happen. Order is who verifies the code, From what
	// in the configuration says so, as `[[order]] "pilot"`; Doubt: that depends on groups
	// which are unknown. Shadow is otp.Attempt.Shadow.
	Order  otp.Order
	From   string
	Doubt  bool
	Shadow bool
	// Outside says why the login is not for the TMS, whatever From says, in a sentence;
	// "" when it may be.
	Outside string
}

// setVerifier says who verifies the code of a login that did not happen, or that nobody
// does.
func (x *Explanation) setVerifier(k *Case) {
	a := k.TMS
	switch {
	case a == nil:
	case x.Disabled || k.DirectoryDisabled:
		x.VerifiedBy = "nobody: the login is refused"
	case k.ReplyDoubt:
		x.VerifiedBy = "nobody: the login is not answered"
	case x.Rule != nil && k.Pass == exclusions.PassAccept:
		x.VerifiedBy = "nobody: no eToken is needed"
	case x.Rule != nil:
		x.VerifiedBy = "the directory, or the tokens here: who needs no eToken is not for the TMS"
	case a.Doubt:
		x.VerifiedBy = x.inDoubt()
	default:
		if why := x.here(a); why != "" {
			x.VerifiedBy = x.tokensHere(k) + why
			return
		}
		x.atTMS = true
		x.VerifiedBy = x.there(a) + x.besides()
	}
}

// inDoubt is said where the directory does not tell who verifies the code.
func (x *Explanation) inDoubt() string {
	const until = "as long as the directory does not say whether %s belongs to the TMS"
	if x.home == otp.HomeTMS {
		return fmt.Sprintf("nobody, "+until+": our own tokens are not asked about who was rolled back", x.User)
	}
	return fmt.Sprintf("the tokens here, "+until+", and only an accept counts", x.User)
}

// tokensHere begins the sentence why the TMS has no part in a login.
func (x *Explanation) tokensHere(k *Case) string {
	if k.Mode != exclusions.Mandatory && x.Tokens == 0 {
		return "not the TMS: " // most likely no code is needed
	}
	return "the tokens here: "
}

// here says why our own tokens verify the code, "" when the TMS does.
func (x *Explanation) here(a *Assignment) string {
	switch {
	case a.Outside != "":
		return a.Outside
	case a.Order == otp.LocalOnly:
		return fmt.Sprintf("the order is local (%s)", a.From)
	case x.home == otp.HomeLocal:
		return fmt.Sprintf("%s was cut over, or enrolled here", x.User)
	case x.home == otp.HomeUnsaid && a.Order == otp.LocalThenTMS && !a.Shadow && x.active:
		return fmt.Sprintf("the order is local-then-tms (%s), and %s holds an active one", a.From, x.User)
	}
	return ""
}

// there says why the TMS verifies the code.
func (x *Explanation) there(a *Assignment) string {
	switch {
	case x.home == otp.HomeTMS:
		return fmt.Sprintf("the TMS: %s was rolled back", x.User)
	case a.Order == otp.TMSOnly:
		return fmt.Sprintf("the TMS: the order is tms (%s)", a.From)
	case a.Order == otp.TMSThenLocal:
		return fmt.Sprintf("the TMS first: the order is tms-then-local (%s), so that the tokens here count where it refuses or does not answer", a.From)
	case a.Shadow && x.active:
		return fmt.Sprintf("the TMS, and the tokens here are compared with it: shadow = true, and the order is local-then-tms (%s)", a.From)
	}
	return fmt.Sprintf("the TMS: the order is local-then-tms (%s), and %s holds no active token here", a.From, x.User)
}

// besides is what tokens here have to say before the TMS is asked.
func (x *Explanation) besides() (text string) {
	if x.lists {
		text += "; but what is on a list of codes here is verified here"
	}
	if x.TokensDisabled+x.TokensExpired > 0 {
		text += "; but what a token here shows that may not be used now is refused"
	}
	return text
}

// What became of a login at the TMS, where there are words for it besides the verdict's.
const (
	acceptedOnce = "the TMS accepted this very passcode a short time ago (accepted_once), or it is being decided"
	otpMethods   = "the OTP service of the TMS verifies PAP and MS-CHAPv2 only; set one of them in the gateway"
)

// tmsVerdicts are those that only a login has which was for the TMS, with what it did.
var tmsVerdicts = map[otp.Verdict]string{
	otp.AcceptedByTMS: "the TMS",
	otp.RefusedByTMS:  "the TMS",
	otp.AskedByTMS:    "the TMS, which asked for more",
	otp.CannotAsk:     "the TMS, which asked for more",
	otp.TMSDown:       "the TMS, which did not answer",
}

// setVerified says who has verified the code of a login that did happen, as far as its
// record tells; and its outcome, where there are better words for that.
func (x *Explanation) setVerified(k *Case, e *Event) {
	d := &e.Decision
	tms, directory := k.hidden(x, e)
	switch {
	case onceAccepted(d):
		x.VerifiedBy, x.Outcome = "not asked again: "+acceptedOnce, "refused: "+acceptedOnce
	case tms && directory:
		x.Outcome = "refused: the gateway hid the password, which neither the directory nor the OTP service of the TMS can verify then; set PAP in the gateway"
	case tms:
		x.VerifiedBy, x.Outcome = "not asked: "+otpMethods, "refused: "+otpMethods
	case k.TMS != nil && x.Rule == nil && ofTokens(d):
		x.VerifiedBy = tokensSaid(d)
	}
	if asked := askedTMS(d); asked != "" {
		x.VerifiedBy = asked
	}
}

// tokensSaid tells of a login that the tokens here have decided. The code of one that may not
// be used names it.
func tokensSaid(d *otp.Decision) string {
	if (d.Verdict == otp.NoToken || d.Verdict == otp.TokenExpired) && d.Serial != "" {
		return fmt.Sprintf("the tokens here: the code is that of %s, which may not be used, and so not for the TMS to decide", d.Serial)
	}
	return "the tokens here"
}

// askedTMS tells of a login that was for the TMS, and what our own tokens said of it; ""
// where the record does not say that it was.
func askedTMS(d *otp.Decision) string {
	by := tmsVerdicts[d.Verdict]
	switch {
	case d.Verdict == otp.RefusedByTMS && d.Repeated:
		return "not asked again: the same passcode within repeat_time"
	case d.Own == otp.Undecided:
		return by
	case by == "":
		by = "the TMS"
	}
	return by + "; the tokens here said " + d.Own.String()
}

// onceAccepted reports whether a login was refused because the TMS had accepted another
// with its passcode. What our own tokens have seen used names one of them.
func onceAccepted(d *otp.Decision) bool { return d.Verdict == otp.Replayed && d.Serial == "" }

// hidden reports, of a login refused because its method hides the password, whether it can have
// been for the TMS to verify, and whether for the directory. Of MS-CHAPv2 the OTP
// service makes something.
func (k *Case) hidden(x *Explanation, e *Event) (tms, directory bool) {
	if e.Decision.Verdict != otp.NeedsPAP {
		return false, false
	}
	tms = k.TMS != nil && k.TMS.OTPService && x.Rule == nil && e.Method != otp.MSCHAPv2
	switch {
	case x.Rule != nil:
		directory = true
	case k.Mode == exclusions.TokenHolders && k.Pass == exclusions.PassAccept:
		directory = e.Method == otp.MSCHAPv2
	case k.Mode != exclusions.Mandatory:
		directory = k.Source != exclusions.NotAsked
	}
	return tms, directory || !tms
}

// belonged reports whether a login that did happen was certainly for the TMS.
func (k *Case) belonged(x *Explanation, e *Event) bool {
	tms, directory := k.hidden(x, e)
	return askedTMS(&e.Decision) != "" || onceAccepted(&e.Decision) || tms && !directory
}

// ofTokens reports whether a verdict is only given about a user who holds a token, by
// what the tokens say.
func ofTokens(d *otp.Decision) bool {
	switch d.Verdict {
	case otp.Accepted, otp.NoToken, otp.WrongPIN, otp.WrongCode, otp.WrongPasscode, otp.NextCode, otp.Locked, otp.TokenExpired:
		return true
	}
	return d.Verdict == otp.Replayed && d.Serial != ""
}
