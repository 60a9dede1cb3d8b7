package mail

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	secret := NewPassword([]byte(planted))
	for name, test := range map[string]struct {
		change  func(*Config)
		setting string
		words   string
	}{
		"no port":            {func(c *Config) { c.Server = "smtp.example.com" }, "server", "smtp.example.com:587"},
		"no host":            {func(c *Config) { c.Server = ":25" }, "server", "no host"},
		"word for a port":    {func(c *Config) { c.Server = "smtp.example.com:smtp" }, "server", "no host"},
		"port 0":             {func(c *Config) { c.Server = "smtp.example.com:0" }, "server", "no host"},
		"URL":                {func(c *Config) { c.Server = "smtp://smtp.example.com:25" }, "server", "no host"},
		"unknown TLS":        {func(c *Config) { c.TLS = 9 }, "tls", "starttls, tls or none"},
		"no CA file":         {func(c *Config) { c.CAFile = empty + "x" }, "ca_file", "no such file"},
		"empty CA file":      {func(c *Config) { c.CAFile = empty }, "ca_file", "no certificate"},
		"no password":        {func(c *Config) { c.Password = Password{} }, "password_file", "leave user out"},
		"no user":            {func(c *Config) { c.User = "" }, "user", "no user"},
		"lines in password":  {func(c *Config) { c.Password = NewPassword([]byte(planted + "\n")) }, "user", "control characters"},
		"password in clear":  {func(c *Config) { c.TLS = NoTLS }, "tls", "in the clear"},
		"no sender":          {func(c *Config) { c.From = "" }, "from", "no address"},
		"sender of two":      {func(c *Config) { c.From = "a@example.com, b@example.com" }, "from", "no address"},
		"sender with header": {func(c *Config) { c.From = "A\r\nBcc: b@example.com <a@example.com>" }, "from", "no address"},
		"sender in UTF-8":    {func(c *Config) { c.From = "jürgen@example.com" }, "from", "no address"},
		"reply to nobody":    {func(c *Config) { c.ReplyTo = "helpdesk" }, "reply_to", "no address"},
		"name with space":    {func(c *Config) { c.HelloName = "a b" }, "hello_name", "no name"},
		"negative":           {func(c *Config) { c.Timeout = -1 }, "timeout", "negative"},
	} {
		c := Config{Server: "smtp.example.com:587", From: "otp@example.com", User: "mailer", Password: secret}
		test.change(&c)
		s, err := New(c)
		var fault *SettingError
		if !errors.As(err, &fault) || fault.Setting != test.setting || !strings.Contains(err.Error(), test.words) || fault.Remedy == "" || s != nil {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), planted) {
			t.Errorf("%s: the password is in %v", name, err)
		}
	}
	_, err := New(Config{})
	for _, setting := range []string{"server", "from"} {
		if err == nil || !strings.Contains(err.Error(), setting+": ") {
			t.Errorf("not all faults at once: %v", err)
		}
	}
}

func TestDefaults(t *testing.T) {
	s := newSender(t, Config{Server: "[::1]:25", From: "IT Süd <otp@example.com>", TLS: NoTLS, User: "x", Password: NewPassword([]byte("y"))})
	if s.timeout != DefaultTimeout || s.host != "::1" || s.from.Name != "IT Süd" {
		t.Errorf("timeout %v, host %q, from %v", s.timeout, s.host, s.from)
	}
	if s := newSender(t, Config{Server: "localhost:25", From: "otp@example.com", Timeout: time.Second}); s.timeout != time.Second || s.config.TLS != StartTLS || s.replyTo.Address != "" {
		t.Errorf("timeout %v, TLS %v, reply to %v", s.timeout, s.config.TLS, s.replyTo)
	}
}
