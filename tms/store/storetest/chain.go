package storetest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"countersign/otp"
	"countersign/radiusd/accounting"
	"countersign/tms"
	"countersign/tms/audit"
)

// chained expects that all batches are there and chained, and every checkpoint signed. It
// returns the last batch and the newest checkpoint.
func (w *world) chained() (last uint64, newest audit.Checkpoint) {
	w.Helper()
	begin, _, err := w.store.Begin(w.Context())
	w.must(err)
	hashes := map[uint64]audit.Hash{begin.Batch: begin.Chain}
	last, head := begin.Batch, begin.Chain
	w.must(w.store.Batches(w.Context(), last, func(b *audit.Batch) error {
		head = audit.Link(head, b.Number, b.Records)
		if b.Number != last+1 || b.Bare || b.Chain != head {
			w.Errorf("batch %d after %d, bare: %v, hash %v, want %v", b.Number, last, b.Bare, b.Chain, head)
		}
		last, head = b.Number, b.Chain
		hashes[last] = head
		return nil
	}))
	key, err := w.store.AuditKey(w.Context())
	w.must(err)
	if begin.Batch > 0 && !begin.BeginsBy(key) {
		w.Errorf("the chain begins at %+v, which nobody signed", begin)
	}
	w.must(w.store.Checkpoints(w.Context(), begin.Batch, func(c *audit.Checkpoint) error {
		if c.Batch <= newest.Batch || !c.SignedBy(key) || c.Chain != hashes[c.Batch] {
			w.Errorf("checkpoint %+v after %d, hash %v", c, newest.Batch, hashes[c.Batch])
		}
		newest = *c
		return nil
	}))
	return last, newest
}

// chainHoldsAll looks at a chain while it grows, and afterwards.
func chainHoldsAll(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range uint64(200) {
			w.expect(otp.Accepted, "alice", pin+code(token, n))
		}
	})
	for range 3 {
		w.chained()
		_, err := w.store.Checkpoint(w.Context())
		w.must(err)
	}
	wg.Wait()
	w.chained()
	key, err := w.store.AuditKey(w.Context())
	w.must(err)
	w.reopen()
	w.chained()
	if again, err := w.store.AuditKey(w.Context()); err != nil || !slices.Equal(again, key) {
		w.Errorf("key %x, error %v, want %x", again, err, key)
	}
}

var errChanged = errors.New("changed my mind")

// chainHasNoGaps has changes fail as late as they can.
func chainHasNoGaps(w *world) {
	w.addUser("alice", hotp("T1"))
	for n := range 5 {
		if err := w.importRow(tms.User{Exists: true, Name: "alice"}, tms.Token{}); err == nil {
			w.Error("a user was imported twice")
		}
		err := w.store.ChangeUser(w.Context(), "alice", act("user.set", "alice"), func(*tms.User) error { return errChanged })
		if !errors.Is(err, errChanged) {
			w.Errorf("error %v", err)
		}
		w.addUser(fmt.Sprint("user", n))
		w.account(noon, "x")
	}
	w.chained()
	w.reopen()
	w.addUser("bob")
	w.chained()
}

func checkpoints(w *world) {
	c, err := w.store.Checkpoint(w.Context())
	if err != nil || c.Batch != 0 {
		w.Errorf("of an empty journal: %+v, error %v", c, err)
	}
	token := hotp("T1")
	w.addUser("alice", token)
	for n := range uint64(3) {
		w.expect(otp.Accepted, "alice", pin+code(token, n))
		c, err := w.store.Checkpoint(w.Context())
		last, newest := w.chained()
		if err != nil || c.Batch != last || newest.Batch != last {
			w.Errorf("checkpoint %+v, error %v, listed %+v, want that of batch %d", c, err, newest, last)
		}
		again, err := w.store.Checkpoint(w.Context())
		if err != nil || again.Batch != c.Batch || !again.At.Equal(c.At) || !slices.Equal(again.Signature, c.Signature) {
			w.Errorf("checkpoint %+v, error %v, want %+v again", again, err, c)
		}
	}
	w.expect(otp.Accepted, "alice", pin+code(token, 3))
	w.reopen()
	if last, newest := w.chained(); newest.Batch != last {
		w.Errorf("closed with checkpoint %+v, want one of batch %d", newest, last)
	}
}

