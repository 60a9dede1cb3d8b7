package console

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// selfServiceNAS is what the record of a sign-in has in the place of a NAS.
const selfServiceNAS = "self-service"

// refusalTime is how long a refused sign-in takes, at least: so that neither who is a
// user, nor what was wrong, can be told from it.
const refusalTime = time.Second

// signInPage is what the page "signin" shows.
type signInPage struct {
	User     string // as typed
	Password bool   // it is asked for
	NoPIN    bool   // the code is typed alone
	Done     done   // what was done before the session ended
	wrong    string
}

// Problem is why the visitor is not signed in.
func (p *signInPage) Problem() string { return p.wrong }

func (s *SelfService) signInPage(typed string) *signInPage {
	return &signInPage{User: typed, Password: s.Users != nil, NoPIN: s.Service.EnrolmentPolicy().NoPIN}
}

// signIn signs a user in. Whatever was wrong, the answer is the same.
func (s *SelfService) signIn(w http.ResponseWriter, r *http.Request) {
	if !s.Pages.readForm(w, r) {
		return
	}
	began, page := s.Pages.Clock(), s.signInPage(field(r, "user"))
	if !s.signIns.take(visitor(r)) {
		page.wrong = "problem.self-many"
		s.Pages.show(w, r, http.StatusTooManyRequests, "signin", page)
		return
	}
	c := s.credentials(r, began)
	verdict, err := s.verify(r.Context(), &c)
	switch {
	case err != nil:
		s.Pages.fail(w, r, "signing in", err)
	case verdict == otp.Accepted:
		s.start(w, r, selfSession{User: otp.UserName(c.attempt.User), Serial: c.attempt.Decision.Serial, PIN: c.mark})
	default:
		s.pause(r.Context(), began)
		page.wrong = "problem.self-refused"
		s.Pages.show(w, r, http.StatusForbidden, "signin", page)
	}
}

// pause waits until refusalTime after an instant.
func (s *SelfService) pause(ctx context.Context, began time.Time) {
	select {
	case <-s.After(began.Add(refusalTime).Sub(s.Pages.Clock())):
	case <-ctx.Done():
	}
}

// credentials are what somebody signs in with.
type credentials struct {
	attempt  otp.Attempt // of the passcode
	password []byte
	identity *exclusions.Identity // nil when there is no directory
	mark     []byte               // markOf the OTP PIN
}

// credentials reads the form. What cannot be a sign-in has its verdict already, so
// that it is refused and recorded like any other.
func (s *SelfService) credentials(r *http.Request, at time.Time) credentials {
	c := credentials{attempt: passcodeAttempt(r, at, field(r, "user"))}
	a := &c.attempt
	if password := r.PostFormValue("password"); len(password) <= maxField {
		c.password = []byte(password)
	}
	if a.Preset != otp.BadUserName && s.Users != nil && len(c.password) == 0 {
		a.Preset = otp.NoCredentials
	}
	return c
}

// passcodeAttempt is a user's attempt with the passcode of a form.
func passcodeAttempt(r *http.Request, at time.Time, name string) otp.Attempt {
	a := otp.Attempt{At: at, NAS: selfServiceNAS, Station: []byte(visitor(r).String()), Method: otp.Web}
	passcode := strings.ReplaceAll(field(r, "passcode"), " ", "") // apps show the code in groups
	a.Passcode = otp.NewPasscode([]byte(passcode))
	user, ok := otp.AppendUserName(nil, []byte(name))
	a.User = user
	switch {
	case !ok:
		a.Preset = otp.BadUserName
	case passcode == "":
		a.Preset = otp.NoCredentials
	case !a.Passcode.Readable():
		a.Preset = otp.Unreadable
	}
	return a
}

// verifyAgain verifies a passcode of the user who is signed in, for what the session
// alone is too little: whoever finds it open has no token. It is recorded and counted
// like a sign-in, and takes as long when it is refused.
func (v *selfVisit) verifyAgain() (bool, error) {
	a := passcodeAttempt(v.r, v.Pages.Clock(), string(v.user.Name))
	verdict, err := v.Verifier.Verify(v.r.Context(), &a)
	if err == nil && verdict != otp.Accepted {
		v.pause(v.r.Context(), a.At)
	}
	return verdict == otp.Accepted, err
}

// errNoDirectory says that nobody can sign in at present.
var errNoDirectory = errors.New("the directory does not answer")

// verify decides about credentials: first about the passcode, and the directory is
// asked about the password only when that was right. So nobody can try passwords
// here, or have an account locked, who has neither token nor OTP PIN.
func (s *SelfService) verify(ctx context.Context, c *credentials) (otp.Verdict, error) {
	if err := s.identify(ctx, c); err != nil {
		return otp.Undecided, err
	}
	if c.attempt.Preset == otp.Undecided {
		// Before it is verified: the session of a PIN that is changed meanwhile is none.
		mark, err := s.pinMark(ctx, otp.UserName(c.attempt.User))
		if err != nil {
			return otp.Undecided, err
		}
		c.mark = mark
	}
	verdict, err := s.Verifier.Verify(ctx, &c.attempt)
	if err != nil || verdict != otp.Accepted || s.Users == nil {
		return verdict, err
	}
	return s.verifyPassword(ctx, c)
}

// identify finds out who a name means, as at a gateway. Where there is a directory, it
// has to have the user: nobody else could verify the password.
func (s *SelfService) identify(ctx context.Context, c *credentials) error {
	a := &c.attempt
	if s.Users == nil || a.Preset == otp.BadUserName {
		return nil
	}
	identity, source := s.Users.Find(ctx, a.User)
	if source == exclusions.Unavailable {
		return errNoDirectory
	}
	c.identity, a.User = identity, []byte(identity.Name)
	switch {
	case a.Preset != otp.Undecided:
	case identity.Directory == "":
		a.Preset = otp.UnknownUser
	case identity.Disabled:
		a.Preset = otp.DirectoryDisabled
	}
	return nil
}

// verifyPassword has the directory verify the password, unless it is known already
// what comes of it. The passcode has been recorded as right, so a password that is
// wrong gets a record of its own.
func (s *SelfService) verifyPassword(ctx context.Context, c *credentials) (otp.Verdict, error) {
	a := otp.Attempt{
		At: c.attempt.At, User: c.attempt.User, NAS: c.attempt.NAS, Station: c.attempt.Station, Method: c.attempt.Method,
		Passcode: otp.NewPasscode(c.password),
	}
	verdict, ask := s.Verifier.AskDirectory(ctx, &a)
	var err error
	if ask {
		verdict, err = s.Users.VerifyPassword(ctx, c.identity, c.password)
		if err != nil {
			verdict = otp.Undecided
		}
		s.Verifier.DirectoryAnswered(&a, verdict)
	}
	switch verdict {
	case otp.Accepted:
		return verdict, nil
	case otp.Undecided:
		if err == nil {
			err = errNoDirectory
		}
		return verdict, err
	}
	a.Preset = verdict
	return s.Verifier.Verify(ctx, &a)
}
