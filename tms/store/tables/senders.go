package tables

import (
	"context"
	"fmt"
)

// RememberMessageAuthenticator makes it durable that a NAS, by name, has sent a
// Message-Authenticator.
func (s *Tables) RememberMessageAuthenticator(ctx context.Context, nas string) error {
	return s.change(ctx, func(w Conn) error {
		if err := w.Exec("INSERT INTO nas_seen (nas) VALUES (?) ON CONFLICT DO NOTHING", nas); err != nil {
			return fmt.Errorf("remembering that NAS %q sends Message-Authenticator: %w", nas, err)
		}
		return nil
	})
}

// MessageAuthenticatorSeen returns the NASes that have, by name in order.
func (s *Tables) MessageAuthenticatorSeen(ctx context.Context) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var seen []string
	err := s.engine.Read(func(c Conn) error {
		return c.Query("SELECT nas FROM nas_seen ORDER BY nas", func(r Row) error {
			seen = append(seen, r.Text(0))
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("reading which NASes send Message-Authenticator: %w", err)
	}
	return seen, nil
}
