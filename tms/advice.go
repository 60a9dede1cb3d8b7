package tms

import (
	"fmt"
	"strings"

	"countersign/otp"
)

// nothing is advice, too.
const nothing = "nothing is to be done"

// loginAdviser says what to do about a login that did happen.
type loginAdviser struct {
	x      *Explanation
	e      *Event
	policy *otp.Policy
	said   []string
}

// advices has what to do for each verdict.
var advices = map[otp.Verdict]func(*loginAdviser){
	otp.Undecided:         (*loginAdviser).askDirectory,
	otp.Accepted:          (*loginAdviser).accepted,
	otp.UnknownUser:       (*loginAdviser).addUser,
	otp.UserDisabled:      (*loginAdviser).enableUser,
	otp.NoToken:           (*loginAdviser).giveToken,
	otp.WrongPIN:          (*loginAdviser).resetPIN,
	otp.WrongCode:         (*loginAdviser).wrongCode,
	otp.WrongPasscode:     (*loginAdviser).wrongPasscode,
	otp.Replayed:          (*loginAdviser).replayed,
	otp.NextCode:          (*loginAdviser).nextCode,
	otp.Locked:            (*loginAdviser).locked,
	otp.Throttled:         (*loginAdviser).throttled,
	otp.NoCredentials:     (*loginAdviser).setMethod,
	otp.Unreadable:        (*loginAdviser).setSecret,
	otp.BadUserName:       (*loginAdviser).setUserName,
	otp.Excluded:          (*loginAdviser).nothing,
	otp.NeedsPAP:          (*loginAdviser).setPAP,
	otp.WrongPassword:     (*loginAdviser).wrongPassword,
	otp.PasswordExpired:   (*loginAdviser).inDirectory,
	otp.DirectoryDisabled: (*loginAdviser).inDirectory,
	otp.DirectoryLocked:   (*loginAdviser).inDirectory,
	otp.DirectoryRefused:  (*loginAdviser).inDirectory,
	otp.TokenCreated:      (*loginAdviser).handOver,
	otp.TokenExpired:      (*loginAdviser).giveToken,
	otp.Enrolling:         (*loginAdviser).enrolling,
	otp.Invited:           (*loginAdviser).invited,
	otp.EnrolmentRefused:  (*loginAdviser).invite,
	otp.AcceptedByTMS:     (*loginAdviser).acceptedByTMS,
	otp.RefusedByTMS:      (*loginAdviser).refusedByTMS,
	otp.AskedByTMS:        (*loginAdviser).askedByTMS,
	otp.CannotAsk:         (*loginAdviser).setChallenge,
	otp.TMSDown:           (*loginAdviser).tmsDown,
	otp.TooManySessions:   (*loginAdviser).endSession,
	otp.AnsweredElsewhere: (*loginAdviser).answeredElsewhere,
}

// hindsight is the advice about a login that did happen.
func (x *Explanation) hindsight(e *Event, p *otp.Policy) []string {
	a := loginAdviser{x: x, e: e, policy: p}
	advise := advices[e.Decision.Verdict]
	if advise == nil {
		advise = (*loginAdviser).unheard
	}
	advise(&a)
	return a.said
}

// foresight is the advice about a login that did not happen.
func (x *Explanation) foresight() []string {
	a := loginAdviser{x: x}
	switch {
	case x.Rule != nil:
	case x.Disabled:
		a.enableUser()
	case x.atTMS:
	case x.Known && x.Tokens > 0:
		if !a.mend() {
			a.giveAnother()
		}
	case strings.HasPrefix(x.Decision, "eToken needed"):
		a.admit()
	}
	if len(a.said) == 0 {
		a.nothing()
	}
	return a.said
}

// admit says how a user without a token comes to log in.
func (a *loginAdviser) admit() {
	if !a.x.Known {
		a.addUser()
		return
	}
	a.giveToken()
}

func (a *loginAdviser) say(format string, args ...any) {
	a.said = append(a.said, fmt.Sprintf(format, args...))
}

func (a *loginAdviser) nothing() { a.say(nothing) }

