package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/tms/mail/mailtest"
)

// TestModes sends to a real server in all ways, and verifies what arrived.
func TestModes(t *testing.T) {
	for mode, way := range map[mailtest.Mode]TLS{mailtest.Plain: NoTLS, mailtest.StartTLS: StartTLS, mailtest.ImplicitTLS: ImplicitTLS} {
		t.Run(string(mode), func(t *testing.T) {
			sink := mailtest.StartSink(t, mode)
			c := configFor(sink, way)
			c.ReplyTo = "Helpdesk <help@example.com>"
			s := newSender(t, c)
			if err := s.Check(background); err != nil {
				t.Fatal(err)
			}
			if got := sink.Messages(t); len(got) != 0 {
				t.Fatalf("Check sent %d messages", len(got))
			}
			if err := s.Send(background, letter()); err != nil {
				t.Fatal(err)
			}
			messages := sink.Messages(t)
			if len(messages) != 1 {
				t.Fatalf("%d messages came", len(messages))
			}
			checkLetter(t, messages[0])
			if user := messages[0].User; messages[0].TLS != (way != NoTLS) || user != c.User {
				t.Errorf("TLS %v, logged in as %q", messages[0].TLS, user)
			}
		})
	}
}

func checkLetter(t *testing.T, m mailtest.Parsed) {
	t.Helper()
	want := letter()
	if m.Envelope.From != "otp@example.com" || fmt.Sprint(m.To) != "[alice@example.com]" {
		t.Errorf("the envelope is from %q to %q", m.Envelope.From, m.To)
	}
	if m.Subject != want.Subject || m.Text != want.Text || m.HTML != want.HTML {
		t.Errorf("subject %q, text %q, HTML %q", m.Subject, m.Text, m.HTML)
	}
	if m.Structure != "multipart/alternative(text/plain text/html)" {
		t.Errorf("it is %s", m.Structure)
	}
	for key, value := range map[string]string{
		"Date": "Tue, 31 Mar 2026 14:30:00 +0200", "Message-Id": "<1.a@otp.example.com>", "Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All",
		"To": "<alice@example.com>", "Reply-To": `"Helpdesk" <help@example.com>`, "Mime-Version": "1.0", "User-Agent": "", "X-Mailer": "",
	} {
		if got := m.Header.Get(key); got != value {
			t.Errorf("%s is %q, not %q", key, got, value)
		}
	}
	from, err := m.Header.AddressList("From")
	if err != nil || len(from) != 1 || from[0].Name != "IT-Service Süd" || from[0].Address != "otp@example.com" {
		t.Errorf("it is from %v, %v", from, err)
	}
}

// TestContent sends what is hard to send, and verifies that not a byte changed.
func TestContent(t *testing.T) {
	sink := mailtest.StartSink(t, mailtest.StartTLS)
	s := newSender(t, configFor(sink, StartTLS))
	m := letter()
	m.To = "jürgen.groß@example.com"
	m.Subject = "Ihr Token für die Anmeldung ist bereit, Jürgen Groß — 準備完了 🔑 " + strings.Repeat("sehr langer Betreff ", 8) + "Ende"
	m.Text = "Grüße\n.\n.. zwei Punkte\nFrom here\n" + strings.Repeat("lang ", 300) + "\n" + strings.Repeat("€", 2000) + "\n  innen = 3D  \n"
	m.HTML = "<p>Grüße = 100 %, " + strings.Repeat("x", 3000) + "</p>\n.\n"
	binary := make([]byte, 70_001)
	for i := range binary {
		binary[i] = byte(i * i >> 3)
	}
	m.Attachments = []Attachment{{Name: "4F21.pskcxml", Type: "application/pskc+xml", Data: []byte("<?xml?>\r\n.\r\n\n")}, {Name: "Schlüssel für Jürgen.bin", Type: "application/octet-stream", Data: binary}}
	if err := s.Send(background, m); err != nil {
		t.Fatal(err)
	}
	got := sink.Messages(t)[0]
	if got.Subject != m.Subject || got.Text != m.Text || got.HTML != m.HTML || got.To[0] != m.To {
		t.Errorf("subject %q, text %.200q, HTML %.100q, to %q", got.Subject, got.Text, got.HTML, got.To)
	}
	if got.Structure != "multipart/mixed(multipart/alternative(text/plain text/html) application/pskc+xml application/octet-stream)" {
		t.Errorf("it is %s", got.Structure)
	}
	for i, want := range m.Attachments {
		if a := got.Attachments[i]; a.Name != want.Name || a.Type != want.Type || !bytes.Equal(a.Data, want.Data) {
			t.Errorf("attachment %d is %q of %q with %d bytes", i, a.Name, a.Type, len(a.Data))
		}
	}
	for i, line := range strings.Split(string(got.Raw), "\r\n") {
		if len(line) > 998 || strings.ContainsAny(line, "\r\n") || strings.Contains(line, "Subject") && !isASCII(line) {
			t.Errorf("line %d is none of a mail: %.100q", i+1, line)
		}
	}
	if options := strings.Join(got.Options, " "); !strings.Contains(options, "SMTPUTF8") {
		t.Errorf("an address that needs SMTPUTF8 was sent with %q", options)
	}
}

