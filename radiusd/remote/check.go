package remote

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"time"

	"countersign/radiusd/packet"
)

// Report is how a server did that was asked by Check.
type Report struct {
	Server string // its address, as in Server.Address
	// StatusServer: it answers Status-Server. Where it does not, it takes three lost logins
	// to find out that the server is down, and one to find out that it is up again.
	StatusServer bool
	// Login is what it answered to a login of nobody, 0 when nothing.
	Login packet.Code
	// MessageAuthenticator: that answer has one.
	MessageAuthenticator bool
	Latency              time.Duration // of that answer, or of that to the Status-Server
	// Err says what is wrong and how to mend it, in one line; nil when all is well.
	Err error
}

// Check asks the i-th server whether it is there, by a Status-Server and by a login of a
// user that cannot exist. It does not change what is believed of the server.
func (c *Client) Check(ctx context.Context, i int) Report {
	s := c.servers[i]
	r := Report{Server: s.address}
	start := c.clock()
	_, statusErr := s.askStatus(ctx)
	r.Latency = c.clock().Sub(start)
	r.StatusServer = statusErr == nil

	start = c.clock()
	x, err := s.askNobody(ctx)
	if err == nil {
		r.Latency = c.clock().Sub(start)
		r.examine(x)
	}
	r.Err = r.diagnose(c, err)
	return r
}

// askNobody sends a login of a user that cannot exist.
func (s *server) askNobody(ctx context.Context) (*exchange, error) {
	var random [16]byte
	if _, err := io.ReadFull(s.client.rand, random[:]); err != nil {
		return nil, fmt.Errorf("making a name that nobody has: %w", err)
	}
	l := &Login{
		UserName: []byte("countersign-check-" + hex.EncodeToString(random[:8])),
		Passcode: []byte(hex.EncodeToString(random[8:])),
	}
	x := newExchange(packet.AccessRequest, true)
	return x, s.ask(ctx, x, false, func(t *tools) { t.writeLogin(l, nil, s.client.nasIdentifier) })
}

// examine notes what the login of nobody was answered.
func (r *Report) examine(x *exchange) {
	var p packet.Request
	if p.Parse(x.reply) == nil { // it was read once before
		r.Login, r.MessageAuthenticator = p.Code, p.MessageAuthenticator != 0
	}
}

// diagnose says what is wrong. The error is that of the login.
func (r *Report) diagnose(c *Client, err error) error {
	switch {
	case errors.Is(err, errLookup):
		return fmt.Errorf("its name stands for no address (%w): correct the name, or mend the DNS of this machine", err)
	case errors.Is(err, errNotReceived):
		return fmt.Errorf("it cannot be reached (%w): start the server, or correct its address and port", err)
	case errors.Is(err, unproved):
		return fmt.Errorf("its answers are not made with our shared secret: configure the same secret here and there: %w", err)
	case err != nil && r.StatusServer:
		return fmt.Errorf("it answers Status-Server but no login: look into its log, or give it more time: %w", err)
	case err != nil:
		return fmt.Errorf("it does not answer: make this machine one of its RADIUS clients, with the same shared secret, and let UDP through; servers are silent to strangers and to a wrong secret: %w", err)
	case r.Login == packet.AccessAccept:
		return errors.New("it accepts a user that cannot exist, with a password that was made up: it verifies nothing, and must not decide logins")
	case !r.MessageAuthenticator && !c.unsigned:
		return errors.New("its answers have no Message-Authenticator, so they can be forged (CVE-2024-3596), and are not taken: update the server, or have it send one; only if it cannot, and the network between is safe, set radius_message_authenticator = \"off\"")
	}
	return nil
}
