package tms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"countersign/otp"
)

var learner = Caller{Name: "server@migration", Administrator: true}

// stocked is a Service over a memory with a token T1 in stock.
func stocked() (*Service, *memory) {
	s, m := serving()
	m.token["T1"] = Token{Exists: true, Token: otp.Token{
		Serial: "T1", Digits: 6, Period: 30, Seed: seed, State: otp.State{Counter: 7, Agreed: 9, Disagreed: 9},
	}}
	return s, m
}

func lesson(pin string) Lesson {
	return Lesson{User: "alice", Serial: "T1", PIN: otp.NewPIN([]byte(pin))}
}

func TestATokenIsLearned(t *testing.T) {
	s, m := stocked()
	if err := s.LearnToken(ctx, learner, lesson("2580")); err != nil {
		t.Fatal(err)
	}
	token, user := m.token["T1"], m.users["alice"]
	if token.User != "alice" || !token.Learned || token.State != (otp.State{Counter: 7}) {
		t.Errorf("the token is %+v", token)
	}
	if !user.Exists || user.Name != "alice" || !user.PIN.Equal(otp.NewPIN([]byte("2580"))) || !user.Created.Equal(now) || user.Home != otp.HomeUnsaid {
		t.Errorf("the user is %+v", user)
	}
	said := fmt.Sprintf("%+v", m.acts)
	if strings.Contains(said, "2580") || !strings.Contains(said, "server@migration") || !strings.Contains(said, "user=alice") {
		t.Errorf("recorded %s", said)
	}
	if verbs := m.verbs(); verbs != "[pin.learn token.learn]" {
		t.Errorf("recorded %s", verbs)
	}
	if err := s.UnlearnToken(ctx, learner, lesson("")); err != nil {
		t.Fatal(err)
	}
	if token := m.token["T1"]; token.User != "" || token.Learned || token.State != (otp.State{Counter: 7}) || m.verbs() != "[token.unlearn]" {
		t.Errorf("taken back, the token is %+v", token)
	}
}

