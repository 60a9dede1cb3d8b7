package conf

import (
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
)

// Web is the table [web]: the status page, and the pages for users.
type Web struct {
	// Listen are the TCP addresses of the status page, over plain HTTP. None turns
	// it off.
	Listen []netip.AddrPort `toml:"listen"`

	// ListenHTTPS are the TCP addresses of the pages for users: activation,
	// self-service, and the downloads of the token client. None turns them off.
	ListenHTTPS []netip.AddrPort `toml:"listen_https"`

	// URL is how users reach ListenHTTPS: https, a host, and a port if it is not
	// 443. Links in mails begin with it.
	URL string `toml:"url"`

	// CertificateFile and KeyFile are the certificate of ListenHTTPS, with its
	// chain, and its private key (PEM). Without them the server makes a certificate
	// and logs its fingerprint. A file that has changed is read again.
	CertificateFile string `toml:"certificate_file"`
	KeyFile         string `toml:"key_file"`

	// ClientDir is the folder of the token clients that may be downloaded. "" is
	// none.
	ClientDir string `toml:"client_dir"`
}

// Mail is the table [mail]: who takes the mails that the server sends.
type Mail struct {
	// Server is a mail server, HOST:PORT. "" sends no mail.
	Server string `toml:"server"`

	// TLS is how the connection is encrypted.
	TLS MailTLS `toml:"tls" oneof:"starttls tls none"`

	// CAFile is a file of certificates (PEM) that the server's is verified by; ""
	// is those that the system trusts.
	CAFile string `toml:"ca_file"`

	// User is the account to log in with; "" does not log in.
	User string `toml:"user"`

	// Password is its password, 1 to 256 bytes, wherever it was read from.
	Password Secret `toml:"password"`

	// PasswordFile is a file with the password as its only line. Not both it and
	// Password are in the file. Accounts that are neither its owner nor of its
	// group must have no access.
	PasswordFile string `toml:"password_file"`

	// From is the sender, an address with or without a name.
	From string `toml:"from"`

	// ReplyTo is where answers go; "" is From.
	ReplyTo string `toml:"reply_to"`

	// Timeout is how long sending one mail may take.
	Timeout time.Duration `toml:"timeout" bounds:"1s to 5m"`
}

// MailTLS is how a connection to a mail server is encrypted.
type MailTLS string

// The ways of Mail.TLS.
const (
	MailStartTLS MailTLS = "starttls" // after STARTTLS, which is demanded
	MailTLSOnly  MailTLS = "tls"      // from the first byte (RFC 8314)
	MailNoTLS    MailTLS = "none"
)

