package tms

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// InvitationID names an invitation. Random; an invitation that began in a dialog
// has the dialog's, so that a step done twice invites once. The zero one is none.
type InvitationID [8]byte

// String is the ID in hexadecimal.
func (id InvitationID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether this names no invitation.
func (id InvitationID) IsZero() bool { return id == InvitationID{} }

// hidden is a text that must not be shown. It is behind a pointer, because fmt
// prints what an unexported field holds: of this, an address.
type hidden struct {
	oath.Redacted
	text *string
}

// Reveal is the text. Never print it but to the one it is for.
func (h hidden) Reveal() string {
	if h.text == nil {
		return ""
	}
	return *h.text
}

// IsZero reports whether there is none.
func (h hidden) IsZero() bool { return h.text == nil || *h.text == "" }

// Hash is what the store finds an invitation by.
func (h hidden) Hash() Hash { return sha256.Sum256([]byte(h.Reveal())) }

// Hash is the SHA-256 of a Link or an ActivationKey.
type Hash [sha256.Size]byte

// Link is the secret part of an activation link: 43 characters of base64url, 256
// bits. It opens one invitation, once. It prints as [redacted].
type Link struct{ hidden }

// NewLink makes a Link of its text.
func NewLink(text string) Link { return Link{hidden{text: &text}} }

// ActivationKey is what a user types into the token client to become the holder of
// a token: 16 letters and digits, 93 bits. The seed file is encrypted under a key
// derived from it. It prints as [redacted].
type ActivationKey struct{ hidden }

// NewActivationKey makes an ActivationKey of its text.
func NewActivationKey(text string) ActivationKey { return ActivationKey{hidden{text: &text}} }

// Invitation is a user's way to a token, from "this user needs one" to the first
// code that was right. Until then there is no token but this; a user has one
// invitation at most.
type Invitation struct {
	Exists  bool // as in User
	ID      InvitationID
	User    otp.UserName
	Token   otp.Token     // the one to be; of MobilePASS the seed may be missing until the app has made it
	PIN     otp.PIN       // that was chosen; zero until then, and when the user has one already
	Key     ActivationKey // kept, sealed, until the end
	Links   []Hash        // that open it; none once one was used
	Mail    string        // where mails go, "" when none do
	Local   bool          // no directory has the user
	Mailed  bool          // a mail brought the link, or is about to
	By      string        // who invited: Act.Actor
	Created time.Time
	Expires time.Time
	Opened  time.Time // when a link was used, zero until then
	// Reminded: the reminder was queued, or there shall be none.
	Reminded bool
	// Failures counts right codes with a wrong PIN: who has the token guesses at it.
	Failures int
	// WantsPIN: the user has to choose an OTP PIN yet. The Service finds that out, no
	// store keeps it.
	WantsPIN bool
}

// MailKind is what a mail is about.
type MailKind string

// The kinds of mails.
const (
	InvitationMail MailKind = "invitation"
	ReminderMail   MailKind = "reminder"
	ActivatedMail  MailKind = "activated" // a token is in use from now on
	LostMail       MailKind = "lost"      // a token was reported lost
	RevokedMail    MailKind = "revoked"   // tokens went with the entitlement
)

// Mail is a message that waits to be sent. What it says is made of the invitation
// when it is sent.
type Mail struct {
	Exists     bool   // as in User: false after means sent, or given up
	ID         uint64 // given by the store, ascending
	Kind       MailKind
	User       otp.UserName
	Invitation InvitationID // it is about this one, and dropped when that is no more; zero: about none
	Serial     otp.Serial   // of the token it is about, when it is about none
	To         string
	Link       Link // sealed at rest
	Created    time.Time
	Due        time.Time // when to try (again)
	Tries      int
	LastError  string
}

// Holder is a user with everything that belongs to them.
type Holder struct {
	User       User       // Tokens is not used here
	Tokens     []Token    // of the user. A change may alter them, append new ones, and remove by Exists
	Invitation Invitation // the user's
	Mails      []Mail     // empty at first; a change appends what is to be sent
}

// EnrolmentStore keeps what enrolment needs beside a Store. A store of several
// nodes gives all of them the same.
type EnrolmentStore interface {
	// ChangeHolder is Store.ChangeUser for a user with tokens and invitation, all in
	// one transaction with the mails. A new token whose serial is there already
	// wraps ErrExists. An Act without a Verb is not recorded.
	ChangeHolder(ctx context.Context, name otp.UserName, act Act, change func(*Holder) error) error
	// FindInvitation finds the invitation that a Link or an ActivationKey opens. The
	// error wraps ErrNotFound. It may be over.
	FindInvitation(ctx context.Context, h Hash) (Invitation, error)
	// Invitations lists by user name, the one of the Filter's user if it names one.
	Invitations(ctx context.Context, f Filter, each func(*Invitation) error) error
	// Invited reports, without waiting, whether a user has an invitation. It may be
	// over.
	Invited(user []byte) bool
	// Mails lists those that wait, in the order of Due.
	Mails(ctx context.Context, f Filter, each func(*Mail) error) error
	// ChangeMail is Store.ChangeUser for a mail that is there: otherwise the error
	// wraps ErrNotFound. An Act without a Verb is not recorded.
	ChangeMail(ctx context.Context, id uint64, act Act, change func(*Mail) error) error
}
