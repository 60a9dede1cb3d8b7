package tms

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// oracle is an Explainer that knows one case.
type oracle struct {
	k     Case
	err   error
	asked ExplainRequest
	event Event
}

func (o *oracle) Imagine(_ context.Context, r ExplainRequest) (Case, error) {
	o.asked = r
	return o.k, o.err
}

func (o *oracle) Recall(_ context.Context, e *Event) (Case, error) {
	o.event = *e
	return o.k, o.err
}

// compiled makes a Case of two rules.
func compiled(t *testing.T) Case {
	t.Helper()
	rules := []Rule{
		{Exists: true, ID: 3, Rule: exclusions.Rule{Name: "branch", Criteria: []exclusions.Criterion{{Kind: exclusions.ClientIPs, Values: []string{"10.0.0.0/8"}}}}},
		{Exists: true, ID: 5, File: true, Rule: exclusions.Rule{Name: "printers", Owner: "ops", Reason: "they cannot type", Criteria: []exclusions.Criterion{printers}}},
	}
	list, faults := exclusions.Compile([]exclusions.Rule{rules[0].Rule, rules[1].Rule}, exclusions.Options{At: now})
	if faults != nil {
		t.Fatal(faults)
	}
	return Case{
		Trace: exclusions.Trace{
			Login: exclusions.Login{
				At: now, NAS: "ras", User: []byte("alice"), Realm: "corp", Groups: []string{"cn=vpn"}, NASAddress: netip.MustParseAddr("192.0.2.1"),
				ClientIP: netip.MustParseAddr("192.0.2.7"), ClientMACs: []exclusions.MAC{0x0010A42319C0},
			},
			Typed: []byte(`CORP\Alice`), Directory: "corp", Source: exclusions.Fresh, ClientIPFrom: exclusions.TunnelClientEndpoint,
			MACFrom: exclusions.CallingStationID, Mode: exclusions.Mandatory, Pass: exclusions.PassAccept,
		},
		Rules: rules, Exclusions: list, Reply: []string{"Class = admins"},
	}
}

func TestExplain(t *testing.T) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice"}
	m.token["T1"] = Token{Exists: true, Token: otp.Token{Serial: "T1", Disabled: true}, User: "alice"}
	o := &oracle{k: compiled(t)}
	s.Explainer = o
	x, err := s.Explain(ctx, root, ExplainRequest{User: `CORP\Alice`, NAS: "ras"})
	if err != nil {
		t.Fatal(err)
	}
	if !o.asked.At.Equal(now) || o.asked.User != `CORP\Alice` {
		t.Errorf("asked for %+v", o.asked)
	}
	if x.User != "alice" || x.Typed != `CORP\Alice` || x.Source != "fresh" || x.Mode != "mandatory" || x.Excluded != "accept" || x.NASAddress != "192.0.2.1" || x.NASIPAddress != "" {
		t.Errorf("%+v", x)
	}
	if x.ClientIP != "192.0.2.7" || x.ClientIPFrom != "tunnel-client-endpoint" || fmt.Sprint(x.ClientMACs) != "[00-10-A4-23-19-C0]" || x.ClientMACsFrom != "calling-station-id" {
		t.Errorf("client of %+v", x)
	}
	if !x.Known || x.Tokens != 1 || x.TokensDisabled != 1 || fmt.Sprint(x.Groups, x.Reply) != "[cn=vpn] [Class = admins]" {
		t.Errorf("account of %+v", x)
	}
	if !strings.HasPrefix(x.Decision, `no eToken needed: rule "printers" (configuration): `) || !strings.Contains(x.Decision, "00-10-A4-23-19-C0") {
		t.Errorf("decision %q", x.Decision)
	}
	if x.Rule == nil || x.Rule.Name != "printers" || x.Rule.Owner != "ops" || x.Rule.Reason == "" || len(x.Rules) != 2 {
		t.Fatalf("%+v of %+v", x.Rule, x.Rules)
	}
	if r := x.Rules[0]; r.Name != "branch" || r.Source != FromStore || r.Standing != "missed" || !strings.Contains(r.Text, "192.0.2.7") {
		t.Errorf("%+v", r)
	}
}

