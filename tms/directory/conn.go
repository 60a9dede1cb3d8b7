package directory

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// errTimeout is why an attempt at a server ended that took too long.
var errTimeout = errors.New("no answer in time")

// conn is a connection to a server, used by one at a time.
type conn struct {
	ldap  *ldap.Conn
	wire  *wire
	since time.Time // idle since
}

// dial connects to a server, with TLS if it is to be, and without a bind.
func (s *server) dial(ctx context.Context) (*conn, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, s.config.Timeout, errTimeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", s.address)
	if err != nil {
		return nil, s.diagnose("connecting", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	inside, err := s.secure(ctx, raw)
	if !stop() {
		err = s.diagnose("connecting", context.Cause(ctx))
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	w := &wire{Conn: inside, raw: raw, timeout: s.config.Timeout}
	w.allowed.Store(maxAnswer)
	c := &conn{ldap: ldap.NewConn(w, true), wire: w}
	c.ldap.SetTimeout(s.config.Timeout + time.Second) // operate is first
	c.ldap.Start()
	return c, nil
}

// secure is the connection inside of TLS, or raw where there is none.
func (s *server) secure(ctx context.Context, raw net.Conn) (net.Conn, error) {
	if s.startTLS {
		if err := startTLS(raw); err != nil {
			return nil, s.diagnose("starting TLS", err)
		}
	}
	if !s.startTLS && !s.encrypted {
		return raw, nil
	}
	inside := tls.Client(raw, &tls.Config{ServerName: cmp.Or(s.config.ServerName, s.host), RootCAs: s.roots, MinVersion: tls.VersionTLS12})
	if err := inside.HandshakeContext(ctx); err != nil {
		return nil, s.diagnose("agreeing on TLS", err)
	}
	return inside, nil
}

// bound is dial, and a bind as the service account.
func (s *server) bound(ctx context.Context) (*conn, error) {
	c, err := s.dial(ctx)
	if err != nil || s.config.BindDN == "" {
		return c, err
	}
	if _, err = c.bind(ctx, s.config.BindDN, s.config.BindPassword.reveal()); err != nil {
		c.close()
		return nil, s.diagnose("binding as "+s.config.BindDN, err)
	}
	return c, nil
}

// operate does one operation, which ends with ctx and with the timeout.
func (c *conn) operate(ctx context.Context, do func() error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.wire.timeout, errTimeout)
	defer cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.wire.allowed.Store(maxAnswer)
	stop := context.AfterFunc(ctx, c.wire.abort)
	err := do()
	stopped := stop()
	switch {
	case err == nil:
		return nil
	case c.wire.allowed.Load() < 0:
		return errLongAnswer
	case !stopped:
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

func (c *conn) bind(ctx context.Context, dn, password string, controls ...ldap.Control) (result *ldap.SimpleBindResult, err error) {
	err = c.operate(ctx, func() error {
		result, err = c.ldap.SimpleBind(ldap.NewSimpleBindRequest(dn, password, controls))
		return err
	})
	return result, err
}

func (c *conn) search(ctx context.Context, request *ldap.SearchRequest) (result *ldap.SearchResult, err error) {
	err = c.operate(ctx, func() error {
		request.TimeLimit = int(math.Ceil(c.wire.timeout.Seconds()))
		result, err = c.ldap.Search(request)
		return err
	})
	return result, err
}

// find searches below base, and gives the entries on page by page. Referrals are
// not followed.
func (c *conn) find(ctx context.Context, page int, base, filter string, attributes []string, each func([]*ldap.Entry) error) error {
	paging := ldap.NewControlPaging(uint32(page))
	for {
		result, err := c.search(ctx, ldap.NewSearchRequest(base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 0, 0, false, filter, attributes, []ldap.Control{paging}))
		if err != nil {
			return err
		}
		if err := each(result.Entries); err != nil {
			return err
		}
		next, ok := ldap.FindControl(result.Controls, ldap.ControlTypePaging).(*ldap.ControlPaging)
		if !ok || len(next.Cookie) == 0 {
			return nil
		}
		paging.SetCookie(next.Cookie)
	}
}

// read reads one entry; nil when there is none, or none that may be seen.
func (c *conn) read(ctx context.Context, dn, filter string, attributes ...string) (*ldap.Entry, error) {
	result, err := c.search(ctx, ldap.NewSearchRequest(dn, ldap.ScopeBaseObject, ldap.NeverDerefAliases, 1, 0, false, filter, attributes, nil))
	if ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultInvalidDNSyntax) {
		return nil, nil
	}
	if err != nil || len(result.Entries) == 0 {
		return nil, err
	}
	return result.Entries[0], nil
}

// close ends the connection, without waiting for a server that hangs.
func (c *conn) close() {
	c.wire.abort()
	_ = c.ldap.Close()
}
