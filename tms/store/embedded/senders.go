package embedded

import (
	"context"
	"fmt"
)

// RememberMessageAuthenticator makes it durable that a NAS, by name, has sent a
// Message-Authenticator.
func (s *Store) RememberMessageAuthenticator(ctx context.Context, nas string) error {
	return s.change(ctx, func() error {
		if err := s.db.writer.exec("INSERT OR IGNORE INTO nas_seen (nas) VALUES (?)", nas); err != nil {
			return fmt.Errorf("remembering that NAS %q sends Message-Authenticator: %w", nas, err)
		}
		return nil
	})
}

// MessageAuthenticatorSeen returns the NASes that have, by name in order.
func (s *Store) MessageAuthenticatorSeen(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var seen []string
	err := s.read(func(c *conn) error {
		return c.query("SELECT nas FROM nas_seen ORDER BY nas", func(r row) error {
			seen = append(seen, r.text(0))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading which NASes send Message-Authenticator: %w", err)
	}
	return seen, nil
}
