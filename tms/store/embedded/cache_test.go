package embedded

import (
	"context"
	"fmt"
	"math"
	"testing"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
)

// TestSubmitDoesNotAllocate measures logins of a cached user while the committer
// is kept busy, for a commit allocates.
func TestSubmitDoesNotAllocate(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 0))
	told := make(notified, 2000)
	attempts := make([]*otp.Attempt, cap(told))
	for i := range attempts {
		attempts[i] = attempt(0, passcode(0, uint64(i+1)))
		attempts[i].Waiter = told
		if i%2 == 0 {
			attempts[i].Rule, attempts[i].Trace = uint64(i%20), make([]byte, 60)
		}
		if i%4 == 1 {
			attempts[i].Order, attempts[i].TMS = otp.TMSOnly, otp.TMSAccepted
		}
	}
	next := 0
	k.must(k.do(context.Background(), func() error {
		allocations := testing.AllocsPerRun(len(attempts)-1, func() {
			if !k.Submit(attempts[next]) {
				t.Error("refused")
			}
			next++
		})
		if allocations > strayAllocations {
			t.Errorf("%v allocations in a login", allocations)
		}
		return nil
	}))
	for range next {
		if err := <-told; err != nil {
			t.Error(err)
		}
	}
	for i, a := range attempts[:next] {
		if d := a.Decision; !d.Verdict.Accepts() || (d.Own == otp.Accepted) != (i%4 == 1) {
			t.Fatalf("decision %+v", d)
		}
	}
}

// notified is a waiter that passes on what it is told.
type notified chan error

func (n notified) Decided(_ *otp.Attempt, err error) { n <- err }

func TestCacheIsBounded(t *testing.T) {
	o := testOptions(t)
	o.CacheUsers = 10
	k := openKit(t, o)
	k.populate(1000, false)
	for round := range uint64(2) {
		for n := range 1000 {
			k.expect(otp.Accepted, n, passcode(n, round))
			// a shard without an account of its own has none to drop
			if users := k.cache.users.Load(); users > 10+shardCount {
				t.Fatalf("%d accounts are cached", users)
			}
		}
	}
	for n := range 1000 {
		k.expect(otp.Replayed, n, passcode(n, 1))
	}
}

func TestCacheIsFilledAtTheStart(t *testing.T) {
	k := newKit(t)
	k.populate(1000, false)
	k = k.reopen()
	for k.cache.users.Load() < 1000 { // the test's time limit ends this
		k.expect(otp.UnknownUser, 1000, "nobody")
	}
	k.expect(otp.Accepted, 7, passcode(7, 0))
}

// TestSmallCacheUnderLoad has accounts leave the cache, come back, change and be
// folded all at once, and crashes in between.
func TestSmallCacheUnderLoad(t *testing.T) {
	o := testOptions(t)
	o.CacheUsers = 8
	k := openKit(t, o)
	const users, rounds = 64, 12
	k.populate(users, false)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		k.disturb(ctx, users)
	}()
	for part := range uint64(3) {
		parallel(users, func(n int) {
			for round := part * rounds; round < (part+1)*rounds; round++ {
				k.twice(n, passcode(n, round))
			}
		})
		crashed := openKit(t, k.crash())
		for serial, counter := range crashed.counters() {
			if counter < (part+1)*rounds {
				t.Errorf("after a crash %s has counter %d, but %d was accepted", serial, counter, (part+1)*rounds-1)
			}
		}
		parallel(users, func(n int) { crashed.expect(otp.Replayed, n, passcode(n, (part+1)*rounds-1)) })
	}
	stop()
	<-ended
}

// twice logs in twice at once with one code.
func (k *kit) twice(n int, code string) {
	k.Helper()
	verdicts := make(chan otp.Verdict, 2)
	parallel(2, func(int) {
		verdict, err := k.login(n, code)
		if err != nil {
			k.Error(err)
		}
		verdicts <- verdict
	})
	if a, b := <-verdicts, <-verdicts; a+b != otp.Accepted+otp.Replayed || a == b {
		k.Errorf("two logins of user %d with one code: %v and %v", n, a, b)
	}
}

// disturb folds, checkpoints, and changes tokens and users until ctx is done.
func (k *kit) disturb(ctx context.Context, users int) {
	for n := 0; ctx.Err() == nil; n++ {
		if err := k.fold(context.Background()); err != nil {
			k.Error(err)
		}
		if err := k.checkpoint(context.Background()); err != nil {
			k.Error(err)
		}
		act := tms.Act{At: noon, Actor: "test", Verb: "token.set"}
		err := k.ChangeToken(context.Background(), serial(n%users), act, func(t *tms.Token) error {
			t.State.Failures = uint16(n % 5)
			return nil
		})
		if err != nil {
			k.Error(err)
		}
		err = k.ChangeUser(context.Background(), otp.UserName(userName((n+7)%users)), act, func(u *tms.User) error {
			u.Created = u.Created.Add(1)
			return nil
		})
		if err != nil {
			k.Error(err)
		}
		err = k.ChangeHolder(context.Background(), otp.UserName(fmt.Sprint("invited", n%10)), act, func(h *tms.Holder) error {
			h.Invitation.By = fmt.Sprint(n) // of those who are
			return nil
		})
		if err != nil {
			k.Error(err)
		}
	}
}

func TestRevisionsAreNotLostInTheTables(t *testing.T) {
	o := testOptions(t)
	k := openKit(t, o)
	k.populate(1, false)
	k.must(k.do(context.Background(), func() error {
		return k.writeStates([]store.Change{{Token: 1, Rev: math.MaxInt64 - 5, State: otp.State{Counter: 3}}})
	}))
	k = k.reopen()
	k.expect(otp.Replayed, 0, passcode(0, 2))
	k.expect(otp.Accepted, 0, passcode(0, 3))
	k = k.reopen()
	if got := k.token(serial(0)).State.Counter; got != 4 {
		t.Errorf("counter %d, want 4", got)
	}
}
