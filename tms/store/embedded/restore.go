package embedded

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store"
)

// Restore puts a backup in the place of the store at to, which no process may
// have open. What is there is kept aside, under its name with the time and
// "before-restore" added, and never deleted.
//
// A backup turns counters back. So that no code used since then passes again,
// every event token must show two consecutive codes before it is accepted again,
// and of clock tokens every code is refused that may have been accepted before
// this instant: those up to where the token's clock was at the time of the
// backup, the login window, and one step more for what it has drifted since.
//
// The same is done to the clock tokens of invitations. Those to event tokens end: it
// takes one code to activate a token, and which of its codes were used is not known. A
// backup also brings back links that were used and mails that were sent: so every link
// is void, and no mail waits any more. An invitation can still be taken up with its
// Activation Key, or by PIN and first code; and a reminder, which has another link, is
// still to come, unless a link was opened or none was wanted. Dialogs and web sessions
// that were open are over, because there is another BoxKey.
//
// The work is done on a copy beside to. Only the last step, a rename, makes it the
// store: broken off before, nothing has happened, or Open says what to do.
func Restore(ctx context.Context, from, to string, o Options, policy otp.Policy) error {
	if err := restore(ctx, from, to, o, policy); err != nil {
		return fmt.Errorf("restoring token store %q from %q: %w", to, from, err)
	}
	return nil
}

// Names beside a store while it is being restored.
const (
	preparedName  = ".restore-part" // the copy that is being prepared
	restoringName = ".restoring"    // the same, ready, while the old files are moved
)

// refuseRestoring keeps a store from being opened, or an empty one from being
// made, between the last steps of Restore.
func refuseRestoring(path string) error {
	if _, err := os.Lstat(path + restoringName); !errors.Is(err, os.ErrNotExist) {
		return errors.Join(fmt.Errorf("restoring a backup was broken off: restore it again (or rename %q to %q)", path+restoringName, path), err)
	}
	return nil
}

func restore(ctx context.Context, from, to string, o Options, policy otp.Policy) error {
	lock, err := lockFile(to)
	if err != nil {
		return err
	}
	defer lock.Close()
	prepared := to + preparedName
	if err := errors.Join(removeStore(prepared), copyFile(from, prepared)); err != nil {
		return err
	}
	defer removeStore(prepared)
	if err := prepare(ctx, prepared, from, o, policy); err != nil {
		return err
	}
	return replace(prepared, to, o)
}

// prepare checks a copy of a backup and moves its tokens on.
func prepare(ctx context.Context, path, from string, o Options, policy otp.Policy) (err error) {
	o.Path, o.Registerer, o.CacheUsers, o.history.off = path, nil, 1, true
	s, err := Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, s.Close())
		if err == nil && fileSize(path+"-wal") > 0 { // SQLite does not say so when it closes
			err = errors.New("the file could not be finished: is the disk full?")
		}
	}()
	if err := s.check(ctx); err != nil {
		return err
	}
	if err := s.fold(ctx); err != nil { // or the table would not have the latest states
		return err
	}
	act := tms.Act{At: o.Clock(), Actor: "restore", Verb: "store.restore", Object: filepath.Base(from)}
	for _, step := range []func(int64, tms.Act, otp.Policy) (int64, bool, error){s.moveOn, s.withdrawLinks} {
		for last, more := int64(0), true; more; {
			err := s.do(ctx, func() error {
				return s.transaction(func(*conn) (err error) {
					last, more, err = step(last, act, policy)
					return err
				})
			})
			if err != nil {
				return err
			}
		}
	}
	return s.do(ctx, func() error {
		if err := s.transaction(func(*conn) error { return s.dropSent(act) }); err != nil {
			return err
		}
		_, err := s.db.writer.checkpoint(truncate)
		return err
	})
}

// moveOn moves a chunk of tokens after last past what may have been used.
func (s *Store) moveOn(last int64, act tms.Act, policy otp.Policy) (newLast int64, more bool, err error) {
	var changes []store.Change
	t := &tokenRecord{}
	read := t.read(s)
	w := s.db.writer
	err = w.query(selectToken+"WHERE t.id > ? ORDER BY t.id LIMIT ?", func(r row) error {
		if err := read(r); err != nil {
			return err
		}
		last = t.row.id
		t.row.State = afterRestore(&t.row.Token, act.At, policy)
		changes = append(changes, store.Change{Token: t.row.id, Rev: t.row.rev + 1, State: t.row.State})
		return nil
	}, last, int64(foldChunk))
	if err != nil || len(changes) == 0 {
		return last, false, err
	}
	if err := foldInto(w, changes); err != nil {
		return last, false, err
	}
	act.Detail = fmt.Sprintf("%d tokens moved past what may have been used", len(changes))
	return last, len(changes) == foldChunk, s.writeAct(&act, changes)
}

