package otp

import (
	"context"
	"time"

	"countersign/otp/oath"
)

// MaxTokens is how many tokens one user may have: Decision.Changed has a bit
// for each.
const MaxTokens = 32

// Account is a user with PIN and tokens, as the store hands it to Decide. It is
// the store's to reuse: nothing of it may be kept after Decide.
type Account struct {
	Exists   bool // false: there is no such user, and nothing else is set
	Disabled bool
	PIN      PIN
	Home     Home
	Last     LastLogin
	Tokens   []Token
}

// Token is one token of a user.
type Token struct {
	Serial    Serial
	Type      TokenType
	Algorithm oath.Algorithm
	Digits    uint8  // 6 to 10
	Period    uint32 // seconds a code lives, clock tokens only
	T0        int64  // Unix time of step 0, clock tokens only (RFC 6238 section 4.1)
	Codes     uint16 // how many codes there are, of a CodeList only
	// ValidFrom and ValidUntil bound the time in which codes are accepted, in Unix
	// seconds; the end is not part of it. 0 is no bound.
	ValidFrom, ValidUntil int64
	Disabled              bool
	// Learned: the user came by it because it showed the code that the TMS accepted. It is
	// active, for LocalThenTMS, when State.Agreed has come to Policy.Agreements.
	Learned bool
	Seed    oath.Seed
	State   State
}

// Valid reports whether an instant is within the token's time.
func (t *Token) Valid(at time.Time) bool {
	unix := at.Unix()
	return (t.ValidFrom == 0 || unix >= t.ValidFrom) && !t.over(unix)
}

// over reports whether the token's time has ended.
func (t *Token) over(unix int64) bool { return t.ValidUntil != 0 && unix >= t.ValidUntil }

// usable reports whether the token's codes may be accepted at all.
func (t *Token) usable(at time.Time) bool { return !t.Disabled && t.Valid(at) }

// holds reports whether the user has a token. A list of codes whose time is over
// is none.
func (a *Account) holds(at time.Time) bool {
	for i := range a.Tokens {
		if t := &a.Tokens[i]; t.Type != CodeList || !t.over(at.Unix()) {
			return true
		}
	}
	return false
}

// State is what changes about a token when it is used.
type State struct {
	// Counter is the lowest factor not burned: codes below it are used.
	Counter uint64
	// Drift is how many steps the token's clock was ahead (+) or behind (-)
	// at the last login. Clock tokens only.
	Drift int32
	// Failures counts wrong codes after a right PIN since the last success.
	Failures uint16
	// MustResync: only two consecutive codes are accepted, because counters
	// may have been turned back by a restored backup.
	MustResync bool
	// LockedUntil is the end of the lock in Unix seconds, 0 when not locked.
	LockedUntil int64
	// ResyncFactor is the factor of the first of two consecutive codes, if it
	// was shown and ResyncUntil (Unix seconds) has not passed.
	ResyncFactor uint64
	ResyncUntil  int64
	// Agreed counts the logins that the TMS accepted and the token showed the code
	// of, the PIN before it right; it stops at the highest number. Disagreed counts those
	// since the last of them that only one of the two would have accepted.
	Agreed, Disagreed uint16
}

// Challenge proves a passcode without showing it: CHAP or MS-CHAP.
type Challenge interface {
	// Matches reports in constant time whether the response was made from this
	// passcode. The bytes are the caller's and change afterwards.
	Matches(passcode []byte) bool
}

// EventID names the record of one attempt: the number of the commit it was
// made durable in and its place there. The zero EventID is none.
type EventID struct {
	Batch uint64
	Index uint32
}

// Waiter is told when an attempt is decided and durable.
type Waiter interface {
	// Decided is called exactly once. With an error nothing is known and
	// nothing may be answered. It must not block.
	Decided(a *Attempt, err error)
}

