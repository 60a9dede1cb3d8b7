package otp

import "fmt"

// Verdict is what was decided about an attempt. Its words are a closed set:
// metric label, log word and audit word at once. To the outside all refusals
// look alike. The numbers are stored: new ones come at the end.
type Verdict uint8

const (
	// Undecided is the zero Verdict: nothing was decided (yet).
	Undecided Verdict = iota
	// Accepted: PIN and code were right and the code was never used before.
	Accepted
	// UnknownUser: there is no such user.
	UnknownUser
	// UserDisabled: an administrator has disabled the user.
	UserDisabled
	// NoToken: the user has no token, or none that is enabled.
	NoToken
	// WrongPIN: what stood before the code was not the PIN.
	WrongPIN
	// WrongCode: the PIN was right, the code was not.
	WrongCode
	// WrongPasscode: CHAP or MS-CHAP, where PIN and code cannot be told apart.
	WrongPasscode
	// Replayed: the PIN was right and the code was used before.
	Replayed
	// NextCode: the code was right, but the token must show its next one too,
	// because it is out of step or has to resync.
	NextCode
	// Locked: the token is locked after too many wrong codes.
	Locked
	// Throttled: too many wrong PINs from this source; the passcode was not
	// looked at.
	Throttled
	// NoCredentials: the request had no password of a kind we know.
	NoCredentials
	// Unreadable: the passcode is not text; the NAS most likely has another
	// shared secret.
	Unreadable
	// BadUserName: the request had no User-Name, or one that is no text.
	BadUserName
	// Excluded: no code was needed, by a rule of exclusion or because the user
	// holds no token and the mode asks for none. The login is accepted.
	Excluded
	// NeedsPAP: no code was needed, but the method hides the password, so that it
	// can neither be verified in the directory nor answered without knowing it.
	NeedsPAP
	// WrongPassword: the directory refused the password.
	WrongPassword
	// PasswordExpired: the directory wants another password first.
	PasswordExpired
	// DirectoryDisabled: the account is disabled in the directory.
	DirectoryDisabled
	// DirectoryLocked: the account is locked in the directory.
	DirectoryLocked
	// DirectoryRefused: the directory refused the login for another reason, such
	// as its hours.
	DirectoryRefused
	// TokenCreated: the user held no token, the password was right, and now there
	// is a token, which has to be handed over first.
	TokenCreated
	// TokenExpired: the user's tokens are before or after the time in which they
	// are valid.
	TokenExpired
	// Enrolling: the user is on the way to a token, and was asked for the next
	// thing that takes.
	Enrolling
	// Invited: the user held no token, the password was right, and the way to a
	// token is open: by the mail that was sent.
	Invited
	// EnrolmentRefused: the way to a token ended here: it took too long, there was
	// nowhere to send the mail to, or too much was wrong.
	EnrolmentRefused
	// AcceptedByTMS: the TMS behind us has accepted the login.
	AcceptedByTMS
	// RefusedByTMS: the TMS behind us has refused it.
	RefusedByTMS
	// AskedByTMS: the TMS asked the user for more, by an Access-Challenge of its own.
	AskedByTMS
	// CannotAsk: it did, and the NAS cannot show that to the user.
	CannotAsk
	// TMSDown: the TMS did not answer.
	TMSDown
	// TooManySessions: the user, or a group of users together, has as many sessions as are
	// allowed. The passcode was not looked at.
	TooManySessions
	// AnsweredElsewhere: another server, or this one, has accepted this very login a moment
	// ago. No reply is given, because a refusal could overtake the accept.
	AnsweredElsewhere
	verdictCount
)

var verdicts = [verdictCount]string{
	"undecided", "accepted", "unknown_user", "user_disabled", "no_token", "wrong_pin", "wrong_code",
	"wrong_passcode", "replayed", "next_code", "locked", "throttled", "no_credentials", "unreadable", "bad_user_name",
	"excluded", "needs_pap", "wrong_password", "password_expired", "directory_disabled", "directory_locked",
	"directory_refused", "token_created",
	"token_expired", "enrolling", "invited", "enrolment_refused",
	"accepted_by_tms", "refused_by_tms", "asked_by_tms", "cannot_ask", "tms_down",
	"too_many_sessions", "answered_elsewhere",
}

// Accepts reports whether the login is let in.
func (v Verdict) Accepts() bool { return v == Accepted || v == Excluded || v == AcceptedByTMS }

// String is the verdict's word.
func (v Verdict) String() string {
	if v < verdictCount {
		return verdicts[v]
	}
	return fmt.Sprintf("verdict(%d)", uint8(v))
}

// ParseVerdict is the inverse of String.
func ParseVerdict(word string) (Verdict, error) {
	for v, w := range verdicts {
		if w == word {
			return Verdict(v), nil
		}
	}
	return Undecided, fmt.Errorf("verdict %.40q: not one of ours", word)
}

// Verdicts lists all of them but Undecided, for metrics that start at zero.
func Verdicts() []Verdict {
	all := make([]Verdict, 0, verdictCount-1)
	for v := Accepted; v < verdictCount; v++ {
		all = append(all, v)
	}
	return all
}
