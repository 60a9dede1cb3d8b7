package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

const tokenColumns = 15

// insertTokens adds so many tokens: the columns of appendToken each.
func insertTokens(rows int) string {
	return "INSERT INTO token (id, serial, user_id, type, algorithm, digits, period, t0, seed, disabled, created, " +
		"codes, valid_from, valid_until, enrolled) VALUES " + Placeholders(tokenColumns, rows)
}

// tokenRecord is a token as an administrator changes it, with what the tables
// add.
type tokenRecord struct {
	row    TokenRow
	owner  int64  // id of the user, 0 if nobody has it
	sealed []byte // the seed
	tms.Token
}

// ChangeToken implements tms.Store. The function change must not block, nor call
// the store.
func (s *Tables) ChangeToken(ctx context.Context, serial otp.Serial, act tms.Act, change func(*tms.Token) error) error {
	return s.change(ctx, func(w Conn) error {
		before, err := s.readToken(w, serial)
		if err != nil {
			return fmt.Errorf("reading token %q: %w", serial, err)
		}
		after := before.Token
		err = s.engine.Alone(w, before.User, func() error {
			if err := s.catchUp(w, before); err != nil {
				return err
			}
			after = before.Token
			if err := change(&after); err != nil {
				return err
			}
			after.Serial = serial
			after.Learned = after.Learned && staysWith(before.User, after.User)
			if !after.Exists && !before.Exists {
				return nil
			}
			if err := verifyToken(&after); after.Exists && err != nil {
				return err
			}
			return s.engine.Transaction(w, func(w Conn) error { return s.replaceToken(w, before, &after, &act) })
		})
		if after.User != before.User {
			err = errors.Join(err, s.engine.Forget(w, after.User))
		}
		return err
	})
}

const (
	selectFields = "SELECT " + TokenFields + ", u.name, t.user_id, t.created FROM "
	joinedFields = `t LEFT JOIN "user" u ON u.id = t.user_id LEFT JOIN state s ON s.token_id = t.id `
	selectToken  = selectFields + "token " + joinedFields
)

// readToken reads a token for a change; of one that does not exist only the
// serial is set.
func (s *Tables) readToken(w Conn, serial otp.Serial) (*tokenRecord, error) {
	t := &tokenRecord{}
	t.Serial = serial
	err := w.Query(selectToken+"WHERE t.serial = ?", t.read(s), string(serial))
	return t, err
}

// read returns a function that takes a row of selectToken.
func (t *tokenRecord) read(s *Tables) func(Row) error {
	return func(r Row) (err error) {
		t.row, err = readToken(s.keyring, r)
		t.owner, t.sealed = r.Integer(16), r.Blob(7)
		t.Token = tms.Token{Exists: true, Token: t.row.Token, User: otp.UserName(r.Text(15)), Created: time.Unix(r.Integer(17), 0)}
		setEnrolment(&t.Token, r.Integer(14))
		return err
	}
}

// catchUp brings the states of tokens up to date, whose users are alone or held.
func (s *Tables) catchUp(w Conn, tokens ...*tokenRecord) error {
	var rows []*TokenRow
	for _, t := range tokens {
		if t.Exists {
			rows = append(rows, &t.row)
		}
	}
	if len(rows) == 0 {
		return nil
	}
	err := s.engine.CatchUp(w, rows)
	for _, t := range tokens {
		t.State = t.row.State
	}
	return err
}

// latest brings the state of a token of a listing up to date.
func (s *Tables) latest(t *tokenRecord) {
	s.engine.Latest(t.User, &t.row)
	t.State = t.row.State
}

// staysWith reports whether a token goes to a user from nobody, or stays theirs. What
// a user has taught it ends otherwise.
func staysWith(before, after otp.UserName) bool {
	return after != "" && (before == "" || before == after)
}

// replaceToken writes what became of a token, and the audit record.
func (s *Tables) replaceToken(w Conn, before *tokenRecord, after *tms.Token, act *tms.Act) error {
	changes, err := s.writeToken(w, before, after, act)
	if err != nil {
		return fmt.Errorf("writing token %q: %w", after.Serial, err)
	}
	return s.writeAct(w, act, changes)
}

// writeToken returns the state as a change, if it did change.
func (s *Tables) writeToken(w Conn, before *tokenRecord, after *tms.Token, act *tms.Act) ([]store.Change, error) {
	id := before.row.ID
	if !after.Exists {
		if err := w.Exec("DELETE FROM state WHERE token_id = ?", id); err != nil {
			return nil, err
		}
		return nil, w.Exec("DELETE FROM token WHERE id = ?", id)
	}
	owner, err := s.ownerOf(w, before, after)
	if err != nil {
		return nil, err
	}
	if !before.Exists {
		if id, err = s.newIDs(w, MetaTokens, 1); err != nil {
			return nil, err
		}
	}
	if err := s.writeTokenRow(w, id, owner, before, after, act); err != nil || after.State == before.State {
		return nil, err
	}
	changes := []store.Change{{Token: id, Rev: before.row.Rev + 1, State: after.State}}
	return changes, s.engine.WriteStates(w, changes)
}

