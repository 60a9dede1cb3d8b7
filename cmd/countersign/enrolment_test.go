package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/otp/oath"
	"countersign/tms/enrol"
	"countersign/tms/mail/mailtest"
)

// installEnrolment is an installation whose users come to a token by themselves,
// with the pages for users and a mail server. More are further settings.
func installEnrolment(t *testing.T, sink *mailtest.Sink, directory, more string) *installation {
	t.Helper()
	in := install(t, "")
	in.pages = freePort(t, "tcp")
	in.rewrite("mode = \"create-token\"\nchallenge = true\n", fmt.Sprintf(`listen_https = %q
url = "https://localhost:%d"
[mail]
server = %q
ca_file = %q
user = %q
password = %q
from = "IT Service <otp@example.org>"
%s
%s`, in.pages, in.pages.Port(), sink.Addr, sink.CAFile, sink.User, sink.Password, more, directory))
	return in
}

// reply is an answer as radclient prints it.
type reply struct {
	*installation
	text, message, state string
}

var (
	replyMessage = regexp.MustCompile(`(?m)^\tReply-Message = "(.*)"$`)
	replyState   = regexp.MustCompile(`(?m)^\tState = (0x[0-9a-f]+)$`)
)

// dial sends a password, and the State of an answer when it goes on with that.
func (in *installation) dial(user, typed string, before ...*reply) *reply {
	in.Helper()
	attributes := []string{fmt.Sprintf("User-Name = %q", user), password(typed)}
	for _, r := range before {
		attributes = append(attributes, "State = "+r.state)
	}
	r := &reply{installation: in, text: in.radclient(attributes...)}
	for _, m := range replyMessage.FindAllStringSubmatch(received(r.text), -1) {
		r.message += m[1]
	}
	if m := replyState.FindStringSubmatch(received(r.text)); m != nil {
		r.state = m[1]
	}
	return r
}

// received is what radclient printed of the answer.
func received(text string) string {
	_, after, _ := strings.Cut(text, "Received ")
	return after
}

// then answers a prompt.
func (r *reply) then(user, typed string) *reply {
	r.Helper()
	return r.dial(user, typed, r)
}

// want demands the kind of an answer, and what its message says.
func (r *reply) want(code string, says ...string) *reply {
	r.Helper()
	if !strings.HasPrefix(received(r.text), code) {
		r.Fatalf("want %s, got\n%s\n%s", code, r.text, r.log)
	}
	contains(r.T, r.message, says...)
	return r
}

// asked demands an Access-Challenge that says something.
func (r *reply) asked(says ...string) *reply {
	r.Helper()
	r.want("Access-Challenge", says...)
	if r.state == "" {
		r.Fatalf("a challenge without State:\n%s", r.text)
	}
	return r
}

// mails waits until the mail server has so many mails.
func (in *installation) mails(sink *mailtest.Sink, n int) []mailtest.Parsed {
	in.Helper()
	in.await(fmt.Sprintf("%d mails", n), func() bool { return len(sink.Messages(in.T)) >= n })
	all := sink.Messages(in.T)
	if len(all) != n {
		in.Fatalf("%d mails, want %d", len(all), n)
	}
	return all
}

// browser is a browser without scripts, on the pages for users.
type browser struct {
	*installation
	client *http.Client
	base   string
	page   string // what is shown
	at     *url.URL
}

func (in *installation) browser() *browser {
	in.Helper()
	certificate, err := os.ReadFile(filepath.Join(in.dir, "data", "web-certificate.pem"))
	if err != nil {
		in.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	jar, _ := cookiejar.New(nil)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	in.Cleanup(transport.CloseIdleConnections)
	return &browser{installation: in, client: &http.Client{Jar: jar, Transport: transport}, base: fmt.Sprintf("https://localhost:%d", in.pages.Port())}
}

func (b *browser) open(address string) *browser {
	b.Helper()
	return b.take(b.client.Get(address))
}

// submit sends the form of the page that posts to an action, with its hidden fields.
func (b *browser) submit(action string, fields ...string) *browser {
	b.Helper()
	form := url.Values{}
	for _, m := range regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`).FindAllString(b.page, -1) {
		form.Set(attributeOf(m, "name"), attributeOf(m, "value"))
	}
	for i := 0; i < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	return b.take(b.client.PostForm(b.base+action, form))
}

func attributeOf(tag, name string) string {
	if m := regexp.MustCompile(name + `="([^"]*)"`).FindStringSubmatch(tag); m != nil {
		return html.UnescapeString(m[1])
	}
	return ""
}

