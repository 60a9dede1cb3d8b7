package mailtest

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Envelope is how a message was handed over.
type Envelope struct {
	From    string
	To      []string
	Options []string // of MAIL FROM, as BODY=8BITMIME
	TLS     bool
	User    string // who had logged in, "" nobody
}

// Parsed is a message that a Sink took.
type Parsed struct {
	Envelope
	Raw         []byte
	Header      mail.Header // as it came
	Subject     string      // decoded
	Structure   string      // as "multipart/mixed(multipart/alternative(text/plain text/html) application/pskc+xml)"
	Text, HTML  string      // with \n as line ends
	Attachments []Attachment
}

// Attachment is a file that came with a message.
type Attachment struct {
	Name, Type string
	Data       []byte
}

// Messages returns what was taken so far, oldest first. A message is here before the
// answer to it leaves.
func (s *Sink) Messages(t testing.TB) []Parsed {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(s.dir, "*.eml")) // which sorts
	if err != nil {
		t.Fatal(err)
	}
	all := make([]Parsed, len(paths))
	for i, path := range paths {
		if all[i], err = parseFile(path); err != nil {
			t.Fatalf("message %d: %v", i+1, err)
		}
	}
	return all
}

func parseFile(path string) (Parsed, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return Parsed{}, err
	}
	p := Parsed{Raw: raw}
	about, err := os.ReadFile(strings.TrimSuffix(path, ".eml") + ".json")
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(about, &p.Envelope); err != nil {
		return p, err
	}
	return p, p.parse()
}

func (p *Parsed) parse() error {
	message, err := mail.ReadMessage(bytes.NewReader(p.Raw))
	if err != nil {
		return err
	}
	p.Header = message.Header
	if p.Subject, err = new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject")); err != nil {
		return err
	}
	p.Structure, err = p.part(textproto.MIMEHeader(message.Header), message.Body)
	return err
}

// part reads a part and those in it, and returns its structure.
func (p *Parsed) part(header textproto.MIMEHeader, body io.Reader) (string, error) {
	kind, parameters, err := mime.ParseMediaType(cmp.Or(header.Get("Content-Type"), "text/plain; charset=UTF-8"))
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(kind, "multipart/") {
		return kind, p.leaf(kind, parameters, header, body)
	}
	var inside []string
	for reader := multipart.NewReader(body, parameters["boundary"]); ; {
		next, err := reader.NextRawPart()
		if err == io.EOF {
			return kind + "(" + strings.Join(inside, " ") + ")", nil
		}
		if err != nil {
			return "", err
		}
		structure, err := p.part(next.Header, next)
		if err != nil {
			return "", err
		}
		inside = append(inside, structure)
	}
}

// leaf reads a part that has content.
func (p *Parsed) leaf(kind string, parameters map[string]string, header textproto.MIMEHeader, body io.Reader) error {
	content, err := decode(header.Get("Content-Transfer-Encoding"), body)
	if err != nil {
		return err
	}
	disposition, naming, _ := mime.ParseMediaType(header.Get("Content-Disposition"))
	switch text := strings.ReplaceAll(string(content), "\r\n", "\n"); {
	case disposition == "attachment":
		name, err := new(mime.WordDecoder).DecodeHeader(naming["filename"])
		p.Attachments = append(p.Attachments, Attachment{name, kind, content})
		return err
	case !strings.EqualFold(parameters["charset"], "UTF-8"):
		return fmt.Errorf("the charset of a part is %q", parameters["charset"])
	case kind == "text/plain":
		p.Text = text
	case kind == "text/html":
		p.HTML = text
	}
	return nil
}

func decode(encoding string, body io.Reader) ([]byte, error) {
	switch strings.ToLower(encoding) {
	case "quoted-printable":
		body = quotedprintable.NewReader(body)
	case "base64":
		body = base64.NewDecoder(base64.StdEncoding, body)
	case "", "7bit", "8bit":
	default:
		return nil, fmt.Errorf("the encoding of a part is %q", encoding)
	}
	return io.ReadAll(body)
}
