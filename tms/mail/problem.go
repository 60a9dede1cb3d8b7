package mail

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

// What a session does, in the words of its errors.
const (
	greeting    = "reading its greeting"
	encrypting  = "beginning TLS"
	loggingIn   = "logging in"
	sender      = "naming the sender"
	recipient   = "naming the recipient"
	handingOver = "handing over the message"
)

// What a server does not offer.
var (
	errNoStartTLS  = errors.New("it offers no STARTTLS")
	errNoLogin     = errors.New("it offers no login")
	errNoMechanism = errors.New("it offers no way to log in that is known")
	errNoUTF8      = errors.New("it takes only addresses in ASCII")
)

// failure is what went wrong with a server, and how to mend it, in one line.
type failure struct {
	text string
	kind error // what callers may ask for: ErrRefused, the end of a context, or nil
}

func (f *failure) Error() string { return f.text }

func (f *failure) Unwrap() error { return f.kind }

// problem makes a failure of an error. It keeps nothing of the error itself, which
// may have what the server repeated.
func (c *session) problem(doing string, err error) error {
	answer := answerOf(err)
	c.broken = c.broken || answer == nil
	f := new(failure)
	if c.ctx.Err() != nil && answer == nil {
		err = context.Cause(c.ctx)
		f.kind = c.ctx.Err()
	}
	if isRefusal(doing, answer) || errors.Is(err, errNoUTF8) {
		f.kind = ErrRefused
	}
	f.text = fmt.Sprintf("mail server %s: %s: %s", c.config.Server, doing, c.hush.clean(err.Error(), doing == handingOver))
	if remedy := c.remedy(doing, err, answer); remedy != "" {
		f.text += ": " + remedy
	}
	return f
}

// enhancedCode is a status as RFC 3463 has it, at the start of an answer.
var enhancedCode = regexp.MustCompile(`^5\.(\d{1,3})\.(\d{1,3})\b`)

// isRefusal reports whether an answer is about the recipient or the message, and for
// good. What is about the sender, the login, relaying or the state of the server
// itself is for the administrator to mend, and then the message can go.
func isRefusal(doing string, answer *textproto.Error) bool {
	switch {
	case answer == nil || doing != recipient && doing != handingOver:
		return false
	case answer.Code < 550 || answer.Code > 599: // 50x, 53x: about commands and the login
		return false
	}
	if status := enhancedCode.FindStringSubmatch(answer.Msg); status != nil {
		return isFinal(doing, status[1], status[2])
	}
	fullMailbox := answer.Code == 552 && doing == recipient
	return !fullMailbox && !isRelaying(answer)
}

// isFinal reports whether an enhanced status 5.subject.detail is about the recipient
// or the message (RFC 3463 section 3).
func isFinal(doing, subject, detail string) bool {
	switch subject {
	case "1": // addresses; 7 and 8 are about the sender's
		return detail != "7" && detail != "8"
	case "2": // mailboxes; 2 is a full one
		return detail != "2"
	case "3", "5": // the server, the protocol
		return false
	case "7": // security: of the recipient, who may send to them
		return doing == handingOver
	}
	return true
}

// isRelaying reports whether the server does not send for us to others.
func isRelaying(answer *textproto.Error) bool {
	return strings.Contains(strings.ToLower(answer.Msg), "relay")
}

// remedy is how to mend an error, or empty.
func (c *session) remedy(doing string, err error, answer *textproto.Error) string {
	if answer != nil {
		return c.answerRemedy(doing, answer)
	}
	for _, find := range []func(string, error) string{c.offerRemedy, c.certificateRemedy, c.networkRemedy} {
		if remedy := find(doing, err); remedy != "" {
			return remedy
		}
	}
	return ""
}

