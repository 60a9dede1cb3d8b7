package postgres

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"countersign/tms"
	"countersign/tms/store/postgrestest"
)

// status is what an administrator is told.
func (n *clusterNode) status(t *testing.T) tms.ClusterView {
	t.Helper()
	s := tms.NewService(tms.Options{Clock: time.Now, Cluster: viewer{n.cluster}})
	v, err := s.ClusterStatus(t.Context(), tms.Caller{Administrator: true})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What is told of standbys, as they come and go.
func TestTheViewOfStandbys(t *testing.T) {
	t.Parallel()
	primary := postgrestest.Start(t, postgrestest.Options{})
	url := clusterDatabase(t, primary)
	n := startNode(t, "a", url, impatient)
	if v := n.status(t); len(v.Faults) > 0 || len(v.Database.Standbys) > 0 || !strings.HasPrefix(v.Database.Version, "PostgreSQL 1") || strings.Contains(v.Database.Version, "(") || v.Database.Host != primary.Address() {
		t.Errorf("alone: %+v", v)
	}
	standby := primary.Standby(t)
	if v := n.status(t); len(v.Faults) > 0 || !v.Database.Hidden || len(v.Database.Standbys) != 1 || v.Database.Awaited != "walreceiver" {
		t.Errorf("without the right to see it: %+v", v)
	}
	soon(t, "the metric is unknown", func() bool { return math.IsNaN(n.metric(t, "countersign_store_synchronous_standbys")) })
	sql := func(statement string) {
		t.Helper()
		if _, err := primary.SQL("postgres", statement); err != nil {
			t.Fatal(err)
		}
	}
	sql("GRANT pg_monitor TO " + postgrestest.Role)
	v := n.status(t)
	if len(v.Faults) > 0 || v.Database.Hidden || len(v.Database.Standbys) != 1 {
		t.Fatalf("with a synchronous standby: %+v", v)
	}
	if s := v.Database.Standbys[0]; s.Name != "walreceiver" || s.Address != "127.0.0.1" || s.State != "streaming" || s.Sync != "sync" || !s.Synchronous() {
		t.Errorf("the standby: %+v", s)
	}
	soon(t, "the metric is known", func() bool { return n.metric(t, "countersign_store_synchronous_standbys") == 1 })

	primary.Alone(t)
	soon(t, "it is asynchronous", func() bool { return strings.Contains(fmt.Sprint(n.status(t).Faults), "asynchronous") })
	soon(t, "the log says so", func() bool { return strings.Contains(n.log.String(), "asynchronous") })
	sql("ALTER SYSTEM SET synchronous_standby_names = 'walreceiver'; ")
	sql("SELECT pg_reload_conf()")
	soon(t, "the log knows that it is well again", func() bool { return strings.Contains(n.log.String(), "as it should be again") })
	standby.Kill()
	testWaiting(t, n, primary)
}

// testWaiting: commits wait for a standby that is gone.
func testWaiting(t *testing.T, n *clusterNode, primary *postgrestest.Server) {
	soon(t, "the standby is missed", func() bool {
		return strings.Contains(fmt.Sprint(n.status(t).Faults), "no synchronous standby is attached: commits wait, logins are silent")
	})
	var b bench
	dismiss := b.employ(t, n, 0) // to take a lease is a commit
	soon(t, "a failure", func() bool { return n.failures.Load() > 2 })
	if visits := b.end(t); n.returns.Load() > 0 || visits > 0 {
		t.Errorf("it counts on commits that nobody has but the primary: %d returns, %d visits", n.returns.Load(), visits)
	}
	if v := n.status(t); len(v.Nodes) != 1 || !v.Nodes[0].Alive {
		t.Errorf("the node is alive all the same: %+v", v.Nodes)
	}
	waiting, err := primary.SQL("postgres", "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'")
	if err != nil || len(waiting) != 1 || waiting > "2" {
		t.Errorf("%s connections wait, %v: they must not pile up", waiting, err)
	}
	primary.Alone(t)
	soon(t, "it works again", func() bool { return n.returns.Load() > 0 && b.worker() == "a" })
	dismiss()
}

func TestTheViewOfTheLastCommit(t *testing.T) {
	url := clusterDatabase(t, postgrestest.Shared(t))
	n := startNode(t, "a", url)
	if v := n.status(t); v.Commit != (tms.ClusterCommit{}) {
		t.Errorf("of an empty journal: %+v", v.Commit)
	}
	clusterExec(t, url, `INSERT INTO journal (batch, records, at) VALUES (6, '', 0); INSERT INTO journal (batch, records) VALUES (7, '')`)
	if v := n.status(t); v.Commit.Batch != 7 || v.Database.At.Sub(v.Commit.At).Abs() > time.Minute {
		t.Errorf("%+v, and now is %v", v.Commit, v.Database.At)
	}
}
