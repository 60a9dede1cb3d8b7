package migration

import (
	"fmt"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/tms"
)

// value is what a counter or a gauge says.
func value(t testing.TB, c prometheus.Collector) (sum float64) {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// Tokens come, change, go and come back; what the index finds is what the store has.
func TestTheIndexFollowsTheStore(t *testing.T) {
	k := newKit(t)
	k.stock("A", 1)
	k.load()
	size := func(stock, learned int) {
		t.Helper()
		if s, l := k.index.Load().size(); s != stock || l != learned {
			t.Errorf("%d in stock and %d learned, want %d and %d", s, l, stock, learned)
		}
	}
	size(1, 0)
	k.wantLogin(LearnedToken, "alice", "4711", "A")
	size(0, 1)
	k.stock("B", 2)
	k.stock("C", 3, func(d *device) { d.Type, d.Period = otp.HOTP, 0 })
	k.load()
	k.wantLogin(LearnedToken, "bob", "1111", "B")
	k.wantLogin(LearnedToken, "carol", "2222", "C")
	size(0, 3)
	// One gets another seed, one is removed, and one is given out by hand.
	k.stock("A", 4)
	delete(k.shelf.tokens, "B")
	c := k.shelf.tokens["C"]
	c.User, c.Learned = "dave", false
	k.shelf.tokens["C"] = c
	k.load()
	size(1, 0)
	k.later()
	k.wantLogin(NotShown, "bob", "1111", "B")
	k.wantLogin(NotShown, "eve", "1111", "C")
	k.wantLogin(LearnedToken, "alice", "4711", "A")
	k.stock("B", 2)
	k.load()
	k.wantLogin(LearnedToken, "bob", "1112", "B")
	if stock := value(t, k.metrics.stock); stock != 1 {
		t.Errorf("%v are told as in stock", stock)
	}
}

// An event token is found where it is now, however far that is from where it was.
func TestEventTokensMoveOn(t *testing.T) {
	k := newKit(t)
	d := k.stock("E", 1, func(d *device) { d.Type, d.Period = otp.HOTP, 0 })
	k.load()
	for _, counter := range []uint64{50, 51, 7} {
		moved := k.shelf.tokens["E"]
		moved.State.Counter = counter
		k.shelf.tokens["E"] = moved
		k.load()
		d.State.Counter = counter + 5
		a := &login{user: "alice", passcode: otp.NewPasscode([]byte(k.code("E"))), at: k.now, policy: k.policy}
		if found, ready := k.index.Load().find(a); !ready || len(found) != 1 || found[0].next != counter+6 {
			t.Errorf("at %d: found %d, ready %v", counter, len(found), ready)
		}
	}
}

// What was read of the store may be older than what was done since.
func TestALoadThatIsOvertaken(t *testing.T) {
	k := newKit(t)
	k.stock("A", 1)
	k.load()
	k.shelf.reading = func() { k.wantLogin(LearnedToken, "alice", "4711", "A") }
	k.load()
	if user, _ := k.index.Load().holder("A"); user != "alice" {
		t.Errorf("A is %q's", user)
	}
}

// An index of which most is gone is made anew.
func TestTheIndexDoesNotGrowForEver(t *testing.T) {
	k := newKit(t)
	for round := range uint64(4) {
		clear(k.shelf.tokens)
		for i := range uint64(3000) {
			k.stock(fmt.Sprint("T", round, "-", i), round<<20+i)
		}
		k.load()
		x := k.index.Load()
		entries := 0
		for _, g := range x.groups {
			entries += len(g.entries)
		}
		if entries > 12000 || len(x.tokens) != 3000 {
			t.Errorf("%d entries for %d tokens", entries, len(x.tokens))
		}
	}
	x := k.index.Load()
	x.prepare(k.now, k.now.Add(time.Hour), &k.policy)
	for hour := range 5 {
		at := k.now.Add(time.Duration(hour) * time.Hour)
		x.prepare(at, at, &k.policy)
	}
	for key, g := range x.groups {
		if len(g.tables) > 9 {
			t.Errorf("%d tables of %+v", len(g.tables), key)
		}
	}
}

func TestMerge(t *testing.T) {
	r := random(5)
	for range 200 {
		lists := [2][]uint64{}
		for i := range lists {
			for range r.IntN(20) {
				lists[i] = append(lists[i], r.Uint64N(30))
			}
			slices.Sort(lists[i])
		}
		want := slices.Concat(lists[0], lists[1])
		slices.Sort(want)
		if got := merge(lists[0], lists[1]); !slices.Equal(got, want) {
			t.Fatalf("%v of %v", got, lists)
		}
	}
}

// bigIndex is an index of so many tokens, a tenth of them event tokens.
func bigIndex(b *testing.B, tokens uint64) (x *index, p *otp.Policy, report func()) {
	x, policy := newIndex(), otp.DefaultPolicy()
	before := heap()
	began := time.Now()
	for i := range tokens {
		t := tms.Token{Exists: true, Token: otp.Token{Serial: otp.Serial(fmt.Sprintf("SN%012d", i)), Digits: 6, Period: 30, Seed: seedOf(i)}}
		if i%10 == 0 {
			t.Type, t.Period = otp.HOTP, 0
		}
		x.put(&t, &policy)
	}
	for key, g := range x.groups {
		if !key.clock {
			g.tables[0].settle()
		}
	}
	x.ready = true
	loaded := time.Since(began)
	began = time.Now()
	x.prepare(noon, noon, &policy)
	built, size := time.Since(began)/5, heap()-before
	return x, &policy, func() {
		b.ReportMetric(float64(loaded.Milliseconds()), "load-ms")
		b.ReportMetric(float64(built.Milliseconds()), "table-ms")
		b.ReportMetric(float64(size)/float64(tokens), "B/token")
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func BenchmarkLookUp(b *testing.B) {
	for _, tokens := range []uint64{1e3, 1e5, 1e6} {
		b.Run(fmt.Sprint(tokens), func(b *testing.B) {
			x, policy, report := bigIndex(b, tokens)
			r := random(1)
			shown := 0
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				passcode := fmt.Sprintf("4711%06d", r.IntN(1e6))
				found, ready := x.lookUp(&login{user: "alice", passcode: otp.NewPasscode([]byte(passcode)), at: noon, policy: *policy})
				if !ready {
					b.Fatal("not ready")
				}
				shown += len(found)
			}
			b.ReportMetric(float64(shown)/float64(b.N), "found/op")
			report()
			runtime.KeepAlive(x)
		})
	}
}
