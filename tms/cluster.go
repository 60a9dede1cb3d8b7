package tms

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Cluster is a store that several nodes share, and what it knows of them.
type Cluster interface {
	// Cluster tells how it stands. A database that does not answer is no error, but part
	// of that.
	Cluster(ctx context.Context) (ClusterView, error)
	// ForgetNode takes a node off the list, and records the act. The error wraps ErrNotFound
	// when it is not in it, and ErrInvalid while it is alive.
	ForgetNode(ctx context.Context, name string, act Act) error
}

// ClusterView tells how it stands with the nodes and the database they share.
type ClusterView struct {
	Store    string          `json:"store"`          // "postgres", or "embedded": one node by itself, of which nothing more is told
	Node     string          `json:"node,omitempty"` // the one that tells; "" is a command
	Database ClusterDatabase `json:"database,omitzero"`
	Commit   ClusterCommit   `json:"last_commit,omitzero"`
	Nodes    []ClusterNode   `json:"nodes,omitempty"`  // by name
	Leases   []ClusterLease  `json:"leases,omitempty"` // by name
	Faults   []string        `json:"faults"`           // what is wrong, and how to mend it
	Remarks  []string        `json:"remarks"`          // what is right, but worth a look
}

// ClusterDatabase is the database that answered.
type ClusterDatabase struct {
	Fault     string    `json:"fault,omitempty"` // why none answers; nothing else is told then
	Version   string    `json:"version"`         // as it says itself
	Host      string    `json:"host"`            // host:port, where this node found it
	At        time.Time `json:"at,omitzero"`     // what its clock said
	Following bool      `json:"in_recovery"`     // it is a standby

	// Commits is its synchronous_commit, and Awaited its synchronous_standby_names.
	Commits string `json:"synchronous_commit"`
	Awaited string `json:"synchronous_standby_names"`
	// Standbys are attached to it. Where Hidden they are only counted, because our role
	// may not see more.
	Standbys []ClusterStandby `json:"standbys"`
	Hidden   bool             `json:"standbys_hidden"`
	// Waiting is how many of our commits have waited for a standby for more than a second.
	Waiting int `json:"waiting_commits"`
}

// ClusterStandby is a standby, as pg_stat_replication has it.
type ClusterStandby struct {
	Name    string        `json:"name"`
	Address string        `json:"address,omitempty"`
	State   string        `json:"state"`            // streaming, catchup, ...
	Sync    string        `json:"sync_state"`       // sync, quorum, potential or async
	Lag     time.Duration `json:"replay_lag_ns"`    // until it has done what the primary has committed
	Behind  int64         `json:"replay_lag_bytes"` // of the log
}

// Synchronous reports whether commits may count on a standby: others wait behind
// those that are "sync", as "potential".
func (s *ClusterStandby) Synchronous() bool { return s.Sync == "sync" || s.Sync == "quorum" }

// ClusterCommit is the newest batch of the journal.
type ClusterCommit struct {
	Batch uint64    `json:"batch"`
	At    time.Time `json:"at,omitzero"` // when it was written, by the database's clock
}

// ClusterNode is a server that has told the database of itself within a day.
type ClusterNode struct {
	Name    string        `json:"name"`
	Version string        `json:"version"`
	Started time.Time     `json:"started"`     // by the database's clock, as all instants
	Seen    time.Time     `json:"seen"`        // when it was last heard of
	Ago     time.Duration `json:"seen_ago_ns"` // how long ago that is
	Alive   bool          `json:"alive"`
	Self    bool          `json:"self"`
	// Skew is by how much its clock is ahead of the database's. Negative is behind.
	Skew time.Duration `json:"clock_skew_ns"`
	// KeyFile is that of the node while it does not open the store, so that the node could not
	// be started again.
	KeyFile string `json:"wrong_key_file,omitempty"`
}

