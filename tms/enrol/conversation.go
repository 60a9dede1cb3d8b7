package enrol

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

// Asked is what a user answered, or that there is a user to begin with.
type Asked struct {
	// Identity is who the directory says the user is.
	Identity *exclusions.Identity
	// NAS is the name of the gateway.
	NAS string
	// Challenge: the gateway can ask the user.
	Challenge bool
	// Dialog is that of the last Prompt.
	Dialog []byte
	// Typed is the answer to the last Prompt. Never print it.
	Typed []byte
}

// Prompt is what comes next.
type Prompt struct {
	// Verdict: otp.Enrolling asks Message; otp.Invited and otp.EnrolmentRefused refuse
	// with Message; otp.Undecided: what was typed is a passcode, for the verifier.
	Verdict otp.Verdict
	// Message is UTF-8, at most 253 bytes.
	Message string
	// Echo: what is typed next may be seen.
	Echo bool
	// Dialog is what Answer needs: at most 64 bytes, with secrets in it.
	Dialog []byte
}

// conversation is one step of a dialog.
type conversation struct {
	*Enrolment
	say      *texts
	settings Settings
	asked    Asked
	user     otp.UserName
	now      time.Time
	caller   tms.Caller
	owner    owner
	dialog   dialog
}

// owner is what the store knows of the user.
type owner struct {
	disabled bool
	pin      bool // there is one
	holds    bool // a token whose codes may be accepted some day
}

func (e *Enrolment) converse(a Asked) *conversation {
	settings := e.Settings()
	return &conversation{
		Enrolment: e, say: textsOf(settings.Language), settings: settings, asked: a,
		user: otp.UserName(a.Identity.Name), now: e.Clock(), caller: callerAt(a.NAS),
	}
}

// Begin takes up a user whose directory password has just been verified.
func (e *Enrolment) Begin(ctx context.Context, a Asked) (Prompt, error) {
	c := e.converse(a)
	if !c.settings.entitled(a.Identity) {
		return c.refuse(notEntitled, c.say.notEntitled), nil
	}
	if err := c.look(ctx); err != nil {
		return Prompt{}, err
	}
	if c.owner.disabled {
		return c.refuse(impossible, c.say.impossible), nil
	}
	open, err := c.invitation(ctx, tms.InvitationID{})
	if err != nil {
		return Prompt{}, err
	}
	switch {
	case !open.Exists:
		c.open(beginDialog(c.user, c.now))
	case !a.Challenge && c.stranded(&open):
		c.open(nextDialog(open.ID))
	default:
		c.open(open.ID)
	}
	return c.proceed(ctx, "")
}

// pageTime is how long a user may take at the activation page: who has left it by
// then finds no way back.
const pageTime = time.Hour

// stranded reports whether the link of an invitation was used long ago. Where the
// gateway cannot ask, the user cannot ask for another either.
func (c *conversation) stranded(open *tms.Invitation) bool {
	return !open.Opened.IsZero() && c.now.Sub(open.Opened) > pageTime
}

// Answer goes on with what the user typed at the last prompt.
func (e *Enrolment) Answer(ctx context.Context, a Asked) (Prompt, error) {
	c := e.converse(a)
	if a.Identity.Directory == "" {
		return Prompt{}, fmt.Errorf("dialog of %q: the directory does not say who that is", c.user)
	}
	var err error
	if c.dialog, err = parseDialog(a.Dialog); err != nil || !a.Challenge {
		return c.refuse(impossible, c.say.over), nil
	}
	if !c.now.Before(c.dialog.expires) {
		return c.refuse(timedOut, c.say.over), nil
	}
	if err := c.look(ctx); err != nil {
		return Prompt{}, err
	}
	switch {
	case c.owner.disabled:
		return c.refuse(impossible, c.say.impossible), nil
	case c.owner.holds: // there is a token by now
		return Prompt{Verdict: otp.Undecided}, nil
	case !c.settings.entitled(a.Identity): // not any more
		return c.refuse(notEntitled, c.say.notEntitled), nil
	}
	return c.take(ctx)
}

// take takes the answer to what was asked.
func (c *conversation) take(ctx context.Context) (Prompt, error) {
	typed := c.asked.Typed
	switch c.dialog.step {
	case choosePIN:
		return c.takePIN(typed), nil
	case repeatPIN:
		if !c.dialog.pin.Equal(otp.NewPIN(typed)) {
			c.dialog.pin = otp.PIN{}
			return c.again(choosePIN, c.say.unlike, c.askPIN()), nil
		}
		return c.proceed(ctx, "")
	case giveMail:
		address, ok := parseAddress(string(typed))
		switch {
		case len(c.settings.Domains) == 0: // not any more
			return c.refuse(noAddress, c.say.noAddress), nil
		case !ok:
			return c.again(giveMail, c.say.badMail, c.say.giveMail), nil
		case !c.settings.mayEnter(address):
			return c.again(giveMail, c.say.domains(c.settings.Domains), c.say.giveMail), nil
		}
		return c.proceed(ctx, address)
	}
	if slices.Contains(again, strings.ToLower(strings.TrimSpace(string(typed)))) {
		c.open(nextDialog(c.dialog.id))
		return c.proceed(ctx, "")
	}
	return c.takePasscode(ctx, typed)
}

