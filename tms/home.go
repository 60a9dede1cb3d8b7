package tms

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"countersign/otp"
)

// saidHome is the word of a home, "" when none was said.
func saidHome(h otp.Home) string {
	if h == otp.HomeUnsaid {
		return ""
	}
	return h.String()
}

// parseHome reads the word of a home.
func parseHome(word string) (otp.Home, error) {
	for _, h := range []otp.Home{otp.HomeUnsaid, otp.HomeLocal, otp.HomeTMS} {
		if h.String() == word {
			return h, nil
		}
	}
	return 0, invalid("home %q: choose local, tms or unsaid", word)
}

// HomeChange is what SetHome needs.
type HomeChange struct {
	User  string `json:"user"`
	Home  string `json:"home"`  // local, tms or unsaid
	Force bool   `json:"force"` // local, though the TMS said otherwise of a token, or it was learned and is not active
}

// SetHome says who verifies a user's codes from now on: our own tokens, the TMS alone, or
// whoever the configuration says. Our own tokens can when the user holds one that can
// be used, not only learned ones that are not active, and the TMS did not say
// otherwise of it at the last login; else the error wraps ErrInvalid. The next login is
// decided so.
func (s *Service) SetHome(ctx context.Context, c Caller, change HomeChange) (UserView, error) {
	name, err := s.userName(ctx, c, change.User)
	if err != nil {
		return UserView{}, err
	}
	home, err := parseHome(change.Home)
	if err != nil {
		return UserView{}, err
	}
	return s.moveTo(ctx, c, name, home, change.Force, "")
}

// moveTo is SetHome, of names that were read. Where it is so already nothing is written.
func (s *Service) moveTo(ctx context.Context, c Caller, user otp.UserName, home otp.Home, force bool, by string) (UserView, error) {
	detail := "home=" + home.String() + by
	if force {
		detail += " force"
	}
	act, err := s.gate(c, "user.home", string(user), detail)
	if err != nil {
		return UserView{}, err
	}
	if s.Migration == nil {
		return UserView{}, errNoMigration
	}
	var view UserView
	err = s.changeHolder(ctx, user, act, func(h *Holder) error {
		if !h.User.Exists {
			return notFound("user", user)
		}
		before := h.User.Home
		h.User.Home = home
		view = viewUser(&h.User)
		view.Tokens = h.serials()
		if before == home {
			return errNothing
		}
		if home != otp.HomeLocal {
			return nil
		}
		if why := unready(s.standings(h, act.At), force); why != "" {
			return invalid("user %q: %s", user, why)
		}
		return nil
	})
	if err != nil {
		return UserView{}, err
	}
	return view, nil
}

// serials are those of the user's tokens.
func (h *Holder) serials() (serials []otp.Serial) {
	for i := range h.Tokens {
		serials = append(serials, h.Tokens[i].Serial)
	}
	return serials
}

// standings are those of the tokens that can be used.
func (s *Service) standings(h *Holder, at time.Time) (all []TokenStanding) {
	for i := range h.Tokens {
		if standing, usable := s.standing(&h.Tokens[i], at); usable {
			all = append(all, standing)
		}
	}
	return all
}

// unready says why our own tokens cannot decide about their user, "" when they can.
func unready(tokens []TokenStanding, force bool) string {
	if len(tokens) == 0 {
		return "holds no token here that can be used now"
	}
	if force {
		return ""
	}
	at := slices.IndexFunc(tokens, TokenStanding.disagrees)
	if at < 0 {
		return unproven(tokens)
	}
	often := "at the last login"
	if n := tokens[at].Disagreed; n > 1 {
		often = fmt.Sprintf("%d times in a row", n)
	}
	return fmt.Sprintf("of token %s the TMS said otherwise %s: `countersign migrate differences` tells what", tokens[at].Serial, often)
}

// unproven says that all a user has was learned and is not active, so that it may be
// another's token, which was shown once by chance; "" when it is not so.
func unproven(tokens []TokenStanding) string {
	if slices.ContainsFunc(tokens, func(t TokenStanding) bool { return t.Active }) {
		return ""
	}
	logins := "no login has"
	if n := tokens[0].Agreed; n == 1 {
		logins = "one login alone has"
	} else if n > 1 {
		logins = fmt.Sprintf("only %d logins have", n)
	}
	return fmt.Sprintf("token %s was learned and has not proven itself: %s agreed; let the user log in at the TMS again", tokens[0].Serial, logins)
}

// Move says whom Cutover and Rollback move, by one of Group, User and All, and how.
type Move struct {
	Group  string `json:"group"` // whose users; folded as in exclusions.Identity
	User   string `json:"user"`
	All    bool   `json:"all"`
	Force  bool   `json:"force"`   // of Cutover: those too of whose tokens the TMS said otherwise, or that have not proven themselves
	Clear  bool   `json:"clear"`   // of Rollback: back to what the configuration says
	DryRun bool   `json:"dry_run"` // change nothing
}

