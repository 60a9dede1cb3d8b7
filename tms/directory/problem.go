package directory

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/go-ldap/ldap/v3"
)

// problem is what went wrong with a server, and how to mend it, in one line.
type problem struct {
	doing  string
	err    error
	remedy string
	fault  bool // the server cannot be used
}

func (p *problem) Error() string {
	text := p.doing + ": " + strings.Join(strings.FieldsFunc(p.err.Error(), isLineEnd), " ")
	text = strings.TrimRight(text, ": ") // that of an answer without a text ends so
	if p.remedy != "" {
		text += ": " + p.remedy
	}
	return text
}

func isLineEnd(c rune) bool { return c < ' ' }

func (p *problem) Unwrap() error { return p.err }

// diagnose makes a problem of an error for which the server cannot be used.
func (s *server) diagnose(doing string, err error) error {
	return &problem{doing, err, s.remedy(err), true}
}

// advise makes a problem of an error, or nil, of a server that can be used.
func (s *server) advise(err error) error {
	if err == nil {
		return nil
	}
	return &problem{"asking", err, s.remedy(err), false}
}

// remedy is how to mend an error, or empty.
func (s *server) remedy(err error) string {
	for _, find := range []func(error) string{s.networkRemedy, s.certificateRemedy, s.answerRemedy} {
		if remedy := find(err); remedy != "" {
			return remedy
		}
	}
	return ""
}

func (s *server) networkRemedy(err error) string {
	var name *net.DNSError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &name):
		return fmt.Sprintf("verify the name %q in servers, and the DNS of this machine", s.host)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: verify servers, and that the directory runs"
	case errors.As(err, &record):
		return "the server speaks no TLS on this port: write ldap:// with start_tls = true, or the port of LDAPS (636)"
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "verify servers, the firewall, and that the directory runs"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, errNoResponse):
		return s.rudeRemedy()
	}
	return ""
}

// rudeRemedy is for a server that breaks off at the first word.
func (s *server) rudeRemedy() string {
	switch {
	case s.encrypted:
		return "the server broke off: it may have no certificate yet, or another port for LDAPS"
	case s.startTLS:
		return "the server broke off: it may speak LDAPS on this port: write ldaps:// without start_tls"
	}
	return "the server broke off: it may speak LDAPS on this port: write ldaps://"
}

func (s *server) certificateRemedy(err error) string {
	var (
		name    x509.HostnameError
		unknown x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		version tls.AlertError
	)
	switch {
	case errors.As(err, &name):
		return "write in servers a name that the certificate has, or give the server a certificate with this name"
	case errors.As(err, &unknown):
		return "set ca_file to the certificate (PEM) of the CA that issued the server's"
	case errors.As(err, &invalid):
		return "renew the certificate of the server, and verify the clocks of both machines"
	case errors.As(err, &version):
		return "the server must speak TLS 1.2 or later, with a certificate"
	}
	return ""
}

func (s *server) answerRemedy(err error) string {
	var answer *ldap.Error
	if !errors.As(err, &answer) {
		return ""
	}
	switch answer.ResultCode {
	case ldap.LDAPResultInvalidCredentials:
		return s.accountRemedy(answer)
	case ldap.LDAPResultStrongAuthRequired, ldap.LDAPResultConfidentialityRequired:
		return "the server takes no password in the clear: write ldaps:// in servers, or set start_tls = true"
	case ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultInsufficientAccessRights, ldap.LDAPResultOperationsError, ldap.LDAPResultAuthorizationDenied:
		if s.config.BindDN == "" {
			return "the server wants an account: set bind_dn and bind_password_file"
		}
		return "give the account of bind_dn the right to read users and groups"
	case ldap.LDAPResultNoSuchObject, ldap.LDAPResultReferral:
		return "verify base_dn and group_base_dn"
	case ldap.LDAPResultSizeLimitExceeded:
		return "allow the account of bind_dn searches of any size (OpenLDAP: olcLimits)"
	case ldap.LDAPResultProtocolError, ldap.LDAPResultUnavailable, ldap.LDAPResultUnwillingToPerform:
		if s.startTLS {
			return "the server may offer no StartTLS: give it a certificate, or write ldaps:// in servers"
		}
	}
	return ""
}

// accountRemedy says why the service account is refused.
func (s *server) accountRemedy(answer *ldap.Error) string {
	switch s.config.Type.invalidCredentials(Undecided, answer) {
	case PasswordExpired:
		return "change the password of bind_dn, and have it never expire"
	case AccountDisabled:
		return "enable the account of bind_dn"
	case AccountLocked:
		return "unlock the account of bind_dn, and verify bind_password_file"
	}
	return "verify bind_dn and bind_password_file"
}

// isFault reports whether an error is of the server rather than of what it was
// asked: it cannot be connected to, or is not in service.
func isFault(err error) bool {
	var (
		known  *problem
		own    *unusable
		answer *ldap.Error
	)
	switch {
	case errors.As(err, &known):
		return known.fault
	case err == nil, errors.As(err, &own), errors.Is(err, errBusy), errors.Is(err, errLongAnswer), errors.Is(err, errStopped):
		return false
	case errors.As(err, &answer):
		return ldap.IsErrorAnyOf(err, ldap.ErrorNetwork, ldap.LDAPResultBusy, ldap.LDAPResultUnavailable)
	}
	return true
}

// isRefused reports whether the service account itself was refused.
func isRefused(err error) bool {
	return ldap.IsErrorWithCode(err, ldap.LDAPResultInvalidCredentials)
}

// unusable is an answer that nothing can be made of: the directory is sound, and
// another server would say the same.
type unusable struct{ problem, remedy string }

func (u *unusable) Error() string { return u.problem + ": " + u.remedy }
