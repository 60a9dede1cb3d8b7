package tables

import (
	"context"
	"fmt"
	"strings"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// ImportChunk is how many rows go into one transaction, of some ten milliseconds:
// so long a login may have to wait for it.
const ImportChunk = 2000

// imported is a row of an import, sealed.
type imported struct {
	tms.User
	tms.Token
	pin, seed []byte
}

// Import implements tms.Store. A row may be a user without a token (an empty
// Serial), or a token without a user (an empty Name). Logins go on meanwhile.
func (s *Tables) Import(ctx context.Context, act tms.Act, rows func() (tms.User, tms.Token, bool, error)) (int, error) {
	if err := s.engine.Ready(); err != nil {
		return 0, err
	}
	defer s.config.Filled()
	for count := 0; ; {
		n, more, err := s.importSome(ctx, act, count, rows)
		count += n
		if err != nil || !more {
			return count, err
		}
	}
}

// importSome imports one chunk and returns how many rows it had. The current data
// key stays the same from the sealing to the commit, but not while rows are
// awaited: they may come from a slow sender.
func (s *Tables) importSome(ctx context.Context, act tms.Act, before int, rows func() (tms.User, tms.Token, bool, error)) (int, bool, error) {
	chunk, more, err := readChunk(rows)
	if err != nil || len(chunk) == 0 {
		return 0, false, err
	}
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	for i := range chunk {
		if err := s.sealRow(&chunk[i]); err != nil {
			return 0, false, err
		}
	}
	act.Detail = strings.TrimSpace(fmt.Sprintf("%s rows %d to %d", act.Detail, before+1, before+len(chunk)))
	if err := s.engine.Do(ctx, func(w Conn) error { return s.importChunk(w, chunk, &act) }); err != nil {
		return 0, false, err
	}
	return len(chunk), more, nil
}

// readChunk takes rows for one transaction.
func readChunk(rows func() (tms.User, tms.Token, bool, error)) ([]imported, bool, error) {
	chunk := make([]imported, 0, ImportChunk)
	for len(chunk) < ImportChunk {
		user, token, more, err := rows()
		if err != nil || !more {
			return chunk, false, err
		}
		chunk = append(chunk, imported{User: user, Token: token})
	}
	return chunk, true, nil
}

// sealRow checks a row and seals what is secret of it.
func (s *Tables) sealRow(r *imported) (err error) {
	if r.User.Name != "" {
		if err := verifyUser(&r.User); err != nil {
			return err
		}
		if r.pin, err = sealPIN(s.keyring, &r.User); err != nil {
			return err
		}
	}
	if r.Serial != "" {
		if err := verifyToken(&r.Token); err != nil {
			return err
		}
		r.Token.Learned = false // that comes of a login
		r.seed, err = s.keyring.Seal(nil, r.Seed.Bytes(), seedContext(r.Serial))
	}
	return err
}

// importChunk writes a chunk in one transaction.
func (s *Tables) importChunk(w Conn, chunk []imported, act *tms.Act) error {
	err := s.engine.Transaction(w, func(w Conn) error {
		owners, err := s.importUsers(w, chunk, act)
		if err != nil {
			return err
		}
		changes, err := s.importTokens(w, chunk, owners, act)
		if err != nil {
			return err
		}
		s.engine.Grew(len(chunk) / 10) // rows and indexes
		return s.writeAct(w, act, changes)
	})
	if s.engine.Duplicate(err) {
		return s.findDouble(w, chunk)
	}
	return err
}

// importUsers writes the users and returns the id of each row's.
func (s *Tables) importUsers(w Conn, chunk []imported, act *tms.Act) ([]int64, error) {
	id, err := s.newIDs(w, MetaUsers, len(chunk))
	if err != nil {
		return nil, err
	}
	owners := make([]int64, len(chunk))
	in := NewInserter(w, insertUsers, userColumns)
	for i := range chunk {
		u := &chunk[i].User
		if u.Name == "" {
			continue
		}
		owners[i] = id
		if err := in.Add(appendUser(in.Args, id, u, chunk[i].pin, act)); err != nil {
			return nil, fmt.Errorf("importing users: %w", err)
		}
		id++
	}
	return owners, in.Flush()
}

// importTokens writes the tokens and returns the states that are not zero.
func (s *Tables) importTokens(w Conn, chunk []imported, owners []int64, act *tms.Act) ([]store.Change, error) {
	id, err := s.newIDs(w, MetaTokens, len(chunk))
	if err != nil {
		return nil, err
	}
	var changes []store.Change
	in := NewInserter(w, insertTokens, tokenColumns)
	for i := range chunk {
		t := &chunk[i].Token
		if t.Serial == "" {
			continue
		}
		if err := in.Add(appendTokenRow(in.Args, id, owners[i], t, chunk[i].seed, act)); err != nil {
			return nil, fmt.Errorf("importing tokens: %w", err)
		}
		if t.State != (otp.State{}) {
			changes = append(changes, store.Change{Token: id, Rev: 1, State: t.State})
		}
		id++
	}
	if err := in.Flush(); err != nil {
		return nil, fmt.Errorf("importing tokens: %w", err)
	}
	return changes, s.engine.WriteStates(w, changes)
}

// findDouble says which row of a chunk is there already.
func (s *Tables) findDouble(w Conn, chunk []imported) error {
	names, serials := map[otp.UserName]bool{}, map[otp.Serial]bool{}
	for i := range chunk {
		name, serial := chunk[i].User.Name, chunk[i].Serial
		n, err := w.Number(`SELECT (SELECT count(*) FROM "user" WHERE name = ?) + 2 * (SELECT count(*) FROM token WHERE serial = ?)`,
			string(name), string(serial))
		switch {
		case err != nil:
			return err
		case name != "" && (n&1 != 0 || names[name]):
			return fmt.Errorf("user %q %w", name, tms.ErrExists)
		case serial != "" && (n&2 != 0 || serials[serial]):
			return fmt.Errorf("token %q %w", serial, tms.ErrExists)
		}
		names[name], serials[serial] = true, true
	}
	return fmt.Errorf("importing: %w", tms.ErrExists)
}
