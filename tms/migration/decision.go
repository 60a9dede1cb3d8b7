package migration

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"countersign/otp"
	"countersign/tms"
)

// attempts is how often a login is looked at anew because the index was behind.
const attempts = 3

// learn learns from a login. doc.go tells it in prose.
func (l *Learner) learn(ctx context.Context, a *login) (outcome Outcome, err error) {
	if len(a.passcode.Bytes()) == 0 {
		return NotShown, nil // it was not seen
	}
	defer l.alone(a.user)()
	sum, decide := l.sum(a), l.decide
	switch since, again := l.lasts.find(a.user, sum); {
	case !again:
	case a.at.Sub(since) < codeTime:
		return Repeated, nil
	default:
		decide = l.static
	}
	x := l.index.Load()
	for range attempts {
		if outcome, err = decide(ctx, x, a); !errors.Is(err, tms.ErrInvalid) {
			break
		}
	}
	if err != nil {
		return Failed, err
	}
	if outcome != NotReady {
		l.lasts.note(a.user, sum, a.at)
	}
	return outcome, nil
}

// static is for a passcode that is no one-time code. What was learned of it, or of one
// before it, was by chance.
func (l *Learner) static(ctx context.Context, x *index, a *login) (Outcome, error) {
	held, err := l.held(ctx, a.user)
	if err != nil {
		return Failed, err
	}
	for _, serial := range standingOf(held, a).loose {
		if err := l.takeBack(ctx, x, serial, a.user); err != nil {
			return Failed, err
		}
	}
	return l.doubt(a, Static, nil, nil), nil
}

// decide is one look at a login. The error wraps tms.ErrInvalid when the index was
// behind and has caught up.
func (l *Learner) decide(ctx context.Context, x *index, a *login) (Outcome, error) {
	if own := x.own(a); len(own) > 0 {
		return l.known(ctx, x, a, own)
	}
	found, ready := x.find(a)
	switch {
	case !ready:
		return NotReady, nil
	case len(found) == 0:
		l.doubts.forget(a.user) // whatever was shown before was by chance, or another token
		return NotShown, nil
	}
	held, err := l.held(ctx, a.user)
	if err != nil {
		return Failed, err
	}
	if explained(held, a) {
		l.doubts.forget(a.user)
		return Known, nil
	}
	both := l.doubts.of(a.user).shown(found)
	twice := len(both) > 0
	if twice {
		found = both
	}
	stock, others := divide(found)
	switch len(stock) {
	case 0:
		return l.conflict(ctx, x, a, others, held, twice)
	case 1:
		return l.meet(ctx, x, a, stock[0], held, twice)
	}
	return l.doubt(a, Ambiguous, stock, stock), nil
}

// known is for a user whose learned token shows the code: the PIN may be new.
func (l *Learner) known(ctx context.Context, x *index, a *login, own []candidate) (Outcome, error) {
	pin, err := l.pin(ctx, a.user)
	if err != nil {
		return Failed, err
	}
	c := own[0]
	if c.far || slices.ContainsFunc(own, func(c candidate) bool { return c.pin.Equal(pin) }) {
		l.doubts.forget(a.user)
		return Known, nil
	}
	found, ready := x.find(a)
	stock, _ := divide(found)
	switch {
	case !ready:
		return NotReady, nil
	case len(stock) > 0:
		return l.doubt(a, Ambiguous, append(own, stock...), nil), nil
	case !c.fit:
		return l.doubt(a, Unfit, own, nil), nil
	}
	err = l.Service.LearnPIN(ctx, self, tms.Lesson{User: a.user, Serial: c.serial, PIN: c.pin})
	switch {
	case err == nil:
		l.doubts.forget(a.user)
		l.Logger.Info("OTP PIN learned", "user", string(a.user), "serial", string(c.serial))
		return LearnedPIN, nil
	case errors.Is(err, tms.ErrOtherPIN):
		return l.doubt(a, OtherPIN, own, nil), nil
	}
	return l.refused(ctx, x, a, c, err)
}

// conflict is for a login whose code is shown by nothing but tokens that others have
// learned. Either that or this is by chance, and the next login of either tells which.
// Twice says that the user's login before this one showed them, too. What is disabled, lost
// or not in its time stays where it is.
func (l *Learner) conflict(ctx context.Context, x *index, a *login, others []candidate, held []tms.Token, twice bool) (Outcome, error) {
	open := slices.DeleteFunc(slices.Clone(others), func(c candidate) bool { return c.proven || !c.fit })
	switch {
	case len(open) == 0:
		return l.doubt(a, Held, others, nil), nil
	case len(open) > 1 || !twice:
		return l.doubt(a, Conflict, open, open), nil
	}
	if err := l.takeBack(ctx, x, open[0].serial, open[0].user); err != nil {
		return Failed, err
	}
	return l.meet(ctx, x, a, open[0], held, twice)
}

