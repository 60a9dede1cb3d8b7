package tables

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

var _ tms.TokenImporter = (*Tables)(nil)

// stock is what the tables have of some rows of a seed file.
type stock struct {
	tms.Stock
	before []tokenRecord          // by row; without an id where there is none
	ids    map[otp.UserName]int64 // of the users who are there
	holds  map[otp.UserName]int   // as Holds was
}

// Both end with Dialect.Among: one statement for a thousand names takes a fraction of the
// time that a thousand statements do.
const (
	selectStockTokens = selectToken + "WHERE t.serial "
	selectStockUsers  = `SELECT u.name, u.id, (SELECT count(*) FROM token t WHERE t.user_id = u.id)
		FROM "user" u WHERE u.name `
)

// ReadStock implements tms.TokenImporter.
func (s *Tables) ReadStock(ctx context.Context, rows []tms.TokenRow) (*tms.Stock, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var k *stock
	err := s.engine.Read(func(c Conn) (err error) {
		k, err = s.readStock(c, rows)
		return err
	})
	if err != nil {
		return nil, err
	}
	k.latest(s)
	return &k.Stock, nil
}

// readStock reads what the rows name. The states are still to be brought up to date, and the
// stock to be shown then.
func (s *Tables) readStock(c Conn, rows []tms.TokenRow) (*stock, error) {
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
	err := queryNames(c, selectStockTokens+s.dialect.Among, serials, func(r Row) error {
		if err := read(r); err != nil {
			return err
		}
		k.before[place[t.Serial]] = t
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the tokens of a seed file: %w", err)
	}
	err = queryNames(c, selectStockUsers+s.dialect.Among, users, func(r Row) error {
		name := otp.UserName(r.Text(0))
		k.ids[name], k.holds[name] = r.Integer(1), int(r.Integer(2))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the users of a seed file: %w", err)
	}
	return k, nil
}

// latest brings the states up to date for a listing, and shows the stock.
func (k *stock) latest(s *Tables) {
	for i := range k.before {
		if k.before[i].Exists {
			s.latest(&k.before[i])
		}
	}
	k.show()
}

// queryNames runs a query whose argument is an array of names.
func queryNames[T ~string](c Conn, sql string, names []T, each func(Row) error) error {
	if len(names) == 0 {
		return nil
	}
	array, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return c.Query(sql, each, string(array))
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
func (s *Tables) ChangeStock(ctx context.Context, rows []tms.TokenRow, change func(*tms.Stock) (tms.Act, error)) error {
	if err := s.engine.Ready(); err != nil {
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
	defer s.config.Filled()
	return s.engine.Do(ctx, func(w Conn) error { return s.changeStock(w, rows, seeds, change) })
}

// changeStock changes tokens in one transaction. When the codes or the state change of
// a token that somebody has, no login of theirs may be decided until it is done. Then it
// is looked again, and done, while they are held. That is rare: a file that is imported
// once more changes neither.
func (s *Tables) changeStock(w Conn, rows []tms.TokenRow, seeds [][]byte, change func(*tms.Stock) (tms.Act, error)) (err error) {
	k, err := s.readStock(w, rows)
	if err != nil {
		return err
	}
	k.latest(s)
	act, err := change(&k.Stock)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.forgetOwners(w, k)) }() // when nobody is held any more
	if k.changesLogins() {
		release, err := s.engine.Hold(w, k.owners())
		if err != nil {
			return err
		}
		defer release()
		newest, err := s.readHeld(w, rows)
		if err != nil {
			return err
		}
		k = newest
		if act, err = change(&k.Stock); err != nil {
			return err
		}
	}
	return s.engine.Transaction(w, func(w Conn) error { return s.writeStock(w, k, seeds, &act) })
}

// readHeld is readStock when the users are held.
func (s *Tables) readHeld(w Conn, rows []tms.TokenRow) (*stock, error) {
	k, err := s.readStock(w, rows)
	if err != nil {
		return nil, err
	}
	before := make([]*tokenRecord, len(k.before))
	for i := range before {
		before[i] = &k.before[i]
	}
	err = s.catchUp(w, before...)
	k.show()
	return k, err
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

// owners are those who have one of these tokens.
func (k *stock) owners() (names []otp.UserName) {
	for i := range k.before {
		if user := k.before[i].User; user != "" {
			names = append(names, user)
		}
	}
	return names
}

// forgetOwners forgets the accounts of those who have a token that is new or has
// changed.
func (s *Tables) forgetOwners(w Conn, k *stock) error {
	var errs []error
	for i := range k.before {
		if k.before[i].Token != k.Tokens[i] {
			errs = append(errs, s.engine.Forget(w, k.Tokens[i].User))
		}
	}
	return errors.Join(errs...)
}

// writeStock writes what became of the tokens, the new users, and the audit record.
func (s *Tables) writeStock(w Conn, k *stock, seeds [][]byte, act *tms.Act) error {
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
			changes = append(changes, store.Change{Token: before.row.ID, Rev: before.row.Rev + 1, State: after.State})
		}
	}
	s.engine.Grew(added / 10) // rows and indexes
	if err := s.engine.WriteStates(w, changes); err != nil {
		return fmt.Errorf("writing the states of the tokens of a seed file: %w", err)
	}
	return s.writeAct(w, act, changes)
}

func (s *Tables) writeStockUsers(w Conn, k *stock, act *tms.Act) error {
	if len(k.Added) == 0 {
		return nil
	}
	id, err := s.newIDs(w, MetaUsers, len(k.Added))
	if err != nil {
		return err
	}
	in := NewInserter(w, insertUsers, userColumns)
	for _, name := range k.Added {
		u := tms.User{Exists: true, Name: name, Created: act.At}
		if err := verifyUser(&u); err != nil {
			return err
		}
		if err := in.Add(appendUser(in.Args, id, &u, nil, act)); err != nil {
			return err
		}
		k.ids[name] = id
		id++
	}
	return in.Flush()
}

// insertStock writes the new tokens and returns how many, and their states that are
// not zero.
func (s *Tables) insertStock(w Conn, k *stock, seeds [][]byte, act *tms.Act) (added int, changes []store.Change, err error) {
	for i := range k.before {
		if !k.before[i].Exists && k.Tokens[i].Exists {
			added++
		}
	}
	if added == 0 {
		return 0, nil, nil
	}
	id, err := s.newIDs(w, MetaTokens, added)
	if err != nil {
		return 0, nil, err
	}
	in := NewInserter(w, insertTokens, tokenColumns)
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
		if err := in.Add(appendTokenRow(in.Args, id, owner, t, seeds[i], act)); err != nil {
			return 0, nil, err
		}
		if t.State != (otp.State{}) {
			changes = append(changes, store.Change{Token: id, Rev: 1, State: t.State})
		}
		id++
	}
	return added, changes, in.Flush()
}

// update writes a token that was there. Who made it when, whether it is disabled, came
// of an invitation and was learned stays.
func (k *stock) update(w Conn, before *tokenRecord, after *tms.Token, seed []byte) error {
	owner, err := k.owner(before, after)
	if err != nil {
		return err
	}
	if after.Seed.Equal(before.Seed) {
		seed = before.sealed
	}
	return w.Exec(`UPDATE token SET user_id = ?, type = ?, algorithm = ?, digits = ?, period = ?, t0 = ?, seed = ?,
		valid_from = ?, valid_until = ? WHERE id = ?`,
		idOrNull(owner), int64(after.Type), int64(after.Algorithm), int64(after.Digits), int64(after.Period), after.T0, driver.Value(seed),
		after.ValidFrom, after.ValidUntil, before.row.ID)
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
