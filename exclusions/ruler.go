package exclusions

import "math/bits"

// ruler finds where a point is among its marks. It divides the line from the
// first to the last mark into about as many slots of equal width as there are
// marks, so that a slot has few of them however many there are in all. One that
// has many is a stretch of its own, divided in the same way. So a look-up costs
// the same for ten marks and for ten thousand, where these are spread evenly or in
// clusters, as addresses are.
type ruler struct {
	n         int       // how many marks there are, one at least
	marks     []point   // sorted, and fewMarks of the last point behind them
	stretches []stretch // the first is the whole line
	slots     []slot
}

// stretch is a part of the line with marks at its ends and its slots in a row.
type stretch struct {
	first, last   point
	before, marks int32 // how many marks are before it, and how many in it
	slots         int32 // its first slot
	width         uint8 // of a slot: 2^width points
}

type slot struct {
	before int32 // how many marks are before it
	finer  int32 // the stretch that it is, 0 when it has few marks
}

// fewMarks are so few that they are all compared, without a branch.
const fewMarks = 4

// newRuler makes the ruler of marks that are sorted and differ.
func newRuler(marks []point) *ruler {
	r := &ruler{n: len(marks), marks: marks}
	for range fewMarks {
		r.marks = append(r.marks, point{^uint64(0), ^uint64(0)})
	}
	r.divide(0, int32(r.n))
	return r
}

// divide adds the stretch of these marks and the finer ones in it, and returns its
// number.
func (r *ruler) divide(from, to int32) int32 {
	s := stretch{first: r.marks[from], last: r.marks[to-1], before: from, marks: to - from, slots: int32(len(r.slots))}
	length := s.last.minus(s.first)
	s.width = uint8(max(0, length.bits()-bits.Len32(uint32(s.marks))))
	number := int32(len(r.stretches))
	r.stretches = append(r.stretches, s)
	r.slots = append(r.slots, make([]slot, length.shift(s.width)+1)...)
	for i := int(s.slots); i <= int(s.slots)+int(length.shift(s.width)); i++ {
		before := from
		for from < to && s.slot(r.marks[from]) == i {
			from++
		}
		r.slots[i].before = before
		if from-before > fewMarks {
			r.slots[i].finer = r.divide(before, from)
		}
	}
	return number
}

// slot is the number of the slot of a point that is in the stretch.
func (s *stretch) slot(p point) int { return int(s.slots) + int(p.minus(s.first).shift(s.width)) }

// countUpTo is how many marks are not behind p.
func (r *ruler) countUpTo(p point) int {
	for number := int32(0); ; {
		s := &r.stretches[number]
		if p.below(s.first) == 1 {
			return int(s.before)
		}
		if p.below(s.last) == 0 {
			return int(s.before + s.marks)
		}
		found := r.slots[s.slot(p)]
		if number = found.finer; number != 0 {
			continue
		}
		count := int(found.before) + fewMarks // marks behind the slot are behind p
		for _, mark := range r.marks[found.before : found.before+fewMarks] {
			count -= int(p.below(mark))
		}
		return count
	}
}
