package tms

import (
	"fmt"
	"strings"
	"testing"

	"countersign/exclusions"
	"countersign/otp"
)

// advised is all the advice about a login with this decision.
func advised(t *testing.T, s *Service, m *memory, d otp.Decision) string {
	t.Helper()
	m.happened(50, 0, d)
	x := told(t, s)
	return strings.Join(x.Advice, "\n")
}

func TestEveryVerdictHasAdvice(t *testing.T) {
	s, m := alices(t, clock("A1", otp.State{}), clock("OFF", otp.State{}))
	off := m.token["OFF"]
	off.Disabled = true
	m.token["OFF"] = off
	wants := map[otp.Verdict]string{
		otp.Undecided:         "`countersign check`",
		otp.Accepted:          nothing,
		otp.UnknownUser:       "`countersign user add alice`",
		otp.UserDisabled:      "`countersign user set alice --enable`",
		otp.NoToken:           "`countersign token enable OFF`",
		otp.WrongPIN:          "`countersign user set alice --pin-stdin`",
		otp.WrongCode:         "`countersign token resync A1 CODE NEXT-CODE`",
		otp.WrongPasscode:     "with PAP in the gateway that is told",
		otp.Replayed:          "wait for the next eToken",
		otp.NextCode:          "within 5 minutes",
		otp.Locked:            "`countersign event list --serial A1`",
		otp.Throttled:         "wait, up to 1 minute",
		otp.NoCredentials:     `set PAP (or MS-CHAPv2) as the method of the gateway behind [[nas]] "ras"`,
		otp.Unreadable:        `set the same shared secret in the gateway and in [[nas]] "ras"`,
		otp.BadUserName:       "UTF-8",
		otp.Excluded:          nothing,
		otp.NeedsPAP:          "set PAP in the gateway",
		otp.WrongPassword:     `in the directory "corp"`,
		otp.PasswordExpired:   "change the password",
		otp.DirectoryDisabled: "enable the account",
		otp.DirectoryLocked:   "unlock the account",
		otp.DirectoryRefused:  "look at hours",
		otp.TokenCreated:      "`countersign token hand-over A1`",
		otp.TokenExpired:      "log in again",
		otp.Enrolling:         nothing,
		otp.Invited:           "`countersign mail list alice`",
		otp.EnrolmentRefused:  "`countersign token invite alice --mail ADDRESS`",
		otp.AcceptedByTMS:     nothing,
		otp.RefusedByTMS:      "in the TMS",
		otp.AskedByTMS:        nothing,
		otp.CannotAsk:         "challenge = true",
		otp.TMSDown:           "`countersign tms`",
		otp.TooManySessions:   "no open session by now: log in again",
		otp.AnsweredElsewhere: `on_same_login = "repeat"`,
	}
	for _, v := range append(otp.Verdicts(), otp.Undecided) {
		got := advised(t, s, m, otp.Decision{Verdict: v, Serial: "A1"})
		if want := wants[v]; want == "" || !strings.Contains(got, want) {
			t.Errorf("%v: %s\nwant %q", v, got, want)
		}
	}
	if got := advised(t, s, m, otp.Decision{Verdict: 200}); !strings.Contains(got, "does not know the verdict verdict(200)") {
		t.Error(got)
	}
}

