package postgres

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"countersign/otp"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// shardCount is how many parts the cache has. An account is decided under the
// lock of its part.
const shardCount = 256

// cache holds the accounts of users who logged in, or may. Only users with tokens are
// there: what was decided by an account that is out of date loses in the database, by
// the row of its first token, and without a token there is no row.
type cache struct {
	seed   maphash.Seed
	limit  int64
	users  atomic.Int64 // accounts in all shards
	shards [shardCount]shard
}

type shard struct {
	mu       sync.Mutex
	accounts map[string]*cached // by name, which is a view of the account

	account otp.Account // for Decide
	decided decided
}

// cached is an account and what the next decision by it has to know. It changes under the
// lock of its shard.
type cached struct {
	account *tables.Account
	stamp   int64 // of the row of the first token, once all that was decided has won
	last    last
	// group and place say where its entry is, if that group is still filling.
	group uint64
	place int32
}

// last is the last login that was recorded for an account.
type last struct {
	key     otp.LoginKey
	verdict otp.Verdict
	at      time.Duration // by logins.now
}

// fill tells a decision about the last login.
func (l *last) fill(into *otp.LastLogin, now time.Duration) {
	if l.key == (otp.LoginKey{}) {
		*into = otp.LastLogin{}
		return
	}
	*into = otp.LastLogin{Key: l.key, Age: max(0, now-l.at), Verdict: l.verdict}
}

// decided is what a decision has to be made durable with.
type decided struct {
	owner      *cached // nil when there is no row to be won
	token      int64   // whose row it is
	rev, newer uint64  // of that row before and after
	before     int64   // the stamp of that row
	stamp      int64   // and the one after
	state      otp.State
	changes    []store.Change
	record     []byte
}

func (c *cache) init(limit int) {
	c.seed = maphash.MakeSeed()
	c.limit = int64(limit)
	for i := range c.shards {
		c.shards[i].accounts = map[string]*cached{}
	}
}

// shard is where a user's account belongs.
func (c *cache) shard(user []byte) *shard {
	return &c.shards[maphash.Bytes(c.seed, user)%shardCount]
}

// shardOf is shard for a name.
func (c *cache) shardOf(user string) *shard {
	return &c.shards[maphash.String(c.seed, user)%shardCount]
}

// full reports whether there is room no more.
func (c *cache) full() bool { return c.users.Load() >= c.limit }

// put adds an account under the lock of its shard, and makes room for it.
func (c *cache) put(sh *shard, p *cached) {
	if c.full() {
		for name := range sh.accounts { // any
			delete(sh.accounts, name)
			c.users.Add(-1)
			break
		}
	}
	sh.accounts[p.account.Name()] = p
	c.users.Add(1)
}

// drop takes an account out, if it is still the one that is there.
func (c *cache) drop(p *cached) {
	sh := c.shardOf(p.account.Name())
	sh.mu.Lock()
	defer sh.mu.Unlock()
	c.remove(sh, p)
}

// remove is drop under the lock of the shard.
func (c *cache) remove(sh *shard, p *cached) {
	if name := p.account.Name(); sh.accounts[name] == p {
		delete(sh.accounts, name)
		c.users.Add(-1)
	}
}

// forget takes out the account of a user, so that the next login reads it.
func (c *cache) forget(name string) {
	sh := c.shardOf(name)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sh.accounts[name] != nil {
		delete(sh.accounts, name)
		c.users.Add(-1)
	}
}
