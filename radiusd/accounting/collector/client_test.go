package collector

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

// soon is a timeout for servers that lose or leave requests.
const soon = 50 * time.Millisecond

func toPeers(timeout time.Duration, peers ...*peer) Options {
	r := &RADIUS{Timeout: timeout}
	for _, p := range peers {
		r.Servers = append(r.Servers, p.server())
	}
	return Options{RADIUS: r}
}

func TestLossyNetwork(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 2000, 100)
	dice := rand.New(rand.NewPCG(1, 2))
	p.answers(func(*arrival) bool { return dice.IntN(10) < 8 })
	k := newKit(t, s, toPeers(soon, p)).start()
	k.untilDone()
	if n := inOrder(t, p.arrivals()); n != 2000 {
		t.Errorf("%d records came", n)
	}
	if k.state().Skipped != 0 {
		t.Error("records were skipped")
	}
	k.stop()
	if n := p.requests(); n <= 2000 {
		t.Error("nothing was lost")
	}
	if last := s.entries[1999].Position; s.cursor() != last {
		t.Errorf("the cursor is %v instead of %v", s.cursor(), last)
	}
}

func TestBeginsWithWhatComes(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.fill(time.Now(), 25, 5)
	k := newKit(t, s, toPeers(soon, p)).start()
	k.until("it has begun", func() bool { return k.state().Done == s.entries[24].Position })
	if s.saved() != 1 {
		t.Error("where it began is not kept")
	}
	s.append(record(time.Now(), accounting.Start, "new", 0))
	k.Wake()
	k.until("the next is forwarded", func() bool { return len(p.arrivals()) > 0 })
	k.untilDone()
	if got := p.arrivals(); len(got) != 1 || got[0].session != "new" {
		t.Errorf("%+v", got)
	}
	k.stop()
	if s.cursor() != s.entries[25].Position {
		t.Error("how far it came is not kept")
	}
}

func TestFailOver(t *testing.T) {
	s, first, second := newStore(), newPeer(t), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 500, 20)
	first.answers(never)
	k := newKit(t, s, toPeers(soon, first, second)).start()
	k.untilDone()
	if n := inOrder(t, second.arrivals()); n != 500 || len(first.arrivals()) != 0 {
		t.Errorf("%d records came to the second", n)
	}
	first.answers(nil)
	serial := uint32(0)
	k.until("it is back to the first", func() bool {
		s.append(record(time.Now(), accounting.Start, "again", serial))
		serial++
		k.Wake()
		k.untilDone()
		return len(first.arrivals()) > 0
	})
	if n := k.log.count("accounting server answers again"); n != 1 {
		t.Errorf("that it answers again is logged %d times", n)
	}
	if k.log.count("ERROR") != 0 || k.state().Fault != "" {
		t.Error("something is wrong though a server answered")
	}
}

func TestNobodyListens(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 10, 10)
	server := p.server()
	_ = p.conn.Close()
	k := newKit(t, s, Options{RADIUS: &RADIUS{Servers: []Server{server}, Timeout: time.Hour}}).start() // only an ICMP error can tell
	k.until("the fault is told", func() bool { return strings.Contains(k.state().Fault, "connection refused") })
	if st := k.state(); st.Waiting != 10 || !st.Oldest.Equal(s.entries[0].At) || st.Done != (accounting.Position{}) {
		t.Errorf("%+v", st)
	}
}

// Somebody who does not know the secret takes no record away.
func TestForgedAnswer(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 3, 3)
	p.mu.Lock()
	p.secret = packet.NewSecret([]byte("another"))
	p.mu.Unlock()
	k := newKit(t, s, toPeers(soon, p)).start()
	k.until("the fault is told", func() bool { return strings.Contains(k.state().Fault, "the same secret") })
	if k.state().Waiting != 3 {
		t.Error("it took a forged answer for true")
	}
	if k.log.count("behind-our-server") != 0 {
		t.Error("the secret is logged")
	}
}

// A record that is never answered holds up its session, and no other.
func TestPoison(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 1000, 50)
	p.answers(func(a *arrival) bool { return a.session != "s7" || a.serial != 2 })
	k := newKit(t, s, toPeers(soon, p)).start()
	k.until("all but its session is done", func() bool { return inOrder(t, p.arrivals()) == 49*20+2 })
	k.until("it is named", func() bool { return strings.Contains(k.state().Fault, "not answered, though others are") })
	k.until("its session waits", func() bool {
		st := k.state()
		return st.Waiting == 18 && st.Done == s.entries[2*50+6].Position
	})
	p.answers(nil)
	k.untilDone()
	if n := inOrder(t, p.arrivals()); n != 1000 {
		t.Errorf("%d records came", n)
	}
}

// What was not kept when the process died comes again, and nothing is left out.
func TestCrash(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 3000, 60)
	p.answers(func(a *arrival) bool {
		if a.serial == 30 {
			s.fail(errors.New("the machine is gone")) // nothing is kept from now on
		}
		return true
	})
	k := newKit(t, s, toPeers(soon, p)).start()
	k.until("it is in the middle", func() bool { return inOrder(t, p.arrivals()) > 1900 })
	k.stop()
	s.fail(nil)
	p.answers(nil)
	came := s.cursor()
	k = newKit(t, s, toPeers(soon, p)).start()
	k.untilDone()
	if n := inOrder(t, p.arrivals()); n != 3000 {
		t.Errorf("%d records came; it went on after %v", n, came)
	}
}

func TestDelayTimeOfRepeats(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.append(record(time.Now().Add(-time.Hour), accounting.Start, "late", 0))
	var heard []arrival
	p.answers(func(a *arrival) bool {
		heard = append(heard, *a)
		return len(heard) > 2*sendings
	})
	k := newKit(t, s, toPeers(soon, p)).start()
	k.untilDone()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(heard) < 2*sendings+1 {
		t.Fatal("it was not repeated")
	}
	for i, a := range heard {
		first := heard[i/sendings*sendings]
		if a.identifier != first.identifier || a.from != first.from || a.delay != first.delay {
			t.Errorf("repeat %d is another request: %+v after %+v", i, a, first)
		}
		if a.delay < 3600 || a.delay < heard[0].delay {
			t.Errorf("Acct-Delay-Time %d", a.delay)
		}
	}
	if last := heard[len(heard)-1]; last.delay <= heard[0].delay {
		t.Error("Acct-Delay-Time stood still")
	}
}
