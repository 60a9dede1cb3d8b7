package radiusd

import (
	"context"
	"fmt"
	"io"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// UserRepository tells who a user is, and verifies passwords.
type UserRepository interface {
	// Peek finds the user of a name, normalized by otp.AppendUserName, without
	// waiting for anybody. ok is false when a directory has to be asked first.
	Peek(name []byte, at time.Time) (identity *exclusions.Identity, source exclusions.Source, ok bool)
	// Find is Peek that asks. There is always an identity: of a user whom no
	// directory has, and when the directory does not answer (source Unavailable),
	// it is what the name itself tells.
	Find(ctx context.Context, name []byte) (identity *exclusions.Identity, source exclusions.Source)
	// VerifyPassword has the directory verify a user's password, by one bind at
	// most. The verdict is otp.Accepted or says why not; an error means that the
	// directory did not answer.
	VerifyPassword(ctx context.Context, identity *exclusions.Identity, password []byte) (otp.Verdict, error)
}

// Enroller leads users to a token. What it does may come again, also
// at another server, and must then have the same effect. An error means that it could
// not be done: the NAS gets no reply, and asks again. All methods are safe for
// concurrent use.
type Enroller interface {
	// Invited reports, without waiting, whether a user (a normalized name) has an
	// open invitation.
	Invited(user []byte) bool
	// Activate looks whether a passcode is OTP PIN and first code of the token that
	// the user is invited to. When it is (otp.Shown), the token is the user's, durably,
	// and the code is not burned: the login is decided by the verifier like any other.
	// otp.OutOfStep and otp.WrongFirstPIN refuse the login; otp.NotShown says that it
	// may be anything else: a passcode of another token, or a directory password.
	// Wrong ones are the Enroller's to count. Each login of who is invited comes here
	// once at most.
	Activate(ctx context.Context, user otp.UserName, nas string, passcode otp.Passcode) (otp.FirstCode, error)
	// Begin takes up a user whose directory password has just been verified. Dialog
	// and Typed are empty.
	Begin(ctx context.Context, e Enrolment) (Prompt, error)
	// Answer goes on with what the user typed at the last Prompt.
	Answer(ctx context.Context, e Enrolment) (Prompt, error)
}

// Enrolment is a user on the way to a token. It prints as [redacted].
type Enrolment struct {
	redacted
	Identity  *exclusions.Identity // the user, whom a directory has
	NAS       string               // the name of the NAS
	Challenge bool                 // the NAS can ask the user
	Dialog    []byte               // of the last Prompt
	// Typed is what the user typed at the last Prompt, 128 bytes at most: a PIN, an
	// address, a passcode. It is wiped when the Enroller has returned.
	Typed []byte
}

// Prompt is how a login of a user ends who is on the way to a token. It prints as
// [redacted].
type Prompt struct {
	redacted
	// Verdict is otp.Enrolling, when Message asks the user for something;
	// otp.Invited or otp.EnrolmentRefused, when the login is refused with Message;
	// otp.TokenCreated, when there is a token now that somebody has to hand over: then
	// it is refused with Options.NoTokenMessage;
	// otp.Undecided, when what was typed is a passcode, for the verifier to decide.
	// Where Challenge is false it is not otp.Enrolling.
	Verdict otp.Verdict
	// Message is what the user reads: UTF-8, at most 759 bytes, for which three
	// Reply-Messages are needed; some NASes show the first only, of 253.
	Message string
	Echo    bool   // what is typed next may be seen
	Dialog  []byte // at most 64 bytes: what Answer gets back. Nobody can read them meanwhile
}

// redacted has what it is embedded in print as [redacted].
type redacted struct{}

// Format prints [redacted] under every verb.
func (redacted) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// MarshalText is [redacted], also in JSON.
func (redacted) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Rules are the rules in force. They do not change, and are replaced as a whole.
// A list may be nil: it has no rules.
type Rules struct {
	// Revision numbers the state of the exclusions, and is recorded with each login.
	Revision uint64
	// Exclusions are the rules by which no code is needed; Names and IDs have the
	// name and the number of each.
	Exclusions *exclusions.List
	Names      []string
	IDs        []uint64
	// Replies are the conditions under which an Access-Accept carries attributes;
	// Attributes has them, encoded, for each condition.
	Replies    *exclusions.List
	Attributes [][]byte
	// OfTMS is met by the users whom the Backend has: by all when nil. Of a user who
	// meets it the first of Orders that the login meets says, at its place in Order, who
	// verifies the code; without one NASConfig.Order does. Shadow is otp.Attempt.Shadow.
	OfTMS  *exclusions.List
	Orders *exclusions.List
	Order  []otp.Order
	Shadow bool
	// MaxSessions is how many sessions a user may have at the same time, 0 for any number.
	// The first of Limits that a login meets has, at its place in Limit, another.
	MaxSessions int
	Limits      *exclusions.List
	Limit       []SessionLimit
}

// SessionLimit bounds the sessions of the users who meet it. 0 is no bound.
type SessionLimit struct {
	Name    string // what sessions that count for it are known by (Classes)
	PerUser int    // of each user
	Total   int    // of all of them together
}
