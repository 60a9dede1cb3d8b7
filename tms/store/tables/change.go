package tables

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

// Record implements tms.Store.
func (s *Tables) Record(ctx context.Context, act tms.Act) error {
	return s.change(ctx, func(w Conn) error { return s.writeAct(w, &act, nil) })
}

// RecordWith does something in the same transaction as it records the act.
func (s *Tables) RecordWith(ctx context.Context, act tms.Act, do func(Conn) error) error {
	return s.change(ctx, func(w Conn) error {
		if err := do(w); err != nil {
			return err
		}
		return s.writeAct(w, &act, nil)
	})
}

// writeActIfAny is writeAct for an act that need not be recorded: without a verb it
// is not, and the changes are in their tables.
func (s *Tables) writeActIfAny(w Conn, act *tms.Act, changes []store.Change) error {
	if act.Verb == "" {
		s.engine.Grew(quietPages)
		return nil
	}
	return s.writeAct(w, act, changes)
}

// quietPages is about how many pages change with an act that is not recorded.
const quietPages = 4

// writeAct writes the audit record of an act into its transaction.
func (s *Tables) writeAct(w Conn, act *tms.Act, changes []store.Change) error {
	r := store.Record{Event: tms.Event{At: act.At, Kind: tms.ActEvent, Act: *act}, Changes: changes}
	batch := store.AppendToBatch(store.BeginBatch(nil), store.AppendRecord(nil, &r))
	if err := s.engine.Append(w, batch, 1); err != nil {
		return fmt.Errorf("writing the audit record of %s %q: %w", act.Verb, act.Object, err)
	}
	return nil
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