func (b *browser) take(response *http.Response, err error) *browser {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		b.Fatal(err)
	}
	b.page, b.at = string(text), response.Request.URL
	return b
}

// token reads the token off the activation page.
func (b *browser) token() (shows func(steps int) string) {
	b.Helper()
	m := regexp.MustCompile(`href="(otpauth:[^"]+)"`).FindStringSubmatch(b.page)
	if m == nil {
		b.Fatalf("no otpauth URI on\n%s", b.page)
	}
	token, _, err := enrol.ParseURI(html.UnescapeString(m[1]))
	if err != nil {
		b.Fatal(err)
	}
	return func(steps int) string {
		at := time.Now().Add(time.Duration(steps) * time.Duration(token.Period) * time.Second)
		return oath.TOTP(token.Algorithm, token.Seed, at, token.T0, token.Period, int(token.Digits))
	}
}

var activationLink = regexp.MustCompile(`https://localhost:\d+/activate/\S+`)

// From the first login with the directory password, over PIN, address, mail, link and
// page, to the first login with OTP PIN and eToken.
func TestEnrolment(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	_, directory := staff(t)
	sink := mailtest.StartSink(t, mailtest.StartTLS)
	in := installEnrolment(t, sink, directory, "[enrol]\nmail_domains = [\"example.org\"]\n")
	in.start()

	in.dial("bob", "wrong").want("Access-Reject")
	r := in.dial("bob", anyPassword).asked("Choose any four digits as OTP PIN")
	r = r.then("bob", "1234").asked("OTP PIN") // too easy
	r = r.then("bob", "4711").asked()
	r = r.then("bob", "4712").asked("OTP PIN") // not alike
	r = r.then("bob", "4711").asked()
	r = r.then("bob", "4711").asked("e-mail")
	r = r.then("bob", "bob@elsewhere.example").asked("e-mail")
	r = r.then("bob", "bob@example.org").asked("eToken")
	contains(t, in.run("", "invitation", "list"), "bob", "bob@example.org", "server@loopback")

	m := in.mails(sink, 1)[0]
	if m.User != sink.User || !m.TLS || m.To[0] != "bob@example.org" {
		t.Errorf("the mail came as %+v", m.Envelope)
	}
	b := in.browser().open(activationLink.FindString(m.Text))
	if strings.Contains(b.page, "bob") {
		t.Error("whoever opens the link learns whose it is")
	}
	shows := b.submit("/activate").token()
	contains(t, b.submit("/activation", "code", "000000").page, "not what the token shows")
	contains(t, b.submit("/activation", "code", shows(0)).page, "OTP PIN")
	r.then("bob", "4711"+shows(0)).want("Access-Reject") // the page has used it
	in.dial("bob", "4711"+shows(1)).want("Access-Accept")
	in.dial("bob", anyPassword).want("Access-Reject")
	contains(t, in.run("", "token", "list"), "bob", "totp", "active")
	if again := in.browser().open(activationLink.FindString(m.Text)).submit("/activate"); strings.Contains(again.page, "otpauth") {
		t.Error("the link opened twice")
	}
	if waiting := in.run("", "invitation", "list"); strings.Contains(waiting, "bob") {
		t.Errorf("still invited:\n%s", waiting)
	}
	in.mails(sink, 2) // and one that the token is in use
	in.noSecrets("4711", m.Text)
}

// noSecrets demands that neither PINs nor the link of a mail are in the log or the
// journal.
func (in *installation) noSecrets(pin, mail string) {
	in.Helper()
	_, link, _ := strings.Cut(activationLink.FindString(mail), "/activate/")
	told := in.log.String() + in.run("", "event", "list", "--json")
	for _, secret := range []string{link, "\"" + pin + "\""} {
		if secret != "" && strings.Contains(told, secret) {
			in.Errorf("%q was told:\n%s", secret, told)
		}
	}
}

// A gateway without prompts: the login is refused, the mail goes out, and the PIN is
// chosen on the page. Once the token is there the login works.
func TestEnrolmentWithoutChallenges(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	ldap, directory := staff(t)
	ldap.Modify("dn: uid=bob,ou=people,dc=example,dc=org\nchangetype: modify\nadd: mail\nmail: bob@example.org\n")
	sink := mailtest.StartSink(t, mailtest.ImplicitTLS)
	in := installEnrolment(t, sink, directory, "tls = \"tls\"\n[enrol]\nlanguage = \"de\"\n")
	in.nasKeys = "mode = \"create-token\"\n"
	in.change("challenge = true\n", "")
	in.start()
	in.dial("alice", anyPassword).want("Access-Reject", "Helpdesk") // has no address
	for range 3 {
		in.dial("bob", anyPassword).want("Access-Reject", "E-Mail")
	}
	m := in.mails(sink, 1)[0]
	b := in.browser().open(activationLink.FindString(m.Text))
	shows := b.submit("/activate").token()
	b.submit("/activation", "pin", "4711", "pin2", "4711", "code", shows(0))
	in.dial("bob", "4711"+shows(1)).want("Access-Accept")
}

