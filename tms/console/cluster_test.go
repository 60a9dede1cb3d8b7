package console

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"countersign/tms"
)

// described is a tms.Cluster.
type described tms.ClusterView

func (d *described) Cluster(context.Context) (tms.ClusterView, error) {
	return tms.ClusterView(*d), nil
}

func (d *described) ForgetNode(_ context.Context, name string, _ tms.Act) error {
	d.Nodes = slices.DeleteFunc(d.Nodes, func(n tms.ClusterNode) bool { return n.Name == name })
	return nil
}

// Nothing of a cluster is lost on the way.
func TestClustersTravel(t *testing.T) {
	at := heard.UTC()
	want := tms.ClusterView{
		Store: "postgres", Node: "a",
		Database: tms.ClusterDatabase{
			Version: "PostgreSQL 15.9", Host: "192.0.2.7:5432", At: at, Commits: "on", Awaited: "s1", Waiting: 1, Hidden: true,
			Standbys: []tms.ClusterStandby{{Name: "s1", Address: "192.0.2.8", State: "streaming", Sync: "sync", Lag: time.Millisecond, Behind: 4096}},
		},
		Commit: tms.ClusterCommit{Batch: 7, At: at},
		Nodes:  []tms.ClusterNode{{Name: "a", Version: "1.7.0", Started: at, Seen: at, Ago: time.Second, Alive: true, Self: true, Skew: -time.Millisecond}},
		Leases: []tms.ClusterLease{{Name: "mail", Node: "a", Since: at, Until: at.Add(8 * time.Second)}},
	}
	d := described(want)
	options := tms.Options{Clock: time.Now, Cluster: &d}
	got, err := mount(t, tms.NewService(options), true).ClusterStatus(t.Context())
	if len(got.Faults) != 1 || len(got.Remarks) != 2 {
		t.Errorf("faults %q, remarks %q", got.Faults, got.Remarks)
	}
	got.Faults, got.Remarks = nil, nil
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	if err := mount(t, tms.NewService(options), true).ForgetNode(t.Context(), "a"); err != nil || len(d.Nodes) > 0 {
		t.Errorf("%+v is still there, %v", d.Nodes, err)
	}
	if _, err := mount(t, tms.NewService(options), false).ClusterStatus(t.Context()); !errors.Is(err, tms.ErrForbidden) {
		t.Error(err)
	}
}
