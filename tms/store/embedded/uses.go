package embedded

import (
	"maps"
	"slices"
	"sync"
	"time"

	"countersign/tms"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// uses counts the logins that rules decided and that table rule_use does not
// count yet. A commit adds those of its batch, a fold moves them to the table.
// Each row there says up to which batch it counts, so after a crash the journal
// tells what is missing, whatever part of a fold was done.
type uses struct {
	mu     sync.Mutex
	counts map[uint64]useCount // by id of the rule
	// moved rises when counts have gone to the table, and moving is set while they
	// are in both places. Who has read the table outside of the lock reads it again
	// if one of them says so.
	moved  uint64
	moving bool
}

type useCount struct {
	count uint64
	last  int64 // Unix seconds
}

// reset forgets everything.
func (u *uses) reset() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.counts = map[uint64]useCount{}
	u.moved++
	u.moving = false
}

// add counts uses that have become durable.
func (u *uses) add(added []store.Use) {
	if len(added) == 0 {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, use := range added {
		c := u.counts[use.Rule]
		u.counts[use.Rule] = useCount{c.count + 1, max(c.last, use.At)}
	}
}

// ids are the rules whose counts are to be moved.
func (u *uses) ids() []uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.Sorted(maps.Keys(u.counts))
}

// begin is called before counts are written to the table.
func (u *uses) begin() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.moving = true
}

// take ends what begin began: it removes the counts of the rules that the table
// has now.
func (u *uses) take(ids []uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, id := range ids {
		delete(u.counts, id)
	}
	u.moved++
	u.moving = false
}

// get is what is to be added to the count in the table.
func (u *uses) get(id uint64) useCount {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.counts[id]
}

// Generation implements tables.Uses: it is moved.
func (u *uses) Generation() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.moved
}

// UpdateUses implements tables.Uses. It reports false if counts have been moved since, or just are: the rows may lack
// them, or have them already.
func (u *uses) UpdateUses(rules []tms.Rule, generation uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.moving || u.moved != generation {
		return false
	}
	for i := range rules {
		u.counts[rules[i].ID].addTo(&rules[i].Use)
	}
	return true
}

// addTo adds what the table does not count yet.
func (c useCount) addTo(use *tms.RuleUse) {
	if c.count == 0 {
		return
	}
	use.Count += c.count
	if last := time.Unix(c.last, 0); last.After(use.Last) {
		use.Last = last
	}
}

const useColumns = 4

// useStatement adds to the counts of so many rules: id, batch, count, last of each.
func useStatement(rows int) string {
	return "INSERT INTO rule_use (id, batch, count, last) VALUES " + tables.Placeholders(useColumns, rows) +
		" ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, count = rule_use.count + excluded.count, last = max(rule_use.last, excluded.last)"
}

// writeUses moves the counts of these rules to the table, in one transaction. They
// count all that is committed.
func (s *Store) writeUses(ids []uint64) error {
	s.uses.begin()
	err := s.transaction(func(w *conn) error {
		in := tables.NewInserter(w, useStatement, useColumns)
		for _, id := range ids {
			c := s.uses.get(id)
			if err := in.Add(append(in.Args, int64(id), int64(s.committer.Batch), int64(c.count), c.last)); err != nil {
				return err
			}
		}
		s.wal.grew(1 + len(ids)/100)
		return in.Flush()
	})
	if err != nil {
		ids = nil
	}
	s.uses.take(ids)
	return err
}

// countedUses returns, by rule, up to which batch the table counts, where that is
// after the mark up to which the journal is folded.
func countedUses(c *conn, folded int64) (map[uint64]int64, error) {
	counted := map[uint64]int64{}
	err := c.Query("SELECT id, batch FROM rule_use WHERE batch > ?", func(r tables.Row) error {
		counted[uint64(r.Integer(0))] = r.Integer(1)
		return nil
	}, folded)
	return counted, err
}
