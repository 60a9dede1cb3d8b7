package migration

import (
	"slices"
	"time"

	"countersign/otp/oath"
)

// table finds the tokens of a group by the codes they show. Each of its numbers is a
// code, of 31 bits at most before it is cut to digits, and the place of the token in
// the group; sorted by the code. So a token takes eight bytes of a table.
type table struct {
	sorted []uint64
	recent []uint64 // not sorted in yet
	upto   int      // how many tokens of the group it has
}

// maxRecent is how many numbers are looked at one by one.
const maxRecent = 1024

func number(code uint64, place int) uint64 { return code<<32 | uint64(uint32(place)) }

// add adds numbers.
func (t *table) add(numbers ...uint64) { t.recent = append(t.recent, numbers...) }

// settle sorts in what was added.
func (t *table) settle() {
	slices.Sort(t.recent)
	t.sorted, t.recent = merge(t.sorted, t.recent), nil
}

// merge is two sorted lists in one.
func merge(a, b []uint64) []uint64 {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	both := make([]uint64, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0] <= b[0] {
			both, a = append(both, a[0]), a[1:]
		} else {
			both, b = append(both, b[0]), b[1:]
		}
	}
	return append(append(both, a...), b...)
}

// each calls found with the places of the tokens that show a code.
func (t *table) each(code uint64, found func(place int)) {
	at, _ := slices.BinarySearch(t.sorted, code<<32)
	for ; at < len(t.sorted) && t.sorted[at]>>32 == code; at++ {
		found(int(uint32(t.sorted[at])))
	}
	for _, n := range t.recent {
		if n>>32 == code {
			found(int(uint32(n)))
		}
	}
}

// group are the tokens whose codes change together: those of a period, T0 and number of
// digits, or all event tokens of a number of digits.
type group struct {
	groupKey
	entries []*entry         // new ones come at the end, and none goes
	tables  map[int64]*table // by time step of the server; event tokens have one, of step 0
}

type groupKey struct {
	clock  bool
	period uint32
	t0     int64
	digits uint8
}

// steps are the first and the last time step of which a login at an instant needs a
// table. For a token whose clock is known to be wrong by no more than the window it may
// be twice the window away.
func (g *group) steps(at time.Time, window int) (from, to int64) {
	now := oath.TimeStep(at, g.t0, g.period)
	return max(0, now-2*int64(window)), now + 2*int64(window)
}

// compute makes the numbers of tokens at a time step of the server, sorted.
func compute(entries []*entry, step int64, place int) []uint64 {
	var gen oath.Generator
	numbers := make([]uint64, 0, len(entries))
	for i, e := range entries {
		gen.Init(e.Algorithm, e.Seed.Bytes())
		factor := max(0, step+e.shift)
		numbers = append(numbers, number(gen.Code(uint64(factor), int(e.Digits)), place+i))
	}
	slices.Sort(numbers)
	return numbers
}

// prune drops the tables that no login will need. A few more stay, for logins that took
// a while to come here.
func (g *group) prune(from, to int64) {
	for step := range g.tables {
		if step < from-2 || step > to+2 {
			delete(g.tables, step)
		}
	}
}
