package radiusd

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// Accounting keeps what NASes report.
type Accounting interface {
	// AppendAccounting makes one Accounting-Request durable: when it came, the
	// name of the NAS, the address the packet came from, and its attributes as
	// they were in the packet, which are the caller's again when done is called.
	// Then it calls done, with an error when the record is not durable. It does
	// not wait; when its queue is full it returns false and forgets the record.
	AppendAccounting(at time.Time, nas, source string, attributes []byte, done func(error)) bool
}

// Classes makes the Class of an Access-Accept, by which the NAS's accounting names the
// login (RFC 2865 section 5.25).
type Classes interface {
	// Append appends the Class of the login with this record in the journal (otp.EventID)
	// that counts for this session limit, "" for none: at most 128 bytes. It is safe for
	// concurrent use.
	Append(dst []byte, batch uint64, index uint32, pool string) []byte
}

// Sessions knows how many sessions there are. Its methods do not wait.
type Sessions interface {
	// OpenOf is how many a user has, OpenIn how many count for a session limit.
	OpenOf(user []byte) int
	OpenIn(pool string) int
}

// Memory remembers across restarts which NASes send a Message-Authenticator.
type Memory interface {
	// RememberMessageAuthenticator makes it durable that this NAS does.
	RememberMessageAuthenticator(ctx context.Context, nas string) error
}

// Options are what a Server is made of. Auth or Acct, NASes and Verifier are
// needed, and Accounting with Acct; all else has a default.
type Options struct {
	// Auth and Acct are the UDP addresses to listen on for authentication and
	// accounting. Port 0 is any free one. An IPv6 address is for IPv6 alone: to
	// listen everywhere give both 0.0.0.0 and [::].
	Auth, Acct []netip.AddrPort
	// Loops is how many sockets share each address, each with its own loop: one
	// for each CPU when 0.
	Loops int

	NASes      *NASTable
	Verifier   *otp.Verifier
	Accounting Accounting
	Memory     Memory // nothing is remembered when nil
	// Classes is what Access-Accepts of a NAS with NASConfig.Class carry; none when nil.
	Classes Classes
	// Sessions counts for Rules.MaxSessions and Rules.Limits; there are none when nil.
	Sessions Sessions

	// Users is the user repository. Without it the name in the request is the user,
	// nobody has groups, and no password can be verified.
	Users UserRepository
	// Enroller leads to a token who holds none in the mode create-token, and who is
	// invited in any mode. Without it the mode create-token is as mandatory.
	Enroller Enroller
	// Realms are those that users may write before or behind their names where there is no
	// user repository, folded as names are: EXAMPLE\kay and kay@example.com are kay.
	Realms []string
	// Backend is the TMS behind this server. Without it the order of every login is
	// otp.LocalOnly.
	Backend Backend
	// BackendLogins is how many logins may be shown to the Backend at the same time:
	// 256 when 0. Sixteen times as many wait for their turn.
	BackendLogins int
	// BackendTime is how long after its packet came a login may wait for the Backend: 10 s
	// when 0.
	BackendTime time.Duration
	// BackendFailures is how many errors of the Backend in a row open the circuit breaker:
	// 5 when 0. While it is open nobody is asked but, every BackendPause (5 s when 0), Probe.
	BackendFailures int
	BackendPause    time.Duration
	// RejectWhenDown refuses a login that the Backend does not answer. Otherwise the NAS
	// gets no reply, and asks another server.
	RejectWhenDown bool
	// AcceptedOnce is how long a passcode that the Backend accepted is not shown to it again,
	// but refused as replayed; 0 is not at all. BackendRepeatTime is how long one that it
	// refused is refused again without asking: 1 minute when 0.
	AcceptedOnce      time.Duration
	BackendRepeatTime time.Duration
	// SharedKey is the same for all servers that share the store of the Verifier: by it each
	// knows a login that another has answered (otp.Policy.SameLoginWindow). Nil: this server
	// is alone. It is read by New and Listen.
	SharedKey *[32]byte
	// Node is what the others call this server, for the trace of each login; "" when it is alone.
	Node string
	// Sightings, with SharedKey, is what these servers have shown to the Backend. Nil: each
	// remembers what it has shown by itself.
	Sightings Sightings
	// ExcludedWhenStoreDown lets in whom a rule excludes without a look at the password when
	// the store cannot record it. It is recorded later, if the server does not end before.
	ExcludedWhenStoreDown bool
	// Rules are the rules in force: none when nil.
	Rules *Rules
	// Errands is how many logins may ask the user repository or the Enroller at the
	// same time: 64 when 0. Sixteen times as many wait for their turn.
	Errands int
	// DirectoryTime is how long after its packet came a login may wait for the
	// user repository and the Enroller: 10 s when 0. Users and Enroller give
	// up when their context is done.
	DirectoryTime time.Duration

	// Ready tells whether the store can decide logins; while it cannot,
	// Status-Server gets no answer. Always, when nil.
	Ready func() bool

	Clock      func() time.Time // time.Now when nil; safe for concurrent use, as is Rand
	Rand       io.Reader        // crypto/rand when nil
	Logger     *slog.Logger     // silent when nil
	Registerer prometheus.Registerer

	// ReplyCacheEntries is how many requests each loop remembers: 65,536 when 0.
	ReplyCacheEntries int
	// ReplyCacheTime is how long it does so after the reply: 30 s when 0, and
	// never shorter.
	ReplyCacheTime time.Duration
	// MaxInFlight is how many requests of each loop may be in flight: 4,096 when 0. At
	// most half of them wait for the Backend.
	MaxInFlight int
	// ReceiveBuffer is the receive buffer of each socket in bytes: 4 MiB when 0.
	// Without root the system's net.core.rmem_max bounds it.
	ReceiveBuffer int
	// RejectMessage is the Reply-Message of every Access-Reject; there is none
	// when it is empty. Messages have at most 253 bytes.
	RejectMessage string
	// NoTokenMessage, when it is not empty, stands for it where a user is unknown,
	// holds no token or was given the first just now.
	NoTokenMessage string

	// States seals the State of every Access-Challenge. Without it there are none.
	// Servers that stand in for each other share it.
	States Sealer
	// ChallengeMessage is the Reply-Message of an Access-Challenge that asks for PIN
	// and next code, or for what the TMS asks without words; there is none when it is empty.
	ChallengeMessage string
	// ChallengeTime is how long such a one may be answered: 2 minutes when 0.
	ChallengeTime time.Duration
	// EnrolmentTime is how long after its first Access-Challenge an enrolment may be
	// gone on with: 10 minutes when 0.
	EnrolmentTime time.Duration
	// EnrolmentOverMessage is the Reply-Message to who answers later than that:
	// RejectMessage when empty.
	EnrolmentOverMessage string
}

