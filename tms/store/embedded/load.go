package embedded

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"

	"countersign/otp"
	"countersign/tms/store/tables"
)

const (
	loaders  = 2    // goroutines that read accounts for attempts
	maxLoads = 4096 // attempts that may wait for them
	warmPage = 128  // users read at once to fill the cache
)

// read runs something on a connection that reads.
func (s *Store) read(run func(c *conn) error) error {
	s.files.RLock()
	defer s.files.RUnlock()
	if s.db == nil {
		return s.Ready()
	}
	readers := s.db.readers
	c := <-readers
	defer func() { readers <- c }()
	return run(c)
}

// readAccount reads a user, nil if there is none.
func (s *Store) readAccount(name []byte) (*tables.UserRow, error) {
	r := tables.AccountReader{Keyring: s.keyring}
	err := s.read(func(c *conn) error { return c.Query(tables.SelectAccount, r.Add, string(name)) })
	if err != nil {
		return nil, fmt.Errorf("reading the account of %q: %w", name, err)
	}
	if r.User.Name == "" {
		return nil, nil
	}
	return &r.User, nil
}

// later leaves an attempt to a loader.
func (s *Store) later(a *otp.Attempt) bool {
	select {
	case s.loads <- a:
		return true
	default:
		s.leave()
		s.metrics.dropped(droppedLoading)
		return false
	}
}

func (s *Store) loadLoop(ctx context.Context) {
	for {
		select {
		case a := <-s.loads:
			if what, err := s.load(a); what != recorded {
				s.tell(a, err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// load decides an attempt whose account was not in the cache. With an error it
// has not been decided, and is refused.
func (s *Store) load(a *otp.Attempt) (outcome, error) {
	sh := s.cache.shard(a.User)
	for {
		sh.mu.Lock()
		if p := sh.accounts[string(a.User)]; p != nil || s.failure.Load() != nil {
			defer sh.mu.Unlock()
			return s.decideLoaded(sh, p, a)
		}
		if sh.changed != nil && sh.changing == string(a.User) {
			changed := sh.changed
			sh.mu.Unlock()
			<-changed
			continue
		}
		generation := sh.generation
		sh.mu.Unlock()
		folded := s.overlay.folded.Load()
		user, err := s.readAccount(a.User)
		if err != nil {
			return refused, err
		}
		sh.mu.Lock()
		if p, ok := s.install(sh, user, generation, folded); ok {
			defer sh.mu.Unlock()
			s.metrics.misses.Inc()
			return s.decideLoaded(sh, p, a)
		}
		sh.mu.Unlock()
	}
}

// decideLoaded is decide for an attempt that somebody already waits for.
func (s *Store) decideLoaded(sh *shard, p *tables.Account, a *otp.Attempt) (outcome, error) {
	if err := s.failure.Load(); err != nil {
		return refused, *err
	}
	what := s.decide(sh, p, a)
	if what == refused {
		return refused, cmp.Or(s.Ready(), errClosed)
	}
	return what, nil
}

// install puts a user that was read at that generation and that count of folds
// into the cache, and reports whether it could be done: not if the rows may be
// out of date. Of no user there is nothing to put. The caller holds the lock of
// the shard.
func (s *Store) install(sh *shard, user *tables.UserRow, generation uint64, folded uint32) (p *tables.Account, ok bool) {
	if user == nil {
		return nil, true
	}
	if sh.generation != generation || sh.changing == user.Name || sh.accounts[user.Name] != nil || s.failure.Load() != nil {
		return nil, false
	}
	if !s.overlay.update(user, folded) {
		return nil, false
	}
	p = tables.Pack(user)
	s.put(sh, p)
	return p, true
}

// warmLoop reads all users in order until the cache is full. It steps aside for
// logins.
func (s *Store) warmLoop(ctx context.Context) {
	for {
		select {
		case <-s.cold:
		case <-ctx.Done():
			return
		}
		for last, more := "", true; more && ctx.Err() == nil; {
			began := time.Now()
			last, more = s.warmPage(last)
			if s.queue.depth.Load() > 0 {
				pause(ctx, 4*time.Since(began))
			} else {
				runtime.Gosched()
			}
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// warmPage fills in the users after last and returns the new last one, and
// whether it is worth to go on.
func (s *Store) warmPage(last string) (string, bool) {
	var generations [shardCount]uint64
	for i := range s.cache.shards {
		sh := &s.cache.shards[i]
		sh.mu.Lock()
		generations[i] = sh.generation
		sh.mu.Unlock()
	}
	folded := s.overlay.folded.Load()
	users, err := s.readAccounts(last)
	if err != nil {
		s.options.Logger.Warn("filling the cache of accounts ended early", "error", err)
		return last, false
	}
	for i := range users {
		index := s.cache.index(users[i].Name)
		sh := &s.cache.shards[index]
		sh.mu.Lock()
		if s.cache.users.Load() < s.cache.limit {
			s.install(sh, &users[i], generations[index], folded)
		}
		sh.mu.Unlock()
		last = users[i].Name
	}
	return last, len(users) == warmPage && s.cache.users.Load() < s.cache.limit
}

// readAccounts reads a page of users after last, in the order of their names.
func (s *Store) readAccounts(last string) ([]tables.UserRow, error) {
	users := make([]tables.UserRow, 0, warmPage)
	r := tables.AccountReader{Keyring: s.keyring}
	err := s.read(func(c *conn) error {
		return c.Query(tables.SelectAccounts, func(v tables.Row) error {
			if r.User.Name != "" && r.User.Name != v.Text(0) {
				users = append(users, r.User)
				r.User = tables.UserRow{}
			}
			return r.Add(v)
		}, last, int64(warmPage))
	})
	if r.User.Name != "" {
		users = append(users, r.User)
	}
	return users, err
}
