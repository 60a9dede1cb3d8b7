package radiusd

import (
	"context"
	"errors"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/radiusd/packet"
)

// Backend is the TMS behind this server: SafeNet's, or any RADIUS server that verifies
// passcodes. It burns codes, so what it is asked it is asked once. All methods are safe
// for concurrent use.
type Backend interface {
	// Verify shows the TMS a login, once. An error means that there is no answer, or none
	// that can be understood; what has become of the code nobody knows then. It wraps
	// ErrLost when only this login is lost, and others may be shown to the TMS, and
	// ErrNotShown when nobody has received it.
	Verify(ctx context.Context, l *BackendLogin) (BackendReply, error)
	// Probe finds out whether the TMS answers, without a login of anybody.
	Probe(ctx context.Context) error
}

// ErrLost says that a Backend has no answer to this one login, but most likely to the
// next: one of its servers did not answer, and others are there.
var ErrLost = errors.New("the answer was lost")

// ErrNotShown says that a Backend has certainly not received a login, so that it may be
// shown to it again. Together with ErrLost it was the login's own fault.
var ErrNotShown = errors.New("the login was not shown")

// ErrOddAnswer says that a Backend has answered, in a way that nobody understands. It is
// there, so this says nothing about the next login.
var ErrOddAnswer = errors.New("the answer is not understood")

// BackendLogin is a login as a Backend sees it. What it refers to is the server's: it
// must not be kept, nor changed. It prints as [redacted].
type BackendLogin struct {
	redacted
	At       time.Time
	User     otp.UserName         // normalized
	Identity *exclusions.Identity // who the user is; nil without a user repository
	NAS      string               // the name of the NAS
	Method   otp.Method
	Passcode otp.Passcode    // as typed, of PAP
	Packet   *packet.Request // as it came: User-Name, the proof of CHAP and MS-CHAP, and what else the NAS says
	// Doubtful: the user repository does not answer, so that User is what the name itself
	// tells. Nothing is to be learned from such a login.
	Doubtful bool
	MayAsk   bool   // the NAS can show the user an Access-Challenge
	Dialog   []byte // of the BackendReply that asked; nil in a first login
}

// BackendReply is the answer of a Backend. What it refers to is the server's then, which
// wipes keys and Dialog. It prints as [redacted].
type BackendReply struct {
	redacted
	// Verdict is otp.AcceptedByTMS, otp.RefusedByTMS or otp.AskedByTMS, which is refused as
	// otp.CannotAsk where MayAsk was false; or otp.NeedsPAP, when the TMS does not know the
	// method of the login, and was not shown it.
	Verdict otp.Verdict
	// Unasked: the TMS was not shown the login, because it could not understand it.
	Unasked bool
	// Attributes are those that go to the NAS, encoded (packet.Builder.AddEncoded): of
	// an Access-Accept all that the TMS gives, of an Access-Challenge Reply-Message, Prompt
	// and Session-Timeout; none of a refusal. There are no keys, no State and nothing of one
	// hop among them, and of an accepted MS-CHAPv2 login the MS-CHAP2-Success.
	Attributes []byte
	// SendKey and RecvKey are the MPPE keys of an accepted MS-CHAPv2 login, 16 octets, or
	// nil (RFC 2548 section 2.4); MSCHAPKeys those of MS-CHAP, 24 octets, or nil.
	SendKey, RecvKey, MSCHAPKeys []byte
	// Dialog is what Verify gets back with what the user answers, at most 64 octets.
	Dialog []byte
}

// unasked reports whether the TMS was not shown the login.
func (b *BackendReply) unasked() bool { return b.Unasked || b.Verdict == otp.NeedsPAP }

// forget wipes what opens a session.
func (b *BackendReply) forget() {
	clear(b.SendKey)
	clear(b.RecvKey)
	clear(b.MSCHAPKeys)
	clear(b.Dialog)
}
