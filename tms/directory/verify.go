package directory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// verify binds as the user. Until the bind is sent another connection, or another
// server, may take the place of one that fails; from then on nothing is tried
// again, because a wrong password counts against the user.
func (d *directory) verify(ctx context.Context, dn, secret string) (Refusal, error) {
	if !d.life.begin() {
		return Undecided, errClosed
	}
	defer d.life.done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.life.ctx, cancel)()

	began := time.Now()
	refusal, err := d.bindAs(ctx, dn, secret)
	switch {
	case err != nil:
		d.meter.observe(opPassword, failed, began)
	case refusal == Agreed:
		d.meter.observe(opPassword, succeeded, began)
	default:
		d.meter.observe(opPassword, refused, began)
	}
	return refusal, err
}

func (d *directory) bindAs(ctx context.Context, dn, secret string) (Refusal, error) {
	var failures []string
	for _, s := range d.servers {
		refusal, sent, err := s.bindAs(ctx, dn, secret)
		if err == nil {
			return refusal, nil
		}
		if sent || ctx.Err() != nil {
			return Undecided, fmt.Errorf("server %s: %w", s.url, s.advise(err))
		}
		failures = append(failures, fmt.Sprintf("server %s: %v", s.url, s.diagnosed(err)))
	}
	return Undecided, fmt.Errorf("%w: %s", errNoServer, strings.Join(failures, "; "))
}

var errClear = errors.New("the password would travel in the clear: write ldaps:// in servers, or set start_tls = true")

// bindAs binds once. sent says that the server may have seen the bind.
func (s *server) bindAs(ctx context.Context, dn, secret string) (refusal Refusal, sent bool, err error) {
	if s.clear() {
		return Undecided, false, errClear
	}
	for fresh := false; ; fresh = true {
		if err := s.failed(); err != nil {
			return Undecided, false, err
		}
		c, idle, err := s.passwords.take(ctx, fresh)
		if err != nil {
			s.note(ctx, err)
			return Undecided, false, err
		}
		before := c.wire.sent.Load()
		result, bindErr := c.bind(ctx, dn, secret, ldap.NewControlBeheraPasswordPolicy())
		sent := c.wire.sent.Load() != before
		refusal, err := s.config.Type.judge(result, bindErr)
		s.passwords.give(c, err == nil && ctx.Err() == nil)
		if err == nil || sent || !idle || ctx.Err() != nil {
			s.note(ctx, err)
			return refusal, sent, err
		}
	}
}
