package storetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
)

// countedOnce expects that each rule's use is what the journal says, and that
// nothing of what was answered is missing.
func (w *world) countedOnce(answered map[uint64]uint64) {
	w.Helper()
	counts := map[uint64]uint64{}
	for _, e := range w.events(tms.Filter{}) {
		if e.Rule != 0 {
			counts[e.Rule]++
		}
	}
	_, rules := w.rules(0)
	for _, r := range rules {
		if r.Use.Count != counts[r.ID] || r.Use.Count < answered[r.ID] {
			w.Errorf("rule %q: %d uses are counted, the journal has %d, answered were %d", r.Name, r.Use.Count, counts[r.ID], answered[r.ID])
		}
	}
}

// uses expects how a rule was used.
func (w *world) uses(name string, want uint64, last time.Time) {
	w.Helper()
	if got := w.ruleNamed(name).Use; got.Count != want || !got.Last.Equal(last) {
		w.Errorf("rule %q was used %d times, at last at %v; want %d times, %v", name, got.Count, got.Last, want, last)
	}
}

func usesAreCounted(w *world) {
	w.setFileRules(rulesOf("file")...)
	w.setRule(rule("added"))
	w.setRule(rule("unused"))
	w.addUser("alice", hotp("T1"))
	at, total := noon, uint64(0)
	for range 3 {
		for n := range 10 {
			at = at.Add(time.Minute)
			a := excluded("alice", w.ruleNamed("file").ID)
			a.At = at
			w.verify(otp.Excluded, a)
			a = excluded("nobody", w.ruleNamed("added").ID)
			a.At = at.Add(-time.Duration(n) * time.Hour) // not in the order of time
			w.verify(otp.Excluded, a)
			total++
			w.uses("file", total, at)
		}
		w.uses("added", total, at.Add(-9*time.Minute))
		w.uses("unused", 0, time.Time{})
		w.reopen()
		for _, name := range []string{"file", "added"} { // at noon, which is before
			w.verify(otp.Excluded, excluded("alice", w.ruleNamed(name).ID))
		}
		total++
		w.reopen()
		w.uses("file", total, at)
		w.uses("added", total, at.Add(-9*time.Minute))
	}
	w.outstanding(asking("nobody", "")) // no use of anything
	w.expect(otp.Accepted, "alice", pin+code(hotp("T1"), 0))
	old := w.ruleNamed("added").ID
	w.setFileRules(rule("another"), rule("file"))
	w.uses("file", total, at)
	w.must(w.store.ChangeRule(w.Context(), "added", act("rule.set", "added"), func(r *tms.Rule) error {
		if r.Use.Count != total || r.ID != old {
			w.Errorf("the change of a rule sees %+v", r)
		}
		r.Reason, r.Use.Count = "changed", 99
		return nil
	}))
	w.uses("added", 0, time.Time{})
	w.verify(otp.Excluded, excluded("alice", old)) // decided before the change
	w.uses("added", 0, time.Time{})
	w.reopen()
	_, rules := w.rules(3)
	for _, r := range rules {
		if r.ID == old && r.Use.Count != total+1 {
			w.Errorf("the rule of before was used %d times, want %d", r.Use.Count, total+1)
		}
	}
}

// rulesAgainstLogins changes rules all the time, from two sides, while users log
// in by them. Every login counts for the rule it was decided by, every listing is
// of one revision, and a revision is always the same.
func rulesAgainstLogins(w *world) {
	const rounds, users = 60, 8
	w.setRule(rule("stays"))
	for i := range users {
		w.addUser(fmt.Sprint("user", i), hotp(fmt.Sprint("T", i)))
	}
	ctx, stop := context.WithCancel(w.Context())
	var changes, logins sync.WaitGroup
	var seen sync.Map // names of the rules, by revision
	for _, disturb := range []func(n int){w.changeAdded, w.changeFile, func(int) { w.listAgain(&seen, 0) }} {
		changes.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				disturb(n)
			}
		})
	}
	var stays atomic.Uint64
	for i := range users {
		logins.Go(func() { stays.Add(w.loginByRules(i, rounds)) })
	}
	logins.Wait()
	stop()
	changes.Wait()
	for range 2 {
		w.uses("stays", stays.Load(), noon)
		w.countedOnce(nil)
		seen.Range(func(revision, _ any) bool { w.listAgain(&seen, revision.(uint64)); return true })
		w.reopen()
	}
}

// changeAdded and changeFile change rules, each time in another way.
func (w *world) changeAdded(n int) {
	w.setRule(reasoned("added", fmt.Sprint(n)))
	if n%3 == 2 {
		w.removeRule("added")
	}
}

func (w *world) changeFile(n int) {
	var rules []exclusions.Rule
	for i := range 3 + n%3 {
		rules = append(rules, reasoned(fmt.Sprint("file", (i+n)%4, i), fmt.Sprint(n%2)))
	}
	w.setFileRules(rules...)
}

// listAgain expects that a revision has the rules that it had before.
func (w *world) listAgain(seen *sync.Map, revision uint64) {
	revision, rules := w.rules(revision)
	names := fmt.Sprint(namesOf(rules))
	if before, there := seen.LoadOrStore(revision, names); there && before != names {
		w.Errorf("revision %d had the rules %s and now has %s", revision, before, names)
	}
}

// loginByRules logs user i in by rule after rule, and by code. It returns how often
// it was by the rule that stays.
func (w *world) loginByRules(i, rounds int) (stays uint64) {
	name, token := fmt.Sprint("user", i), hotp(fmt.Sprint("T", i))
	for round := range rounds {
		_, rules := w.rules(0)
		for _, r := range []tms.Rule{rules[round%len(rules)], w.ruleNamed("stays")} {
			w.verify(otp.Excluded, excluded(name, r.ID))
			if r.Name == "stays" {
				stays++
			}
		}
		w.expect(otp.Accepted, name, pin+code(token, uint64(round)))
	}
	return stays
}
