package postgres

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
	"countersign/tms/store/postgrestest"
	"countersign/tms/store/tables"
)

// Tests of two nodes on one database. They share it, and have users of their own each.
func TestLogins(t *testing.T) {
	w := newLoginWorld(t, postgrestest.Shared(t))
	a, b := w.two()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, w *loginWorld, a, b *loginNode)
	}{
		{"OneAfterTheOther", oneAfterTheOther},
		{"OneCodeOnTwoNodes", oneCodeOnTwoNodes},
		{"SameLoginOnTwoNodes", sameLoginOnTwoNodes},
		{"WrongCodeCountsOnce", wrongCodeCountsOnce},
		{"LockIsSeen", lockIsSeen},
		{"ManyOfOneAccount", manyOfOneAccount},
		{"NodesAgainstEachOther", nodesAgainstEachOther},
		{"LostRaceUnderneath", lostRaceUnderneath},
		{"SeveralTokens", severalTokens},
		{"TokensComeAndGo", tokensComeAndGo},
		{"ActsAreSeen", actsAreSeen},
		{"RefusalsAreForgotten", refusalsAreForgotten},
		{"RowComesBack", rowComesBack},
		{"StrangeNames", strangeNames},
		{"UsesOfRules", usesOfRules},
		{"LargeGroups", largeGroups},
		{"DamagedAccount", damagedAccount},
		{"AccountingIsAppended", accountingIsAppended},
		{"Claims", claimsChangeHands},
		{"ClaimsAtOnce", claimsAtOnce},
		{"Misses", missesAddUp},
		{"ActStandsStill", actStandsStill},
		{"WaryNodes", waryNodes},
	} {
		t.Run(test.name, func(t *testing.T) {
			inner, c, d := *w, *a, *b
			inner.TB, c.TB, d.TB = t, t, t
			test.run(t, &inner, &c, &d)
			w.users = inner.users
		})
	}
	w.verifyJournal(a.Store)
}

// add adds users to both nodes' world and returns the number of the first.
func (w *loginWorld) add(s *Store, users int, token func(otp.Serial) otp.Token) (first int) {
	first = w.users + 1
	w.addUsers(s, users, 1, token)
	return first
}

func oneAfterTheOther(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	token := hotpToken(loginSerial(u, 0))
	a.login(otp.Accepted, u, passcode(token, 0))
	a.login(otp.Replayed, u, passcode(token, 0))
	b.login(otp.Replayed, u, passcode(token, 0))
	b.login(otp.Accepted, u, passcode(token, 1))
	a.login(otp.Replayed, u, passcode(token, 1))
	a.login(otp.Accepted, u, passcode(token, 2))
	if s := w.stateOf(a.Store, token.Serial); s.Counter != 3 {
		t.Errorf("state %+v", s)
	}
}

// bothAtOnce submits each code to both nodes at the same time, a thousand of event tokens and
// as many of clock tokens, and returns the verdicts of each user.
func bothAtOnce(t *testing.T, w *loginWorld, nodes []*loginNode, change func(*otp.Attempt)) map[string][]otp.Verdict {
	const each = 1000
	first := w.add(nodes[0].Store, each, hotpToken)
	w.add(nodes[0].Store, each, totpToken)
	waiters := make([]told, len(nodes))
	var wg sync.WaitGroup
	for i, n := range nodes {
		wg.Go(func() {
			for u := first; u < first+2*each; u++ {
				token := hotpToken(loginSerial(u, 0))
				if u >= first+each {
					token = totpToken(token.Serial)
				}
				attempt := loginAttempt(u, passcode(token, 0))
				change(attempt)
				waiters[i].submit(n, attempt)
			}
		})
	}
	wg.Wait()
	verdicts := map[string][]otp.Verdict{}
	for i := range waiters {
		waiters[i].verdicts(t)
		for _, attempt := range waiters[i].attempts {
			verdicts[string(attempt.User)] = append(verdicts[string(attempt.User)], attempt.Decision.Verdict)
		}
	}
	return verdicts
}

// each expects the same two verdicts, in whatever order, of every user.
func each(t *testing.T, verdicts map[string][]otp.Verdict, want ...otp.Verdict) {
	t.Helper()
	for user, got := range verdicts {
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", user, got, want)
		}
	}
}

