package tms

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"countersign/exclusions"
	"countersign/otp"
)

// memory is a Store of what tests need, in memory, and an EnrolmentStore.
type memory struct {
	Store  // the rest
	mu     sync.Mutex
	users  map[otp.UserName]User // their Tokens are not kept here
	token  map[otp.Serial]Token
	rules  []Rule // those of the configuration first
	event  map[otp.EventID]Event
	acts   []Act
	invite map[otp.UserName]Invitation
	mails  []Mail // those that wait
	broken error  // what ChangeHolder fails with, after the change
}

func newMemory() *memory {
	return &memory{
		users: map[otp.UserName]User{}, token: map[otp.Serial]Token{}, event: map[otp.EventID]Event{},
		invite: map[otp.UserName]Invitation{},
	}
}

// holding is the user with the tokens.
func (m *memory) holding(u User) User {
	u.Tokens = nil
	for _, serial := range slices.Sorted(maps.Keys(m.token)) {
		if m.token[serial].User == u.Name {
			u.Tokens = append(u.Tokens, serial)
		}
	}
	return u
}

func (m *memory) ChangeUser(_ context.Context, name otp.UserName, act Act, change func(*User) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := m.users[name]
	u.Name = name
	u = m.holding(u)
	if err := change(&u); err != nil {
		return err
	}
	m.acts = append(m.acts, act)
	delete(m.users, name)
	if u.Exists {
		m.users[name] = u
	}
	return nil
}

func (m *memory) ChangeToken(_ context.Context, serial otp.Serial, act Act, change func(*Token) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.token[serial]
	t.Serial = serial
	if err := change(&t); err != nil {
		return err
	}
	if t.User != "" && !m.users[t.User].Exists {
		return fmt.Errorf("user %q: %w", t.User, ErrNotFound)
	}
	m.acts = append(m.acts, act)
	delete(m.token, serial)
	if t.Exists {
		m.token[serial] = t
	}
	return nil
}

func (m *memory) Users(_ context.Context, f Filter, each func(*User) error) error {
	m.mu.Lock()
	var users []User
	for _, name := range slices.Sorted(maps.Keys(m.users)) {
		if f.User == "" || f.User == name {
			users = append(users, m.holding(m.users[name]))
		}
	}
	m.mu.Unlock()
	for i := range users {
		if f.Limit > 0 && i == f.Limit {
			return nil
		}
		if err := each(&users[i]); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) Tokens(_ context.Context, f Filter, each func(*Token) error) error {
	m.mu.Lock()
	tokens := maps.Clone(m.token)
	m.mu.Unlock()
	for _, serial := range slices.Sorted(maps.Keys(tokens)) {
		t := tokens[serial]
		if f.Serial != "" && f.Serial != serial || f.User != "" && f.User != t.User {
			continue
		}
		if err := each(&t); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) ChangeRule(_ context.Context, name string, act Act, change func(*Rule) error) error {
	at := slices.IndexFunc(m.rules, func(r Rule) bool { return r.Name == name })
	r := Rule{Rule: exclusions.Rule{Name: name}}
	if at >= 0 {
		r = m.rules[at]
	}
	if r.File {
		return fmt.Errorf("rule %q %w in the configuration", name, ErrExists)
	}
	if err := change(&r); err != nil {
		return err
	}
	m.acts = append(m.acts, act)
	if at >= 0 {
		m.rules = slices.Delete(m.rules, at, at+1)
	}
	if r.Exists {
		m.rules = append(m.rules, r)
	}
	return nil
}

func (m *memory) Rules(_ context.Context, _ uint64, each func(*Rule) error) (uint64, error) {
	for i := range m.rules {
		if err := each(&m.rules[i]); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func (m *memory) Event(_ context.Context, id otp.EventID) (Event, error) {
	e, ok := m.event[id]
	if !ok {
		return e, fmt.Errorf("event %s: %w", id, ErrNotFound)
	}
	e.ID = id
	return e, nil
}

// verbs are the verbs of the acts so far, and then there are none.
func (m *memory) verbs() string {
	var verbs []string
	for _, act := range m.acts {
		verbs = append(verbs, act.Verb)
	}
	m.acts = nil
	return fmt.Sprint(verbs)
}

var (
	now   = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	root  = Caller{Name: "root@cli", Administrator: true}
	other = bytes.Repeat([]byte("another seed"), 2)
)

// serving is a Service over a memory.
func serving() (*Service, *memory) {
	m := newMemory()
	return NewService(Options{
		Store: m, Clock: func() time.Time { return now }, Rand: &counting{}, Policy: otp.DefaultPolicy,
		MinPINLength: func() int { return 4 }, Enrolment: m,
		EnrolmentPolicy: func() EnrolmentPolicy {
			return EnrolmentPolicy{Valid: 72 * time.Hour, PIN: otp.PINPolicy{MinLength: 4}, RecoveryCodes: 10, TemporaryTime: 24 * time.Hour}
		},
	}), m
}

// counting is randomness that is not.
type counting struct {
	mu   sync.Mutex
	next byte
}

func (c *counting) Read(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range b {
		c.next++
		b[i] = c.next
	}
	return len(b), nil
}

// wantError checks that an error is of a kind and says something.
func wantError(t *testing.T, err, kind error, says string) {
	t.Helper()
	if !errors.Is(err, kind) || !bytes.Contains([]byte(err.Error()), []byte(says)) {
		t.Errorf("%v; want it to be %v and to say %q", err, kind, says)
	}
}
