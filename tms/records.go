package tms

import (
	"context"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// User is a user as an administrator sees it.
type User struct {
	Exists   bool // in a change: false before means new, false after means removed
	Name     otp.UserName
	PIN      otp.PIN
	Disabled bool
	Created  time.Time
	Tokens   []otp.Serial // the tokens assigned to the user; not changed through User
	// Unentitled is since when the directory says that the user may have no enrolled
	// tokens, zero while it does not. Only ChangeHolder knows it.
	Unentitled time.Time
	// Home says who verifies the user's codes, the TMS or we.
	Home otp.Home
}

// Token is a token as an administrator sees it: the token and whose it is.
type Token struct {
	Exists bool // as in User
	otp.Token
	User     otp.UserName // "" while nobody has it
	Created  time.Time
	Enrolled bool // it came of an invitation
	Local    bool // of an invitation to a user in no directory; other enrolled tokens go with what the directory says
	// Lost: reported lost, or revoked. It is disabled, and stays its user's only so that
	// the user still holds a token, and no gateway lets them in without a code. It
	// goes when the user's next token is activated.
	Lost bool
	// Revoked: it is Lost because its user was not entitled to it any more. It goes, too,
	// when the user is entitled again.
	Revoked bool
}

// Act is the audit record of one administrative act.
type Act struct {
	At     time.Time
	Actor  string // who: "root@cli", "alice@web"
	Verb   string // what: "token.unlock"
	Object string // to whom: a user name or a serial
	Detail string // more, for a person to read; never a secret
}

// Event is one record of the journal as it is listed. Kind says which part is
// set.
type Event struct {
	ID   otp.EventID
	At   time.Time
	Kind EventKind
	Login
	Act
	Accounting
}

// EventKind is what an Event records.
type EventKind uint8

// The kinds of events.
const (
	LoginEvent EventKind = iota + 1
	ActEvent
	AccountingEvent
)

// Login is the part of an Event about a login.
type Login struct {
	User     string
	NAS      string
	Station  string
	Method   otp.Method
	Decision otp.Decision
	Rule     uint64 // Rule.ID of the rule by which no code was needed, 0 for none
	Trace    []byte // exclusions.ParseTrace reads it; empty when there was nothing to tell
}

// Rule is a rule of exclusion as an administrator sees it.
type Rule struct {
	Exists bool // as in User
	exclusions.Rule
	ID    uint64    // never used for another rule, nor for this one when it is changed
	File  bool      // it comes from the configuration, not from an act
	Added time.Time // or changed
	By    string    // who did
	Use   RuleUse
}

// RuleUse is how a rule was used.
type RuleUse struct {
	Count uint64    // logins it decided
	Last  time.Time // when it last did
}

// Accounting is the part of an Event about an Accounting-Request.
type Accounting struct {
	AccountingNAS string
	Source        string // the address it came from
	Attributes    []byte // as received (RFC 2866 section 3)
}

// Filter chooses what a listing shows; zero values choose all.
type Filter struct {
	User   otp.UserName
	Serial otp.Serial
	Limit  int
	// Source is Local for the users of the store, without asking a directory, or
	// the name of a directory for the users it has. It is for Service.Users; the
	// Store does not see it.
	Source string
	// Learnable chooses tokens that are in stock and those that were learned; Differing
	// the logins about which the TMS and our own tokens did not agree.
	Learnable, Differing bool

	// Of events: of this NAS, with this verdict, not before From, and before To. Before
	// lists only events older than this one, to go on with a listing.
	NAS      string
	Verdict  otp.Verdict
	From, To time.Time
	Before   otp.EventID
}

// Store keeps users and tokens. Each change is one transaction that also writes
// the audit record, and acts on the states as the last login left them.
type Store interface {
	// ChangeUser calls change with the user of that name, or with a new one
	// that does not exist yet, and writes what change made of it. An error of
	// change is returned as it is and nothing is written. A removed user's
	// tokens stay, unassigned.
	ChangeUser(ctx context.Context, name otp.UserName, act Act, change func(*User) error) error
	// ChangeToken is ChangeUser for a token. When change assigns it to a user who
	// does not exist the error wraps ErrNotFound, and ErrTooMany when the user has
	// otp.MaxTokens already; nothing is written then.
	ChangeToken(ctx context.Context, serial otp.Serial, act Act, change func(*Token) error) error
	// Import adds users with a token each, all in few transactions of many rows;
	// rows ends the import when it returns false. It stops at the first row
	// whose user or serial is there already and says which; the rows before the
	// transaction of that one stay.
	Import(ctx context.Context, act Act, rows func() (User, Token, bool, error)) (int, error)
	// Record writes the audit record of an act that changes neither users nor
	// tokens.
	Record(ctx context.Context, act Act) error
	// Users and Tokens list by name and by serial.
	Users(ctx context.Context, f Filter, each func(*User) error) error
	Tokens(ctx context.Context, f Filter, each func(*Token) error) error
	// ChangeRule is ChangeUser for a rule that an administrator adds or removes at
	// run time. A changed rule gets a new ID. A name that a rule of the
	// configuration has wraps ErrExists.
	ChangeRule(ctx context.Context, name string, act Act, change func(*Rule) error) error
	// SetFileRules makes these the rules of the configuration, in this order. Of
	// those that are unchanged everything stays. When nothing has changed, nothing
	// is written. A rule of run time with the name of one of them wraps ErrExists.
	SetFileRules(ctx context.Context, act Act, rules []exclusions.Rule) error
	// Rules lists the rules of a revision, those of the configuration first, in
	// its order, then the others by ID; revision 0 is the present one. It returns
	// which revision it listed. Each change of the rules is a revision, and none
	// is forgotten; before the first change it is 0.
	Rules(ctx context.Context, revision uint64, each func(*Rule) error) (uint64, error)
	// Event finds a record of the journal. The error wraps ErrNotFound.
	Event(ctx context.Context, id otp.EventID) (Event, error)
	// Events lists the journal, the newest first.
	Events(ctx context.Context, f Filter, each func(*Event) error) error
	// EventsAfter lists up to so many events that came after one, the oldest first; those
	// after the zero EventID are all. LastEvent is the newest, zero when there is none.
	EventsAfter(ctx context.Context, after otp.EventID, most int, each func(*Event) error) error
	LastEvent(ctx context.Context) (otp.EventID, error)

	TokenImporter
}
