package tms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
)

var (
	printers = exclusions.Criterion{Kind: exclusions.ClientMACs, Values: []string{"00-10-A4-*"}}
	ctx      = context.Background()
)

// rulebook is a Rulebook that remembers what it was told.
type rulebook struct {
	fault, unused error
	verified      []string
	changes       int
}

func (b *rulebook) Verify(_ context.Context, r exclusions.Rule) error {
	b.verified = append(b.verified, r.Name)
	return b.fault
}

func (b *rulebook) Changed(context.Context) error {
	b.changes++
	return b.unused
}

func names(t *testing.T, s *Service, name string) (names []string) {
	t.Helper()
	if err := s.Rules(ctx, root, name, func(v RuleView) error {
		names = append(names, v.Name+"@"+v.Source)
		return nil
	}); err != nil {
		t.Error(err)
	}
	return names
}

func TestRulesComeAndGo(t *testing.T) {
	s, m := serving()
	book := &rulebook{}
	s.Rulebook = book
	m.rules = []Rule{{Exists: true, File: true, Rule: exclusions.Rule{Name: "branch"}}}
	n := NewRule{Rule: exclusions.Rule{Name: "printers", Reason: "they cannot type", Expires: now.Add(time.Hour), Criteria: []exclusions.Criterion{printers}}}
	v, err := s.AddRule(ctx, root, n)
	if err != nil || v.Owner != "root@cli" || v.By != "root@cli" || v.Source != FromStore || v.Expired || !v.Added.Equal(now) {
		t.Fatalf("%+v, %v", v, err)
	}
	if detail := m.acts[0].Detail; detail != `client_macs=["00-10-A4-*"] expires=2026-05-04T13:00:00Z reason="they cannot type"` {
		t.Errorf("the audit record says %s", detail)
	}
	if got := names(t, s, ""); fmt.Sprint(got) != "[branch@file printers@store]" {
		t.Errorf("rules %v", got)
	}
	if got := names(t, s, "branch"); fmt.Sprint(got) != "[branch@file]" {
		t.Errorf("rules %v", got)
	}
	_, err = s.AddRule(ctx, root, n)
	wantError(t, err, ErrExists, `rule "printers" exists already`)
	n.Name = "branch"
	_, err = s.AddRule(ctx, root, n)
	wantError(t, err, ErrExists, "configuration")
	wantError(t, s.RemoveRule(ctx, root, "branch"), ErrInvalid, "take its [[exclusion]] out")
	wantError(t, s.RemoveRule(ctx, root, "nothing"), ErrNotFound, "nothing")
	if err := s.RemoveRule(ctx, root, "printers"); err != nil {
		t.Error(err)
	}
	wantError(t, s.Rules(ctx, root, "printers", nil), ErrNotFound, "printers")
	if fmt.Sprint(book.verified) != "[printers printers branch]" || book.changes != 2 {
		t.Errorf("%+v", book)
	}
	if got := m.verbs(); got != "[exclusion.add exclusion.remove]" {
		t.Errorf("recorded %s", got)
	}
}

func TestARuleThatTheServerCannotTake(t *testing.T) {
	s, m := serving()
	book := &rulebook{fault: errors.New(`"00-10" is no MAC`)}
	s.Rulebook = book
	n := NewRule{Rule: exclusions.Rule{Name: "x", Reason: "y", Criteria: []exclusions.Criterion{printers}}, NoExpiry: true}
	_, err := s.AddRule(ctx, root, n)
	wantError(t, err, ErrInvalid, `"00-10" is no MAC`)
	if len(m.rules)+len(m.acts)+book.changes != 0 {
		t.Error("a rule with a fault was kept")
	}
	book.fault, book.unused = nil, errors.New("it is stopping")
	if _, err = s.AddRule(ctx, root, n); err == nil || !strings.Contains(err.Error(), "kept, but") || len(m.rules) != 1 {
		t.Errorf("%v, %d rules", err, len(m.rules))
	}
}

func TestNewRulesAreChecked(t *testing.T) {
	s, m := serving()
	for want, change := range map[string]func(*NewRule){
		"a name is missing":    func(n *NewRule) { n.Name = "" },
		"65 bytes, and may":    func(n *NewRule) { n.Name = strings.Repeat("x", 65) },
		"cannot be printed":    func(n *NewRule) { n.Name = "a\x1bb" },
		"a space at its":       func(n *NewRule) { n.Name = " a" },
		"a reason is":          func(n *NewRule) { n.Reason = " " },
		"a criterion is":       func(n *NewRule) { n.Criteria = nil },
		"client_ips has no":    func(n *NewRule) { n.Criteria = append(n.Criteria, exclusions.Criterion{Kind: exclusions.ClientIPs}) },
		"an expiry is missing": func(n *NewRule) { n.NoExpiry = false },
		"at once":              func(n *NewRule) { n.Expires = now.Add(time.Hour) },
		"too far away":         func(n *NewRule) { n.NoExpiry, n.Expires = false, time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC) },
		"12:00:00Z is over":    func(n *NewRule) { n.NoExpiry, n.Expires = false, now },
		"a reason is missing; a criterion is missing": func(n *NewRule) { n.Criteria, n.Reason = nil, "" },
	} {
		n := NewRule{Rule: exclusions.Rule{Name: "x", Reason: "y", Criteria: []exclusions.Criterion{printers}}, NoExpiry: true}
		change(&n)
		_, err := s.AddRule(ctx, root, n)
		wantError(t, err, ErrInvalid, want)
	}
	if len(m.rules) != 0 {
		t.Errorf("%d rules were added", len(m.rules))
	}
}

func TestRuleReport(t *testing.T) {
	s, m := serving()
	day := 24 * time.Hour
	rule := func(name string, ends, added time.Duration, used uint64) {
		r := Rule{Exists: true, Rule: exclusions.Rule{Name: name}, Added: now.Add(added), Use: RuleUse{Count: used}}
		if ends != 0 {
			r.Expires = now.Add(ends)
		}
		m.rules = append(m.rules, r)
	}
	rule("often", 0, -day, 20)
	rule("soon", 2*day, -3*day, 0)
	rule("sooner", day, -2*day, 3)
	rule("over", -day, -9*day, 7)
	rule("later", 30*day, -4*day, 0)
	rule("ended", -time.Nanosecond, -9*day, 0)
	r, err := s.RuleReport(ctx, root, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, section := range []struct {
		got  []RuleView
		want string
	}{
		{r.Used, "[often sooner]"}, {r.Never, "[later soon]"}, {r.Ending, "[sooner soon]"}, {r.Endless, "[often]"}, {r.Expired, "[ended over]"},
	} {
		names := []string{}
		for _, v := range section.got {
			names = append(names, v.Name)
		}
		if fmt.Sprint(names) != section.want {
			t.Errorf("section %v, want %s", names, section.want)
		}
	}
	if r, _ = s.RuleReport(ctx, root, day+time.Second); len(r.Ending) != 1 {
		t.Errorf("ending %v", r.Ending)
	}
	_, err = s.RuleReport(ctx, root, -time.Second)
	wantError(t, err, ErrInvalid, "negative")
}
