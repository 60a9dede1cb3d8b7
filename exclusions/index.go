package exclusions

import (
	"slices"
	"time"
)

// index finds the rules that a login could meet. Each rule is in it under the
// values of one of its criteria, its key.
type index struct {
	words  [kindCount]map[string]bucket // users, realms, NASes and NAS-Identifiers
	groups groupTable
	spans  [kindCount]spanTree // addresses and MACs
	always bucket              // the entries without a key
}

// entry is a rule in an index. Entries are small, because logins touch them at
// random; a rule has one for each of its values.
type entry struct {
	rule int32 // its index in the list
	rest *rest // nil when the rule is met as soon as its key is
}

// rest is what is left to judge of a rule once its key is known to be met.
type rest struct {
	expires  time.Time // zero: never
	criteria []*criterion
}

// bucket is entries in the order of their rules.
type bucket []entry

// keyKinds are the kinds that can be a key, the cheapest to look up first and Groups
// last.
var keyKinds = [...]Kind{Users, ClientMACs, ClientIPs, NASAddresses, NASIPAddresses, NASIdentifiers, NASes, Realms, Groups}

// newIndex files these rules under criteria of these kinds. It returns also those
// that are filed under groups.
func newIndex(rules []*rule, kinds []Kind) (x *index, grouped []*rule) {
	b := builder{index: &index{}, counts: countValues(rules), kinds: kinds}
	for _, r := range rules {
		if b.file(r) == Groups {
			grouped = append(grouped, r)
		}
	}
	for kind := range b.spans {
		b.spans[kind] = newSpanTree(b.filed[kind])
	}
	b.groups = newGroupTable(b.words[Groups])
	b.words[Groups] = nil
	return b.index, grouped
}

// builder makes an index.
type builder struct {
	*index
	counts census
	kinds  []Kind
	filed  [kindCount][]filedSpan
}

// filedSpan is a span under which an entry is found.
type filedSpan struct {
	span
	entry entry
}

// file puts a rule under its key and returns the kind of that, kindCount for none.
func (b *builder) file(r *rule) Kind {
	key := b.key(r)
	e := entry{r.index, restOf(r, key)}
	if key < 0 {
		b.always = append(b.always, e)
		return kindCount
	}
	c := &r.criteria[key]
	for _, w := range c.words {
		put(&b.words[c.Kind], w.folded, e)
	}
	for _, s := range c.spans {
		b.filed[c.Kind] = append(b.filed[c.Kind], filedSpan{s, e})
	}
	return c.Kind
}

// restOf is what is left of a rule without the criterion that is its key.
func restOf(r *rule, key int) *rest {
	left := &rest{expires: r.expires}
	for i := range r.criteria {
		if i != key {
			left.criteria = append(left.criteria, &r.criteria[i])
		}
	}
	if left.expires.IsZero() && left.criteria == nil {
		return nil
	}
	return left
}

func put(buckets *map[string]bucket, word string, e entry) {
	if *buckets == nil {
		*buckets = map[string]bucket{}
	}
	(*buckets)[word] = append((*buckets)[word], e)
}

// key chooses the criterion under which a rule is filed: the one whose values the
// fewest rules share. It returns -1 when there is none.
func (b *builder) key(r *rule) int {
	key, least := -1, 0
	for _, kind := range b.kinds {
		for i := range r.criteria {
			c := &r.criteria[i]
			if c.Kind != kind || c.Not {
				continue
			}
			if shared := b.counts.sharing(c); key < 0 || shared < least {
				key, least = i, shared
			}
		}
	}
	return key
}

// census counts how many rules have a value.
type census struct {
	words         [kindCount]map[string]int
	firsts, lasts [kindCount][]point // of all spans, sorted
}

func countValues(rules []*rule) census {
	var c census
	for kind := range c.words {
		c.words[kind] = map[string]int{}
	}
	for _, r := range rules {
		for i := range r.criteria {
			if criterion := &r.criteria[i]; !criterion.Not {
				c.count(criterion)
			}
		}
	}
	for kind := range c.firsts {
		slices.SortFunc(c.firsts[kind], point.compare)
		slices.SortFunc(c.lasts[kind], point.compare)
	}
	return c
}

func (c *census) count(of *criterion) {
	for _, w := range of.words {
		c.words[of.Kind][w.folded]++
	}
	for _, s := range of.spans {
		c.firsts[of.Kind] = append(c.firsts[of.Kind], s.first)
		c.lasts[of.Kind] = append(c.lasts[of.Kind], s.last)
	}
}

// sharing is how many rules have the most shared value of a criterion. Of a span
// it counts those that hold its first point: where most spans overlap, one
// begins, so that no point is in more than n of the spans that count n or fewer.
func (c *census) sharing(of *criterion) int {
	most := 0
	for _, w := range of.words {
		most = max(most, c.words[of.Kind][w.folded])
	}
	firsts, lasts := c.firsts[of.Kind], c.lasts[of.Kind]
	for _, s := range of.spans {
		ended, _ := slices.BinarySearchFunc(lasts, s.first, point.compare)
		most = max(most, countUpTo(firsts, s.first)-ended)
	}
	return most
}
