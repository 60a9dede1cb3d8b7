package mail

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/mail"
	"time"
)

// ErrRefused says that a message will never be taken: because of the recipient, or
// of what it is.
var ErrRefused = errors.New("the message is refused for good")

// Sender submits messages to a mail server. It may be used by several goroutines.
type Sender struct {
	config  Config
	host    string
	from    *mail.Address
	replyTo *mail.Address // with an empty address: none
	tls     *tls.Config
	timeout time.Duration
}

// New makes a Sender. It contacts nobody. Errors are *SettingError, joined.
func New(c Config) (*Sender, error) {
	s, err := inspect(c)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Send hands a message over. An error that wraps ErrRefused is for good; after all
// others the same message can be sent again. Without an error the server has taken
// it.
func (s *Sender) Send(ctx context.Context, m *Message) error {
	content, err := s.compose(m)
	if err != nil {
		return fmt.Errorf("composing: %w: %w", err, ErrRefused)
	}
	ctx, cancel := s.limit(ctx)
	defer cancel()
	c, err := s.dial(ctx, m, content)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.begin(); err != nil {
		return err
	}
	return c.submit(m.To, content)
}

// Check connects, has TLS and logs in as Send does, and leaves without a message.
// The error says what is wrong and how to mend it.
func (s *Sender) Check(ctx context.Context) error {
	ctx, cancel := s.limit(ctx)
	defer cancel()
	c, err := s.dial(ctx, nil, nil)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.begin(); err != nil {
		return err
	}
	return c.try("asking whether it is there", c.client.Noop)
}

// limit ends a context after the timeout.
func (s *Sender) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, s.timeout, &timeoutError{s.timeout})
}

// timeoutError says that all together took too long.
type timeoutError struct{ limit time.Duration }

func (e *timeoutError) Error() string { return fmt.Sprintf("it was not done within %v", e.limit) }
