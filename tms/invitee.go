package tms

import (
	"context"
	"errors"
	"fmt"
	"net/mail"

	"countersign/exclusions"
	"countersign/otp"
)

// invitee is a user who is to be invited.
type invitee struct {
	name   otp.UserName // that the directory uses
	mail   string       // "" when none is known
	local  bool         // no directory has the user
	absent error        // what is wrong if the store does not have the user
}

// findInvitee finds out who is meant by a name, and where mails go.
func (s *Service) findInvitee(ctx context.Context, c Caller, name otp.UserName, n *NewInvitation) (invitee, error) {
	identity, absent := s.identity(ctx, name)
	to := invitee{name: name, mail: n.Mail, absent: absent}
	to.local = isLocal(identity, absent)
	if identity == nil {
		if absent != nil && !errors.Is(absent, ErrNotFound) && n.Mail == "" && !n.NoMail {
			return to, fmt.Errorf("%w: try again later, or say which mail address is to be used", absent)
		}
		err := to.checkMail(n)
		return to, err
	}
	to.name = otp.UserName(identity.Name)
	switch {
	case !c.owns(to.name):
		return to, notFound("user", name)
	case identity.Disabled:
		return to, invalid("user %q is disabled in the directory %q", name, identity.Directory)
	case n.Mail == "":
		to.mail = identity.Mail
	}
	err := to.checkMail(n)
	return to, err
}

// isLocal reports whether no directory has a user, by what identity has returned.
func isLocal(identity *exclusions.Identity, absent error) bool {
	return identity == nil && (absent == nil || errors.Is(absent, ErrNotFound))
}

// checkMail checks where mails go. An address of the directory that cannot be used
// is none where none is needed.
func (to *invitee) checkMail(n *NewInvitation) error {
	err := checkAddress(to.mail)
	switch {
	case to.mail == "" || err == nil:
		return nil
	case n.NoMail && n.Mail == "":
		to.mail = ""
		return nil
	}
	return invalid("mail address of %q: %w", to.name, err)
}

// identity is what a directory says of a user, nil when none has the user or is
// there. Otherwise absent says why that is not known.
func (s *Service) identity(ctx context.Context, name otp.UserName) (found *exclusions.Identity, absent error) {
	if s.Directory == nil {
		return nil, nil
	}
	identity, source := s.Directory.Find(ctx, []byte(name))
	switch {
	case source == exclusions.Unavailable:
		return nil, fmt.Errorf("user %q: the directory does not answer", name)
	case identity.Directory == "":
		return nil, fmt.Errorf("user %q: %w, neither here nor in a directory", name, ErrNotFound)
	}
	return identity, nil
}

// knownAddress is the mail address that the directory has of a user, "" when that
// is not to be had.
func (s *Service) knownAddress(ctx context.Context, name otp.UserName) string {
	identity, _ := s.identity(ctx, name)
	return usableAddress(identity)
}

// usableAddress is the mail address of who may be nobody, "" when there is none that
// can be used.
func usableAddress(identity *exclusions.Identity) string {
	if identity == nil || checkAddress(identity.Mail) != nil {
		return ""
	}
	return identity.Mail
}

// maxAddress is the longest mail address in bytes (RFC 5321 section 4.5.3.1.3, less
// the brackets).
const maxAddress = 254

// checkAddress refuses what is not one plain mail address, without name or comment:
// anything else could address others too, or end a line of the mail.
func checkAddress(text string) error {
	if len(text) > maxAddress {
		return fmt.Errorf("%.40q... has %d bytes, and must not have more than %d", text, len(text), maxAddress)
	}
	address, err := mail.ParseAddress(text)
	if err != nil || address.Address != text {
		return fmt.Errorf("%q is not one plain address, such as alice@example.com", text)
	}
	return nil
}
