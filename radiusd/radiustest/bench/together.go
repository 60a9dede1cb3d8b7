package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"countersign/radiusd/radiustest"
)

// Whose result it is, of two loads.
func ofLocal(t together) radiustest.Result  { return t.Local }
func ofOthers(t together) radiustest.Result { return t.Others }

// beside returns a figure of one of two loads in a mode, one value a round.
func (b *bench) beside(f figure, whose func(together) radiustest.Result, mode company) sample {
	var s sample
	for _, t := range b.inCompany(mode) {
		s = append(s, f.of(whose(t)))
	}
	return s
}

// inCompany returns the results in a mode, one a round.
func (b *bench) inCompany(mode company) []together {
	var results []together
	for _, t := range b.together {
		if t.Mode == mode.Name {
			results = append(results, t)
		}
	}
	return results
}

// printCompany writes a table for each mode.
func (b *bench) printCompany(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(out, "\nThe TMS answers after %v. %s logins a second begin of local users, and as many of others.\n", b.tms, number(b.rate, 0))
	for _, mode := range companies {
		fmt.Fprintf(out, "\n%s\n  \tlocal users\tothers\ttimes alone\ttimes beside local users\n", mode.Name)
		for _, f := range []figure{figureAccepted, figureP50, figureP99, figureNotAccepted} {
			fmt.Fprintf(out, "  %s\t%s", f.name, b.beside(f, ofLocal, mode).format(f.places, f.unit))
			if mode.users != nobody {
				fmt.Fprintf(out, "\t%s", b.beside(f, ofOthers, mode).format(f.places, f.unit))
				fmt.Fprintf(out, "\t%s\t%s", b.times(f, mode, companies[0]), b.times(f, mode, companies[1]))
			}
			fmt.Fprintln(out)
		}
		b.printServer(out, mode)
	}
	return out.Flush()
}

// times writes how many times as much a figure of the local users is as in another mode.
func (b *bench) times(f figure, mode, other company) string {
	if f.unit != "µs" {
		return ""
	}
	return f.ratios(b.beside(f, ofLocal, other), b.beside(f, ofLocal, mode)).format(2, "")
}

// printServer writes what a mode took of the server.
func (b *bench) printServer(out io.Writer, mode company) {
	var goroutines, inFlight, shown sample
	dropped := map[string]int{}
	breaker := 0
	for _, t := range b.inCompany(mode) {
		goroutines = append(goroutines, float64(t.Server.Goroutines))
		inFlight = append(inFlight, float64(t.Server.InFlight))
		shown = append(shown, float64(t.Shown))
		for why, n := range t.Server.Dropped {
			dropped[why] += n
		}
		if t.Server.Breaker {
			breaker++
		}
	}
	line := func(name, value string) { fmt.Fprintf(out, "  %s\t%s\n", name, value) }
	for _, f := range []figure{figureOfEither, figureMemory} {
		line(f.name, b.beside(f, ofLocal, mode).format(f.places, f.unit))
	}
	line("goroutines at most", goroutines.format(0, ""))
	line("requests in flight at most", inFlight.format(0, ""))
	line("logins shown to the TMS", shown.format(0, ""))
	line("breaker open at the end", fmt.Sprintf("in %d of %d", breaker, len(goroutines)))
	var reasons []string
	for _, why := range slices.Sorted(maps.Keys(dropped)) {
		reasons = append(reasons, fmt.Sprintf("%s %s", number(float64(dropped[why]), 0), why))
	}
	line("dropped in all rounds", strings.Join(reasons, ", "))
}
