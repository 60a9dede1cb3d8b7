package storetest

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/audit"
)

// filledCode is the first code that users of Fill have not used, by their token.
const filledCode = 3

// filled are tokens of users whom Fill has logged in three times; each is of another type.
func filled() map[string]otp.Token {
	all := map[string]otp.Token{"event": hotp("F-EVENT"), "clock": totp("F-CLOCK"), "pass": hotp("F-PASS"), "list": hotp("F-LIST")}
	for name, t := range all {
		switch name {
		case "pass":
			t.Type = otp.MobilePASS
		case "list":
			t.Type, t.Codes, t.ValidUntil = otp.CodeList, 10, noon.Unix()+1000
		}
		all[name] = t
	}
	return all
}

// filledAttempt is a login of such a user with the n-th code. The clock tokens' are as
// many steps ahead, and one login a step is all they are good for.
func filledAttempt(name string, t otp.Token, n uint64) *otp.Attempt {
	a := attempt(name, "")
	if t.Type.Clock() {
		a.At = noon.Add(time.Duration(n) * 30 * time.Second)
		n += now(t)
	}
	a.Passcode = otp.NewPasscode([]byte(pin + code(t, n)))
	return a
}

// Fill puts into an empty store something of all that a store has. When it was closed and
// opened again, Age removes the beginning of its logs.
func Fill(t testing.TB, s Store) {
	t.Helper()
	w := &world{TB: t, store: s, verifier: otp.NewVerifier(s, otp.DefaultPolicy())}
	w.fillAccounts()
	w.fillRules()
	w.fillEnrolment()
	w.fillAccounting()
	_, err := s.BoxKey(w.Context())
	w.must(err)
	for _, nas := range []string{"ras", "nas-\xff\x00"} {
		w.must(s.RememberMessageAuthenticator(w.Context(), nas))
		w.must(s.KeepNote(w.Context(), "collector", nas, []byte("17-3\x00")))
	}
	w.must(s.NoteSeen(w.Context(), []tms.Seen{{User: "event", Last: noon.Add(24 * time.Hour)}, {User: "zoë", Last: noon}}))
}

// Age removes the beginning of the journal and of the accounting log of a store that has
// what Fill made, and lets a user in whose codes come after that.
func Age(t testing.TB, s Store) {
	t.Helper()
	w := &world{TB: t, store: s, verifier: otp.NewVerifier(s, otp.DefaultPolicy())}
	token := hotp("F-LATE")
	w.addUser("late", token)
	if w.prune(noon.Add(10*time.Minute)) == 0 {
		w.Error("nothing was removed from the journal")
	}
	n, err := s.PruneAccounting(w.Context(), noon.Add(time.Minute), accounting.Position{Batch: 2, Index: math.MaxUint32})
	if n != 2 || err != nil {
		w.Errorf("%d entries were removed, error %v, want 2", n, err)
	}
	w.expect(otp.Accepted, "late", pin+code(token, 0))
}

// fillAccounts makes users with tokens, and logs them in until filledCode.
func (w *world) fillAccounts() {
	tokens := filled()
	for _, name := range slices.Sorted(maps.Keys(tokens)) {
		t := tokens[name]
		w.addUser(name, t)
		for n := range uint64(filledCode) {
			w.verify(otp.Accepted, filledAttempt(name, t, n))
		}
	}
	w.addUser("locked", hotp("F-LOCKED"))
	w.lock("locked", hotp("F-LOCKED"))
	w.addUser("disabled", hotp("F-DISABLED"))
	w.changeUser("disabled", func(u *tms.User) { u.Disabled, u.PIN, u.Home = true, otp.PIN{}, otp.HomeTMS })
	w.addToken("", hotp("F-STOCK"))
	w.addUser("left", hotp("F-LEFT"))
	w.changeUser("left", func(u *tms.User) { u.Exists = false }) // ids are not used again
	w.login("stranger", "\xff\x00")
}

// fillRules makes revisions of rules, and uses one.
func (w *world) fillRules() {
	w.setFileRules(rulesOf("f1", "f2")...)
	w.setRule(rule("added"))
	w.setFileRules(rulesOf("f2", "f3")...)
	w.setRule(reasoned("added", "another"))
	w.setRule(rule("removed"))
	w.removeRule("removed")
	w.verify(otp.Excluded, excluded("guest", w.ruleNamed("added").ID))
}

func (w *world) fillEnrolment() {
	w.invite("invited")
	w.invite("active")
	w.changeHolder("active", func(h *tms.Holder) { activate("active", h) })
	w.queue("active", 60, 30)
}

