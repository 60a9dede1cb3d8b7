package tms

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/radiusd/accounting"
)

// Events implements Store.
func (m *memory) Events(_ context.Context, f Filter, each func(*Event) error) error {
	ids := slices.SortedFunc(maps.Keys(m.event), func(a, b otp.EventID) int {
		return cmp.Or(cmp.Compare(b.Batch, a.Batch), cmp.Compare(b.Index, a.Index))
	})
	n := 0
	for _, id := range ids {
		e := m.event[id]
		e.ID = id
		if !chooses(&f, &e) {
			continue
		}
		if err := each(&e); err != nil {
			return err
		}
		if n++; n == f.Limit {
			return nil
		}
	}
	return nil
}

// chooses reports whether a filter wants a login.
func chooses(f *Filter, e *Event) bool {
	return (f.User == "" || string(f.User) == e.User) &&
		(f.Serial == "" || f.Serial == e.Decision.Serial || e.Kind == ActEvent && string(f.Serial) == e.Object) &&
		(f.Verdict == otp.Undecided || f.Verdict == e.Decision.Verdict) &&
		!e.At.Before(f.From) && (f.To.IsZero() || e.At.Before(f.To)) &&
		(f.Before == otp.EventID{} || after(f.Before, e.ID))
}

// happened notes a login of alice at ras, so many seconds before now.
func (m *memory) happened(batch uint64, seconds int, d otp.Decision) {
	m.event[otp.EventID{Batch: batch}] = Event{
		At: now.Add(-time.Duration(seconds) * time.Second), Kind: LoginEvent,
		Login: Login{User: "alice", NAS: "ras", Station: "192.0.2.7", Decision: d},
	}
}

// told explains the login of batch 50.
func told(t *testing.T, s *Service) Explanation {
	t.Helper()
	x, err := s.ExplainEvent(ctx, root, "50-0")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// alices is a service where alice has these tokens.
func alices(t *testing.T, tokens ...otp.Token) (*Service, *memory) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice", PIN: otp.NewPIN([]byte("2580"))}
	for _, token := range tokens {
		m.token[token.Serial] = Token{Exists: true, Token: token, User: "alice", Lost: token.Serial == "LOST"}
	}
	s.Explainer = &oracle{k: compiled(t)}
	return s, m
}

func clock(serial otp.Serial, state otp.State) otp.Token {
	return otp.Token{Serial: serial, Digits: 6, Period: 30, State: state}
}

func presses(serial otp.Serial) otp.Token {
	return otp.Token{Serial: serial, Type: otp.HOTP, Algorithm: oath.SHA1, Digits: 6}
}

func TestHowItStandsWithTokens(t *testing.T) {
	list := otp.Token{Serial: "LIST", Type: otp.CodeList, Codes: 10, State: otp.State{Counter: 7}}
	used := list
	used.Serial, used.State.Counter = "USED", 10
	learned := clock("LEARNED", otp.State{Agreed: 1, Failures: 3})
	learned.Learned = true
	disabled, early, over, lost := clock("OFF", otp.State{}), clock("EARLY", otp.State{}), clock("OVER", otp.State{}), clock("LOST", otp.State{})
	disabled.Disabled, lost.Disabled = true, true
	early.ValidFrom, over.ValidUntil = now.Unix()+60, now.Unix()-60
	s, m := alices(t, clock("SLOW", otp.State{Drift: -4}), clock("FAST", otp.State{Drift: 1, MustResync: true}), clock("LOCKED", otp.State{LockedUntil: now.Unix() + 60, MustResync: true}),
		clock("FREE", otp.State{LockedUntil: now.Unix()}), list, used, learned, disabled, early, over, lost, presses("PRESSED"))
	m.happened(50, 0, otp.Decision{Verdict: otp.WrongCode, Serial: "SLOW"})
	x := told(t, s)
	for _, want := range []TokenEvidence{
		{Serial: "SLOW", Standing: "usable", Text: "its clock was slow by about 2 minutes (-4 steps)", Named: true},
		{Serial: "FAST", Standing: "must-resync", Text: "its clock was fast by about 30 seconds (+1 steps)"},
		{Serial: "LOCKED", Standing: "locked", Text: "until 2026-05-04T12:01:00Z, has to show two eTokens in a row"},
		{Serial: "FREE", Standing: "usable"},
		{Serial: "LIST", Standing: "usable", Text: "3 of its 10 codes are left"},
		{Serial: "USED", Standing: "used-up", Text: "0 of its 10 codes are left"},
		{Serial: "LEARNED", Standing: "usable", Text: "3 of 10 towards its lock, learned, and agreed with the TMS 1 of 2 times"},
		{Serial: "OFF", Standing: "disabled"},
		{Serial: "EARLY", Standing: "not-yet-valid", Text: "from 2026-05-04T12:01:00Z on"},
		{Serial: "OVER", Standing: "expired", Text: "since 2026-05-04T11:59:00Z"},
		{Serial: "LOST", Standing: "lost"},
		{Serial: "PRESSED", Standing: "usable"},
	} {
		got := x.tried(string(want.Serial))
		if got == nil || got.Standing != want.Standing || got.Text != want.Text || got.Named != want.Named {
			t.Errorf("%+v\nwant %+v", got, want)
		}
	}
	if slow := x.tried("SLOW"); slow.Drift != -4 || slow.Seconds != -120 || slow.MaxFailures != 10 || slow.Type != "totp" {
		t.Errorf("%+v", slow)
	}
	if x.Code != "wrong code, not within 20 steps of any of 7 tokens, not within the next 100 of PRESSED, not on any of 2 tokens" {
		t.Error(x.Code)
	}
}