// prune removes what is from before an instant.
func (w *world) prune(before time.Time) (batches int64) {
	w.Helper()
	batches, err := w.store.Prune(w.Context(), before, math.MaxInt64, act("audit.prune", ""))
	w.must(err)
	return batches
}

func prunedChainIsRight(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	for n := range uint64(20) {
		w.expect(otp.Accepted, "alice", pin+code(token, n))
	}
	removed := w.events(tms.Filter{})
	w.reopen() // all of it is signed, and needed no more
	first, _ := w.chained()
	w.loginAt(noon.Add(time.Hour), token, 20)
	if n := w.prune(noon); n != 0 {
		w.Errorf("%d batches of just then were removed", n)
	}
	if n := w.prune(noon.Add(time.Minute)); n != int64(first) {
		w.Errorf("%d batches were removed, want %d", n, first)
	}
	if n := w.prune(noon.Add(time.Minute)); n != 0 {
		w.Errorf("%d batches were removed again", n)
	}
	for range 2 {
		begin, ok, err := w.store.Begin(w.Context())
		if err != nil || !ok || begin.Batch != first {
			w.Errorf("begins after %+v, %v, error %v, want batch %d", begin, ok, err, first)
		}
		w.chained()
		if events := w.events(tms.Filter{}); len(events) != 2 || events[0].Verb != "audit.prune" || events[1].Decision.Verdict != otp.Accepted {
			w.Errorf("events %+v", events)
		}
		for _, e := range removed {
			if _, err := w.store.Event(w.Context(), e.ID); !errors.Is(err, tms.ErrNotFound) {
				w.Errorf("event %v: error %v", e.ID, err)
			}
		}
		if err := w.store.Batches(w.Context(), first-1, func(*audit.Batch) error { return nil }); err == nil {
			w.Error("batches that are removed can be listed")
		}
		w.reopen()
	}
	w.expect(otp.Replayed, "alice", pin+code(token, 20))
	w.expect(otp.Accepted, "alice", pin+code(token, 21))
}

// loginAt is a login with the code of a counter.
func (w *world) loginAt(at time.Time, token otp.Token, counter uint64) {
	w.Helper()
	a := attempt("alice", pin+code(token, counter))
	a.At = at
	w.verify(otp.Accepted, a)
}

// pruneKeepsWhatIsNew removes what is old by and by, and once all.
func pruneKeepsWhatIsNew(w *world) {
	token := hotp("T1")
	w.addUser("alice", token)
	for day := range 5 {
		at := noon.AddDate(0, 0, day)
		w.loginAt(at, token, uint64(day))
		w.reopen()
		w.prune(at)
		events := w.events(tms.Filter{})
		for _, e := range events {
			if e.At.Before(at) && e.Verb != "audit.prune" {
				w.Errorf("event %+v is older than %v", e, at)
			}
		}
		if !slices.ContainsFunc(events, func(e tms.Event) bool { return e.Kind == tms.LoginEvent && e.At.Equal(at) }) {
			w.Errorf("the login at %v is gone", at)
		}
		w.chained()
	}
	w.reopen()
	w.prune(noon.AddDate(0, 0, 9))
	w.chained()
	w.expect(otp.Replayed, "alice", pin+code(token, 4))
	w.reopen()
	w.expect(otp.Accepted, "alice", pin+code(token, 5))
	w.chained()
}

func notesAreKept(w *world) {
	keep := func(kind, name, value string) { w.must(w.store.KeepNote(w.Context(), kind, name, []byte(value))) }
	keep("cursor", "a", "1")
	keep("cursor", "b", "")
	keep("other", "a", string(everyByte))
	keep("cursor", "a", "2")
	for range 2 {
		for kind, want := range map[string]map[string]string{"cursor": {"a": "2", "b": ""}, "other": {"a": string(everyByte)}, "none": {}} {
			notes, err := w.store.Notes(w.Context(), kind)
			w.must(err)
			got := map[string]string{}
			for name, value := range notes {
				got[name] = string(value)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				w.Errorf("notes of %s: %q, want %q", kind, got, want)
			}
		}
		w.reopen()
	}
	if n := len(w.events(tms.Filter{})) + len(w.take(accounting.Position{})); n != 0 {
		w.Errorf("%d records of notes", n)
	}
}
