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
	// MaxInFlight is how many requests of each loop may wait for the store: 4,096
	// when 0.
	MaxInFlight int
	// ReceiveBuffer is the receive buffer of each socket in bytes: 4 MiB when 0.
	// Without root the system's net.core.rmem_max bounds it.
	ReceiveBuffer int
	// RejectMessage is the Reply-Message of every Access-Reject, at most 253
	// bytes; there is none when it is empty.
	RejectMessage string
}

// minReplyCacheTime is how long a reply is kept at least: a NAS may retransmit
// for that long.
const minReplyCacheTime = 30 * time.Second

// complete fills in the defaults and finds what is missing.
func (o *Options) complete() error {
	switch {
	case len(o.Auth)+len(o.Acct) == 0:
		return errors.New("RADIUS server: no address to listen on")
	case o.NASes == nil || o.Verifier == nil:
		return errors.New("RADIUS server: no NAS table or no verifier")
	case len(o.Acct) > 0 && o.Accounting == nil:
		return errors.New("RADIUS server: nothing keeps the accounting")
	case len(o.RejectMessage) > packet.MaxValue:
		return fmt.Errorf("RADIUS server: reject message of %d bytes, %d at most", len(o.RejectMessage), packet.MaxValue)
	}
	setDefault(&o.Loops, runtime.GOMAXPROCS(0))
	setDefault(&o.ReplyCacheEntries, 65536)
	setDefault(&o.MaxInFlight, 4096)
	setDefault(&o.ReceiveBuffer, 4<<20)
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
	return nil
}

func setDefault(value *int, otherwise int) {
	if *value <= 0 {
		*value = otherwise
	}
}