// The token that decided is told of, whoever has it by now.
func TestATokenThatIsSomebodyElsesByNow(t *testing.T) {
	s, m := alices(t)
	m.token["A1"] = Token{Exists: true, Token: clock("A1", otp.State{}), User: "bob"}
	m.token["A2"] = Token{Exists: true, Token: clock("A2", otp.State{})}
	for serial, want := range map[otp.Serial]string{"A1": "bob has it by now", "A2": "nobody has it by now"} {
		m.happened(50, 0, otp.Decision{Verdict: otp.NextCode, Serial: serial, Offset: 12})
		x := told(t, s)
		if got := x.tried(string(serial)); got == nil || got.Standing != "not-theirs" || got.Text != want || !got.Named || len(x.Tried) != 1 {
			t.Errorf("%+v", x.Tried)
		}
		if x.Code != "right code, 12 steps early: the token's clock is fast by about 6 minutes" {
			t.Error(x.Code)
		}
	}
	m.happened(50, 0, otp.Decision{Verdict: otp.NextCode, Serial: "GONE", Offset: 12})
	if x := told(t, s); x.Code != "right code, offset +12 (the token is not there any more)" {
		t.Error(x.Code)
	}
}

func TestHowFarOffTheCodeWas(t *testing.T) {
	s, m := alices(t, clock("A1", otp.State{}), presses("B1"))
	const wrong = "wrong code, not within 20 steps of A1, not within the next 100 of B1"
	for _, test := range []struct {
		d    otp.Decision
		want string
	}{
		{otp.Decision{Verdict: otp.Accepted, Serial: "A1"}, "right code, on time"},
		{otp.Decision{Verdict: otp.Accepted, Serial: "A1", Offset: -1}, "right code, 1 step late"},
		{otp.Decision{Verdict: otp.Accepted, Serial: "A1", Offset: -4}, "right code, 4 steps late: the token's clock is slow by about 2 minutes"},
		{otp.Decision{Verdict: otp.NextCode, Serial: "A1", Offset: 14}, "right code, 14 steps early: the token's clock is fast by about 7 minutes"},
		{otp.Decision{Verdict: otp.Accepted, Serial: "B1"}, "right code, the one expected"},
		{otp.Decision{Verdict: otp.NextCode, Serial: "B1", Offset: 17}, "right code, 17 presses ahead: so many codes were shown and not used"},
		{otp.Decision{Verdict: otp.Replayed, Serial: "B1", Offset: -1}, "used code, the last one that was used"},
		{otp.Decision{Verdict: otp.Replayed, Serial: "A1", Offset: -2}, "used code, 2 steps late: the token's clock is slow by about 1 minute"},
		{otp.Decision{Verdict: otp.WrongCode, Serial: "A1"}, wrong},
		{otp.Decision{Verdict: otp.WrongPasscode}, "wrong code, not within 1 step of A1, not within the next 10 of B1"},
		{otp.Decision{Verdict: otp.WrongPIN, Serial: "A1"}, "right code; what stood before it was not the OTP PIN"},
		{otp.Decision{Verdict: otp.WrongPIN}, ""},
		{otp.Decision{Verdict: otp.NoToken, Serial: "A1"}, "right code of A1, which may not be used"},
		{otp.Decision{Verdict: otp.Locked, Serial: "A1", Offset: -3}, "right code, 3 steps late: the token's clock is slow by about 90 seconds"},
		{otp.Decision{Verdict: otp.Locked, Serial: "A1"}, ""},
		{otp.Decision{Verdict: otp.RefusedByTMS, Own: otp.Accepted, Serial: "A1"}, "right code, on time"},
		{otp.Decision{Verdict: otp.RefusedByTMS, Own: otp.WrongCode}, ""},
		{otp.Decision{Verdict: otp.UnknownUser}, ""},
	} {
		m.happened(50, 0, test.d)
		if x := told(t, s); x.Code != test.want {
			t.Errorf("%+v: %q\nwant %q", test.d, x.Code, test.want)
		}
	}
}

