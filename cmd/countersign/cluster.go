package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) clusterCommand() *cobra.Command {
	status := &cobra.Command{
		Use: "status", Short: "Tell how it stands with the nodes and their database", Args: cobra.NoArgs,
		Long: "Tell how it stands with the servers that share a database (driver = \"postgres\" in [store]), the nodes: which are alive,\n" +
			"which version they run and how wrong their clocks are; where the database is, and how far behind its standbys are; when\n" +
			"something was last committed; and which node does the work that one node at a time does. Below is in words what is\n" +
			"wrong, and what is worth a look. All instants and ages are by the database's clock. The nodes talk to the database only,\n" +
			"never to each other: any of them tells of all.\n\n" +
			"Exit status: 0 when nothing is wrong, 1 when something is, or nobody can tell.",
		Example: "  countersign cluster status\n" +
			"  countersign cluster status --json | jq .faults",
		RunE: func(*cobra.Command, []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				v, err := client.ClusterStatus(ctx)
				if err != nil {
					return err
				}
				return a.showCluster(&v)
			})
		},
	}
	status.Flags().BoolVar(&a.json, "json", false, "print JSON")
	forget := &cobra.Command{
		Use: "forget NODE", Short: "Take a node off the list that is gone for good", Args: cobra.ExactArgs(1),
		Long: "Take a node off the list whose machine is no more, so that `countersign cluster status` does not call it wrong. A node\n" +
			"that is stopped leaves the list by itself, and one that was killed a day after it was last heard of. One that is alive\n" +
			"is refused. It is recorded in the audit log. Nothing else changes: a node that comes back is in the list again.",
		Example: "  countersign cluster forget b",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				if err := client.ForgetNode(ctx, args[0]); err != nil {
					return err
				}
				a.say("node %s is off the list", printable(args[0]))
				return nil
			})
		},
	}
	return group("cluster", "See the servers that share a database", status, forget)
}

// showCluster prints how it stands with a cluster. Faults are exit status 1.
func (a *app) showCluster(v *tms.ClusterView) error {
	if err := a.result(v); err != nil {
		return err
	}
	if v.Store == "embedded" {
		a.say("this is a single node: its store is a file of its own (driver = \"embedded\" in [store])")
		return nil
	}
	if err := a.tellCluster(v); err != nil {
		return err
	}
	for _, remark := range v.Remarks {
		a.say("worth a look: %s", printable(remark))
	}
	for _, fault := range v.Faults {
		a.say("WRONG: %s", printable(inOneLine(fault)))
	}
	if len(v.Faults) > 0 {
		return exitStatus(1)
	}
	a.say("nothing is wrong")
	return nil
}

// tellCluster prints what is known when the database answers.
func (a *app) tellCluster(v *tms.ClusterView) error {
	d := &v.Database
	if a.json || d.Fault != "" {
		return nil
	}
	a.wideLine("database", fmt.Sprintf("%s at %s", printable(d.Version), d.Host))
	a.wideLine("commits", commitsWait(d))
	a.wideLine("last commit", lastCommit(v))
	a.say("")
	nodes := a.newTable("NODE", "SEEN", "VERSION", "STARTED", "CLOCK")
	for i := range v.Nodes {
		nodes.row(nodeCells(&v.Nodes[i])...)
	}
	standbys := a.newTable("STANDBY", "ADDRESS", "STATE", "SYNC", "LAG")
	for i := range d.Standbys {
		standbys.row(standbyCells(d, &d.Standbys[i])...)
	}
	leases := a.newTable("WORK", "NODE", "SINCE")
	for i := range v.Leases {
		l := &v.Leases[i]
		leases.row(printable(l.Name), printable(leaseHolder(l, d.At)), date(l.Since))
	}
	for _, t := range []*table{nodes, standbys, leases} {
		if err := t.end(nil); err != nil {
			return err
		}
		a.say("")
	}
	return nil
}

// commitsWait tells what a commit waits for.
func commitsWait(d *tms.ClusterDatabase) string {
	text := "wait for its disk"
	switch {
	case d.Commits == "off":
		return "wait for nothing"
	case d.Awaited != "" && d.Commits != "local":
		text += " and for standbys: " + printable(d.Awaited)
	}
	if d.Waiting > 0 {
		text += "; " + count(d.Waiting, "commit") + " waited for more than a second just now"
	}
	return text
}

func lastCommit(v *tms.ClusterView) string {
	c := &v.Commit
	if c.Batch == 0 {
		return "none yet"
	}
	text := "batch " + strconv.FormatUint(c.Batch, 10)
	if !c.At.IsZero() {
		text += ", " + stamp(c.At) + ", " + age(max(0, v.Database.At.Sub(c.At))) + " ago"
	}
	return text
}

func nodeCells(n *tms.ClusterNode) []string {
	name, seen := printable(n.Name), age(n.Ago)+" ago"
	if n.Self {
		name += " (this one)"
	}
	if !n.Alive {
		seen += ", GONE"
	}
	return []string{name, seen, printable(n.Version), date(n.Started), clockSkew(n.Skew)}
}

// standbyCells are a standby's cells. What it told last of its lag looks well also when it
// answers no more, which commits that wait tell.
func standbyCells(d *tms.ClusterDatabase, s *tms.ClusterStandby) []string {
	if s.State == "" {
		return []string{"(hidden from our role)", "", "", "", ""}
	}
	lag := fmt.Sprintf("%v, %d bytes", s.Lag.Round(100*time.Microsecond), s.Behind)
	if s.Synchronous() && s.Behind > 0 && d.Waiting > 0 {
		lag = fmt.Sprintf("DOES NOT ANSWER, %d bytes", s.Behind)
	}
	return []string{printable(s.Name), s.Address, s.State, s.Sync, lag}
}

// leaseHolder is who does the work of a lease at an instant.
func leaseHolder(l *tms.ClusterLease, at time.Time) string {
	switch {
	case l.Node == "":
		return "nobody"
	case !l.Until.After(at):
		return "nobody, " + l.Node + " until " + stamp(l.Until)
	}
	return l.Node
}

// age is how long ago something is, as exact as one needs it.
func age(d time.Duration) string {
	if d < time.Minute {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// clockSkew tells by how much a clock is wrong.
func clockSkew(d time.Duration) string {
	switch d = d.Round(time.Millisecond); {
	case d == 0:
		return "right"
	case d > 0:
		return d.String() + " ahead"
	}
	return (-d).String() + " behind"
}
