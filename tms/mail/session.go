package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/textproto"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// maxAnswers is how many bytes a server may send in a session. Its certificate and
// all its answers are some kilobytes.
const maxAnswers = 1 << 20

// errManyAnswers says that a server goes on and on.
var errManyAnswers = errors.New("it says too much for a mail server")

// session is one connection to the mail server, for one message.
type session struct {
	*Sender
	ctx     context.Context
	conn    net.Conn     // without TLS
	release func() bool  // from the end of ctx
	client  *smtp.Client // nil until the server has greeted
	hush    hush
	broken  bool // no answer came, so a farewell is no use
}

// dial connects. What is of m and its content is kept out of errors.
func (s *Sender) dial(ctx context.Context, m *Message, content []byte) (*session, error) {
	c := &session{Sender: s, ctx: ctx, hush: newHush(s.config, m, content)}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.config.Server)
	if err != nil {
		return nil, c.problem("connecting", err)
	}
	c.conn = &boundedConn{conn, maxAnswers}
	// The end of ctx ends all waiting for the server.
	c.release = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	return c, nil
}

// close says farewell where that makes sense.
func (c *session) close() {
	if c.client != nil && !c.broken {
		_ = c.client.Quit() // the message is with the server or refused, whatever this says
	}
	c.release()
	_ = c.conn.Close()
}

// try does one thing and makes its error one that says what was done.
func (c *session) try(doing string, do func() error) error {
	if err := do(); err != nil {
		return c.problem(doing, err)
	}
	return nil
}

// begin does all until the server would take a message.
func (c *session) begin() error {
	if err := c.greet(); err != nil {
		return err
	}
	if err := c.encrypt(); err != nil {
		return err
	}
	return c.login()
}

func (c *session) greet() error {
	conn := c.conn
	if c.config.TLS == ImplicitTLS {
		encrypted := tls.Client(conn, c.tls)
		if err := c.try(encrypting, func() error { return encrypted.HandshakeContext(c.ctx) }); err != nil {
			return err
		}
		conn = encrypted
	}
	return c.try(greeting, func() (err error) {
		if c.client, err = smtp.NewClient(conn, c.host); err != nil {
			return err
		}
		return c.client.Hello(c.helloName())
	})
}

// helloName is the name of this machine, or its address if it has no full name (RFC
// 5321 section 4.1.4).
func (c *session) helloName() string {
	if c.config.HelloName != "" {
		return c.config.HelloName
	}
	if name, err := os.Hostname(); err == nil && strings.Contains(name, ".") {
		return name
	}
	local, err := netip.ParseAddrPort(c.conn.LocalAddr().String())
	switch address := local.Addr().Unmap().WithZone(""); {
	case err != nil:
		return "localhost"
	case address.Is4():
		return "[" + address.String() + "]"
	default:
		return "[IPv6:" + address.String() + "]"
	}
}

func (c *session) encrypt() error {
	if c.config.TLS != StartTLS {
		return nil
	}
	if offered, _ := c.client.Extension("STARTTLS"); !offered {
		return c.problem(encrypting, errNoStartTLS)
	}
	return c.try(encrypting, func() error { return c.client.StartTLS(c.tls) })
}

// mechanisms are the ways to log in, best first. With TLS there is nothing that those
// which hide the password are better for, and servers offer them that cannot do them
// with the passwords they have.
var mechanisms = []struct {
	name string
	auth func(c *session, user, password string) smtp.Auth
}{
	{"PLAIN", func(c *session, user, password string) smtp.Auth {
		return smtp.PlainAuth("", user, password, c.host, c.config.TLS == NoTLS)
	}},
	{"LOGIN", func(c *session, user, password string) smtp.Auth {
		return smtp.LoginAuth(user, password, c.host, c.config.TLS == NoTLS)
	}},
	{"SCRAM-SHA-256", func(_ *session, user, password string) smtp.Auth { return smtp.ScramSHA256Auth(user, password) }},
	{"SCRAM-SHA-1", func(_ *session, user, password string) smtp.Auth { return smtp.ScramSHA1Auth(user, password) }},
	{"CRAM-MD5", func(_ *session, user, password string) smtp.Auth { return smtp.CRAMMD5Auth(user, password) }},
}

func (c *session) login() error {
	if c.config.User == "" {
		return nil
	}
	offered, list := c.client.Extension("AUTH")
	if !offered {
		return c.problem(loggingIn, errNoLogin)
	}
	for _, m := range mechanisms {
		if slices.Contains(strings.Fields(strings.ToUpper(list)), m.name) {
			return c.try(loggingIn, func() error { return c.client.Auth(m.auth(c, c.config.User, c.config.Password.reveal())) })
		}
	}
	return c.problem(loggingIn, fmt.Errorf("%w: it offers %.100q", errNoMechanism, list))
}

// submit hands a composed message over (RFC 5321 section 3.3).
func (c *session) submit(to string, content []byte) error {
	international := !isASCII(to)
	if offered, _ := c.client.Extension("SMTPUTF8"); international && !offered {
		return c.problem(recipient, errNoUTF8)
	}
	// A message that says it needs SMTPUTF8 is not passed on to servers without.
	c.client.SkipSMTPUTF8(!international)
	if err := c.try(sender, func() error { return c.client.Mail("<" + c.from.Address + ">") }); err != nil {
		return err
	}
	if err := c.try(recipient, func() error { return c.client.Rcpt("<" + to + ">") }); err != nil {
		return err
	}
	return c.try(handingOver, func() error {
		w, err := c.client.Data()
		if err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
		return w.Close()
	})
}

// boundedConn ends when too much was read.
type boundedConn struct {
	net.Conn
	left int
}

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errManyAnswers
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// answerOf returns what the server said, or nil when the error is none of its
// answers.
func answerOf(err error) *textproto.Error {
	var answer *textproto.Error
	_ = errors.As(err, &answer)
	return answer
}