// Tokens count as they are now; with a list of codes that is over nobody holds a
// token.
func TestExplainCountsTokens(t *testing.T) {
	s, m := serving()
	m.users["alice"] = User{Exists: true, Name: "alice"}
	for serial, token := range map[otp.Serial]otp.Token{
		"GOOD":     {ValidUntil: now.Unix() + 1},
		"OVER":     {ValidUntil: now.Unix()},
		"LATER":    {ValidFrom: now.Unix() + 1},
		"DISABLED": {ValidUntil: now.Unix(), Disabled: true},
		"LIST":     {Type: otp.CodeList, Codes: 1, ValidUntil: now.Unix() + 1},
		"OLD LIST": {Type: otp.CodeList, Codes: 1, ValidUntil: now.Unix()},
	} {
		m.token[serial] = Token{Exists: true, Token: token, User: "alice"}
	}
	s.Explainer = &oracle{k: compiled(t)}
	x, err := s.Explain(ctx, root, ExplainRequest{User: "alice", NAS: "ras"})
	if err != nil || !x.Known || x.Tokens != 5 || x.TokensDisabled != 1 || x.TokensExpired != 2 {
		t.Errorf("%+v, %v", x, err)
	}
}

func TestExplainRefuses(t *testing.T) {
	s, _ := serving()
	_, err := s.Explain(ctx, root, ExplainRequest{User: "alice"})
	wantError(t, err, ErrInvalid, "a user and a NAS")
	if _, err := s.Explain(ctx, root, ExplainRequest{User: "alice", NAS: "x"}); err == nil {
		t.Error("explained by nobody")
	}
	s.Explainer = &oracle{err: fmt.Errorf("NAS %q: %w", "x", ErrNotFound)}
	_, err = s.Explain(ctx, root, ExplainRequest{User: "alice", NAS: "x"})
	wantError(t, err, ErrNotFound, `"x"`)
}

func TestExplainEvent(t *testing.T) {
	s, m := serving()
	o := &oracle{k: compiled(t)}
	s.Explainer = o
	login := Event{At: now.Add(-time.Hour), Kind: LoginEvent, Login: Login{
		User: "alice", NAS: "ras", Rule: 5, Decision: otp.Decision{Verdict: otp.Excluded},
	}}
	m.event[otp.EventID{Batch: 17, Index: 3}] = login
	m.event[otp.EventID{Batch: 17, Index: 4}] = Event{Kind: ActEvent}
	x, err := s.ExplainEvent(ctx, root, "17-3")
	if err != nil || x.Event != "17-3" || x.Verdict != "excluded" || x.Outcome == "" || !x.At.Equal(login.At) || x.Rule == nil || x.Rule.Name != "printers" {
		t.Errorf("%+v, %v", x, err)
	}
	if o.event.User != "alice" {
		t.Errorf("asked for %+v", o.event)
	}
	_, err = s.ExplainEvent(ctx, root, "17-4")
	wantError(t, err, ErrInvalid, "17-4 is no login")
	_, err = s.ExplainEvent(ctx, root, "17-5")
	wantError(t, err, ErrNotFound, "17-5")
	_, err = s.ExplainEvent(ctx, root, "17")
	wantError(t, err, ErrInvalid, "17-3")
	o.err = errors.New("no more")
	if _, err := s.ExplainEvent(ctx, root, "17-3"); !errors.Is(err, o.err) {
		t.Error(err)
	}
}

// How it stands with the TMS is known where a server runs.
func TestBehindState(t *testing.T) {
	s, _ := serving()
	if _, err := s.BehindState(ctx, root); !errors.Is(err, ErrNotFound) {
		t.Errorf("%v", err)
	}
	s.Behind = behind{State: "open"}
	if v, err := s.BehindState(ctx, root); err != nil || v.State != "open" {
		t.Errorf("%+v, %v", v, err)
	}
}

// behind is a Behind that knows one answer.
type behind BehindView

func (b behind) Behind() BehindView { return BehindView(b) }
