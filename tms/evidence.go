package tms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"countersign/otp"
	"countersign/radiusd/accounting"
)

// TokenEvidence is how it stands with a token at present.
type TokenEvidence struct {
	Serial      otp.Serial `json:"serial"`
	Type        string     `json:"type"`
	Named       bool       `json:"named,omitempty"` // by the record of the login
	Standing    string     `json:"standing"`        // one of the words of standings
	Text        string     `json:"text"`            // what there is to tell besides
	LockedUntil *time.Time `json:"locked_until,omitempty"`
	Drift       int        `json:"drift"` // steps
	Seconds     int64      `json:"drift_seconds"`
	Failures    int        `json:"failures"`
	MaxFailures int        `json:"max_failures"`
	MustResync  bool       `json:"must_resync"`

	period int // seconds, of clock tokens
	t0     int64
}

// How it can stand with a token: the first of these that is so.
const (
	standsElsewhere = "not-theirs"
	standsLost      = "lost"
	standsDisabled  = "disabled"
	standsEarly     = "not-yet-valid"
	standsOver      = "expired"
	standsLocked    = "locked"
	standsOut       = "must-resync"
	standsUsedUp    = "used-up"
	standsReady     = "usable"
)

// RelatedEvent is another event that tells something about a login.
type RelatedEvent struct {
	Event string    `json:"event"`
	At    time.Time `json:"at"`
	Text  string    `json:"text"`
}

// OpenSession is a session that counts where there are too many.
type OpenSession struct {
	ID      string    `json:"id"`
	NAS     string    `json:"nas"`
	Started time.Time `json:"started"`
	Station string    `json:"station,omitempty"`
	Address string    `json:"address,omitempty"`
}

// standing tells how it stands with a token at an instant.
func standing(t *Token, at time.Time, p *otp.Policy) TokenEvidence {
	s := TokenEvidence{
		Serial: t.Serial, Type: t.Type.String(), Drift: int(t.State.Drift), Failures: int(t.State.Failures), MaxFailures: p.MaxFailures,
		MustResync: t.State.MustResync,
	}
	if t.Type.Clock() {
		s.period, s.t0 = int(t.Period), t.T0
		s.Seconds = int64(s.Drift) * int64(s.period)
	}
	if t.State.LockedUntil > at.Unix() {
		s.LockedUntil = instant(t.State.LockedUntil)
	}
	s.Standing = standingWord(t, at)
	s.Text = standingText(t, &s, p)
	return s
}

func standingWord(t *Token, at time.Time) string {
	switch {
	case t.Lost:
		return standsLost
	case t.Disabled:
		return standsDisabled
	case !t.Valid(at) && at.Unix() < t.ValidFrom:
		return standsEarly
	case !t.Valid(at):
		return standsOver
	case t.State.LockedUntil > at.Unix():
		return standsLocked
	case t.State.MustResync:
		return standsOut
	case t.Type == otp.CodeList && t.State.Counter >= uint64(t.Codes):
		return standsUsedUp
	}
	return standsReady
}

// standingText is what a listing of tokens would tell in its other columns.
func standingText(t *Token, s *TokenEvidence, p *otp.Policy) string {
	texts := []string{boundText(t, s), placeText(t, s)}
	if s.Failures > 0 {
		texts = append(texts, fmt.Sprintf("%d of %d towards its lock", s.Failures, p.MaxFailures))
	}
	if s.MustResync && s.Standing != standsOut {
		texts = append(texts, "has to show two eTokens in a row")
	}
	if t.Learned && int(t.State.Agreed) < p.Agreements {
		texts = append(texts, fmt.Sprintf("learned, and agreed with the TMS %d of %d times", t.State.Agreed, p.Agreements))
	}
	return strings.Join(slices.DeleteFunc(texts, func(text string) bool { return text == "" }), ", ")
}

// boundText is until when it stands so with a token, or since when.
func boundText(t *Token, s *TokenEvidence) string {
	switch s.Standing {
	case standsLocked:
		return "until " + date(*s.LockedUntil)
	case standsEarly:
		return "from " + date(time.Unix(t.ValidFrom, 0)) + " on"
	case standsOver:
		return "since " + date(time.Unix(t.ValidUntil, 0))
	}
	return ""
}

