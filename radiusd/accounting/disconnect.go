package accounting

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"time"
	"unicode"

	"countersign/radiusd/packet"
)

// Target is where a NAS takes Disconnect-Requests (RFC 5176): UDP port 3799 as a rule.
type Target struct {
	Address netip.AddrPort
	Secret  packet.Secret
}

// Answer is what a NAS says to a Disconnect-Request.
type Answer struct {
	Acknowledged bool   // Disconnect-ACK; else Disconnect-NAK
	Cause        uint32 // Error-Cause (RFC 5176 section 3.5), 0 for none
	Text         string // what it means, with the Reply-Message if there is one
}

// Disconnect asks a NAS to end a session, several times until it answers, ctx is done, or
// ten seconds are over. An error means that there was no answer to be trusted.
//
// The session is named by all that is known of it (RFC 5176 section 3); a NAS that knows
// it by another value of one of these refuses. The first requests carry Event-Timestamp,
// which some NASes want against replay. Others do not know it and refuse, or say nothing
// because their clock differs from ours by more than five minutes: so when there is no
// answer to these, or Unsupported-Attribute, others without it follow. A replay of them
// does no harm: it names a session that is over.
func Disconnect(ctx context.Context, to Target, s *Session) (Answer, error) {
	answer, err := disconnect(ctx, to, s)
	if err != nil {
		return Answer{}, fmt.Errorf("asking %s to end session %s: %w", to.Address, s.ID, err)
	}
	return answer, nil
}

// What is waited for an answer before each repeat, and after the last.
var (
	datedPauses   = []time.Duration{time.Second, 2 * time.Second, 2 * time.Second}
	undatedPauses = []time.Duration{2 * time.Second, 3 * time.Second}
)

const unsupportedAttribute = 401

func disconnect(ctx context.Context, to Target, s *Session) (Answer, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to.Address))
	if err != nil {
		return Answer{}, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(0, 1)) })()
	d := disconnection{ctx: ctx, conn: conn, secret: to.Secret}
	if err := d.prepare(s, time.Now()); err != nil {
		return Answer{}, err
	}
	answer, err := d.ask(datedPauses)
	again := errors.Is(err, errNoAnswer) && ctx.Err() == nil || err == nil && answer.Cause == unsupportedAttribute
	if !again {
		return answer, err
	}
	if err := d.prepare(s, time.Time{}); err != nil {
		return Answer{}, err
	}
	second, errSecond := d.ask(undatedPauses)
	if errSecond != nil && err == nil {
		return answer, nil
	}
	return second, errSecond
}

var errNoAnswer = errors.New("no answer; see whether it takes Disconnect-Requests from this server's address, and with which port and shared secret")

// disconnection is a conversation with a NAS about one session.
type disconnection struct {
	ctx     context.Context
	conn    *net.UDPConn
	secret  packet.Secret
	scratch packet.Scratch
	request []byte
	buf     [packet.MaxLength]byte
	refused bool // nothing listens there
}

// prepare makes the request, with an Identifier other than that of the one before.
func (d *disconnection) prepare(s *Session, at time.Time) error {
	identifier := byte(rand.Uint32()) // no secret
	if d.request != nil {
		identifier = d.request[1] + 1
	}
	var b packet.Builder
	b.Begin(packet.DisconnectRequest, identifier, nil, packet.First)
	addText(&b, packet.UserName, s.User)
	addText(&b, packet.AcctSessionID, s.SessionID)
	gateway := parseGateway(s.Gateway)
	addText(&b, packet.NASIdentifier, gateway.identifier)
	addAddress(&b, packet.NASIPAddress, packet.NASIPv6Address, s.NASAddress)
	addAddress(&b, packet.FramedIPAddress, packet.FramedIPv6Address, s.Address)
	addText(&b, packet.CallingStationID, s.Station)
	if !at.IsZero() {
		b.Add(packet.EventTimestamp, binary.BigEndian.AppendUint32(nil, uint32(at.Unix())))
	}
	var err error
	d.request, err = d.scratch.SignRequest(d.secret, &b, nil)
	return err
}

func addText(b *packet.Builder, t packet.Type, text string) {
	if text != "" {
		b.AddString(t, text)
	}
}

func addAddress(b *packet.Builder, ipv4, ipv6 packet.Type, a netip.Addr) {
	switch {
	case a.Is4():
		b.Add(ipv4, a.AsSlice())
	case a.Is6():
		b.Add(ipv6, a.AsSlice())
	}
}

// ask sends the request, again after each pause, until there is an answer. Repeats are the
// same packet (RFC 5176 section 2.3), so that the NAS knows them.
func (d *disconnection) ask(pauses []time.Duration) (Answer, error) {
	for _, pause := range pauses {
		if _, err := d.conn.Write(d.request); err != nil && !d.isRefused(err) {
			return Answer{}, err
		}
		answer, ok, err := d.await(time.Now().Add(pause))
		if ok || err != nil {
			return answer, err
		}
	}
	if d.refused {
		return Answer{}, fmt.Errorf("nothing listens there: %w", errNoAnswer)
	}
	return Answer{}, errNoAnswer
}

