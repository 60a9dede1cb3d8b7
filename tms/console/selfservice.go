package console

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

// SelfService is the Group of pages where users look after what is theirs: they see
// their tokens, bring one back into step, change the OTP PIN, report a token lost,
// add another one, and print recovery codes.
//
// Who they are they show by directory password, OTP PIN and eToken, or by having
// activated a token just now. From then on a cookie says it, until it was not used
// for a while, or that token is out of use, or the OTP PIN is another. Everything is done by tms.Service in the name of the user, which finds
// nothing that is not the user's.
type SelfService struct {
	SelfServiceOptions
	signIns *quota[netip.Addr]
	acts    *quota[otp.UserName]
}

// SelfServiceOptions are what SelfService works with.
type SelfServiceOptions struct {
	Pages    *Pages
	Service  *tms.Service
	Verifier PasscodeVerifier
	// Users verifies passwords. OTP PIN and eToken sign in alone when it is nil.
	Users UserRepository
	// After is time.After when nil.
	After func(time.Duration) <-chan time.Time
}

// PasscodeVerifier decides sign-ins, and bounds what a directory is asked about
// passwords. An otp.Verifier is one.
type PasscodeVerifier interface {
	Verify(ctx context.Context, a *otp.Attempt) (otp.Verdict, error)
	AskDirectory(ctx context.Context, a *otp.Attempt) (instead otp.Verdict, ask bool)
	DirectoryAnswered(a *otp.Attempt, answer otp.Verdict)
}

// UserRepository tells who a user is, and verifies passwords.
type UserRepository interface {
	// Find finds the user of a name, normalized by otp.AppendUserName. There is
	// always an identity; no directory has the user when its Directory is empty.
	Find(ctx context.Context, name []byte) (*exclusions.Identity, exclusions.Source)
	// VerifyPassword has the directory verify a user's password. The verdict is
	// otp.Accepted or says why not; an error means that there was no answer.
	VerifyPassword(ctx context.Context, identity *exclusions.Identity, password []byte) (otp.Verdict, error)
}

const (
	// selfIdle is how long a session lasts that is not used, selfTime how long one
	// lasts at most, and setupTime one that was begun by an activation.
	selfIdle, selfTime, setupTime = 15 * time.Minute, 8 * time.Hour, 15 * time.Minute
	// How often somebody may sign in from one address, and what one user may do, in
	// selfWindow. A company may be behind one address.
	addressSignIns, userActs = 300, 30
	selfWindow               = 15 * time.Minute
)

// selfCookie is the cookie of a session.
const selfCookie = "self-service"

// selfSession is what selfCookie has.
type selfSession struct {
	User   otp.UserName
	Serial otp.Serial // of the token, or list of codes, that opened it
	PIN    []byte     // markOf the OTP PIN
	Began  int64      // Unix seconds
	// Setup: the session was begun by an activation, for which neither password nor
	// OTP PIN were asked. What could lock the user out is not done in it.
	Setup bool `json:",omitempty"`
	Done  done `json:",omitzero"` // what the next page is to tell
}

// done is what was done last.
type done struct {
	What   string `json:",omitempty"` // the act: "pin"
	Serial otp.Serial
	Mail   string `json:",omitempty"` // where a mail went, masked
}

// NewSelfService makes the Group.
func NewSelfService(o SelfServiceOptions) *SelfService {
	if o.After == nil {
		o.After = time.After
	}
	return &SelfService{o, newQuota[netip.Addr](addressSignIns, selfWindow, o.Pages.Clock), newQuota[otp.UserName](userActs, selfWindow, o.Pages.Clock)}
}

// Mount adds the pages.
func (s *SelfService) Mount(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { s.Pages.redirect(w, r, "/self") })
	mux.HandleFunc("GET /self", s.enter)
	mux.HandleFunc("POST /self", s.signIn)
	mux.HandleFunc("POST /self/begin", s.begin)
	mux.HandleFunc("POST /self/sign-out", s.signOut)
	for path, pages := range map[string]struct{ show, act func(*selfVisit) }{
		"/self/resync":         {(*selfVisit).resyncForm, (*selfVisit).resync},
		"/self/pin":            {(*selfVisit).pinForm, (*selfVisit).changePIN},
		"/self/lost":           {(*selfVisit).lostForm, (*selfVisit).lose},
		"/self/enrol":          {(*selfVisit).enrolForm, (*selfVisit).enrol},
		"/self/recovery-codes": {(*selfVisit).codesForm, (*selfVisit).makeCodes},
	} {
		mux.HandleFunc("GET "+path, s.signedIn(pages.show))
		mux.HandleFunc("POST "+path, s.signedIn(func(v *selfVisit) {
			if s.Pages.readForm(v.w, v.r) {
				pages.act(v)
			}
		}))
	}
	mux.HandleFunc("GET /self/lost/confirm", s.signedIn((*selfVisit).confirmLost))
}

// selfVisit is a request of a user who is signed in.
type selfVisit struct {
	*SelfService
	w        http.ResponseWriter
	r        *http.Request
	session  selfSession
	user     tms.UserView
	identity *exclusions.Identity // nil when no directory has told
}

