package exclusions

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestKeys: of its criteria a rule is filed under the one that is shared least.
func TestKeys(t *testing.T) {
	office := with(ClientIPs, "192.0.2.0/24")
	rules := [][]Criterion{
		{without(Users, "x"), with(Times, "daily")},
		{with(Groups, "alone"), with(Realms, "example.org"), office},
		{with(Users, "u"), with(Realms, "example.org")},
	}
	for i := range 20 {
		rules = append(rules, []Criterion{office, with(Groups, "shared"), with(Users, "shared", fmt.Sprint("user", i)), with(NASIdentifiers, fmt.Sprint(i))})
	}
	l := list(t, rules...)
	if got := l.index.always; len(got) != 1 || got[0].rule != 0 {
		t.Errorf("always %v", got)
	}
	if got := l.index.groups.names; !slices.Equal(got, []string{"alone"}) {
		t.Errorf("filed under groups %v", got)
	}
	if got := l.index.words[NASIdentifiers]; len(got) != 20 || len(l.index.words[Users]) != 1 {
		t.Errorf("filed under NAS-Identifiers %v", got)
	}
	if got := l.doubtful.spans[ClientIPs].entries; len(got) != 1 || got[0].rule != 1 {
		t.Errorf("doubtful %+v", got)
	}
}

// TestDecideLooksAtFewRules: 10,000 rules that cannot match are not looked at,
// whatever they share.
func TestDecideLooksAtFewRules(t *testing.T) {
	for _, s := range append(slices.Clone(shapes), shape{name: "mixed", rule: mixed}) {
		l := listWith(t, Options{}, makeRules(10_000, s.rule)...)
		if n := len(l.index.always); n != 0 {
			t.Errorf("%s: %d rules are always looked at", s.name, n)
		}
		x := l.index
		for kind := range kindCount {
			checkBuckets(t, s.name, x.words[kind])
			checkPieces(t, s.name, &x.spans[kind])
		}
		checkBuckets(t, s.name, x.groups.buckets)
	}
}

func checkPieces(t *testing.T, name string, tree *spanTree) {
	t.Helper()
	if tree.empty() {
		return
	}
	for _, mark := range tree.cuts.marks[:tree.cuts.n] {
		if n := len(spansAt(tree, mark)); n > 1 {
			t.Errorf("%s: %d rules under %v", name, n, mark)
		}
	}
}

func checkBuckets(t *testing.T, name string, buckets map[string]bucket) {
	t.Helper()
	for key, entries := range buckets {
		if len(entries) > 1 {
			t.Errorf("%s: %d rules under %v", name, len(entries), key)
		}
	}
}

// spansAt are the rules found at a point, in order.
func spansAt(tree *spanTree, p point) []int32 {
	var rules []int32
	if tree.empty() {
		return nil
	}
	for node := tree.find(p); node != (spanNode{}); {
		var found bucket
		found, node = tree.next(node)
		for _, e := range found {
			rules = append(rules, e.rule)
		}
	}
	slices.Sort(rules)
	return rules
}

// TestSpanTree compares the tree with a look at every span, and its size with
// what a segment tree may have when all spans overlap.
func TestSpanTree(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 2))
	last := point{^uint64(0), ^uint64(0)}
	for _, n := range []int{0, 1, 2, 3, 10, 100, 1000} {
		for _, width := range []uint64{1, 10, 1 << 20, 1 << 62} {
			filed := make([]filedSpan, n)
			for i := range filed {
				from := point{d.Uint64N(2), d.Uint64N(1 << 62)}
				filed[i] = filedSpan{span{from, point{from.hi, from.lo + d.Uint64N(width)}}, entry{rule: int32(i)}}
				if d.IntN(20) == 0 {
					filed[i].last = last
				}
			}
			tree := newSpanTree(filed)
			checkSpanTree(t, &tree, filed, []point{{}, last, {d.Uint64N(2), d.Uint64N(1 << 62)}})
		}
	}
}

func checkSpanTree(t *testing.T, tree *spanTree, filed []filedSpan, points []point) {
	t.Helper()
	for _, f := range filed[:min(len(filed), 100)] {
		points = append(points, f.first, f.last, f.first.previous())
		if next, ok := f.last.next(); ok {
			points = append(points, next)
		}
	}
	for _, p := range points {
		var want []int32
		for _, f := range filed {
			if holds([]span{f.span}, p) {
				want = append(want, f.entry.rule)
			}
		}
		if got := spansAt(tree, p); !slices.Equal(got, want) {
			t.Fatalf("%d spans: at %x are %v, want %v", len(filed), p, got, want)
		}
	}
	size := len(tree.entries)
	if most := 2 * len(filed) * (bits.Len(uint(len(filed))) + 1); size > most {
		t.Errorf("%d spans are in %d nodes, which is more than %d", len(filed), size, most)
	}
}

// TestRuler compares the ruler with a count of every mark, for marks that are
// spread evenly, in clusters and ever closer together.
func TestRuler(t *testing.T) {
	d := rand.New(rand.NewPCG(1, 2))
	spreads := map[string]func(i int) point{
		"even":     func(i int) point { return point{0, uint64(i) * 997} },
		"random":   func(int) point { return point{d.Uint64(), d.Uint64()} },
		"close":    func(i int) point { return point{0, uint64(i)} },
		"clusters": func(i int) point { return point{uint64(i%5) << 40, uint64(i%7)<<48 + uint64(i)*3} },
		"powers":   func(i int) point { return point{1 << (i % 64), 1 << (i / 64 % 64)} },
		"around":   func(i int) point { return point{uint64(i % 2), ^uint64(0) - uint64(i)} },
		"ends":     func(i int) point { return point{-uint64(i % 2), -uint64(i%3) / 2} },
	}
	for name, spread := range spreads {
		for _, n := range []int{1, 2, 8, 9, 100, 3000} {
			marks := []point{}
			for i := range n {
				marks = append(marks, spread(i))
			}
			slices.SortFunc(marks, point.compare)
			marks = slices.Compact(marks)
			checkRuler(t, name, marks)
		}
	}
}

func checkRuler(t *testing.T, name string, marks []point) {
	t.Helper()
	r := newRuler(slices.Clone(marks))
	check := func(p point, want int) {
		if got := r.countUpTo(p); got != want {
			t.Errorf("%s: of %d marks %d are up to %x, want %d", name, len(marks), got, p, want)
		}
	}
	for i, mark := range marks {
		check(mark, i+1)
		if mark != (point{}) {
			check(mark.previous(), i)
		}
	}
	check(point{^uint64(0), ^uint64(0)}, len(marks))
	if most := 16*len(marks) + 2; len(r.slots) > most {
		t.Errorf("%s: %d slots for %d marks, more than %d", name, len(r.slots), len(marks), most)
	}
}

func TestSieveLosesNothing(t *testing.T) {
	for _, n := range []int{0, 1, 10, 3000} {
		texts := make([]string, n)
		for i := range texts {
			texts[i] = []string{fmt.Sprint(i), benchGroup(i), "cn=a common beginning that is long, " + fmt.Sprint(i)}[i%3]
		}
		s := newSieve(texts)
		for _, text := range texts {
			if s.next([]string{text}) != 0 {
				t.Errorf("of %d texts %q is lost", n, text)
			}
		}
		strangers := 0
		for i := range 1000 {
			if s.next([]string{fmt.Sprintf("cn=project %d,ou=groups,dc=example,dc=org", i)}) == 0 {
				strangers++
			}
		}
		if strangers > 200 {
			t.Errorf("of %d texts %d strangers pass of 1000", n, strangers)
		}
	}
}
