package mail

import (
	"bytes"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"strings"
	"time"

	gomail "github.com/wneessen/go-mail"
)

// Message is one mail to one recipient. It prints [redacted].
type Message struct {
	redacted
	To          string // a bare address, as alice@example.com
	Subject     string
	Text        string // UTF-8, lines end with \n
	HTML        string // the same in HTML; "": there is none
	ID          string // the Message-ID without <>, as 3f2a.1@otp.example.com; the same for every try
	Date        time.Time
	Attachments []Attachment
}

// Attachment is a file that goes with a Message.
type Attachment struct {
	redacted
	Name string // of a file, as token.pskcxml
	Type string // as application/pskc+xml
	Data []byte
}

// check says what makes a message one that cannot be sent.
func (m *Message) check() error {
	if err := checkAddress(m.To); err != nil {
		return fmt.Errorf("the recipient %.64q: %w", m.To, err)
	}
	switch {
	case m.Subject == "" || !isText(m.Subject):
		return errors.New("the subject has control characters or is empty")
	case !isID(m.ID):
		return fmt.Errorf("the Message-ID %.64q is none", m.ID)
	case m.Date.IsZero():
		return errors.New("there is no date")
	case m.Text == "":
		return errors.New("there is no text")
	}
	for _, a := range m.Attachments {
		if err := a.check(); err != nil {
			return err
		}
	}
	return nil
}

func (a *Attachment) check() error {
	if kind, parameters, err := mime.ParseMediaType(a.Type); err != nil || len(parameters) > 0 || kind != a.Type {
		return fmt.Errorf("the type %.64q of an attachment is none", a.Type)
	}
	if a.Name == "" || !isText(a.Name) || strings.ContainsAny(a.Name, `/\"`) {
		return fmt.Errorf("the name %.64q of an attachment is none of a file", a.Name)
	}
	return nil
}

// isID reports whether s can be a Message-ID (RFC 5322 section 3.6.4).
func isID(s string) bool {
	local, host, found := strings.Cut(s, "@")
	return found && local != "" && host != "" && !strings.Contains(host, "@") && !strings.ContainsFunc(s, isNoIDCharacter)
}

func isNoIDCharacter(r rune) bool {
	return r <= ' ' || r > '~' || strings.ContainsRune("<>()[],;:\\\"", r)
}

// compose makes the message as it is sent (RFC 5322, RFC 2045).
func (s *Sender) compose(m *Message) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	letter := gomail.NewMsg(gomail.WithNoDefaultUserAgent())
	letter.FromMailAddress(s.from)
	letter.ToMailAddress(&mail.Address{Address: m.To})
	if s.replyTo.Address != "" {
		letter.ReplyToMailAddress(s.replyTo)
	}
	letter.Subject(m.Subject)
	letter.SetMessageIDWithValue(m.ID)
	letter.SetDateWithValue(m.Date)
	// Nobody's absence is to be told to us (RFC 3834 section 5, MS-OXCMAIL 2.2.3.2.14).
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetGenHeader(gomail.HeaderXAutoResponseSuppress, "All")
	letter.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		letter.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	for _, a := range m.Attachments {
		letter.AttachReadSeeker(a.Name, bytes.NewReader(a.Data), gomail.WithFileContentType(gomail.ContentType(a.Type)), gomail.WithFileEncoding(gomail.EncodingB64))
	}
	var out bytes.Buffer
	if _, err := letter.WriteTo(&out); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
