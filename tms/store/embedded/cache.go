package embedded

import (
	"hash/maphash"
	"sync"
	"sync/atomic"

	"countersign/otp"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// shardCount is how many parts the cache has. An account is decided under the
// lock of its part.
const shardCount = 256

// cache holds the accounts of users who logged in, or may.
type cache struct {
	seed   maphash.Seed
	limit  int64
	users  atomic.Int64 // accounts in all shards
	shards [shardCount]shard
}

type shard struct {
	mu       sync.Mutex
	accounts map[string]*tables.Account // by name, which is a view of the account
	// generation rises when an account leaves. Who has read rows outside of the
	// lock puts an account in only if none has left since: it may have been
	// this one, and have changed before it left.
	generation uint64
	// changing is the user whose account must not be put in, because an
	// administrator's change is under way; changed is closed when it is over.
	changing string
	changed  chan struct{}

	account otp.Account // for Decide
	changes []store.Change
	record  []byte
}

func (c *cache) init(limit int) {
	c.seed = maphash.MakeSeed()
	c.limit = int64(limit)
	for i := range c.shards {
		c.shards[i].accounts = map[string]*tables.Account{}
	}
}

// shard is where a user's account belongs.
func (c *cache) shard(user []byte) *shard {
	return &c.shards[maphash.Bytes(c.seed, user)%shardCount]
}

// index is the number of that shard.
func (c *cache) index(user string) int { return int(maphash.String(c.seed, user) % shardCount) }

// put adds an account under the lock of its shard, and makes room for it.
func (s *Store) put(sh *shard, p *tables.Account) {
	if s.cache.users.Load() >= s.cache.limit {
		for name := range sh.accounts { // any
			s.drop(sh, name)
			break
		}
	}
	sh.accounts[p.Name()] = p
	s.cache.users.Add(1)
}

// drop takes an account out of the cache under the lock of its shard. States not
// folded yet go to the overlay.
func (s *Store) drop(sh *shard, name string) {
	p := sh.accounts[name]
	sh.generation++ // even if it is not there: its rows may just be on the way
	if p == nil {
		return
	}
	delete(sh.accounts, name)
	s.cache.users.Add(-1)
	if p.Epoch() > s.overlay.folded.Load() {
		s.overlay.put(p)
	}
}

// clear empties the cache for good: nothing goes to the overlay.
func (c *cache) clear() {
	for i := range c.shards {
		sh := &c.shards[i]
		sh.mu.Lock()
		c.users.Add(-int64(len(sh.accounts)))
		sh.accounts = map[string]*tables.Account{}
		sh.generation++
		sh.mu.Unlock()
	}
}
