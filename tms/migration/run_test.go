package migration

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/otp"
	"countersign/otp/oath"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/store/embedded"
)

// run runs a Learner in a bubble of time until the function that it returns is called.
func run(l *Learner) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() { l.Run(ctx) })
	return func() {
		cancel()
		done.Wait()
	}
}

// pass lets time go by, in which the Learner sees what the test has done.
func (k *kit) pass(d time.Duration) {
	for _, mu := range []*sync.Mutex{&k.mu, &k.shelf.mu} {
		mu.Lock()
		k.passes++
		mu.Unlock()
	}
	time.Sleep(d)
	synctest.Wait()
}

func TestRunLoadsAndBuilds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		for n := range uint64(inlineLimit + 10) {
			k.stock(fmt.Sprint("T", n), n)
		}
		stop := run(k.Learner)
		k.pass(time.Second)
		k.wantLogin(LearnedToken, "alice", "4711", "T1")
		k.now = k.now.Add(buildAhead)
		k.wantLogin(LearnedToken, "bob", "4711", "T2")
		k.now = k.now.Add(time.Hour)
		k.wantLogin(NotReady, "carol", "4711", "T3")
		k.pass(buildEvery)
		k.wantLogin(LearnedToken, "carol", "4711", "T3")
		// What comes into stock is found when it is told, or by and by.
		for i, wait := range []time.Duration{2 * time.Second, loadEvery + time.Second} {
			serial := fmt.Sprint("NEW", i)
			k.stock(serial, 1<<30+uint64(i))
			if i == 0 {
				k.Changed()
				k.Changed()
			}
			k.pass(wait)
			k.wantLogin(LearnedToken, fmt.Sprint("new", i), "4711", serial)
		}
		// Nothing is kept of tokens while nothing is to be learned.
		k.off = true
		k.pass(loadEvery + time.Second)
		if stock, learned := k.index.Load().size(); stock+learned > 0 {
			t.Errorf("%d and %d tokens are kept", stock, learned)
		}
		k.off = false
		k.pass(3 * time.Second)
		k.wantLogin(LearnedToken, "dave", "4711", "T4")
		stop()
	})
}

// However often it is told, loads take a small part of the time; and of what the Learner
// does itself it has to be told nothing.
func TestLoadsAreFewAndSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.shelf.slow = 10 * time.Millisecond
		k.stock("T1", 1)
		stop := run(k.Learner)
		k.pass(time.Second)
		k.wantLogin(LearnedToken, "alice", "4711", "T1")
		k.pass(2 * time.Second)
		if k.shelf.loads != 1 || value(t, k.metrics.learned) != 1 || value(t, k.metrics.stock) != 0 {
			t.Errorf("%d loads, told are %v learned and %v in stock", k.shelf.loads, value(t, k.metrics.learned), value(t, k.metrics.stock))
		}
		for _, act := range k.shelf.acts {
			if act.Actor != Actor {
				t.Errorf("%s is by %s", act.Verb, act.Actor)
			}
		}
		for range 1000 {
			k.Changed()
			k.pass(10 * time.Millisecond)
		}
		if at := k.shelf.loads - 1; at < 25 || at > 10000/(loadShare*10) {
			t.Errorf("%d loads in ten seconds", at)
		}
		// With few tokens it is soon, even after that.
		k.stock("T2", 2)
		k.Changed()
		k.pass(time.Second)
		k.wantLogin(LearnedToken, "bob", "4711", "T2")
		stop()
	})
}

func TestRunEliminates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		a, b := collision(k.now, 0)
		k.stock("T1", a)
		k.stock("T2", b)
		stop := run(k.Learner)
		k.pass(time.Second)
		k.wantLogin(Ambiguous, "alice", "4711", "T1")
		k.pass(2 * time.Second)
		if open := value(t, k.metrics.ambiguities); open != 1 {
			t.Errorf("%v are told as open", open)
		}
		k.later()
		k.wantLogin(LearnedToken, "bob", "1111", "T2")
		k.pass(2 * time.Second)
		k.holds("T1", "alice", "4711", 0)
		stop()
	})
}

func TestWhoWasSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKit(t)
		k.off = true // also then
		k.device("T1", 1)
		stop := run(k.Learner)
		for range 3 {
			for _, user := range []string{"alice", "bob"} {
				k.wantLogin(Off, user, "4711", "T1")
			}
			k.pass(3 * time.Second)
		}
		want := func(want ...string) {
			t.Helper()
			var got []string
			for _, s := range k.shelf.seen {
				got = append(got, string(s.User)+s.Last.Format(" 2"))
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("seen %v, want %v", got, want)
			}
		}
		want("alice 4", "bob 4")
		if k.shelf.notes != 1 {
			t.Errorf("written %d times", k.shelf.notes)
		}
		// The store is away for a while, and nothing is lost.
		k.now = k.now.Add(24 * time.Hour)
		k.shelf.broken = errAway
		k.wantLogin(Off, "bob", "4711", "T1")
		k.pass(5 * time.Second)
		k.shelf.broken = nil
		k.wantLogin(Off, "carol", "4711", "T1")
		k.pass(2 * time.Second)
		want("alice 4", "bob 4", "bob 5", "carol 5")
		if n := strings.Count(k.log.String(), "cannot be noted"); n != 1 {
			t.Errorf("logged %d times", n)
		}
		k.wantLogin(Off, "dave", "4711", "T1")
		stop()
		want("alice 4", "bob 4", "bob 5", "carol 5", "dave 5")
	})
}

