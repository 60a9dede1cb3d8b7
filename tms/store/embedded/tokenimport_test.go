package embedded

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
)

func seedRow(n int) tms.TokenRow {
	return tms.TokenRow{Line: n + 1, Token: otp.Token{Serial: serial(n), Type: otp.HOTP, Digits: 6, Seed: oath.NewSeed(seed(n))}}
}

// TestImportHoldsWhomItChanges has a user log in after an import has looked, and before
// it writes.
func TestImportHoldsWhomItChanges(t *testing.T) {
	k := newKit(t)
	k.populate(3, false)
	k.expect(otp.Accepted, 1, passcode(1, 0))
	rows := []tms.TokenRow{seedRow(0), seedRow(1), seedRow(2)}
	calls := 0
	var later decided
	k.must(k.ChangeStock(context.Background(), rows, func(stock *tms.Stock) (tms.Act, error) {
		calls++
		counter := stock.Tokens[1].State.Counter
		sh := k.cache.shard([]byte(userName(1)))
		free := sh.mu.TryLock()
		if free {
			sh.mu.Unlock()
		}
		switch calls {
		case 1:
			later = k.submit(1, passcode(1, 1)) // decided at once, durable later
			if counter != 1 || !free {
				t.Errorf("at first: counter %d, the lock is free: %v", counter, free)
			}
		case 2:
			if counter != 2 || free || sh.accounts[userName(1)] != nil {
				t.Errorf("then: counter %d, the lock is free: %v, and the account %v", counter, free, sh.accounts[userName(1)])
			}
		}
		stock.Tokens[1].State.Counter += 10
		return tms.Act{At: noon, Verb: "token.import"}, nil
	}))
	if verdict := later.await(t); calls != 2 || verdict != otp.Accepted {
		t.Errorf("%d looks, and the login is %v", calls, verdict)
	}
	k = k.reopen()
	if counter := k.token(serial(1)).State.Counter; counter != 12 {
		t.Errorf("counter %d", counter)
	}
	k.expect(otp.Accepted, 1, passcode(1, 12))
}

// decided waits for a login.
type decided struct {
	*otp.Attempt
	done chan error
}

func (d decided) Decided(_ *otp.Attempt, err error) { d.done <- err }

func (k *kit) submit(n int, passcode string) decided {
	d := decided{attempt(n, passcode), make(chan error, 1)}
	d.Waiter = d
	if !k.Submit(d.Attempt) {
		k.Error("the store takes no login")
	}
	return d
}

func (d decided) await(t *testing.T) otp.Verdict {
	t.Helper()
	if err := <-d.done; err != nil {
		t.Error(err)
	}
	return d.Decision.Verdict
}

// TestImportWithoutNewStatesHoldsNobody imports what is there with other settings.
func TestImportWithoutNewStatesHoldsNobody(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 4))
	calls := 0
	k.must(k.ChangeStock(context.Background(), []tms.TokenRow{seedRow(0)}, func(stock *tms.Stock) (tms.Act, error) {
		calls++
		stock.Tokens[0].ValidUntil = noon.Unix() + 1
		return tms.Act{At: noon, Verb: "token.import"}, nil
	}))
	if calls != 1 {
		t.Errorf("%d looks", calls)
	}
	k.expect(otp.Replayed, 0, passcode(0, 4))
	k.expect(otp.Accepted, 0, passcode(0, 5))
}

// TestImportOfOtherCodesHoldsWhoHasThem: a login that was decided by the old seed or
// settings must not be written over the new ones.
func TestImportOfOtherCodesHoldsWhoHasThem(t *testing.T) {
	for name, other := range map[string]func(*otp.Token){
		"seed":   func(t *otp.Token) { t.Seed = oath.NewSeed([]byte("another seed")) },
		"type":   func(t *otp.Token) { t.Type, t.Period = otp.TOTP, 30 },
		"period": func(t *otp.Token) { t.Period = 60 },
		"T0":     func(t *otp.Token) { t.T0 = 30 },
	} {
		k := newKit(t)
		k.populate(1, false)
		calls := 0
		k.must(k.ChangeStock(context.Background(), []tms.TokenRow{seedRow(0)}, func(stock *tms.Stock) (tms.Act, error) {
			calls++
			other(&stock.Tokens[0].Token)
			return tms.Act{At: noon, Verb: "token.import"}, nil
		}))
		if calls != 2 {
			t.Errorf("%s: %d looks", name, calls)
		}
	}
}

// TestImportThatCannotLookAgain loses the keys between its two looks: nothing is
// written, and the store goes on.
func TestImportThatCannotLookAgain(t *testing.T) {
	k := newKit(t)
	k.populate(1, false)
	k.expect(otp.Accepted, 0, passcode(0, 4))
	keys, err := k.copyKeyring(k.options.KEKs[0])
	k.must(err)
	other, err := seal.NewKeyring(rand.Reader)
	k.must(err)
	err = k.ChangeStock(context.Background(), []tms.TokenRow{seedRow(0)}, func(stock *tms.Stock) (tms.Act, error) {
		stock.Tokens[0].State.Counter += 10
		k.keyring.Adopt(other)
		return tms.Act{At: noon, Verb: "token.import"}, nil
	})
	k.keyring.Adopt(keys)
	if err == nil {
		t.Error("tokens that cannot be read were changed")
	}
	k.expect(otp.Accepted, 0, passcode(0, 5))
}

