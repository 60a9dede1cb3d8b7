package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/tms"
	"countersign/tms/store"
)

func isNotFound(err error) bool { return errors.Is(err, tms.ErrNotFound) }

// sameEvent compares events whose instants may be in other time zones.
func sameEvent(a, b tms.Event) bool {
	if !a.At.Equal(b.At) || !a.Act.At.Equal(b.Act.At) {
		return false
	}
	a.At, a.Act.At = b.At, b.Act.At
	return reflect.DeepEqual(a, b)
}

// rule is a rule with everything that one can have.
func rule(name string) exclusions.Rule {
	return exclusions.Rule{
		Name: name, Owner: "Jörg", Reason: `"tests" <&>`, Expires: noon.Add(time.Hour).UTC(),
		Criteria: []exclusions.Criterion{
			{Kind: exclusions.Users, Values: []string{name, "zoë"}},
			{Kind: exclusions.ClientMACs, Not: true, Values: []string{"00-10-A4-*"}},
		},
	}
}

// reasoned is rule with another reason.
func reasoned(name, reason string) exclusions.Rule {
	r := rule(name)
	r.Reason = reason
	return r
}

func rulesOf(names ...string) (rules []exclusions.Rule) {
	for _, name := range names {
		rules = append(rules, rule(name))
	}
	return rules
}

// setRule adds a rule, or changes the one of its name.
func (w *world) setRule(r exclusions.Rule) {
	w.Helper()
	w.must(w.store.ChangeRule(w.Context(), r.Name, act("rule.set", r.Name), func(has *tms.Rule) error {
		has.Exists, has.Rule = true, r
		return nil
	}))
}

func (w *world) removeRule(name string) {
	w.Helper()
	w.must(w.store.ChangeRule(w.Context(), name, act("rule.remove", name), func(r *tms.Rule) error {
		if !r.Exists {
			return fmt.Errorf("rule %q is not there", name)
		}
		r.Exists = false
		return nil
	}))
}

func (w *world) setFileRules(rules ...exclusions.Rule) {
	w.Helper()
	w.must(w.store.SetFileRules(w.Context(), act("rule.file", ""), rules))
}

// rules are those of a revision, 0 for the present one.
func (w *world) rules(revision uint64) (uint64, []tms.Rule) {
	w.Helper()
	return listRules(w, w.store, revision)
}

func listRules(t testing.TB, s Store, revision uint64) (uint64, []tms.Rule) {
	t.Helper()
	var rules []tms.Rule
	listed, err := s.Rules(context.Background(), revision, func(r *tms.Rule) error { rules = append(rules, *r); return nil })
	if err != nil {
		t.Fatal(err)
	}
	return listed, rules
}

// ruleNamed is a rule of the present revision.
func (w *world) ruleNamed(name string) tms.Rule {
	w.Helper()
	_, rules := w.rules(0)
	i := slices.IndexFunc(rules, func(r tms.Rule) bool { return r.Name == name })
	if i < 0 {
		w.Fatalf("rule %q is not listed", name)
	}
	return rules[i]
}

// isRevision expects that the present revision has this number and these rules.
func (w *world) isRevision(want uint64, names ...string) []tms.Rule {
	w.Helper()
	number, rules := w.rules(0)
	if got := namesOf(rules); number != want || !slices.Equal(got, names) {
		w.Errorf("revision %d has the rules %q, want revision %d with %q", number, got, want, names)
	}
	return rules
}

func namesOf(rules []tms.Rule) (names []string) {
	for _, r := range rules {
		names = append(names, r.Name)
	}
	return names
}

