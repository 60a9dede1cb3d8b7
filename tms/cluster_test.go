package tms

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// described is a Cluster that says what it is told to.
type described struct {
	view      ClusterView
	err       error
	forgotten []string
}

func (d *described) Cluster(context.Context) (ClusterView, error) { return d.view, d.err }

func (d *described) ForgetNode(_ context.Context, name string, act Act) error {
	d.forgotten = append(d.forgotten, name+" by "+act.Actor+": "+act.Verb)
	return d.err
}

// healthy is a cluster with which all is well.
func healthy() ClusterView {
	return ClusterView{
		Store: "postgres", Node: "a",
		Database: ClusterDatabase{
			Version: "PostgreSQL 15.9", Host: "192.0.2.7:5432", At: now, Commits: "on", Awaited: "ANY 1 (s1, s2)",
			Standbys: []ClusterStandby{{Name: "s1", State: "streaming", Sync: "quorum"}, {Name: "s3", State: "streaming", Sync: "async"}},
		},
		Nodes: []ClusterNode{
			{Name: "a", Version: "1.7.0", Seen: now, Alive: true, Self: true, Skew: 800 * time.Millisecond},
			{Name: "b", Version: "1.7.0", Seen: now, Alive: true, Skew: -time.Second},
		},
		Leases: []ClusterLease{{Name: "mail", Node: "b", Until: now.Add(8 * time.Second)}},
	}
}

func TestWhatIsWrongWithACluster(t *testing.T) {
	for _, test := range []struct {
		name           string
		change         func(*ClusterView)
		fault, remarks string // "" is none
	}{
		{"all is well", func(*ClusterView) {}, "", ""},
		{"no database", func(v *ClusterView) { *v = ClusterView{Database: ClusterDatabase{Fault: "connection refused"}} }, "does not answer, logins are silent: connection refused", ""},
		{"only a standby", func(v *ClusterView) { v.Database.Following = true }, "is a standby, which takes no commits", ""},
		{"no synchronous standby", func(v *ClusterView) { v.Database.Standbys = v.Database.Standbys[1:] }, "no synchronous standby is attached: commits wait, logins are silent", ""},
		{"too few", func(v *ClusterView) { v.Database.Waiting = 3 }, "commits wait for more standbys than answer", ""},
		{"standbys that nobody waits for", func(v *ClusterView) { v.Database.Awaited = "" }, "the standbys are asynchronous", ""},
		{"not even the disk", func(v *ClusterView) { v.Database.Commits = "off" }, "synchronous_commit is off", ""},
		{"only the disk", func(v *ClusterView) { v.Database.Commits = "local" }, "synchronous_commit is local", ""},
		{"a standby that cannot be seen", func(v *ClusterView) {
			v.Database.Hidden, v.Database.Standbys = true, []ClusterStandby{{}}
		}, "", "GRANT pg_monitor"},
		{"nor is it there", func(v *ClusterView) {
			v.Database.Hidden, v.Database.Standbys, v.Database.Waiting = true, []ClusterStandby{{}}, 1
		}, "no synchronous standby is attached", "GRANT pg_monitor"},
		{"no standby at all", func(v *ClusterView) { v.Database.Awaited, v.Database.Standbys = "", nil }, "", "has no standby"},
		{"another database, which has no standbys", func(v *ClusterView) {
			v.Database.Version, v.Database.Awaited, v.Database.Standbys = "CockroachDB CCL v25.1.0", "", nil
		}, "", ""},
		{"a node is gone", func(v *ClusterView) { v.Nodes[1].Alive, v.Nodes[1].Ago = false, time.Minute }, `node "b" was not heard of for 1m0s`, "one node alone is alive"},
		{"one node", func(v *ClusterView) { v.Nodes = v.Nodes[:1] }, "", "one node alone is alive"},
		{"a clock ahead", func(v *ClusterView) { v.Nodes[0].Skew = 2 * time.Second }, `clock of node "a" differs by 2s`, ""},
		{"a clock behind", func(v *ClusterView) { v.Nodes[1].Skew = -2 * time.Second }, `clock of node "b" differs by -2s`, ""},
		{"a key file of before", func(v *ClusterView) { v.Nodes[1].KeyFile = "/etc/key" }, `node "b" could not be started again, because its key file /etc/key does not open the store: copy that of node "a" there`, ""},
		{"no right key file", func(v *ClusterView) { v.Nodes = v.Nodes[:1]; v.Nodes[0].KeyFile = "/etc/key" }, "that `countersign key rotate` has made", "one node alone is alive"},
		{"an update", func(v *ClusterView) { v.Nodes[1].Version = "1.8.0" }, "", "different versions (1.7.0, 1.8.0)"},
		{"work that was given up", func(v *ClusterView) { v.Leases[0] = ClusterLease{Name: "mail", Since: now} }, "", `nobody does the work "mail"`},
		{"no lease is renewed while commits wait", func(v *ClusterView) { v.Database.Standbys, v.Leases[0].Until = nil, now }, "commits wait, logins are silent", ""},
		{"work that was left", func(v *ClusterView) { v.Leases[0].Until = now }, `nobody does the work "mail": node "b" had it until`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, _ := serving()
			d := &described{view: healthy()}
			test.change(&d.view)
			s.Cluster = d
			v, err := s.ClusterStatus(ctx, root)
			if err != nil {
				t.Fatal(err)
			}
			wantOne(t, "faults", v.Faults, test.fault)
			wantOne(t, "remarks", v.Remarks, test.remarks)
		})
	}
}

// wantOne wants one text, or none where want is "".
func wantOne(t *testing.T, what string, texts []string, want string) {
	t.Helper()
	if texts == nil {
		t.Errorf("%s are null in JSON", what)
	}
	if want == "" && len(texts) > 0 || want != "" && (len(texts) != 1 || !strings.Contains(texts[0], want)) {
		t.Errorf("%s: %q, want %q", what, texts, want)
	}
}

func TestANodeByItself(t *testing.T) {
	s, _ := serving()
	if v, err := s.ClusterStatus(ctx, root); err != nil || v.Store != "embedded" || len(v.Faults)+len(v.Remarks) > 0 {
		t.Errorf("%+v, %v", v, err)
	}
	broken := errors.New("the password cannot be read")
	s.Cluster = &described{err: broken}
	_, err := s.ClusterStatus(ctx, root)
	wantError(t, err, broken, "cluster")
}

func TestForgettingANode(t *testing.T) {
	s, _ := serving()
	wantError(t, s.ForgetNode(ctx, root, "b"), ErrInvalid, "single node")
	d := new(described)
	s.Cluster = d
	wantError(t, s.ForgetNode(ctx, Caller{Name: "kay", User: "kay"}, "b"), ErrForbidden, "cluster.forget")
	if err := s.ForgetNode(ctx, root, "b"); err != nil || len(d.forgotten) != 1 || !strings.HasSuffix(d.forgotten[0], ": cluster.forget") || !strings.HasPrefix(d.forgotten[0], "b by ") {
		t.Errorf("%q, %v", d.forgotten, err)
	}
}