func oneCodeOnTwoNodes(t *testing.T, w *loginWorld, a, b *loginNode) {
	each(t, bothAtOnce(t, w, []*loginNode{a, b}, func(*otp.Attempt) {}), otp.Accepted, otp.Replayed)
}

func sameLoginOnTwoNodes(t *testing.T, w *loginWorld, a, b *loginNode) {
	first := w.users + 1
	key := func(a *otp.Attempt) { copy(a.Login[:], a.User) }
	each(t, bothAtOnce(t, w, []*loginNode{a, b}, key), otp.Accepted, otp.AnsweredElsewhere)
	for _, n := range []*loginNode{a, b} {
		again := loginAttempt(first, passcode(hotpToken(loginSerial(first, 0)), 0))
		key(again)
		n.verify(otp.AnsweredElsewhere, again)
		stranger := loginAttempt(first, passcode(hotpToken(loginSerial(first, 0)), 0))
		stranger.NAS, stranger.Login = "other", otp.LoginKey{1}
		n.verify(otp.Replayed, stranger)
	}
}

func wrongCodeCountsOnce(t *testing.T, w *loginWorld, a, b *loginNode) {
	const users = 20
	first := w.add(a.Store, users, totpToken)
	var toA, toB told
	for u := first; u < first+users; u++ {
		wrong := passcode(hotpToken("another"), uint64(u))
		x, y := loginAttempt(u, wrong), loginAttempt(u, wrong)
		x.Login, y.Login = otp.LoginKey{byte(u), 1}, otp.LoginKey{byte(u), 1}
		toA.submit(a, x)
		toB.submit(b, y)
	}
	if x, y := toA.verdicts(t), toB.verdicts(t); x[otp.WrongCode] != users || y[otp.WrongCode] != users {
		t.Fatal(x, y) // unless a code is right by chance
	}
	for u := first; u < first+users; u++ {
		if s := w.stateOf(a.Store, loginSerial(u, 0)); s.Failures != 1 {
			t.Errorf("user %d: %+v, want 1 failure", u, s)
		}
	}
}

func lockIsSeen(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	token := hotpToken(loginSerial(u, 0))
	b.login(otp.Accepted, u, passcode(token, 0)) // it is in the cache there
	for i := range otp.DefaultPolicy().MaxFailures {
		a.login(otp.WrongCode, u, passcode(hotpToken("another"), uint64(i)))
	}
	b.login(otp.Locked, u, passcode(token, 1))
}

// manyOfOneAccount has logins of one user share an entry: in the order in which they are
// decided.
func manyOfOneAccount(t *testing.T, w *loginWorld, a, _ *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	token := hotpToken(loginSerial(u, 0))
	for round := range uint64(3) {
		var waiter told
		var attempts []*otp.Attempt
		for i := range 100 {
			attempts = append(attempts, loginAttempt(u, passcode(token, 2*round+uint64(i/50))))
		}
		waiter.submit(a, attempts...)
		if got := waiter.verdicts(t); got[otp.Accepted] != 2 || got[otp.Replayed] != 98 {
			t.Errorf("round %d: %v", round, got)
		}
		seen := map[otp.EventID]bool{}
		for _, attempt := range attempts {
			if seen[attempt.Event] || attempt.Event == (otp.EventID{}) {
				t.Errorf("event %v twice, or none", attempt.Event)
			}
			seen[attempt.Event] = true
		}
	}
}

// nodesAgainstEachOther has two nodes decide many logins of the same users at the same time,
// round after round: everybody gets an answer, and each code is accepted once.
func nodesAgainstEachOther(t *testing.T, w *loginWorld, a, b *loginNode) {
	const users, rounds, times = 3, 20, 8
	first := w.add(a.Store, users, hotpToken)
	for round := range uint64(rounds) {
		var toA, toB told
		for range times {
			for u := first; u < first+users; u++ {
				code := passcode(hotpToken(loginSerial(u, 0)), round)
				toA.submit(a, loginAttempt(u, code))
				toB.submit(b, loginAttempt(u, code))
			}
		}
		x, y := toA.verdicts(t), toB.verdicts(t)
		if x[otp.Accepted]+y[otp.Accepted] != users || x[otp.Replayed]+y[otp.Replayed] != users*(2*times-1) {
			t.Errorf("round %d: %v and %v", round, x, y)
		}
	}
}