func ruleIsChanged(w *world) {
	w.isRevision(0)
	w.setRule(rule("night shift"))
	w.setRule(rule("visitors"))
	for range 2 {
		rules := w.isRevision(2, "night shift", "visitors")
		want := tms.Rule{Exists: true, Rule: rule("night shift"), ID: rules[0].ID, By: "root@test"}
		got := rules[0]
		if !got.Added.Equal(noon) {
			w.Errorf("added at %v, want %v", got.Added, noon)
		}
		if got.Added = (time.Time{}); !reflect.DeepEqual(got, want) || got.ID == 0 || got.ID == rules[1].ID {
			w.Errorf("got  %+v\nwant %+v", got, want)
		}
		w.reopen()
	}
	first := w.ruleNamed("night shift").ID
	w.setRule(reasoned("night shift", "another"))
	rules := w.isRevision(3, "visitors", "night shift")
	if changed := rules[1]; changed.ID == first || changed.Reason != "another" {
		w.Errorf("the changed rule is %+v; it was number %d", changed, first)
	}
	before := len(w.events(tms.Filter{User: "night shift"}))
	w.setRule(reasoned("night shift", "another")) // an act, but no change
	w.isRevision(3, "visitors", "night shift")
	if after := len(w.events(tms.Filter{User: "night shift"})); after != before+1 {
		w.Errorf("%d acts have become %d", before, after)
	}
	w.removeRule("visitors")
	w.reopen()
	used := w.isRevision(4, "night shift")[0].ID
	w.removeRule("night shift")
	w.isRevision(5)
	w.setRule(reasoned("night shift", "another"))
	if again := w.isRevision(6, "night shift")[0]; again.ID <= used {
		w.Errorf("a rule that was removed and added again is number %d, it was %d", again.ID, used)
	}
}

// refusedRules are changes that the store must not take.
func refusedRules(w *world) {
	w.setFileRules(rulesOf("configured")...)
	w.setRule(rule("added"))
	add := func(r exclusions.Rule) error {
		return w.store.ChangeRule(w.Context(), r.Name, act("rule.add", r.Name), func(has *tms.Rule) error {
			if has.Name != r.Name {
				w.Errorf("the change of %q gets %q", r.Name, has.Name)
			}
			has.Exists, has.Rule = true, r
			return nil
		})
	}
	timeless := rule("timeless")
	timeless.Expires = time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		err  error
		want error
		text string
	}{
		{add(rule("configured")), tms.ErrExists, "configuration"},
		{add(rule("")), tms.ErrInvalid, "name"},
		{add(rule("\xff")), tms.ErrInvalid, "name"},
		{add(rule(strings.Repeat("x", 300))), tms.ErrInvalid, "name"},
		{add(reasoned("long", strings.Repeat("x", 2<<20))), tms.ErrInvalid, "long"},
		{add(timeless), tms.ErrInvalid, "timeless"},
		{w.store.SetFileRules(w.Context(), act("rule.file", ""), rulesOf("new", "added")), tms.ErrExists, "added"},
		{w.store.SetFileRules(w.Context(), act("rule.file", ""), rulesOf("new", "new")), tms.ErrInvalid, "new"},
		{w.store.SetFileRules(w.Context(), act("rule.file", ""), rulesOf("new", "")), tms.ErrInvalid, "name"},
	} {
		if !errors.Is(test.err, test.want) || !strings.Contains(fmt.Sprint(test.err), test.text) {
			w.Errorf("error %v, want %v that says %q", test.err, test.want, test.text)
		}
	}
	w.isRevision(2, "configured", "added")
	if _, err := w.store.Rules(w.Context(), 3, func(*tms.Rule) error { return nil }); !isNotFound(err) {
		w.Errorf("a revision to come: error %v, want %v", err, tms.ErrNotFound)
	}
	if n := len(w.events(tms.Filter{})); n != 2 {
		w.Errorf("%d events, want those of the two that were taken", n)
	}
	w.removeRule("added")
	w.setFileRules(rulesOf("added")...)
	w.isRevision(4, "added")
}