// Enrol is the table [enrol]: how users come to a token.
type Enrol struct {
	// Style is what the mail of an invitation has.
	Style EnrolStyle `toml:"style" oneof:"link seed-file"`

	// ActivationKeyInMail puts the Activation Key in the same mail as the seed
	// file. Who reads that mail then has the token.
	ActivationKeyInMail bool `toml:"activation_key_in_mail"`

	// Language is that of mails and dialogs, and of pages where the browser asks
	// for neither.
	Language Language `toml:"language" oneof:"en de"`

	// Templates is a folder with mail templates instead of the built-in ones; "" is
	// none.
	Templates string `toml:"templates"`

	// MailDomains are the domains of addresses that users may enter when the
	// directory has none of theirs, or "*" for any. None asks for none.
	MailDomains []string `toml:"mail_domains"`

	// MaxMails is how many invitations a user may get by mail in a day.
	MaxMails int `toml:"max_mails" bounds:"1 to 1000"`

	// Issuer is what token apps, mails and pages call this service, 1 to 64 bytes.
	Issuer string `toml:"issuer"`

	// DialogTime is how long the dialog at the login may take.
	DialogTime time.Duration `toml:"dialog_time" bounds:"1m to 1h"`

	// Valid is how long an invitation may be taken up.
	Valid time.Duration `toml:"valid" bounds:"5m to 720h"`

	// Remind is how long before its end a reminder is sent; "0s" sends none. Below
	// valid.
	Remind time.Duration `toml:"remind" bounds:"0s to 720h"`

	// WeakPINs allows OTP PINs that are guessed first.
	WeakPINs bool `toml:"weak_pins"`

	// RefusedPINs are OTP PINs that nobody may choose.
	RefusedPINs []string `toml:"refused_pins"`

	// NoPIN: users get no OTP PIN, and the code alone is the passcode.
	NoPIN bool `toml:"no_pin"`

	// RecoveryCodes is how many codes are on a list of recovery codes.
	RecoveryCodes int `toml:"recovery_codes" bounds:"1 to 50"`

	// TemporaryTime is how long codes from the helpdesk are accepted.
	TemporaryTime time.Duration `toml:"temporary_time" bounds:"10m to 720h"`

	// ClientURL is where users download the token client. "" is the page of this
	// server, if there is one.
	ClientURL string `toml:"client_url"`

	// Groups are the groups of the directories whose members may have an enrolled
	// token, as in an exclusion. None is every user of a directory.
	Groups []string `toml:"groups"`

	// Grace is how long after a user left Groups or the directory the enrolled
	// tokens are revoked.
	Grace time.Duration `toml:"grace" bounds:"0s to 8760h"`

	// CheckEvery is how often the directory is asked about that; "0s" is never.
	CheckEvery time.Duration `toml:"check_every" bounds:"0s to 168h"`
}

// EnrolStyle is what the mail of an invitation has.
type EnrolStyle string

// The styles of Enrol.Style.
const (
	StyleLink     EnrolStyle = "link"      // a link that is good once
	StyleSeedFile EnrolStyle = "seed-file" // the encrypted seed, as SafeNet's mails
)

// Language is a language that texts for users are there in.
type Language string

// The languages of Enrol.Language.
const (
	English Language = "en"
	German  Language = "de"
)

// defaultEnrol is the table [enrol] without keys.
func defaultEnrol() Enrol {
	return Enrol{
		Style:         StyleLink,
		Language:      English,
		MailDomains:   []string{},
		MaxMails:      5,
		Issuer:        "Countersign",
		DialogTime:    10 * time.Minute,
		Valid:         72 * time.Hour,
		Remind:        24 * time.Hour,
		RefusedPINs:   []string{},
		RecoveryCodes: 10,
		TemporaryTime: 24 * time.Hour,
		Groups:        []string{},
		Grace:         168 * time.Hour,
		CheckEvery:    time.Hour,
	}
}

// verifyWeb reports pages that nobody could reach, and half a certificate.
func (r *report) verifyWeb(w *Web) {
	if w.CertificateFile != "" && w.KeyFile == "" {
		r.addMissing("web.key_file", "the certificate has no private key", "name its file, or leave certificate_file out too")
	}
	if w.KeyFile != "" && w.CertificateFile == "" {
		r.addMissing("web.certificate_file", "the private key has no certificate", "name its file, or leave key_file out too")
	}
	if info, err := os.Stat(w.ClientDir); w.ClientDir != "" && (err != nil || !info.IsDir()) {
		r.add("web.client_dir", fmt.Sprintf("%q is not a folder", w.ClientDir), "make it with `scripts/build "+w.ClientDir+"`, or leave it out")
	}
	if wrong := verifyURL(w.URL, "https"); wrong != nil {
		r.add("web.url", wrong.problem, wrong.remedy)
	}
	if u, err := url.Parse(w.URL); err == nil && w.URL != "" && (strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "") {
		r.add("web.url", "has more than a host and a port", fmt.Sprintf("write %q", u.Scheme+"://"+u.Host))
	}
	if w.URL == "" && len(w.ListenHTTPS) > 0 {
		r.addMissing("web.url", "is not given, and links to the pages of listen_https need it", `say how users reach them, as url = "https://otp.example.com"`)
	}
}