func severalTokens(t *testing.T, w *loginWorld, a, b *loginNode) {
	const tokens = 8
	u := w.users + 1
	w.addUsers(a.Store, 1, tokens, hotpToken)
	var waiter told
	for i := range tokens {
		waiter.submit(a, loginAttempt(u, passcode(hotpToken(loginSerial(u, i)), 0)))
	}
	if got := waiter.verdicts(t); got[otp.Accepted] < tokens-1 { // two may show the same by chance
		t.Error(got)
	}
	for i := range tokens {
		token := hotpToken(loginSerial(u, i))
		b.login(otp.Replayed, u, passcode(token, 0))
		if s := w.stateOf(a.Store, token.Serial); s.Counter == 0 {
			t.Errorf("token %d: %+v", i, s)
		}
	}
}

// tokensComeAndGo changes what users hold behind the back of the nodes, as an act on another
// node does: the next login sees it.
func tokensComeAndGo(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.users + 1
	w.addUsers(a.Store, 1, 0, hotpToken)
	first, second := hotpToken(loginSerial(u, 0)), hotpToken(loginSerial(u, 1))
	a.login(otp.NoToken, u, passcode(first, 0))
	w.run(a.Store, func(c *conn) error {
		for i, token := range []otp.Token{first, second} {
			seed, err := w.keys.Seal(nil, token.Seed.Bytes(), "seed/"+string(token.Serial))
			if err != nil {
				return err
			}
			err = c.Exec(`INSERT INTO token (id, serial, user_id, type, algorithm, digits, period, t0, seed, disabled, created) VALUES (?, ?, ?, ?, 0, ?, 0, 0, ?, 0, 0)`,
				int64(u*otp.MaxTokens+i), string(token.Serial), int64(u), int64(token.Type), int64(token.Digits), seed)
			if err != nil {
				return err
			}
		}
		return nil
	})
	for k, n := range []*loginNode{a, b} {
		n.login(otp.Accepted, u, passcode(first, uint64(k)))
		n.login(otp.Accepted, u, passcode(second, uint64(k)))
	}
	remove := func(i int) {
		w.run(a.Store, func(c *conn) error {
			id := int64(u*otp.MaxTokens + i)
			if err := c.Exec("DELETE FROM token WHERE id = ?", id); err != nil {
				return err
			}
			if err := c.Exec("DELETE FROM state WHERE token_id = ?", id); err != nil {
				return err
			}
			return c.Exec("UPDATE state SET rev = rev + 1, stamp = ? WHERE token_id = ?", a.logins.stamp(), id+1)
		})
	}
	remove(0)
	for k, n := range []*loginNode{a, b} {
		n.login(otp.WrongCode, u, passcode(first, 2))
		n.login(otp.Accepted, u, passcode(second, uint64(2+k)))
	}
	remove(1)
	a.login(otp.NoToken, u, passcode(second, 4))
	b.login(otp.NoToken, u, passcode(second, 4))
}

