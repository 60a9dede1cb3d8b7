package tables

import (
	"context"
	"fmt"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store"
)

// AfterRestore is done once in a store that a backup was put in the place of, by which counters
// were turned back: tokens move past what may have been used since, links are void, mails
// that may be sent are dropped. The object names the backup in the audit records. It may be
// done again after it was broken off.
func (s *Tables) AfterRestore(ctx context.Context, object string, policy otp.Policy) error {
	act := tms.Act{At: s.config.Clock(), Actor: "restore", Verb: "store.restore", Object: object}
	for _, step := range []func(Conn, int64, tms.Act, otp.Policy) (int64, bool, error){s.moveOn, s.withdrawLinks} {
		for last, more := int64(0), true; more; {
			err := s.change(ctx, func(w Conn) error {
				return s.engine.Transaction(w, func(w Conn) (err error) {
					last, more, err = step(w, last, act, policy)
					return err
				})
			})
			if err != nil {
				return err
			}
		}
	}
	return s.change(ctx, func(w Conn) error {
		return s.engine.Transaction(w, func(w Conn) error { return s.dropSent(w, act) })
	})
}

// moveChunk is how many tokens are moved on in one transaction.
const moveChunk = 500

// moveOn moves a chunk of tokens after last past what may have been used.
func (s *Tables) moveOn(w Conn, last int64, act tms.Act, policy otp.Policy) (newLast int64, more bool, err error) {
	var changes []store.Change
	t := &tokenRecord{}
	read := t.read(s)
	err = w.Query(selectToken+"WHERE t.id > ? ORDER BY t.id LIMIT ?", func(r Row) error {
		if err := read(r); err != nil {
			return err
		}
		last = t.row.ID
		t.row.State = afterRestore(&t.row.Token, act.At, policy)
		changes = append(changes, store.Change{Token: t.row.ID, Rev: t.row.Rev + 1, State: t.row.State})
		return nil
	}, last, int64(moveChunk))
	if err != nil || len(changes) == 0 {
		return last, false, err
	}
	if err := s.engine.WriteStates(w, changes); err != nil {
		return last, false, err
	}
	act.Detail = fmt.Sprintf("%d tokens moved past what may have been used", len(changes))
	return last, len(changes) == moveChunk, s.writeAct(w, &act, changes)
}

// mailGap is more mails than are sent between a backup and its restore.
const mailGap = 1_000_000_000

// withdrawLinks voids the links of a chunk of invitations after last, and moves their
// tokens on. Invitations to event tokens end.
func (s *Tables) withdrawLinks(w Conn, last int64, act tms.Act, policy otp.Policy) (newLast int64, more bool, err error) {
	var invitations []invitationRecord
	i := invitationRecord{}
	read := i.read(s)
	err = w.Query(selectInvitation+"WHERE i.id > ? ORDER BY i.id LIMIT ?", func(r Row) error {
		err := read(r)
		invitations = append(invitations, i)
		return err
	}, last, int64(ResealChunk))
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
	s.engine.Grew(len(invitations))
	act.Detail = fmt.Sprintf("the links of %d invitations are void, %d invitations to event tokens have ended", len(invitations)-ended, ended)
	return last, len(invitations) == ResealChunk, s.writeAct(w, &act, nil)
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

// dropSent forgets the mails, which may be sent, and the key of what was given away.
// The ids of mails sent since the backup must not name others: hence the gap.
func (s *Tables) dropSent(w Conn, act tms.Act) error {
	mails, err := w.Number("SELECT count(*) FROM mail")
	if err != nil {
		return err
	}
	if _, err := s.newIDs(w, MetaMails, mailGap); err != nil {
		return err
	}
	for _, statement := range []string{"DELETE FROM mail", "DELETE FROM meta WHERE name = '" + MetaBox + "'"} {
		if err := w.Exec(statement); err != nil {
			return err
		}
	}
	if mails == 0 {
		return nil
	}
	act.Detail = fmt.Sprintf("%d mails that waited are dropped", mails)
	return s.writeAct(w, &act, nil)
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
