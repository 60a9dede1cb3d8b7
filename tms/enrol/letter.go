package enrol

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"countersign/tms"
)

// errMoot says that a mail is about what is no more.
var errMoot = errors.New("nothing is left to tell")

// letter makes the letter of a mail of what it is about at this moment. The error
// wraps errMoot when that is no more.
func (e *Enrolment) letter(ctx context.Context, m *tms.Mail) (Letter, error) {
	settings := e.Settings()
	l := Letter{
		Kind: m.Kind, ID: strconv.FormatUint(m.ID, 10), To: m.To, User: m.User, Serial: m.Serial, Date: m.Created,
		ClientURL: settings.ClientURL,
	}
	if settings.URL != "" {
		l.SelfServiceURL = settings.URL + "/self"
	}
	if m.Invitation.IsZero() {
		l.ID += "-" + strconv.FormatInt(m.Created.Unix(), 10) // a new store counts its mails anew
		return l, nil
	}
	l.ID += "-" + m.Invitation.String()
	i, err := e.Service.InvitationOf(ctx, self, m.User, m.Invitation)
	switch {
	case errors.Is(err, tms.ErrNotFound):
		return l, fmt.Errorf("%w: the invitation is over, taken up or replaced", errMoot)
	case err != nil:
		return l, err
	}
	if m.Serial != "" && m.Serial != i.Token.Serial { // of the same ID, which is a dialog's
		return l, fmt.Errorf("%w: its invitation was withdrawn, and another made", errMoot)
	}
	l.Serial, l.Type, l.Expires, l.PIN = i.Token.Serial, i.Token.Type.String(), i.Expires, !i.WantsPIN
	opens := slices.Contains(i.Links, m.Link.Hash())
	if opens && settings.URL != "" && (settings.Style == LinkStyle || !keyWasShown(&i)) {
		l.Link = settings.URL + "/activate/" + m.Link.Reveal()
	}
	if settings.Style == LinkStyle {
		if !opens && !m.Link.IsZero() {
			return l, fmt.Errorf("%w: its link was used, or replaced", errMoot)
		}
		return l, nil
	}
	return l, e.enclose(&l, &i, settings.KeyInMail)
}

// keyWasShown reports whether an invitation was made in a dialog that shows the
// Activation Key. Then no mail leads to it: it would open the seed file beside it.
func keyWasShown(i *tms.Invitation) bool {
	return strings.HasPrefix(i.By, callerPrefix) && !i.PIN.IsZero() && !i.Token.Seed.IsZero()
}

// enclose adds the seed file, of a token whose seed is known.
func (e *Enrolment) enclose(l *Letter, i *tms.Invitation, key bool) error {
	if i.Token.Seed.IsZero() {
		return nil
	}
	file, err := e.SeedFile(i)
	if err != nil {
		return err
	}
	l.SeedFile, l.SeedFileName = file, string(i.Token.Serial)+".pskcxml"
	if key {
		l.ActivationKey = i.Key
	}
	return nil
}
