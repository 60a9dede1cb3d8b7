package enrol

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

// Options are what an Enrolment works with.
type Options struct {
	Service    *tms.Service
	Store      tms.EnrolmentStore
	Users      UserRepository // nobody loses the entitlement when nil
	Sender     Sender         // no mail is sent when nil
	Settings   func() Settings
	Policy     func() otp.Policy
	Clock      func() time.Time
	Rand       io.Reader // safe for concurrent use
	Logger     *slog.Logger
	Registerer prometheus.Registerer // no metrics are told when nil
}

// UserRepository tells who a user is.
type UserRepository interface {
	// Find finds the user of a normalized name. There is always an identity; no
	// directory has the user when its Directory is empty.
	Find(ctx context.Context, name []byte) (*exclusions.Identity, exclusions.Source)
}

// Style is what the mail of an invitation has.
type Style uint8

const (
	// LinkStyle: a link that opens the activation page once.
	LinkStyle Style = iota
	// SeedFileStyle: the seed, encrypted under the Activation Key, which the user is
	// told another way.
	SeedFileStyle
)

// Settings are what an administrator may change at run time.
type Settings struct {
	Language   string        // "en" or "de": of what is shown over RADIUS
	Style      Style         // of the mails
	KeyInMail  bool          // the Activation Key is in the mail beside the seed file
	URL        string        // of the pages: "https://otp.example.com:8443"; "" when there are none
	ClientURL  string        // where the token client is
	Domains    []string      // of addresses that users may enter, "*" for any; they are asked for none when empty
	DialogTime time.Duration // how long a dialog may take
	Remind     time.Duration // how long before its end to remind of an invitation; 0 for never
	Groups     []string      // whose members may have a token, folded as in Identity; every user of a directory when empty
	Grace      time.Duration // how long after the entitlement its tokens go
	CheckEvery time.Duration // how often the directory is asked for it; 0 for never
	Issuer     string        // what token apps call this service
	MaxMails   int           // invitations for a user in a day; 0 for any number
}

// ErrRefused says that a letter will never be delivered as it is.
var ErrRefused = errors.New("the mail was refused")

// Sender delivers letters. When the error wraps ErrRefused the letter is given up;
// with any other it is tried again.
type Sender interface {
	Send(ctx context.Context, l Letter) error
}

// Letter is what a mail tells its reader. Which of it, in what words, is the
// Sender's to say. What there is none of is empty.
type Letter struct {
	Kind           tms.MailKind
	ID             string // the same each time it is sent, for the Message-ID
	To             string
	User           otp.UserName
	Serial         otp.Serial
	Type           string // of the token, as otp.TokenType.String
	Link           string // the whole URL, which opens the invitation. Never print it
	ActivationKey  tms.ActivationKey
	ClientURL      string
	SelfServiceURL string
	Expires        time.Time // of the invitation
	Date           time.Time // when the mail was queued
	PIN            bool      // the user has an OTP PIN already
	SeedFile       []byte    // PSKC (RFC 6030), encrypted under the Activation Key
	SeedFileName   string
}

// Enrolment leads users to a token. It is safe for concurrent use.
type Enrolment struct {
	Options
	metrics  *metrics
	wake     chan struct{} // has an element when a mail may be due
	codes    *quota        // first codes in dialogs that were wrong
	logins   *quota        // the same of logins, by who need not know any password
	mails    *quota        // invitations by mail
	inviting [64]sync.Mutex
	hashSeed maphash.Seed
}

const (
	codeTime  = 15 * time.Minute // within which codeTries wrong first codes are looked at
	codeTries = 10
	sameCode  = time.Minute    // in which one that comes again is not another
	mailTime  = 24 * time.Hour // within which Settings.MaxMails are sent
)

// New makes an Enrolment. Nothing is sent until Run.
func New(o Options) *Enrolment {
	e := &Enrolment{
		Options: o, metrics: newMetrics(), wake: make(chan struct{}, 1),
		codes: newQuota(codeTime, sameCode), logins: newQuota(codeTime, sameCode), mails: newQuota(mailTime, 0),
		hashSeed: maphash.MakeSeed(),
	}
	if err := e.metrics.register(o.Registerer); err != nil {
		o.Logger.Error("enrolment has no metrics", "error", err)
	}
	return e
}

// Invited reports, without waiting, whether a user (normalized name) has an open
// invitation.
func (e *Enrolment) Invited(user []byte) bool { return e.Store.Invited(user) }