func TestSeenIsBounded(t *testing.T) {
	var s seen
	for n := range maxSeen + 10 {
		s.note(otp.UserName(fmt.Sprint("user", n)), noon)
	}
	waiting, dropped := s.take()
	if len(waiting) != maxSeen || dropped != 10 {
		t.Errorf("%d wait, %d dropped", len(waiting), dropped)
	}
	s.note("late", noon)
	s.giveBack(waiting)
	waiting, dropped = s.take()
	if len(waiting) != maxSeen || dropped != 1 || waiting[maxSeen-1].User != "late" {
		t.Errorf("%d wait, %d dropped", len(waiting), dropped)
	}
	s.note(otp.UserName(fmt.Sprint("user", maxSeen-1)), noon) // which was dropped
	if waiting, _ := s.take(); len(waiting) != 1 {
		t.Errorf("%d wait", len(waiting))
	}
}

func TestDoubtsAreBounded(t *testing.T) {
	var d doubts
	for n := range maxDoubts + 10 {
		d.remember(&doubt{Ambiguity: Ambiguity{User: otp.UserName(fmt.Sprint("user", n))}, candidates: make([]candidate, maxCandidates+1)})
	}
	if len(d.list()) != maxDoubts || d.of(otp.UserName(fmt.Sprint("user", maxDoubts+9))).candidates != nil {
		t.Errorf("%d are remembered", d.size())
	}
}

// Users with imported tokens, on a real store: each logs in twice at the TMS, and then by
// their own tokens.
func TestOnARealStore(t *testing.T) {
	const users = 60
	k := newKit(t)
	kek, err := seal.NewKEK(rand.Reader)
	k.must(err)
	store, err := embedded.Open(t.Context(), embedded.Options{
		Path: filepath.Join(t.TempDir(), "countersign.db"), KEKs: []seal.KEK{kek}, Rand: rand.Reader,
		Clock: func() time.Time { return k.now }, Logger: slog.New(slog.NewTextHandler(k.log, nil)),
	})
	k.must(err)
	defer func() { k.must(store.Close()) }()
	options := k.Learner.Options
	options.Store, options.Registerer = store, nil
	options.Service = tms.NewService(tms.Options{Store: store, Enrolment: store, Clock: options.Clock, Policy: options.Policy})
	k.Learner, err = New(options)
	k.must(err)
	k.verifier = otp.NewVerifier(store, k.policy)
	name := func(i int) (user, pin, serial string) {
		return fmt.Sprint("user", i), fmt.Sprint(4000 + i), fmt.Sprint("T", i)
	}
	seeds := [2]uint64{}
	seeds[0], seeds[1] = collision(k.now, 1<<20)
	for i := range users {
		_, _, serial := name(i)
		seed := uint64(i)
		if i < len(seeds) {
			seed = seeds[i]
		}
		d := k.device(serial, seed)
		k.must(store.ChangeToken(t.Context(), d.Serial, tms.Act{At: k.now, Verb: "token.add"}, func(t *tms.Token) error {
			*t = d.Token
			return nil
		}))
	}
	k.load()
	var open int
	for round := range 2 {
		for i := range users {
			user, pin, serial := name(i)
			k.login(user, pin, serial)
		}
		if k.eliminate(t.Context(), k.index.Load()); round == 0 {
			open = len(k.Ambiguities())
		}
		k.later()
	}
	if open != 2 || len(k.Ambiguities()) > 0 {
		t.Errorf("%d were open after the first logins, and in the end %v", open, k.Ambiguities())
	}
	for i := range users {
		user, pin, serial := name(i)
		if i >= 2 { // of the first two the second login was the first that agreed
			typed := []byte(pin + k.code(serial))
			verdict, err := k.verifier.Verify(t.Context(), &otp.Attempt{At: k.now, User: []byte(user), Passcode: otp.NewPasscode(typed), Order: otp.LocalThenTMS})
			if verdict != otp.Accepted || err != nil {
				t.Errorf("%s is %v by the own token: %v", user, verdict, err)
			}
		}
		k.must(store.Tokens(t.Context(), tms.Filter{Serial: otp.Serial(serial)}, func(token *tms.Token) error {
			if string(token.User) != user || !token.Learned || i >= 2 && token.State.Agreed != 2 || oath.TimeStep(k.now, 0, 30) < int64(token.State.Counter)-1 {
				t.Errorf("%s: %+v", serial, token)
			}
			return nil
		}))
	}
	k.must(store.NoteSeen(t.Context(), []tms.Seen{{User: "user1", Last: k.now}}))
}

func BenchmarkAccepted(b *testing.B) {
	k := newKit(b)
	for n := range uint64(1000) {
		k.stock(fmt.Sprint("T", n), n)
	}
	k.load()
	k.device("OTHER", 1<<50)
	passcode := otp.NewPasscode([]byte("4711" + k.code("OTHER")))
	b.ReportAllocs()
	for range b.N {
		k.Accepted(b.Context(), "alice", passcode, k.now)
	}
}
