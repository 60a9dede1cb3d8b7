package postgres

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"countersign/otp"
)

// claim makes a claim and waits for what becomes of it.
func (n *loginNode) claim(c Claim) Sighting {
	n.Helper()
	done := make(chan Sighting, 1)
	n.Claim(c, func(s Sighting, err error) {
		if err != nil {
			n.Error(err)
		}
		done <- s
	})
	return <-done
}

// claimsChangeHands has claims change hands.
func claimsChangeHands(t *testing.T, w *loginWorld, a, b *loginNode) {
	is := func(got Sighting, state uint8, same bool) {
		t.Helper()
		if got.State != state || got.Same != same || got.Age < 0 || got.Age > time.Minute {
			t.Errorf("%+v, want state %d, same %v", got, state, same)
		}
	}
	ours := Claim{Key: [16]byte{1}, Login: [16]byte{2}, Keep: time.Minute}
	other := ours
	other.Login = [16]byte{3}
	is(a.claim(ours), 0, false)
	is(b.claim(ours), 1, true)
	is(b.claim(other), 1, false)
	a.Settle(ours.Key, 5, time.Minute)
	is(a.claim(ours), 5, true)
	is(b.claim(other), 5, false)
	other.Over = 4
	is(b.claim(other), 5, false)
	other.Over = 5
	is(b.claim(other), 0, false)
	is(a.claim(ours), 1, false)
	b.Settle(ours.Key, 0, 0)
	is(b.claim(Claim{Key: ours.Key, Keep: time.Millisecond}), 0, false)
	time.Sleep(2 * time.Millisecond)
	is(a.claim(Claim{Key: ours.Key, Keep: time.Millisecond}), 0, false) // the one before is over
	time.Sleep(2 * time.Millisecond)
	w.run(a.Store, sweepOver)
	w.run(a.Store, func(c *conn) error {
		if n, err := c.Number("SELECT count(*) FROM claim"); n != 0 || err != nil {
			t.Errorf("%d claims are left, %v", n, err)
		}
		return nil
	})
}

// claimsAtOnce has two nodes claim the same at the same time: each is somebody's once.
func claimsAtOnce(t *testing.T, _ *loginWorld, a, b *loginNode) {
	const keys = 1000
	var mu sync.Mutex
	owners, others := map[[16]byte]int{}, 0
	var all sync.WaitGroup
	for i := range keys {
		c := Claim{Keep: time.Minute}
		copy(c.Key[:], fmt.Sprint(i))
		for _, n := range []*loginNode{a, b, a} {
			all.Add(1)
			n.Claim(c, func(s Sighting, err error) {
				defer all.Done()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					t.Error(err)
				} else if s.State == 0 {
					owners[c.Key]++
				} else {
					others++
				}
			})
		}
	}
	all.Wait()
	for key, times := range owners {
		if times != 1 {
			t.Errorf("%s is %d times somebody's", key, times)
		}
	}
	if len(owners) != keys || others != 2*keys {
		t.Errorf("%d are somebody's, %d claims were late", len(owners), others)
	}
}

// missesAddUp has two nodes tell each other of wrong PINs.
func missesAddUp(t *testing.T, w *loginWorld, a, b *loginNode) {
	exchange := func(n *loginNode, mine ...otp.Miss) map[[16]byte]otp.Miss {
		t.Helper()
		all, err := n.ExchangeMisses(t.Context(), mine)
		if err != nil {
			t.Fatal(err)
		}
		found := map[[16]byte]otp.Miss{}
		for _, m := range all {
			found[m.Key] = m
		}
		return found
	}
	k, l := [16]byte{1}, [16]byte{2}
	exchange(a, otp.Miss{Key: k, Wrong: 2, Age: time.Minute}, otp.Miss{Key: l, Wrong: 1})
	got := exchange(b, otp.Miss{Key: k, Wrong: 3, Age: time.Second})
	if m := got[k]; m.Wrong != 5 || m.Age < time.Second || m.Age > 30*time.Second || got[l].Wrong != 1 {
		t.Errorf("%+v", got)
	}
	if got = exchange(a); got[k].Wrong != 5 {
		t.Errorf("%+v", got)
	}
	exchange(b, otp.Miss{Key: k, Wrong: 1, Forgiven: true}, otp.Miss{Key: l, Forgiven: true})
	if got = exchange(a); got[k].Wrong != 1 || got[l].Wrong != 0 || len(got) != 2 {
		t.Errorf("%+v", got)
	}
	w.run(a.Store, func(c *conn) error {
		return c.Exec("UPDATE throttle SET changed = changed - 1900000000, last = last - 1900000000 WHERE key = ?", l[:])
	})
	w.run(a.Store, sweepOver)
	b.logins.throttles.read = 0 // like a new node
	if got = exchange(b); got[k].Wrong != 1 || len(got) != 1 {
		t.Errorf("%+v", got)
	}
}
