package migration

import (
	"context"
	"errors"

	"countersign/otp"
	"countersign/tms"
)

// eliminate looks through the doubts, as tokens have found their users: of whose tokens
// all but one are others' by now, has that one.
func (l *Learner) eliminate(ctx context.Context, x *index) {
	for _, user := range l.doubts.ambiguous() {
		if ctx.Err() != nil {
			return
		}
		if err := l.settle(ctx, x, user); err != nil {
			l.Logger.Error("learning by elimination failed", "user", string(user), "error", err)
		}
	}
}

// settle looks at the doubt about one user. The login it came of is over, so that its
// code has to be burned.
func (l *Learner) settle(ctx context.Context, x *index, user otp.UserName) error {
	defer l.alone(user)()
	d := l.doubts.of(user)
	if d == nil || d.Outcome != Ambiguous {
		return nil
	}
	var left []candidate
	for _, c := range d.candidates {
		others, err := l.others(ctx, x, c.serial)
		if err != nil {
			return err
		}
		if !others {
			left = append(left, c)
		}
	}
	if len(left) != 1 || !left[0].fit {
		return nil
	}
	held, err := l.held(ctx, user)
	if err != nil {
		return err
	}
	for i := range held {
		if held[i].Learned {
			return nil // the next login tells
		}
	}
	if err := l.give(ctx, x, user, left[0], left[0].next); !errors.Is(err, tms.ErrInvalid) {
		return err
	}
	return nil // the next login tells why
}

// others reports whether a token that was in stock is somebody's.
func (l *Learner) others(ctx context.Context, x *index, serial otp.Serial) (bool, error) {
	if holder, found := x.holder(serial); found {
		return holder != "", nil
	}
	taken := false // by an administrator, or it was removed
	err := l.Store.Tokens(ctx, tms.Filter{Serial: serial}, func(t *tms.Token) error {
		taken = t.User != ""
		return nil
	})
	return taken, err
}
