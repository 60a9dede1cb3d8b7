package postgres

import (
	"context"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// lostRaceUnderneath has a login decided on top of another that loses: to somebody who comes
// to the very revision which that one would have made. It must not be burned on that.
func lostRaceUnderneath(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	token := hotpToken(loginSerial(u, 0))
	a.login(otp.Accepted, u, passcode(token, 0))
	sh := a.logins.cache.shardOf(loginUser(u))
	sh.mu.Lock()
	rev := sh.accounts[loginUser(u)].account.Rev(0)
	sh.mu.Unlock()
	var waiter told
	w.run(a.Store, func(c *conn) error {
		const lock = "UPDATE state SET rev = ?, stamp = 7, state = ? WHERE token_id = (SELECT id FROM token WHERE serial = ?)"
		other := store.AppendState(nil, &otp.State{Counter: 2})
		if _, err := c.raw.Exec(t.Context(), "BEGIN").ReadAll(); err != nil {
			return err
		}
		if err := c.Exec(lock, int64(rev+1), other, string(token.Serial)); err != nil {
			return err
		}
		if err := c.flush(); err != nil {
			return err
		}
		waiter.submit(a, loginAttempt(u, passcode(token, 1)))
		for a.locksAwaited(c) == 0 { // its group is in flight, and waits for our row
			time.Sleep(time.Millisecond)
		}
		waiter.submit(a, loginAttempt(u, passcode(token, 2))) // on top of it
		_, err := c.raw.Exec(t.Context(), "COMMIT").ReadAll()
		return err
	})
	if got := waiter.verdicts(t); got[otp.Replayed] != 1 || got[otp.Accepted] != 1 {
		t.Errorf("%v, want the first one replayed and the second accepted", got)
	}
	if s := w.stateOf(a.Store, token.Serial); s.Counter != 3 {
		t.Errorf("state %+v", s)
	}
	b.login(otp.Replayed, u, passcode(token, 2))
}

// locksAwaited counts the connections that wait for a lock in this database.
func (n *loginNode) locksAwaited(c *conn) int64 {
	waits, err := c.Number("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	if err != nil {
		n.Fatal(err)
	}
	return waits
}

// standStill begins an act on a user's token that stands still with the rows locked, until goOn
// is called, which returns what became of it. The database ends it sooner if that takes long.
func (n *loginNode) standStill(u int, change func(*tms.Token)) (goOn func() error) {
	n.Helper()
	inAct, resume, done := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	act := tms.Act{At: loginNoon, Actor: "test", Verb: "test"}
	go func() {
		done <- n.ChangeToken(context.Background(), loginSerial(u, 0), act, func(t *tms.Token) error {
			close(inAct)
			<-resume
			change(t)
			return nil
		})
	}()
	<-inAct
	return func() error { close(resume); return <-done }
}

// actStandsStill with the row of one user: those of other users of the same group are decided
// soon, and those behind it at once, and the store stays in service. The user waits.
func actStandsStill(t *testing.T, w *loginWorld, a, b *loginNode) {
	const users = 32
	first := w.add(a.Store, users, hotpToken)
	token := func(u int) otp.Token { return hotpToken(loginSerial(u, 0)) }
	b.login(otp.Accepted, first, passcode(token(first), 0))
	epoch := b.logins.epoch.Load()
	goOn := a.standStill(first, func(t *tms.Token) { t.Disabled = true })
	var theirs told
	theirs.submit(b, loginAttempt(first, passcode(token(first), 1)))
	for k := range uint64(3) {
		var others told
		for u := first + 1; u < first+users; u++ {
			others.submit(b, loginAttempt(u, passcode(token(u), k)))
		}
		if got := others.verdicts(t); got[otp.Accepted] != users-1 {
			t.Errorf("%v", got)
		}
	}
	theirs.mu.Lock()
	early := len(theirs.attempts)
	theirs.mu.Unlock()
	err := goOn()
	got := theirs.verdicts(t)
	if want := map[bool]otp.Verdict{true: otp.NoToken, false: otp.Accepted}[err == nil]; got[want] != 1 || err == nil && early > 0 {
		t.Errorf("the act ended with %v, the login of its user with %v", err, got)
	}
	if b.Ready() != nil || b.logins.epoch.Load() != epoch || !b.logins.isWary() {
		t.Errorf("out of service: %v; connections %d, wary: %v", b.Ready(), b.logins.epoch.Load()-epoch, b.logins.isWary())
	}
}

// waryNodes do not wait for rows: whoever loses by that is decided again.
func waryNodes(t *testing.T, w *loginWorld, a, b *loginNode) {
	for _, n := range []*loginNode{a, b} {
		n.logins.beWary()
		defer n.logins.waryUntil.Store(0)
	}
	nodesAgainstEachOther(t, w, a, b)
	severalTokens(t, w, a, b)
	// In groups of one of them only.
	a.logins.waryUntil.Store(0)
	nodesAgainstEachOther(t, w, a, b)
}

// rowComesBack has a node make the row of a token that an act is removing. By that row nobody
// may be let in who had read the account before.
func rowComesBack(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	name := textArray([]string{loginUser(u)})
	k := link{store: a.Store, repeats: true}
	defer k.close()
	err := k.use(t.Context(), groupTime, func(c *conn) error {
		read, err := a.logins.readComplete(c, selectNamed, name)
		if err == nil {
			sh := a.logins.cache.shardOf(loginUser(u))
			sh.mu.Lock()
			a.logins.cache.put(sh, read[0].cached())
			sh.mu.Unlock()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	goOn := b.standStill(u, func(t *tms.Token) { t.Exists = false })
	made := make(chan error, 1)
	go func() {
		k := link{store: b.Store}
		defer k.close()
		made <- k.use(context.Background(), groupTime, func(c *conn) error { return c.Exec(insertStates, b.logins.stamp(), name) })
	}()
	w.run(a.Store, func(c *conn) error {
		for a.locksAwaited(c) == 0 {
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	if err := goOn(); err != nil {
		t.Fatal(err)
	}
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	a.login(otp.NoToken, u, passcode(hotpToken(loginSerial(u, 0)), 0))
}
