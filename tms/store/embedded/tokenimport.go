package embedded

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

var _ tms.TokenImporter = (*Store)(nil)

// stock is what the tables have of some rows of a seed file.
type stock struct {
	tms.Stock
	before []tokenRecord          // by row; without an id where there is none
	ids    map[otp.UserName]int64 // of the users who are there
	holds  map[otp.UserName]int   // as Holds was
}

// Both take a JSON array of names: one statement for a thousand of them takes a
// fraction of the time that a thousand statements do.
const (
	selectStockTokens = selectToken + "WHERE t.serial IN (SELECT value FROM json_each(?))"
	selectStockUsers  = `SELECT u.name, u.id, (SELECT count(*) FROM token t WHERE t.user_id = u.id)
		FROM user u WHERE u.name IN (SELECT value FROM json_each(?))`
)

// ReadStock implements tms.TokenImporter.
func (s *Store) ReadStock(ctx context.Context, rows []tms.TokenRow) (*tms.Stock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var k *stock
	err := s.read(func(c *conn) (err error) {
		k, err = s.readStock(c, rows, s.latest)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &k.Stock, nil
}

// readStock reads what the rows name. The function latest brings the state of a
// token up to date.
func (s *Store) readStock(c *conn, rows []tms.TokenRow, latest func(*tokenRecord)) (*stock, error) {
	k := &stock{before: make([]tokenRecord, len(rows)), ids: map[otp.UserName]int64{}, holds: map[otp.UserName]int{}}
	serials, users := make([]otp.Serial, len(rows)), []otp.UserName{}
	place := make(map[otp.Serial]int, len(rows))
	for i := range rows {
		serials[i] = rows[i].Token.Serial
		place[serials[i]] = i
		k.before[i].Serial = serials[i]
		if rows[i].User != "" {
			users = append(users, rows[i].User)
		}
	}
	if len(place) < len(rows) {
		return nil, fmt.Errorf("a token that is twice among those of one import %w", tms.ErrExists)
	}
	var t tokenRecord
	read := t.read(s)
	err := queryNames(c, selectStockTokens, serials, func(r row) error {
		if err := read(r); err != nil {
			return err
		}
		latest(&t)
		t.State = t.row.State
		k.before[place[t.Serial]] = t
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tokens of a seed file: %w", err)
	}
	err = queryNames(c, selectStockUsers, users, func(r row) error {
		name := otp.UserName(r.text(0))
		k.ids[name], k.holds[name] = r.integer(1), int(r.integer(2))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the users of a seed file: %w", err)
	}
	k.show()
	return k, nil
}

// queryNames runs a query whose argument is an array of names.
func queryNames[T ~string](c *conn, sql string, names []T, each func(row) error) error {
	if len(names) == 0 {
		return nil
	}
	array, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return c.query(sql, each, string(array))
}

// show makes of the records what a change sees.
func (k *stock) show() {
	k.Tokens = make([]tms.Token, len(k.before))
	for i := range k.before {
		k.Tokens[i] = k.before[i].Token
	}
	k.Holds = maps.Clone(k.holds)
}

// ChangeStock implements tms.TokenImporter. The function change must not block, nor
// call the store.
func (s *Store) ChangeStock(ctx context.Context, rows []tms.TokenRow, change func(*tms.Stock) (tms.Act, error)) error {
	if err := s.Ready(); err != nil {
		return err
	}
	s.sealing.RLock() // the current data key stays the same until the commit
	defer s.sealing.RUnlock()
	seeds := make([][]byte, len(rows))
	for i := range rows {
		var err error
		t := &rows[i].Token
		if seeds[i], err = s.keyring.Seal(nil, t.Seed.Bytes(), seedContext(t.Serial)); err != nil {
			return err
		}
	}
	defer signal(s.cold)
	return s.do(ctx, func() error { return s.changeStock(rows, seeds, change) })
}

// changeStock changes tokens in one transaction. When the codes or the state change of
// a token that somebody has, no login of theirs may be decided until it is done. Then it
// is looked again, and done, under the locks of all shards where such users are. That is
// rare: a file that is imported once more changes neither.
func (s *Store) changeStock(rows []tms.TokenRow, seeds [][]byte, change func(*tms.Stock) (tms.Act, error)) error {
	k, err := s.readStock(s.db.writer, rows, s.latest)
	if err != nil {
		return err
	}
	act, err := change(&k.Stock)
	if err != nil {
		return err
	}
	defer func() { s.forgetOwners(k) }() // when the locks are free again
	if k.changesLogins() {
		defer s.hold(k)()
		newest, err := s.readStock(s.db.writer, rows, s.catchUp)
		if err != nil {
			return err
		}
		k = newest
		if act, err = change(&k.Stock); err != nil {
			return err
		}
	}
	return s.transaction(func(w *conn) error { return s.writeStock(w, k, seeds, &act) })
}

// changesLogins reports whether a token that somebody has gets another state or other
// codes: a login on its way would burn a step as the old ones are counted.
func (k *stock) changesLogins() bool {
	for i := range k.before {
		t, n := &k.before[i], &k.Tokens[i]
		if t.User != "" && (t.State != n.State || t.Type != n.Type || t.Period != n.Period || t.T0 != n.T0 || !t.Seed.Equal(n.Seed)) {
			return true
		}
	}
	return false
}

// hold drops the accounts of all who have one of these tokens, and keeps them out
// until the function it returns is called. Nobody but the committer holds more than
// one lock of a shard, so the order does not matter; it is that of the shards.
func (s *Store) hold(k *stock) (release func()) {
	var held [shardCount]bool
	for i := range k.before {
		if t := &k.before[i]; t.User != "" {
			held[s.cache.index(string(t.User))] = true
		}
	}
	for i := range held {
		if held[i] {
			s.cache.shards[i].mu.Lock()
		}
	}
	for i := range k.before {
		if t := &k.before[i]; t.User != "" {
			s.drop(&s.cache.shards[s.cache.index(string(t.User))], string(t.User))
		}
	}
	return func() {
		for i := range held {
			if held[i] {
				s.cache.shards[i].mu.Unlock()
			}
		}
	}
}

// forgetOwners forgets the accounts of those who have a token that is new or has
// changed.
func (s *Store) forgetOwners(k *stock) {
	for i := range k.before {
		if k.before[i].Token != k.Tokens[i] {
			s.forget(k.Tokens[i].User)
		}
	}
}

// writeStock writes what became of the tokens, the new users, and the audit record.
func (s *Store) writeStock(w *conn, k *stock, seeds [][]byte, act *tms.Act) error {
	if err := s.writeStockUsers(w, k, act); err != nil {
		return fmt.Errorf("adding the users of a seed file: %w", err)
	}
	added, changes, err := s.insertStock(w, k, seeds, act)
	if err != nil {
		return fmt.Errorf("adding the tokens of a seed file: %w", err)
	}
	for i := range k.before {
		before, after := &k.before[i], &k.Tokens[i]
		if !before.Exists || before.Token == *after {
			continue
		}
		if err := k.update(w, before, after, seeds[i]); err != nil {
			return fmt.Errorf("changing token %q: %w", after.Serial, err)
		}
		added++
		if before.State != after.State {
			changes = append(changes, store.Change{Token: before.row.id, Rev: before.row.rev + 1, State: after.State})
		}
	}
	s.wal.grew(added / 10) // rows and indexes
	if err := foldInto(w, changes); err != nil {
		return fmt.Errorf("writing the states of the tokens of a seed file: %w", err)
	}
	return s.writeAct(act, changes)
}

func (s *Store) writeStockUsers(w *conn, k *stock, act *tms.Act) error {
	if len(k.Added) == 0 {
		return nil
	}
	id, err := s.newIDs(metaUsers, len(k.Added))
	if err != nil {
		return err
	}
	in := newInserter(w, insertUsers, userColumns)
	for _, name := range k.Added {
		u := tms.User{Exists: true, Name: name, Created: act.At}
		if err := verifyUser(&u); err != nil {
			return err
		}
		if err := in.add(appendUser(in.args, id, &u, nil, act)); err != nil {
			return err
		}
		k.ids[name] = id
		id++
	}
	return in.flush()
}

// insertStock writes the new tokens and returns how many, and their states that are
// not zero.
func (s *Store) insertStock(w *conn, k *stock, seeds [][]byte, act *tms.Act) (added int, changes []store.Change, err error) {
	for i := range k.before {
		if !k.before[i].Exists && k.Tokens[i].Exists {
			added++
		}
	}
	if added == 0 {
		return 0, nil, nil
	}
	id, err := s.newIDs(metaTokens, added)
	if err != nil {
		return 0, nil, err
	}
	in := newInserter(w, insertTokens, tokenColumns)
	for i := range k.before {
		before, t := &k.before[i], &k.Tokens[i]
		if before.Exists || !t.Exists {
			continue
		}
		t.Learned = false // that comes of a login
		owner, err := k.owner(before, t)
		if err != nil {
			return 0, nil, err
		}
		if err := in.add(appendTokenRow(in.args, id, owner, t, seeds[i], act)); err != nil {
			return 0, nil, err
		}
		if t.State != (otp.State{}) {
			changes = append(changes, store.Change{Token: id, Rev: 1, State: t.State})
		}
		id++
	}
	return added, changes, in.flush()
}

// update writes a token that was there. Who made it when, whether it is disabled, came
// of an invitation and was learned stays.
func (k *stock) update(w *conn, before *tokenRecord, after *tms.Token, seed []byte) error {
	owner, err := k.owner(before, after)
	if err != nil {
		return err
	}
	if after.Seed.Equal(before.Seed) {
		seed = before.sealed
	}
	return w.exec(`UPDATE token SET user_id = ?, type = ?, algorithm = ?, digits = ?, period = ?, t0 = ?, seed = ?,
		valid_from = ?, valid_until = ? WHERE id = ?`,
		idOrNull(owner), int64(after.Type), int64(after.Algorithm), int64(after.Digits), int64(after.Period), after.T0, driver.Value(seed),
		after.ValidFrom, after.ValidUntil, before.row.id)
}

// owner checks what became of a token and returns the id of the user who has it.
func (k *stock) owner(before *tokenRecord, after *tms.Token) (int64, error) {
	if err := verifyToken(after); err != nil {
		return 0, err
	}
	switch user := after.User; {
	case !after.Exists || after.Serial != before.Serial:
		return 0, errors.New("an import removes and renames no tokens")
	case user == before.User:
		return before.owner, nil
	case before.User != "":
		return 0, invalid("token %q is user %q's, and an import does not give it to anybody else", before.Serial, before.User)
	case k.ids[user] == 0:
		return 0, fmt.Errorf("user %q: %w", user, tms.ErrNotFound)
	case k.holds[user] >= otp.MaxTokens:
		return 0, fmt.Errorf("%w: user %q has %d tokens already, as many as one may have", tms.ErrTooMany, user, k.holds[user])
	}
	k.holds[after.User]++
	return k.ids[after.User], nil
}
