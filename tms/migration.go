package tms

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// Seen is that the TMS has accepted a login of a user.
type Seen struct {
	User otp.UserName
	Last time.Time // at least by the day
}

// MigrationStore keeps what the way from the TMS to our own tokens needs, beside a
// Store and an EnrolmentStore.
type MigrationStore interface {
	// NoteSeen makes it durable that the TMS accepted logins of these users, without a
	// record, a thousand of them in one transaction. What was noted before and is later
	// stays. After an error some may be noted; to note them again does no harm.
	NoteSeen(ctx context.Context, seen []Seen) error
	// SeenAtTMS lists by user name, the one of the Filter's user if it names one.
	SeenAtTMS(ctx context.Context, f Filter, each func(*Seen) error) error
}

// GroupDirectory is what a Directory may be besides: then a group that none has is told
// from one without members.
type GroupDirectory interface {
	// GroupExists reports whether a directory has a group (folded as in
	// exclusions.Identity). An error says that nobody knows.
	GroupExists(ctx context.Context, group string) (bool, error)
}

// MigrationState is where a user is on the way from the TMS to our own tokens.
type MigrationState string

// The states. Each user is in one of them.
const (
	// StateTMS: the TMS has accepted logins of the user, or was said to be asked, and no token
	// of ours decides.
	StateTMS MigrationState = "tms"
	// StateLearned: the user holds a learned token, and the TMS decides still: too few logins
	// have agreed yet, or the user was rolled back.
	StateLearned MigrationState = "learned"
	// StateLocal: our own tokens decide.
	StateLocal MigrationState = "local"
	// StateDisagreeing: of a token of the user the TMS said otherwise at the last login, and the
	// user was not cut over all the same.
	StateDisagreeing MigrationState = "disagreeing"
	// StateNeverSeen: no token of ours can be used, and the TMS has accepted no login.
	StateNeverSeen MigrationState = "never-seen"
)

// UserMigration is where a user is, and why.
type UserMigration struct {
	User   otp.UserName    `json:"user"`
	State  MigrationState  `json:"state"`
	Home   string          `json:"home,omitempty"` // as in UserView
	Seen   time.Time       `json:"seen,omitzero"`  // when the TMS last accepted a login, by the day
	Tokens []TokenStanding `json:"tokens"`         // those that can be used now; no lists of codes
	Groups []string        `json:"groups,omitempty"`
}

// TokenStanding is how a token compares with the TMS.
type TokenStanding struct {
	Serial    otp.Serial `json:"serial"`
	Learned   bool       `json:"learned"`
	Active    bool       `json:"active"` // decides by itself, where nothing else was said
	Agreed    int        `json:"agreed"`
	Disagreed int        `json:"disagreed"` // since the last that agreed
}

// MigrationCount is how many users are in each state.
type MigrationCount struct {
	Group       string `json:"group,omitempty"` // "" is everybody
	Users       int    `json:"users"`
	TMS         int    `json:"tms"`
	Learned     int    `json:"learned"`
	Local       int    `json:"local"`
	Disagreeing int    `json:"disagreeing"`
	NeverSeen   int    `json:"never_seen"`
}

// add counts a user.
func (n *MigrationCount) add(state MigrationState) {
	n.Users++
	switch state {
	case StateTMS:
		n.TMS++
	case StateLearned:
		n.Learned++
	case StateLocal:
		n.Local++
	case StateDisagreeing:
		n.Disagreeing++
	default:
		n.NeverSeen++
	}
}

// MigrationReport is what MigrationStatus finds: each group, and everybody.
type MigrationReport struct {
	Groups []MigrationCount `json:"groups,omitempty"`
	Total  MigrationCount   `json:"total"`
}

