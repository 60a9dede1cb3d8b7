package accounting

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"
)

// memory is a Store in memory.
type memory struct {
	mu       sync.Mutex
	log      []Entry
	taken    int
	sessions map[Position]Session
	notes    map[note]Position
	entries  map[Position][]Position // of each session
	repeats  map[Position]bool
	appended chan struct{}

	fail    error         // what everything returns
	hold    chan struct{} // what Take waits for, if it is there
	changes int           // how often a session was saved
}

type note struct {
	session     Position
	fingerprint [16]byte
}

func newMemory() *memory {
	m := &memory{appended: make(chan struct{}, 1)}
	m.forget()
	return m
}

// forget forgets all but the log.
func (m *memory) forget() {
	m.taken, m.sessions, m.notes = 0, make(map[Position]Session), make(map[note]Position)
	m.entries, m.repeats = make(map[Position][]Position), make(map[Position]bool)
}

// add appends entries to the log.
func (m *memory) add(entries ...Entry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range entries {
		e.Position = Position{uint64(len(m.log)) + 1, 0}
		m.log = append(m.log, e)
	}
	select {
	case m.appended <- struct{}{}:
	default:
	}
}

func (m *memory) Take(_ context.Context, most int, take func(Tx, []Entry) error) (int, error) {
	if m.hold != nil {
		<-m.hold
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := m.log[m.taken:min(len(m.log), m.taken+most)]
	if len(entries) == 0 {
		return 0, m.fail
	}
	err := m.transaction(func(tx Tx) error { return take(tx, slices.Clone(entries)) })
	if err != nil {
		return 0, err
	}
	m.taken += len(entries)
	return len(entries), nil
}

func (m *memory) Change(_ context.Context, change func(Tx) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.transaction(change)
}

// transaction runs something on a copy, which it keeps if there is no error.
func (m *memory) transaction(run func(Tx) error) error {
	if m.fail != nil {
		return m.fail
	}
	copied := memory{
		log: m.log, sessions: maps.Clone(m.sessions), notes: maps.Clone(m.notes), entries: make(map[Position][]Position), repeats: maps.Clone(m.repeats),
	}
	for id, entries := range m.entries {
		copied.entries[id] = slices.Clone(entries)
	}
	if err := run(memoryTx{&copied}); err != nil {
		return err
	}
	m.sessions, m.notes, m.entries, m.repeats = copied.sessions, copied.notes, copied.entries, copied.repeats
	m.changes += copied.changes
	return nil
}

func (m *memory) Appended() <-chan struct{} { return m.appended }

func (m *memory) Sessions(_ context.Context, f Filter, each func(*Session) error) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	return m.each(func(s *Session) bool { return len(f.States) == 0 || slices.Contains(f.States, s.State) }, each)
}

// each lists sessions, the newest first.
func (m *memory) each(chosen func(*Session) bool, each func(*Session) error) error {
	var some []Session
	for _, s := range m.sessions {
		if chosen(&s) {
			some = append(some, s)
		}
	}
	slices.SortFunc(some, func(a, b Session) int { return b.ID.Compare(a.ID) })
	for i := range some {
		if err := each(&some[i]); err != nil {
			return err
		}
	}
	return nil
}

// all are the sessions, the oldest first.
func (m *memory) all() []Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.SortedFunc(maps.Values(m.sessions), func(a, b Session) int { return a.ID.Compare(b.ID) })
}

func (m *memory) Records(context.Context, Position, func(*Entry) error) error { return nil }

// Forwardable tells only how far the log was taken.
func (m *memory) Forwardable(_ context.Context, after Position, _ int, _ func(*Entry) error) (Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if taken := (Position{uint64(m.taken), 0}); after.Before(taken) {
		return taken, m.fail
	}
	return after, m.fail
}

// Waiting tells only where the log ends.
func (m *memory) Waiting(context.Context, Position) (int64, time.Time, Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return 0, time.Time{}, Position{uint64(len(m.log)), 0}, m.fail
}

type memoryTx struct{ *memory }

var errEnough = errors.New("enough")

func (tx memoryTx) Find(k Key, each func(*Session) bool) error {
	err := tx.each(func(s *Session) bool {
		return s.NAS == k.NAS && s.SessionID == k.SessionID && (k.Gateway == "" || s.Gateway == k.Gateway)
	}, func(s *Session) error {
		if !each(s) {
			return errEnough
		}
		return nil
	})
	if err == errEnough {
		return nil
	}
	return err
}

func (tx memoryTx) Living(nas, gateway string, each func(*Session) error) error {
	return tx.each(func(s *Session) bool {
		return s.NAS == nas && (gateway == "" || s.Gateway == gateway) && s.State != Closed
	}, each)
}

func (tx memoryTx) Silent(since time.Time, most int, each func(*Session) error) error {
	return tx.each(func(s *Session) bool {
		if s.State == Open && s.Heard.Before(since) && most > 0 {
			most--
			return true
		}
		return false
	}, each)
}

func (tx memoryTx) Save(s *Session) error {
	tx.sessions[s.ID] = *s
	tx.changes++
	return nil
}

func (tx memoryTx) Note(session Position, entry *Entry, fingerprint [16]byte) (bool, error) {
	if session.IsZero() {
		return true, nil
	}
	n := note{session, fingerprint}
	if _, there := tx.notes[n]; there {
		tx.repeats[entry.Position] = true
		return false, nil
	}
	tx.notes[n] = entry.Position
	tx.entries[session] = append(tx.entries[session], entry.Position)
	return true, nil
}

func (tx memoryTx) Forget(since time.Time, most int) (int, error) {
	old := slices.Collect(maps.Values(tx.sessions))
	old = slices.DeleteFunc(old, func(s Session) bool { return s.State == Open || !s.Heard.Before(since) })
	slices.SortFunc(old, func(a, b Session) int { return cmp.Or(a.Heard.Compare(b.Heard), a.ID.Compare(b.ID)) })
	old = old[:min(len(old), most)]
	for _, s := range old {
		delete(tx.sessions, s.ID)
	}
	return len(old), nil
}
