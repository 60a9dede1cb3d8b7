package migration

import "fmt"

// Outcome is what came of learning from one login.
type Outcome uint8

const (
	// Off: nothing is to be learned.
	Off Outcome = iota
	// NotReady: the index is not, and there was nothing to look at. Not this time.
	NotReady
	// Repeated: the passcode is that of the user's last login, a moment ago. It tells
	// nothing new.
	Repeated
	// NotShown: no token that could be learned shows the code.
	NotShown
	// Known: a token that the user holds shows it, and the PIN is the one we have.
	Known
	// LearnedToken: the user has a token now that was in stock.
	LearnedToken
	// LearnedPIN: the user has another OTP PIN now, the one that the TMS has.
	LearnedPIN
	// Ambiguous: several tokens show the code. The next login tells more.
	Ambiguous
	// SecondToken: the one token that shows the code is another than the user has learned,
	// and that has not proven itself. Whichever is shown again it is.
	SecondToken
	// OtherPIN: the token is clear, but the user has another OTP PIN here.
	OtherPIN
	// Conflict: what shows the code was learned by another user, and has not proven
	// itself: one of the two shows it by chance. If this user shows it at the next login
	// too, it is this user's.
	Conflict
	// Held: what shows the code is another user's, and active, or disabled or not in its
	// time.
	Held
	// Unfit: the token is clear, but it is disabled, or before or after its time, or the
	// PIN is none that can be kept, or the user cannot have a token.
	Unfit
	// Static: the passcode is that of an earlier login, and so is no one-time code. What
	// the user had learned, and was not active, was taken back into stock.
	Static
	// Failed: the store did not do it. The log says why.
	Failed
	outcomeCount
)

var outcomes = [outcomeCount]string{
	"off", "not_ready", "repeated", "not_shown", "known", "learned", "learned_pin", "ambiguous", "second_token", "other_pin",
	"conflict", "held", "unfit", "static", "failed",
}

// String is the outcome's word.
func (o Outcome) String() string {
	if o < outcomeCount {
		return outcomes[o]
	}
	return fmt.Sprintf("outcome(%d)", uint8(o))
}

// MarshalText is String.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }
