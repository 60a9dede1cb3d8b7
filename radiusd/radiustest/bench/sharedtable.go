package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// The goal of a shared store: so many times as many logins as pgbench's transactions, when
// so many are in flight.
const (
	goalInFlight = 256
	leastShared  = 4.0
)

// sharedFigure is something that is printed of a load on a shared store.
type sharedFigure struct {
	figure
	of   func(shared) float64
	ours bool // pgbench has none
}

// ofLogins makes one of a figure of any load.
func ofLogins(f figure, ours bool) sharedFigure {
	return sharedFigure{f, func(m shared) float64 { return f.of(m.Result) }, ours}
}

var sharedFigures = []sharedFigure{
	{figure{name: "accepted logins a second, or transactions", more: true}, func(m shared) float64 { return m.Result.AcceptedPerSecond }, false},
	{figure{name: "server CPU of each", unit: "µs", places: 2}, func(m shared) float64 { return serverCPU(m.Result) }, true},
	{figure{name: "PostgreSQL's CPU of each", unit: "µs", places: 2}, func(m shared) float64 { return microseconds(m.DatabaseCPU) }, false},
	{figure{name: "CPU of both", unit: "µs", places: 2}, func(m shared) float64 { return serverCPU(m.Result) + microseconds(m.DatabaseCPU) }, false},
	{figure{name: "standby's CPU of each", unit: "µs", places: 2}, func(m shared) float64 { return microseconds(m.StandbyCPU) }, false},
	ofLogins(figureP50, false),
	ofLogins(figureP99, false),
	{figure{name: "write-ahead log of each", unit: "bytes"}, func(m shared) float64 { return m.WAL }, false},
	{figure{name: "of them in a commit"}, perCommit, false},
	ofLogins(figureMemory, true),
	ofLogins(figureNotAccepted, true),
}

// comparedShared is how many of the figures, from the first, are worth a ratio.
const comparedShared = 7

func perCommit(m shared) float64 {
	if m.Commits == 0 {
		return 0
	}
	return m.Result.AcceptedPerSecond / m.Commits
}

// inSetup returns the results of one of both in a mode, one a round.
func (b *bench) inSetup(how setup, m sharedMode, who string) []shared {
	var results []shared
	for _, r := range b.sharing {
		if r.Setup == how.Name && r.InFlight == m.inFlight && (who == pgbenchName && r.Who == who || r.Who != pgbenchName && who != pgbenchName && r.Nodes == m.nodes) {
			results = append(results, r)
		}
	}
	return results
}

func (f sharedFigure) values(results []shared) sample {
	var s sample
	for _, r := range results {
		s = append(s, f.of(r))
	}
	return s
}

// printShared writes a table for each setup and mode, and then whether the goal is reached.
func (b *bench) printShared(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, how := range b.setups() {
		for _, m := range sharedModes {
			b.printSharedMode(out, how, m)
		}
	}
	fmt.Fprint(out, "\ngoals\treached\t\n")
	for _, how := range b.setups() {
		goal := sharedMode{inFlight: goalInFlight, nodes: 1}
		f := sharedFigures[0]
		ratio := f.ratios(f.values(b.inSetup(how, goal, "")), f.values(b.inSetup(how, goal, pgbenchName))).median()
		word := "no"
		if ratio >= leastShared {
			word = "yes"
		}
		fmt.Fprintf(out, "  %g times pgbench, %d in flight, %s\t%s\t%s\n", leastShared, goalInFlight, how.Name, word, number(ratio, 2))
	}
	return out.Flush()
}

func (b *bench) printSharedMode(out io.Writer, how setup, m sharedMode) {
	ours := b.inSetup(how, m, "")
	if len(ours) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s, %s\tCountersign", ours[0].mode(), how.Name)
	var theirs []shared
	if m.pgbench {
		theirs = b.inSetup(how, m, pgbenchName)
		fmt.Fprint(out, "\tpgbench\ttimes as good")
	}
	for i, f := range sharedFigures {
		fmt.Fprintf(out, "\n  %s\t%s", f.name, f.values(ours).format(f.places, f.unit))
		if !m.pgbench || f.ours {
			continue
		}
		fmt.Fprintf(out, "\t%s", f.values(theirs).format(f.places, f.unit))
		if i < comparedShared {
			fmt.Fprintf(out, "\t%s", f.ratios(f.values(ours), f.values(theirs)).format(2, ""))
		}
	}
	fmt.Fprintln(out)
}