func (a *loginAdviser) unheard() {
	a.say("look at the log of the server: this version of countersign does not know the verdict %s", a.x.Verdict)
}

// user is the user's name as the command line takes it, nas that of the NAS as the
// configuration has it.
func (a *loginAdviser) user() string { return shellWord(a.x.User) }
func (a *loginAdviser) nas() string  { return fmt.Sprintf("[[nas]] %q", a.x.NAS) }

// shellWord is a word of a command line that a shell takes for just that.
func shellWord(word string) string {
	plain := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._@%+=:,/-", r)
	}
	if word != "" && !strings.HasPrefix(word, "-") && strings.TrimFunc(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// accepted tells of a clock that is about to be too far off.
func (a *loginAdviser) accepted() {
	t := a.x.tried(a.x.Serial)
	if t != nil && t.period > 0 && 2*max(a.x.Offset, -a.x.Offset) > int64(a.policy.MaxDrift) {
		a.say("%s still is followed, but its clock is far off: `countersign token resync %s CODE NEXT-CODE` before it is too far, or another token", t.Serial, shellWord(string(t.Serial)))
		a.lookAtClock()
		return
	}
	a.nothing()
}

// lookAtClock: where many tokens are off, they are not.
func (a *loginAdviser) lookAtClock() {
	a.say("if the tokens of others are off as far, too, set the clock of this server right (`timedatectl`)")
}

func (a *loginAdviser) askDirectory() {
	a.say("`countersign check` tells whether the directories answer; the gateway may ask again, and a right eToken is accepted all the same")
}

func (a *loginAdviser) addUser() {
	a.say("if the name is not misspelt, `countersign user add %s`, and give a token: `countersign token invite %s`", a.user(), a.user())
	if a.x.Source == "unavailable" {
		a.say("`countersign check` tells whether the directories answer")
	}
}

func (a *loginAdviser) enableUser() {
	a.say("if the user may log in: `countersign user set %s --enable`", a.user())
}

// mend says what keeps each token from being used, and reports whether one can be used, or
// could as soon as that is done.
func (a *loginAdviser) mend() (usable bool) {
	for i := range a.x.Tried {
		t := &a.x.Tried[i]
		serial := shellWord(string(t.Serial))
		switch t.Standing {
		case standsReady:
			usable = true
		case standsLocked:
			usable = true
			a.say("`countersign token unlock %s` ends its lock; it ends by itself at %s, and with two right eTokens one after the other", serial, date(*t.LockedUntil))
		case standsOut:
			usable = true
			a.say("%s has to show two eTokens in a row: the user logs in twice with one after the other, or `countersign token resync %s CODE NEXT-CODE`", t.Serial, serial)
		case standsDisabled:
			a.say("if %s may be used: `countersign token enable %s`", t.Serial, serial)
		case standsLost:
			a.say("%s was reported lost, or revoked: it stays out of use", t.Serial)
		case standsEarly, standsOver:
			a.say("%s is not valid now (%s): give another", t.Serial, t.Text)
		case standsUsedUp:
			a.say("of %s no code is left: `countersign token recovery-codes %s` prints new ones", t.Serial, a.user())
		}
	}
	return usable
}

// giveToken says how the user comes to a token that may be used.
func (a *loginAdviser) giveToken() {
	if a.mend() {
		a.say("the user has a token that may be used by now: log in again")
		return
	}
	a.giveAnother()
}

func (a *loginAdviser) giveAnother() {
	a.say("give the user a token: `countersign token invite %s`, or `countersign token add --user %s`; for today `countersign token temporary-codes %s`", a.user(), a.user(), a.user())
}

func (a *loginAdviser) resetPIN() {
	if a.x.Known && !a.x.PIN {
		a.say("the user has no OTP PIN: only the eToken is to be typed, nothing before it")
		return
	}
	if a.x.Serial != "" {
		a.say("the eToken was that of %s, so the user has it, and what was typed before it was not the OTP PIN, or nothing was", a.x.Serial)
	} else {
		a.say("have the user type the OTP PIN and then the eToken, without a blank")
	}
	a.say("if it is forgotten: `countersign user set %s --pin-stdin`", a.user())
}

func (a *loginAdviser) wrongCode() {
	if a.e.Decision.LockedNow {
		a.say("this eToken was the last that may be wrong, and locked the token")
	}
	a.mend()
	a.say("have the user look whether it is the token in their hand, and type the eToken at once: it changes by itself")
	for i := range a.x.Tried {
		t := &a.x.Tried[i]
		if t.Standing == standsReady && t.Type != otp.CodeList.String() {
			a.say("ask the user for two eTokens in a row, and find the place of %s with them: `countersign token resync %s CODE NEXT-CODE`", t.Serial, shellWord(string(t.Serial)))
		}
	}
}

func (a *loginAdviser) wrongPasscode() {
	a.say("have the user type the OTP PIN and then the eToken, without a blank")
	a.say("%s hides whether OTP PIN or eToken was wrong, and how far off: with PAP in the gateway that is told", a.x.Method)
	a.mend()
}

// soon is how many seconds later a person rather than a program logs in again.
const soon = 300

func (a *loginAdviser) replayed() {
	a.say("have the user wait for the next eToken: each is good once")
	for i := range a.x.Related {
		r := &a.x.Related[i]
		if between := a.e.At.Sub(r.At).Seconds(); between >= 0 && between < soon {
			a.say("if the user typed it once, the gateway or the VPN client sent it again by itself: turn off reconnecting with a stored password, or raise its timeout")
			return
		}
	}
	if t := a.x.tried(a.x.Serial); t != nil && t.period > 0 {
		a.say("if the clock of this server or of %s was set back: `countersign token resync --rewind %s CODE NEXT-CODE`", t.Serial, shellWord(string(t.Serial)))
	}
}

func (a *loginAdviser) answeredElsewhere() {
	a.say("nothing is to be done when the user got in: the gateway asked several servers, and the answer of the first counts")
	a.say("if that answer was lost, the next eToken lets the user in; for a gateway that loses them often, on_same_login = \"repeat\" in [cluster] has the others repeat it")
}

func (a *loginAdviser) nextCode() {
	a.say("have the user log in again with the very next eToken, within %s: that brings the token back into step", about(a.policy.ResyncTime))
	a.say("or ask for two eTokens in a row: `countersign token resync %s CODE NEXT-CODE`", shellWord(a.x.Serial))
	if t := a.x.tried(a.x.Serial); t != nil && t.period > 0 {
		a.lookAtClock()
	}
}

func (a *loginAdviser) locked() {
	if t := a.x.tried(a.x.Serial); t != nil && t.Standing != standsLocked {
		a.say("%s is not locked any more: log in again", t.Serial)
	}
	a.mend()
	a.say("if the user knows nothing of wrong eTokens, somebody knows their OTP PIN: `countersign event list --serial %s`, and `countersign user set %s --pin-stdin`", shellWord(a.x.Serial), a.user())
}

func (a *loginAdviser) throttled() {
	a.say("nothing has to be unlocked: have the user wait, up to %s, and then type the right OTP PIN; only this user waits, and only from there", about(a.policy.ThrottleMax))
	a.say("if it is forgotten: `countersign user set %s --pin-stdin`; if it was not the user: `countersign event list --user %s --nas %s`", a.user(), a.user(), shellWord(a.x.NAS))
}

func (a *loginAdviser) setMethod() {
	a.say("set PAP (or MS-CHAPv2) as the method of the gateway behind %s: it sent no password we can read; EAP is not for this server", a.nas())
}

func (a *loginAdviser) setSecret() {
	a.say("set the same shared secret in the gateway and in %s", a.nas())
	a.say("if other users get in from there, the password was no text in UTF-8: have the gateway send it so, or the user type ASCII")
}

func (a *loginAdviser) setUserName() {
	a.say("have the gateway behind %s send the user name as text in UTF-8, of at most 253 bytes, without control characters", a.nas())
}

func (a *loginAdviser) setPAP() {
	a.say("set PAP in the gateway behind %s", a.nas())
}

func (a *loginAdviser) wrongPassword() {
	a.say("without an eToken the directory password is wanted: have the user type that; reset it in the directory%s if it is forgotten", a.directory())
	a.say("the directory is shown %d wrong passwords of a user within %s, so that nobody is locked out there from here", a.policy.MaxWrongPasswords, about(a.policy.WrongPasswordTime))
}

// directory is the name of the directory, if it is known.
func (a *loginAdviser) directory() string {
	if a.x.Directory == "" {
		return ""
	}
	return fmt.Sprintf(" %q", a.x.Directory)
}

// inDirectory is for what only the directory can change.
func (a *loginAdviser) inDirectory() {
	what := map[otp.Verdict]string{
		otp.PasswordExpired:   "have the user change the password",
		otp.DirectoryDisabled: "if the user may log in, enable the account",
		otp.DirectoryLocked:   "unlock the account, or wait until it is",
		otp.DirectoryRefused:  "look at hours, workstations and expiry of the account",
	}[a.e.Decision.Verdict]
	a.say("%s in the directory%s", what, a.directory())
}

func (a *loginAdviser) handOver() {
	for i := range a.x.Tried {
		a.say("hand the new token over: `countersign token hand-over %s` shows its QR code", shellWord(string(a.x.Tried[i].Serial)))
	}
	if len(a.x.Tried) == 0 {
		a.giveToken()
	}
}

func (a *loginAdviser) enrolling() {
	a.say("nothing is to be done: the user answers at the gateway; `countersign invitation list %s` tells how far they are", a.user())
}

func (a *loginAdviser) invited() {
	a.say("have the user open the mail and follow its link")
	a.say("if there is none: `countersign mail list %s` shows whether it still waits; `countersign token invite %s` sends another", a.user(), a.user())
}

func (a *loginAdviser) invite() {
	a.say("look for %q in the log of the server, which says why", a.x.User)
	a.say("then invite the user by hand: `countersign token invite %s --mail ADDRESS`", a.user())
}

func (a *loginAdviser) acceptedByTMS() {
	if own := a.e.Decision.Own; own != otp.Undecided && !own.Accepts() {
		a.say("nothing is to be done for the user; before a cutover find out why the tokens here said %s: `countersign migrate differences --user %s`", own, a.user())
		return
	}
	a.nothing()
}

func (a *loginAdviser) refusedByTMS() {
	if a.e.Decision.Own.Accepts() {
		a.say("the tokens here would have accepted it: if they are right, `countersign migrate cutover --user %s`", a.user())
	}
	a.say("look at the user and the token in the TMS: it alone knows why")
}

func (a *loginAdviser) askedByTMS() {
	a.say("nothing is to be done: the user answers what the TMS asks, and that is a login of its own")
}

func (a *loginAdviser) setChallenge() {
	a.say("if the gateway can show a question (Access-Challenge), say challenge = true in %s", a.nas())
	a.say("else have the user type what the TMS wants at once, or `countersign migrate cutover --user %s`", a.user())
}

func (a *loginAdviser) tmsDown() {
	a.say("`countersign tms` tells how it stands with the TMS, `countersign check` why it does not answer")
	a.say("until then a list of codes of ours is accepted: `countersign token temporary-codes %s`", a.user())
}

// endSession says which of the sessions can be ended.
func (a *loginAdviser) endSession() {
	for i := range a.x.Sessions {
		s := &a.x.Sessions[i]
		a.say("if it is over: `countersign session disconnect %[1]s` (at %[2]s); if that gateway is gone: `countersign session close %[1]s`", s.ID, s.NAS)
	}
	switch {
	case a.x.together:
		a.say("all who share the limit count: `countersign session list --json` tells the session_limit of each session")
	case len(a.x.Sessions) == 0:
		a.say("the user has no open session by now: log in again")
	}
	a.say("max_sessions of [login], or of a [[session_limit]], says how many there may be; sessions the gateway has forgotten go by stale_after of [accounting]")
}