// Attempt is one passcode shown once. The caller fills in the first part, gives
// it to a Verifier and leaves it and the bytes it refers to alone until the
// Waiter is told.
type Attempt struct {
	At      time.Time
	User    []byte // normalized by AppendUserName
	NAS     string
	Station []byte // Calling-Station-Id as the NAS sent it, empty when it did not
	Method  Method
	// Passcode is what was typed, of a PAP request or a web form; Challenge is
	// the proof of it, of the other methods.
	Passcode  Passcode
	Challenge Challenge
	// Login, where one of several servers decides, stands for the login: it is the same
	// when the login comes again, to any of them. Zero: it is not known.
	Login LoginKey
	// Preset, when not Undecided, is a verdict the caller has reached by itself
	// and that only has to be recorded. One that accepts holds unless an administrator
	// has disabled the user.
	Preset Verdict
	// LetIn: the login was let in already, while nothing could be recorded. So Preset holds
	// whatever became of the user.
	LetIn bool
	// WithoutToken says what becomes of a user who holds no token at all, where
	// that is no reason to refuse: Excluded, or what came of asking the directory.
	// AskWithoutToken says that the caller has not asked yet: then such an
	// attempt comes back with Decision.Outstanding. A user whose tokens are
	// disabled holds tokens.
	WithoutToken    Verdict
	AskWithoutToken bool
	// OrPassword: the directory password will do as well as a right code. What is no
	// passcode comes back with Decision.Outstanding too. The Order must be LocalOnly.
	OrPassword bool
	// Stranger: no directory has a user of this name, so it may be another name of
	// one whom a directory has. WithoutToken does not hold then, unless the store
	// has the user.
	Stranger bool
	// Doubtful: the user repository does not answer, so that the user's name may
	// be another, or the user may need no code. Then only an accept counts;
	// everything else is left Undecided, though a wrong code is counted.
	Doubtful bool
	// Order says who verifies the code, and TMS what the TMS said. While TMS is
	// TMSNotAsked an attempt that is for the TMS comes back with Decision.AskTMS. That the
	// TMS could not ask the user more is a Preset.
	Order Order
	TMS   TMSAnswer
	// Answer: what was typed answers a question of the TMS, so it is for the TMS alone,
	// whatever the Order and the user's Home, and is not compared. A code of ours in it is
	// burned all the same when the TMS accepts it, and a used one does not pass.
	Answer bool
	// Shadow has the TMS asked about holders of active tokens too, and decide, where the
	// Order is LocalThenTMS.
	Shadow bool
	// WhenDown is the verdict where TMS is TMSUnavailable and no token of ours accepts:
	// TMSDown, or Undecided, to which no answer is given.
	WhenDown Verdict
	// Trace tells how it was decided whether a code is needed, and Rule the number
	// of the rule that says it is not, 0 when none does. Both are only recorded.
	Trace  []byte
	Rule   uint64
	Waiter Waiter

	// Decision is set by Decide, Event by the store.
	Decision Decision
	Event    EventID

	verifier *Verifier
	noted    [2]noted // what was counted when it was decided before
}

// Decision is the outcome of one attempt.
type Decision struct {
	Verdict Verdict
	// Serial is the token that the verdict is about, "" when it is about none.
	Serial Serial
	// Offset is how far the code was from where it was expected: time steps
	// from the server's clock, or counters that were skipped.
	Offset int64
	// Repeated: the same wrong passcode from the same source again within
	// Policy.RepeatTime, or the very same login, which did not count.
	Repeated bool
	// Same: Account.Last is this login, and it is accepted once more. Nothing was burned.
	Same bool
	// Renews: this is Account.Last from now on.
	Renews bool
	// LockedNow: this attempt locked the token.
	LockedNow bool
	// Outstanding: nothing was decided or recorded: the caller has to ask the
	// directory, because of Attempt.AskWithoutToken or Attempt.OrPassword, or the TMS,
	// when AskTMS says so.
	Outstanding bool
	AskTMS      bool
	// Own is what our own tokens say of a passcode that the TMS accepted or refused, as
	// the verdict they would have had; Undecided where the user holds none to compare with,
	// and of Answers.
	Own Verdict
	// Changed has bit i set when the State of Tokens[i] changed.
	Changed uint32
}

// TokenStore keeps accounts, and makes decisions durable.
type TokenStore interface {
	// Submit finds the account of a.User and calls a.Decide with it, alone with
	// that account. It makes the states that changed and the event of the
	// attempt durable, in one commit, sets a.Event, and then tells a.Waiter. Of a
	// Decision that is Outstanding nothing is recorded, and a.Event stays zero;
	// where a.NeedsAccount is false the account may be left empty. A
	// store that several nodes share may call Decide again with a fresh account
	// when another node was faster. Submit does not wait for any of this. When
	// its queue is full it returns false and forgets the attempt. A Waiter may submit an
	// attempt again while it is told that its Decision is Outstanding.
	Submit(a *Attempt) bool
}

// waiter turns the call-back into a channel.
type waiter chan error

func (w waiter) Decided(_ *Attempt, err error) { w <- err }

// Verify decides an attempt and waits for it. The error says why nothing could
// be decided. Where attempts come by the thousand, use Submit.
func (v *Verifier) Verify(ctx context.Context, a *Attempt) (Verdict, error) {
	done := make(waiter, 1)
	a.Waiter = done
	if !v.Submit(a) {
		return Undecided, ErrBusy
	}
	select {
	case err := <-done:
		if err != nil {
			return Undecided, err
		}
		return a.Decision.Verdict, nil
	case <-ctx.Done():
		return Undecided, ctx.Err()
	}
}
