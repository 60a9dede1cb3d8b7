package mail

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/tms/mail/mailtest"
)

// patience is longer than anything here takes.
const patience = time.Minute

var sent = time.Date(2026, 3, 31, 14, 30, 0, 0, time.FixedZone("CEST", 2*60*60))

// configFor is the Config that a Sink wants.
func configFor(s *mailtest.Sink, way TLS) Config {
	c := Config{Server: s.Addr, TLS: way, From: "IT-Service Süd <otp@example.com>", HelloName: "otp.example.com", Timeout: patience}
	if way != NoTLS {
		c.CAFile, c.User, c.Password = s.CAFile, s.User, NewPassword([]byte(s.Password))
	}
	return c
}

func newSender(t testing.TB, c Config) *Sender {
	t.Helper()
	s, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// letter is a message as it should be.
func letter() *Message {
	return &Message{To: "alice@example.com", Subject: "Set up your token", Text: "Hello alice,\n\nthis is the text.\n", HTML: "<p>Hello alice,</p>\n", ID: "1.a@otp.example.com", Date: sent}
}

// demand verifies that an error has these words and is refused for good or not.
func demand(t *testing.T, err error, refused bool, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error with %q", words)
	}
	if errors.Is(err, ErrRefused) != refused {
		t.Errorf("refused for good should be %v: %v", refused, err)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("no %q in: %v", word, err)
		}
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("the error has several lines: %q", err)
	}
}

// puppet is a server that says what a test wants, in the clear.
type puppet struct {
	address string
	mutex   sync.Mutex
	heard   []string
}

// startPuppet starts one. answer gets each line of the client, "" for the connection
// itself, and returns what to say, "" for nothing. An empty line of a message looks
// like a connection, but politely nothing is said in a message.
func startPuppet(t testing.TB, answer func(line string) string) *puppet {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &puppet{address: l.Addr().String()}
	var group sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); group.Wait() })
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			group.Go(func() { p.serve(c, answer) })
		}
	})
	return p
}

func (p *puppet) serve(c net.Conn, answer func(string) string) {
	defer c.Close()
	said, lines := p.say("", answer), bufio.NewScanner(c)
	for {
		if _, err := c.Write([]byte(said)); err != nil || !lines.Scan() {
			return
		}
		said = p.say(lines.Text(), answer)
	}
}

func (p *puppet) say(line string, answer func(string) string) string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	if line != "" {
		p.heard = append(p.heard, line)
	}
	return answer(line)
}

// lines are what the puppet has heard.
func (p *puppet) lines() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return strings.Join(p.heard, "\n")
}

// polite answers as a mail server does that takes everything, but for what changes
// says, by the first word of a line. "." is the end of a message.
func polite(changes map[string]string) func(string) string {
	data := false
	return func(line string) string {
		word, _, _ := strings.Cut(line, " ")
		if data && line != "." {
			return ""
		}
		data = word == "DATA"
		if answer, changed := changes[word]; changed {
			return answer
		}
		switch word {
		case "":
			return "220 puppet\r\n"
		case "EHLO":
			return "250-puppet\r\n250-AUTH PLAIN\r\n250 8BITMIME\r\n"
		case "AUTH":
			return "235 2.7.0 welcome\r\n"
		case "DATA":
			return "354 go on\r\n"
		case "QUIT":
			return "221 bye\r\n"
		}
		return "250 OK\r\n"
	}
}

func puppetConfig(p *puppet) Config {
	return Config{Server: p.address, TLS: NoTLS, From: "otp@example.com", User: "mailer", Password: NewPassword([]byte(planted)), Timeout: patience}
}

var background = context.Background()