func failedChangeOfRule(w *world) {
	w.setRule(rule("one"))
	before := len(w.events(tms.Filter{}))
	no := errors.New("no")
	for _, name := range []string{"one", "two"} {
		err := w.store.ChangeRule(w.Context(), name, act("rule.set", name), func(r *tms.Rule) error {
			r.Exists, r.Reason = !r.Exists, "none"
			return no
		})
		if err != no {
			w.Errorf("error %v, want the one of the change", err)
		}
	}
	w.must(w.store.ChangeRule(w.Context(), "two", act("rule.remove", "two"), func(*tms.Rule) error { return nil }))
	done, cancel := context.WithCancel(w.Context())
	cancel()
	for _, err := range []error{
		w.store.ChangeRule(done, "two", act("rule.add", "two"), func(r *tms.Rule) error { r.Exists = true; return nil }),
		w.store.SetFileRules(done, act("rule.file", ""), rulesOf("three")),
	} {
		if !errors.Is(err, context.Canceled) {
			w.Errorf("error %v, want %v", err, context.Canceled)
		}
	}
	stop := errors.New("stop")
	if _, err := w.store.Rules(w.Context(), 0, func(*tms.Rule) error { return stop }); err != stop {
		w.Errorf("error %v, want that of the callback", err)
	}
	w.isRevision(1, "one")
	if after := len(w.events(tms.Filter{})); after != before {
		w.Errorf("%d events have become %d", before, after)
	}
}

// fileRules brings the rules of the configuration in, again and again.
func fileRules(w *world) {
	w.setFileRules()
	w.isRevision(0)
	w.setFileRules(rulesOf("c", "a", "b")...)
	first := w.isRevision(1, "c", "a", "b")
	for _, r := range first {
		if !r.File || r.By != "root@test" || !r.Added.Equal(noon) || !reflect.DeepEqual(r.Rule, rule(r.Name)) {
			w.Errorf("rule %+v", r)
		}
	}
	for range 2 {
		w.setFileRules(rulesOf("c", "a", "b")...)
		w.isRevision(1, "c", "a", "b")
		w.reopen()
	}
	if n := len(w.events(tms.Filter{})); n != 1 {
		w.Errorf("%d events, want that of the one change", n)
	}
	w.setFileRules(rule("b"), reasoned("c", "another"), rule("d"), rule("a"))
	w.keptNumbers(first, w.isRevision(2, "b", "c", "d", "a"), "a", "b")
	w.setFileRules(rulesOf("a", "b")...)
	w.reopen()
	w.keptNumbers(first, w.isRevision(3, "a", "b"), "a", "b")
	w.setFileRules(rulesOf("b", "a")...) // nothing but the order
	w.keptNumbers(first, w.isRevision(4, "b", "a"), "a", "b")
	w.setFileRules()
	w.isRevision(5)
	w.setFileRules(rulesOf("a")...)
	w.keptNumbers(first, w.isRevision(6, "a"))
}

// keptNumbers expects that of the rules there are now just these have numbers that
// rules had before, each its own.
func (w *world) keptNumbers(before, now []tms.Rule, names ...string) {
	w.Helper()
	was := map[uint64]string{}
	for _, r := range before {
		was[r.ID] = r.Name
	}
	for _, r := range now {
		if name, there := was[r.ID]; there != slices.Contains(names, r.Name) || there && name != r.Name {
			w.Errorf("rule %q has number %d, which was that of %q", r.Name, r.ID, name)
		}
	}
}

// fileRulesAndOthers lists those of the configuration first.
func fileRulesAndOthers(w *world) {
	w.setRule(rule("x"))
	w.setFileRules(rulesOf("z", "c")...)
	w.setRule(rule("a"))
	w.setFileRules(rulesOf("m", "z", "c")...)
	w.removeRule("x")
	w.setRule(rule("b"))
	w.setRule(rule("x"))
	for range 2 {
		w.isRevision(7, "m", "z", "c", "a", "b", "x")
		for revision, want := range map[uint64]string{1: "x", 2: "z c x", 3: "z c x a", 4: "m z c x a", 5: "m z c a", 6: "m z c a b"} {
			number, rules := w.rules(revision)
			if got := strings.Join(namesOf(rules), " "); number != revision || got != want {
				w.Errorf("revision %d is listed as %d with %q, want %q", revision, number, got, want)
			}
		}
		w.reopen()
	}
}

// everyRevisionIsKept changes rules in many ways and lists every revision at the
// end as it was in its time.
func everyRevisionIsKept(w *world) {
	var revisions [][]tms.Rule
	keep := func() {
		number, rules := w.rules(0)
		if revisions = append(revisions, rules); int(number) != len(revisions) {
			w.Fatalf("revision %d after %d changes", number, len(revisions))
		}
	}
	for n := range 30 {
		w.setRule(reasoned(fmt.Sprint("added", n%7), fmt.Sprint(n)))
		keep()
		w.setFileRules(someRules(n)...)
		keep()
		if n%4 == 3 {
			w.removeRule(fmt.Sprint("added", n%7))
			keep()
		}
	}
	for range 2 {
		w.areRevisions(revisions)
		w.reopen()
	}
}