// ClusterLease is work that one node at a time does.
type ClusterLease struct {
	Name  string    `json:"name"`
	Node  string    `json:"node"` // "" is nobody
	Since time.Time `json:"since"`
	Until time.Time `json:"until,omitzero"` // unless it is renewed; another node may do the work then
}

// ClusterStatus tells how it stands with the nodes that share the store.
func (s *Service) ClusterStatus(ctx context.Context, c Caller) (ClusterView, error) {
	if _, err := s.gate(c, "cluster.status", "", ""); err != nil {
		return ClusterView{}, err
	}
	if s.Cluster == nil {
		return ClusterView{Store: "embedded", Faults: []string{}, Remarks: []string{}}, nil
	}
	v, err := s.Cluster.Cluster(ctx)
	if err != nil {
		return ClusterView{}, fmt.Errorf("asking how it stands with the cluster: %w", err)
	}
	v.judge()
	return v, nil
}

// ForgetNode takes a node off the list whose machine is no more. One that stops in an orderly
// way is not in it, and any other leaves it a day after it was last heard of.
func (s *Service) ForgetNode(ctx context.Context, c Caller, name string) error {
	act, err := s.gate(c, "cluster.forget", name, "")
	if err != nil {
		return err
	}
	if s.Cluster == nil {
		return invalid("this is a single node: there is no list of them")
	}
	return s.Cluster.ForgetNode(ctx, name, act)
}

// maxSkew is how wrong a node's clock may be before that is a fault: a code of a clock
// token is good for half a minute, so a second does no harm yet.
const maxSkew = time.Second

// judge tells faults and remarks, the worst first.
func (v *ClusterView) judge() {
	v.Remarks = []string{} // rather than nil, which is null in JSON
	if v.Faults = v.Database.Faults(); v.Database.Fault != "" {
		return
	}
	alive := 0
	for i := range v.Nodes {
		if v.Nodes[i].Alive {
			alive++
		}
		v.judgeNode(&v.Nodes[i])
	}
	switch {
	case alive == 0:
		v.fault("no node is alive: nobody answers the gateways: start `countersign serve` on at least one")
	case v.Database.Stall() == "": // while commits wait no lease can be renewed
		v.judgeLeases()
	}
	if alive == 1 {
		v.remark("one node alone is alive: nobody takes over for it")
	}
	if versions := v.versions(); len(versions) > 1 {
		v.remark("nodes run different versions (%s): that works while they are updated one after the other; finish it", strings.Join(versions, ", "))
	}
	v.judgeDatabase()
}

// judgeDatabase tells what is worth a look there; Faults tells what is wrong.
func (v *ClusterView) judgeDatabase() {
	d := &v.Database
	if d.Awaited == "" && len(d.Standbys) == 0 && d.replicates() {
		v.remark("the database has no standby: with its machine all is lost but what was backed up")
	}
	if d.Hidden {
		v.remark("the database does not show its standbys to our role: GRANT pg_monitor to it, and their lag is told here")
	}
}

func (v *ClusterView) fault(format string, args ...any) {
	v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
}

func (v *ClusterView) remark(format string, args ...any) {
	v.Remarks = append(v.Remarks, fmt.Sprintf(format, args...))
}

func (v *ClusterView) judgeNode(n *ClusterNode) {
	switch {
	case !n.Alive:
		v.fault("node %q was not heard of for %v and did not stop in an orderly way: start it, or see its log; if it is gone for good: countersign cluster forget %s", n.Name, n.Ago.Round(time.Second), n.Name)
	case n.KeyFile != "":
		v.fault("node %q could not be started again, because its key file %s does not open the store: %s", n.Name, n.KeyFile, v.rightKeyFile())
	case n.Skew > maxSkew || n.Skew < -maxSkew:
		v.fault("the clock of node %q differs by %v from the database's: let both be set by NTP, because codes of clock tokens depend on it", n.Name, n.Skew.Round(time.Millisecond))
	}
}

