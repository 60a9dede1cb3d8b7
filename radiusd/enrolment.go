package radiusd

import (
	"context"
	"errors"
	"fmt"

	"countersign/exclusions"
	"countersign/otp"
)

// invited reports whether the user of a login that is to show a code is invited to a
// token.
func (r *request) invited() bool {
	e, a := r.loop.server.options.Enroller, &r.attempt
	return e != nil && a.Preset == otp.Undecided && e.Invited(a.User)
}

// resumeEnrolment says what becomes of an answer to what the Enroller asked: it
// shows it to the Enroller, or nobody.
func (r *request) resumeEnrolment(d *dialog) {
	a, s := &r.attempt, r.loop.server
	switch {
	case a.Preset != otp.Undecided:
	case d.over(r.at), s.options.Enroller == nil, s.users == nil:
		a.Preset, r.message = otp.EnrolmentRefused, s.options.EnrolmentOverMessage
	case a.Method != otp.PAP:
		a.Preset = otp.NeedsPAP
	}
}

// judgeEnrolment is judge of an answer to what the Enroller asked. That the user
// needs a code was decided by the first packet.
func (r *request) judgeEnrolment() reason {
	switch {
	case r.trace.Source == exclusions.Unavailable:
		return directoryUnavailable
	case r.trace.Stranger: // the directory has the user no more
		r.attempt.Preset = otp.EnrolmentRefused
		return admitted
	}
	r.errand = answerPrompt
	return r.matchReplies()
}

// activate shows the passcode of who is invited to the Enroller, before anybody else
// sees it, and whatever tokens the user holds. If it is the first one of the token,
// that is the user's now and the login goes on like any other: the store burns the
// code, so that of any number of such logins one is accepted. If it is a passcode of
// the token, though not a right one, it is no password. While the directory is away
// only an accept counts. Else the login goes on as if nobody had been asked.
func (r *request) activate(ctx context.Context) (reason, error) {
	a := &r.attempt
	found, err := r.loop.server.options.Enroller.Activate(ctx, otp.UserName(a.User), r.nas.Name, a.Passcode)
	switch {
	case err != nil:
		return undecided, fmt.Errorf("activating the token of user %q: %w", a.User, err)
	case found == otp.Shown:
		a.AskWithoutToken, a.OrPassword, a.Order, a.TMS = false, false, otp.LocalOnly, otp.TMSNotAsked
	case found == otp.NotShown:
	case a.Doubtful:
		return directoryUnavailable, nil
	case found == otp.OutOfStep:
		a.Preset = otp.WrongCode
	case found == otp.WrongFirstPIN:
		a.Preset = otp.WrongPIN
	}
	return admitted, nil
}

// lead takes up a user who holds no token, once the directory has verified the
// password.
func (r *request) lead(ctx context.Context) (reason, error) {
	prompt, err := r.loop.server.options.Enroller.Begin(ctx, r.enrolment())
	return r.follow(prompt, err)
}

// answer shows the Enroller what the user typed when it asked.
func (r *request) answer(ctx context.Context) (reason, error) {
	e := r.enrolment()
	e.Dialog, e.Typed = r.dialog.kept, r.typed
	prompt, err := r.loop.server.options.Enroller.Answer(ctx, e)
	return r.follow(prompt, err)
}

func (r *request) enrolment() Enrolment {
	return Enrolment{Identity: r.identity, NAS: r.nas.Name, Challenge: r.mayAsk(enrolmentDialog)}
}

// Enrollers that break their word.
var (
	errCannotAsk      = errors.New("a prompt where the NAS cannot ask")
	errLongEnrolment  = fmt.Errorf("a dialog of more than %d octets", maxKept)
	errUnknownVerdict = errors.New("a verdict that says nothing of an enrolment")
)

// follow has a login end the way a Prompt says, and readies the State that goes with
// it.
func (r *request) follow(p Prompt, err error) (reason, error) {
	if err == nil {
		err = r.take(p)
	}
	if err != nil {
		return undecided, fmt.Errorf("enrolling user %q: %w", r.attempt.User, err)
	}
	return admitted, nil
}

func (r *request) take(p Prompt) error {
	switch p.Verdict {
	case otp.Undecided: // a passcode, as in any login
		return nil
	case otp.Enrolling:
		if err := r.sealEnrolment(p.Dialog); err != nil {
			return err
		}
	case otp.Invited, otp.EnrolmentRefused, otp.TokenCreated:
	default:
		return errUnknownVerdict
	}
	r.attempt.Preset, r.message, r.echo = p.Verdict, p.Message, p.Echo
	return nil
}

func (r *request) sealEnrolment(kept []byte) error {
	switch {
	case !r.mayAsk(enrolmentDialog):
		return errCannotAsk
	case len(kept) > maxKept:
		return errLongEnrolment
	}
	return r.seal(r.newDialog(enrolmentDialog, kept))
}
