package enrol

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

const (
	firstCensus  = time.Minute // after the start
	censusEvery  = time.Hour   // when the directory is not asked
	slowestQuery = time.Second // from one question to the directory to the next
)

// GroupRepository is what a UserRepository may be besides: then nobody loses the
// entitlement while a group of the Settings is not found.
type GroupRepository interface {
	// GroupExists reports whether a directory has a group (folded as in Identity). An
	// error says that nobody knows.
	GroupExists(ctx context.Context, group string) (bool, error)
}

// census looks who is entitled to the tokens they hold.
type census struct {
	*Enrolment
	noted map[otp.UserName]bool // of holders, whether they are entitled, as far as it was noted since the start
	held  bool                  // for the rest of this census nobody loses the entitlement
	told  string                // why that is so, as it was logged last; "" when it is not
}

// runCensus asks the directory about the holders of enrolled tokens, and removes
// lists of codes that are over, until ctx is done.
func (e *Enrolment) runCensus(ctx context.Context) {
	c := &census{Enrolment: e}
	for wait := firstCensus; pause(ctx, wait); {
		wait = e.Settings().CheckEvery
		asks := wait > 0 && e.Users != nil
		if !asks {
			wait = censusEvery
		}
		if err := c.take(ctx, asks, wait); err != nil && ctx.Err() == nil {
			e.Logger.Error("the entitlement to tokens is not looked after", "error", err)
		}
	}
}

// take takes a census. The questions to the directory take half of the time until
// the next at most.
func (c *census) take(ctx context.Context, asks bool, period time.Duration) error {
	holders := map[otp.UserName]bool{} // and whether there is something to revoke
	var over []otp.Serial
	unix := c.Clock().Unix()
	err := c.Service.Store.Tokens(ctx, tms.Filter{}, func(t *tms.Token) error {
		if overList(t, unix) {
			over = append(over, t.Serial)
		} else if t.Enrolled && !t.Local && t.User != "" {
			holders[t.User] = holders[t.User] || !t.Revoked
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, serial := range over {
		if err := c.removeList(ctx, serial); err != nil {
			return err
		}
	}
	if !asks || len(holders) == 0 {
		return nil
	}
	slowest := min(period/2/time.Duration(len(holders)), slowestQuery)
	return c.ask(ctx, holders, slowest)
}

// errNothing ends a change in which there is nothing to do.
var errNothing = errors.New("nothing to change")

// removeList removes a list of codes that is over.
func (c *census) removeList(ctx context.Context, serial otp.Serial) error {
	now := c.Clock()
	act := tms.Act{At: now, Actor: self.Name, Verb: "token.remove", Object: string(serial), Detail: "list of codes is over"}
	err := c.Service.Store.ChangeToken(ctx, serial, act, func(t *tms.Token) error {
		if !t.Exists || !overList(t, now.Unix()) {
			return errNothing
		}
		t.Exists = false
		return nil
	})
	if errors.Is(err, errNothing) {
		return nil
	}
	return err
}

// ask asks the directory about each holder, and notes what it says. Nothing comes of
// a question that it leaves without an answer, and what could not be noted is tried
// again the next time.
func (c *census) ask(ctx context.Context, holders map[otp.UserName]bool, slowest time.Duration) error {
	noted := map[otp.UserName]bool{}
	lost := 0
	c.held = false
	for _, user := range slices.Sorted(maps.Keys(holders)) {
		entitled, known := c.askAbout(ctx, user, holders[user])
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if known {
			noted[user] = entitled
		}
		if known && !entitled {
			lost++
		}
		if !pause(ctx, slowest) {
			return ctx.Err()
		}
	}
	if !c.held {
		c.told = ""
	}
	c.noted = noted
	c.metrics.unentitled.Set(float64(lost))
	return nil
}

// askAbout asks the directory about a user, and returns what is noted now.
func (c *census) askAbout(ctx context.Context, user otp.UserName, revocable bool) (entitled, known bool) {
	before, known := c.noted[user]
	identity, source := c.Users.Find(ctx, []byte(user))
	settings := c.Settings()
	entitled = settings.entitled(identity)
	var err error
	switch {
	case ctx.Err() != nil || source != exclusions.Fresh || entitled && known && before:
		return before, known // as it was
	case entitled:
		err = c.restore(ctx, user, known)
	case c.holds(ctx, settings.Groups):
		return before, known
	default:
		err = c.lose(ctx, user, settings.Grace, revocable)
	}
	if err != nil {
		c.Logger.Error("the entitlement of a user cannot be noted", "user", string(user), "error", err)
		return false, known || !entitled
	}
	return entitled, true
}

// holds reports whether a group that entitles is not to be found. It may be misspelt,
// renamed or hidden, and then that nobody is in it says nothing of anybody. Each is
// looked for just before somebody would lose the entitlement, and after the first
// that is missing none for the rest of the census.
func (c *census) holds(ctx context.Context, groups []string) bool {
	repository, ok := c.Users.(GroupRepository)
	if !ok || c.held {
		return c.held
	}
	for _, group := range groups {
		found, err := repository.GroupExists(ctx, group)
		if found && err == nil {
			continue
		}
		c.held = true
		why := "no directory has it"
		if err != nil {
			why = err.Error()
		}
		if told := group + ": " + why; told != c.told && ctx.Err() == nil {
			c.told = told
			c.Logger.Warn("nobody loses the entitlement to enrolled tokens: a group of enrol.groups is not found", "group", group, "error", why)
		}
		break
	}
	return c.held
}

// lose notes that a user is not entitled to enrolled tokens, and revokes them when
// that has been so for the grace time, unless that was done before.
func (c *census) lose(ctx context.Context, user otp.UserName, grace time.Duration, revocable bool) error {
	now := c.Clock()
	since, err := c.Service.SetEntitled(ctx, self, user, false)
	if err != nil {
		return err
	}
	if !since.Before(now.Truncate(time.Second)) {
		c.Logger.Warn("entitlement to enrolled tokens lost", "user", string(user), "revoked", since.Add(grace))
	}
	if !revocable || now.Sub(since) < grace {
		return nil
	}
	if err := c.Service.RevokeEnrolled(ctx, self, user); err != nil {
		return err
	}
	c.Logger.Warn("enrolled tokens revoked", "user", string(user), "since", since)
	c.Wake()
	return nil
}

// restore notes that a user is entitled, who was lost if that is known.
func (c *census) restore(ctx context.Context, user otp.UserName, lost bool) error {
	_, err := c.Service.SetEntitled(ctx, self, user, true)
	if err == nil && lost {
		c.Logger.Info("entitlement to enrolled tokens is back", "user", string(user))
	}
	return err
}