// What was learned from a login that is over has its code burned.
func TestAPastLoginIsBurned(t *testing.T) {
	s, m := stocked()
	l := lesson("2580")
	for _, next := range []uint64{3, 12} {
		l.Next = next
		if err := s.LearnToken(ctx, learner, l); err != nil {
			t.Fatal(err)
		}
		if at, want := m.token["T1"].State.Counter, max(7, next); at != want {
			t.Errorf("the next counter is %d, want %d", at, want)
		}
		if err := s.UnlearnToken(ctx, learner, l); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatCannotBeLearned(t *testing.T) {
	inStock := func(change func(*Token)) func(*memory) {
		return func(m *memory) {
			token := m.token["T1"]
			change(&token)
			m.token["T1"] = token
		}
	}
	holding := func(pin string, tokens ...Token) func(*memory) {
		return func(m *memory) {
			m.users["alice"] = User{Exists: true, Name: "alice", PIN: otp.NewPIN([]byte(pin))}
			for i, token := range tokens {
				token.Serial, token.Exists, token.User = otp.Serial(fmt.Sprint("OWN", i)), true, "alice"
				m.token[token.Serial] = token
			}
		}
	}
	for name, c := range map[string]struct {
		before func(*memory)
		want   error
		pin    string // of the user afterwards
	}{
		"no such token":       {func(m *memory) { delete(m.token, "T1") }, ErrTaken, ""},
		"somebody's":          {inStock(func(t *Token) { t.User = "bob" }), ErrTaken, ""},
		"disabled":            {inStock(func(t *Token) { t.Disabled = true }), ErrInvalid, ""},
		"over":                {inStock(func(t *Token) { t.ValidUntil = now.Unix() }), ErrInvalid, ""},
		"a list":              {inStock(func(t *Token) { t.Type = otp.CodeList }), ErrInvalid, ""},
		"no tokens":           {holding("1111"), nil, "2580"},
		"the same PIN":        {holding("2580", Token{}), nil, "2580"},
		"another PIN":         {holding("1111", Token{}), ErrOtherPIN, "1111"},
		"another, learned":    {holding("1111", Token{Token: otp.Token{Learned: true}}), ErrOtherPIN, "1111"},
		"another, for a list": {holding("1111", Token{Token: otp.Token{Type: otp.CodeList}}), ErrOtherPIN, "1111"},
		"no PIN, own token":   {holding("", Token{}), ErrOtherPIN, ""},
		"all places taken":    {holding("2580", make([]Token, otp.MaxTokens)...), ErrTooMany, "2580"},
		"a disabled user": {func(m *memory) {
			m.users["alice"] = User{Exists: true, Name: "alice", Disabled: true}
		}, ErrInvalid, ""},
	} {
		s, m := stocked()
		c.before(m)
		before := m.token["T1"]
		err := s.LearnToken(ctx, learner, lesson("2580"))
		if c.want == nil != (err == nil) || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && m.token["T1"] != before {
			t.Errorf("%s: the token became %+v", name, m.token["T1"])
		}
		if pin := m.users["alice"].PIN; string(pin.Bytes()) != c.pin {
			t.Errorf("%s: the PIN is another than %q", name, c.pin)
		}
		if err != nil && strings.Contains(err.Error(), "2580") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAPINIsLearned(t *testing.T) {
	own := Token{Exists: true, User: "alice", Token: otp.Token{Serial: "OWN", Seed: seed}}
	list := Token{Exists: true, User: "alice", Token: otp.Token{Serial: "LIST", Type: otp.CodeList}}
	for name, c := range map[string]struct {
		change func(*memory)
		want   error
		verbs  string
	}{
		"another":      {func(*memory) {}, nil, "[pin.learn]"},
		"with a list":  {func(m *memory) { m.token["LIST"] = list }, nil, "[pin.learn]"},
		"own token":    {func(m *memory) { m.token["OWN"] = own }, ErrOtherPIN, "[]"},
		"taken back":   {func(m *memory) { m.token["T1"] = Token{Exists: true} }, ErrTaken, "[]"},
		"the same":     {func(m *memory) { m.users["alice"] = User{Exists: true, PIN: lesson("4097").PIN} }, nil, "[]"},
		"disabled one": {func(m *memory) { m.users["alice"] = User{Exists: true, Disabled: true} }, ErrInvalid, "[]"},
	} {
		s, m := stocked()
		if err := s.LearnToken(ctx, learner, lesson("2580")); err != nil {
			t.Fatal(err)
		}
		c.change(m)
		m.acts = nil
		err := s.LearnPIN(ctx, learner, lesson("4097"))
		if c.want == nil != (err == nil) || !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err == nil && !m.users["alice"].PIN.Equal(lesson("4097").PIN) {
			t.Errorf("%s: the PIN is not the new one", name)
		}
		if verbs := m.verbs(); verbs != c.verbs {
			t.Errorf("%s: recorded %s, want %s", name, verbs, c.verbs)
		}
	}
}

// What is active, or another's, or was not learned, stays where it is.
func TestWhatIsNotTakenBack(t *testing.T) {
	for name, token := range map[string]Token{
		"active":      {User: "alice", Token: otp.Token{Learned: true, State: otp.State{Agreed: 2}}},
		"another's":   {User: "bob", Token: otp.Token{Learned: true}},
		"not learned": {User: "alice"},
		"in stock":    {},
	} {
		s, m := stocked()
		token.Exists, token.Serial = true, "T1"
		m.token["T1"] = token
		if err := s.UnlearnToken(ctx, learner, lesson("")); !errors.Is(err, ErrTaken) || m.token["T1"] != token {
			t.Errorf("%s: %v, %+v", name, err, m.token["T1"])
		}
	}
	// What is out of use is its user's still, or they would hold nothing.
	for name, change := range map[string]func(*Token){
		"disabled": func(t *Token) { t.Disabled = true },
		"lost":     func(t *Token) { t.Disabled, t.Lost = true, true },
		"revoked":  func(t *Token) { t.Disabled, t.Lost, t.Revoked = true, true, true },
	} {
		s, m := stocked()
		token := Token{Exists: true, User: "alice", Token: otp.Token{Serial: "T1", Learned: true, State: otp.State{Agreed: 1}}}
		change(&token)
		m.token["T1"] = token
		err := s.UnlearnToken(ctx, learner, lesson(""))
		if !errors.Is(err, ErrInvalid) || errors.Is(err, ErrTaken) || m.token["T1"] != token {
			t.Errorf("%s: %v, %+v", name, err, m.token["T1"])
		}
	}
	s, _ := stocked()
	s.Enrolment = nil
	if err := s.LearnToken(ctx, learner, lesson("2580")); !errors.Is(err, errNoEnrolment) {
		t.Error(err)
	}
}

// halfway is a store that goes away between the two steps.
type halfway struct{ *memory }

var errAway = errors.New("the store is away")

func (h halfway) ChangeToken(context.Context, otp.Serial, Act, func(*Token) error) error {
	return errAway
}

// The second step fails: the user has a PIN and no token, and the next login, with
// another PIN even, is learned from as if nothing had been.
func TestLearningFailsHalfway(t *testing.T) {
	s, m := stocked()
	s.Store = halfway{m}
	if err := s.LearnToken(ctx, learner, lesson("2580")); !errors.Is(err, errAway) || m.token["T1"].User != "" {
		t.Fatalf("%v, %+v", err, m.token["T1"])
	}
	s.Store = m
	if err := s.LearnToken(ctx, learner, lesson("4097")); err != nil || !m.users["alice"].PIN.Equal(lesson("4097").PIN) {
		t.Error(err)
	}
}

// Of several users who showed the code of one token one gets it.
func TestOneOfManyLearnsAToken(t *testing.T) {
	s, m := stocked()
	var wait sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wait.Go(func() {
			l := lesson("2580")
			l.User = otp.UserName(fmt.Sprint("user", i))
			errs[i] = s.LearnToken(ctx, learner, l)
		})
	}
	wait.Wait()
	for i, err := range errs {
		if got := m.token["T1"].User == otp.UserName(fmt.Sprint("user", i)); got != (err == nil) || err != nil && !errors.Is(err, ErrTaken) {
			t.Errorf("user%d: %v", i, err)
		}
	}
}
