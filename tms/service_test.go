package tms

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/otp/oath"
)

// Nobody but an administrator gets past the gate: no method of Service may
// reach its store, which is nil here.
func TestTheGateRefusesEveryAct(t *testing.T) {
	s := NewService(Options{Clock: time.Now, Rand: bytes.NewReader(make([]byte, 64)), MinPINLength: func() int { return 4 }})
	ctx, stranger := context.Background(), Caller{Name: "mallory@socket"}
	disabled := true
	acts := map[string]func() error{
		"AddUser": func() error { _, err := s.AddUser(ctx, stranger, NewUser{Name: "x", NoPIN: true}); return err },
		"SetUser": func() error {
			_, err := s.SetUser(ctx, stranger, UserChange{Name: "x", Disabled: &disabled})
			return err
		},
		"RemoveUser":   func() error { return s.RemoveUser(ctx, stranger, "x") },
		"Users":        func() error { return s.Users(ctx, stranger, Filter{}, nil) },
		"AddToken":     func() error { _, err := s.AddToken(ctx, stranger, NewToken{Seed: seed}); return err },
		"AssignToken":  func() error { _, err := s.AssignToken(ctx, stranger, "s", "x"); return err },
		"EnableToken":  func() error { _, err := s.EnableToken(ctx, stranger, "s", true); return err },
		"UnlockToken":  func() error { _, err := s.UnlockToken(ctx, stranger, "s"); return err },
		"ResyncToken":  func() error { _, err := s.ResyncToken(ctx, stranger, TokenResync{Serial: "s"}); return err },
		"RemoveToken":  func() error { return s.RemoveToken(ctx, stranger, "s") },
		"Tokens":       func() error { return s.Tokens(ctx, stranger, Filter{}, nil) },
		"Events":       func() error { return s.Events(ctx, stranger, Filter{}, nil) },
		"AddRule":      func() error { _, err := s.AddRule(ctx, stranger, NewRule{}); return err },
		"RemoveRule":   func() error { return s.RemoveRule(ctx, stranger, "r") },
		"Rules":        func() error { return s.Rules(ctx, stranger, "", nil) },
		"RuleReport":   func() error { _, err := s.RuleReport(ctx, stranger, 0); return err },
		"Explain":      func() error { _, err := s.Explain(ctx, stranger, ExplainRequest{}); return err },
		"ExplainEvent": func() error { _, err := s.ExplainEvent(ctx, stranger, "1-0"); return err },
		"CreateToken":  func() error { return s.CreateToken(ctx, stranger, "x", NewToken{}) },
		"HandOverToken": func() error {
			_, err := s.HandOverToken(ctx, stranger, HandOver{Serial: "s", Seed: seed})
			return err
		},
		"Import":     func() error { _, err := s.Import(ctx, stranger, strings.NewReader("user\nx\n"), false); return err },
		"Backup":     func() error { _, _, err := s.Backup(ctx, stranger); return err },
		"RotateKeys": func() error { return s.RotateKeys(ctx, stranger, nil) },
	}
	for name, act := range acts {
		if err := act(); !errors.Is(err, ErrForbidden) || !strings.Contains(err.Error(), "mallory@socket") {
			t.Errorf("%s: %v, want it forbidden", name, err)
		}
	}
	if missing := ungated(acts); missing != "" {
		t.Errorf("Service.%s is not in this test", missing)
	}
}

var seed = oath.NewSeed([]byte("12345678901234567890"))

// ungated is the first exported method of Service without an entry.
func ungated(acts map[string]func() error) string {
	methods := reflect.TypeFor[*Service]()
	for i := range methods.NumMethod() {
		if name := methods.Method(i).Name; acts[name] == nil {
			return name
		}
	}
	return ""
}

func TestNewTokensAreChecked(t *testing.T) {
	for want, n := range map[string]NewToken{
		"a seed is missing": {},
		"5 digits":          {Seed: seed, Digits: 5},
		"11 digits":         {Seed: seed, Digits: 11},
		"must be totp":      {Seed: seed, Type: "sms"},
		"period":            {Seed: seed, Type: "hotp", Period: 60},
		"counter":           {Seed: seed, Counter: 1},
		"always has 6":      {Seed: seed, Type: "mobilepass", Digits: 8},
		"serial":            {Seed: seed, Serial: "a b"},
		"86400":             {Seed: seed, Period: 86401},
	} {
		if _, err := n.Token(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v; want it to say %q", n, err, want)
		}
	}
	token, err := (&NewToken{Seed: seed, Type: "mobilepass"}).Token()
	if err != nil || token.Algorithm != oath.SHA256 || token.Digits != 6 || token.Period != 0 {
		t.Errorf("%+v, %v", token, err)
	}
}
