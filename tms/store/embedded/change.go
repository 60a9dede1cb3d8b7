package embedded

import (
	"context"
	"database/sql/driver"
	"fmt"
	"math"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store"
)

// change does an administrative act between two commits. The current data key
// stays the same meanwhile.
func (s *Store) change(ctx context.Context, run func() error) error {
	if err := s.Ready(); err != nil {
		return err
	}
	s.sealing.RLock()
	defer s.sealing.RUnlock()
	return s.do(ctx, run)
}

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

// forget drops an account after its rows have changed, so that the next login
// reads them.
func (s *Store) forget(name otp.UserName) {
	if name != "" {
		_ = s.alone(name, func() error { return nil })
	}
}

// Record implements tms.Store.
func (s *Store) Record(ctx context.Context, act tms.Act) error {
	return s.change(ctx, func() error { return s.writeAct(&act, nil) })
}

// writeActIfAny is writeAct for an act that need not be recorded: without a verb it
// is not, and the changes are in their tables.
func (s *Store) writeActIfAny(act *tms.Act, changes []store.Change) error {
	if act.Verb == "" {
		s.wal.grew(quietPages)
		return nil
	}
	return s.writeAct(act, changes)
}

// quietPages is about how many pages change with an act that is not recorded.
const quietPages = 4

// writeAct writes the audit record of an act into its transaction.
func (s *Store) writeAct(act *tms.Act, changes []store.Change) error {
	r := store.Record{Event: tms.Event{At: act.At, Kind: tms.ActEvent, Act: *act}, Changes: changes}
	batch := store.AppendToBatch(store.BeginBatch(nil), store.AppendRecord(nil, &r))
	if err := s.insert(batch, 1); err != nil {
		return fmt.Errorf("writing the audit record of %s %q: %w", act.Verb, act.Object, err)
	}
	return nil
}

// newIDs hands out count ids of a kind and returns the first. What a transaction
// that is rolled back has taken may be handed out again: nothing refers to it.
func (s *Store) newIDs(kind string, count int) (int64, error) {
	last, err := s.db.writer.number(readMeta, kind)
	if err != nil {
		return 0, err
	}
	return last + 1, s.db.writer.exec(writeMeta, kind, last+int64(count))
}

// invalid is a change that the store cannot keep.
func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", tms.ErrInvalid, fmt.Errorf(format, args...))
}

// verifyUser checks what the rest of the package relies on.
func verifyUser(u *tms.User) error {
	switch {
	case u.Home > otp.HomeTMS:
		return invalid("user %q: unknown home %v", u.Name, u.Home)
	case len(u.PIN.Bytes()) > otp.MaxPasscode:
		return invalid("PIN of %d bytes: must not have more than %d", len(u.PIN.Bytes()), otp.MaxPasscode)
	}
	return verifyUserName(u.Name)
}

func verifyUserName(name otp.UserName) error {
	if len(name) == 0 || len(name) > otp.MaxUserName {
		return invalid("user name of %d bytes: must have 1 to %d", len(name), otp.MaxUserName)
	}
	return nil
}

// maxSeed is the longest seed in bytes (see oath.ParseSeedHex).
const maxSeed = 128

// verifyToken is verifyUser for a token.
func verifyToken(t *tms.Token) error {
	switch {
	case t.Seed.IsZero() || t.Seed.Len() > maxSeed:
		return invalid("token %q: seed of %d bytes: must have 1 to %d", t.Serial, t.Seed.Len(), maxSeed)
	case t.Lost && !t.Disabled || t.Revoked && !t.Lost:
		return invalid("token %q: one that was lost is disabled, and one that was revoked is lost", t.Serial)
	case t.State.Counter > math.MaxInt64:
		return invalid("token %q: counter %d is too large", t.Serial, t.State.Counter)
	case t.Astray():
		return invalid("token %q: a drift of %d steps: a clock is not wrong by more than a day", t.Serial, t.State.Drift)
	}
	return verifyUnseeded(t)
}

// verifyUnseeded is verifyToken for a token that may be without a seed.
func verifyUnseeded(t *tms.Token) error {
	switch {
	case len(t.Serial) == 0 || len(t.Serial) > otp.MaxSerial:
		return invalid("serial of %d bytes: must have 1 to %d", len(t.Serial), otp.MaxSerial)
	case t.Type > otp.CodeList || t.Algorithm > oath.SHA512:
		return invalid("token %q: unknown type %v or algorithm %v", t.Serial, t.Type, t.Algorithm)
	case (t.Type == otp.CodeList) != (t.Codes > 0):
		return invalid("token %q: %d codes on a token of type %v: a list has some, and nothing else has", t.Serial, t.Codes, t.Type)
	case t.Digits < oath.MinDigits || t.Digits > oath.MaxDigits:
		return invalid("token %q: %d digits: must be %d to %d", t.Serial, t.Digits, oath.MinDigits, oath.MaxDigits)
	case t.Type.Clock() && t.Period == 0:
		return invalid("token %q: a period of 0 seconds", t.Serial)
	}
	return nil
}

// Values as the tables have them.

func asNumber(set bool) driver.Value {
	if set {
		return int64(1)
	}
	return int64(0)
}

func blobOrNull(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}

func idOrNull(id int64) driver.Value {
	if id == 0 {
		return nil
	}
	return id
}

// asTime is an instant that may be none.
func asTime(t time.Time) driver.Value {
	if t.IsZero() {
		return int64(0)
	}
	return t.Unix()
}

// timeOrNone is what asTime was made of.
func timeOrNone(unix int64) time.Time {
	if unix == 0 {
		return time.Time{}
	}
	return time.Unix(unix, 0)
}

// instant is when something was made: by the act, if it does not say.
func instant(t time.Time, act *tms.Act) driver.Value {
	if t.IsZero() {
		t = act.At
	}
	return t.Unix()
}
