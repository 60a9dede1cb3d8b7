package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"sync"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/enrol"
)

// Activation is the Group of pages by which a user with an activation link gets to a
// token: a page with one button, because programs that look through mails open every
// link in them; then the token, to be taken into an app; then the first code; then
// recovery codes to print. For the token client it has the same as an API.
//
// The link is used up by the button. From then on a cookie says whose invitation
// the browser has, for an hour. What is wrong with a link, and whose it was, nobody
// hears.
type Activation struct {
	ActivationOptions
	// sessions and invitations count the codes that were tried.
	sessions    *quota[[8]byte]
	invitations *quota[tms.InvitationID]
	// lists is held while recovery codes are made, so that one cookie makes one list.
	lists sync.Mutex
}

// ActivationOptions are what Activation works with.
type ActivationOptions struct {
	Pages   *Pages
	Service *tms.Service
	// SeedFile makes the seed file of an invitation's token, under the Activation Key.
	SeedFile func(ctx context.Context, i *tms.Invitation) ([]byte, error)
	// KeyAlone reports whether the Activation Key is enough for the token client. Where
	// the key is shown to who knows the directory password, it must not be: then the
	// API answers only after the link in the mail was opened. It is enough when nil.
	KeyAlone func() bool
}

const (
	// sessionTime is how long an opened link can be worked with.
	sessionTime = time.Hour
	// activatedTime is how long recovery codes are offered afterwards.
	activatedTime = 15 * time.Minute
	// The codes that may be tried in codeWindow: with one opened link, and for one
	// invitation in all.
	sessionCodes, invitationCodes = 10, 20
	codeWindow                    = 15 * time.Minute
)

// The cookies: an opened link, and an activated token.
const activationCookie, activatedCookie = "activation", "activated"

// NewActivation makes the Group.
func NewActivation(o ActivationOptions) *Activation {
	return &Activation{
		ActivationOptions: o,
		sessions:          newQuota[[8]byte](sessionCodes, codeWindow, o.Pages.Clock),
		invitations:       newQuota[tms.InvitationID](invitationCodes, codeWindow, o.Pages.Clock),
	}
}

// Mount adds the pages, and the API of the token client.
func (a *Activation) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /activate/{link}", a.door)
	mux.HandleFunc("POST /activate", a.open)
	mux.HandleFunc("GET /activation", a.form)
	mux.HandleFunc("POST /activation", a.activate)
	mux.HandleFunc("GET /activation/done", a.done)
	mux.HandleFunc("POST /activation/recovery-codes", a.recoveryCodes)
	mux.HandleFunc("POST "+apiPath+"activation", a.giveSeedFile)
	mux.HandleFunc("POST "+apiPath+"activation/confirm", a.confirm)
	mux.HandleFunc(apiPath, a.strange)
}

// byLink is who asks while nobody knows yet who it is.
var byLink = tms.Caller{Name: "link@web", Administrator: true}

// byUser is a user at a page, who may look after what is theirs.
func byUser(user otp.UserName) tms.Caller { return tms.Caller{Name: string(user) + "@web", User: user} }

// activationSession is what activationCookie has. It is bound to the token, too: a
// dialog that begins again gives its next invitation the same ID, and who opened the
// last one has not opened that.
type activationSession struct {
	User   otp.UserName
	ID     tms.InvitationID
	Serial otp.Serial
	Link   [8]byte // linkMark of the one that was opened
}

// linkMark is the start of a link's hash.
func linkMark(link tms.Link) [8]byte {
	hash := link.Hash()
	return [8]byte(hash[:])
}

// setActivation makes a browser the one that has opened an invitation.
func (p *Pages) setActivation(w http.ResponseWriter, i *tms.Invitation, link tms.Link) error {
	until := p.Clock().Add(sessionTime)
	if i.Expires.Before(until) {
		until = i.Expires
	}
	return p.setCookie(w, activationCookie, activationSession{i.User, i.ID, i.Token.Serial, linkMark(link)}, until)
}

// door is the same page whatever the link is.
func (a *Activation) door(w http.ResponseWriter, r *http.Request) {
	link := r.PathValue("link")
	if len(link) > maxField {
		link = ""
	}
	a.Pages.show(w, r, http.StatusOK, "activate", link)
}