// placeText is where a token is: its clock, or its list.
func placeText(t *Token, s *TokenEvidence) string {
	switch {
	case t.Type == otp.CodeList:
		return fmt.Sprintf("%d of its %d codes are left", max(0, int64(t.Codes)-int64(t.State.Counter)), t.Codes)
	case s.Drift != 0:
		return fmt.Sprintf("its clock was %s (%+d steps)", clockWords(s.Seconds), s.Drift)
	}
	return ""
}

// clockWords says how far a clock is off.
func clockWords(seconds int64) string {
	switch {
	case seconds < 0:
		return "slow by about " + about(time.Duration(-seconds)*time.Second)
	case seconds > 0:
		return "fast by about " + about(time.Duration(seconds)*time.Second)
	}
	return "right"
}

// about is a time as people say it.
func about(d time.Duration) string {
	if d < time.Second {
		return "less than a second"
	}
	for _, unit := range []struct {
		is   time.Duration
		word string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		if d >= 2*unit.is || d == unit.is {
			return amount(int64(d.Round(unit.is)/unit.is), unit.word)
		}
	}
	return amount(int64(d.Round(time.Second)/time.Second), "second")
}

func amount(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// addEvidence adds what tokens, journal and sessions tell about a login that did happen,
// and what to do.
func (s *Service) addEvidence(ctx context.Context, x *Explanation, e *Event) error {
	if err := s.nameToken(ctx, x); err != nil {
		return err
	}
	policy := s.Policy()
	x.Code = x.codeText(e, &policy)
	inquiry := inquiry{s, x, e, policy}
	if err := inquiry.run(ctx); err != nil {
		// Without them there still is much to tell to whoever is on call.
		x.Missing = err.Error()
	}
	x.Advice = x.hindsight(e, &policy)
	return ctx.Err()
}

// nameToken marks the token that the record of the login names, and finds it where its
// user has it no longer.
func (s *Service) nameToken(ctx context.Context, x *Explanation) error {
	if x.Serial == "" {
		return nil
	}
	if t := x.tried(x.Serial); t != nil {
		t.Named = true
		return nil
	}
	at, policy := s.Clock(), s.Policy()
	return s.Store.Tokens(ctx, Filter{Serial: otp.Serial(x.Serial)}, func(t *Token) error {
		standing := standing(t, at, &policy)
		standing.Named = true
		if t.User != otp.UserName(x.User) {
			standing.Standing, standing.Text = standsElsewhere, "nobody has it by now"
			if t.User != "" {
				standing.Text = fmt.Sprintf("%s has it by now", t.User)
			}
		}
		x.Tried = append(x.Tried, standing)
		return nil
	})
}

// tried finds a token of x.Tried, nil when it is not there.
func (x *Explanation) tried(serial string) *TokenEvidence {
	i := slices.IndexFunc(x.Tried, func(t TokenEvidence) bool { return string(t.Serial) == serial })
	if i < 0 {
		return nil
	}
	return &x.Tried[i]
}

// codeText says how far off the code of a login was, "" where its record does not tell.
func (x *Explanation) codeText(e *Event, p *otp.Policy) string {
	d := &e.Decision
	if d.Own != otp.Undecided {
		return x.foundText(d, d.Own, p)
	}
	switch {
	case d.Verdict == otp.WrongCode:
		return x.sought(p.ResyncSteps, p.ResyncWindow)
	case d.Verdict == otp.WrongPasscode:
		return x.sought(p.Window, p.LookAhead)
	case d.Verdict == otp.WrongPIN && d.Serial != "":
		return "right code; what stood before it was not the OTP PIN"
	}
	return x.foundText(d, d.Verdict, p)
}

// foundText is codeText of a code that was found to be one of the token that is named, by
// the verdict on our own tokens.
func (x *Explanation) foundText(d *otp.Decision, verdict otp.Verdict, p *otp.Policy) string {
	switch {
	case d.Serial == "":
		return ""
	case verdict == otp.Replayed:
		return "used code" + x.offsetText(p)
	case verdict == otp.NoToken || verdict == otp.TokenExpired:
		return fmt.Sprintf("right code of %s, which may not be used", d.Serial)
	case verdict == otp.NextCode || verdict.Accepts() || verdict == otp.Locked && d.Offset != 0:
		return "right code" + x.offsetText(p)
	}
	return "" // of a lock the record does not tell whether the code was right
}

// offsetText is how far off a code was that was found. Steps of the token that shows it
// are counted in its own time.
func (x *Explanation) offsetText(p *otp.Policy) string {
	n := x.Offset
	switch t := x.tried(x.Serial); {
	case t == nil:
		return fmt.Sprintf(", offset %+d (the token is not there any more)", n)
	case t.period > 0:
		return clockOffset(n, int64(t.period), int64(p.Window))
	case n == -1:
		return ", the last one that was used"
	case n < 0:
		return fmt.Sprintf(", %d presses before the next", -n)
	case n == 0:
		return ", the one expected"
	}
	return fmt.Sprintf(", %d presses ahead: so many codes were shown and not used", n)
}

// clockOffset is offsetText of a clock token.
func clockOffset(n, period, window int64) string {
	text := ", on time"
	switch {
	case n < 0:
		text = ", " + amount(-n, "step") + " late"
	case n > 0:
		text = ", " + amount(n, "step") + " early"
	}
	if max(n, -n) > window {
		text += ": the token's clock is " + clockWords(n*period)
	}
	return text
}

// sought says where the code was looked for and not found: so many steps and presses
// around where each token was expected.
func (x *Explanation) sought(steps, presses int) string {
	var clocks, events, lists []otp.Serial
	for i := range x.Tried {
		t := &x.Tried[i]
		switch {
		case t.Standing == standsElsewhere || t.Standing == standsLost || t.Standing == standsDisabled:
		case t.period > 0:
			clocks = append(clocks, t.Serial)
		case t.Type == otp.CodeList.String():
			lists = append(lists, t.Serial)
		default:
			events = append(events, t.Serial)
		}
	}
	text := "wrong code"
	if len(clocks) > 0 {
		text += fmt.Sprintf(", not within %s of %s", amount(int64(steps), "step"), anyOf(clocks))
	}
	if len(events) > 0 {
		text += fmt.Sprintf(", not within the next %d of %s", presses, anyOf(events))
	}
	if len(lists) > 0 {
		text += fmt.Sprintf(", not on %s", anyOf(lists))
	}
	return text
}

// anyOf names tokens.
func anyOf(serials []otp.Serial) string {
	if len(serials) == 1 {
		return string(serials[0])
	}
	return fmt.Sprintf("any of %d tokens", len(serials))
}

// setLimit says which limit there were too many sessions for.
func (x *Explanation) setLimit(k *Case, e *Event) {
	if e.Decision.Verdict != otp.TooManySessions || k.Trace.Sessions.Most == 0 {
		return
	}
	limit, whose := k.Trace.Sessions, x.User
	setting := "max_sessions of [login]"
	if limit.Limit != "" {
		setting = fmt.Sprintf("[[session_limit]] %q", limit.Limit)
	}
	if limit.Together {
		whose = "all who share it"
	}
	were := "were"
	if limit.Open == 1 {
		were = "was"
	}
	x.together = limit.Together
	x.Outcome = fmt.Sprintf("refused: by %s there may be %s of %s, and %d %s open", setting, amount(int64(limit.Most), "session"), whose, limit.Open, were)
}

// sessionsShown is how many open sessions are listed.
const sessionsShown = 20

// openSessions adds those of the user.
func (q *inquiry) openSessions(ctx context.Context) error {
	if q.service.Options.Sessions == nil {
		return nil
	}
	f := accounting.Filter{User: q.e.User, States: []accounting.State{accounting.Open}, Limit: sessionsShown}
	return q.service.Options.Sessions.Sessions(ctx, f, func(s *accounting.Session) error {
		q.x.Sessions = append(q.x.Sessions, OpenSession{
			ID: s.ID.String(), NAS: s.NAS, Started: s.Started, Station: s.Station, Address: address(s.Address),
		})
		return nil
	})
}