// takePIN takes the PIN that the user wants, and asks for it once more.
func (c *conversation) takePIN(typed []byte) Prompt {
	policy := c.Service.EnrolmentPolicy().PIN
	pin, err := policy.Choose(string(typed), c.user)
	switch {
	case errors.Is(err, otp.ErrWeakPIN):
		return c.again(choosePIN, c.say.weakPIN, c.askPIN())
	case err != nil || len(typed) > maxPIN:
		return c.again(choosePIN, fmt.Sprintf(c.say.badPIN, policy.MinLength, maxPIN), c.askPIN())
	}
	c.dialog.pin = pin
	return c.ask(repeatPIN, c.say.repeatPIN)
}

func (c *conversation) askPIN() string {
	return fmt.Sprintf(c.say.choosePIN, c.say.digitsInWords(c.Service.EnrolmentPolicy().PIN.MinLength))
}

// takePasscode takes PIN and first code. The one that is right is left to the
// verifier, as is any of a user who holds a token by now.
func (c *conversation) takePasscode(ctx context.Context, typed []byte) (Prompt, error) {
	found, tooMany, err := c.tryCode(ctx, c.caller, c.codes, c.user, otp.NewPasscode(bytes.Clone(typed)))
	switch {
	case err != nil:
		return Prompt{}, err
	case tooMany:
		return c.refuse(tooManyWrong, c.say.tooManyCodes), nil
	case found == otp.Shown:
		return Prompt{Verdict: otp.Undecided}, nil
	}
	open, err := c.invitation(ctx, tms.InvitationID{})
	if err != nil {
		return Prompt{}, err
	}
	if !open.Exists {
		// Taken up at the activation page meanwhile, or over.
		if err := c.look(ctx); err != nil {
			return Prompt{}, err
		}
		switch {
		case c.owner.holds:
			return Prompt{Verdict: otp.Undecided}, nil
		case found == otp.WrongFirstPIN: // the last one that there may be
			return c.refuse(tooManyWrong, c.say.tooManyWrong), nil
		}
		return c.refuse(timedOut, c.say.over), nil
	}
	reason := c.say.notShown
	if found == otp.OutOfStep {
		reason = c.say.clockWrong
	}
	return c.again(firstCode, reason, fmt.Sprintf(c.say.enter, c.whatToEnter()), c.keysOf(&open), c.say.another(&open)), nil
}

// proceed asks for the next thing that is missing, or invites the user if nothing
// is. What was done before, by the same dialog, is not done again.
func (c *conversation) proceed(ctx context.Context, address string) (Prompt, error) {
	open, err := c.invitation(ctx, c.dialog.id)
	switch {
	case err != nil:
		return Prompt{}, err
	case c.asked.Challenge && c.lacksPIN(&open):
		return c.beginPIN(ctx, &open)
	case !open.Exists:
		return c.invite(ctx, address)
	}
	return c.goOn(ctx, &open)
}

// beginPIN asks for a PIN, unless the user could not be invited with it.
func (c *conversation) beginPIN(ctx context.Context, open *tms.Invitation) (Prompt, error) {
	if !open.Exists {
		known, err := c.address(ctx)
		switch {
		case err != nil:
			return Prompt{}, err
		case !c.mayBeSent():
			return c.refuse(tooManyMails, c.say.tooManyMails), nil
		case known == "" && len(c.settings.Domains) == 0:
			return c.refuse(noAddress, c.say.noAddress), nil
		}
	}
	return c.ask(choosePIN, c.askPIN()), nil
}

// goOn tells the user about the invitation that there is.
func (c *conversation) goOn(ctx context.Context, open *tms.Invitation) (Prompt, error) {
	if err := c.setPIN(ctx, open); err != nil {
		return Prompt{}, err
	}
	return c.tell(open), nil
}

// mayBeSent reports whether the user may be sent another mail today.
func (c *conversation) mayBeSent() bool { return c.mails.has(c.user, c.now, c.settings.MaxMails) }

// lacksPIN reports whether the user has to choose a PIN yet.
func (c *conversation) lacksPIN(open *tms.Invitation) bool {
	return !c.owner.pin && c.dialog.pin.IsZero() && open.PIN.IsZero() && !c.Service.EnrolmentPolicy().NoPIN
}

// invite invites the user under the dialog's ID, and asks for the address before
// that if nobody knows it. Of several that do so at once the others find what the
// first has done.
func (c *conversation) invite(ctx context.Context, address string) (Prompt, error) {
	defer c.alone(c.user)()
	open, err := c.invitation(ctx, c.dialog.id)
	switch {
	case err != nil:
		return Prompt{}, err
	case open.Exists:
		return c.goOn(ctx, &open)
	case !c.mayBeSent():
		return c.refuse(tooManyMails, c.say.tooManyMails), nil
	}
	known, err := c.address(ctx)
	switch {
	case err != nil:
		return Prompt{}, err
	case known != "":
		address = known
	case address == "" && c.asked.Challenge && len(c.settings.Domains) > 0:
		return c.ask(giveMail, c.say.giveMail), nil
	case address == "":
		return c.refuse(noAddress, c.say.noAddress), nil
	}
	return c.send(ctx, address)
}