// MigrationStatus counts how far the users are: those of the store, of the directories, and
// those whom the TMS has let in. Groups are folded as in exclusions.Identity; one that
// no directory has wraps ErrNotFound. Each, which may be nil, gets the users of
// the groups, or all when none is named. When a directory does not answer there is an
// error, and no numbers. Progress may be nil.
//
// A state is told as the order local-then-tms has it. What else the configuration says of
// a gateway, or of who belongs to the TMS, is not looked at.
func (s *Service) MigrationStatus(ctx context.Context, c Caller, groups []string, progress func(done, total int64), each func(UserMigration) error) (MigrationReport, error) {
	if _, err := s.gate(c, "migration.status", "", ""); err != nil {
		return MigrationReport{}, err
	}
	all, err := s.population(ctx, scope{groups: groups, directory: true})
	if err != nil {
		return MigrationReport{}, err
	}
	var report MigrationReport
	for _, group := range all.groups {
		report.Groups = append(report.Groups, MigrationCount{Group: group})
	}
	err = all.walk(ctx, progress, func(p *person, in []string) error {
		state := p.state()
		report.Total.add(state)
		for i, group := range all.groups {
			if slices.Contains(in, group) {
				report.Groups[i].add(state)
			}
		}
		if each == nil || len(all.groups) > 0 && len(in) == 0 {
			return nil
		}
		return each(UserMigration{User: p.name, State: state, Home: saidHome(p.home), Seen: p.seen, Tokens: p.tokens, Groups: in})
	})
	if err != nil {
		return MigrationReport{}, err
	}
	return report, nil
}

// person is a user, wherever they are known.
type person struct {
	name   otp.UserName
	home   otp.Home
	stored bool            // the store has the user
	holds  bool            // a token of ours, whatever its state
	tokens []TokenStanding // those that can be used
	seen   time.Time       // at the TMS, zero when never
}

// state is where the user is.
func (p *person) state() MigrationState {
	has := func(is func(TokenStanding) bool) bool { return slices.ContainsFunc(p.tokens, is) }
	switch {
	case p.home == otp.HomeLocal:
		return StateLocal
	case has(TokenStanding.disagrees):
		return StateDisagreeing
	case p.home == otp.HomeUnsaid && has(func(t TokenStanding) bool { return t.Active }):
		return StateLocal
	case has(func(t TokenStanding) bool { return t.Learned }):
		return StateLearned
	case p.home == otp.HomeTMS || !p.seen.IsZero():
		return StateTMS
	}
	return StateNeverSeen
}

// disagrees reports whether the TMS said otherwise at the last login that was compared.
func (t TokenStanding) disagrees() bool { return t.Disagreed > 0 }

// standing is how a token compares with the TMS, and whether it can be used now.
func (s *Service) standing(t *Token, at time.Time) (TokenStanding, bool) {
	policy := s.Policy()
	standing := TokenStanding{
		Serial: t.Serial, Learned: t.Learned, Active: t.Active(at, &policy),
		Agreed: int(t.State.Agreed), Disagreed: int(t.State.Disagreed),
	}
	return standing, t.Type != otp.CodeList && !t.Disabled && t.Valid(at)
}

// population is everybody there is in a scope.
type population struct {
	*Service
	groups []string // that are asked about, each once
	people map[otp.UserName]*person
}

// scope says who belongs to a population.
type scope struct {
	user      otp.UserName // that one alone, if it is not empty
	groups    []string     // that are asked about
	directory bool         // those too whom only a directory has
}

// errNoMigration is a mistake of the program.
var errNoMigration = errors.New("there is no way from a TMS here: no MigrationStore")

// population reads the users of the store, those whom the TMS has let in, and those of the
// directories.
func (s *Service) population(ctx context.Context, of scope) (*population, error) {
	if s.Migration == nil {
		return nil, errNoMigration
	}
	p := &population{Service: s, people: map[otp.UserName]*person{}}
	if err := p.name(ctx, of.groups); err != nil {
		return nil, err
	}
	if err := p.readStore(ctx, Filter{User: of.user}); err != nil {
		return nil, err
	}
	switch {
	case s.Directory == nil || !of.directory:
	case of.user == "":
		return p, p.readDirectory(ctx)
	case len(p.people) == 0:
		return p, p.lookUp(ctx, of.user)
	}
	return p, nil
}

// name takes the groups that are asked about, each once, and looks whether there are
// such.
func (p *population) name(ctx context.Context, groups []string) error {
	for _, group := range groups {
		if slices.Contains(p.groups, group) {
			continue
		}
		if p.Directory == nil {
			return invalid("group %q: there is no [[directory]] that could have groups", group)
		}
		if known, ok := p.Directory.(GroupDirectory); ok {
			found, err := known.GroupExists(ctx, group)
			switch {
			case err != nil:
				return fmt.Errorf("group %q: nobody knows whether there is one: %w", group, err)
			case !found:
				return fmt.Errorf("group %q: %w in any directory, or the account of bind_dn may not see it: write its name or its DN", group, ErrNotFound)
			}
		}
		p.groups = append(p.groups, group)
	}
	return nil
}

