package postgres

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/prometheus/client_golang/prometheus"

	"countersign/tms"
	"countersign/tms/store/postgrestest"
)

// quick are times for tests: a tenth and less of the usual ones.
var quick = clusterTimes{tick: 20 * time.Millisecond, beat: 60 * time.Millisecond, ttl: 800 * time.Millisecond, retry: 20 * time.Millisecond, deadline: 1500 * time.Millisecond}

// clusterDatabase makes tables that no other test has, and returns the URL under which they
// are found. A schema is made in a tenth of the time of a database.
func clusterDatabase(t *testing.T, server *postgrestest.Server) string {
	t.Helper()
	url := server.URL("cluster")
	clusterMaking.Lock() // others wait until the database is there
	if !clusterServers[server] {
		clusterExec(t, server.URL("postgres"), "CREATE DATABASE cluster")
		clusterServers[server] = true
	}
	clusterMaking.Unlock()
	schema := fmt.Sprintf("cluster%d", clusterSchemas.Add(1))
	tables, err := os.ReadFile("migrations/00001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	clusterExec(t, url, "CREATE SCHEMA "+schema)
	url += "?search_path=" + schema
	clusterExec(t, url, string(tables))
	return url
}

var (
	clusterMaking  sync.Mutex
	clusterServers = map[*postgrestest.Server]bool{} // that have the database for them
	clusterSchemas atomic.Int64
)

// impatient gives up soon.
func impatient(o *clusterOptions) { o.times.deadline = 400 * time.Millisecond }

// clusterExec runs a statement on a connection of its own.
func clusterExec(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// clusterNode is a cluster of a test, with what it has told.
type clusterNode struct {
	*cluster
	registry *prometheus.Registry
	log      *syncWriter
	failures atomic.Int64
	returns  atomic.Int64
	stopped  sync.Once
}

// syncWriter gathers what a log says.
type syncWriter struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *syncWriter) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *syncWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

// newNode makes a node that has not started.
func newNode(t *testing.T, name, url string, change ...func(*clusterOptions)) *clusterNode {
	t.Helper()
	n := &clusterNode{cluster: new(cluster), registry: prometheus.NewRegistry(), log: new(syncWriter)}
	o := clusterOptions{
		node: name, version: "1.7.0", schema: 1,
		config: func(context.Context) (*pgx.ConnConfig, error) { return pgx.ParseConfig(url) },
		clock:  time.Now, rand: rand.Reader, logger: slog.New(slog.NewTextHandler(n.log, nil)),
		explain: func(err error) error { return err },
		failed:  func(error) { n.failures.Add(1) }, works: func() { n.returns.Add(1) },
		times: quick,
	}
	for _, c := range change {
		c(&o)
	}
	if err := n.init(o); err != nil {
		t.Fatal(err)
	}
	return n
}

// startNode makes a node that stops at the end of the test.
func startNode(t *testing.T, name, url string, change ...func(*clusterOptions)) *clusterNode {
	t.Helper()
	n := newNode(t, name, url, change...)
	if err := n.start(t.Context(), n.registry); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.halt)
	return n
}

func (n *clusterNode) halt() { n.stopped.Do(func() { n.stop(n.registry) }) }

// metric is the value of a metric without labels, or of the only one with them.
func (n *clusterNode) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := n.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			m := f.GetMetric()[0]
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

// soon waits until something is so.
func soon(t *testing.T, what string, so func() bool) {
	t.Helper()
	for range 3000 {
		if so() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("after half a minute still not: %s", what)
}

// wire is a way to the database that can be cut.
type wire struct {
	listener net.Listener
	mu       sync.Mutex
	conns    []net.Conn
	cut      bool
}

func newWire(t *testing.T, target string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: l}
	go w.serve(target)
	t.Cleanup(func() { _ = l.Close(); w.set(true) })
	return w
}

func (w *wire) serve(target string) {
	for {
		from, err := w.listener.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		to, err := net.Dial("tcp", target)
		if w.cut || err != nil {
			_ = from.Close()
		}
		if err == nil {
			w.conns = append(w.conns, from, to)
			go w.carry(from, to)
			go w.carry(to, from)
		}
		w.mu.Unlock()
	}
}

