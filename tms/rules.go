package tms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"countersign/exclusions"
)

// Where a rule comes from.
const (
	FromFile  = "file"  // the configuration
	FromStore = "store" // an act
)

// MaxRuleName is the longest name of a rule in bytes.
const MaxRuleName = 64

// lastExpiry is the last expiry of a rule: RFC 3339 can write it in each time zone.
var lastExpiry = time.Date(9999, time.December, 30, 0, 0, 0, 0, time.UTC)

// RuleView is what a listing shows of a rule of exclusion.
type RuleView struct {
	Name     string                 `json:"name"`
	Source   string                 `json:"source"` // FromFile or FromStore
	Owner    string                 `json:"owner,omitempty"`
	Reason   string                 `json:"reason,omitempty"`
	Criteria []exclusions.Criterion `json:"criteria"`
	Expires  time.Time              `json:"expires,omitzero"`
	Expired  bool                   `json:"expired"`
	Added    time.Time              `json:"added,omitzero"` // or changed
	By       string                 `json:"by,omitempty"`
	Used     uint64                 `json:"used"` // logins it decided
	LastUsed time.Time              `json:"last_used,omitzero"`
}

func (s *Service) viewRule(r *Rule) RuleView {
	return RuleView{
		Name: r.Name, Source: sourceOf(r), Owner: r.Owner, Reason: r.Reason, Criteria: r.Criteria,
		Expires: r.Expires, Expired: expired(&r.Rule, s.Clock()), Added: r.Added, By: r.By,
		Used: r.Use.Count, LastUsed: r.Use.Last,
	}
}

func sourceOf(r *Rule) string {
	if r.File {
		return FromFile
	}
	return FromStore
}

// expired reports whether a rule no longer counts.
func expired(r *exclusions.Rule, at time.Time) bool {
	return !r.Expires.IsZero() && !at.Before(r.Expires)
}

// Rulebook is who uses the rules.
type Rulebook interface {
	// Verify says what is wrong with a rule that is about to be added: with a
	// value, or with a NAS it is about.
	Verify(ctx context.Context, r exclusions.Rule) error
	// Changed is called after a change of the rules is durable, and returns when
	// they are in use.
	Changed(ctx context.Context) error
}

// NewRule is what AddRule needs. That a rule never expires has to be said.
type NewRule struct {
	exclusions.Rule
	NoExpiry bool `json:"no_expiry"`
}

// AddRule adds a rule, behind all others. Its owner is the caller when it names
// none.
func (s *Service) AddRule(ctx context.Context, c Caller, n NewRule) (RuleView, error) {
	act, err := s.gate(c, "exclusion.add", n.Name, n.detail())
	if err != nil {
		return RuleView{}, err
	}
	if err := n.check(act.At); err != nil {
		return RuleView{}, err
	}
	if n.Owner == "" {
		n.Owner = c.Name
	}
	if s.Rulebook != nil {
		if err := s.Rulebook.Verify(ctx, n.Rule); err != nil {
			return RuleView{}, invalid("%w", err)
		}
	}
	var view RuleView
	err = s.Store.ChangeRule(ctx, n.Name, act, func(r *Rule) error {
		if r.Exists {
			return fmt.Errorf("rule %q %w", n.Name, ErrExists)
		}
		*r = Rule{Exists: true, Rule: n.Rule, Added: act.At, By: act.Actor}
		view = s.viewRule(r)
		return nil
	})
	if err != nil {
		return RuleView{}, err
	}
	return view, s.rulesChanged(ctx, n.Name)
}

// check checks what a person has to say about a rule, with all faults in one
// error. What the values mean is the Rulebook's to know.
func (n *NewRule) check(now time.Time) error {
	var faults []string
	note := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	wrong := wrongName(n.Name)
	note(wrong != "", "%s", wrong)
	note(strings.TrimSpace(n.Reason) == "", "a reason is missing")
	note(len(n.Criteria) == 0, "a criterion is missing: nobody would need a code")
	for _, criterion := range n.Criteria {
		note(len(criterion.Values) == 0, "criterion %v has no value", criterion.Kind)
	}
	note(n.NoExpiry && !n.Expires.IsZero(), "an expiry and no expiry at once")
	note(!n.NoExpiry && n.Expires.IsZero(), "an expiry is missing, or --no-expiry when the rule shall stay")
	note(!n.Expires.IsZero() && expired(&n.Rule, now), "its expiry %s is over", n.Expires.Format(time.RFC3339))
	note(n.Expires.After(lastExpiry), "its expiry %s is too far away: choose an earlier one, or --no-expiry when the rule shall stay", n.Expires.Format(time.RFC3339))
	if faults != nil {
		return invalid("rule %.*q: %s", MaxRuleName, n.Name, strings.Join(faults, "; "))
	}
	return nil
}

// wrongName says why a name cannot be typed and listed, or is empty.
func wrongName(name string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	switch {
	case name == "":
		return "a name is missing"
	case len(name) > MaxRuleName:
		return fmt.Sprintf("its name has %d bytes, and may have %d", len(name), MaxRuleName)
	case strings.TrimSpace(name) != name:
		return "its name has a space at its beginning or end"
	case strings.ContainsFunc(name, unprintable):
		return "its name has a character that cannot be printed"
	}
	return ""
}

// detail says for the audit record whom the rule lets in, why and how long.
func (n *NewRule) detail() string {
	var b strings.Builder
	for _, criterion := range n.Criteria {
		if criterion.Not {
			b.WriteString("not_")
		}
		fmt.Fprintf(&b, "%v=%q ", criterion.Kind, criterion.Values)
	}
	if !n.Expires.IsZero() {
		fmt.Fprintf(&b, "expires=%s ", n.Expires.Format(time.RFC3339))
	}
	fmt.Fprintf(&b, "reason=%q", n.Reason)
	return b.String()
}

// RemoveRule removes a rule that was added by an act.
func (s *Service) RemoveRule(ctx context.Context, c Caller, name string) error {
	act, err := s.gate(c, "exclusion.remove", name, "")
	if err != nil {
		return err
	}
	err = s.Store.ChangeRule(ctx, name, act, func(r *Rule) error {
		if !r.Exists {
			return fmt.Errorf("rule %q: %w", name, ErrNotFound)
		}
		r.Exists = false
		return nil
	})
	if errors.Is(err, ErrExists) {
		return invalid("rule %q comes from the configuration file: take its [[exclusion]] out there and reload the server", name)
	}
	if err != nil {
		return err
	}
	return s.rulesChanged(ctx, name)
}

// rulesChanged has the server use the rules as they are now.
func (s *Service) rulesChanged(ctx context.Context, name string) error {
	if s.Rulebook == nil {
		return nil
	}
	if err := s.Rulebook.Changed(ctx); err != nil {
		return fmt.Errorf("the change of rule %q is kept, but the server does not use it yet: %w", name, err)
	}
	return nil
}

// Rules lists the rules in the order in which they decide: those of the
// configuration, then the others. With a name it shows that one or fails with
// ErrNotFound.
func (s *Service) Rules(ctx context.Context, c Caller, name string, each func(RuleView) error) error {
	if _, err := s.gate(c, "exclusion.list", name, ""); err != nil {
		return err
	}
	found := false
	_, err := s.Store.Rules(ctx, 0, func(r *Rule) error {
		if name != "" && r.Name != name {
			return nil
		}
		found = true
		return each(s.viewRule(r))
	})
	if err == nil && !found && name != "" {
		return fmt.Errorf("rule %q: %w", name, ErrNotFound)
	}
	return err
}