func TestAdviceByTheStateOfThings(t *testing.T) {
	locked := clock("A1", otp.State{LockedUntil: now.Unix() + 60})
	for name, test := range map[string]struct {
		tokens []otp.Token
		change func(*memory)
		d      otp.Decision
		want   string
		not    string
	}{
		"no PIN": {d: otp.Decision{Verdict: otp.WrongPIN}, want: "only the eToken is to be typed", not: "--pin-stdin",
			change: func(m *memory) { m.users["alice"] = User{Exists: true, Name: "alice"} }},
		"the eToken was right": {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.WrongPIN, Serial: "A1"}, want: "so the user has it, and what was typed before it was not the OTP PIN"},
		"locked":               {tokens: []otp.Token{locked}, d: otp.Decision{Verdict: otp.Locked, Serial: "A1"}, want: "`countersign token unlock A1` ends its lock; it ends by itself at 2026-05-04T12:01:00Z"},
		"locked no more":       {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.Locked, Serial: "A1"}, want: "A1 is not locked any more", not: "unlock"},
		"locked just now":      {tokens: []otp.Token{locked}, d: otp.Decision{Verdict: otp.WrongCode, Serial: "A1", LockedNow: true}, want: "locked the token", not: "resync"},
		"no token":             {d: otp.Decision{Verdict: otp.NoToken}, want: "`countersign token invite alice`"},
		"a lost one":           {tokens: []otp.Token{clock("LOST", otp.State{})}, d: otp.Decision{Verdict: otp.NoToken}, want: "LOST was reported lost", not: "token enable"},
		"one that has expired": {tokens: []otp.Token{{Serial: "A1", Period: 30, ValidUntil: 1}}, d: otp.Decision{Verdict: otp.TokenExpired}, want: "A1 is not valid now (since 1970-01-01T00:00:01Z): give another"},
		"a list that is empty": {tokens: []otp.Token{{Serial: "L1", Type: otp.CodeList, Codes: 1, State: otp.State{Counter: 1}}}, d: otp.Decision{Verdict: otp.WrongCode}, want: "`countersign token recovery-codes alice`", not: "resync L1"},
		"has to resync":        {tokens: []otp.Token{clock("A1", otp.State{MustResync: true})}, d: otp.Decision{Verdict: otp.WrongCode, Serial: "A1"}, want: "A1 has to show two eTokens in a row"},
		"sent twice": {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.Replayed, Serial: "A1"}, want: "sent it again by itself",
			change: func(m *memory) { m.happened(49, 5, otp.Decision{Verdict: otp.Accepted, Serial: "A1"}) }},
		"by a program": {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.Replayed, Serial: "A1"}, want: "by itself",
			change: func(m *memory) { m.happened(49, 299, otp.Decision{Verdict: otp.Accepted, Serial: "A1"}) }},
		"by a person": {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.Replayed, Serial: "A1"}, want: "resync --rewind A1", not: "by itself",
			change: func(m *memory) { m.happened(49, 301, otp.Decision{Verdict: otp.Accepted, Serial: "A1"}) }},
		"used long ago": {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.Replayed, Serial: "A1"}, want: "resync --rewind A1", not: "by itself"},
		"a clock":       {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.NextCode, Serial: "A1"}, want: "timedatectl"},
		"a press":       {tokens: []otp.Token{presses("B1")}, d: otp.Decision{Verdict: otp.NextCode, Serial: "B1"}, want: "the very next eToken", not: "timedatectl"},
		"far off":       {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.Accepted, Serial: "A1", Offset: -6}, want: "its clock is far off", not: nothing},
		"not far off":   {tokens: []otp.Token{clock("A1", otp.State{})}, d: otp.Decision{Verdict: otp.Accepted, Serial: "A1", Offset: -5}, want: nothing},
		"ours disagree": {d: otp.Decision{Verdict: otp.AcceptedByTMS, Own: otp.WrongCode}, want: "`countersign migrate differences --user alice`"},
		"ours would":    {d: otp.Decision{Verdict: otp.RefusedByTMS, Own: otp.Accepted}, want: "`countersign migrate cutover --user alice`"},
		"created, gone": {d: otp.Decision{Verdict: otp.TokenCreated}, want: "`countersign token invite alice`"},
	} {
		s, m := alices(t, test.tokens...)
		if test.change != nil {
			test.change(m)
		}
		got := advised(t, s, m, test.d)
		if !strings.Contains(got, test.want) || test.not != "" && strings.Contains(got, test.not) {
			t.Errorf("%s: %s\nwant %q and not %q", name, got, test.want, test.not)
		}
	}
}

// Of a login that was not what stands in its way is told.
func TestForesight(t *testing.T) {
	s, m := alices(t)
	foretold := func(want string) {
		t.Helper()
		k := compiled(t)
		k.ClientMACs = nil // no rule is met
		s.Explainer = &oracle{k: k}
		x, err := s.Explain(ctx, root, ExplainRequest{User: "alice", NAS: "ras"})
		if got := strings.Join(x.Advice, "\n"); err != nil || !strings.Contains(got, want) {
			t.Errorf("%v: %s\nwant %s", err, got, want)
		}
	}
	foretold("`countersign token invite alice`")
	m.token["A1"] = Token{Exists: true, Token: clock("A1", otp.State{LockedUntil: now.Unix() + 60}), User: "alice"}
	foretold("`countersign token unlock A1`")
	m.token["A1"] = Token{Exists: true, Token: clock("A1", otp.State{}), User: "alice"}
	foretold(nothing)
	m.users["alice"] = User{Exists: true, Name: "alice", Disabled: true}
	foretold("`countersign user set alice --enable`")
	delete(m.users, "alice")
	foretold("`countersign user add alice`")
	s.Explainer = &oracle{k: compiled(t)} // a rule is met
	if x, err := s.Explain(ctx, root, ExplainRequest{User: "alice", NAS: "ras"}); err != nil || fmt.Sprint(x.Advice) != "["+nothing+"]" {
		t.Errorf("%v, %v", x.Advice, err)
	}
	x := Explanation{Source: exclusions.Unavailable.String(), User: "alice", Decision: "eToken needed: x"}
	if got := fmt.Sprint(x.foresight()); !strings.Contains(got, "`countersign check`") {
		t.Error(got)
	}
}

// What is copied from advice is taken by a shell for what it is.
func TestShellWords(t *testing.T) {
	for word, want := range map[string]string{
		"alice": "alice", "a.b@example.com": "a.b@example.com", `x\alice`: `'x\alice'`, "o'neill": `'o'\''neill'`, "a b": "'a b'", "": "''",
		"-x": "'-x'", "$(id)": "'$(id)'", "münz": "'münz'",
	} {
		if got := shellWord(word); got != want {
			t.Errorf("%q: %s, want %s", word, got, want)
		}
	}
}