// verifyURL tells what is wrong with a URL, if there is one, of one of the schemes.
func verifyURL(text string, schemes ...string) *complaint {
	if text == "" {
		return nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme):
		return &complaint{fmt.Sprintf("%q is no URL of %s and a host", text, strings.Join(schemes, " or ")), `write it as "https://otp.example.com:8443"`}
	case u.User != nil:
		return &complaint{"has a user name in it", "leave it out"}
	}
	return nil
}

// verifyMail reports mails that nobody would take.
func (r *report) verifyMail(m *Mail) {
	for key, address := range map[string]string{"mail.from": m.From, "mail.reply_to": m.ReplyTo} {
		if _, err := mail.ParseAddress(address); address != "" && err != nil {
			r.add(key, fmt.Sprintf("%q is no mail address", address), `write it as "otp@example.com" or "IT Service <otp@example.com>"`)
		}
	}
	if m.Server == "" {
		return
	}
	if host, port, err := net.SplitHostPort(m.Server); err != nil || host == "" || !isPort(port) {
		r.add("mail.server", fmt.Sprintf("%q is not a host and a port", m.Server), `write it as "smtp.example.com:587"`)
	}
	if m.From == "" {
		r.addMissing("mail.from", "the mails have no sender", `add from = "otp@example.com"`)
	}
	r.verifyMailAccount(m)
	if m.TLS == MailNoTLS && m.CAFile != "" {
		r.add("mail.ca_file", "the connection is not encrypted, so there is no certificate to verify", `write tls = "starttls", or leave it out`)
	}
}

// verifyMailAccount reports an account without password, a password without
// account, and one that would be sent in clear.
func (r *report) verifyMailAccount(m *Mail) {
	if r.has("mail.password") || r.has("mail.password_file") {
		return // who knows
	}
	switch password := m.PasswordFile != "" || m.Password.hidden != nil; {
	case m.User != "" && !password:
		r.add("mail.user", "the account has no password", `add password_file = "mail.password", a file with the password as its only line`)
	case m.User == "" && password:
		r.addMissing("mail.user", "there is no account that the password could be of", "add user, or leave the password out")
	case m.User != "" && m.TLS == MailNoTLS:
		r.add("mail.tls", "the password would be sent in clear", `write "starttls" or "tls", or leave user and password out`)
	}
}

// verifyEnrol reports ways to a token that lead nowhere.
func (c *Config) verifyEnrol(r *report) {
	e := &c.Enrol
	if e.Remind >= e.Valid {
		r.add("enrol.remind", fmt.Sprintf("%s is not below valid, %s", amount(e.Remind), amount(e.Valid)), `lower it, or write "0s" for no reminder`)
	}
	if !isName(e.Issuer) {
		r.add("enrol.issuer", fmt.Sprintf("%q is not a name of 1 to %d printable bytes without spaces around", e.Issuer, maxNameBytes), "choose another")
	}
	if wrong := verifyURL(e.ClientURL, "https", "http"); wrong != nil {
		r.add("enrol.client_url", wrong.problem, wrong.remedy)
	}
	for i, domain := range e.MailDomains {
		if domain == "*" {
			continue
		}
		if _, err := mail.ParseAddress("somebody@" + domain); err != nil || strings.ContainsAny(domain, "@<> ") {
			r.add(r.element("enrol.mail_domains", i), fmt.Sprintf("%q is not a domain", domain), `write what stands behind the @, as "example.com"`)
		}
	}
	if c.Mail.Server == "" {
		return
	}
	switch {
	case e.Style == StyleLink && len(c.Web.ListenHTTPS) == 0:
		r.addMissing("web.listen_https", `is not given, and in the style "link" mails have a link to the activation page`,
			`open it, as listen_https = "0.0.0.0:8443" with url, or write style = "seed-file" in [enrol]`)
	case e.Style == StyleSeedFile && c.Token.Type == TokenMobilePASS:
		r.addMissing("enrol.style", "the seed of a MobilePASS token is made by the user's app, so there is no seed file", `write "link"`)
	}
}
