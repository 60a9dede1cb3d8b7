package enrol

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// peopleInGroups are people whose directory tells which groups there are.
type peopleInGroups struct {
	*people
	mu     sync.Mutex
	groups []string
	fault  error
	asked  int
}

func (p *peopleInGroups) set(fault error, groups ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.groups = fault, groups
}

func (p *peopleInGroups) GroupExists(_ context.Context, group string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	return slices.Contains(p.groups, group), p.fault
}

// A group that no directory has, or of which nobody knows, takes nobody's token.
func TestEntitlementByAGroupThatIsNotThere(t *testing.T) {
	inKit(t, func(k *kit) {
		k.holder("alice")
		k.people.add("carol", "carol@example.com", "staff")
		k.holder("carol")
		groups := &peopleInGroups{people: k.people}
		k.Users = groups
		k.settings.Groups, k.settings.Grace = []string{"others", "stuff"}, 3*time.Hour
		groups.set(nil, "others", "staff")
		defer k.census(k.Enrolment)()
		nothing := func(about string) {
			t.Helper()
			if k.usable("alice") != 1 || k.usable("carol") != 1 || k.count("alice", "user.entitled")+k.count("carol", "user.entitled") != 0 {
				t.Errorf("%s: %q %q", about, k.acts("alice"), k.acts("carol"))
			}
		}
		k.after(5 * time.Hour)
		nothing("a group is misspelt")
		const warning = "a group of enrol.groups is not found"
		if n := strings.Count(k.log.String(), warning); n != 1 || !strings.Contains(k.log.String(), "group=stuff") {
			t.Errorf("%d warnings, want 1:\n%s", n, k.log)
		}
		if groups.asked > 2*6 {
			t.Errorf("asked %d times for groups in about 5 censuses", groups.asked)
		}
		groups.set(errors.New("no server answers"), "others", "stuff")
		k.after(5 * time.Hour)
		nothing("the directory does not answer")
		if n := strings.Count(k.log.String(), warning); n != 2 {
			t.Errorf("%d warnings, want 2:\n%s", n, k.log)
		}

		groups.set(nil, "others", "stuff")
		k.people.add("carol", "carol@example.com", "stuff")
		k.after(90 * time.Minute)
		if k.count("alice", "user.entitled") != 1 || k.count("carol", "user.entitled") != 0 {
			t.Errorf("%q %q", k.acts("alice"), k.acts("carol"))
		}
		// The group is renamed within the grace time.
		groups.set(nil, "others")
		k.after(5 * time.Hour)
		if k.usable("alice") != 1 || k.metric("unentitled_users", "") != 1 {
			t.Errorf("revoked while a group was missing: %q", k.acts("alice"))
		}
		if n := strings.Count(k.log.String(), warning); n != 3 {
			t.Errorf("%d warnings, want 3:\n%s", n, k.log)
		}
		groups.set(nil, "others", "stuff")
		k.after(90 * time.Minute)
		if k.usable("alice") != 0 || k.usable("carol") != 1 {
			t.Error("the grace time is over, and the groups are there")
		}
	})
}