func (s *Tables) writeTokenRow(w Conn, id, owner int64, before *tokenRecord, after *tms.Token, act *tms.Act) (err error) {
	sealed := before.sealed
	if !before.Exists || !after.Seed.Equal(before.Seed) {
		if sealed, err = s.keyring.Seal(nil, after.Seed.Bytes(), seedContext(after.Serial)); err != nil {
			return err
		}
	}
	if err := w.Exec("DELETE FROM token WHERE id = ?", id); err != nil {
		return err
	}
	return w.Exec(insertTokens(1), appendTokenRow(nil, id, owner, after, sealed, act)...)
}

// ownerOf is the id of the user who shall have a token, and must be there and
// have room for one more.
func (s *Tables) ownerOf(w Conn, before *tokenRecord, after *tms.Token) (int64, error) {
	if after.User == "" || after.User == before.User {
		return before.owner * int64(min(1, len(after.User))), nil
	}
	owner, err := w.Number(`SELECT id FROM "user" WHERE name = ?`, string(after.User))
	if err != nil {
		return 0, err
	}
	if owner == 0 {
		return 0, fmt.Errorf("user %q: %w", after.User, tms.ErrNotFound)
	}
	has, err := w.Number("SELECT count(*) FROM token WHERE user_id = ?", owner)
	if err == nil && has >= otp.MaxTokens {
		err = fmt.Errorf("%w: user %q has %d tokens already, as many as one may have", tms.ErrTooMany, after.User, has)
	}
	return owner, err
}

// appendTokenRow appends the columns of insertTokens.
func appendTokenRow(args []driver.Value, id, owner int64, t *tms.Token, sealed []byte, act *tms.Act) []driver.Value {
	return append(args, id, string(t.Serial), idOrNull(owner), int64(t.Type), int64(t.Algorithm), int64(t.Digits),
		int64(t.Period), t.T0, sealed, asNumber(t.Disabled), instant(t.Created, act),
		int64(t.Codes), t.ValidFrom, t.ValidUntil, enrolment(t))
}

// Learnable is met by the tokens that Filter.Learnable chooses. They have an index of their
// own, of which this is the condition.
const Learnable = "(user_id IS NULL AND disabled = 0 OR (enrolled & 16) <> 0)"

// Tokens implements tms.Store.
func (s *Tables) Tokens(ctx context.Context, f tms.Filter, each func(*tms.Token) error) error {
	from, to := "", highest
	if f.Serial != "" {
		from, to = string(f.Serial), string(f.Serial)
	}
	return list(ctx, f.Limit, func() ([]tms.Token, error) {
		tokens, err := s.readTokens(from, to, &f)
		if err != nil {
			return nil, fmt.Errorf("listing tokens: %w", err)
		}
		if len(tokens) > 0 {
			from = following(string(tokens[len(tokens)-1].Serial))
		}
		return tokens, nil
	}, each)
}

// readTokens reads a page of the tokens that a filter chooses, from one serial to
// another.
func (s *Tables) readTokens(from, to string, f *tms.Filter) ([]tms.Token, error) {
	where, args := "serial >= ? AND serial <= ?", []driver.Value{from, to}
	if f.User != "" {
		where, args = where+` AND user_id = (SELECT id FROM "user" WHERE name = ?)`, append(args, string(f.User))
	}
	if f.Learnable {
		where += " AND " + Learnable // which has an index of its own
	}
	page := "(SELECT * FROM token WHERE " + where + " ORDER BY serial LIMIT ?) "
	var tokens []tms.Token
	err := s.engine.Read(func(c Conn) error {
		var t tokenRecord
		read := t.read(s)
		return c.Query(selectFields+page+joinedFields+"ORDER BY t.serial", func(r Row) error {
			if err := read(r); err != nil {
				return err
			}
			s.latest(&t)
			tokens = append(tokens, t.Token)
			return nil
		}, append(args, int64(ListPage))...)
	})
	return tokens, err
}

// enrolment is what the column enrolled has of a token: the flags, in their order.
func enrolment(t *tms.Token) (flags int64) {
	for i, set := range [...]bool{t.Enrolled, t.Local, t.Lost, t.Revoked, t.Learned} {
		if set {
			flags |= 1 << i
		}
	}
	return flags
}

// setEnrolment sets what enrolment says, but for Learned, which readToken does.
func setEnrolment(t *tms.Token, flags int64) {
	t.Enrolled, t.Local = flags&enrolledFlag != 0, flags&localFlag != 0
	t.Lost, t.Revoked = flags&lostFlag != 0, flags&revokedFlag != 0
}