// Moved is what became of one user.
type Moved struct {
	User otp.UserName `json:"user"`
	Was  string       `json:"was"`            // local, tms or unsaid
	Home string       `json:"home"`           // from now on
	Left string       `json:"left,omitempty"` // why the user was left as it was; "" otherwise
}

// MoveReport counts what became of them all.
type MoveReport struct {
	Moved  int  `json:"moved"`
	Left   int  `json:"left"`
	Before int  `json:"before"` // there was nothing to change
	DryRun bool `json:"dry_run,omitempty"`
}

const cutover = "migration.cutover"

// Cutover has our own tokens verify the codes of users from now on, whatever the order.
// Who holds no token that can be used is left where they are, and so are, without Force,
// who holds one of which the TMS said otherwise at the last login, and who holds nothing
// but learned ones that are not active. Each gets those
// who were moved and those who were left. Each user is one change with its record, so that
// one that was broken off can be done again. Progress may be nil; groups and directories
// are as in MigrationStatus.
func (s *Service) Cutover(ctx context.Context, c Caller, m Move, progress func(done, total int64), each func(Moved) error) (MoveReport, error) {
	return s.move(ctx, c, cutover, m, progress, each, func(p *person) (otp.Home, string) {
		if p.home == otp.HomeLocal {
			return p.home, ""
		}
		return otp.HomeLocal, unready(p.tokens, m.Force)
	})
}

// Rollback has the TMS alone verify the codes of users who hold tokens here, or were cut
// over; with Clear it is again as if neither had been said. All else is as in Cutover.
func (s *Service) Rollback(ctx context.Context, c Caller, m Move, progress func(done, total int64), each func(Moved) error) (MoveReport, error) {
	m.Force = false
	return s.move(ctx, c, "migration.rollback", m, progress, each, func(p *person) (otp.Home, string) {
		switch {
		case m.Clear:
			return otp.HomeUnsaid, ""
		case p.stored && (p.holds || p.home == otp.HomeLocal):
			return otp.HomeTMS, ""
		}
		return p.home, "" // the TMS alone can
	})
}

// move moves each user to the home that is decided about them, or leaves them for the
// reason that is given.
func (s *Service) move(ctx context.Context, c Caller, verb string, m Move, progress func(done, total int64), each func(Moved) error, decide func(*person) (otp.Home, string)) (MoveReport, error) {
	if _, err := s.gate(c, verb, "", ""); err != nil {
		return MoveReport{}, err
	}
	all, err := s.chosen(ctx, c, &m, verb == cutover)
	if err != nil {
		return MoveReport{}, err
	}
	report := MoveReport{DryRun: m.DryRun}
	err = all.walk(ctx, progress, func(p *person, in []string) error {
		if len(all.groups) > 0 && len(in) == 0 {
			return nil
		}
		home, why := decide(p)
		if home == p.home && why == "" {
			report.Before++
			return nil
		}
		moved := Moved{User: p.name, Was: p.home.String(), Home: home.String(), Left: why}
		if why == "" && !m.DryRun {
			_, err := s.moveTo(ctx, c, p.name, home, m.Force, m.by())
			if moved.Left, err = left(err); err != nil {
				return err
			}
		}
		if moved.Left != "" {
			moved.Home = moved.Was
			report.Left++
		} else {
			report.Moved++
		}
		return each(moved)
	})
	return report, err
}

// left is why a user stays, of an error that says that something has changed since the
// user was looked at. Any other ends the move.
func left(err error) (string, error) {
	if errors.Is(err, ErrInvalid) || errors.Is(err, ErrNotFound) {
		return err.Error(), nil
	}
	return "", err
}

// by is what the record of a move says of whose move it was part.
func (m *Move) by() string {
	switch {
	case m.Group != "":
		return fmt.Sprintf(" group=%q", m.Group)
	case m.All:
		return " all"
	}
	return ""
}

// chosen are those whom a Move is about. Who is only in a directory holds nothing here
// and is told of at a cut-over; to roll back works without a directory.
func (s *Service) chosen(ctx context.Context, c Caller, m *Move, directory bool) (*population, error) {
	ways := 0
	for _, way := range []bool{m.Group != "", m.User != "", m.All} {
		if way {
			ways++
		}
	}
	switch {
	case ways != 1:
		return nil, invalid("say who: one group, one user, or all")
	case m.Group != "":
		return s.population(ctx, scope{groups: []string{m.Group}, directory: directory})
	case m.All:
		return s.population(ctx, scope{directory: directory})
	}
	name, err := s.userName(ctx, c, m.User)
	if err != nil {
		return nil, err
	}
	one, err := s.population(ctx, scope{user: name, directory: true})
	if err == nil && len(one.people) == 0 {
		err = notFound("user", name)
	}
	return one, err
}
