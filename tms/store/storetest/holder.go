package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms"
)

// holdersAgainstLogins changes users with everything all the time while they log in,
// each code twice. Every change has to see all that was accepted before it, and none
// may undo it.
func holdersAgainstLogins(w *world) {
	const users, rounds = 6, 40
	for i := range users {
		w.addUser(fmt.Sprint("user", i), hotp(fmt.Sprint("T", i)))
	}
	ctx, stop := context.WithCancel(w.Context())
	var logins, changes sync.WaitGroup
	for i := range users {
		name, token := fmt.Sprint("user", i), hotp(fmt.Sprint("T", i))
		var accepted atomic.Uint64 // the lowest counter not accepted
		logins.Go(func() {
			for round := range uint64(rounds) {
				got := w.atOnce(attempt(name, pin+code(token, round)), attempt(name, pin+code(token, round)))
				if got[otp.Accepted] != 1 || got[otp.Replayed] != 1 {
					w.Errorf("round %d of %q: %v", round, name, got)
				}
				accepted.Store(round + 1)
			}
		})
		changes.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				before := accepted.Load()
				w.changeHolder(name, func(h *tms.Holder) { disturb(w, h, n, before) })
				if w.store.Invited([]byte(name)) != (n%2 == 0) {
					w.Errorf("invited is not what change %d made", n)
				}
			}
		})
	}
	logins.Wait()
	stop()
	changes.Wait()
	for i := range users {
		if s := w.token(otp.Serial(fmt.Sprint("T", i))).State; s.Counter != rounds {
			w.Errorf("T%d: counter %d, want %d", i, s.Counter, rounds)
		}
	}
}

// disturb changes a user's first token, gives another or takes it, and invites or
// takes the invitation back.
func disturb(w *world, h *tms.Holder, n int, accepted uint64) {
	t := &h.Tokens[0]
	if t.State.Counter < accepted {
		w.Errorf("a change of %s sees counter %d after %d was accepted", t.Serial, t.State.Counter, accepted-1)
	}
	t.State.Failures = uint16(n % 3)
	if h.Invitation.Exists != (n%2 == 1) || len(h.Tokens) != 1+n%2 {
		w.Errorf("change %d sees %d tokens, invited %v", n, len(h.Tokens), h.Invitation.Exists)
	}
	if n%2 == 1 {
		h.Invitation = tms.Invitation{}
		h.Tokens[1].Exists = false
		return
	}
	h.Invitation = invitation(string(h.User.Name))
	h.Tokens = append(h.Tokens, tms.Token{Exists: true, Token: hotp("SECOND-" + string(h.User.Name))})
}

// takenUpOnce has many take one invitation up at the same time, while the user logs
// in: one gets the token, and the code that showed it is accepted once.
func takenUpOnce(w *world) {
	taken := errors.New("taken up by another")
	for n := range 10 {
		name := fmt.Sprint("user", n)
		w.invite(name)
		token := invitation(name).Token
		var first, accepted atomic.Int32
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				err := w.store.ChangeHolder(w.Context(), otp.UserName(name), act("invitation.activate", name), func(h *tms.Holder) error {
					if !h.Invitation.Exists {
						return taken
					}
					activate(name, h)
					return nil
				})
				if err == nil {
					first.Add(1)
				} else if err != taken {
					w.Error(err)
				}
				if w.login(name, pin+code(token, 3)) == otp.Accepted {
					accepted.Add(1)
				}
			})
		}
		all.Wait()
		if first.Load() != 1 || accepted.Load() != 1 {
			w.Errorf("%q: taken up %d times, the code accepted %d times", name, first.Load(), accepted.Load())
		}
		w.isInvited(name, false)
	}
	if got := len(w.mails(tms.Filter{})); got != 20 {
		w.Errorf("%d mails, want 20", got)
	}
}

func boxKeyStays(w *world) {
	var first []byte
	for range 3 {
		for range 2 {
			key, err := w.store.BoxKey(w.Context())
			w.must(err)
			if first == nil {
				first = key
			}
			if len(key) != seal.BoxKeySize || !bytes.Equal(key, first) || bytes.Equal(key, make([]byte, len(key))) {
				w.Errorf("a key of %d bytes, or another", len(key))
			}
		}
		w.reopen()
	}
	another := newWorld(w, w.engine)
	if key, err := another.store.BoxKey(w.Context()); err != nil || bytes.Equal(key, first) {
		w.Errorf("two stores have one key, or none: error %v", err)
	}
	another.close()
}
