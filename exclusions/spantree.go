package exclusions

import (
	"math/bits"
	"slices"
)

// spanTree finds the entries whose spans hold a point. The first points of spans
// and the points behind their last cut the line into pieces; a segment tree over
// the pieces has each span in at most two nodes of a level. Nodes without
// entries are skipped, so that a look-up finds the piece and then visits only
// nodes that have something.
type spanTree struct {
	cuts    *ruler     // piece i is from its mark i up to before the next
	pieces  []spanNode // the lowest node over each piece
	nodes   []spanNode // the first is none
	entries bucket     // of all nodes
}

// spanNode is a node that has entries: all of them hold all its pieces. The zero
// spanNode is none.
type spanNode struct {
	from, to int32 // its part of the tree's entries
	up       int32 // the next node above
}

// newSpanTree makes the tree of spans in the order of their entries.
func newSpanTree(filed []filedSpan) spanTree {
	if len(filed) == 0 {
		return spanTree{}
	}
	t := spanTree{cuts: newRuler(cutsOf(filed))}
	pieces := t.cuts.n
	leaves := 1 << bits.Len(uint(pieces-1)) // node n has the children 2n and 2n+1
	buckets := make([]bucket, 2*leaves)
	for _, f := range filed {
		from, to := t.piece(f.first), pieces
		if behind, ok := f.last.next(); ok {
			to = t.piece(behind)
		}
		for l, r := from+leaves, to+leaves; l < r; l, r = l/2, r/2 {
			if l%2 == 1 {
				buckets[l] = append(buckets[l], f.entry)
				l++
			}
			if r%2 == 1 {
				r--
				buckets[r] = append(buckets[r], f.entry)
			}
		}
	}
	t.link(buckets, leaves)
	return t
}

// cutsOf returns where pieces begin.
func cutsOf(filed []filedSpan) []point {
	cuts := make([]point, 0, 2*len(filed))
	for _, f := range filed {
		cuts = append(cuts, f.first)
		if behind, ok := f.last.next(); ok {
			cuts = append(cuts, behind)
		}
	}
	slices.SortFunc(cuts, point.compare)
	return slices.Compact(cuts)
}

// link makes nodes of the buckets that have entries.
func (t *spanTree) link(buckets []bucket, leaves int) {
	lowest := make([]int32, 2*leaves) // the number of the lowest node at or above each
	t.nodes = make([]spanNode, 1)
	for n := 1; n < len(buckets); n++ {
		lowest[n] = lowest[n/2]
		if len(buckets[n]) > 0 {
			lowest[n] = int32(len(t.nodes))
			from := int32(len(t.entries))
			t.entries = append(t.entries, buckets[n]...)
			t.nodes = append(t.nodes, spanNode{from, int32(len(t.entries)), lowest[n/2]})
		}
	}
	t.pieces = make([]spanNode, t.cuts.n)
	for i := range t.pieces {
		t.pieces[i] = t.nodes[lowest[leaves+i]]
	}
}

// piece is the number of the piece that holds p, -1 before the first.
func (t *spanTree) piece(p point) int { return t.cuts.countUpTo(p) - 1 }

func (t *spanTree) empty() bool { return t.cuts == nil }

// find returns the lowest node over a point; next leads to the others. The tree
// is not empty.
func (t *spanTree) find(p point) spanNode {
	piece := t.piece(p)
	if piece < 0 {
		return spanNode{}
	}
	return t.pieces[piece]
}

// next returns the entries of a node and the next node above it.
func (t *spanTree) next(n spanNode) (bucket, spanNode) {
	return t.entries[n.from:n.to], t.nodes[n.up]
}