// rightKeyFile says where a key file is that opens the store.
func (v *ClusterView) rightKeyFile() string {
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Alive && n.KeyFile == "" {
			return fmt.Sprintf("copy that of node %q there", n.Name)
		}
	}
	return "copy the one there that `countersign key rotate` has made; while a node runs the keys can be rotated again"
}

// judgeLeases: work that nobody does although there is somebody.
func (v *ClusterView) judgeLeases() {
	for i := range v.Leases {
		l := &v.Leases[i]
		switch {
		case l.Node == "":
			v.remark("nobody does the work %q since %s: it was given up, and another node takes it within a second or two if any has it to do", l.Name, l.Since.UTC().Format(time.RFC3339))
		case !l.Until.After(v.Database.At):
			v.fault("nobody does the work %q: node %q had it until %s, and no other has taken it over; see the log of the nodes that are alive", l.Name, l.Node, l.Until.UTC().Format(time.RFC3339))
		}
	}
}

// versions are those of the nodes that are alive.
func (v *ClusterView) versions() (versions []string) {
	for i := range v.Nodes {
		if n := &v.Nodes[i]; n.Alive && !slices.Contains(versions, n.Version) {
			versions = append(versions, n.Version)
		}
	}
	return versions
}

// replicates reports whether it is PostgreSQL itself, which has standbys. Others that speak
// its protocol keep copies in their own way.
func (d *ClusterDatabase) replicates() bool {
	return strings.HasPrefix(d.Version, "PostgreSQL") && !strings.Contains(d.Version, "-YB-")
}

// Faults tells what is wrong with the database, the worst first.
func (d *ClusterDatabase) Faults() []string {
	switch {
	case d.Fault != "":
		return []string{"the database does not answer, logins are silent: " + d.Fault}
	case d.Following:
		return []string{"the database at " + d.Host + " is a standby, which takes no commits, and logins are silent: promote it, or name the primary too in dsn of [store]"}
	}
	faults := []string{} // rather than nil, which is null in JSON
	if fault := d.replicationFault(); fault != "" {
		faults = append(faults, fault)
	}
	return faults
}

// Stall tells why commits wait for standbys, "" when they do not. What is there can be read.
func (d *ClusterDatabase) Stall() string {
	switch {
	case d.Awaited == "" || d.Commits == "off" || d.Commits == "local":
		return ""
	case d.awaitsInVain():
		return "no synchronous standby is attached: commits wait, logins are silent: start the standby, or take it out of synchronous_standby_names (" + d.Awaited + ")"
	case d.Waiting > 0:
		return "commits wait for more standbys than answer, logins are silent: start them, or take them out of synchronous_standby_names (" + d.Awaited + ")"
	}
	return ""
}

// replicationFault tells what is wrong with the standbys. What a commit waits for is
// durable on them; what it does not wait for is lost at a fail-over, and a code that was
// used just before is good again.
func (d *ClusterDatabase) replicationFault() string {
	const again = "a fail-over loses logins, and codes that were used just before are good once more: "
	stall := d.Stall()
	switch {
	case d.Commits == "off":
		return "synchronous_commit is off: a crash of the database loses logins, and codes that were used just before are good once more: set it to on"
	case stall != "":
		return stall
	case d.Awaited != "" && d.Commits == "local":
		return "synchronous_commit is local, so that commits do not wait for the standbys: " + again + "set it to on"
	case d.Awaited == "" && len(d.Standbys) > 0:
		return "the standbys are asynchronous: " + again + "set synchronous_standby_names, best to ANY 1 (...) over two of them"
	}
	return ""
}

// awaitsInVain reports whether no standby is there that commits can count on. Where that
// cannot be seen, commits that wait tell.
func (d *ClusterDatabase) awaitsInVain() bool {
	if d.Hidden {
		return d.Waiting > 0
	}
	return !slices.ContainsFunc(d.Standbys, func(s ClusterStandby) bool { return s.Synchronous() })
}
