package main

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"countersign/radiusd/radiustest"
)

// accounted is the result of one load of Accounting-Requests.
type accounted struct {
	Round  int               `json:"round"`
	Server string            `json:"server"`
	Result radiustest.Result `json:"result"`
	// All is the server's CPU time a record from before the first one until it rests again,
	// with whatever it makes of records when they are answered.
	All time.Duration `json:"server_cpu_until_rest_ns"`
}

// compareAccounting measures how many Accounting-Requests are answered a second, in turn:
// by Countersign, and by FreeRADIUS with each of its two usual ways to keep them.
func (b *bench) compareAccounting(ctx context.Context, w io.Writer) error {
	contenders := []contender{countersign{binary: b.binary}}
	if b.only == "" {
		path, err := findFreeRADIUS()
		if err != nil {
			return err
		}
		contenders = append(contenders, freeRADIUS{path, b.cleanupDelay, "detail"}, freeRADIUS{path, b.cleanupDelay, "sql"})
	}
	var ready []stocked
	for _, c := range contenders {
		s, err := b.stock(ctx, c, b.users)
		if err != nil {
			return err
		}
		ready = append(ready, s)
	}
	for round := 1; round <= b.rounds; round++ {
		for _, s := range ready {
			if err := b.account(ctx, round, s); err != nil {
				return err
			}
		}
	}
	return b.printAccounting(w)
}

// account makes one measurement on a server of its own.
func (b *bench) account(ctx context.Context, round int, s stocked) error {
	p, err := b.begin(ctx, s)
	if err != nil {
		return err
	}
	a, err := b.loadAccounting(ctx, p)
	if stopped := p.stop(syscall.SIGTERM); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	a.Round = round
	b.accounted = append(b.accounted, a)
	fmt.Fprintf(b.progress, "round %d, %s: %.0f records a second, %.2f µs, %.2f µs with all that came after\n", round, s.name(),
		a.Result.AcceptedPerSecond, microseconds(a.Result.ServerCPU), microseconds(a.All))
	return nil
}

// loadAccounting waits for a server, loads its accounting port, and waits until it rests.
func (b *bench) loadAccounting(ctx context.Context, p *process) (accounted, error) {
	a := accounted{Server: p.name()}
	if _, err := p.login(ctx, 0); err != nil {
		return a, err
	}
	if err := p.settle(ctx); err != nil {
		return a, err
	}
	before, err := radiustest.ProcessCPU(p.cmd.Process.Pid)
	if err != nil {
		return a, err
	}
	load := b.load(p, throughput, population{1, b.users - 1})
	load.Server = netip.AddrPortFrom(p.addr.Addr(), p.addr.Port()+1)
	load.Accounting, load.Warmup, load.WarmupLogins, load.Timeout = true, 0, 0, 10*time.Second
	if a.Result, err = load.Run(ctx); err != nil {
		return a, p.explain(err)
	}
	if a.Result.Accepted == 0 {
		return a, p.explain(fmt.Errorf("%s answered no record: %+v", p.name(), a.Result))
	}
	if err := p.settle(ctx); err != nil {
		return a, err
	}
	after, err := radiustest.ProcessCPU(p.cmd.Process.Pid)
	a.All = (after - before) / time.Duration(a.Result.Accepted)
	return a, err
}

// The figures of a load of accounting.
var accountingFigures = []struct {
	figure
	of func(accounted) float64
}{
	{figure{name: "answered records a second", more: true}, func(a accounted) float64 { return a.Result.AcceptedPerSecond }},
	{figure{name: "server CPU a record, while they come", unit: "µs", places: 2}, func(a accounted) float64 { return microseconds(a.Result.ServerCPU) }},
	{figure{name: "server CPU a record, until it rests", unit: "µs", places: 2}, func(a accounted) float64 { return microseconds(a.All) }},
	{figure{name: "latency, median", unit: "µs"}, func(a accounted) float64 { return microseconds(a.Result.P50) }},
	{figure{name: "latency, 99 %", unit: "µs"}, func(a accounted) float64 { return microseconds(a.Result.P99) }},
	{figure{name: "memory at most", unit: "MiB", places: 1}, func(a accounted) float64 { return float64(a.Result.Memory.Peak) / (1 << 20) }},
	{figure{name: "not answered", unit: "%", places: 3}, func(a accounted) float64 { return notAccepted(a.Result) }},
}

// printAccounting writes the figures of all servers, and how many times better those of
// the first are.
func (b *bench) printAccounting(w io.Writer) error {
	var servers []string
	byServer := map[string][]accounted{}
	for _, a := range b.accounted {
		if byServer[a.Server] == nil {
			servers = append(servers, a.Server)
		}
		byServer[a.Server] = append(byServer[a.Server], a)
	}
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(out, "\n%s of accounting\t%s", throughput.Name, strings.Join(servers, "\t"))
	for _, server := range servers[1:] {
		fmt.Fprintf(out, "\ttimes %s", server)
	}
	for i, f := range accountingFigures {
		fmt.Fprintf(out, "\n  %s", f.name)
		samples := map[string]sample{}
		for _, server := range servers {
			for _, a := range byServer[server] {
				samples[server] = append(samples[server], f.of(a))
			}
			fmt.Fprintf(out, "\t%s", samples[server].format(f.places, f.unit))
		}
		for _, server := range servers[1:] {
			if i < len(accountingFigures)-1 {
				fmt.Fprintf(out, "\t%s", f.ratios(samples[servers[0]], samples[server]).format(2, ""))
			}
		}
	}
	fmt.Fprintln(out)
	return out.Flush()
}
