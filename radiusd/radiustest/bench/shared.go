package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"countersign/radiusd/radiustest"
)

const pgbenchName = "pgbench"

// setup is how the database is set up.
type setup struct {
	Name    string
	standby bool
	rtt     time.Duration // between primary and standby
}

// setups are those to measure.
func (b *bench) setups() []setup {
	all := []setup{{Name: "without a standby"}, {Name: "with a synchronous standby", standby: true}}
	if b.rtt > 0 {
		all = append(all, setup{fmt.Sprintf("with a synchronous standby that is %v away", b.rtt), true, b.rtt})
	}
	return all
}

// sharedMode is a shape of load on a shared store.
type sharedMode struct {
	inFlight, nodes int
	pgbench         bool // the same of pgbench
}

// sharedModes are those that are measured; -store postgres promises the one of goalInFlight.
var sharedModes = []sharedMode{{1, 1, true}, {16, 1, true}, {goalInFlight, 1, true}, {1024, 1, false}, {goalInFlight, 2, false}}

// shared is the result of one load on a shared store. Costs are of a login or, of pgbench,
// a transaction.
type shared struct {
	Round       int               `json:"round"`
	Setup       string            `json:"setup"`
	Who         string            `json:"who"`
	InFlight    int               `json:"in_flight"`
	Nodes       int               `json:"nodes"` // servers, between which the load is divided; 0 for pgbench
	Result      radiustest.Result `json:"result"`
	DatabaseCPU time.Duration     `json:"database_cpu_ns"`
	StandbyCPU  time.Duration     `json:"standby_cpu_ns"`
	WAL         float64           `json:"wal_bytes"`
	Commits     float64           `json:"commits_a_second"` // syncs of the WAL
}

// compareShared measures pgbench and Countersign on the same database, in turn, and prints
// the comparison.
func (b *bench) compareShared(ctx context.Context, w io.Writer) (err error) {
	d, err := newDatabase(ctx, b.serverCPU, b.quick)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := b.stockPgbench(ctx, d); err != nil {
		return fmt.Errorf("making pgbench's table: %w", err)
	}
	if err := d.copy(ctx, stockedName, "template1"); err != nil {
		return err
	}
	s, err := b.stock(ctx, countersign{binary: b.binary, store: d}, b.users)
	if err != nil {
		return err
	}
	for round := 1; round <= b.rounds; round++ {
		for _, how := range b.setups() {
			if err := b.measureSetup(ctx, round, how, d, s); err != nil {
				return err
			}
		}
	}
	return b.printShared(w)
}

// measureSetup measures all modes with the database set up in one way.
func (b *bench) measureSetup(ctx context.Context, round int, how setup, d *database, s stocked) (err error) {
	if how.standby {
		if err := d.withStandby(ctx, how.rtt); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.withoutStandby(ctx)) }()
	}
	note := func(m shared, err error) error {
		if err != nil {
			return err
		}
		m.Round, m.Setup = round, how.Name
		b.sharing = append(b.sharing, m)
		fmt.Fprintf(b.progress, "round %d, %s, %s, %s: %.0f a second, %.2f µs in the server and %.2f µs in PostgreSQL\n", round, how.Name,
			m.Who, m.mode(), m.Result.AcceptedPerSecond, microseconds(m.Result.ServerCPU), microseconds(m.DatabaseCPU))
		return nil
	}
	for _, m := range sharedModes {
		if m.pgbench {
			if err := d.rest(ctx); err != nil {
				return err
			}
			if err := note(b.pgbench(ctx, d, m.inFlight)); err != nil {
				return err
			}
		}
		if err := note(b.measureNodes(ctx, d, s, m)); err != nil {
			return err
		}
	}
	return nil
}

// mode names a mode of load.
func (m shared) mode() string {
	text := number(float64(m.InFlight), 0) + " in flight"
	if m.Nodes > 1 {
		text += fmt.Sprintf(" on %d nodes", m.Nodes)
	}
	return text
}