// fillAccounting makes entries, of which all but the last are taken and one is a repeat.
func (w *world) fillAccounting() {
	for _, attributes := range []string{"one", "two", "one", "\xff\x00"} {
		w.account(noon, attributes)
	}
	_, err := w.store.Take(w.Context(), 100, func(tx accounting.Tx, entries []accounting.Entry) error {
		one := entries[0].Position
		w.make(tx, []accounting.Entry{entries[0], entries[1], entries[3]})
		fresh, err := tx.Note(one, &entries[2], fingerprint(one.String()))
		if fresh {
			w.Error("a repeat is fresh")
		}
		return err
	})
	w.must(err)
	w.account(noon.Add(time.Second), "three")
}

// Everything is all that a store lists, as lines to compare. It has neither PINs nor seeds:
// GoesOn uses them.
func Everything(t testing.TB, s Store) (lines []string) {
	t.Helper()
	w := &world{TB: t, store: s}
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	w.must(s.Users(w.Context(), tms.Filter{}, func(u *tms.User) error { say("user %+v PIN %v", *u, !u.PIN.IsZero()); return nil }))
	w.must(s.Tokens(w.Context(), tms.Filter{}, func(k *tms.Token) error { say("token %+v", *k); return nil }))
	revision, _ := w.rules(0)
	for r := uint64(1); r <= revision; r++ {
		_, rules := w.rules(r)
		say("revision %d: %+v", r, rules)
	}
	for _, i := range w.invitations(tms.Filter{}) {
		say("invitation %+v PIN %v", i, !i.PIN.IsZero())
	}
	for _, m := range w.mails(tms.Filter{}) {
		say("mail %+v", m)
	}
	for _, seen := range w.seen(tms.Filter{}) {
		say("seen %+v", seen)
	}
	nases, err := s.MessageAuthenticatorSeen(w.Context())
	w.must(err)
	notes, err := s.Notes(w.Context(), "collector")
	w.must(err)
	key, err := s.BoxKey(w.Context())
	w.must(err)
	say("senders %q, notes %q, box key %s", nases, notes, hex.EncodeToString(key))
	for _, f := range []tms.Filter{{}, {User: "event"}, {Serial: "F-CLOCK"}} {
		say("events %+v", w.events(f))
	}
	w.sayLogs(say)
	return lines
}

// SameLines expects that a store lists what another did.
func SameLines(t testing.TB, got, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d of what is listed is %s\nand not %s", i, g, w)
			return
		}
	}
}

// sayLogs says what is in the journal and the accounting log, as it is stored.
func (w *world) sayLogs(say func(string, ...any)) {
	key, err := w.store.AuditKey(w.Context())
	w.must(err)
	begin, _, err := w.store.Begin(w.Context())
	w.must(err)
	say("key %x, begins %v", key, begin)
	w.must(w.store.Batches(w.Context(), begin.Batch, func(b *audit.Batch) error { say("batch %+v", *b); return nil }))
	w.must(w.store.Checkpoints(w.Context(), begin.Batch, func(c *audit.Checkpoint) error { say("checkpoint %v", c); return nil }))
	for _, s := range w.sessions(accounting.Filter{}) {
		say("session %+v", s)
		w.must(w.store.Records(w.Context(), s.ID, func(e *accounting.Entry) error { say("record %+v", *e); return nil }))
	}
	looked, err := w.store.Forwardable(w.Context(), accounting.Position{}, 100, func(e *accounting.Entry) error { say("forwarded %+v", *e); return nil })
	w.must(err)
	records, oldest, last, err := w.store.Waiting(w.Context(), accounting.Position{})
	w.must(err)
	say("up to %v, waiting %d from %v to %v", looked, records, oldest, last)
}

// GoesOn expects that a store which has what Fill made does not accept the last code that
// was used, accepts the next one once, and verifies; and that new users, tokens, mails and rules get ids that
// none had. There are so many calls for the same store before.
func GoesOn(t testing.TB, s Store, before uint64) {
	t.Helper()
	w := &world{TB: t, store: s, verifier: otp.NewVerifier(s, otp.DefaultPolicy())}
	next := filledCode + before
	for name, token := range filled() {
		w.verify(otp.Replayed, filledAttempt(name, token, next-1))
		w.verify(otp.Accepted, filledAttempt(name, token, next))
		w.verify(otp.Replayed, filledAttempt(name, token, next))
	}
	w.expect(otp.Locked, "locked", pin+code(hotp("F-LOCKED"), 0))
	name := fmt.Sprint("new", before)
	token := hotp("F-NEW" + fmt.Sprint(before))
	w.addUser(name, token)
	w.expect(otp.Accepted, name, pin+code(token, 0))
	w.invite("more" + fmt.Sprint(before))
	w.setRule(rule(name))
	w.account(noon, name)
	r, err := audit.Verify(context.Background(), s, audit.VerifyOptions{})
	if err != nil || !r.OK() {
		w.Errorf("the audit log: %+v, error %v", r.Faults, err)
	}
}