func (c *session) offerRemedy(_ string, err error) string {
	switch {
	case errors.Is(err, errNoStartTLS):
		return `have TLS set up on the server, or set tls = "tls" with the port for it (465); tls = "none" sends mails in the clear`
	case errors.Is(err, errNoLogin) && c.config.TLS == NoTLS:
		return `leave user out, or set tls = "starttls": many servers offer it only with TLS`
	case errors.Is(err, errNoLogin):
		return "leave user out, or use the port for submission (587)"
	case errors.Is(err, errNoMechanism):
		return "have PLAIN or LOGIN enabled on the server"
	}
	return ""
}

func (c *session) certificateRemedy(_ string, err error) string {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		alert   tls.AlertError
	)
	switch {
	case errors.As(err, &name):
		return "write in server a name that the certificate has, or give the server a certificate with this name"
	case errors.As(err, &unknown):
		return "set ca_file to the certificate (PEM) of the CA that issued the server's"
	case errors.As(err, &invalid):
		return "renew the certificate of the server, and verify the clocks of both machines"
	case errors.As(err, &alert):
		return "the server must speak TLS 1.2 or later, with a certificate"
	}
	return ""
}

func (c *session) networkRemedy(doing string, err error) string {
	var (
		name   *net.DNSError
		record tls.RecordHeaderError
		late   *timeoutError
	)
	switch {
	case errors.As(err, &name):
		return fmt.Sprintf("verify the name %q in server, and the DNS of this machine", c.host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: verify server, and that the mail server runs"
	case errors.As(err, &record):
		return `the server speaks no TLS at the start on this port: set tls = "starttls", or the port for TLS (465)`
	case doing == greeting && c.config.TLS != ImplicitTLS && (errors.As(err, &late) || errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)):
		return `verify that a mail server runs there; if it expects TLS from the start (port 465), set tls = "tls"`
	case errors.As(err, &late), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "verify server, the firewall, and that the mail server runs"
	}
	return ""
}

func (c *session) answerRemedy(doing string, answer *textproto.Error) string {
	switch {
	case doing == loggingIn && answer.Code/100 == 5:
		return "verify user and password_file"
	case answer.Code == 530 && c.config.User == "":
		return "the server wants a login: set user and password_file"
	case doing == sender && answer.Code/100 == 5:
		return fmt.Sprintf("verify from, and that the server takes mails from %s", c.from.Address)
	case doing == recipient && isRelaying(answer):
		return "have the server send mails of this machine to others, or set user and password_file"
	}
	return ""
}

// maxAnswer is how much of an answer is in an error, in bytes.
const maxAnswer = 400

// hush keeps out of errors what a server repeats: the password, and the body. Some
// name the link for which they refuse a message.
type hush struct {
	secrets []string
	bodies  []string
}

// word is a word of an answer that is taken out when the body has it, too: 12 bytes
// or more, so not "rejected".
var word = regexp.MustCompile(`[^\s<>"'()\[\],;]{12,}`)

func newHush(c Config, m *Message, content []byte) hush {
	var h hush
	if password := c.Password.reveal(); password != "" {
		encode := base64.StdEncoding.EncodeToString
		h.secrets = []string{password, encode([]byte(password)), encode([]byte("\x00" + c.User + "\x00" + password))}
	}
	if m != nil {
		_, body, _ := strings.Cut(string(content), "\r\n\r\n")
		h.bodies = []string{m.Text, m.HTML, body}
	}
	return h
}

// clean makes one line of an error that has nothing of ours, after the server had the
// body as before it. (Before, a name may well be in the body, too, and has to be
// known to mend the error.)
func (h hush) clean(text string, hadBody bool) string {
	for _, secret := range h.secrets {
		text = strings.ReplaceAll(text, secret, redaction)
	}
	text = word.ReplaceAllStringFunc(text, func(word string) string {
		if hadBody && slices.ContainsFunc(h.bodies, func(body string) bool { return strings.Contains(body, word) }) {
			return redaction
		}
		return word
	})
	text = strings.ToValidUTF8(strings.Join(strings.FieldsFunc(text, isControl), " "), "?")
	if len(text) > maxAnswer {
		text = strings.ToValidUTF8(text[:maxAnswer], "") + "..."
	}
	return text
}
