package postgres

import (
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/otp"
	"countersign/tms/store"
	"countersign/tms/store/postgrestest"
)

// stream logs users in, one after the other, until it is ended, and notes what was accepted.
type stream struct {
	node *loginNode
	end  atomic.Bool
	all  sync.WaitGroup

	mu       sync.Mutex
	accepted map[string]int // by user and passcode
	errors   int
	last     error
	slowest  time.Duration
}

// startStream has so many users log in at the same time, each with one code after the other.
func startStream(n *loginNode, first, users int) *stream {
	s := &stream{node: n, accepted: map[string]int{}}
	for u := first; u < first+users; u++ {
		s.all.Go(func() { s.run(u) })
	}
	return s
}

func (s *stream) run(u int) {
	token := hotpToken(loginSerial(u, 0))
	for k := uint64(0); !s.end.Load(); {
		code := passcode(token, k)
		began := time.Now()
		verdict, err := s.node.Verify(context.Background(), loginAttempt(u, code))
		s.note(loginUser(u)+" "+code, verdict, err, time.Since(began))
		if err != nil { // it is typed again
			time.Sleep(5 * time.Millisecond)
			continue
		}
		k++
	}
}

func (s *stream) note(code string, verdict otp.Verdict, err error, took time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.slowest = max(s.slowest, took)
	if err != nil {
		s.errors, s.last = s.errors+1, err
	} else if verdict == otp.Accepted {
		s.accepted[code]++
	}
}

// count is how many logins were accepted so far.
func (s *stream) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.accepted)
}

// more waits until so many more were accepted, and returns how long that took.
func (s *stream) more(t *testing.T, n int) time.Duration {
	t.Helper()
	began, from := time.Now(), s.count()
	for s.count() < from+n {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("no logins: %d accepted, %d errors, the last: %v", s.count(), s.errors, s.last)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(began)
}

func (s *stream) stop() {
	s.end.Store(true)
	s.all.Wait()
}

// TestServerFails has the server not answer any more under logins and then answer again, and
// kills it and starts it again: what was answered is in the journal, and nothing was answered
// twice.
func TestServerFails(t *testing.T) {
	t.Parallel()
	const users = 64
	server := postgrestest.Start(t, postgrestest.Options{})
	w := newLoginWorld(t, server)
	a, b := w.two()
	w.addUsers(a.Store, 2*users, 1, hotpToken)
	streams := []*stream{startStream(a, 1, users), startStream(b, 1+users, users)}
	more := func(most time.Duration) {
		t.Helper()
		for _, s := range streams {
			if took := s.more(t, 10); took > most {
				t.Errorf("logins only after %v", took)
			}
		}
	}
	streams[0].more(t, 200)
	server.Freeze()
	a.refusesSoon()
	server.Thaw()
	more(5 * time.Second)
	server.Kill()
	server.Restart(t)
	more(5 * time.Second)
	for _, s := range streams {
		s.stop()
		if s.errors == 0 || s.slowest > 2*groupTime {
			t.Errorf("%d errors, the slowest answer after %v", s.errors, s.slowest)
		}
		s.verify(t, w.acceptedIn(a.Store))
	}
	w.verifyJournal(a.Store)
}

// refusesSoon waits until a node has noticed that the database does not answer.
func (n *loginNode) refusesSoon() {
	n.Helper()
	for began := time.Now(); !n.logins.down.Load(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 2*groupTime {
			n.Fatal("it is not noticed that the database does not answer")
		}
	}
	if n.Submit(loginAttempt(1, "")) {
		n.Error("a login is taken while the database is away")
	}
	if n.AppendAccounting(loginNoon, "ras", "192.0.2.1", nil, func(error) {}) {
		n.Error("an accounting record is taken while the database is away")
	}
}

// acceptedIn counts the logins of each user that the journal has as accepted.
func (w *loginWorld) acceptedIn(s *Store) map[string]int {
	w.Helper()
	journal := map[string]int{}
	w.records(s, func(r *store.Record) {
		if r.Event.Decision.Verdict == otp.Accepted {
			journal[r.Event.User]++
		}
	})
	return journal
}

// verify expects that each code was accepted once, and is in the journal.
func (s *stream) verify(t *testing.T, journal map[string]int) {
	t.Helper()
	answered := map[string]int{}
	for code, times := range s.accepted {
		user, _, _ := strings.Cut(code, " ")
		if answered[user]++; times != 1 {
			t.Errorf("%s was accepted %d times", code, times)
		}
	}
	for user, n := range answered {
		if journal[user] < n {
			t.Errorf("%s: %d logins were answered, the journal has %d", user, n, journal[user])
		}
	}
}

// TestCommitWithoutStandby breaks off the wait for a standby that does not answer: what the
// database then says is committed may be lost with it, so nobody is answered.
func TestCommitWithoutStandby(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	w := newLoginWorld(t, server)
	a := w.open("a")
	w.addUsers(a.Store, 1, 1, hotpToken)
	token := hotpToken(loginSerial(1, 0))
	standby := server.Standby(t)
	a.login(otp.Accepted, 1, passcode(token, 0))
	standby.Freeze()
	var waiter told
	waiter.submit(a, loginAttempt(1, passcode(token, 1)))
	const breakOff = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep' AND query LIKE '%burned%'"
	for out := ""; out != "t"; {
		var err error
		if out, err = server.SQL(w.database, breakOff); err != nil {
			t.Fatal(err)
		}
	}
	waiter.Wait()
	if err := waiter.errs[0]; err == nil || !strings.Contains(err.Error(), errUndurable.Error()) {
		t.Errorf("verdict %v, error %v", waiter.attempts[0].Decision.Verdict, err)
	}
	standby.Thaw()
	for began := time.Now(); a.logins.down.Load() || a.Ready() != nil; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatal("it does not recover")
		}
	}
	a.login(otp.Replayed, 1, passcode(token, 1)) // for it was committed
	a.login(otp.Accepted, 1, passcode(token, 2))
}

// TestNothingStaysBehind opens and closes a store, and expects no goroutine of it.
func TestNothingStaysBehind(t *testing.T) {
	w := newLoginWorld(t, postgrestest.Shared(t))
	o := w.options
	o.Node = "a"
	before := runtime.NumGoroutine()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	n := &loginNode{t, s, otp.NewVerifier(s, otp.DefaultPolicy())}
	w.keys = s.keyring
	w.addUsers(s, 1, 1, hotpToken)
	n.login(otp.Accepted, 1, passcode(hotpToken(loginSerial(1, 0)), 0))
	done := make(chan Sighting, 1)
	s.Claim(Claim{Key: [16]byte{1}, Keep: time.Second}, func(is Sighting, err error) { done <- is })
	<-done
	var waiter told
	waiter.submit(n, loginAttempt(1, passcode(hotpToken(loginSerial(1, 0)), 1)))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := waiter.verdicts(t); got[otp.Accepted] != 1 {
		t.Error("a login that was taken before Close: ", got)
	}
	if n.Submit(loginAttempt(1, "")) {
		t.Error("a closed store takes a login")
	}
	for began := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			stacks := make([]byte, 1<<20)
			t.Fatalf("goroutines are left: %s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}
