package mail

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"net/textproto"
	"strings"
	"syscall"
	"testing"
)

func TestIsRefusal(t *testing.T) {
	for _, test := range []struct {
		doing string
		code  int
		text  string
		want  bool
	}{
		{recipient, 550, "5.1.1 <x@example.com>: Recipient address rejected: User unknown", true},
		{recipient, 550, "no such user here", true},
		{recipient, 550, "5.4.1 Recipient address rejected: Access denied", true}, // Exchange Online, of a user who is not there
		{recipient, 556, "5.1.10 null MX", true},
		{recipient, 553, "mailbox name not allowed", true},
		{recipient, 550, "5.2.1 mailbox disabled", true},
		{recipient, 552, "5.2.2 mailbox full", false},
		{recipient, 552, "mailbox full", false},
		{recipient, 554, "5.7.1 <x@example.com>: Relay access denied", false},
		{recipient, 550, "relaying is not permitted", false},
		{recipient, 550, "5.7.54 SMTP; Unable to relay recipient in non-accepted domain", false},
		{recipient, 550, "5.1.8 Sender address rejected: Domain not found", false},
		{recipient, 550, "5.1.7 bad sender", false},
		{recipient, 530, "5.7.0 Authentication required", false},
		{recipient, 503, "5.5.1 bad sequence of commands", false},
		{recipient, 554, "5.3.2 system is shutting down", false},
		{recipient, 450, "4.2.1 greylisted", false},
		{recipient, 421, "4.3.2 closing", false},
		{handingOver, 554, "5.7.1 this message looks like spam", true},
		{handingOver, 552, "5.2.3 message too large", true},
		{handingOver, 550, "5.6.0 bad content", true},
		{handingOver, 552, "message size exceeds the limit", true},
		{handingOver, 554, "5.3.0 out of order", false},
		{handingOver, 452, "4.3.1 insufficient storage", false},
		{sender, 550, "5.1.1 not you", false},
		{loggingIn, 550, "5.7.8 no", false},
		{greeting, 554, "no service here", false},
	} {
		if got := isRefusal(test.doing, &textproto.Error{Code: test.code, Msg: test.text}); got != test.want {
			t.Errorf("%s: %d %s: for good is %v", test.doing, test.code, test.text, got)
		}
	}
	if isRefusal(recipient, nil) {
		t.Error("no answer is for good")
	}
}

// TestHush is of servers that repeat what they were sent.
func TestHush(t *testing.T) {
	encoded := base64.StdEncoding.EncodeToString([]byte("\x00mailer\x00" + planted))
	m := letter()
	link := "https://otp.example.com/activate/0pLx2mVQ9sTz7dRk1aWc4uYhB8nEf6gJ3iOqKvXwMbs"
	m.Text, m.HTML = "Open this:\n"+link+"\nActivation Key: YZQHoczZWw3cBCNo\n", `<a href="`+link+`">here</a>`
	for word, answer := range map[string]string{
		"AUTH": "535 5.7.8 not " + encoded + " and not " + planted + " either\r\n",
		".":    "554-5.7.1 the link <" + link + "> is listed (0pLx2mVQ9sTz7dRk1aWc4uYh)\r\n554 5.7.1 and 'YZQHoczZWw3cBCNo' looks odd\r\n",
		"MAIL": "553 5.1.8 mail from otp.example.com is not taken\r\n",
	} {
		p := startPuppet(t, polite(map[string]string{word: answer}))
		err := newSender(t, puppetConfig(p)).Send(background, m)
		demand(t, err, word == ".", answer[:3])
		for _, secret := range []string{planted, encoded, "0pLx2mVQ9sTz7dRk1aWc4uYh", "YZQHoczZWw3cBCNo", "activate"} {
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%q is in: %v", secret, err)
			}
		}
		if word == "MAIL" && !strings.Contains(err.Error(), "otp.example.com is not taken") {
			t.Errorf("a name was taken out: %v", err)
		}
		if word != "MAIL" && !strings.Contains(err.Error(), redaction) {
			t.Errorf("nothing was taken out: %v", err)
		}
	}
}

func TestHushIsShort(t *testing.T) {
	got := hush{}.clean("a\r\n\tb\x00"+strings.Repeat("ü", 1000), false)
	if len(got) > maxAnswer+3 || !strings.HasPrefix(got, "a b ü") || !strings.HasSuffix(got, "ü...") || !isText(got) {
		t.Errorf("%d bytes: %q", len(got), got)
	}
}

// TestRemedies is of what cannot be had from a server in a test at will.
func TestRemedies(t *testing.T) {
	late := &timeoutError{}
	for _, test := range []struct {
		doing string
		way   TLS
		err   error
		want  string
	}{
		{greeting, StartTLS, late, `set tls = "tls"`},
		{greeting, StartTLS, io.EOF, `set tls = "tls"`},
		{greeting, ImplicitTLS, late, "verify server, the firewall"},
		{"connecting", StartTLS, late, "verify server, the firewall"},
		{"connecting", StartTLS, &net.DNSError{Name: "smtp.example.com", IsNotFound: true}, `verify the name "smtp.example.com"`},
		{"connecting", StartTLS, syscall.EHOSTUNREACH, "verify server, the firewall"},
		{encrypting, StartTLS, x509.CertificateInvalidError{Reason: x509.Expired}, "renew the certificate"},
		{encrypting, StartTLS, tls.AlertError(40), "TLS 1.2 or later"},
		{encrypting, StartTLS, errNoStartTLS, `tls = "none" sends mails in the clear`},
		{loggingIn, StartTLS, errNoLogin, "port for submission (587)"},
		{recipient, StartTLS, &textproto.Error{Code: 554, Msg: "5.7.1 Relay access denied"}, "send mails of this machine to others"},
		{recipient, StartTLS, &textproto.Error{Code: 550, Msg: "5.1.1 unknown"}, ""},
		{handingOver, StartTLS, io.ErrUnexpectedEOF, ""},
	} {
		c := session{Sender: newSender(t, Config{Server: "smtp.example.com:587", TLS: test.way, From: "otp@example.com"})}
		got := c.remedy(test.doing, test.err, answerOf(test.err))
		if !strings.Contains(got, test.want) || test.want == "" && got != "" {
			t.Errorf("%s: %v: %q", test.doing, test.err, got)
		}
	}
}