// open uses up a link.
func (a *Activation) open(w http.ResponseWriter, r *http.Request) {
	if !a.Pages.readForm(w, r) {
		return
	}
	link := tms.NewLink(field(r, "link"))
	invitation, err := a.Service.OpenInvitation(r.Context(), byLink, link)
	switch {
	case errors.Is(err, tms.ErrNotFound) && a.openedBefore(r, link):
		// Pressed twice, or the mail was opened again: this browser may go on.
	case errors.Is(err, tms.ErrNotFound):
		a.gone(w, r)
		return
	case err != nil:
		a.Pages.fail(w, r, "opening an invitation", err)
		return
	default:
		if err := a.Pages.setActivation(w, &invitation, link); err != nil {
			a.Pages.fail(w, r, "opening an invitation", err)
			return
		}
	}
	a.Pages.redirect(w, r, "/activation")
}

// openedBefore reports whether it was this browser that used up the link.
func (a *Activation) openedBefore(r *http.Request, link tms.Link) bool {
	var s activationSession
	if !a.Pages.cookie(r, activationCookie, &s) || s.Link != linkMark(link) {
		return false
	}
	_, err := a.find(r.Context(), &s)
	return err == nil
}

// find finds the invitation that was opened. The error wraps tms.ErrNotFound when it
// is no more, or another.
func (a *Activation) find(ctx context.Context, s *activationSession) (tms.Invitation, error) {
	i, err := a.Service.InvitationOf(ctx, byUser(s.User), s.User, s.ID)
	if err == nil && i.Token.Serial != s.Serial {
		return tms.Invitation{}, fmt.Errorf("invitation to token %s: %w", s.Serial, tms.ErrNotFound)
	}
	return i, err
}

// gone is the one answer for links, cookies and invitations that do not count.
func (a *Activation) gone(w http.ResponseWriter, r *http.Request) {
	a.Pages.show(w, r, http.StatusNotFound, "gone", nil)
}

// invitation is the one that this browser has opened. It has answered when there is
// none.
func (a *Activation) invitation(w http.ResponseWriter, r *http.Request) (activationSession, tms.Invitation, bool) {
	var s activationSession
	if !a.Pages.cookie(r, activationCookie, &s) {
		a.gone(w, r)
		return s, tms.Invitation{}, false
	}
	i, err := a.find(r.Context(), &s)
	switch {
	case errors.Is(err, tms.ErrNotFound):
		a.gone(w, r)
	case err != nil:
		a.Pages.fail(w, r, "finding an invitation", err)
	}
	return s, i, err == nil
}

// form shows the token and asks for the first code.
func (a *Activation) form(w http.ResponseWriter, r *http.Request) {
	_, i, ok := a.invitation(w, r)
	if !ok {
		return
	}
	page, err := a.page(r, &i)
	if err != nil {
		a.Pages.fail(w, r, "showing an invitation", err)
		return
	}
	a.Pages.show(w, r, http.StatusOK, "activation", page)
}

// activationPage is what the page of that name shows.
type activationPage struct {
	User       otp.UserName
	Serial     otp.Serial
	MobilePASS bool
	Digits     int

	QR      template.HTML // "" when the token is none that a URI describes
	URI     template.URL
	Secret  string
	Clients string // where the token client is
	Command string // has no key in it: others on the computer could see that
	Key     string

	NeedPIN bool
	MinPIN  int
	KeptPIN string // that was chosen, sealed

	ActivationCode string // as typed
	wrong          string
}

// Problem is what was wrong with what was typed.
func (p *activationPage) Problem() string { return p.wrong }

// PINWrong, ActivationCodeWrong and CodeWrong say which field it was, if it was one.
func (p *activationPage) PINWrong() bool            { return strings.HasPrefix(p.wrong, "problem.pin") }
func (p *activationPage) ActivationCodeWrong() bool { return p.wrong == "problem.activation-code" }
func (p *activationPage) CodeWrong() bool {
	return p.wrong != "" && p.wrong != "problem.tokens" && !p.PINWrong() && !p.ActivationCodeWrong()
}

