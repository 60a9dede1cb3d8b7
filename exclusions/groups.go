package exclusions

import (
	"iter"
	"maps"
	"slices"
)

// groupTable finds entries by group.
type groupTable struct {
	names   []string // sorted
	sieve   sieve
	buckets map[string]bucket
}

func newGroupTable(buckets map[string]bucket) groupTable {
	names := slices.Sorted(maps.Keys(buckets))
	return groupTable{names, newSieve(names), buckets}
}

// sieveGain is how many groups can be sifted while one name is searched for.
const sieveGain = 6

// common goes through the names of the table that are among the groups, sorted
// as these are. It looks for what is fewer among the others.
func (t *groupTable) common(groups []string) iter.Seq2[string, bucket] {
	return func(yield func(string, bucket) bool) {
		if len(groups) > sieveGain*len(t.names) {
			for _, name := range t.names {
				if _, ok := slices.BinarySearch(groups, name); ok && !yield(name, t.buckets[name]) {
					return
				}
			}
			return
		}
		for i := t.sieve.next(groups); i < len(groups); i += 1 + t.sieve.next(groups[i+1:]) {
			if found, ok := t.buckets[groups[i]]; ok && !yield(groups[i], found) {
				return
			}
		}
	}
}
