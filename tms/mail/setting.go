package mail

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// TLS is how the connection to the mail server is encrypted.
type TLS uint8

// The ways. What a server's certificate has to be is the same for both with TLS.
const (
	StartTLS    TLS = iota // STARTTLS is demanded (RFC 3207)
	ImplicitTLS            // from the start, usually at port 465 (RFC 8314 section 3.3)
	NoTLS                  // in the clear
)

// DefaultTimeout is how long a message may take when the Config does not say.
const DefaultTimeout = 30 * time.Second

// Config says how to reach the mail server, and who writes.
type Config struct {
	Server    string // host:port
	TLS       TLS
	CAFile    string // PEM; "": the authorities that the system trusts
	User      string // "": there is no login
	Password  Password
	From      string        // otp@example.com or IT Service <otp@example.com>
	ReplyTo   string        // the same; "": none
	HelloName string        // what we are called in EHLO; "": the name of this machine, or its address
	Timeout   time.Duration // of one message; 0: DefaultTimeout
}

// SettingError says what is wrong with a setting, and how to mend it.
type SettingError struct {
	Setting string // as the configuration calls it
	Problem string
	Remedy  string
}

func (e *SettingError) Error() string {
	return fmt.Sprintf("%s: %s: %s", e.Setting, e.Problem, e.Remedy)
}

// inspector collects what is wrong with a Config.
type inspector struct{ faults []error }

func (i *inspector) fault(setting, problem, remedy string) {
	i.faults = append(i.faults, &SettingError{setting, problem, remedy})
}

// inspect verifies a Config and returns the Sender that it means.
func inspect(c Config) (*Sender, error) {
	i := new(inspector)
	s := &Sender{config: c, host: i.server(c.Server), timeout: c.Timeout}
	s.from, s.replyTo = i.address("from", c.From), new(mail.Address)
	if c.ReplyTo != "" {
		s.replyTo = i.address("reply_to", c.ReplyTo)
	}
	s.tls = &tls.Config{ServerName: s.host, RootCAs: i.authorities(c), MinVersion: tls.VersionTLS12}
	i.account(c, s.host)
	if strings.ContainsFunc(c.HelloName, func(r rune) bool { return r <= ' ' || r > '~' }) {
		i.fault("hello_name", fmt.Sprintf("%q is no name", c.HelloName), "write the full name of this machine, as otp.example.com")
	}
	if c.Timeout == 0 {
		s.timeout = DefaultTimeout
	}
	if c.Timeout < 0 {
		i.fault("timeout", "it is negative", "leave it out for the default")
	}
	return s, errors.Join(i.faults...)
}

func (i *inspector) server(server string) (host string) {
	host, port, err := net.SplitHostPort(server)
	number, numberErr := strconv.ParseUint(port, 10, 16)
	if err != nil || host == "" || numberErr != nil || number == 0 || strings.ContainsFunc(host, func(r rune) bool { return unicode.IsSpace(r) || r == '/' || r == '@' }) {
		i.fault("server", fmt.Sprintf("%q is no host with a port", server), "write it as smtp.example.com:587")
	}
	return host
}

func (i *inspector) address(setting, text string) *mail.Address {
	a, err := mail.ParseAddress(text)
	if err != nil || !isText(text) || checkAddress(a.Address) != nil || !isASCII(a.Address) {
		i.fault(setting, fmt.Sprintf("%q is no address", text), "write it as otp@example.com or IT Service <otp@example.com>")
		return new(mail.Address)
	}
	return a
}

func (i *inspector) authorities(c Config) *x509.CertPool {
	if int(c.TLS) > int(NoTLS) {
		i.fault("tls", "it is unknown", "choose starttls, tls or none")
	}
	if c.CAFile == "" {
		return nil // those of the system
	}
	content, err := os.ReadFile(c.CAFile)
	if err != nil {
		i.fault("ca_file", err.Error(), "name the PEM file of the CA that issued the server's certificate")
		return nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content) {
		i.fault("ca_file", "there is no certificate in "+c.CAFile, "name a file with -----BEGIN CERTIFICATE-----")
	}
	return pool
}

func (i *inspector) account(c Config, host string) {
	switch {
	case c.User != "" && c.Password.IsZero():
		i.fault("password_file", "user has no password", "name the file that has it, or leave user out to send without a login")
	case c.User == "" && !c.Password.IsZero():
		i.fault("user", "there is a password and no user", "name the user it belongs to")
	case !isText(c.User) || !isText(c.Password.reveal()):
		i.fault("user", "it or its password has control characters", "write both as text, the password as one line")
	case c.User != "" && c.TLS == NoTLS && !isLoopback(host):
		i.fault("tls", c.Server+" would be sent the password in the clear", "choose starttls or tls; only loopback needs neither")
	}
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && address.IsLoopback()
}