// mailGap is more mails than are sent between a backup and its restore.
const mailGap = 1_000_000_000

// withdrawLinks voids the links of a chunk of invitations after last, and moves their
// tokens on. Invitations to event tokens end.
func (s *Store) withdrawLinks(last int64, act tms.Act, policy otp.Policy) (newLast int64, more bool, err error) {
	var invitations []invitationRecord
	i := invitationRecord{}
	read := i.read(s)
	w := s.db.writer
	err = w.query(selectInvitation+"WHERE i.id > ? ORDER BY i.id LIMIT ?", func(r row) error {
		err := read(r)
		invitations = append(invitations, i)
		return err
	}, last, int64(resealChunk))
	if err != nil || len(invitations) == 0 {
		return last, false, err
	}
	ended := 0
	for n := range invitations {
		before := &invitations[n]
		after, text, err := withdrawn(&before.Invitation, act.At, policy)
		if err != nil {
			return last, false, err
		}
		if err := s.writeInvitation(w, before, &after, text); err != nil {
			return last, false, err
		}
		last = before.id
		if !after.Exists {
			ended++
		}
	}
	s.wal.grew(len(invitations))
	act.Detail = fmt.Sprintf("the links of %d invitations are void, %d invitations to event tokens have ended", len(invitations)-ended, ended)
	return last, len(invitations) == resealChunk, s.writeAct(&act, nil)
}

// withdrawn is what becomes of an invitation, and the text of it.
func withdrawn(before *tms.Invitation, now time.Time, policy otp.Policy) (after tms.Invitation, text []byte, err error) {
	after = *before
	if !after.Token.Type.Clock() {
		after.Exists = false
		return after, nil, nil
	}
	// Two links: the second came with the reminder. Else there was to be none, or a link
	// was opened.
	after.Reminded = before.Reminded && len(before.Links) < 2
	after.Links = nil
	after.Token.State = afterRestore(&after.Token, now, policy)
	text, err = store.EncodeInvitation(&after)
	return after, text, err
}

// dropSent forgets the mails, which may be sent, the key of what was given away, and the
// number by which the history knows the store.
// The ids of mails sent since the backup must not name others: hence the gap.
func (s *Store) dropSent(act tms.Act) error {
	w := s.db.writer
	mails, err := w.number("SELECT count(*) FROM mail")
	if err != nil {
		return err
	}
	if _, err := s.newIDs(metaMails, mailGap); err != nil {
		return err
	}
	for _, statement := range []string{"DELETE FROM mail", "DELETE FROM meta WHERE name IN ('" + metaBox + "', '" + metaStore + "')"} {
		if err := w.exec(statement); err != nil {
			return err
		}
	}
	if mails == 0 {
		return nil
	}
	act.Detail = fmt.Sprintf("%d mails that waited are dropped", mails)
	return s.writeAct(&act, nil)
}

// afterRestore is the state of a token whose state in the backup is its State.
func afterRestore(t *otp.Token, now time.Time, policy otp.Policy) otp.State {
	state := t.State
	state.ResyncFactor, state.ResyncUntil = 0, 0
	if !t.Type.Clock() {
		state.MustResync = true
		return state
	}
	ahead := int64(max(state.Drift, 0)) + int64(policy.Window) + 1
	if next := oath.TimeStep(now, t.T0, t.Period) + ahead + 1; next > 0 {
		state.Counter = max(state.Counter, uint64(next))
	}
	return state
}

// replace moves the old files aside and the prepared one to their place.
func replace(prepared, to string, o Options) error {
	folder := filepath.Dir(to)
	aside := to + ".before-restore-" + o.Clock().UTC().Format("20060102T150405.000Z")
	if err := refuseExisting(aside); err != nil {
		return err
	}
	if err := errors.Join(syncFile(prepared), os.Rename(prepared, to+restoringName), syncDirectory(folder)); err != nil {
		return err
	}
	for _, end := range []string{"-wal", ""} { // the log first: it must never stand beside another file
		if err := os.Rename(to+end, aside+end); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	err := errors.Join(removeIfThere(to+"-shm"), syncDirectory(folder), os.Rename(to+restoringName, to), syncDirectory(folder))
	if err == nil {
		o.Logger.Info("the store that was there is kept aside", "file", aside)
	}
	return err
}

// copyFile copies a backup. One with a log beside it is not a backup but a live
// store, and would lack what is in the log.
func copyFile(from, to string) (err error) {
	if fileSize(from+"-wal") > 0 {
		return fmt.Errorf("%q is a store in use, for there is a log beside it: restore from what backup made", from)
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}

// removeStore removes a store that is only being prepared.
func removeStore(path string) error {
	var errs []error
	for _, end := range []string{"", "-wal", "-shm", ".lock"} {
		errs = append(errs, removeIfThere(path+end))
	}
	return errors.Join(errs...)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