func TestAbout(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "less than a second", time.Second: "1 second", 90 * time.Second: "90 seconds", time.Minute: "1 minute", 150 * time.Second: "3 minutes",
		90 * time.Minute: "90 minutes", time.Hour: "1 hour", 30 * time.Hour: "30 hours", 49 * time.Hour: "2 days", 24 * time.Hour: "1 day",
	} {
		if got := about(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// related are the events that were found, with what is said of them.
func related(x *Explanation) string {
	var all []string
	for _, r := range x.Related {
		all = append(all, r.Event+": "+r.Text)
	}
	return strings.Join(all, "; ")
}

func TestWhatElseTheJournalTells(t *testing.T) {
	type login struct {
		batch   uint64
		seconds int
		d       otp.Decision
	}
	accepted := func(batch uint64, seconds int, serial otp.Serial, offset int64) login {
		return login{batch, seconds, otp.Decision{Verdict: otp.Accepted, Serial: serial, Offset: offset}}
	}
	const resync = otp.Verdict(200) // stands for the act
	wrongPIN := otp.Decision{Verdict: otp.WrongPIN}
	for name, test := range map[string]struct {
		is     otp.Decision
		others []login
		want   string
	}{
		"this very code": {otp.Decision{Verdict: otp.Replayed, Serial: "A1", Offset: -2},
			[]login{accepted(40, 60, "A1", 0), accepted(41, 30, "A1", 0), accepted(42, 30, "B1", 0)},
			"40-0: this very eToken was used, 1 minute before, at ras"},
		"an older code": {otp.Decision{Verdict: otp.Replayed, Serial: "A1", Offset: -2}, []login{accepted(39, 3000, "A1", 0), accepted(41, 30, "A1", 0)},
			"41-0: the newest login with A1, 30 seconds before, at ras, used this eToken or a later one"},
		"a press": {otp.Decision{Verdict: otp.Replayed, Serial: "B1", Offset: -1}, []login{accepted(41, 3, "B1", 0), accepted(40, 30, "B1", 0)},
			"41-0: this very eToken was used, 3 seconds before, at ras"},
		"a press of a resync": {otp.Decision{Verdict: otp.Replayed, Serial: "B1", Offset: -1}, []login{accepted(40, 30, "B1", 0), {41, 3, otp.Decision{Verdict: resync}}},
			"40-0: the newest login with B1, 30 seconds before, at ras, used this eToken or a later one"},
		"an older press": {otp.Decision{Verdict: otp.Replayed, Serial: "B1", Offset: -2}, []login{accepted(41, 3, "B1", 0)},
			"41-0: the newest login with B1, 3 seconds before, at ras, used this eToken or a later one"},
		"used by nobody": {otp.Decision{Verdict: otp.Replayed, Serial: "B1", Offset: -1}, nil, ""},
		"the TMS":        {otp.Decision{Verdict: otp.Replayed}, []login{{41, 3, otp.Decision{Verdict: otp.AcceptedByTMS}}}, "41-0: the newest login of alice that the TMS had accepted, 3 seconds before"},
		"wrong PINs":     {otp.Decision{Verdict: otp.Throttled}, []login{{39, 99, wrongPIN}, accepted(40, 90, "A1", 0), {41, 80, wrongPIN}, {42, 70, wrongPIN}}, "42-0: the last of 2 wrong OTP PINs of alice from there within 15 minutes"},
		"locked": {otp.Decision{Verdict: otp.Locked, Serial: "A1"}, []login{{40, 100, otp.Decision{Verdict: otp.WrongCode, Serial: "A1", LockedNow: true}}, {41, 90, otp.Decision{Verdict: otp.Locked, Serial: "A1"}}},
			"40-0: this one locked A1, 100 seconds before"},
		"since":     {otp.Decision{Verdict: otp.WrongCode, Serial: "A1"}, []login{accepted(51, -60, "A1", 0), {52, -90, otp.Decision{Verdict: otp.Excluded}}, {53, -95, wrongPIN}}, "52-0: alice has been let in since"},
		"no since":  {otp.Decision{Verdict: otp.WrongCode, Serial: "A1"}, []login{accepted(49, 0, "A1", 0)}, ""},
		"all right": {otp.Decision{Verdict: otp.Accepted, Serial: "A1"}, []login{accepted(51, -60, "A1", 0)}, ""},
	} {
		s, m := alices(t, clock("A1", otp.State{}), presses("B1"))
		m.happened(50, 0, test.is)
		for _, l := range test.others {
			if l.d.Verdict == resync {
				m.event[otp.EventID{Batch: l.batch}] = Event{At: now, Kind: ActEvent, Act: Act{Verb: "token.resync", Object: "B1"}}
				continue
			}
			m.happened(l.batch, l.seconds, l.d)
		}
		x := told(t, s)
		if got := related(&x); got != test.want || x.Missing != "" {
			t.Errorf("%s: %s %s\nwant %s", name, got, x.Missing, test.want)
		}
	}
}

func TestTheLimitOfSessionsIsNamed(t *testing.T) {
	for want, limit := range map[string]exclusions.Sessions{
		"refused: the user, or a group of users together":                                                {},
		"refused: by max_sessions of [login] there may be 2 sessions of alice, and 3 were open":          {Most: 2, Open: 3},
		`refused: by [[session_limit]] "lab" there may be 1 session of all who share it, and 1 was open`: {Limit: "lab", Together: true, Most: 1, Open: 1},
	} {
		s, m := alices(t)
		k := compiled(t)
		k.Sessions = limit
		s.Explainer = &oracle{k: k}
		m.happened(50, 0, otp.Decision{Verdict: otp.TooManySessions})
		x := told(t, s)
		if !strings.HasPrefix(x.Outcome, want) {
			t.Errorf("%s\nwant %s", x.Outcome, want)
		}
		if advice := strings.Join(x.Advice, "\n"); strings.Contains(advice, "log in again") == limit.Together || strings.Contains(advice, "`countersign session list --json`") != limit.Together {
			t.Error(advice)
		}
		if !strings.HasPrefix(x.Decision, "none: with so many sessions") {
			t.Error(x.Decision) // whoever it was, no rule was asked
		}
	}
}

type store = Sessions

// hall is a Sessions that has one.
type hall struct {
	store
	asked accounting.Filter
	err   error
}

func (h *hall) Sessions(_ context.Context, f accounting.Filter, each func(*accounting.Session) error) error {
	h.asked = f
	if h.err != nil {
		return h.err
	}
	return each(&accounting.Session{ID: accounting.Position{Batch: 7, Index: 1}, Key: accounting.Key{NAS: "ras"}, Address: netip.MustParseAddr("10.0.0.1"), Started: now})
}

func TestTooManySessionsAreListed(t *testing.T) {
	s, m := alices(t)
	m.happened(50, 0, otp.Decision{Verdict: otp.TooManySessions})
	h := &hall{}
	s.Options.Sessions = h
	x := told(t, s)
	if len(x.Sessions) != 1 || x.Sessions[0].ID != "7-1" || x.Sessions[0].NAS != "ras" || x.Sessions[0].Address != "10.0.0.1" || h.asked.User != "alice" || len(h.asked.States) != 1 {
		t.Errorf("%+v of %+v", x.Sessions, h.asked)
	}
	if !strings.Contains(strings.Join(x.Advice, "\n"), "`countersign session disconnect 7-1`") {
		t.Error(x.Advice)
	}
	// Where they cannot be listed all else is told.
	h.err = errors.New("no such table")
	if x = told(t, s); x.Missing != "no such table" || x.Outcome == "" || len(x.Advice) == 0 {
		t.Errorf("%+v", x)
	}
}