// measureNodes makes one measurement on servers of its own and a new copy of the users.
func (b *bench) measureNodes(ctx context.Context, d *database, s stocked, m sharedMode) (result shared, err error) {
	if err := errors.Join(d.copy(ctx, runningName, stockedName), d.rest(ctx)); err != nil {
		return result, err
	}
	var nodes []*process
	defer func() {
		for _, p := range nodes {
			if stopped := p.stop(syscall.SIGTERM); err == nil {
				err = stopped
			}
		}
	}()
	for i := range m.nodes {
		p, err := b.beginIn(ctx, s, filepath.Join(b.dir, "running"+strconv.Itoa(i)))
		if err != nil {
			return result, err
		}
		nodes = append(nodes, p)
	}
	for i, p := range nodes {
		if _, err := p.login(ctx, i); err != nil { // a code is good once, on all nodes together
			return result, err
		}
		if err := p.settle(ctx); err != nil {
			return result, err
		}
	}
	return b.loadNodes(ctx, d, nodes, m)
}

// loadNodes loads servers at the same time, each with users of its own.
func (b *bench) loadNodes(ctx context.Context, d *database, nodes []*process, m sharedMode) (shared, error) {
	result := shared{Who: nodes[0].name(), InFlight: m.inFlight, Nodes: m.nodes}
	var before usage
	var notBegun, failed error
	share := b.users/m.nodes - 1
	results := make(chan radiustest.Result, m.nodes)
	errs := make(chan error, m.nodes)
	for i, p := range nodes {
		load := b.load(p, shape(m.inFlight/m.nodes), population{m.nodes + i*share, share})
		if m.inFlight < goalInFlight {
			load.WarmupLogins = 0 // that would take long, and the cache is full
		}
		if m.nodes > 1 {
			load.Spin, load.Poll = false, 100*time.Microsecond // they share a CPU
		}
		if i == 0 {
			load.Begun = func() { before, notBegun = d.usage(ctx) }
		}
		go func() {
			r, err := load.Run(ctx)
			results <- r
			errs <- err
		}()
	}
	for range nodes {
		result.add(<-results)
		failed = errors.Join(failed, <-errs)
	}
	after, err := d.usage(ctx)
	if err = errors.Join(notBegun, failed, err); err == nil && result.Result.Accepted == 0 {
		err = fmt.Errorf("%s accepted no login: %+v", result.Who, result.Result)
	}
	if err != nil {
		return result, nodes[0].explain(err)
	}
	result.share(before, after)
	return result, nil
}

// shape is a closed loop of some logins in flight.
func shape(inFlight int) mode {
	m := mode{sockets: 8, window: inFlight / 8}
	if inFlight < 8 {
		m = mode{sockets: inFlight, window: 1}
	}
	return m
}

// add adds the result of another node: times are those of the slower.
func (m *shared) add(r radiustest.Result) {
	sum := &m.Result
	if all := sum.Answered() + r.Answered(); all > 0 {
		sum.ServerCPU = (sum.ServerCPU*time.Duration(sum.Answered()) + r.ServerCPU*time.Duration(r.Answered())) / time.Duration(all)
	}
	sum.Accepted += r.Accepted
	sum.Rejected += r.Rejected
	sum.TimedOut += r.TimedOut
	sum.AcceptedPerSecond += r.AcceptedPerSecond
	sum.Elapsed = max(sum.Elapsed, r.Elapsed)
	sum.Starved = max(sum.Starved, r.Starved)
	sum.P50, sum.P99, sum.Max = max(sum.P50, r.P50), max(sum.P99, r.P99), max(sum.Max, r.Max)
	sum.Memory.Peak = max(sum.Memory.Peak, r.Memory.Peak)
	sum.Memory.Resident = max(sum.Memory.Resident, r.Memory.Resident)
}
