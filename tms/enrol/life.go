package enrol

import (
	"context"
	"errors"
	"time"

	"countersign/otp"
	"countersign/tms"
)

// tendEvery is how often invitations are looked after.
const tendEvery = time.Minute

// runInvitations looks after invitations until ctx is done.
func (e *Enrolment) runInvitations(ctx context.Context) {
	for {
		if err := e.tend(ctx); err != nil && ctx.Err() == nil {
			e.Logger.Error("invitations are not looked after", "error", err)
		}
		if !pause(ctx, tendEvery) {
			return
		}
	}
}

// chore is what an invitation waits for.
type chore struct {
	user otp.UserName
	id   tms.InvitationID
	do   func(ctx context.Context, c tms.Caller, user otp.UserName, id tms.InvitationID) error
	verb string
}

// tend removes invitations that are over, reminds of those that soon will be, and
// counts the others and the mails.
func (e *Enrolment) tend(ctx context.Context) error {
	now, remind, open := e.Clock(), e.Settings().Remind, 0
	var chores []chore
	err := e.Store.Invitations(ctx, tms.Filter{}, func(i *tms.Invitation) error {
		switch {
		case !now.Before(i.Expires):
			chores = append(chores, chore{i.User, i.ID, e.Service.ExpireInvitation, "invitation over"})
			return nil
		case wantsReminder(i, now, remind):
			chores = append(chores, chore{i.User, i.ID, e.Service.RemindInvitation, "reminder queued"})
		}
		open++
		return nil
	})
	if err != nil {
		return err
	}
	e.metrics.open.Set(float64(open))
	for _, c := range chores {
		switch err := c.do(ctx, self, c.user, c.id); {
		case err == nil:
			e.Logger.Info(c.verb, "user", string(c.user), "invitation", c.id.String())
			e.Wake()
		case ctx.Err() != nil:
			return ctx.Err()
		case !errors.Is(err, tms.ErrNotFound): // another node was quicker
			e.Logger.Error(c.verb+": failed", "user", string(c.user), "error", err)
		}
	}
	return e.countMails(ctx)
}

// wantsReminder reports whether it is time to remind of an invitation. One that was
// valid for less than that time from the start gets none.
func wantsReminder(i *tms.Invitation, now time.Time, remind time.Duration) bool {
	from := i.Expires.Add(-remind)
	return remind > 0 && !i.Reminded && i.Mail != "" && i.Created.Before(from) && !now.Before(from)
}

func (e *Enrolment) countMails(ctx context.Context) error {
	count := 0
	err := e.Store.Mails(ctx, tms.Filter{}, func(*tms.Mail) error {
		count++
		return nil
	})
	if err == nil {
		e.metrics.waiting.Set(float64(count))
	}
	return err
}
