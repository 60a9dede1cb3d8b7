package postgres

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/tms/store/postgrestest"
)

// bench is where work is done that one node at a time may do.
type bench struct {
	mu     sync.Mutex
	at     string // who is there
	clash  string
	visits int
}

// visit does the work until ctx is done, and then for a while until it has come to rest.
func (b *bench) visit(name string, rest time.Duration) func(context.Context) {
	return func(ctx context.Context) {
		b.mu.Lock()
		if b.at != "" {
			b.clash = fmt.Sprintf("%s works while %s does", name, b.at)
		}
		b.at = name
		b.visits++
		b.mu.Unlock()
		<-ctx.Done()
		time.Sleep(rest)
		b.mu.Lock()
		b.at = ""
		b.mu.Unlock()
	}
}

func (b *bench) worker() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at
}

// end fails the test if two were there at once, and returns how often somebody was.
func (b *bench) end(t *testing.T) (visits int) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clash != "" {
		t.Error(b.clash)
	}
	return b.visits
}

// employ has a node do the work until the test ends or the node stops.
func (b *bench) employ(t *testing.T, n *clusterNode, rest time.Duration) (dismiss context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	var over sync.WaitGroup
	over.Go(func() { n.work(ctx, "mail", b.visit(n.node, rest)) })
	t.Cleanup(func() { cancel(); over.Wait() })
	return cancel
}

func TestOneNodeWorksUntilItStops(t *testing.T) {
	t.Parallel()
	url := clusterDatabase(t, postgrestest.Shared(t))
	first, second := startNode(t, "first", url), startNode(t, "second", url)
	var b bench
	b.employ(t, first, quick.ttl*5/4) // its last mail takes long
	soon(t, "the first works", func() bool { return b.worker() == "first" })
	b.employ(t, second, 0)
	soon(t, "the lease is seen", func() bool { return first.metric(t, "countersign_cluster_lease_held") == 1 })
	v, err := second.view(t.Context())
	if err != nil || len(v.Leases) != 1 || v.Leases[0].Name != "mail" || v.Leases[0].Node != "first" || !v.Leases[0].Until.After(v.Database.At) {
		t.Errorf("%+v, %v", v.Leases, err)
	}
	first.halt()
	soon(t, "the second works", func() bool { return b.worker() == "second" })
	if n := second.metric(t, "countersign_cluster_takeovers_total"); n != 0 {
		t.Errorf("%v leases were taken over from the dead", n)
	}
	b.end(t)
}

// A node that is cut off stops before another begins, and does not take the work back.
func TestANodeThatIsCutOffStopsInTime(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	w := newWire(t, server.Address())
	first, second := startNode(t, "first", w.through(url, server)), startNode(t, "second", url)
	var b bench
	b.employ(t, first, quick.ttl/16)
	soon(t, "the first works", func() bool { return b.worker() == "first" })
	b.employ(t, second, 0)
	for range 3 { // faults so short that it does not matter
		w.set(true)
		w.set(false)
		time.Sleep(quick.beat)
	}
	if b.worker() != "first" {
		t.Error("it stopped because of a short fault")
	}
	w.set(true)
	soon(t, "the first stops", func() bool { return b.worker() != "first" })
	soon(t, "the second works", func() bool { return b.worker() == "second" })
	if n := second.metric(t, "countersign_cluster_takeovers_total"); n != 1 {
		t.Errorf("%v takeovers", n)
	}
	if n := first.metric(t, "countersign_cluster_lease_held"); n != 0 {
		t.Error("the first is said to have the lease")
	}
	w.set(false)
	soon(t, "the first is back", func() bool { return first.returns.Load() > 0 })
	time.Sleep(3 * quick.beat)
	if visits := b.end(t); visits != 2 || b.worker() != "second" {
		t.Errorf("%d visits, %q works", visits, b.worker())
	}
}

// Three nodes that come, go and are cut off never work two at a time.
func TestNeverTwoAtATime(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	var b bench
	var wires []*wire
	for i := range 3 {
		w := newWire(t, server.Address())
		wires = append(wires, w)
		n := startNode(t, string(rune('a'+i)), w.through(url, server))
		b.employ(t, n, quick.ttl/32)
	}
	for i := range 6 {
		soon(t, "somebody works", func() bool { return b.worker() != "" })
		worker := b.worker()
		if worker == "" {
			continue
		}
		w := wires[worker[0]-'a']
		w.set(true)
		if i%2 == 0 { // and is back just when its lease ends
			time.Sleep(quick.ttl * 3 / 4)
			w.set(false)
		}
		soon(t, "it stops, or goes on in time", func() bool { return i%2 == 0 || b.worker() != worker })
		w.set(false)
	}
	if visits := b.end(t); visits < 3 {
		t.Errorf("%d visits: nothing was taken over", visits)
	}
}

// The work of one name is done once in a process too, one after the other.
func TestWorkOfTheSameProcess(t *testing.T) {
	url := clusterDatabase(t, postgrestest.Shared(t))
	n := startNode(t, "a", url)
	var b bench
	dismiss := b.employ(t, n, quick.ttl/8)
	soon(t, "the first works", func() bool { return b.worker() != "" })
	b.employ(t, n, 0)
	dismiss() // a reload of the configuration
	soon(t, "the second works", func() bool { return b.end(t) == 2 && b.worker() != "" })

	ran := false
	n.work(t.Context(), "once", func(context.Context) { ran = true })
	if !ran {
		t.Error("work that ends by itself was not done")
	}
	n.halt()
	n.work(t.Context(), "mail", func(context.Context) { t.Error("work after the end") })
}

// While the database is away nobody works, and a node can stop.
func TestNobodyWorksWithoutADatabase(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	w := newWire(t, server.Address())
	n := startNode(t, "a", w.through(url, server))
	var b bench
	b.employ(t, n, 0)
	soon(t, "it works", func() bool { return b.worker() != "" })
	w.set(true)
	soon(t, "it stops", func() bool { return b.worker() == "" })
	n.halt()
}

// A lease that is lost although it is held, because the database is not the one it was,
// ends the work at the next tick.
func TestALeaseThatIsNotThereAnyMore(t *testing.T) {
	url := clusterDatabase(t, postgrestest.Shared(t))
	n := startNode(t, "a", url)
	var lost atomic.Bool
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var over sync.WaitGroup
	working := make(chan struct{}, 1)
	over.Go(func() {
		n.work(ctx, "mail", func(ctx context.Context) {
			working <- struct{}{}
			<-ctx.Done()
			lost.Store(true)
		})
	})
	<-working
	clusterExec(t, url, "UPDATE lease SET node = 'b', instance = 'b'")
	soon(t, "it stops", lost.Load)
	cancel()
	over.Wait()
	v, err := n.view(t.Context())
	if err != nil || len(v.Leases) != 1 || v.Leases[0].Node != "b" {
		t.Errorf("%+v, %v: want what is another's to be left alone", v.Leases, err)
	}
}
