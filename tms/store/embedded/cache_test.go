package embedded

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/store"
)

func TestAccountKeepsEverything(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string { // any bytes
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(random.Uint32())
		}
		return string(b)
	}
	bounded := func(n uint64) int64 { // zero mostly
		if random.IntN(4) > 0 {
			return 0
		}
		return int64(n)
	}
	for range 1000 {
		u := userRow{name: text(1 + random.IntN(otp.MaxUserName)), pin: []byte(text(random.IntN(129))), disabled: random.IntN(2) == 0, home: otp.Home(random.IntN(3))}
		for range random.IntN(otp.MaxTokens + 1) {
			u.tokens = append(u.tokens, tokenRow{id: random.Int64(), rev: random.Uint64(), Token: otp.Token{
				Serial: otp.Serial(text(1 + random.IntN(otp.MaxSerial))), Type: otp.TokenType(random.IntN(4)),
				Algorithm: oath.Algorithm(random.IntN(3)), Digits: uint8(6 + random.IntN(5)), Period: random.Uint32(),
				T0: int64(random.Uint64()), Disabled: random.IntN(2) == 0, Learned: random.IntN(2) == 0, Seed: oath.NewSeed([]byte(text(1 + random.IntN(maxSeed)))),
				Codes: uint16(bounded(random.Uint64())), ValidFrom: bounded(random.Uint64()), ValidUntil: bounded(random.Uint64()),
				State: otp.State{
					Counter: random.Uint64(), Drift: int32(random.Uint32()), Failures: uint16(random.Uint32()), MustResync: random.IntN(2) == 0,
					LockedUntil: int64(random.Uint64()), ResyncFactor: random.Uint64(), ResyncUntil: int64(random.Uint64()),
					Agreed: uint16(random.Uint32()), Disagreed: uint16(random.Uint32()),
				},
			}})
		}
		compare(t, pack(&u), &u)
	}
}

func compare(t *testing.T, p *account, u *userRow) {
	t.Helper()
	var a otp.Account
	p.unpack(&a)
	if p.name() != u.name || a.Disabled != u.disabled || a.Home != u.home || !a.PIN.Equal(otp.NewPIN(u.pin)) || len(a.Tokens) != len(u.tokens) || !a.Exists {
		t.Fatalf("got %q %v of %d tokens, want %q %v of %d", p.name(), a.Disabled, len(a.Tokens), u.name, u.disabled, len(u.tokens))
	}
	var changes []store.Change
	p.each(func(c store.Change) { changes = append(changes, c) })
	for i := range u.tokens {
		got, want := a.Tokens[i], u.tokens[i].Token
		if !got.Seed.Equal(want.Seed) {
			t.Fatal("another seed")
		}
		got.Seed, want.Seed = oath.Seed{}, oath.Seed{}
		if got != want {
			t.Fatalf("token %d\ngot  %+v\nwant %+v", i, got, want)
		}
		if want := (store.Change{Token: u.tokens[i].id, Rev: u.tokens[i].rev, State: want.State}); changes[i] != want {
			t.Fatalf("change %d\ngot  %+v\nwant %+v", i, changes[i], want)
		}
	}
}

func TestAccountAppliesWhatChanged(t *testing.T) {
	u := userRow{name: "alice"}
	for id := range int64(3) {
		u.tokens = append(u.tokens, tokenRow{id: 10 + id, rev: 5, Token: otp.Token{Serial: "T", Digits: 6, Seed: oath.NewSeed([]byte("seed"))}})
	}
	p := pack(&u)
	var a otp.Account
	p.unpack(&a)
	for i := range a.Tokens {
		a.Tokens[i].State.Counter = 100 + uint64(i)
	}
	got := p.apply(&a, 0b101, nil)
	want := []store.Change{{Token: 10, Rev: 6, State: otp.State{Counter: 100}}, {Token: 12, Rev: 6, State: otp.State{Counter: 102}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	u.tokens[0].rev, u.tokens[0].State.Counter = 6, 100
	u.tokens[2].rev, u.tokens[2].State.Counter = 6, 102
	compare(t, p, &u)
}

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
