package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/tms"
)

// seenCluster is a cluster at three in the morning.
func seenCluster() *tms.ClusterView {
	at := time.Date(2026, 11, 22, 3, 0, 0, 0, time.Local)
	return &tms.ClusterView{
		Store: "postgres", Node: "a",
		Database: tms.ClusterDatabase{
			Version: "PostgreSQL 15.9", Host: "192.0.2.7:5432", At: at, Commits: "on", Awaited: "ANY 1 (s1, s2)", Waiting: 2,
			Standbys: []tms.ClusterStandby{{Name: "s3", Address: "192.0.2.8", State: "streaming", Sync: "async", Lag: 1234567 * time.Nanosecond, Behind: 4096}, {}},
		},
		Commit: tms.ClusterCommit{Batch: 7, At: at.Add(-90 * time.Second)},
		Nodes: []tms.ClusterNode{
			{Name: "a", Version: "1.7.0", Started: at.Add(-time.Hour), Ago: 1234 * time.Millisecond, Alive: true, Self: true, Skew: -3 * time.Millisecond},
			{Name: "b", Version: "1.8.0", Started: at.Add(-time.Hour), Ago: 2 * time.Minute, Skew: 2 * time.Second},
		},
		Leases: []tms.ClusterLease{
			{Name: "housekeeping", Since: at}, {Name: "mail", Node: "a", Since: at, Until: at.Add(time.Second)},
			{Name: "syslog", Node: "b", Since: at.Add(-time.Hour), Until: at},
		},
		Faults: []string{"no synchronous standby is attached:\ncommits wait"}, Remarks: []string{"one node alone is alive"},
	}
}

// What a command prints, and its exit status.
func showCluster(t *testing.T, asJSON bool, v *tms.ClusterView) (string, int) {
	t.Helper()
	var out bytes.Buffer
	a := &app{out: &out, err: os.Stderr, json: asJSON}
	err := a.showCluster(v)
	var status exitStatus
	if err != nil && !errors.As(err, &status) {
		t.Fatal(err)
	}
	return out.String(), int(status)
}

func TestTheClusterAtThreeInTheMorning(t *testing.T) {
	const want = `database               PostgreSQL 15.9 at 192.0.2.7:5432
commits                wait for its disk and for standbys: ANY 1 (s1, s2); 2 commits waited for more than a second just now
last commit            batch 7, 2026-11-22 02:58:30, 1m30s ago

NODE          SEEN          VERSION  STARTED              CLOCK
a (this one)  1.2s ago      1.7.0    2026-11-22 02:00:00  3ms behind
b             2m0s ago, GONE  1.8.0  2026-11-22 02:00:00  2s ahead

STANDBY                 ADDRESS    STATE      SYNC   LAG
s3                      192.0.2.8  streaming  async  1.2ms, 4096 bytes
(hidden from our role)  -          -          -      -

WORK          NODE                                 SINCE
housekeeping  nobody                               2026-11-22 03:00:00
mail          a                                    2026-11-22 03:00:00
syslog        nobody, b until 2026-11-22 03:00:00  2026-11-22 02:00:00

worth a look: one node alone is alive
WRONG: no synchronous standby is attached:; commits wait
`
	got, status := showCluster(t, false, seenCluster())
	if squeeze(got) != squeeze(want) || status != 1 {
		t.Errorf("exit status %d\n%s\nwant\n%s", status, got, want)
	}
}

// squeeze makes one space of several.
func squeeze(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return strings.Join(lines, "\n")
}

func TestTheStatusOfOtherClusters(t *testing.T) {
	well := seenCluster()
	well.Faults, well.Remarks = nil, nil
	fresh := seenCluster()
	fresh.Commit, fresh.Database.Commits = tms.ClusterCommit{}, "off"
	for _, test := range []struct {
		name   string
		view   *tms.ClusterView
		text   string
		lines  int // 0 is any number
		status int
	}{
		{"all is well", well, "nothing is wrong", 0, 0},
		{"a new database", fresh, "none yet", 0, 1},
		{"one that waits for nothing", fresh, "wait for nothing", 0, 1},
		{"a single node", &tms.ClusterView{Store: "embedded"}, "a single node", 1, 0},
		{"no database", &tms.ClusterView{Store: "postgres", Database: tms.ClusterDatabase{Fault: "x"}, Faults: []string{"the database does not answer: x"}}, "WRONG: the database does not answer: x", 1, 1},
	} {
		got, status := showCluster(t, false, test.view)
		if !strings.Contains(got, test.text) || status != test.status || test.lines > 0 && strings.Count(got, "\n") != test.lines {
			t.Errorf("%s: exit status %d\n%s", test.name, status, got)
		}
	}
}

// Programs read the same, as one object.
func TestTheClusterAsJSON(t *testing.T) {
	want := seenCluster()
	text, status := showCluster(t, true, want)
	var got tms.ClusterView
	err := json.Unmarshal([]byte(text), &got)
	if err != nil || status != 1 || strings.Count(text, "\n") != 1 || got.Nodes[1].Skew != 2*time.Second || !reflect.DeepEqual(got.Faults, want.Faults) {
		t.Errorf("%v, exit status %d\n%s", err, status, text)
	}
	if _, status := showCluster(t, true, &tms.ClusterView{Store: "embedded"}); status != 0 {
		t.Errorf("exit status %d of a single node", status)
	}
}
