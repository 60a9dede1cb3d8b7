package storetest

import (
	"fmt"
	"sync"

	"countersign/otp"
	"countersign/tms"
)

func oneCodeOnce(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	for round := range uint64(20) {
		hundredAtOnce(w, pin+code(token, round))
	}
	w.reopen() // and with an account that is not in any cache
	hundredAtOnce(w, pin+code(token, 20))
}

func oneCodeOnceOfAClockToken(w *world) {
	token := totp("T1")
	w.addUser("alice", token)
	hundredAtOnce(w, pin+code(token, now(token)))
	w.expect(otp.Replayed, "alice", pin+code(token, now(token)))
	w.expect(otp.Replayed, "alice", pin+code(token, now(token)-1))
}

func hundredAtOnce(w *world, passcode string) {
	w.Helper()
	var attempts []*otp.Attempt
	for range 100 {
		attempts = append(attempts, attempt("alice", passcode))
	}
	if got := w.atOnce(attempts...); got[otp.Accepted] != 1 || got[otp.Replayed] != 99 {
		w.Errorf("a hundred attempts with one code: %v", got)
	}
}

func manyUsersAtOnce(w *world) {
	const users, rounds = 50, 20
	for i := range users {
		w.addUser(fmt.Sprint("user", i), hotp(fmt.Sprint("T", i)))
	}
	w.reopen()
	var wg sync.WaitGroup
	for i := range users {
		wg.Go(func() {
			name, token := fmt.Sprint("user", i), hotp(fmt.Sprint("T", i))
			for round := range uint64(rounds) {
				got := w.atOnce(attempt(name, pin+code(token, round)), attempt(name, pin+code(token, round)))
				if got[otp.Accepted] != 1 || got[otp.Replayed] != 1 {
					w.Errorf("round %d of %q: %v", round, name, got)
				}
			}
		})
	}
	wg.Wait()
	if n := len(w.events(tms.Filter{})); n != users*(2*rounds+2) {
		w.Errorf("%d events, want %d", n, users*(2*rounds+2))
	}
}

func reopenKeepsStates(w *world) {
	clock, event, locked := totp("CLOCK"), hotp("EVENT"), hotp("LOCKED")
	w.addUser("alice", clock)
	w.addUser("bob", event)
	w.addUser("carol", locked)
	w.expect(otp.Accepted, "alice", pin+code(clock, now(clock)+1))
	w.expect(otp.Accepted, "bob", pin+code(event, 5))
	w.lock("carol", locked)
	w.expect(otp.WrongCode, "bob", pin+wrongCode(event, 0))
	for range 3 { // opened, folded and closed again
		w.reopen()
		w.expect(otp.Replayed, "alice", pin+code(clock, now(clock)+1))
		w.expect(otp.Replayed, "bob", pin+code(event, 5))
		w.expect(otp.Locked, "carol", pin+code(locked, 0))
	}
	if drift := w.token("CLOCK").State.Drift; drift != 1 {
		w.Errorf("drift %d, want 1", drift)
	}
	if s := w.token("EVENT").State; s.Counter != 6 || s.Failures != 1 {
		w.Errorf("state %+v, want counter 6 and 1 failure", s)
	}
}

// wrongCode is a code that the token shows at no factor anybody looks at; n
// chooses one of several.
func wrongCode(t otp.Token, n int) string {
	shown := map[string]bool{}
	for factor := range uint64(1000) {
		shown[code(t, factor)] = true
	}
	for i := 0; ; i++ {
		if wrong := fmt.Sprintf("%06d", i); !shown[wrong] {
			if n--; n < 0 {
				return wrong
			}
		}
	}
}

// lock locks a token by wrong codes after the right PIN.
func (w *world) lock(name string, t otp.Token) {
	w.Helper()
	for i := range otp.DefaultPolicy().MaxFailures {
		w.expect(otp.WrongCode, name, pin+wrongCode(t, i))
	}
	w.expect(otp.Locked, name, pin+code(t, 0))
}

func unknownUserIsRecorded(w *world) {
	w.addUser("alice", hotp("T1"))
	w.expect(otp.UnknownUser, "mallory", "whatever")
	e := w.events(tms.Filter{User: "mallory"})
	if len(e) != 1 || e[0].Decision.Verdict != otp.UnknownUser || e[0].Kind != tms.LoginEvent {
		w.Errorf("events %+v", e)
	}
	token := hotp("T2")
	w.addUser("mallory", token)
	w.expect(otp.Accepted, "mallory", pin+code(token, 0))
}

func presetVerdictIsRecorded(w *world) {
	a := attempt("alice", "")
	a.Preset, a.Method = otp.Unreadable, otp.NoMethod
	w.addUser("alice", hotp("T1"))
	verdict, err := w.verifier.Verify(w.Context(), a)
	w.must(err)
	e := w.events(tms.Filter{Limit: 1})
	if verdict != otp.Unreadable || len(e) != 1 || e[0].Decision.Verdict != otp.Unreadable || e[0].Method != otp.NoMethod {
		w.Errorf("verdict %v, events %+v", verdict, e)
	}
	if e[0].ID != a.Event || a.Event == (otp.EventID{}) {
		w.Errorf("the attempt has event %v, the journal %v", a.Event, e[0].ID)
	}
}

func severalTokens(w *world) {
	var tokens []otp.Token
	for i := range otp.MaxTokens {
		t := hotp(fmt.Sprint("T", i))
		t.Digits = 8 // so that no two show the same by chance
		tokens = append(tokens, t)
	}
	w.addUser("alice", tokens...)
	for round := range uint64(2) {
		for _, t := range tokens {
			w.expect(otp.Accepted, "alice", pin+code(t, round))
			w.expect(otp.Replayed, "alice", pin+code(t, round))
		}
		w.reopen()
	}
	for _, t := range tokens {
		if counter := w.token(t.Serial).State.Counter; counter != 2 {
			w.Errorf("token %s: counter %d, want 2", t.Serial, counter)
		}
	}
	if n := len(w.user("alice").Tokens); n != otp.MaxTokens {
		w.Errorf("%d tokens, want %d", n, otp.MaxTokens)
	}
}

func closedStoreTakesNothing(w *world) {
	w.addUser("alice", hotp("T1"))
	w.close()
	if w.store.Submit(attempt("alice", "4711000000")) {
		w.Error("a closed store took a login")
	}
	if w.store.AppendAccounting(noon, "ras", "192.0.2.1", nil, func(error) {}) {
		w.Error("a closed store took an accounting record")
	}
	if w.store.Ready() == nil {
		w.Error("a closed store is ready")
	}
	err := w.store.ChangeUser(w.Context(), "bob", act("user.add", "bob"), func(u *tms.User) error { u.Exists = true; return nil })
	if err == nil {
		w.Error("a closed store took a change")
	}
	w.open()
}