// minReplyCacheTime is how long a reply is kept at least: a NAS may retransmit
// for that long.
const minReplyCacheTime = 30 * time.Second

// complete finds what is missing or wrong, and fills in the defaults.
func (o *Options) complete() error {
	switch {
	case len(o.Auth)+len(o.Acct) == 0:
		return errors.New("RADIUS server: no address to listen on")
	case o.NASes == nil || o.Verifier == nil:
		return errors.New("RADIUS server: no NAS table or no verifier")
	case len(o.Acct) > 0 && o.Accounting == nil:
		return errors.New("RADIUS server: nothing keeps the accounting")
	}
	for name, message := range map[string]string{
		"reject": o.RejectMessage, "no-token": o.NoTokenMessage, "challenge": o.ChallengeMessage,
		"enrolment-over": o.EnrolmentOverMessage,
	} {
		if len(message) > packet.MaxValue {
			return fmt.Errorf("RADIUS server: %s message of %d bytes, %d at most", name, len(message), packet.MaxValue)
		}
	}
	o.setDefaults()
	return nil
}

// setDefaults fills in what was left out.
func (o *Options) setDefaults() {
	setDefault(&o.Loops, runtime.GOMAXPROCS(0))
	setDefault(&o.ReplyCacheEntries, 65536)
	setDefault(&o.MaxInFlight, 4096)
	setDefault(&o.ReceiveBuffer, 4<<20)
	setDefault(&o.Errands, 64)
	setDefault(&o.DirectoryTime, 10*time.Second)
	setDefault(&o.BackendLogins, 256)
	setDefault(&o.BackendTime, 10*time.Second)
	setDefault(&o.BackendFailures, 5)
	setDefault(&o.BackendPause, 5*time.Second)
	setDefault(&o.BackendRepeatTime, time.Minute)
	setDefault(&o.ChallengeTime, 2*time.Minute)
	setDefault(&o.EnrolmentTime, 10*time.Minute)
	o.ReplyCacheTime = max(o.ReplyCacheTime, minReplyCacheTime)
	if o.Ready == nil {
		o.Ready = func() bool { return true }
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Registerer == nil {
		o.Registerer = prometheus.NewRegistry()
	}
}

func setDefault[N int | time.Duration](value *N, otherwise N) {
	if *value <= 0 {
		*value = otherwise
	}
}
