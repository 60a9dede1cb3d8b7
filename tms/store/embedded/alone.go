package embedded

import "countersign/otp"

// alone runs something while no login of the user can be decided. The account has
// left the cache, so the tables and the overlay have its latest states; logins of
// the user wait with the loaders. Nobody else waits.
func (s *Store) alone(name otp.UserName, run func() error) error {
	if name == "" {
		return run() // nobody logs in with a token that nobody has
	}
	sh := &s.cache.shards[s.cache.index(string(name))]
	sh.mu.Lock()
	s.drop(sh, string(name))
	sh.changing, sh.changed = string(name), make(chan struct{})
	sh.mu.Unlock()
	defer func() {
		sh.mu.Lock()
		defer sh.mu.Unlock()
		sh.generation++ // what was read meanwhile is old
		close(sh.changed)
		sh.changing, sh.changed = "", nil
	}()
	return run()
}

// hold drops the accounts of users, and keeps them out until the function it returns is
// called: it holds the locks of all shards where such users are. Nobody but the committer
// holds more than one lock of a shard, so the order does not matter; it is that of the
// shards.
func (s *Store) hold(names []otp.UserName) (release func()) {
	var held [shardCount]bool
	for _, name := range names {
		held[s.cache.index(string(name))] = true
	}
	for i := range held {
		if held[i] {
			s.cache.shards[i].mu.Lock()
		}
	}
	for _, name := range names {
		s.drop(&s.cache.shards[s.cache.index(string(name))], string(name))
	}
	return func() {
		for i := range held {
			if held[i] {
				s.cache.shards[i].mu.Unlock()
			}
		}
	}
}