// page is what an invitation's page shows before anything was typed.
func (a *Activation) page(r *http.Request, i *tms.Invitation) (*activationPage, error) {
	settings := a.Pages.Settings()
	page := &activationPage{
		User: i.User, Serial: i.Token.Serial, MobilePASS: i.Token.Type == otp.MobilePASS, Digits: int(i.Token.Digits),
		Key: i.Key.Reveal(), NeedPIN: i.WantsPIN, MinPIN: a.Service.EnrolmentPolicy().PIN.MinLength, Clients: settings.ClientURL,
		Command: "etoken activate --server " + a.Pages.url(r, ""),
	}
	if settings.Fingerprint != "" {
		page.Command += " --fingerprint " + settings.Fingerprint
	}
	if page.Clients == "" {
		page.Clients = DownloadPath
	}
	if page.MobilePASS || i.Token.T0 != 0 {
		return page, nil
	}
	provisioning, err := enrol.Provision(strings.ReplaceAll(settings.Issuer, ":", " "), i.User, &i.Token)
	if err != nil {
		return nil, err
	}
	var qr bytes.Buffer
	if err := provisioning.WriteSVG(&qr, languages[a.Pages.language(r)].text("activation.qr")); err != nil {
		return nil, err
	}
	page.QR = template.HTML(qr.String()) // #nosec: made of numbers and an escaped label
	page.URI, page.Secret = template.URL(provisioning.URI()), provisioning.Secret()
	return page, nil
}

// activate takes what was typed.
func (a *Activation) activate(w http.ResponseWriter, r *http.Request) {
	if !a.Pages.readForm(w, r) {
		return
	}
	session, i, ok := a.invitation(w, r)
	if !ok {
		return
	}
	page, err := a.page(r, &i)
	if err != nil {
		a.Pages.fail(w, r, "showing an invitation", err)
		return
	}
	activation := a.read(r, &i, page)
	if page.wrong == "" && !a.sessions.take(session.Link) {
		page.wrong = "problem.many"
	}
	if page.wrong == "" {
		page.wrong, err = a.try(r.Context(), activation)
	}
	switch {
	case errors.Is(err, tms.ErrNotFound):
		a.gone(w, r)
	case err != nil:
		a.Pages.fail(w, r, "activating", err)
	case page.wrong == "problem.many":
		a.Pages.show(w, r, http.StatusTooManyRequests, "activation", page)
	case page.wrong != "":
		a.Pages.show(w, r, http.StatusUnprocessableEntity, "activation", page)
	default:
		a.finish(w, r, i.User, i.Token.Serial)
	}
}

// read is what was typed, and notes in the page what is wrong with it.
func (a *Activation) read(r *http.Request, i *tms.Invitation, page *activationPage) tms.Activation {
	activation := tms.Activation{User: i.User, ID: i.ID, Serial: i.Token.Serial, Code: strings.ReplaceAll(field(r, "code"), " ", "")}
	if !isCode(activation.Code, page.Digits) {
		page.wrong = "problem.code-form"
	}
	if page.NeedPIN {
		var wrong string
		if activation.PIN, wrong = a.readPIN(r, i, page); wrong != "" {
			page.wrong = wrong
		}
	}
	if page.MobilePASS {
		page.ActivationCode = field(r, "activation_code")
		code, err := oath.ParseActivationCode(page.ActivationCode)
		if err != nil {
			page.wrong = "problem.activation-code"
		}
		activation.Seed = code.Seed("")
	}
	return activation
}

// isCode reports whether a text is a code of so many digits.
func isCode(text string, digits int) bool {
	return len(text) == digits && strings.Trim(text, "0123456789") == ""
}

// try activates a token, if not too many codes have been tried. What it returns is
// the key of the text that says what was wrong with what the user typed, or an error.
func (a *Activation) try(ctx context.Context, activation tms.Activation) (wrong string, err error) {
	if !a.invitations.take(activation.ID) {
		return "problem.many", nil
	}
	_, err = a.Service.Activate(ctx, byUser(activation.User), activation)
	for _, is := range []struct {
		sentinel error
		problem  string
	}{
		{tms.ErrWrongCode, "problem.code"}, {tms.ErrOutOfStep, "problem.step"},
		{otp.ErrWeakPIN, "problem.pin-weak"}, {otp.ErrPIN, "problem.pin"}, {tms.ErrTooMany, "problem.tokens"},
	} {
		if errors.Is(err, is.sentinel) {
			return is.problem, nil
		}
	}
	return "", err
}
