package otp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/otp/oath"
)

func TestVerifyFirst(t *testing.T) {
	fresh := Token{Type: TOTP, Digits: 6, Period: 30, Seed: oath.NewSeed([]byte("12345678901234567890"))}
	shows := func(at time.Time) string { return oath.TOTP(fresh.Algorithm, fresh.Seed, at, 0, 30, 6) }
	late := fresh
	late.ValidFrom = noon.Unix() + 1
	restored := fresh
	restored.State.MustResync = true
	for _, test := range []struct {
		name     string
		token    Token
		passcode string
		found    FirstCode
		offset   int64
	}{
		{"right", fresh, "4711" + shows(noon), Shown, 0},
		{"the step before", fresh, "4711" + shows(noon.Add(-30*time.Second)), Shown, -1},
		{"a clock five minutes fast", fresh, "4711" + shows(noon.Add(5*time.Minute)), OutOfStep, 10},
		{"a clock of another day", fresh, "4711" + shows(noon.Add(24*time.Hour)), NotShown, 0},
		{"wrong PIN", fresh, "4712" + shows(noon), WrongFirstPIN, 0},
		{"no PIN", fresh, shows(noon), WrongFirstPIN, 0},
		{"wrong PIN and code", fresh, "4712" + shows(noon.Add(24*time.Hour)), NotShown, 0},
		{"codes that may be used", restored, "4711" + shows(noon), NotShown, 0},
		{"too short", fresh, "4711", NotShown, 0},
		{"before its time", late, "4711" + shows(noon), NotShown, 0},
	} {
		token := test.token
		found, offset := VerifyFirst(&token, NewPIN([]byte("4711")), NewPasscode([]byte(test.passcode)), noon, DefaultPolicy())
		if found != test.found || offset != test.offset {
			t.Errorf("%s: %d, %d steps; want %d, %d", test.name, found, offset, test.found, test.offset)
		}
		if burned := token.State.Counter > 0; burned != (found == Shown) {
			t.Errorf("%s: burned %t", test.name, burned)
		}
		if found, _ := VerifyFirst(&token, NewPIN([]byte("4711")), NewPasscode([]byte(test.passcode)), noon, DefaultPolicy()); found == Shown {
			t.Errorf("%s: shown twice", test.name)
		}
	}
}

func TestPINPolicy(t *testing.T) {
	policy := PINPolicy{MinLength: 4, Refused: []string{"4712"}}
	for _, weak := range strings.Fields("0000 1234 4321 7890 1212 123123 1221 2580 1984 2026 4712 7007 98765 bert 77777777") {
		if _, err := policy.Choose(weak, "bertram"); !errors.Is(err, ErrWeakPIN) || !errors.Is(err, ErrPIN) {
			t.Errorf("%s: %v", weak, err)
		}
	}
	for _, good := range strings.Fields("4711 0815 2071x 73914 1357 8008135 aB3d") {
		if pin, err := policy.Choose(good, "bertram"); err != nil || string(pin.Bytes()) != good {
			t.Errorf("%s: %v", good, err)
		}
	}
	if _, err := policy.Choose("471", "bertram"); !errors.Is(err, ErrPIN) || errors.Is(err, ErrWeakPIN) {
		t.Errorf("short: %v", err)
	}
	policy = PINPolicy{MinLength: 4, AllowWeak: true}
	if _, err := policy.Choose("0000", "bertram"); err != nil {
		t.Error(err)
	}
}

// A list of codes is used downwards, each code once, within its time.
func TestCodeList(t *testing.T) {
	list := Token{Serial: "L", Type: CodeList, Algorithm: oath.SHA256, Digits: 8, Codes: 10, ValidUntil: noon.Unix() + 60,
		Seed: oath.NewSeed([]byte("12345678901234567890123456789012"))}
	b := newBench(t, list)
	code := func(n uint64) string { return "4711" + oath.HOTP(list.Algorithm, list.Seed, n, 8) }
	for _, step := range []struct {
		passcode string
		want     Verdict
	}{
		{code(0), Accepted}, {code(0), Replayed}, {code(10), WrongCode}, {code(4), Accepted},
		{code(2), WrongCode}, {code(9), Accepted}, {code(11), WrongCode},
	} {
		b.login(step.passcode, step.want)
	}
	b.at = noon.Add(time.Minute)
	b.login(code(9), TokenExpired)
	late := b.attempt("x", "pc")
	late.WithoutToken = Excluded
	if verdict, err := b.Verify(t.Context(), late); err != nil || verdict != Excluded {
		t.Errorf("%v, %v: a list whose time is over is no token", verdict, err)
	}
}