func (w *wire) carry(to, from net.Conn) {
	_, _ = io.Copy(to, from) // until either is closed
	_, _ = to.Close(), from.Close()
}

// set cuts the wire, or mends it.
func (w *wire) set(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	for _, c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
}

// through is a URL that goes through a wire.
func (w *wire) through(url string, server *postgrestest.Server) string {
	return strings.Replace(url, server.Address(), w.listener.Addr().String(), 1)
}

func TestTheDatabaseIsFoundAgain(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	w := newWire(t, server.Address())
	n := startNode(t, "a", w.through(url, server), impatient)
	soon(t, "alive", func() bool { return n.metric(t, "countersign_cluster_nodes") == 1 })
	w.set(true)
	soon(t, "a failure", func() bool { return n.failures.Load() > 0 })
	if n.returns.Load() > 0 {
		t.Error("it works all the same")
	}
	if v, err := n.view(t.Context()); err != nil || v.Database.Fault == "" || v.Node != "a" {
		t.Errorf("%+v, %v: want the fault to be told", v, err)
	}
	w.set(false)
	soon(t, "found again", func() bool { return n.returns.Load() == 1 })
	n.suspect() // a commit has failed elsewhere
	soon(t, "tried", func() bool { return n.returns.Load() == 2 })
}

// A host that is dead takes what is sent and never answers.
func TestADeadHostDoesNotHideALivingOne(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer dead.Close()
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	both := strings.Replace(url, server.Address(), dead.Addr().String()+","+server.Address(), 1)
	n := startNode(t, "a", both)
	config, err := pgx.ParseConfig(both)
	if err != nil {
		t.Fatal(err)
	}
	before := len(waysOf(config))
	n.prefer(config)
	if first := hostOf(config.Host, config.Port); first != server.Address() || len(waysOf(config)) != before {
		t.Errorf("%s is first of %d ways, want %s of %d", first, len(waysOf(config)), server.Address(), before)
	}
	if v, err := n.view(t.Context()); err != nil || v.Database.Host != server.Address() {
		t.Errorf("%+v, %v", v.Database, err)
	}
}

// The clock of a node that is wrong is told, and changes nothing: neither when others
// count as alive nor when a lease ends.
func TestTheClockOfANode(t *testing.T) {
	url := clusterDatabase(t, postgrestest.Shared(t))
	right := startNode(t, "right", url)
	wrong := startNode(t, "wrong", url, func(o *clusterOptions) {
		o.clock = func() time.Time { return time.Now().Add(2 * time.Second) }
	})
	soon(t, "two nodes", func() bool {
		return right.metric(t, "countersign_cluster_nodes") == 2 && wrong.metric(t, "countersign_cluster_clock_skew_seconds") > 1.9
	})
	s := tms.NewService(tms.Options{Clock: time.Now, Cluster: viewer{wrong.cluster}})
	var v tms.ClusterView
	soon(t, "the skew is in the list", func() (is bool) {
		var err error
		if v, err = s.ClusterStatus(t.Context(), tms.Caller{Administrator: true}); err != nil {
			t.Fatal(err)
		}
		return len(v.Nodes) == 2 && v.Nodes[1].Skew > 1900*time.Millisecond
	})
	for i, name := range []string{"right", "wrong"} {
		n := v.Nodes[i]
		if n.Name != name || !n.Alive || n.Self != (name == "wrong") || n.Version != "1.7.0" || n.Started.IsZero() || n.Ago > quick.ttl {
			t.Errorf("node %s: %+v", name, n)
		}
	}
	if skew := v.Nodes[0].Skew; skew > 100*time.Millisecond || skew < -100*time.Millisecond || v.Nodes[1].Skew > 2100*time.Millisecond {
		t.Errorf("clocks are said to differ by %v and %v", skew, v.Nodes[1].Skew)
	}
	if len(v.Faults) != 1 || !strings.Contains(v.Faults[0], `"wrong"`) {
		t.Errorf("faults %q", v.Faults)
	}
}

// viewer is a tms.Cluster.
type viewer struct{ *cluster }

func (v viewer) Cluster(ctx context.Context) (tms.ClusterView, error) { return v.view(ctx) }

func (v viewer) ForgetNode(context.Context, string, tms.Act) error { return nil }