// Activate looks whether a passcode is OTP PIN and first code of the token that the
// user is invited to. When it is (otp.Shown), the token is the user's, durably, and
// the code is not burned: the login is decided by the verifier as any other. It may
// be a directory password as well, and come from anybody, so what cannot be a code is
// not looked at, and what was wrong does not count for dialogs.
func (e *Enrolment) Activate(ctx context.Context, user otp.UserName, nas string, passcode otp.Passcode) (otp.FirstCode, error) {
	if !e.Invited([]byte(user)) {
		return otp.NotShown, nil
	}
	open, err := e.Service.InvitationOf(ctx, callerAt(nas), user, tms.InvitationID{})
	switch {
	case errors.Is(err, tms.ErrNotFound): // over, or taken up just now
		return otp.NotShown, nil
	case err != nil:
		return otp.NotShown, fmt.Errorf("activating the token of %q: %w", user, err)
	case open.Token.Seed.IsZero() || !endsInCode(passcode.Bytes(), int(open.Token.Digits)):
		return otp.NotShown, nil
	}
	found, _, err := e.tryCode(ctx, callerAt(nas), e.logins, user, passcode)
	return found, err
}

// endsInCode reports whether the last characters of what was typed are digits, as
// those of a passcode are.
func endsInCode(typed []byte, digits int) bool {
	if len(typed) < digits {
		return false
	}
	for _, c := range typed[len(typed)-digits:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// tryCode looks whether a passcode activates the user's token, unless too many of
// the user's were wrong of late. The same one again within a short time is not
// another.
func (e *Enrolment) tryCode(ctx context.Context, c tms.Caller, tries *quota, user otp.UserName, p otp.Passcode) (found otp.FirstCode, tooMany bool, err error) {
	// Counted before it is looked at, so that many at once are no way around.
	sum := maphash.Bytes(e.hashSeed, p.Bytes())
	if !tries.take(user, sum, e.Clock(), codeTries, e.Policy().ThrottleEntries) {
		return otp.NotShown, true, nil
	}
	found, err = e.Service.ActivateByPasscode(ctx, c, user, p)
	switch {
	case errors.Is(err, tms.ErrNotFound) && found == otp.WrongFirstPIN: // too often: the invitation has ended
		return found, false, nil
	case errors.Is(err, tms.ErrNotFound): // over, or taken up just now
		tries.giveBack(user, sum)
		return otp.NotShown, false, nil
	case errors.Is(err, tms.ErrInvalid):
		e.Logger.Warn("a first code was right, but the token cannot be the user's", "user", string(user), "error", err)
		return otp.NotShown, false, nil
	case err != nil:
		tries.giveBack(user, sum)
		return otp.NotShown, false, fmt.Errorf("activating the token of %q: %w", user, err)
	case found == otp.Shown:
		e.codes.forget(user)
		e.logins.forget(user)
		e.metrics.dialog(activated)
		e.Wake()
	}
	return found, false, nil
}

// alone waits until nobody else invites the user here, and returns what ends that.
// Some users wait for others too.
func (e *Enrolment) alone(user otp.UserName) (end func()) {
	m := &e.inviting[maphash.String(e.hashSeed, string(user))%uint64(len(e.inviting))]
	m.Lock()
	return m.Unlock
}

// Wake has the mails sent that wait, after an act that queued one.
func (e *Enrolment) Wake() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Run sends the mails and looks after invitations and enrolled tokens until ctx is
// done.
func (e *Enrolment) Run(ctx context.Context) {
	var parts sync.WaitGroup
	if e.Sender != nil {
		parts.Go(func() { e.runOutbox(ctx) })
	}
	parts.Go(func() { e.runInvitations(ctx) })
	parts.Go(func() { e.runCensus(ctx) })
	parts.Wait()
}

// self is the caller of acts that nobody asked for.
var self = tms.Caller{Name: "server@enrolment", Administrator: true}

// callerAt is the caller of acts that a user asks for at a NAS.
func callerAt(nas string) tms.Caller {
	return tms.Caller{Name: callerPrefix + nas, Administrator: true}
}

const callerPrefix = "server@"

// entitled reports whether the directory's user may have an enrolled token.
func (s *Settings) entitled(i *exclusions.Identity) bool {
	if i.Directory == "" {
		return false
	}
	return len(s.Groups) == 0 || slices.ContainsFunc(s.Groups, func(group string) bool {
		_, member := slices.BinarySearch(i.Groups, group)
		return member
	})
}

// pause waits for a time. It returns false when ctx is done first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