// readStore reads users, tokens and who was seen.
func (p *population) readStore(ctx context.Context, f Filter) error {
	err := p.Store.Users(ctx, f, func(u *User) error {
		one := p.at(u.Name)
		one.stored, one.home = true, u.Home
		return nil
	})
	if err != nil {
		return err
	}
	now := p.Clock()
	err = p.Store.Tokens(ctx, f, func(t *Token) error {
		one := p.people[t.User]
		if one == nil { // in stock, or of a user who was added just now
			return nil
		}
		one.holds = true
		if standing, usable := p.standing(t, now); usable {
			one.tokens = append(one.tokens, standing)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return p.Migration.SeenAtTMS(ctx, f, func(seen *Seen) error {
		p.at(seen.User).seen = seen.Last
		return nil
	})
}

// readDirectory adds those whom only a directory has.
func (p *population) readDirectory(ctx context.Context) error {
	err := p.Directory.Users(ctx, func(i *exclusions.Identity) error {
		p.at(otp.UserName(i.Name))
		return nil
	})
	if err != nil {
		return fmt.Errorf("listing the users of the directories: %w", err)
	}
	return nil
}

// lookUp is readDirectory for one.
func (p *population) lookUp(ctx context.Context, user otp.UserName) error {
	identity, err := p.find(ctx, user)
	if err == nil && identity.Directory != "" {
		p.at(otp.UserName(identity.Name))
	}
	return err
}

// at is the person of a name, new if need be.
func (p *population) at(name otp.UserName) *person {
	one := p.people[name]
	if one == nil {
		one = &person{name: name, tokens: []TokenStanding{}}
		p.people[name] = one
	}
	return one
}

// find asks the directories about a user. An old answer is none: groups change.
func (p *population) find(ctx context.Context, user otp.UserName) (*exclusions.Identity, error) {
	identity, source := p.Directory.Find(ctx, []byte(user))
	if source == exclusions.Stale || source == exclusions.Unavailable {
		return nil, fmt.Errorf("user %q: the directory does not answer, or has two users of this name: the log says which; mend that first", user)
	}
	return identity, nil
}

// progressEvery is how many users there are from one word about the progress to the next.
const progressEvery = 100

// walk calls each with everybody, by name, and with those of the groups they are in.
func (p *population) walk(ctx context.Context, progress func(done, total int64), each func(one *person, in []string) error) error {
	names := slices.Sorted(maps.Keys(p.people))
	for i, name := range names {
		if err := ctx.Err(); err != nil {
			return err
		}
		in, err := p.groupsOf(ctx, name)
		if err != nil {
			return err
		}
		if err := each(p.people[name], in); err != nil {
			return err
		}
		if done := i + 1; progress != nil && (done%progressEvery == 0 || done == len(names)) {
			progress(int64(done), int64(len(names)))
		}
	}
	return nil
}

// groupsOf are the groups that are asked about and a user is in.
func (p *population) groupsOf(ctx context.Context, user otp.UserName) (in []string, err error) {
	if len(p.groups) == 0 {
		return nil, nil
	}
	identity, err := p.find(ctx, user)
	if err != nil {
		return nil, err
	}
	for _, group := range p.groups {
		if _, found := slices.BinarySearch(identity.Groups, group); found {
			in = append(in, group)
		}
	}
	return in, nil
}

// differences is what it means when the TMS has accepted a passcode that our own tokens
// would have refused.
var differences = map[otp.Verdict]string{
	otp.WrongPIN:      "our tokens refuse: another OTP PIN than here; it was changed at the TMS, or never was the one here",
	otp.WrongCode:     "our tokens refuse: the code is of a token that is not here",
	otp.WrongPasscode: "our tokens refuse: another OTP PIN than here, or the code of a token that is not here; CHAP and MS-CHAP do not tell which",
	otp.Replayed:      "our tokens refuse: the code was used here before",
	otp.NextCode:      "our tokens ask for the next code: the token here was out of step, and is in step now",
	otp.Locked:        "our tokens refuse: the token is locked here",
}

// Difference says what it means that the TMS and our own tokens did not agree about a
// login; "" when they did, or were not compared.
func Difference(d *otp.Decision) string {
	switch {
	case d.Own == otp.Undecided || d.Own.Accepts() == d.Verdict.Accepts():
		return ""
	case d.Own.Accepts():
		return "right OTP PIN and code here, but the TMS refused: user or token may be locked or revoked there, or the OTP PIN is another there"
	}
	if meaning := differences[d.Own]; meaning != "" {
		return meaning
	}
	return "our tokens refuse: " + d.Own.String()
}
