//go:build !race

package exclusions

import (
	"net/netip"
	"slices"
	"testing"
)

// The race detector allocates by itself, so this is tested without it.

func TestLoginsDoNotAllocate(t *testing.T) {
	login := fullLogin()
	for i := range 30 {
		login.Groups = append(login.Groups, benchGroup(i))
	}
	slices.Sort(login.Groups)
	doubtful := *login
	doubtful.GroupsUnknown = true
	var criteria [][]Criterion
	for _, c := range told {
		criteria = append(criteria, []Criterion{with(c.kind, c.value), without(c.kind, c.other)})
		criteria = append(criteria, []Criterion{with(c.kind, c.other, c.value), with(Times, "Mon-Fri 08:00-18:00 Europe/Berlin")})
		criteria = append(criteria, []Criterion{with(c.kind, c.other)})
	}
	few := list(t, criteria...)
	many := listWith(t, Options{}, makeRules(5000, func(i int) []Criterion {
		if i < len(criteria) {
			return criteria[i]
		}
		return mixed(i)
	})...)
	matches, groups, encoded := make([]int, 0, 100), make([]string, 0, 100), make([]byte, 0, 4096)
	trace := fullTrace()
	for name, f := range map[string]func(){
		"Decide": func() { few.Decide(login); few.Decide(&doubtful); many.Decide(login); many.Decide(&doubtful) },
		"Matches": func() {
			few.Matches(matches, login)
			few.Matches(matches, &doubtful)
			many.Matches(matches, login)
			many.Matches(matches, &doubtful)
		},
		"NamedGroups": func() { few.NamedGroups(groups, login.Groups); many.NamedGroups(groups, login.Groups) },
		"Append":      func() { trace.Append(encoded) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if found, _ := many.Matches(matches, login); len(found) < len(told) {
		t.Errorf("only %d rules were met", len(found))
	}
}

func TestParsingClientsDoesNotAllocate(t *testing.T) {
	texts := make([][]byte, len(clients))
	for i := range clients {
		texts[i] = []byte(clients[i].text)
	}
	var m MAC
	var a netip.Addr
	allocs := testing.AllocsPerRun(100, func() {
		for _, text := range texts {
			m, _ = ParseMAC(text)
			a, _ = ParseClientIP(text)
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations; the last were %v, %v", allocs, m, a)
	}
}
