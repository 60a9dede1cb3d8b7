package embedded

import (
	"slices"
	"sync"
	"sync/atomic"

	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// overlay holds the latest states of tokens that are in the journal but neither
// in table state nor in the cache: replayed at the start, or dropped from the
// cache before they were folded.
//
// Time is counted in epochs, one a fold. An account is marked with the epoch it
// changed in; a fold writes all changes of the epochs up to its own, and when the
// last of them is durable, folded moves on. So an account is clean when its epoch
// is not above folded.
type overlay struct {
	epoch  atomic.Uint32 // of the changes made now
	folded atomic.Uint32 // all changes of epochs up to this one are in table state

	mu         sync.Mutex
	current    map[int64]store.Change // by token id
	folding    map[int64]store.Change // what the fold that is under way writes
	collecting bool                   // the fold has not taken all of it yet
}

// reset forgets everything, and makes all that was read before look old.
func (o *overlay) reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.current, o.folding, o.collecting = map[int64]store.Change{}, nil, false
	o.folded.Store(o.epoch.Add(1) - 1)
}

// put keeps the states of an account that leaves the cache. While a fold collects
// they go to it, because it may not have come to the account's shard yet.
func (o *overlay) put(p *tables.Account) {
	o.mu.Lock()
	defer o.mu.Unlock()
	into := o.current
	if o.collecting {
		into = o.folding
	}
	p.Each(func(c store.Change) {
		if c.Rev > into[c.Token].Rev {
			into[c.Token] = c
		}
	})
}

// replay keeps a change found in the journal.
func (o *overlay) replay(c store.Change) {
	if c.Rev > o.current[c.Token].Rev {
		o.current[c.Token] = c
	}
}

// latest brings a token read from the tables up to date. The caller holds mu.
func (o *overlay) latest(t *tables.TokenRow) {
	for _, changes := range [...]map[int64]store.Change{o.folding, o.current} {
		if c := changes[t.ID]; c.Rev > t.Rev {
			t.Rev, t.State = c.Rev, c.State
		}
	}
}

// update brings the tokens of a user up to date that were read when folded had
// this value. It reports false if a fold has ended since: the rows may be older
// than what it wrote, and the overlay has forgotten that.
func (o *overlay) update(u *tables.UserRow, folded uint32) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.folded.Load() != folded {
		return false
	}
	for i := range u.Tokens {
		o.latest(&u.Tokens[i])
	}
	return true
}

// begin starts a fold and returns the epoch to be folded. What changes from now
// on belongs to the next.
func (o *overlay) begin() (epoch uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for id, c := range o.folding { // of a fold that was given up
		if c.Rev > o.current[id].Rev {
			o.current[id] = c
		}
	}
	o.folding, o.current = o.current, map[int64]store.Change{}
	o.collecting = true
	return o.epoch.Add(1) - 1
}

// collect appends what the fold has to write. It comes after the shards.
func (o *overlay) collect(changes []store.Change) []store.Change {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.collecting = false
	changes = slices.Grow(changes, len(o.folding))
	for _, c := range o.folding {
		changes = append(changes, c)
	}
	return changes
}

// end says that the epoch is folded.
func (o *overlay) end(epoch uint32) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.folding = nil
	o.folded.Store(epoch)
}
