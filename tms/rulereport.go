package tms

import (
	"cmp"
	"context"
	"slices"
	"time"
)

// ReportWithin is how soon a rule ends that RuleReport lists as ending, when
// nothing else is said.
const ReportWithin = 30 * 24 * time.Hour

// RuleReport is what an auditor asks about the rules of exclusion. A rule that is
// in force is in Used or in Never, and perhaps in Ending or Endless too.
type RuleReport struct {
	At      time.Time  `json:"at"`
	Until   time.Time  `json:"until"`   // what ends before is in Ending
	Used    []RuleView `json:"used"`    // in force and used, the most used first
	Never   []RuleView `json:"never"`   // in force and never used, the oldest first
	Ending  []RuleView `json:"ending"`  // in force, the soonest to end first
	Endless []RuleView `json:"endless"` // in force, without an expiry, the oldest first
	Expired []RuleView `json:"expired"` // no longer in force, the last to end first
}

// RuleReport tells how the rules are used and which end within a time, which is
// ReportWithin when it is 0.
func (s *Service) RuleReport(ctx context.Context, c Caller, within time.Duration) (RuleReport, error) {
	act, err := s.gate(c, "exclusion.report", "", "")
	if err != nil {
		return RuleReport{}, err
	}
	if within < 0 {
		return RuleReport{}, invalid("within %v: must not be negative", within)
	}
	none := []RuleView{} // rather than nil, which is null in JSON
	report := RuleReport{
		At: act.At, Until: act.At.Add(cmp.Or(within, ReportWithin)),
		Used: none, Never: none, Ending: none, Endless: none, Expired: none,
	}
	_, err = s.Store.Rules(ctx, 0, func(r *Rule) error {
		report.add(s.viewRule(r))
		return nil
	})
	report.sort()
	return report, err
}

func (r *RuleReport) add(v RuleView) {
	switch {
	case v.Expired:
		r.Expired = append(r.Expired, v)
		return
	case v.Used > 0:
		r.Used = append(r.Used, v)
	default:
		r.Never = append(r.Never, v)
	}
	switch {
	case v.Expires.IsZero():
		r.Endless = append(r.Endless, v)
	case v.Expires.Before(r.Until):
		r.Ending = append(r.Ending, v)
	}
}

// sort brings the sections into the order they are read in; what is equal stays
// in deciding order.
func (r *RuleReport) sort() {
	slices.SortStableFunc(r.Used, func(a, b RuleView) int { return cmp.Compare(b.Used, a.Used) })
	slices.SortStableFunc(r.Never, byAge)
	slices.SortStableFunc(r.Ending, func(a, b RuleView) int { return a.Expires.Compare(b.Expires) })
	slices.SortStableFunc(r.Endless, byAge)
	slices.SortStableFunc(r.Expired, func(a, b RuleView) int { return b.Expires.Compare(a.Expires) })
}

func byAge(a, b RuleView) int { return a.Added.Compare(b.Added) }
