package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"countersign/radiusd/radiustest"
)

// pgbenchTable is what pgbench works on: as many rows as there are users, with room for each
// to stay on its page when it changes, as Countersign's have.
const pgbenchTable = `CREATE TABLE state (id bigint PRIMARY KEY, counter bigint NOT NULL) WITH (fillfactor = 50)`

// pgbenchScript is the least that a login could be: one statement, which moves a counter on
// if nobody has yet.
const pgbenchScript = `\set r random(1, %d)
UPDATE state SET counter = counter + 1 WHERE id = :r AND counter < 1000000000;
`

// stockPgbench makes pgbench's table and script.
func (b *bench) stockPgbench(ctx context.Context, d *database) error {
	if err := d.copy(ctx, "pgbench", "template1"); err != nil {
		return err
	}
	rows := fmt.Sprintf("INSERT INTO state SELECT n, 0 FROM generate_series(1, %d) AS n", b.users)
	if _, err := d.primary.query(ctx, "pgbench", pgbenchTable, rows, "VACUUM ANALYZE state"); err != nil {
		return err
	}
	return os.WriteFile(d.script(), fmt.Appendf(nil, pgbenchScript, b.users), 0o644) // in a folder of mode 0700
}

func (d *database) script() string { return filepath.Join(d.dir, "pgbench.sql") }

// pgbench measures PostgreSQL with its own load generator: a transaction is one prepared
// statement, whose plan is made once (which is twice as fast as what it does by itself).
func (b *bench) pgbench(ctx context.Context, d *database, clients int) (shared, error) {
	m := shared{Who: pgbenchName, InFlight: clients}
	logs := filepath.Join(d.dir, fmt.Sprintf("pgbench-%d-%d", clients, time.Now().UnixNano()))
	cmd := d.command(ctx, d.program("pgbench"), "-n", "-M", "prepared", "-c", strconv.Itoa(clients), "-j", strconv.Itoa(min(clients, 2)),
		"-T", strconv.Itoa(int(patience.Seconds())), "-f", d.script(), "-l", "--log-prefix="+logs,
		"-h", "127.0.0.1", "-p", d.primary.portText(), "-U", admin, "pgbench")
	cmd.Env = append(cmd.Env, "PGOPTIONS=-c plan_cache_mode=force_generic_plan")
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		return m, fmt.Errorf("starting pgbench: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	from, to, err := b.watchPgbench(ctx, d, logs, ended)
	_ = cmd.Process.Kill() // it would go on
	if err != nil {
		return m, fmt.Errorf("running pgbench: %w\n%s", err, tail(output.Bytes()))
	}
	latencies, err := readPgbenchLogs(logs, from.at, to.at)
	if err != nil {
		return m, err
	}
	m.Result = pgbenchResult(latencies, to.at.Sub(from.at))
	m.share(from, to)
	return m, nil
}

// watchPgbench waits until transactions are made, and for the warm-up, and returns what was
// used when the measured part began and when it ended. All of that part is logged then.
func (b *bench) watchPgbench(ctx context.Context, d *database, logs string, ended <-chan error) (from, to usage, err error) {
	wait := func(time time.Duration) {
		if err == nil {
			err = pause(ctx, time, ended)
		}
	}
	for err == nil && !isLogged(logs, time.Unix(0, 0)) {
		wait(20 * time.Millisecond)
	}
	wait(b.warmup)
	if err == nil {
		from, err = d.usage(ctx)
	}
	wait(b.duration)
	if err == nil {
		to, err = d.usage(ctx)
	}
	for err == nil && !isLogged(logs, to.at) {
		wait(20 * time.Millisecond)
	}
	return from, to, err
}

// pause waits; that pgbench ends meanwhile is an error.
func pause(ctx context.Context, long time.Duration, ended <-chan error) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-ended:
		return errors.Join(errors.New("it ended too early"), err)
	case <-time.After(long):
		return nil
	}
}

// isLogged reports whether there are logs with a prefix, and what ended before an instant is
// in them: pgbench writes a few kilobytes at a time.
func isLogged(prefix string, until time.Time) bool {
	paths, _ := filepath.Glob(prefix + ".*") // the pattern is right
	for _, path := range paths {
		text, err := os.ReadFile(path)
		lines := bytes.Split(text, []byte("\n"))
		if err != nil || len(lines) < 2 {
			return false
		}
		if t, err := parseTransaction(lines[len(lines)-2]); err != nil || t.ended.Before(until) {
			return false
		}
	}
	return len(paths) > 0
}

// readPgbenchLogs returns how long each transaction took that ended in a span of time, of
// all logs with a prefix.
func readPgbenchLogs(prefix string, from, to time.Time) ([]time.Duration, error) {
	paths, _ := filepath.Glob(prefix + ".*") // the pattern is right
	var all []time.Duration
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("reading the log of pgbench: %w", err)
		}
		whole := text[:bytes.LastIndexByte(text, '\n')+1]
		for line := range bytes.Lines(whole) {
			t, err := parseTransaction(line)
			if err != nil {
				return nil, fmt.Errorf("reading the log of pgbench, %q: %w", line, err)
			}
			if !t.ended.Before(from) && t.ended.Before(to) {
				all = append(all, t.took)
			}
		}
	}
	return all, nil
}

// transaction is a line of pgbench's log.
type transaction struct {
	took  time.Duration
	ended time.Time
}

// parseTransaction reads a line: its third number is how many microseconds the transaction
// took, and the last two are when it ended, in seconds since 1970 and the microseconds after
// them.
func parseTransaction(line []byte) (transaction, error) {
	var numbers [6]int64
	fields := bytes.Fields(line)
	if len(fields) != len(numbers) {
		return transaction{}, errors.New("it has not six numbers")
	}
	for i, field := range fields {
		var err error
		if numbers[i], err = strconv.ParseInt(string(field), 10, 64); err != nil {
			return transaction{}, err
		}
	}
	return transaction{time.Duration(numbers[2]) * time.Microsecond, time.Unix(numbers[4], numbers[5]*1000)}, nil
}

// pgbenchResult is what a load of logins would report.
func pgbenchResult(latencies []time.Duration, elapsed time.Duration) radiustest.Result {
	r := radiustest.Result{Elapsed: elapsed, Accepted: uint64(len(latencies))}
	if len(latencies) == 0 {
		return r
	}
	slices.Sort(latencies)
	r.AcceptedPerSecond = float64(len(latencies)) / elapsed.Seconds()
	r.P50 = latencies[len(latencies)/2]
	r.P99 = latencies[len(latencies)*99/100]
	r.Max = latencies[len(latencies)-1]
	return r
}
