package postgres

import (
	"strings"
	"testing"
	"time"

	"countersign/tms/store/postgrestest"
)

func TestTwoNodesOfOneName(t *testing.T) {
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	first := startNode(t, "a", url)
	second := newNode(t, "a", url)
	err := second.start(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), `node "a"`) || !strings.Contains(err.Error(), "1.7.0") {
		t.Fatalf("the second: %v", err)
	}
	first.halt() // in an orderly way
	third := startNode(t, "a", url)
	if strings.Contains(third.log.String(), "waiting") {
		t.Error("it waited for one that had stopped")
	}
	if v, err := third.view(t.Context()); err != nil || len(v.Nodes) != 1 || !v.Nodes[0].Self {
		t.Errorf("%+v, %v", v, err)
	}
}

// Who follows one that was killed waits until it counts as dead.
func TestANameOfTheDead(t *testing.T) {
	t.Parallel()
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	w := newWire(t, server.Address())
	killed := startNode(t, "a", w.through(url, server))
	soon(t, "alive", func() bool { return killed.metric(t, "countersign_cluster_nodes") == 1 })
	w.set(true)
	began := time.Now()
	second := startNode(t, "a", url)
	if took := time.Since(began); took < quick.ttl/2 {
		t.Errorf("it followed after %v", took)
	}
	w.set(false) // it was not dead after all, but cut off
	soon(t, "the first hears of it", func() bool { return strings.Contains(killed.log.String(), "another process has the name") })
	if v, err := second.view(t.Context()); err != nil || len(v.Nodes) != 1 || !v.Nodes[0].Self {
		t.Errorf("%+v, %v", v, err)
	}
}

// Unless it was a process of this machine, of which everybody can see that it has ended.
func TestANameOfOneThatHasEnded(t *testing.T) {
	url := clusterDatabase(t, postgrestest.Shared(t))
	clusterExec(t, url, "INSERT INTO node (name, instance, process, version, schema, started, seen, skew) VALUES ('a', 'x', '"+processRoom()+" 1 1', '', 1, 0, "+clockNow+", 0)")
	n := startNode(t, "a", url)
	if strings.Contains(n.log.String(), "waiting") || !n.status(t).Nodes[0].Self {
		t.Errorf("%s %+v", n.log, n.status(t).Nodes)
	}
}

func TestNodesThatAreGone(t *testing.T) {
	server := postgrestest.Shared(t)
	url := clusterDatabase(t, server)
	clusterExec(t, url, `INSERT INTO node (name, instance, process, version, schema, started, seen, skew)
		SELECT name, 'x', '', '1.6.0', 1, 0, `+clockNow+` - hours * 3600000000, 0 FROM (VALUES ('b', 23), ('c', 25)) AS gone (name, hours)`)
	n := startNode(t, "a", url)
	v, err := n.view(t.Context())
	if err != nil || len(v.Nodes) != 2 || v.Nodes[1].Name != "b" || v.Nodes[1].Alive || v.Nodes[1].Ago < 23*time.Hour {
		t.Errorf("%+v, %v", v.Nodes, err)
	}
	clusterExec(t, url, "INSERT INTO node SELECT 'c', 'x', '', '', 1, 0, 0, 0, ''") // it is not only left out
}

// A command is no node, but sees them.
func TestACommandIsNoNode(t *testing.T) {
	url := clusterDatabase(t, postgrestest.Shared(t))
	startNode(t, "a", url)
	command := startNode(t, "", url)
	v, err := command.view(t.Context())
	if err != nil || v.Node != "" || len(v.Nodes) != 1 || v.Nodes[0].Self {
		t.Errorf("%+v, %v", v, err)
	}
}