// send makes the invitation, whose mail goes to an address.
func (c *conversation) send(ctx context.Context, address string) (Prompt, error) {
	sum := mailSum(c.dialog.id)
	if !c.mails.take(c.user, sum, c.now, c.settings.MaxMails, c.Policy().ThrottleEntries) {
		return c.refuse(tooManyMails, c.say.tooManyMails), nil
	}
	n := tms.NewInvitation{User: string(c.user), Mail: address, ID: c.dialog.id}
	if !c.owner.pin {
		n.PIN = c.dialog.pin
	}
	issued, err := c.Service.Invite(ctx, c.caller, n)
	if err != nil || issued.Again { // by another node
		c.mails.giveBack(c.user, sum)
	}
	if err != nil {
		return c.notInvited(err)
	}
	if !issued.Again {
		c.metrics.dialog(invited)
		c.Wake()
	}
	open, err := c.invitation(ctx, c.dialog.id)
	if err == nil && !open.Exists { // replaced at once
		return c.refuse(timedOut, c.say.over), nil
	}
	return c.tell(&open), err
}

// notInvited ends the dialog of a user who cannot be invited. An error of the store
// ends nothing.
func (c *conversation) notInvited(err error) (Prompt, error) {
	if !errors.Is(err, tms.ErrInvalid) && !errors.Is(err, tms.ErrNotFound) {
		return Prompt{}, fmt.Errorf("inviting %q: %w", c.user, err)
	}
	c.Logger.Warn("a user cannot be invited", "user", string(c.user), "nas", c.asked.NAS, "error", err)
	return c.refuse(impossible, c.say.impossible), nil
}

// mailSum is what a quota knows an invitation by.
func mailSum(id tms.InvitationID) uint64 { return binary.BigEndian.Uint64(id[:]) }

// address is where the user's mails go, as far as somebody knows: the directory, or
// the administrator who invited the user before.
func (c *conversation) address(ctx context.Context) (string, error) {
	if address, ok := parseAddress(c.asked.Identity.Mail); ok {
		return address, nil
	}
	open, err := c.invitation(ctx, tms.InvitationID{})
	if err != nil || strings.HasPrefix(open.By, callerPrefix) {
		return "", err // what users typed themselves they may type anew
	}
	return open.Mail, nil
}

// tell tells the user what there is to follow. Where the gateway can ask, it asks
// for what comes of it.
func (c *conversation) tell(open *tms.Invitation) Prompt {
	zone := c.now.Location()
	if !c.asked.Challenge {
		return Prompt{Verdict: otp.Invited, Message: join(c.say.news(open, zone) + fmt.Sprintf(c.say.thenLogIn, c.whatToEnter()))}
	}
	c.dialog.pin = otp.PIN{}
	return c.ask(firstCode, c.say.news(open, zone)+fmt.Sprintf(c.say.thenEnter, c.whatToEnter()), c.keysOf(open), c.say.another(open))
}

func (c *conversation) whatToEnter() string {
	if c.Service.EnrolmentPolicy().NoPIN && !c.owner.pin {
		return c.say.code
	}
	return c.say.passcode
}

// keysOf is what opens the seed file of the mail.
func (c *conversation) keysOf(open *tms.Invitation) string {
	if c.settings.Style != SeedFileStyle || open.Token.Seed.IsZero() {
		return ""
	}
	return fmt.Sprintf(c.say.keys, open.Key.Reveal(), open.Token.Serial)
}

// open begins a dialog.
func (c *conversation) open(id tms.InvitationID) {
	c.dialog = dialog{id: id, expires: c.now.Add(c.settings.DialogTime)}
}

// ask asks for an answer.
func (c *conversation) ask(next step, sentences ...string) Prompt {
	c.dialog.step = next
	return Prompt{Verdict: otp.Enrolling, Message: join(sentences...), Echo: next == giveMail, Dialog: c.dialog.bytes()}
}

// again asks once more, for the answer was wrong, unless too many were.
func (c *conversation) again(next step, sentences ...string) Prompt {
	if c.dialog.wrong++; c.dialog.wrong >= maxWrong {
		return c.refuse(tooManyWrong, c.say.tooManyWrong)
	}
	return c.ask(next, sentences...)
}

// refuse ends the dialog. The verdict has no room for the reason: the log has it.
func (c *conversation) refuse(why outcome, message string) Prompt {
	c.Logger.Info("a user got no further on the way to a token", "user", string(c.user), "nas", c.asked.NAS, "reason", outcomes[why])
	c.metrics.dialog(why)
	return Prompt{Verdict: otp.EnrolmentRefused, Message: join(message)}
}