// signedIn is a handler for users who are signed in; all others are asked to.
func (s *SelfService) signedIn(handle func(*selfVisit)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, err := s.visit(w, r)
		switch {
		case err != nil:
			s.Pages.fail(w, r, "finding a user", err)
		case v == nil:
			page := s.signInPage("")
			page.wrong = "problem.self-session"
			s.Pages.show(w, r, http.StatusForbidden, "signin", page)
		default:
			handle(v)
		}
	}
}

// enter shows the user's tokens, or asks to sign in.
func (s *SelfService) enter(w http.ResponseWriter, r *http.Request) {
	v, err := s.visit(w, r)
	switch {
	case err != nil:
		s.Pages.fail(w, r, "finding a user", err)
	case v == nil:
		s.Pages.show(w, r, http.StatusOK, "signin", s.signInPage(""))
	default:
		v.overview()
	}
}

// visit is a request as one of the user who is signed in, nil when nobody is. A
// session ends with the account, here or in the directory, and with what began it.
func (s *SelfService) visit(w http.ResponseWriter, r *http.Request) (*selfVisit, error) {
	v := &selfVisit{SelfService: s, w: w, r: r}
	if !s.Pages.cookie(r, selfCookie, &v.session) {
		return nil, nil
	}
	user, err := s.localUser(r.Context(), v.session.User)
	if err != nil || user.Name == "" || user.Disabled {
		return nil, err
	}
	v.user = user
	stands, err := v.stands()
	switch {
	case err != nil || !stands:
		return nil, err
	case s.Users == nil:
		return v, nil
	}
	identity, source := s.Users.Find(r.Context(), []byte(user.Name))
	switch {
	case source == exclusions.Unavailable:
		return v, nil
	case identity.Disabled, identity.Directory == "":
		return nil, nil
	}
	v.identity = identity
	return v, nil
}

// localUser is a user whom the store has; without a name when it does not.
func (s *SelfService) localUser(ctx context.Context, name otp.UserName) (user tms.UserView, err error) {
	err = s.Service.Users(ctx, byLink, tms.Filter{User: name, Source: tms.Local}, func(u tms.UserView) error {
		user = u
		return nil
	})
	if errors.Is(err, tms.ErrNotFound) {
		err = nil
	}
	return user, err
}

// begin begins a session of the user who has activated a token in this browser just
// now, for the rest of the setup. Who is signed in stays so.
func (s *SelfService) begin(w http.ResponseWriter, r *http.Request) {
	activated, err := s.Pages.activated(r, s.Service)
	var v *selfVisit
	if err == nil {
		v, err = s.visit(w, r)
	}
	var mark []byte
	if err == nil && activated != nil {
		mark, err = s.pinMark(r.Context(), activated.User)
	}
	switch {
	case err != nil:
		s.Pages.fail(w, r, "finding a user", err)
	case activated == nil, v != nil && v.user.Name == activated.User:
		s.Pages.redirect(w, r, "/self")
	default:
		s.start(w, r, selfSession{User: activated.User, Serial: activated.Serial, PIN: mark, Setup: true})
	}
}

// start begins a session.
func (s *SelfService) start(w http.ResponseWriter, r *http.Request, session selfSession) {
	session.Began = s.Pages.Clock().Unix()
	s.keep(w, r, session, func() { s.Pages.redirect(w, r, "/self") })
}

// keep renews a session, and then has the request answered.
func (s *SelfService) keep(w http.ResponseWriter, r *http.Request, session selfSession, answer func()) {
	longest := selfTime
	if session.Setup {
		longest = setupTime
	}
	until, end := s.Pages.Clock().Add(selfIdle), time.Unix(session.Began, 0).Add(longest)
	if end.Before(until) {
		until = end
	}
	if err := s.Pages.setCookie(w, selfCookie, session, until); err != nil {
		s.Pages.fail(w, r, "renewing a session", err)
		return
	}
	answer()
}

// signOut ends a session.
func (s *SelfService) signOut(w http.ResponseWriter, r *http.Request) {
	s.Pages.dropCookie(w, selfCookie)
	s.Pages.redirect(w, r, "/self")
}

// show answers with a page, and renews the session.
func (v *selfVisit) show(status int, name string, page any) {
	v.keep(v.w, v.r, v.session, func() { v.Pages.show(v.w, v.r, status, name, page) })
}

// finish goes on to the user's tokens, where is told what was done.
func (v *selfVisit) finish(d done) {
	v.session.Done = d
	v.keep(v.w, v.r, v.session, func() { v.Pages.redirect(v.w, v.r, "/self") })
}

// caller is the user as the Service knows who asks.
func (v *selfVisit) caller() tms.Caller {
	return tms.Caller{Name: string(v.user.Name) + "@self-service", User: v.user.Name}
}

// policy is what enrolment goes by.
func (v *selfVisit) policy() tms.EnrolmentPolicy { return v.Service.EnrolmentPolicy() }