// TestSMTPUTF8 is not asked for where it is not needed: a server that takes it could
// not pass the message on to one that does not.
func TestSMTPUTF8(t *testing.T) {
	sink := mailtest.StartSink(t, mailtest.Plain)
	if err := newSender(t, configFor(sink, NoTLS)).Send(background, letter()); err != nil {
		t.Fatal(err)
	}
	if options := fmt.Sprint(sink.Messages(t)[0].Options); strings.Contains(options, "SMTPUTF8") {
		t.Errorf("the options are %s", options)
	}
	old := startPuppet(t, polite(nil))
	m := letter()
	m.To = "jürgen@example.com"
	demand(t, newSender(t, puppetConfig(old)).Send(background, m), true, "only addresses in ASCII")
}

// TestRefusals tells what is for good from what is not.
func TestRefusals(t *testing.T) {
	sink := mailtest.StartSink(t, mailtest.StartTLS)
	s := newSender(t, configFor(sink, StartTLS))
	for _, test := range []struct {
		to      string
		refused bool
		words   []string
	}{
		{"nobody@example.com", true, []string{"naming the recipient", "550", "there is no such user"}},
		{"later@example.com", false, []string{"naming the recipient", "451", "try again later"}},
		{"content@example.com", true, []string{"handing over the message", "554", "this content is not wanted"}},
		{"no address", true, []string{"composing", "recipient"}},
	} {
		m := letter()
		m.To = test.to
		demand(t, s.Send(background, m), test.refused, test.words...)
	}
	c := configFor(sink, StartTLS)
	c.From = "nobody@example.com"
	demand(t, newSender(t, c).Send(background, letter()), false, "naming the sender", "verify from", "nobody@example.com")
	if got := sink.Messages(t); len(got) != 0 {
		t.Errorf("%d messages came", len(got))
	}
	if err := s.Send(background, letter()); err != nil { // nothing of that stays
		t.Error(err)
	}
}

// TestWrongSettings says what is wrong and how to mend it, in Send and in Check.
func TestWrongSettings(t *testing.T) {
	startTLS, implicit, plain := mailtest.StartSink(t, mailtest.StartTLS), mailtest.StartSink(t, mailtest.ImplicitTLS), mailtest.StartSink(t, mailtest.Plain)
	change := func(c Config, change func(*Config)) Config { change(&c); return c }
	base := configFor(startTLS, StartTLS)
	for name, test := range map[string]struct {
		config Config
		words  []string
	}{
		"wrong password":         {change(base, func(c *Config) { c.Password = NewPassword([]byte(planted)) }), []string{"logging in", "535", "verify user and password_file"}},
		"wrong password, smtps":  {change(configFor(implicit, ImplicitTLS), func(c *Config) { c.Password = NewPassword([]byte(planted)) }), []string{"logging in", "535"}},
		"untrusted":              {change(base, func(c *Config) { c.CAFile = "" }), []string{"beginning TLS", "unknown authority", "set ca_file"}},
		"untrusted, smtps":       {change(configFor(implicit, ImplicitTLS), func(c *Config) { c.CAFile = startTLS.CAFile }), []string{"beginning TLS", "set ca_file"}},
		"another name":           {change(base, func(c *Config) { c.Server = strings.Replace(c.Server, "127.0.0.1", "localhost", 1) }), []string{"beginning TLS", "localhost", "a name that the certificate has"}},
		"no STARTTLS":            {configFor(plain, StartTLS), []string{"it offers no STARTTLS", `tls = "tls"`}},
		"TLS where there's none": {change(configFor(plain, ImplicitTLS), func(c *Config) { c.CAFile = startTLS.CAFile }), []string{"beginning TLS", `tls = "starttls"`}},
		"no login offered":       {change(configFor(plain, NoTLS), func(c *Config) { c.User, c.Password = "mailer", NewPassword([]byte("x")) }), []string{"it offers no login", "leave user out"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSender(t, test.config)
			for _, err := range []error{s.Check(background), s.Send(background, letter())} {
				demand(t, err, false, append(test.words, test.config.Server)...)
				if strings.Contains(err.Error(), planted) {
					t.Errorf("the password is in: %v", err)
				}
			}
		})
	}
	anonymous := change(base, func(c *Config) { c.User, c.Password = "", Password{} })
	demand(t, newSender(t, anonymous).Send(background, letter()), false, "530", "set user and password_file")
}

// TestOutage is of a server that dies and comes back: nothing is for good, and each
// message that was taken is there once.
func TestOutage(t *testing.T) {
	sink := mailtest.StartSink(t, mailtest.StartTLS)
	s := newSender(t, configFor(sink, StartTLS))
	first, second := letter(), letter()
	second.ID = "2.a@otp.example.com"
	if err := s.Send(background, first); err != nil {
		t.Fatal(err)
	}
	sink.Kill()
	demand(t, s.Send(background, second), false, "connecting", "nothing listens there")
	demand(t, s.Check(background), false, "nothing listens there")
	sink.Restart()
	if err := s.Send(background, second); err != nil {
		t.Fatal(err)
	}
	messages := sink.Messages(t)
	if len(messages) != 2 || messages[1].Header.Get("Message-Id") != "<2.a@otp.example.com>" {
		t.Errorf("%d messages came", len(messages))
	}
}