// meet is for a login whose code is shown by one token in stock. Twice says that the
// user's login before this one showed it, too.
func (l *Learner) meet(ctx context.Context, x *index, a *login, c candidate, held []tms.Token, twice bool) (Outcome, error) {
	one := []candidate{c}
	has := standingOf(held, a)
	switch {
	case !c.fit:
		return l.doubt(a, Unfit, one, nil), nil
	case has.unproven && !has.proven && !twice:
		return l.doubt(a, SecondToken, one, one), nil
	}
	err := l.give(ctx, x, a.user, c, 0)
	if errors.Is(err, tms.ErrOtherPIN) && twice && len(has.loose) == len(held) {
		// What was learned once, with another PIN, was by chance.
		for _, serial := range has.loose {
			if err := l.takeBack(ctx, x, serial, a.user); err != nil {
				return Failed, err
			}
		}
		err = l.give(ctx, x, a.user, c, 0)
	}
	switch {
	case err == nil:
		return LearnedToken, nil
	case errors.Is(err, tms.ErrOtherPIN):
		return l.doubt(a, OtherPIN, one, nil), nil
	}
	return l.refused(ctx, x, a, c, err)
}

// standing is what a user has learned.
type standing struct {
	proven   bool         // a token is active
	unproven bool         // one is not
	loose    []otp.Serial // those that are not, and can be taken back
}

func standingOf(held []tms.Token, a *login) (s standing) {
	for i := range held {
		switch t := &held[i]; {
		case !t.Learned:
		case int(t.State.Agreed) >= a.policy.Agreements:
			s.proven = true
		default:
			s.unproven = true
			if !t.Disabled {
				s.loose = append(s.loose, t.Serial)
			}
		}
	}
	return s
}

// refused tells what an error of the Service means.
func (l *Learner) refused(ctx context.Context, x *index, a *login, c candidate, err error) (Outcome, error) {
	switch {
	case errors.Is(err, tms.ErrTaken):
		return Failed, errors.Join(err, x.refresh(ctx, l.Store, c.serial, &a.policy))
	case errors.Is(err, tms.ErrInvalid):
		return l.doubt(a, Unfit, []candidate{c}, nil), nil
	}
	return Failed, err
}

// give has a user learn a token.
func (l *Learner) give(ctx context.Context, x *index, user otp.UserName, c candidate, next uint64) error {
	err := l.Service.LearnToken(ctx, self, tms.Lesson{User: user, Serial: c.serial, PIN: c.pin, Next: next})
	if err != nil {
		return err
	}
	x.moved(c.serial, user, next)
	l.doubts.forget(user)
	l.moved.Store(true)
	l.Logger.Info("token learned", "user", string(user), "serial", string(c.serial))
	return nil
}

// takeBack has a user unlearn a token. The error wraps tms.ErrInvalid when that cannot
// be, and the index knows it then.
func (l *Learner) takeBack(ctx context.Context, x *index, serial otp.Serial, user otp.UserName) error {
	err := l.Service.UnlearnToken(ctx, self, tms.Lesson{User: user, Serial: serial})
	if errors.Is(err, tms.ErrInvalid) {
		policy := l.Policy()
		return errors.Join(err, x.refresh(ctx, l.Store, serial, &policy))
	}
	if err != nil {
		return err
	}
	x.moved(serial, "", 0)
	l.moved.Store(true)
	l.Logger.Warn("token taken back into stock: its user came by it by chance", "user", string(user), "serial", string(serial))
	return nil
}

// doubt notes what a login left open, and what of it the next one is to be compared with.
func (l *Learner) doubt(a *login, o Outcome, shown, candidates []candidate) Outcome {
	list := serials(shown)
	slices.Sort(list)
	news := l.doubts.remember(&doubt{
		Ambiguity:  Ambiguity{User: a.user, At: a.at, Outcome: o, Serials: list},
		candidates: candidates,
	})
	if news {
		level := slog.LevelWarn
		if candidates != nil {
			level = slog.LevelInfo // the next login will tell
		}
		l.Logger.Log(context.Background(), level, "nothing is learned from a login", "user", string(a.user), "why", o.String(), "serials", fmt.Sprint(list))
	}
	return o
}

// held are the tokens of a user, but for lists of codes.
func (l *Learner) held(ctx context.Context, user otp.UserName) (held []tms.Token, err error) {
	err = l.Store.Tokens(ctx, tms.Filter{User: user}, func(t *tms.Token) error {
		if t.Type != otp.CodeList {
			held = append(held, *t)
		}
		return nil
	})
	return held, err
}

// explained reports whether a token that the user did not learn shows the code, used or
// not: then it is no wonder, and what else shows it is by chance.
func explained(held []tms.Token, a *login) bool {
	return slices.ContainsFunc(held, func(t tms.Token) bool {
		t.State = unused(&t.Token)
		_, shown := shows(&t.Token, a)
		return shown
	})
}

// pin is the OTP PIN that we have of a user.
func (l *Learner) pin(ctx context.Context, user otp.UserName) (pin otp.PIN, err error) {
	err = l.Store.Users(ctx, tms.Filter{User: user}, func(u *tms.User) error {
		pin = u.PIN
		return nil
	})
	return pin, err
}

// divide tells the tokens in stock from those that somebody has learned.
func divide(found []candidate) (stock, others []candidate) {
	for _, c := range found {
		if c.user == "" {
			stock = append(stock, c)
		} else {
			others = append(others, c)
		}
	}
	return stock, others
}
