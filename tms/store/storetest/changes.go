package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"countersign/otp"
	"countersign/tms"
)

func nextLoginSeesChangeOfUser(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	w.expect(otp.Accepted, "alice", pin+code(token, 0))
	w.changeUser("alice", func(u *tms.User) { u.PIN = otp.NewPIN([]byte("new PIN")) })
	w.expect(otp.WrongPIN, "alice", pin+code(token, 1))
	w.expect(otp.Accepted, "alice", "new PIN"+code(token, 1))
	w.changeUser("alice", func(u *tms.User) { u.PIN = otp.PIN{} })
	w.expect(otp.Accepted, "alice", code(token, 2))
	w.changeUser("alice", func(u *tms.User) { u.Disabled = true })
	w.expect(otp.UserDisabled, "alice", code(token, 3))
	w.reopen()
	w.expect(otp.UserDisabled, "alice", code(token, 3))
	w.changeUser("alice", func(u *tms.User) { u.Disabled = false })
	w.expect(otp.Replayed, "alice", code(token, 2))
	w.expect(otp.Accepted, "alice", code(token, 3))
}

func nextLoginSeesChangeOfToken(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	w.lock("alice", token)
	w.changeToken("T1", func(t *tms.Token) { t.State.Failures, t.State.LockedUntil = 0, 0 })
	w.expect(otp.Accepted, "alice", pin+code(token, 1))
	w.changeToken("T1", func(t *tms.Token) { t.Disabled = true })
	w.expect(otp.NoToken, "alice", pin+code(token, 2))
	w.changeToken("T1", func(t *tms.Token) { t.Disabled = false })
	w.expect(otp.Accepted, "alice", pin+code(token, 2))

	policy := otp.DefaultPolicy()
	w.changeToken("T1", func(t *tms.Token) {
		w.must(otp.Resync(&t.Token, code(token, 50), code(token, 51), false, noon, policy))
	})
	w.expect(otp.Replayed, "alice", pin+code(token, 51))
	w.expect(otp.Accepted, "alice", pin+code(token, 52))

	other := hotp("OTHER")
	w.changeToken("T1", func(t *tms.Token) { t.Seed, t.Digits = other.Seed, 8 })
	other.Digits = 8
	w.expect(otp.Accepted, "alice", pin+code(other, 53))
	w.reopen()
	w.expect(otp.Replayed, "alice", pin+code(other, 53))
	w.expect(otp.Accepted, "alice", pin+code(other, 54))
}

func nextLoginSeesAssignment(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	w.addUser("bob", hotp("T2"))
	w.expect(otp.Accepted, "alice", pin+code(token, 0))
	w.expect(otp.Accepted, "bob", pin+code(hotp("T2"), 0))
	w.changeToken("T1", func(t *tms.Token) { t.User = "bob" })
	w.expect(otp.NoToken, "alice", pin+code(token, 1))
	w.expect(otp.Replayed, "bob", pin+code(token, 0)) // its counter went with it
	w.expect(otp.Accepted, "bob", pin+code(token, 1))
	w.changeToken("T1", func(t *tms.Token) { t.User = "" })
	w.expect(otp.WrongCode, "bob", pin+code(token, 2))
	w.changeToken("T1", func(t *tms.Token) {
		if t.State.Counter != 2 {
			w.Errorf("unassigned token: counter %d, want 2", t.State.Counter)
		}
		t.User = "alice"
	})
	w.reopen()
	w.expect(otp.Replayed, "alice", pin+code(token, 1))
	w.expect(otp.Accepted, "alice", pin+code(token, 2))
	if u := w.token("T1").User; u != "alice" {
		w.Errorf("the token is listed as %q's", u)
	}
}

