package mail

import (
	"strings"
	"testing"
	"time"

	"countersign/tms/mail/mailtest"
)

// TestInjection plants a header wherever one could come from.
func TestInjection(t *testing.T) {
	sink := mailtest.StartSink(t, mailtest.Plain)
	s := newSender(t, configFor(sink, NoTLS))
	for _, planted := range []string{"x\r\nBcc: eve@example.com", "x\nBcc: eve@example.com", "x\rBcc: eve@example.com", "x\r\n\r\nbody", "x\x00", "x\u2028y", "x\u202ey", "x\xff"} {
		for where, set := range map[string]func(*Message){
			"To":      func(m *Message) { m.To = "alice@example.com" + planted },
			"To name": func(m *Message) { m.To = planted + " <alice@example.com>" },
			"Subject": func(m *Message) { m.Subject = planted },
			"ID":      func(m *Message) { m.ID = planted + "@example.com" },
			"ID host": func(m *Message) { m.ID = "x@" + planted },
			"Name":    func(m *Message) { m.Attachments = []Attachment{{Name: planted, Type: "text/xml"}} },
			"Type":    func(m *Message) { m.Attachments = []Attachment{{Name: "x", Type: "text/" + planted}} },
		} {
			m := letter()
			set(m)
			if err := s.Send(background, m); err == nil {
				t.Errorf("%s with %q was sent", where, planted)
			} else {
				demand(t, err, true, "composing")
			}
		}
	}
	if got := sink.Messages(t); len(got) != 0 {
		t.Errorf("%d messages came", len(got))
	}
}

func TestUnusableMessages(t *testing.T) {
	s := newSender(t, Config{Server: "127.0.0.1:1", From: "otp@example.com"}) // nobody is contacted
	for word, set := range map[string]func(*Message){
		"recipient":  func(m *Message) { m.To = "Alice <alice@example.com>" },
		"no mail":    func(m *Message) { m.To = `"alice b"@example.com` },
		"mail addr":  func(m *Message) { m.To = strings.Repeat("a", 65) + "@example.com" },
		"address":    func(m *Message) { m.To = "a@" + strings.Repeat("example.", 40) + "com" },
		"subject":    func(m *Message) { m.Subject = "" },
		"Message-ID": func(m *Message) { m.ID = "<1@example.com>" },
		"is none":    func(m *Message) { m.ID = "1" },
		"date":       func(m *Message) { m.Date = time.Time{} },
		"text":       func(m *Message) { m.Text = "" },
		"type":       func(m *Message) { m.Attachments = []Attachment{{Name: "x", Type: "text/xml; charset=x"}} },
		"name":       func(m *Message) { m.Attachments = []Attachment{{Name: "../x", Type: "text/xml"}} },
	} {
		m := letter()
		set(m)
		demand(t, s.Send(background, m), true, "composing", word)
	}
}

// TestTextOnly has no part for HTML.
func TestTextOnly(t *testing.T) {
	sink := mailtest.StartSink(t, mailtest.Plain)
	m := letter()
	m.HTML = ""
	if err := newSender(t, configFor(sink, NoTLS)).Send(background, m); err != nil {
		t.Fatal(err)
	}
	if got := sink.Messages(t)[0]; got.Structure != "text/plain" || got.Text != m.Text {
		t.Errorf("%s: %q", got.Structure, got.Text)
	}
}
