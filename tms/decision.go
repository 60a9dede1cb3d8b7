package tms

import (
	"fmt"

	"countersign/exclusions"
	"countersign/otp"
)

// outcomes are the verdicts in words that a user may read.
var outcomes = map[otp.Verdict]string{
	otp.Undecided:         "not answered: the directory did not answer, and only an accept could have been right",
	otp.Accepted:          "accepted: OTP PIN and eToken were right",
	otp.UnknownUser:       "refused: there was no such user",
	otp.UserDisabled:      "refused: the user was disabled",
	otp.NoToken:           "refused: the user had no token, or none that was enabled",
	otp.WrongPIN:          "refused: the OTP PIN was wrong, or missing before the eToken",
	otp.WrongCode:         "refused: the OTP PIN was right, the eToken was not",
	otp.WrongPasscode:     "refused: OTP PIN or eToken was wrong",
	otp.Replayed:          "refused: this eToken had been used before",
	otp.NextCode:          "refused: the eToken was right, but the token is out of step and has to show its next one too",
	otp.Locked:            "refused: the token was locked after too many wrong eTokens",
	otp.Throttled:         "refused: too many wrong OTP PINs from there, and the wait was not over",
	otp.NoCredentials:     "refused: the request had no password of a kind we know",
	otp.Unreadable:        "refused: the password could not be read; the NAS most likely has another shared secret",
	otp.BadUserName:       "refused: the user name could not be read",
	otp.Excluded:          "accepted without an eToken",
	otp.NeedsPAP:          "refused: the gateway hid the password, so that the directory could not verify it; it has to use PAP",
	otp.WrongPassword:     "refused: the directory did not take the password",
	otp.PasswordExpired:   "refused: the directory password has to be changed first",
	otp.DirectoryDisabled: "refused: the account is disabled in the directory",
	otp.DirectoryLocked:   "refused: the account is locked in the directory",
	otp.DirectoryRefused:  "refused: the directory does not allow this login",
	otp.TokenCreated:      "refused: a token was created just now and has to be handed over first",
	otp.TokenExpired:      "refused: the time in which the user's tokens are valid was over, or had not begun",
	otp.Enrolling:         "asked for more: the user was on the way to a token",
	otp.Invited:           "refused: the user had no token yet; the mail that was sent tells how to get one",
	otp.EnrolmentRefused:  "refused: the way to a token ended there, and the log says why: no mail address was known, the user was in none of the groups of [enrol], there were too many mails or wrong answers, it took too long, or the user could not be invited (a disabled one, say)",
	otp.AcceptedByTMS:     "accepted by the TMS",
	otp.RefusedByTMS:      "refused by the TMS",
	otp.AskedByTMS:        "asked for more by the TMS",
	otp.CannotAsk:         "refused: the TMS asked the user for more, and the gateway cannot show that; if it can, its [[nas]] has to say challenge = true",
	otp.TMSDown:           "the TMS did not answer: refused, or not answered, as when_down says",
	otp.TooManySessions:   "refused: the user, or a group of users together, had as many sessions as are allowed",
	otp.AnsweredElsewhere: "not answered: this very login was let in just before, and that answer counts",
}

// prediction is the decision about a login that did not happen.
func (k *Case) prediction(x *Explanation, doubt bool) string {
	switch {
	case k.DirectoryDisabled:
		return fmt.Sprintf("refused: the account of %s is disabled in the directory", x.User)
	case x.Disabled:
		return fmt.Sprintf("refused: the user %s is disabled here", x.User)
	case k.ReplyDoubt:
		return "not answered: the directory does not answer, and an Access-Accept could lack reply attributes that depend on groups"
	case x.Rule != nil:
		return k.pass() + ": " + x.Rule.told()
	case doubt || k.Source == exclusions.Unavailable:
		return doubtful
	case x.atTMS:
		return k.needed(x, fmt.Sprintf("%s belongs to the TMS", x.User))
	case k.Mode == exclusions.Mandatory:
		return k.needed(x, "mode mandatory wants one of every user") + lacking(x)
	case x.Tokens > 0:
		return k.needed(x, fmt.Sprintf("%s holds %s", x.User, x.holds()))
	}
	if k.Stranger && (!x.Known || k.Mode == exclusions.CreateToken || k.Pass == exclusions.PassDirectoryPassword) {
		return k.needed(x, fmt.Sprintf("no directory has %s, which may be another name of somebody who holds a token", x.User)) + lacking(x)
	}
	return k.withoutToken(x, "holds", "is")
}

// settled are verdicts that depend on nothing else.
var settled = map[otp.Verdict]string{
	otp.TooManySessions:   "none: with so many sessions nobody asks whether an eToken is needed",
	otp.DirectoryDisabled: "refused: the account was disabled in the directory",
	otp.NoCredentials:     "none: the request had nothing to decide about",
	otp.Unreadable:        "none: the request had nothing to decide about",
	otp.BadUserName:       "none: the request had nothing to decide about",
}

// recollection is the decision about a login that did happen: the record has
// what came of it, and the user may hold other tokens by now.
func (k *Case) recollection(x *Explanation, e *Event) string {
	switch verdict := e.Decision.Verdict; {
	case verdict == otp.UserDisabled:
		return "refused: the user was disabled here"
	case x.Rule != nil:
		return k.pass() + ": " + x.Rule.told()
	case settled[verdict] != "":
		return settled[verdict]
	case k.Source == exclusions.Unavailable && !verdict.Accepts():
		return doubtful
	case enrolment(verdict):
		return fmt.Sprintf("no login, but the way to a token: %s held none", x.User)
	case k.Mode == exclusions.Mandatory:
		return k.needed(x, "mode mandatory wants one of every user")
	}
	return k.recalledHolder(x, e)
}

