package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"countersign/radiusd/radiustest"
)

// bench is one run of the command.
type bench struct {
	options
	dir      string // for everything that is written
	progress io.Writer
	done     []measurement
	together []together // in place of done, with a TMS

	accounted []accounted // the same, of accounting
	sharing   []shared    // the same, of a shared store
}

// mode is a shape of load.
type mode struct {
	Name    string
	sockets int
	window  int
	rate    float64 // logins a second; 0 is a closed loop
	cold    bool    // the server was just started; else it is at rest and has seen each user
}

// The modes of the comparison (see the package comment).
var (
	throughput  = mode{Name: "8 x 32 in flight", sockets: 8, window: 32}
	scattered   = mode{Name: "256 x 1 in flight", sockets: 256, window: 1}
	onSchedule  = mode{Name: "20,000 logins a second", sockets: 8, window: 32, rate: 20_000}
	justStarted = mode{Name: "8 x 32 in flight, right after the start", sockets: 8, window: 32, cold: true}
)

// measurement is the result of one load.
type measurement struct {
	Round  int               `json:"round"`
	Server string            `json:"server"`
	Mode   string            `json:"mode"`
	Users  int               `json:"active_users"`
	Tokens int               `json:"tokens"`
	Result radiustest.Result `json:"result"`
}

// stocked is a contender with a folder of its users, to be copied.
type stocked struct {
	contender
	dir    string
	tokens int
}

// pin puts this process, and with it the generator, on its CPU.
func (b *bench) pin(ctx context.Context) error {
	if b.generatorCPU < 0 {
		return nil
	}
	return runTool(ctx, "taskset", "-a", "-c", "-p", strconv.Itoa(b.generatorCPU), strconv.Itoa(os.Getpid()))
}

// warn says so when other programs use the machine, according to the load
// average in a file. They cost the servers little CPU time, but latency.
func (b *bench) warn(path string) {
	const idle = 0.3
	text, _ := os.ReadFile(path) // without it there is no warning
	minute, _, _ := strings.Cut(string(text), " ")
	if load, _ := strconv.ParseFloat(minute, 64); load > idle {
		fmt.Fprintf(b.progress, "this machine is busy (load average %s): throughput and latency are also those of its other programs\n", minute)
	}
}

// stock makes a folder of the first tokens users for a contender.
func (b *bench) stock(ctx context.Context, c contender, tokens int) (stocked, error) {
	s := stocked{c, filepath.Join(b.dir, fmt.Sprintf("%s-%d", c.name(), tokens)), tokens}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		return s, err
	}
	began := time.Now()
	if err := c.stock(ctx, s.dir, population{0, tokens}); err != nil {
		return s, fmt.Errorf("loading the users of %s: %w", c.name(), err)
	}
	fmt.Fprintf(b.progress, "%s: %d users loaded in %.1f s\n", c.name(), tokens, time.Since(began).Seconds())
	return s, nil
}

// begin starts a server on a copy of its folder, which is that of one server
// at a time.
func (b *bench) begin(ctx context.Context, s stocked) (*process, error) {
	return b.beginIn(ctx, s, filepath.Join(b.dir, "running"))
}

// beginIn starts a server on a copy of its folder in another.
func (b *bench) beginIn(ctx context.Context, s stocked, dir string) (*process, error) {
	if err := os.RemoveAll(dir); err != nil {
		return nil, err
	}
	if err := runTool(ctx, "cp", "-a", "--reflink=auto", s.dir, dir); err != nil {
		return nil, err
	}
	return start(ctx, s, dir, b.serverCPU)
}

// load returns the load of some users on a server in a mode.
func (b *bench) load(p *process, m mode, users population) *radiustest.Load {
	load := &radiustest.Load{
		Server: p.addr, Secret: radiustest.NewSecret(sharedSecret), Users: users.users(),
		Sockets: m.sockets, Window: m.window, Rate: m.rate,
		Warmup: b.warmup, Duration: b.duration,
		Steps: p.steps(), Spin: b.generatorCPU >= 0, ServerPID: p.cmd.Process.Pid,
	}
	if !m.cold {
		load.WarmupLogins = users.count
	}
	if !load.Spin {
		load.Poll = 100 * time.Microsecond
	}
	return load
}

// measure makes one measurement on a server of its own: the user with the
// last number waits for it to be ready, the others are the load.
func (b *bench) measure(ctx context.Context, round int, s stocked, m mode, users population) error {
	p, err := b.begin(ctx, s)
	if err != nil {
		return err
	}
	result, err := b.run(ctx, p, m, users)
	if stopped := p.stop(syscall.SIGTERM); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	b.done = append(b.done, measurement{round, s.name(), m.Name, users.count, s.tokens, result})
	fmt.Fprintf(b.progress, "round %d, %s, %s: %.0f accepted a second, %.2f µs\n", round, s.name(), m.Name,
		result.AcceptedPerSecond, microseconds(result.ServerCPU))
	return nil
}

// run waits for a server and loads it.
func (b *bench) run(ctx context.Context, p *process, m mode, users population) (radiustest.Result, error) {
	if _, err := p.login(ctx, users.first); err != nil {
		return radiustest.Result{}, err
	}
	if !m.cold {
		if err := p.settle(ctx); err != nil {
			return radiustest.Result{}, err
		}
	}
	rest := population{users.first + 1, users.count - 1}
	result, err := b.load(p, m, rest).Run(ctx)
	if err == nil && result.Accepted == 0 {
		err = fmt.Errorf("%s accepted no login: %+v", p.name(), result)
	}
	if err != nil {
		return result, p.explain(err)
	}
	return result, nil
}

// compareServers measures the contenders in turn and prints the comparison.
func (b *bench) compareServers(ctx context.Context, w io.Writer) error {
	contenders, err := b.contenders()
	if err != nil {
		return err
	}
	var ready []stocked
	for _, c := range contenders {
		s, err := b.stock(ctx, c, b.users)
		if err != nil {
			return err
		}
		ready = append(ready, s)
	}
	modes := []mode{throughput, scattered, onSchedule}
	for round := 1; round <= b.rounds; round++ {
		for _, m := range modes {
			for _, s := range ready {
				if err := b.measure(ctx, round, s, m, population{0, b.users}); err != nil {
					return err
				}
			}
		}
	}
	return b.printServers(w, modes)
}

func (b *bench) contenders() ([]contender, error) {
	var all []contender
	if b.only != "freeradius" {
		all = append(all, countersign{binary: b.binary})
	}
	if b.only != "countersign" {
		path, err := findFreeRADIUS()
		if err != nil {
			return nil, err
		}
		all = append(all, freeRADIUS{binary: path, cleanupDelay: b.cleanupDelay})
	}
	return all, nil
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
