package tms

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
)

// inquiry finds what else the journal tells about a login.
type inquiry struct {
	service *Service
	x       *Explanation
	e       *Event
	policy  otp.Policy
}

// lookedAt is how many events are looked at for one answer at most.
const lookedAt = 1000

// run adds to Related and Sessions.
func (q *inquiry) run(ctx context.Context) error {
	if q.e.User == "" {
		return nil // a Filter without a user is about everybody
	}
	var err error
	switch q.e.Decision.Verdict {
	case otp.Replayed, otp.AnsweredElsewhere:
		err = q.usedBefore(ctx)
	case otp.Throttled:
		err = q.wrongPINs(ctx)
	case otp.Locked:
		err = q.lockedBy(ctx)
	case otp.TooManySessions:
		err = q.openSessions(ctx)
	}
	if q.e.Decision.Verdict.Accepts() {
		return err
	}
	return errors.Join(err, q.since(ctx))
}

// relate adds an event.
func (q *inquiry) relate(e *Event, format string, args ...any) {
	q.x.Related = append(q.x.Related, RelatedEvent{e.ID.String(), e.At, fmt.Sprintf(format, args...)})
}

// find returns the newest login that a filter and wanted choose, nil when there is none
// among the newest of those that the filter chooses.
func (q *inquiry) find(ctx context.Context, f Filter, wanted func(*Event) bool) (*Event, error) {
	f.Limit = lookedAt
	var found *Event
	err := q.service.Store.Events(ctx, f, func(e *Event) error {
		if e.Kind != LoginEvent || !wanted(e) {
			return nil
		}
		found = new(Event)
		*found = *e
		return errEnough
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

// after reports whether the first of two events came after the other.
func after(a, b otp.EventID) bool {
	return a.Batch > b.Batch || a.Batch == b.Batch && a.Index > b.Index
}

func anyLogin(*Event) bool { return true }

// newest is the newest login with one of these verdicts.
func (q *inquiry) newest(ctx context.Context, f Filter, verdicts ...otp.Verdict) (newest *Event, err error) {
	for _, f.Verdict = range verdicts {
		e, err := q.find(ctx, f, anyLogin)
		if err != nil {
			return nil, err
		}
		if e != nil && (newest == nil || after(e.ID, newest.ID)) {
			newest = e
		}
	}
	return newest, nil
}

// usedBefore finds the login that used the code.
func (q *inquiry) usedBefore(ctx context.Context) error {
	f := Filter{User: otp.UserName(q.e.User), Serial: q.e.Decision.Serial, Before: q.e.ID}
	if f.Serial == "" {
		e, err := q.newest(ctx, f, otp.AcceptedByTMS)
		if e != nil {
			q.relate(e, "the newest login of %s that the TMS had accepted, %s before", e.User, q.before(e))
		}
		return err
	}
	e, same, err := q.usedBy(ctx, f)
	switch {
	case e == nil || err != nil:
		return err
	case same:
		q.relate(e, usedThere, q.before(e), e.NAS)
	default:
		q.relate(e, "the newest login with %s, %s before, at %s, used this eToken or a later one", f.Serial, q.before(e), e.NAS)
	}
	return nil
}

// usedBy finds the login that used this same code. Where there is none it is the newest with
// the token, nil when there is none of these either.
func (q *inquiry) usedBy(ctx context.Context, f Filter) (e *Event, same bool, err error) {
	step, clock := q.step(q.e)
	if clock {
		if e, err = q.atStep(ctx, f, step); e != nil || err != nil {
			return e, true, err
		}
	}
	e, err = q.newest(ctx, f, otp.Accepted, otp.AcceptedByTMS)
	if e != nil && !clock && q.e.Decision.Offset == -1 {
		same, err = q.untouched(ctx, e)
	}
	return e, same, err
}

// atStep finds a login that was accepted with the code of a time step.
func (q *inquiry) atStep(ctx context.Context, f Filter, step int64) (*Event, error) {
	for _, f.Verdict = range []otp.Verdict{otp.Accepted, otp.AcceptedByTMS} {
		e, err := q.find(ctx, f, func(e *Event) bool {
			used, _ := q.step(e)
			return used == step
		})
		if e != nil || err != nil {
			return e, err
		}
	}
	return nil, nil
}

// usedThere is said of the login that used the code.
const usedThere = "this very eToken was used, %s before, at %s"

// untouched reports whether the token was in no act from another login with it on: then
// the code it used last is that of the other login.
func (q *inquiry) untouched(ctx context.Context, since *Event) (bool, error) {
	touched := false
	f := Filter{Serial: q.e.Decision.Serial, From: since.At, Before: q.e.ID, Limit: lookedAt}
	err := q.service.Store.Events(ctx, f, func(e *Event) error {
		touched = touched || e.Kind == ActEvent && after(e.ID, since.ID)
		return nil
	})
	return !touched, err
}

// step is the time step of the code of a login, by the token's own settings.
func (q *inquiry) step(e *Event) (step int64, clock bool) {
	t := q.x.tried(string(q.e.Decision.Serial))
	if t == nil || t.period == 0 {
		return 0, false
	}
	return oath.TimeStep(e.At, t.t0, uint32(t.period)) + e.Decision.Offset, true
}

// before is how long before the login another was.
func (q *inquiry) before(e *Event) string { return about(q.e.At.Sub(e.At).Round(time.Second)) }

// wrongPINs counts the wrong OTP PINs for which the source waits.
func (q *inquiry) wrongPINs(ctx context.Context) error {
	f := Filter{User: otp.UserName(q.e.User), From: q.e.At.Add(-q.policy.ThrottleForget), Before: q.e.ID}
	n := 0
	var last *Event
	_, err := q.find(ctx, f, func(e *Event) bool {
		d := &e.Decision
		if e.NAS != q.e.NAS || e.Station != q.e.Station {
			return false
		}
		switch d.Verdict {
		case otp.WrongPIN, otp.WrongPasscode, otp.RefusedByTMS:
			if n++; last == nil {
				last = new(Event)
				*last = *e
			}
		}
		return d.Verdict == otp.Accepted || d.Verdict == otp.AcceptedByTMS
	})
	if last != nil {
		q.relate(last, "the last of %s of %s from there within %s", amount(int64(n), "wrong OTP PIN"), last.User, about(q.policy.ThrottleForget))
	}
	return err
}

// lockedBy finds the login that locked the token.
func (q *inquiry) lockedBy(ctx context.Context) error {
	f := Filter{Serial: q.e.Decision.Serial, From: q.e.At.Add(-q.policy.LockTime), Before: q.e.ID}
	e, err := q.find(ctx, f, func(e *Event) bool { return e.Decision.LockedNow })
	if e != nil {
		q.relate(e, "this one locked %s, %s before", f.Serial, q.before(e))
	}
	return err
}

// since finds the newest login of the user that was accepted afterwards.
func (q *inquiry) since(ctx context.Context) error {
	f := Filter{User: otp.UserName(q.e.User), From: q.e.At}
	e, err := q.newest(ctx, f, otp.Accepted, otp.Excluded, otp.AcceptedByTMS)
	if e != nil && after(e.ID, q.e.ID) {
		q.relate(e, "%s has been let in since", e.User)
	}
	return err
}