// change replaces a part of the configuration.
func (in *installation) change(old, new string) {
	in.Helper()
	text, err := os.ReadFile(in.config)
	if err != nil || !strings.Contains(string(text), old) {
		in.Fatalf("%v: no %q in the configuration", err, old)
	}
	in.file("countersign.toml", strings.ReplaceAll(string(text), old, new))
}

// The mail server is dead, and so is the server, twice: in the middle of the dialog,
// and between the commit and the mail. In the end there is exactly one mail.
func TestOneMailAfterCrashes(t *testing.T) {
	need(t, "radclient", "/usr/sbin/slapd")
	_, directory := staff(t)
	sink := mailtest.StartSink(t, mailtest.StartTLS)
	sink.Kill()
	in := installEnrolment(t, sink, directory, "[enrol]\nmail_domains = [\"*\"]\n")
	in.start()
	r := in.dial("bob", anyPassword).asked()
	r = r.then("bob", "4711").asked()
	in.kill()
	in.start()
	mail := r.then("bob", "4711").asked("e-mail")
	last := mail.then("bob", "bob@example.org").asked("eToken")
	in.kill()
	in.start()
	mail.then("bob", "bob@example.org").asked("eToken") // the gateway repeats what got no answer
	last.then("bob", "4711000000").asked()
	contains(t, in.run("", "mail", "list"), "invitation", "bob@example.org")
	sink.Restart() // a mail that somebody was about to send when he was killed is taken up within a minute
	m := in.mails(sink, 1)[0]
	in.await("an empty outbox", func() bool { return !strings.Contains(in.run("", "mail", "list"), "bob") })
	in.mails(sink, 1)
	shows := in.browser().open(activationLink.FindString(m.Text)).submit("/activate").token()
	last.then("bob", "4711"+shows(0)).want("Access-Accept") // the page is not needed for the first code
	in.dial("bob", "4711"+shows(0)).want("Access-Reject")
}

// Invited by the administrator, a user of the store alone comes to a token too.
func TestInvitation(t *testing.T) {
	need(t, "radclient")
	sink := mailtest.StartSink(t, mailtest.StartTLS)
	in := installEnrolment(t, sink, "", "")
	in.change("mode = \"create-token\"\n", "")
	in.start()
	in.run("", "user", "add", "alice", "--pin", "4711")
	contains(t, in.run("", "token", "invite", "alice"), "no mail was sent")
	contains(t, in.run("", "token", "invite", "alice", "--mail", "alice@example.org"), "by mail to alice@example.org")
	m := in.mails(sink, 1)[0]
	shows := in.browser().open(activationLink.FindString(m.Text)).submit("/activate").token()
	in.dial("alice", "4711000000").want("Access-Reject")
	in.dial("alice", "4711"+shows(0)).want("Access-Accept")
	in.dial("alice", "4711"+shows(0)).want("Access-Reject")

	var token struct{ Serial string }
	if err := json.Unmarshal([]byte(in.run("", "token", "list", "--json")), &token); err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^  (\d{8})$`).FindAllStringSubmatch(in.run("", "token", "recovery-codes", "alice"), -1)
	if len(codes) != 10 {
		t.Fatalf("%d recovery codes", len(codes))
	}
	in.dial("alice", "4711"+codes[0][1]).want("Access-Accept")
	in.dial("alice", "4711"+codes[0][1]).want("Access-Reject")
	in.dial("alice", "4711"+codes[3][1]).want("Access-Accept")
	temporary := regexp.MustCompile(`(?m)^  (\d{8})$`).FindAllStringSubmatch(in.run("", "token", "temporary-codes", "alice", "--count", "2"), -1)
	in.dial("alice", "4711"+temporary[1][1]).want("Access-Accept")
	contains(t, in.run("", "token", "lost", token.Serial, "--show"), "out of use", "activation link: https://localhost:")
	in.dial("alice", "4711"+shows(1)).want("Access-Reject")
	in.run("", "invitation", "withdraw", "alice")
	if out, status := in.try("", "invitation", "withdraw", "alice"); status == 0 {
		t.Errorf("withdrawn twice:\n%s", out)
	}
}