// someRules are other rules for every n, some of which stay and some of which move.
func someRules(n int) (rules []exclusions.Rule) {
	for i := range 10 {
		if (i*n)%3 != 1 {
			rules = append(rules, reasoned(fmt.Sprint("file", (i+n)%10), fmt.Sprint(i/5*n)))
		}
	}
	return rules
}

// areRevisions expects these revisions from the first on, and that no number was
// given to two rules.
func (w *world) areRevisions(revisions [][]tms.Rule) {
	w.Helper()
	ids := map[uint64]tms.Rule{}
	for i, want := range revisions {
		number, got := w.rules(uint64(i + 1))
		if int(number) != i+1 || !reflect.DeepEqual(got, want) {
			w.Fatalf("revision %d is listed as %d\ngot  %+v\nwant %+v", i+1, number, got, want)
		}
		for _, r := range got {
			if has, there := ids[r.ID]; there && !reflect.DeepEqual(has, r) {
				w.Errorf("one number for two rules: %+v and %+v", has, r)
			}
			ids[r.ID] = r
		}
	}
}

// rulesAreBounded fills the list of rules up.
func rulesAreBounded(w *world) {
	var many []exclusions.Rule
	for n := range store.MaxRules {
		many = append(many, exclusions.Rule{Name: fmt.Sprint("rule", n)})
	}
	w.setRule(rule("one"))
	err := w.store.SetFileRules(w.Context(), act("rule.file", ""), many)
	if !errors.Is(err, tms.ErrInvalid) {
		w.Errorf("one rule too many: error %v, want %v", err, tms.ErrInvalid)
	}
	w.isRevision(1, "one")
	w.setFileRules(many[1:]...)
	number, rules := w.rules(0)
	if number != 2 || len(rules) != store.MaxRules || rules[store.MaxRules-1].Name != "one" {
		w.Fatalf("revision %d of %d rules", number, len(rules))
	}
	for i, r := range rules[:store.MaxRules-1] {
		if r.Name != many[i+1].Name || !r.File {
			w.Fatalf("rule %d is %+v, want %q", i, r, many[i+1].Name)
		}
	}
	err = w.store.ChangeRule(w.Context(), "two", act("rule.add", "two"), func(r *tms.Rule) error { r.Exists = true; return nil })
	if !errors.Is(err, tms.ErrInvalid) {
		w.Errorf("one rule too many: error %v, want %v", err, tms.ErrInvalid)
	}
	w.setRule(reasoned("one", "changed"))
	w.removeRule("one")
	w.setRule(rule("two"))
}

// listingHoldsNothing changes and lists rules from within a listing, which goes on
// with the revision that it began with.
func listingHoldsNothing(w *world) {
	var names []string
	for n := range 1000 {
		names = append(names, fmt.Sprint("rule", n))
	}
	w.setFileRules(rulesOf(names...)...)
	w.setRule(rule("added"))
	var listed []string
	revision, err := w.store.Rules(w.Context(), 0, func(r *tms.Rule) error {
		switch len(listed) {
		case 0:
			w.setFileRules(rulesOf("another")...)
			w.removeRule("added")
		case 300:
			w.listWithin(8)
		}
		listed = append(listed, r.Name)
		return nil
	})
	if err != nil || revision != 2 || !slices.Equal(listed, append(names, "added")) {
		w.Errorf("revision %d: %d rules, error %v", revision, len(listed), err)
	}
	w.isRevision(4, "another")
}

// listWithin lists within a listing, so many deep.
func (w *world) listWithin(depth int) {
	w.Helper()
	_, err := w.store.Rules(w.Context(), 0, func(*tms.Rule) error {
		if depth > 0 {
			w.listWithin(depth - 1)
		}
		return nil
	})
	w.must(err)
}
