package safenet

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"countersign/otp"
	"countersign/radiusd/packet"
)

// ErrOddAnswer says that the service answered a login with an error_code that is not
// known, or with a Fault of SOAP. It is there and most likely answers the next login.
var ErrOddAnswer = errors.New("an answer of unknown meaning")

// ErrUserName says that no request can name the user, because XML cannot hold the
// characters of the name (XML 1.0 section 2.2), or because they are control characters.
// So the TMS cannot know the user, and was not asked.
var ErrUserName = errors.New("no request can have its characters")

// Client has passcodes verified by the OTP Web Service. It may be used by several
// goroutines.
type Client struct {
	url       *url.URL
	timeout   time.Duration
	agent     string
	rand      io.Reader
	clock     func() time.Time
	transport *http.Transport
	slots     chan struct{} // held by requests under way
}

// New makes a Client. It contacts nobody. Errors are *SettingError, joined.
func New(o Options) (*Client, error) { return inspect(o) }

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// VerifyPasscode shows the TMS a login, once. user is the name by which the TMS knows
// who it is. The TMS does not see the passcode, and an accept has proven that it knows it.
// An error means that there is no answer, or none that can be relied on; what has become
// of the code nobody knows then. It wraps ErrOddAnswer when only this login is without an
// answer, and ErrUserName when nothing was sent.
func (c *Client) VerifyPasscode(ctx context.Context, user string, passcode otp.Passcode) (Answer, error) {
	l := &login{user: user, userName: hashedName([]byte(user))}
	if err := c.random(l.challenge[:], l.peer[:]); err != nil {
		return Answer{}, err
	}
	l.response = packet.NTResponse(l.userName, passcode.Bytes(), l.challenge, l.peer)
	r, err := c.ask(ctx, l)
	if err != nil {
		return Answer{}, err
	}
	if s := r.outcome.success; s != nil {
		want := packet.AuthenticatorResponse(l.userName, passcode.Bytes(), l.challenge[:], l.joined())
		if subtle.ConstantTimeCompare(want[:], s.authenticatorResponse[:]) != 1 {
			return Answer{}, c.problem("verifying its accept", errForged)
		}
	}
	return newAnswer(r.outcome), nil
}

// Relay shows the TMS an MS-CHAPv2 login of a gateway, once: its User-Name, its
// MS-CHAP-Challenge of 16 octets and its MS-CHAP2-Response of 50. user is as of
// VerifyPasscode. The peer at the gateway verifies an accept, by its
// AuthenticatorResponse. Errors are as of VerifyPasscode.
func (c *Client) Relay(ctx context.Context, user string, userName, challenge, response []byte) (Answer, error) {
	l := &login{user: user, userName: hashedName(userName)}
	var ok bool
	l.peer, l.response, ok = packet.SplitMSCHAP2Response(response)
	if !ok || len(challenge) != len(l.challenge) {
		return Answer{}, fmt.Errorf("relaying to the OTP service: a challenge of %d and a response of %d octets are not those of MS-CHAPv2", len(challenge), len(response))
	}
	copy(l.challenge[:], challenge)
	r, err := c.ask(ctx, l)
	if err != nil {
		return Answer{}, err
	}
	return newAnswer(r.outcome), nil
}

// hashedName is a user name as peers hash it: without its "DOMAIN\" (RFC 2759 section 4).
func hashedName(name []byte) []byte { return name[bytes.IndexByte(name, '\\')+1:] }

func (c *Client) random(parts ...[]byte) error {
	for _, part := range parts {
		if _, err := io.ReadFull(c.rand, part); err != nil {
			return fmt.Errorf("making challenges for the OTP service: %w", err)
		}
	}
	return nil
}

// reply is an answer with how it came.
type reply struct {
	outcome *outcome
	header  http.Header
	tls     *tls.ConnectionState // nil without TLS
}

// ask has a request answered within the timeout, when its turn has come. Only a known
// code counts.
func (c *Client) ask(ctx context.Context, l *login) (*reply, error) {
	if !writable(l.user) {
		return nil, fmt.Errorf("naming the user %.64q to the OTP service: %w", l.user, ErrUserName)
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, c.problem("waiting for a turn", &busyError{cap(c.slots), context.Cause(ctx)})
	}
	r, err := c.exchange(ctx, c.transport, l)
	if err != nil {
		return nil, err
	}
	if code := r.outcome.code; code != codeAccepted && code != codeRefused {
		return nil, c.problem("reading its answer", &unknownCode{code, l.clean(r.outcome.description)})
	}
	return r, nil
}

// limit ends a context after the timeout.
func (c *Client) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, c.timeout, &timeoutError{c.timeout})
}

// exchange posts a request and reads the answer. It goes to the Transport itself, which
// follows no redirects. The body is one that the Transport can send again, which it does
// only if nothing of it was written.
func (c *Client) exchange(ctx context.Context, transport *http.Transport, l *login) (*reply, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(l.write()))
	if err != nil {
		return nil, c.problem("making a request", err)
	}
	request.Header["SOAPAction"] = []string{soapAction}
	request.Header.Set("Content-Type", contentType)
	request.Header.Set("Accept", "*/*")
	request.Header.Set("User-Agent", c.agent)
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, c.problem("asking", causeOf(ctx, err))
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxMessage+1))
	switch {
	case err != nil:
		return nil, c.problem("reading its answer", causeOf(ctx, err))
	case len(body) > maxMessage:
		return nil, c.problem("reading its answer", errTooLong)
	}
	r := &reply{header: response.Header, tls: response.TLS}
	if r.outcome, err = l.read(response, body); err != nil {
		return nil, c.problem("reading its answer", err)
	}
	return r, nil
}

// read makes an outcome of the answer to a login.
func (l *login) read(response *http.Response, body []byte) (*outcome, error) {
	media := mediaType(response.Header)
	if response.StatusCode != http.StatusOK || media != "text/xml" {
		return nil, l.strange(response, media, body)
	}
	o, err := parseAnswer(body)
	if err != nil {
		return nil, &malformed{err, l.excerpt(body)}
	}
	o.description = l.clean(o.description)
	return o, nil
}

// causeOf is why a context ended, if that is what an error comes from.
func causeOf(ctx context.Context, err error) error {
	if ctx.Err() != nil && !errors.Is(err, context.Cause(ctx)) {
		return context.Cause(ctx)
	}
	return err
}