// actsAreSeen has acts on one node be seen by the very next login on the other, which has the
// account in memory.
func actsAreSeen(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	token := hotpToken(loginSerial(u, 0))
	next := uint64(0)
	cached := func() {
		t.Helper()
		b.login(otp.Accepted, u, passcode(token, next))
		next++
	}
	act := tms.Act{At: loginNoon, Actor: "test", Verb: "test"}
	user := func(change func(*tms.User)) {
		t.Helper()
		cached()
		if err := a.ChangeUser(t.Context(), otp.UserName(loginUser(u)), act, func(u *tms.User) error { change(u); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	change := func(change func(*tms.Token)) {
		t.Helper()
		if err := a.ChangeToken(t.Context(), token.Serial, act, func(t *tms.Token) error { change(t); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	user(func(u *tms.User) { u.Disabled = true })
	b.login(otp.UserDisabled, u, passcode(token, next))
	preset := loginAttempt(u, "")
	preset.Preset = otp.Excluded
	b.verify(otp.UserDisabled, preset)
	if err := a.ChangeUser(t.Context(), otp.UserName(loginUser(u)), act, func(u *tms.User) error { u.Disabled = false; return nil }); err != nil {
		t.Fatal(err)
	}
	user(func(u *tms.User) { u.PIN = otp.NewPIN([]byte("1234")) })
	b.login(otp.WrongPIN, u, passcode(token, next))
	b.login(otp.Accepted, u, "1234"+passcode(token, next)[len(loginPIN):])
	next++
	if err := a.ChangeUser(t.Context(), otp.UserName(loginUser(u)), act, func(u *tms.User) error { u.PIN = otp.NewPIN([]byte(loginPIN)); return nil }); err != nil {
		t.Fatal(err)
	}
	for i := range otp.DefaultPolicy().MaxFailures {
		b.login(otp.WrongCode, u, passcode(hotpToken("another"), uint64(i)))
	}
	b.login(otp.Locked, u, passcode(token, next))
	change(func(t *tms.Token) { t.State.Failures, t.State.LockedUntil = 0, 0 })
	cached()
	change(func(t *tms.Token) { t.Disabled = true })
	b.login(otp.NoToken, u, passcode(token, next))
	change(func(t *tms.Token) { t.Disabled = false })
	same := loginAttempt(u, passcode(token, next))
	same.Login = otp.LoginKey{1}
	a.verify(otp.Accepted, same)
	b.verify(otp.AnsweredElsewhere, same)
	change(func(t *tms.Token) { t.Disabled = false }) // an accept may be on its way
	b.verify(otp.AnsweredElsewhere, same)
}

// refusalsAreForgotten by acts: what was wrong may be right after one.
func refusalsAreForgotten(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	wrong := loginAttempt(u, "1234"+passcode(hotpToken(loginSerial(u, 0)), 0)[len(loginPIN):])
	wrong.Login = otp.LoginKey{1}
	a.verify(otp.WrongPIN, wrong)
	b.verify(otp.WrongPIN, wrong)
	if !wrong.Decision.Repeated {
		t.Errorf("%+v", wrong.Decision)
	}
	act := tms.Act{At: loginNoon, Actor: "test", Verb: "test"}
	if err := a.ChangeUser(t.Context(), otp.UserName(loginUser(u)), act, func(u *tms.User) error { u.PIN = otp.NewPIN([]byte("1234")); return nil }); err != nil {
		t.Fatal(err)
	}
	b.verify(otp.Accepted, wrong)
}

// strangeNames are of nobody, and are recorded.
func strangeNames(t *testing.T, w *loginWorld, a, _ *loginNode) {
	names := []string{"nobody", "no\x00body", "no\xffbody", `no"bo\dy{,}`, ""}
	var waiter told
	for _, name := range names {
		attempt := loginAttempt(0, "4711000000")
		attempt.User = []byte(name)
		attempt.Trace = []byte("any\x00\xff")
		waiter.submit(a, attempt)
	}
	if got := waiter.verdicts(t); got[otp.UnknownUser] != len(names) {
		t.Errorf("%v", got)
	}
	found := 0
	w.records(a.Store, func(r *store.Record) {
		if slices.Contains(names, r.Event.User) && bytes.Equal(r.Event.Trace, []byte("any\x00\xff")) {
			found++
		}
	})
	if found != len(names) {
		t.Errorf("%d of %d are in the journal", found, len(names))
	}
}

// usesOfRules counts what rules decided: for users with a row and without, and once where a
// login was decided twice.
func usesOfRules(t *testing.T, w *loginWorld, a, b *loginNode) {
	u := w.add(a.Store, 1, hotpToken)
	b.login(otp.Accepted, u, passcode(hotpToken(loginSerial(u, 0)), 0)) // an account that will be old
	a.login(otp.Accepted, u, passcode(hotpToken(loginSerial(u, 0)), 1))
	var toA, toB told
	for i := range 40 {
		for _, user := range []int{u, 0} {
			attempt := loginAttempt(user, "")
			attempt.Preset, attempt.Rule = otp.Excluded, uint64(1+i%2)
			attempt.At = loginNoon.Add(time.Duration(i) * time.Second)
			if i%4 < 2 {
				toA.submit(a, attempt)
			} else {
				toB.submit(b, attempt)
			}
		}
	}
	if x, y := toA.verdicts(t), toB.verdicts(t); x[otp.Excluded] != 40 || y[otp.Excluded] != 40 {
		t.Error(x, y)
	}
	var got []string
	w.run(a.Store, func(c *conn) error {
		return c.Query("SELECT id, count, last FROM rule_use ORDER BY id", func(r tables.Row) error {
			got = append(got, fmt.Sprint(r.Integer(0), r.Integer(1), r.Integer(2)-loginNoon.Unix()))
			return nil
		})
	})
	if want := []string{"1 40 38", "2 40 39"}; !slices.Equal(got, want) {
		t.Errorf("uses %q, want %q", got, want)
	}
}

// largeGroups has more logins wait than one group takes.
func largeGroups(t *testing.T, w *loginWorld, a, _ *loginNode) {
	const users = 2500
	first := w.add(a.Store, users, hotpToken)
	for round := range uint64(2) { // read, and cached
		var waiter told
		var attempts []*otp.Attempt
		for u := first; u < first+users; u++ {
			attempts = append(attempts, loginAttempt(u, passcode(hotpToken(loginSerial(u, 0)), round)))
		}
		waiter.submit(a, attempts...)
		if got := waiter.verdicts(t); got[otp.Accepted] != users {
			t.Errorf("round %d: %v", round, got)
		}
	}
	await(t, groupTime, func() bool { return a.logins.queue.depth.Load() == 0 }) // after the last is told
}

// damagedAccount is an error for its user, and for nobody else who is read with it.
func damagedAccount(t *testing.T, w *loginWorld, a, _ *loginNode) {
	u := w.add(a.Store, 2, hotpToken)
	w.run(a.Store, func(c *conn) error {
		return c.Exec(`UPDATE token SET seed = '\x00' WHERE serial = ?`, string(loginSerial(u, 0)))
	})
	a.logins.forget(loginUser(u))
	var waiter told
	waiter.submit(a, loginAttempt(u, passcode(hotpToken(loginSerial(u, 0)), 0)), loginAttempt(u+1, passcode(hotpToken(loginSerial(u+1, 0)), 0)))
	waiter.Wait()
	for i, attempt := range waiter.attempts {
		if damaged := string(attempt.User) == loginUser(u); damaged != (waiter.errs[i] != nil) {
			t.Errorf("%s: %v, %v", attempt.User, attempt.Decision.Verdict, waiter.errs[i])
		}
	}
}

// accountingIsAppended has two nodes append to the accounting log at the same time.
func accountingIsAppended(t *testing.T, w *loginWorld, a, b *loginNode) {
	nodes := []*loginNode{a, b}
	const each = 500
	var all sync.WaitGroup
	for _, n := range nodes {
		for range each {
			all.Add(1)
			if !n.AppendAccounting(loginNoon, "ras\x00\xff", "192.0.2.1", []byte{1, 2, 3}, func(err error) {
				if err != nil {
					t.Error(err)
				}
				all.Done()
			}) {
				t.Fatal("refused")
			}
		}
	}
	all.Wait()
	number, total := int64(0), int64(0)
	w.run(nodes[0].Store, func(c *conn) error {
		return c.Query("SELECT batch, records, total FROM accounting ORDER BY batch", func(r tables.Row) error {
			number++
			err := store.Records(r.Blob(1), func(_ uint32, record []byte) error {
				total++
				_, a, err := store.ParseAccounting(record)
				if a.AccountingNAS != "ras\x00\xff" || a.Source != "192.0.2.1" {
					t.Errorf("record %+v", a)
				}
				return err
			})
			if r.Integer(0) != number || r.Integer(2) != total {
				t.Errorf("batch %d (want %d), total %d (want %d)", r.Integer(0), number, r.Integer(2), total)
			}
			return err
		})
	})
	if total != int64(len(nodes)*each) {
		t.Errorf("%d records", total)
	}
}
