package tables

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"countersign/otp"
	"countersign/otp/oath"
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
		u := UserRow{Name: text(1 + random.IntN(otp.MaxUserName)), PIN: []byte(text(random.IntN(129))), Disabled: random.IntN(2) == 0, Home: otp.Home(random.IntN(3))}
		for range random.IntN(otp.MaxTokens + 1) {
			u.Tokens = append(u.Tokens, TokenRow{ID: random.Int64(), Rev: random.Uint64(), Token: otp.Token{
				Serial: otp.Serial(text(1 + random.IntN(otp.MaxSerial))), Type: otp.TokenType(random.IntN(4)),
				Algorithm: oath.Algorithm(random.IntN(3)), Digits: uint8(6 + random.IntN(5)), Period: random.Uint32(),
				T0: int64(random.Uint64()), Disabled: random.IntN(2) == 0, Learned: random.IntN(2) == 0, Seed: oath.NewSeed([]byte(text(1 + random.IntN(128)))),
				Codes: uint16(bounded(random.Uint64())), ValidFrom: bounded(random.Uint64()), ValidUntil: bounded(random.Uint64()),
				State: otp.State{
					Counter: random.Uint64(), Drift: int32(random.Uint32()), Failures: uint16(random.Uint32()), MustResync: random.IntN(2) == 0,
					LockedUntil: int64(random.Uint64()), ResyncFactor: random.Uint64(), ResyncUntil: int64(random.Uint64()),
					Agreed: uint16(random.Uint32()), Disagreed: uint16(random.Uint32()),
				},
			}})
		}
		compare(t, Pack(&u), &u)
	}
}

func compare(t *testing.T, p *Account, u *UserRow) {
	t.Helper()
	var a otp.Account
	p.Unpack(&a)
	if p.Name() != u.Name || a.Disabled != u.Disabled || a.Home != u.Home || !a.PIN.Equal(otp.NewPIN(u.PIN)) || len(a.Tokens) != len(u.Tokens) || !a.Exists {
		t.Fatalf("got %q %v of %d tokens, want %q %v of %d", p.Name(), a.Disabled, len(a.Tokens), u.Name, u.Disabled, len(u.Tokens))
	}
	var changes []store.Change
	p.Each(func(c store.Change) { changes = append(changes, c) })
	for i := range u.Tokens {
		got, want := a.Tokens[i], u.Tokens[i].Token
		if !got.Seed.Equal(want.Seed) {
			t.Fatal("another seed")
		}
		got.Seed, want.Seed = oath.Seed{}, oath.Seed{}
		if got != want {
			t.Fatalf("token %d\ngot  %+v\nwant %+v", i, got, want)
		}
		if want := (store.Change{Token: u.Tokens[i].ID, Rev: u.Tokens[i].Rev, State: want.State}); changes[i] != want {
			t.Fatalf("change %d\ngot  %+v\nwant %+v", i, changes[i], want)
		}
	}
}

func TestAccountAppliesWhatChanged(t *testing.T) {
	u := UserRow{Name: "alice"}
	for id := range int64(3) {
		u.Tokens = append(u.Tokens, TokenRow{ID: 10 + id, Rev: 5, Token: otp.Token{Serial: "T", Digits: 6, Seed: oath.NewSeed([]byte("seed"))}})
	}
	p := Pack(&u)
	var a otp.Account
	p.Unpack(&a)
	for i := range a.Tokens {
		a.Tokens[i].State.Counter = 100 + uint64(i)
	}
	got := p.Apply(&a, 0b101, nil)
	want := []store.Change{{Token: 10, Rev: 6, State: otp.State{Counter: 100}}, {Token: 12, Rev: 6, State: otp.State{Counter: 102}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	u.Tokens[0].Rev, u.Tokens[0].State.Counter = 6, 100
	u.Tokens[2].Rev, u.Tokens[2].State.Counter = 6, 102
	compare(t, p, &u)
}