// TestSilence is of a server that accepts and says nothing, until the caller or the
// timeout ends it.
func TestSilence(t *testing.T) {
	heard := make(chan struct{}, 2)
	p := startPuppet(t, func(string) string { heard <- struct{}{}; return "" })
	c := puppetConfig(p)
	ctx, cancel := context.WithCancel(background)
	go func() { <-heard; cancel() }()
	err := newSender(t, c).Send(ctx, letter())
	demand(t, err, false, "canceled")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap the end of the context", err)
	}
	c.Timeout = time.Millisecond
	err = newSender(t, c).Check(background)
	demand(t, err, false, "it was not done within 1ms")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not wrap the end of the time", err)
	}
}

// TestSilenceLater is of one that stops answering in the middle.
func TestSilenceLater(t *testing.T) {
	for _, word := range []string{"EHLO", "AUTH", "MAIL", "RCPT", "DATA", "."} {
		ctx, cancel := context.WithCancel(background)
		answer := polite(nil)
		p := startPuppet(t, func(line string) string {
			said := answer(line)
			if strings.HasPrefix(line, word) {
				cancel()
				return ""
			}
			return said
		})
		demand(t, newSender(t, puppetConfig(p)).Send(ctx, letter()), false, "canceled")
		if word != "." && strings.Contains(p.lines(), "\n.\n") {
			t.Errorf("silence after %s: a message was ended\n%s", word, p.lines())
		}
		cancel()
	}
}

// TestFarewell is of a server that takes the message and then fails: the message is
// with it, and must not be sent again.
func TestFarewell(t *testing.T) {
	p := startPuppet(t, polite(map[string]string{"QUIT": "421 4.3.0 out of order\r\n"}))
	if err := newSender(t, puppetConfig(p)).Send(background, letter()); err != nil {
		t.Error(err)
	}
	if !strings.HasSuffix(p.lines(), "\n.\nQUIT") {
		t.Errorf("it heard\n%s", p.lines())
	}
}

// TestFlood is of a server that never stops talking.
func TestFlood(t *testing.T) {
	p := startPuppet(t, func(string) string { return strings.Repeat("220-hello\r\n", maxAnswers/10) })
	demand(t, newSender(t, puppetConfig(p)).Send(background, letter()), false, errManyAnswers.Error())
}

// TestMechanisms logs in by what a server offers.
func TestMechanisms(t *testing.T) {
	for offer, want := range map[string]string{
		"PLAIN LOGIN": "AUTH PLAIN ", "NTLM login": "AUTH LOGIN", "SCRAM-SHA-1 SCRAM-SHA-256": "AUTH SCRAM-SHA-256", "CRAM-MD5 GSSAPI": "AUTH CRAM-MD5",
	} {
		p := startPuppet(t, polite(map[string]string{"EHLO": "250-puppet\r\n250 AUTH " + offer + "\r\n", "AUTH": "504 5.5.4 not so\r\n"}))
		demand(t, newSender(t, puppetConfig(p)).Check(background), false, "logging in", "504")
		if !strings.Contains(p.lines(), want) {
			t.Errorf("%s: it heard\n%s", offer, p.lines())
		}
	}
	p := startPuppet(t, polite(map[string]string{"EHLO": "250-puppet\r\n250 AUTH GSSAPI\r\n"}))
	demand(t, newSender(t, puppetConfig(p)).Check(background), false, "no way to log in", "GSSAPI", "PLAIN or LOGIN")
}

// TestHelloName is a full name or an address.
func TestHelloName(t *testing.T) {
	p := startPuppet(t, polite(nil))
	c := puppetConfig(p)
	for _, name := range []string{"", "otp.example.com"} {
		c.HelloName = name
		if err := newSender(t, c).Check(background); err != nil {
			t.Fatal(err)
		}
	}
	own, second := strings.Fields(p.lines())[1], "EHLO otp.example.com"
	if literal := strings.Trim(own, "[]"); !strings.Contains(own, ".") || own != literal && net.ParseIP(literal) == nil {
		t.Errorf("it called itself %q", own)
	}
	if !strings.Contains(p.lines(), second) {
		t.Errorf("it heard\n%s", p.lines())
	}
}

// TestTogether sends from many goroutines.
func TestTogether(t *testing.T) {
	sink := mailtest.StartSink(t, mailtest.Plain)
	s := newSender(t, configFor(sink, NoTLS))
	const count = 8
	var group sync.WaitGroup
	for i := range count {
		group.Go(func() {
			m := letter()
			m.ID = fmt.Sprintf("%d.together@otp.example.com", i)
			if err := s.Send(background, m); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	seen := make(map[string]bool)
	for _, m := range sink.Messages(t) {
		seen[m.Header.Get("Message-Id")] = true
	}
	if len(seen) != count {
		t.Errorf("%d different messages came", len(seen))
	}
}
