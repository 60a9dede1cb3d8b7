package exclusions

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"slices"
)

// point is an address as a number of 128 bits: an IPv6 address, an IPv4 address
// in its IPv4-mapped form (RFC 4291 section 2.5.5.2), or a MAC.
type point struct{ hi, lo uint64 }

// The points of IPv4.
var (
	firstIPv4 = point{0, 0xffff_0000_0000}
	lastIPv4  = point{0, 0xffff_ffff_ffff}
)

func addressPoint(a netip.Addr) point {
	octets := a.As16()
	return point{binary.BigEndian.Uint64(octets[:8]), binary.BigEndian.Uint64(octets[8:])}
}

func macPoint(m MAC) point { return point{0, uint64(m)} }

// below is 1 if p is before q, and 0 otherwise. It has no branch to mispredict.
func (p point) below(q point) uint64 {
	_, borrow := bits.Sub64(p.lo, q.lo, 0)
	_, borrow = bits.Sub64(p.hi, q.hi, borrow)
	return borrow
}

func (p point) compare(q point) int { return int(q.below(p)) - int(p.below(q)) }

// next is the point after p; there is none after the last.
func (p point) next() (point, bool) {
	lo, carry := bits.Add64(p.lo, 1, 0)
	hi, carry := bits.Add64(p.hi, 0, carry)
	return point{hi, lo}, carry == 0
}

// previous is the point before p, which is not the first.
func (p point) previous() point { return p.minus(point{0, 1}) }

// minus is the distance from q to p, which is not before it.
func (p point) minus(q point) point {
	lo, borrow := bits.Sub64(p.lo, q.lo, 0)
	return point{p.hi - q.hi - borrow, lo}
}

// bits is how many bits p has without leading zeros.
func (p point) bits() int {
	if p.hi != 0 {
		return 64 + bits.Len64(p.hi)
	}
	return bits.Len64(p.lo)
}

// shift is p without its last n bits; more than 64 must not be left.
func (p point) shift(n uint8) uint64 {
	if n >= 64 {
		return p.hi >> (n - 64)
	}
	return p.lo>>n | p.hi<<(64-n)
}

// countUpTo is how many of the sorted points are not behind p.
func countUpTo(points []point, p point) int {
	from, n := 0, len(points)
	for n > 1 {
		half := n / 2
		from += half & (int(p.below(points[from+half])) - 1)
		n -= half
	}
	if n == 1 {
		from += 1 - int(p.below(points[from]))
	}
	return from
}

// span is the points from first to last.
type span struct{ first, last point }

// merge sorts spans and joins those that overlap or touch.
func merge(spans []span) []span {
	slices.SortFunc(spans, func(a, b span) int { return a.first.compare(b.first) })
	merged := spans[:0]
	for _, s := range spans {
		if n := len(merged); n > 0 && touches(merged[n-1], s) {
			if merged[n-1].last.compare(s.last) < 0 {
				merged[n-1].last = s.last
			}
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// touches reports whether b, which does not begin before a, begins in it or
// right behind it.
func touches(a, b span) bool {
	next, ok := a.last.next()
	return !ok || b.first.compare(next) <= 0
}

// holds reports whether one of the merged spans holds p.
func holds(spans []span, p point) bool {
	before, n := 0, len(spans)
	for before < n {
		if middle := (before + n) / 2; p.below(spans[middle].first) == 1 {
			n = middle
		} else {
			before = middle + 1
		}
	}
	return before > 0 && spans[before-1].last.below(p) == 0
}

// addressSpans is the addresses from first to last, both of one family. IPv6
// leaves out the points of IPv4.
func addressSpans(first, last netip.Addr) []span {
	s := span{addressPoint(first), addressPoint(last)}
	if first.Is4() || s.last.below(firstIPv4) == 1 || lastIPv4.below(s.first) == 1 {
		return []span{s}
	}
	behind, _ := lastIPv4.next()
	return []span{{s.first, firstIPv4.previous()}, {behind, s.last}}
}
