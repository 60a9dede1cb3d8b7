package console

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
)

// oneRule is a tms.Store of one rule at most, and an Explainer.
type oneRule struct {
	tms.Store
	rule  tms.Rule
	asked tms.ExplainRequest
}

func (s *oneRule) ChangeRule(_ context.Context, name string, _ tms.Act, change func(*tms.Rule) error) error {
	if name != s.rule.Name {
		return change(&tms.Rule{})
	}
	return change(&s.rule)
}

func (s *oneRule) Rules(_ context.Context, _ uint64, each func(*tms.Rule) error) (uint64, error) {
	return 1, each(&s.rule)
}

func (s *oneRule) Users(context.Context, tms.Filter, func(*tms.User) error) error   { return nil }
func (s *oneRule) Tokens(context.Context, tms.Filter, func(*tms.Token) error) error { return nil }

func (s *oneRule) Event(_ context.Context, id otp.EventID) (tms.Event, error) {
	if id.Batch != 17 {
		return tms.Event{}, fmt.Errorf("event %s: %w", id, tms.ErrNotFound)
	}
	return tms.Event{ID: id, Kind: tms.LoginEvent, Login: tms.Login{User: "alice", NAS: "ras", Decision: otp.Decision{Verdict: otp.WrongCode}}}, nil
}

func (s *oneRule) Events(context.Context, tms.Filter, func(*tms.Event) error) error { return nil }

func (s *oneRule) Imagine(_ context.Context, r tms.ExplainRequest) (tms.Case, error) {
	s.asked = r
	return tms.Case{Trace: exclusions.Trace{Login: exclusions.Login{At: r.At, User: []byte(r.User), NAS: r.NAS}}}, nil
}

func (s *oneRule) Recall(context.Context, *tms.Event) (tms.Case, error) { return tms.Case{}, nil }

func connectRule(t *testing.T) (*Client, *oneRule) {
	t.Helper()
	store := &oneRule{rule: tms.Rule{Rule: exclusions.Rule{Name: "printers"}}}
	return mount(t, tms.NewService(tms.Options{Store: store, Explainer: store, Clock: time.Now, Policy: otp.DefaultPolicy}), true), store
}

func TestRulesTravel(t *testing.T) {
	c, store := connectRule(t)
	ctx := context.Background()
	rule := exclusions.Rule{
		Name: "printers", Owner: "ops", Reason: "they cannot type", Expires: time.Now().Add(time.Hour).Round(0),
		Criteria: []exclusions.Criterion{
			{Kind: exclusions.ClientMACs, Values: []string{"00-10-A4-*"}},
			{Kind: exclusions.Groups, Not: true, Values: []string{"CN=a,DC=b", "c"}},
		},
	}
	added, err := c.AddRule(ctx, tms.NewRule{Rule: rule})
	if err != nil || !reflect.DeepEqual(added.Criteria, rule.Criteria) || !added.Expires.Equal(rule.Expires) || added.By != "test" {
		t.Fatalf("%+v, %v", added, err)
	}
	if !reflect.DeepEqual(store.rule.Criteria, rule.Criteria) || store.rule.Owner != "ops" {
		t.Errorf("kept %+v", store.rule)
	}
	var listed []tms.RuleView
	each := func(v tms.RuleView) error { listed = append(listed, v); return nil }
	if err := c.Rules(ctx, "", each); err != nil || len(listed) != 1 || !reflect.DeepEqual(listed[0].Criteria, rule.Criteria) {
		t.Errorf("%+v, %v", listed, err)
	}
	if err := c.Rules(ctx, "other", each); !errors.Is(err, tms.ErrNotFound) {
		t.Error(err)
	}
	report, err := c.RuleReport(ctx, 2*time.Hour)
	if err != nil || len(report.Never) != 1 || len(report.Ending) != 1 || report.Until.Sub(report.At) != 2*time.Hour {
		t.Errorf("%+v, %v", report, err)
	}
	if err := c.RemoveRule(ctx, "printers"); err != nil || store.rule.Exists {
		t.Error(err)
	}
	if _, err := c.AddRule(ctx, tms.NewRule{Rule: rule, NoExpiry: true}); !errors.Is(err, tms.ErrInvalid) {
		t.Error(err)
	}
}

func TestExplanationsTravel(t *testing.T) {
	c, store := connectRule(t)
	ctx := context.Background()
	request := tms.ExplainRequest{At: time.Unix(1_800_000_000, 0).UTC(), User: `CORP\Alice`, NAS: "ras", MAC: "m", ClientIP: "i", NASAddress: "a", NASIPAddress: "n", NASIdentifier: "d"}
	x, err := c.Explain(ctx, request)
	if err != nil || store.asked != request || x.NAS != "ras" || x.Decision == "" || !x.At.Equal(request.At) {
		t.Errorf("%+v, %+v, %v", store.asked, x, err)
	}
	x, err = c.ExplainEvent(ctx, "17-3")
	if err != nil || x.Event != "17-3" || x.Verdict != "wrong_code" || x.User != "alice" || len(x.Advice) == 0 {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := c.ExplainEvent(ctx, "18-3"); !errors.Is(err, tms.ErrNotFound) {
		t.Error(err)
	}
}

func TestHandingOverTravels(t *testing.T) {
	c, store := connect(t, true)
	store.token.User = "alice"
	seed := oath.NewSeed([]byte(strings.Repeat("new", 10)))
	view, err := c.HandOverToken(context.Background(), tms.HandOver{Serial: "T1", Seed: seed, PIN: otp.NewPIN([]byte("4711"))})
	if err != nil || view.User != "alice" || !store.token.Seed.Equal(seed) || string(store.created.PIN.Bytes()) != "4711" {
		t.Errorf("%+v, %v", view, err)
	}
}

func TestEventsWithATrace(t *testing.T) {
	trace := exclusions.Trace{
		Login: exclusions.Login{User: []byte("alice"), Groups: []string{"vpn"}, ClientIP: netip.MustParseAddr("192.0.2.7"), ClientMACs: []exclusions.MAC{0x0010A42319C0}},
		Typed: []byte(`CORP\Alice`), Directory: "corp", Rule: "printers",
	}
	login := tms.Login{User: "alice", Rule: 7, Trace: trace.Append(nil)}
	v := ViewEvent(&tms.Event{ID: otp.EventID{Batch: 17, Index: 3}, Kind: tms.LoginEvent, Login: login})
	if v.ID != "17-3" || v.Rule != "printers" || v.Typed != `CORP\Alice` || v.Directory != "corp" || v.ClientIP != "192.0.2.7" || fmt.Sprint(v.ClientMACs, v.Groups) != "[00-10-A4-23-19-C0] [vpn]" || v.TraceFault != "" {
		t.Errorf("%+v", v)
	}
	login.Trace = []byte("\xff\xff")
	if v = ViewEvent(&tms.Event{Kind: tms.LoginEvent, Login: login}); v.User != "alice" || v.Rule != "rule number 7" || v.TraceFault == "" {
		t.Errorf("%+v", v)
	}
}