// TestImportBurnsWhatWasUsed moves the steps of a clock token by one: the code that was
// used would be that of a step to come.
func TestImportBurnsWhatWasUsed(t *testing.T) {
	k := newKit(t)
	k.populate(2, true)
	s := tms.NewService(tms.Options{Store: k.Store, Enrolment: k.Store, Clock: func() time.Time { return noon }, Rand: rand.Reader, Policy: otp.DefaultPolicy})
	row := seedRow(1)
	row.Token.Type, row.Token.Period = otp.TOTP, 30
	code := func(step int64) string {
		return pin + oath.HOTP(oath.SHA1, row.Token.Seed, uint64(oath.TimeStep(noon, 0, 30)+step), 6)
	}
	k.expect(otp.Accepted, 1, code(0))
	row.Token.T0 = 30
	rows := []tms.TokenRow{row}
	_, err := s.ImportTokens(context.Background(), tms.Caller{Name: "root", Administrator: true}, tms.TokenImport{}, func() (tms.TokenRow, error) {
		if len(rows) == 0 {
			return tms.TokenRow{}, io.EOF
		}
		rows = nil
		return row, nil
	})
	k.must(err)
	k.expect(otp.Replayed, 1, code(0))
}

// TestDriftOfNoClockIsRefused: each login would search all of its steps.
func TestDriftOfNoClockIsRefused(t *testing.T) {
	k := newKit(t)
	k.populate(2, true)
	err := k.ChangeToken(context.Background(), serial(1), tms.Act{At: noon, Verb: "token.set"}, func(t *tms.Token) error {
		t.State.Drift = -5_000_000
		return nil
	})
	if !errors.Is(err, tms.ErrInvalid) {
		t.Error(err)
	}
}

// TestImportSealsSeeds looks for imported seeds in the files, also after the keys were
// rotated while imports went on.
func TestImportSealsSeeds(t *testing.T) {
	k := newKit(t)
	done := make(chan error)
	go func() { done <- k.Store.RotateKeys(context.Background(), newKEK(t, 8), nil) }()
	const tokens = 400
	for n := range tokens {
		rows := []tms.TokenRow{seedRow(n)}
		k.must(k.ChangeStock(context.Background(), rows, func(stock *tms.Stock) (tms.Act, error) {
			stock.Tokens[0] = tms.Token{Exists: true, Token: rows[0].Token}
			return tms.Act{At: noon, Verb: "token.import"}, nil
		}))
	}
	k.must(<-done)
	for n := range tokens {
		if got := k.token(serial(n)); !got.Seed.Equal(oath.NewSeed(seed(n))) {
			t.Errorf("token %d has another seed", n)
		}
	}
	for _, end := range []string{"", "-wal"} {
		b, err := os.ReadFile(k.Store.options.Path + end)
		k.must(err)
		if bytes.Contains(b, []byte("seed of user")) {
			t.Errorf("a seed is in the file %q", end)
		}
	}
}

// TestImportFindsByIndex: no import may read whole tables.
func TestImportFindsByIndex(t *testing.T) {
	k := newKit(t)
	row := seedRow(0)
	row.User = "alice"
	_, err := k.ReadStock(t.Context(), []tms.TokenRow{row})
	k.must(err)
	found := plans(t, "json_each", idle(t, k.db.readers)...)
	for sql, plan := range found {
		if strings.Contains(plan, "SCAN t\n") || strings.Contains(plan, "SCAN u\n") {
			t.Errorf("%s\n%s", sql, plan)
		}
	}
	if len(found) != 2 {
		t.Errorf("%d statements, want one for tokens and one for users", len(found))
	}
}

// BenchmarkTokenImport imports 200000 tokens, and once more when they are there. It
// reports tokens a second.
func BenchmarkTokenImport(b *testing.B) {
	const tokens = 200_000
	for range b.N {
		k := newKit(b)
		service := tms.NewService(tms.Options{Store: k.Store, Clock: func() time.Time { return noon }})
		for _, unit := range []string{"new/s", "unchanged/s"} {
			n, began := 0, time.Now()
			report, err := service.ImportTokens(context.Background(), tms.Caller{Name: "test", Administrator: true}, tms.TokenImport{}, func() (tms.TokenRow, error) {
				if n == tokens {
					return tms.TokenRow{}, io.EOF
				}
				n++
				return seedRow(n - 1), nil
			})
			k.must(err)
			if report.Imported+report.Unchanged != tokens {
				b.Fatalf("%+v", report)
			}
			b.ReportMetric(tokens/time.Since(began).Seconds(), unit)
		}
	}
}
