package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"countersign/radiusd/radiustest"
)

// figure is something that is printed of a measurement.
type figure struct {
	name   string
	unit   string
	of     func(radiustest.Result) float64
	places int  // after the decimal point
	more   bool // is better
}

// The figures that goals are about, and those of several tables.
var (
	figureAccepted     = figure{"accepted logins a second", "", func(r radiustest.Result) float64 { return r.AcceptedPerSecond }, 0, true}
	figureP50          = figure{"latency, median", "µs", func(r radiustest.Result) float64 { return microseconds(r.P50) }, 0, false}
	figureNotAccepted  = figure{"not accepted", "%", notAccepted, 3, false}
	figureOfEither     = figure{"server CPU a login of either", "µs", serverCPU, 1, false}
	figurePerCPUSecond = figure{"logins a CPU second", "", perCPUSecond, 0, true}
	figureP99          = figure{"latency, 99 %", "µs", func(r radiustest.Result) float64 { return microseconds(r.P99) }, 0, false}
	figureMemory       = figure{"memory at most", "MiB", func(r radiustest.Result) float64 { return float64(r.Memory.Peak) / (1 << 20) }, 1, false}
)

var figures = []figure{
	figureAccepted,
	{"server CPU a login", "µs", serverCPU, 2, false},
	figurePerCPUSecond,
	figureP50,
	figureP99,
	figureMemory,
	figureNotAccepted,
	{"generator without codes", "s", func(r radiustest.Result) float64 { return r.Starved.Seconds() }, 2, false},
}

// compared is how many of the figures, from the first, are worth a ratio.
const compared = 6

func serverCPU(r radiustest.Result) float64 { return microseconds(r.ServerCPU) }

// perCPUSecond is how many accepted logins the server makes of a second of CPU
// time. ServerCPU is of an answered login, so those refused count as cost.
func perCPUSecond(r radiustest.Result) float64 {
	cost := r.ServerCPU.Seconds() * float64(r.Answered())
	if cost == 0 {
		return 0
	}
	return float64(r.Accepted) / cost
}

// notAccepted is the share of logins that were not accepted, in percent.
func notAccepted(r radiustest.Result) float64 {
	all := r.Answered() + r.TimedOut
	if all == 0 {
		return 0
	}
	return 100 * float64(all-r.Accepted) / float64(all)
}

// sample is the values of a figure in several rounds.
type sample []float64

// median returns the value in the middle, the mean of two if there are two, 0
// if there is none.
func (s sample) median() float64 {
	if len(s) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(s))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// format writes the median and, when they differ, the least and the greatest.
func (s sample) format(places int, unit string) string {
	if len(s) == 0 {
		return ""
	}
	least, most := number(slices.Min(s), places), number(slices.Max(s), places)
	text := number(s.median(), places)
	if least != most {
		text += " (" + least + " - " + most + ")"
	}
	if unit != "" {
		text += " " + unit
	}
	return text
}

// number writes v with commas between thousands.
func number(v float64, places int) string {
	text := fmt.Sprintf("%.*f", places, v)
	whole, fraction, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0 && whole[i-1] != '-'; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	if places > 0 {
		return whole + "." + fraction
	}
	return whole
}

// in returns the results of a server in a mode, one a round.
func (b *bench) in(server, mode string) []radiustest.Result {
	var results []radiustest.Result
	for _, m := range b.done {
		if m.Server == server && m.Mode == mode {
			results = append(results, m.Result)
		}
	}
	return results
}

// values returns a figure of several results.
func (f figure) values(results []radiustest.Result) sample {
	var s sample
	for _, r := range results {
		s = append(s, f.of(r))
	}
	return s
}

// ratios returns how much better the first of each pair is.
func (f figure) ratios(ours, theirs sample) sample {
	var s sample
	for i := range min(len(ours), len(theirs)) {
		better, worse := ours[i], theirs[i]
		if !f.more {
			better, worse = worse, better
		}
		if worse > 0 {
			s = append(s, better/worse)
		}
	}
	return s
}

// printServers writes a table for each mode of the servers measured, and then
// whether the goals are reached, if both were.
func (b *bench) printServers(w io.Writer, modes []mode) error {
	servers := b.servers()
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, m := range modes {
		fmt.Fprintf(out, "\n%s\t%s", m.Name, strings.Join(servers, "\t"))
		if len(servers) == 2 {
			fmt.Fprint(out, "\ttimes as good")
		}
		for i, f := range figures {
			fmt.Fprintf(out, "\n  %s", f.name)
			for _, server := range servers {
				fmt.Fprintf(out, "\t%s", f.values(b.in(server, m.Name)).format(f.places, f.unit))
			}
			if len(servers) == 2 && i < compared {
				fmt.Fprintf(out, "\t%s", b.ratios(f, m, servers).format(2, ""))
			}
		}
		fmt.Fprintln(out)
	}
	if len(servers) == 2 {
		b.printGoals(out, servers)
	}
	return out.Flush()
}

// servers returns who was measured, in order.
func (b *bench) servers() []string {
	var names []string
	for _, m := range b.done {
		if !slices.Contains(names, m.Server) {
			names = append(names, m.Server)
		}
	}
	return names
}

// ratios returns, for each round, how much better the first server is.
func (b *bench) ratios(f figure, m mode, servers []string) sample {
	return f.ratios(f.values(b.in(servers[0], m.Name)), f.values(b.in(servers[1], m.Name)))
}

// The goals of the comparison.
const (
	leastRatio    = 2.0      // logins a CPU second, to FreeRADIUS's, in a closed loop
	mostMemory    = 60 << 20 // bytes without users
	mostPerCached = 200      // bytes more for each user
)

// printGoals writes what is to be reached and whether it is.
func (b *bench) printGoals(w io.Writer, servers []string) {
	goal := func(what string, reached bool, is string) {
		word := "no"
		if reached {
			word = "yes"
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\n", what, word, is)
	}
	fmt.Fprint(w, "\ngoals\treached\t\n")
	ratio := b.ratios(figurePerCPUSecond, throughput, servers).median()
	goal(fmt.Sprintf("%g times the logins a CPU second, %s", leastRatio, throughput.Name), ratio >= leastRatio, number(ratio, 2))
	for _, m := range []mode{throughput, scattered, onSchedule} {
		ratio := b.ratios(figureP99, m, servers).median()
		goal("99 % of the logins as fast, "+m.Name, ratio >= 1, number(ratio, 2))
	}
	memory := figureMemory.values(b.in(servers[0], throughput.Name)).median()
	most := float64(mostMemory+mostPerCached*b.users) / (1 << 20)
	goal(fmt.Sprintf("at most %s MiB", number(most, 1)), memory <= most, number(memory, 1)+" MiB")
}