// changesAgainstLogins logs users in, each code twice, while an administrator
// changes users and tokens all the time. Every change has to see all that was
// accepted before it, and none may undo it.
func changesAgainstLogins(w *world) {
	const users, rounds = 8, 40
	for i := range users {
		w.addUser(fmt.Sprint("user", i), hotp(fmt.Sprint("T", i)))
	}
	ctx, stop := context.WithCancel(w.Context())
	var logins, changes sync.WaitGroup
	for i := range users {
		name, token := fmt.Sprint("user", i), hotp(fmt.Sprint("T", i))
		var mu sync.Mutex
		accepted := uint64(0) // the lowest counter not accepted
		logins.Go(func() {
			for round := range uint64(rounds) {
				got := w.atOnce(attempt(name, pin+code(token, round)), attempt(name, pin+code(token, round)))
				if got[otp.Accepted] != 1 || got[otp.Replayed] != 1 {
					w.Errorf("round %d of %q: %v", round, name, got)
				}
				mu.Lock()
				accepted = round + 1
				mu.Unlock()
			}
		})
		changes.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				mu.Lock()
				before := accepted
				mu.Unlock()
				w.changeToken(token.Serial, func(t *tms.Token) {
					if t.State.Counter < before {
						w.Errorf("a change of %s sees counter %d after %d was accepted", t.Serial, t.State.Counter, before-1)
					}
					t.State.Failures = uint16(n % 3)
				})
				w.changeUser(name, func(u *tms.User) { u.PIN = otp.NewPIN([]byte(pin)) })
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

func failedChangeWritesNothing(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	before := len(w.events(tms.Filter{}))
	no := errors.New("no")
	err := w.store.ChangeUser(w.Context(), "alice", act("user.set", "alice"), func(u *tms.User) error {
		u.Disabled = true
		return no
	})
	if err != no {
		w.Errorf("error %v, want the one of the change", err)
	}
	err = w.store.ChangeToken(w.Context(), "T1", act("token.remove", "T1"), func(t *tms.Token) error {
		t.Exists = false
		return no
	})
	if err != no {
		w.Errorf("error %v, want the one of the change", err)
	}
	done, cancel := context.WithCancel(w.Context())
	cancel()
	err = w.store.ChangeUser(done, "alice", act("user.set", "alice"), func(u *tms.User) error { u.Disabled = true; return nil })
	if !errors.Is(err, context.Canceled) {
		w.Errorf("error %v, want %v", err, context.Canceled)
	}
	if after := len(w.events(tms.Filter{})); after != before {
		w.Errorf("%d events have become %d", before, after)
	}
	w.expect(otp.Accepted, "alice", pin+code(token, 0))
}

func actIsRecorded(w *world) {
	w.must(w.store.Record(w.Context(), act("store.backup", "/backup/file")))
	w.reopen()
	e := w.events(tms.Filter{})
	if len(e) != 1 || e[0].Kind != tms.ActEvent || e[0].Verb != "store.backup" || e[0].Object != "/backup/file" {
		w.Errorf("events %+v", e)
	}
}

func refusedAssignments(w *world) {
	w.addUser("alice")
	for i := range otp.MaxTokens {
		w.addToken("alice", hotp(fmt.Sprint("T", i)))
	}
	w.addToken("", hotp("SPARE"))
	for user, want := range map[otp.UserName]error{"alice": tms.ErrTooMany, "nobody": tms.ErrNotFound} {
		err := w.store.ChangeToken(w.Context(), "SPARE", act("token.assign", "SPARE"), func(t *tms.Token) error {
			t.User = user
			return nil
		})
		if !errors.Is(err, want) {
			w.Errorf("assigning to %q: %v, want %v", user, err, want)
		}
	}
	if user := w.token("SPARE").User; user != "" {
		w.Errorf("the token is %q's all the same", user)
	}
}

func removedUser(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	w.expect(otp.Accepted, "alice", pin+code(token, 3))
	w.changeUser("alice", func(u *tms.User) { u.Exists = false })
	w.expect(otp.UnknownUser, "alice", pin+code(token, 4))
	if got := w.token("T1"); got.User != "" || got.State.Counter != 4 {
		w.Errorf("the token is %q's, with counter %d", got.User, got.State.Counter)
	}
	w.reopen()
	w.expect(otp.UnknownUser, "alice", pin+code(token, 4))
	w.addUser("alice")
	w.expect(otp.NoToken, "alice", pin+code(token, 4))
	w.changeToken("T1", func(t *tms.Token) { t.User = "alice" })
	w.expect(otp.Replayed, "alice", pin+code(token, 3))
	w.expect(otp.Accepted, "alice", pin+code(token, 4))
}

func removedTokenStartsAnew(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	w.expect(otp.Accepted, "alice", pin+code(token, 7))
	w.changeToken("T1", func(t *tms.Token) { t.Exists = false })
	w.expect(otp.NoToken, "alice", pin+code(token, 8))
	w.addToken("alice", token)
	w.expect(otp.Accepted, "alice", pin+code(token, 0))
	w.reopen() // the journal has the states of both
	w.expect(otp.Replayed, "alice", pin+code(token, 0))
	w.expect(otp.Accepted, "alice", pin+code(token, 1))
	if w.token("GONE").Exists {
		w.Error("a token that never was is listed")
	}
}
