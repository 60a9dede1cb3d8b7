package mailtest

import (
	"net"
	"os/exec"
	"strings"
	"testing"
)

const raw = "From: bob@example.com\r\nSubject: =?UTF-8?q?Gr=C3=BC=C3=9Fe?=\r\n\r\nHello\r\n"

// curl sends raw with curl, which is no program of ours.
func curl(s *Sink, password, to string) (string, error) {
	url, flags := "smtp://", []string{"--silent", "--show-error", "--mail-from", "bob@example.com", "--mail-rcpt", to, "--upload-file", "-"}
	switch s.mode {
	case ImplicitTLS:
		url = "smtps://"
		fallthrough
	case StartTLS:
		flags = append(flags, "--ssl-reqd", "--cacert", s.CAFile, "--user", s.User+":"+password)
	}
	command := exec.Command("curl", append(flags, url+s.Addr)...)
	command.Stdin = strings.NewReader(raw)
	out, err := command.CombinedOutput()
	return string(out), err
}

func TestSink(t *testing.T) {
	for _, mode := range []Mode{Plain, StartTLS, ImplicitTLS} {
		s := StartSink(t, mode)
		if out, err := curl(s, s.Password, "alice@example.com"); err != nil {
			t.Fatalf("%s: %v (scripts/test installs curl)\n%s", mode, err, out)
		}
		for to, answer := range map[string]string{"nobody@example.com": "550", "later@example.com": "451", "content@example.com": ""} {
			if out, err := curl(s, s.Password, to); err == nil || !strings.Contains(out, answer) {
				t.Errorf("%s: mail to %s: %v\n%s", mode, to, err, out)
			}
		}
		if mode != Plain {
			if out, err := curl(s, "wrong", "alice@example.com"); err == nil || !strings.Contains(out, "denied") {
				t.Errorf("%s: with a wrong password: %v\n%s", mode, err, out)
			}
		}
		messages := s.Messages(t)
		if len(messages) != 1 {
			t.Fatalf("%s: %d messages", mode, len(messages))
		}
		m := messages[0]
		if m.Envelope.From != "bob@example.com" || m.To[0] != "alice@example.com" || m.Subject != "Grüße" || m.Text != "Hello\n" || m.TLS != (mode != Plain) || (m.User == s.User) != (mode != Plain) {
			t.Errorf("%s: %+v, subject %q, text %q", mode, m.Envelope, m.Subject, m.Text)
		}
	}
}

// TestKill verifies that a crash keeps what was taken, and the port.
func TestKill(t *testing.T) {
	s := StartSink(t, Plain)
	if out, err := curl(s, "", "alice@example.com"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	address := s.Addr
	s.Kill()
	if c, err := net.Dial("tcp", address); err == nil {
		_ = c.Close()
		t.Error("it listens after its end")
	}
	s.Restart()
	if out, err := curl(s, "", "carol@example.com"); err != nil || s.Addr != address {
		t.Fatalf("it is at %s, not %s: %v\n%s", s.Addr, address, err, out)
	}
	if messages := s.Messages(t); len(messages) != 2 || messages[0].To[0] != "alice@example.com" || messages[1].To[0] != "carol@example.com" {
		t.Errorf("%d messages", len(messages))
	}
}
