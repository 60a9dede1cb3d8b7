package embedded

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms/store"
)

const (
	loaders  = 2    // goroutines that read accounts for attempts
	maxLoads = 4096 // attempts that may wait for them
	warmPage = 128  // users read at once to fill the cache
)

// accountColumns are read for a user and each of his tokens, in this order.
const accountColumns = "SELECT u.name, u.disabled, u.pin, u.home, " + tokenFields

// tokenFields are what readToken reads, in this order.
const tokenFields = `t.id, t.serial, t.type, t.algorithm, t.digits, t.period, t.t0, t.seed, t.disabled, s.rev, s.state,
	t.codes, t.valid_from, t.valid_until, t.enrolled `

const (
	selectAccount = accountColumns + `FROM user u LEFT JOIN token t ON t.user_id = u.id
		LEFT JOIN state s ON s.token_id = t.id WHERE u.name = ? ORDER BY t.id`
	selectAccounts = accountColumns + `FROM (SELECT * FROM user WHERE name > ? ORDER BY name LIMIT ?) u
		LEFT JOIN token t ON t.user_id = u.id LEFT JOIN state s ON s.token_id = t.id ORDER BY u.name, t.id`
)

// accountReader turns rows of accountColumns into users.
type accountReader struct {
	keyring *seal.Keyring
	user    userRow
}

// add takes a row of the user.
func (r *accountReader) add(v row) error {
	u := &r.user
	if u.name == "" {
		u.name, u.disabled = v.text(0), v.integer(1) != 0
		var err error
		if u.pin, err = openPIN(r.keyring, v.blob(2), u.name); err != nil {
			return err
		}
		if u.home, err = readHome(v.integer(3), u.name); err != nil {
			return err
		}
	}
	if v[4] == nil {
		return nil // a user without a token
	}
	t, err := readToken(r.keyring, v[4:])
	u.tokens = append(u.tokens, t)
	return err
}

// readToken makes a token of tokenFields.
func readToken(keyring *seal.Keyring, v row) (tokenRow, error) {
	t := tokenRow{id: v.integer(0), rev: uint64(v.integer(9)), Token: otp.Token{
		Serial: otp.Serial(v.text(1)), Type: otp.TokenType(v.integer(2)), Algorithm: oath.Algorithm(v.integer(3)),
		Digits: uint8(v.integer(4)), Period: uint32(v.integer(5)), T0: v.integer(6), Disabled: v.integer(8) != 0,
		Codes: uint16(v.integer(11)), ValidFrom: v.integer(12), ValidUntil: v.integer(13),
		Learned: v.integer(14)&learnedFlag != 0,
	}}
	seed, err := keyring.Open(nil, v.blob(7), seedContext(t.Serial))
	if err != nil {
		return t, err
	}
	t.Seed = oath.NewSeed(seed)
	if state := v.blob(10); state != nil {
		if t.State, err = store.ParseState(state); err != nil {
			return t, fmt.Errorf("token %q: %w", t.Serial, err)
		}
	}
	return t, nil
}

// The contexts that sealed values belong to.
func seedContext[T ~string](serial T) string { return "seed/" + string(serial) }
func pinContext[T ~string](name T) string    { return "pin/" + string(name) }

// openPIN opens a sealed PIN; none is none.
func openPIN[T ~string](keyring *seal.Keyring, sealed []byte, name T) ([]byte, error) {
	if len(sealed) == 0 {
		return nil, nil
	}
	return keyring.Open(nil, sealed, pinContext(name))
}

// readHome reads the column home of a user, where a damaged number must not become
// another home.
func readHome[T ~string](number int64, name T) (otp.Home, error) {
	if number < 0 || number > int64(otp.HomeTMS) {
		return 0, fmt.Errorf("user %q: damaged home %d", name, number)
	}
	return otp.Home(number), nil
}

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
func (s *Store) readAccount(name []byte) (*userRow, error) {
	r := accountReader{keyring: s.keyring}
	err := s.read(func(c *conn) error { return c.query(selectAccount, r.add, string(name)) })
	if err != nil {
		return nil, fmt.Errorf("reading the account of %q: %w", name, err)
	}
	if r.user.name == "" {
		return nil, nil
	}
	return &r.user, nil
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
func (s *Store) decideLoaded(sh *shard, p *account, a *otp.Attempt) (outcome, error) {
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
func (s *Store) install(sh *shard, user *userRow, generation uint64, folded uint32) (p *account, ok bool) {
	if user == nil {
		return nil, true
	}
	if sh.generation != generation || sh.changing == user.name || sh.accounts[user.name] != nil || s.failure.Load() != nil {
		return nil, false
	}
	if !s.overlay.update(user, folded) {
		return nil, false
	}
	p = pack(user)
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
		index := s.cache.index(users[i].name)
		sh := &s.cache.shards[index]
		sh.mu.Lock()
		if s.cache.users.Load() < s.cache.limit {
			s.install(sh, &users[i], generations[index], folded)
		}
		sh.mu.Unlock()
		last = users[i].name
	}
	return last, len(users) == warmPage && s.cache.users.Load() < s.cache.limit
}

// readAccounts reads a page of users after last, in the order of their names.
func (s *Store) readAccounts(last string) ([]userRow, error) {
	users := make([]userRow, 0, warmPage)
	r := accountReader{keyring: s.keyring}
	err := s.read(func(c *conn) error {
		return c.query(selectAccounts, func(v row) error {
			if r.user.name != "" && r.user.name != v.text(0) {
				users = append(users, r.user)
				r.user = userRow{}
			}
			return r.add(v)
		}, last, int64(warmPage))
	})
	if r.user.name != "" {
		users = append(users, r.user)
	}
	return users, err
}