// await reads until there is an answer, or the time is over.
func (d *disconnection) await(until time.Time) (answer Answer, ok bool, err error) {
	if err := d.conn.SetReadDeadline(until); err != nil {
		return Answer{}, false, err
	}
	for {
		if d.ctx.Err() != nil { // also when its end was before the deadline was set
			return Answer{}, false, fmt.Errorf("%w: %w", context.Cause(d.ctx), errNoAnswer)
		}
		n, err := d.conn.Read(d.buf[:])
		var timeout net.Error
		switch {
		case err == nil:
			if answer, ok := d.read(d.buf[:n]); ok {
				return answer, true, nil
			}
		case d.isRefused(err): // the NAS may be starting
		case errors.As(err, &timeout) && timeout.Timeout():
			if d.ctx.Err() == nil {
				return Answer{}, false, nil
			}
		default:
			return Answer{}, false, err
		}
	}
}

// isRefused notes that an error is that nothing listens there.
func (d *disconnection) isRefused(err error) bool {
	refused := errors.Is(err, syscall.ECONNREFUSED)
	d.refused = d.refused || refused
	return refused
}

// read reads an answer to the request from who has the secret, and nothing else.
func (d *disconnection) read(datagram []byte) (Answer, bool) {
	var r packet.Request
	if r.Parse(datagram) != nil || r.Identifier != d.request[1] ||
		r.Code != packet.DisconnectACK && r.Code != packet.DisconnectNAK {
		return Answer{}, false
	}
	if !d.verify(r) {
		return Answer{}, false
	}
	answer := Answer{Acknowledged: r.Code == packet.DisconnectACK}
	var said []string
	for t, value := range r.Attributes() {
		switch {
		case t == packet.ErrorCause && len(value) == 4:
			answer.Cause = binary.BigEndian.Uint32(value)
		case t == packet.ReplyMessage:
			said = append(said, printable(value))
		}
	}
	answer.Text = answer.describe(strings.Join(said, " "))
	return answer, true
}

// verify reports whether a reply is from who has the secret: by its Response Authenticator
// and, if there is one, its Message-Authenticator. That is made with the Request
// Authenticator in the header, and by FreeRADIUS with zeros.
func (d *disconnection) verify(reply packet.Request) bool {
	request := [packet.AuthenticatorLength]byte(d.request[4:packet.HeaderLength])
	bare := reply
	bare.MessageAuthenticator = 0
	if d.scratch.VerifyReply(d.secret, &bare, &request) != nil {
		return false
	}
	if reply.MessageAuthenticator == 0 {
		return true
	}
	reply.Authenticator = request
	if d.scratch.VerifyMessageAuthenticator(d.secret, &reply) {
		return true
	}
	reply.Authenticator = [packet.AuthenticatorLength]byte{}
	return d.scratch.VerifyMessageAuthenticator(d.secret, &reply)
}

// printable is text of a NAS for people.
func printable(text []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(string(text), "?"))
}

// describe puts an answer into words.
func (a *Answer) describe(said string) string {
	text := "Disconnect-NAK"
	if a.Acknowledged {
		text = "Disconnect-ACK"
	}
	if a.Cause != 0 {
		text += ": " + causeOfError(a.Cause)
	}
	if said != "" {
		text += ": " + said
	}
	return text
}

// errorCauses are in RFC 5176 section 3.5, with what they say about a session.
var errorCauses = map[uint32]string{
	201: "Residual-Context-Removed: there was no such session any more, only what was left of it",
	202: "Invalid-EAP-Packet: the gateway ignored an EAP packet",
	401: "Unsupported-Attribute: the gateway does not know an attribute of the request",
	402: "Missing-Attribute: the gateway wants another attribute in the request",
	403: "NAS-Identification-Mismatch: the gateway has another NAS-Identifier or address",
	404: "Invalid-Request: the gateway found something else wrong with the request",
	405: "Unsupported-Service: the gateway does not know the Service-Type",
	406: "Unsupported-Extension: the gateway does not end sessions on request",
	407: "Invalid-Attribute-Value: the gateway did not take the value of an attribute",
	501: "Administratively-Prohibited: the gateway is configured not to end sessions on request",
	502: "Request-Not-Routable: a proxy does not know the way to the gateway",
	503: "Session-Context-Not-Found: the gateway has no such session",
	504: "Session-Context-Not-Removable: the gateway has the session and cannot end it",
	505: "Other-Proxy-Processing-Error: a proxy could not pass the request on",
	506: "Resources-Unavailable: the gateway has no resources to end it now",
	507: "Request-Initiated: the gateway has begun to end it",
	508: "Multiple-Session-Selection-Unsupported: the gateway has several such sessions, and ends one at a time",
}

func causeOfError(cause uint32) string {
	if text, ok := errorCauses[cause]; ok {
		return text
	}
	return fmt.Sprintf("Error-Cause %d", cause)
}