// recalledHolder is recollection where it depends on who holds a token, or belongs to the
// TMS.
func (k *Case) recalledHolder(x *Explanation, e *Event) string {
	switch verdict := e.Decision.Verdict; {
	case k.belonged(x, e):
		return k.needed(x, fmt.Sprintf("%s belonged to the TMS", x.User))
	case withoutToken(verdict):
		return k.recalledWithoutToken(x, e)
	case verdict == otp.UnknownUser:
		return k.needed(x, fmt.Sprintf("there was no user %s", x.User))
	case k.TMS != nil && !ofTokens(&e.Decision):
		return k.needed(x, fmt.Sprintf("%s held a token, or belonged to the TMS", x.User))
	}
	return k.needed(x, fmt.Sprintf("%s held a token", x.User))
}

// recalledWithoutToken is withoutToken of a login that did happen. With a method that hides
// the password it may have been for the TMS.
func (k *Case) recalledWithoutToken(x *Explanation, e *Event) string {
	if tms, _ := k.hidden(x, e); tms {
		return fmt.Sprintf("a password or an eToken was needed, and neither can be verified: %s held no token, or belonged to the TMS, and the mode was %v", x.User, k.Mode)
	}
	return k.withoutToken(x, "held", "was")
}

// undecidable reports whether a verdict says that the request was none that could
// be decided about.
func undecidable(v otp.Verdict) bool {
	return v == otp.NoCredentials || v == otp.Unreadable || v == otp.BadUserName
}

// enrolment reports whether a verdict is about a user who is led to a token.
func enrolment(v otp.Verdict) bool {
	return v == otp.Enrolling || v == otp.Invited || v == otp.EnrolmentRefused
}

// withoutToken reports whether a verdict is only given about a user who holds no
// token, when no rule is met.
func withoutToken(v otp.Verdict) bool {
	switch v {
	case otp.Excluded, otp.NeedsPAP, otp.WrongPassword, otp.PasswordExpired, otp.DirectoryLocked, otp.DirectoryRefused, otp.TokenCreated:
		return true
	}
	return false
}

// doubtful is said of a directory that does not answer.
const doubtful = "at most a right eToken is answered, nothing else: the directory does not answer, so who the user is and whether a rule is met is unknown"

// pass is what the login gets when it needs no code.
func (k *Case) pass() string {
	switch k.Pass {
	case exclusions.PassAccept:
		return "no eToken needed"
	case exclusions.PassDirectoryPassword:
		return "the directory password will do instead of an eToken"
	}
	return "refused, because what an excluded login gets is not said for this NAS"
}

// needed says that a code is needed and why.
func (k *Case) needed(x *Explanation, why string) string {
	rules := "no rule is met"
	switch {
	case len(x.Rules) == 0:
		rules = "there are no rules"
	case !k.canPass() && k.Stranger && k.Pass == exclusions.PassDirectoryPassword:
		rules = "no rule counts for whom no directory has, where its password is wanted"
	case k.Pass == exclusions.NoPass:
		rules = "no rule counts where it is not said what an excluded login gets"
	}
	return "eToken needed: " + rules + ", and " + why
}

// withoutToken is the decision about a user who holds no token, or held none,
// where the mode makes a difference of it.
func (k *Case) withoutToken(x *Explanation, holds, is string) string {
	if k.Mode == exclusions.CreateToken {
		return fmt.Sprintf("no login, but a token for the right directory password: %s %s none, and the mode %s %v", x.User, holds, is, k.Mode)
	}
	return fmt.Sprintf("%s: %s %s no token, and the mode %s %v", k.pass(), x.User, holds, is, k.Mode)
}

// lacking says that the user cannot have the code that is needed.
func lacking(x *Explanation) string {
	switch {
	case !x.Known:
		return fmt.Sprintf("; but there is no user %s here", x.User)
	case x.Tokens == x.TokensDisabled+x.TokensExpired:
		return fmt.Sprintf("; but %s holds %s", x.User, x.holds())
	}
	return ""
}

// holds says how many tokens the user holds.
func (x *Explanation) holds() string {
	switch {
	case x.Tokens == 0:
		return "no token"
	case x.Tokens == 1 && x.TokensDisabled == 1:
		return "a token that is disabled"
	case x.Tokens == 1 && x.TokensExpired == 1:
		return "a token that is not valid now"
	case x.Tokens == 1:
		return "a token"
	}
	return fmt.Sprintf("%d tokens", x.Tokens) + x.some(x.TokensDisabled, "disabled") + x.some(x.TokensExpired, "not valid now")
}

// some says that so many of the tokens are something.
func (x *Explanation) some(n int, what string) string {
	switch n {
	case 0:
		return ""
	case x.Tokens:
		return ", all " + what
	}
	return fmt.Sprintf(", %d of them %s", n, what)
}

// told is the rule with what met it.
func (r *RuleStanding) told() string {
	where := "run time"
	if r.Source == FromFile {
		where = "configuration"
	}
	return fmt.Sprintf("rule %q (%s): %s", r.Name, where, r.Text)
}
