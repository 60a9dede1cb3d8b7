package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"countersign/radiusd/radiustest"
)

// sharedSecret is between the servers and the generator; it guards nothing.
const sharedSecret = "bench-shared-secret"

// patience is how long a server may take to start or stop.
const patience = 2 * time.Minute

// contender is a server that can be measured.
type contender interface {
	name() string
	// stock makes a folder with the users, ready to be started in a copy.
	stock(ctx context.Context, dir string, users population) error
	// command configures the server in a stocked folder for a UDP port of
	// 127.0.0.1 and returns what runs it in the foreground.
	command(dir string, port uint16) ([]string, error)
	// steps is the range of codes the server accepts.
	steps() radiustest.Steps
}

// process is a running server.
type process struct {
	contender
	cmd   *exec.Cmd
	dir   string
	addr  netip.AddrPort
	begun time.Time
}

// start starts a server in a stocked folder, on one CPU unless that is
// negative.
func start(ctx context.Context, c contender, dir string, cpu int) (*process, error) {
	port, err := freePort()
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name(), err)
	}
	argv, err := c.command(dir, port)
	if err != nil {
		return nil, fmt.Errorf("configuring %s: %w", c.name(), err)
	}
	if cpu >= 0 {
		argv = append([]string{"taskset", "-c", strconv.Itoa(cpu)}, argv...)
	}
	log, err := os.Create(filepath.Join(dir, "output.log"))
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name(), err)
	}
	defer log.Close()
	p := &process{
		contender: c, dir: dir,
		cmd:   exec.CommandContext(ctx, argv[0], argv[1:]...),
		addr:  netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port),
		begun: time.Now(),
	}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = patience
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name(), err)
	}
	return p, nil
}

// freePort returns a port that is free, of UDP and for metrics of TCP, and the UDP port after
// it too, for accounting.
func freePort() (uint16, error) {
	for range 100 {
		addr, err := radiustest.FreePort("udp")
		if err != nil {
			return 0, err
		}
		after := netip.AddrPortFrom(addr.Addr(), addr.Port()+1)
		if radiustest.IsFree("tcp", addr) && radiustest.IsFree("udp", after) {
			return addr.Port(), nil
		}
	}
	return 0, errors.New("no two UDP ports in a row are free on 127.0.0.1")
}

// login logs a user in with the code of the present step, asks again until
// there is an answer, and returns how long that took from the server's start.
func (p *process) login(ctx context.Context, number int) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	nas, err := radiustest.Dial(p.addr, radiustest.NewSecret(sharedSecret), netip.AddrPort{})
	if err != nil {
		return 0, err
	}
	defer nas.Close()
	nas.Retry = 2 * time.Millisecond
	u := user(number)
	request, err := nas.AccessRequest(u.Name, u.Passcode(u.Step(time.Now())))
	if err != nil {
		return 0, err
	}
	reply, err := nas.Exchange(ctx, request)
	took := time.Since(p.begun)
	if err != nil {
		return 0, p.explain(fmt.Errorf("waiting for the first answer of %s: %w", p.name(), err))
	}
	if reply.Code != accessAccept {
		return 0, p.explain(fmt.Errorf("%s answered the first login with %v", p.name(), reply.Code))
	}
	return took, nil
}

// settle waits until the server has done what it does after its start, as
// filling its caches: until it takes hardly any CPU time.
func (p *process) settle(ctx context.Context) error {
	const look, idle = 500 * time.Millisecond, 10 * time.Millisecond
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	before := -look // so that the first look decides nothing
	for {
		used, err := radiustest.ProcessCPU(p.cmd.Process.Pid)
		if err != nil || used-before < idle {
			return err
		}
		before = used
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s to be idle: %w", p.name(), ctx.Err())
		case <-time.After(look):
		}
	}
}

const accessAccept = 2 // RFC 2865 section 4.2

// stop ends the server with a signal and waits for its end.
func (p *process) stop(with syscall.Signal) error {
	if err := p.cmd.Process.Signal(with); err != nil {
		return p.explain(fmt.Errorf("stopping %s: %w", p.name(), err))
	}
	err := p.cmd.Wait()
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == with {
		return nil
	}
	if err != nil {
		return p.explain(fmt.Errorf("stopping %s: %w", p.name(), err))
	}
	return nil
}

// explain adds the last of what the server said to an error.
func (p *process) explain(err error) error {
	output, _ := os.ReadFile(filepath.Join(p.dir, "output.log"))
	return fmt.Errorf("%w; the last of its output:\n%s", err, tail(output))
}

// tail returns the last kilobyte or so of output, in whole lines.
func tail(output []byte) []byte {
	const length = 1024
	if len(output) > length {
		output = output[len(output)-length:]
		_, output, _ = bytes.Cut(output, []byte("\n"))
	}
	return bytes.TrimSpace(output)
}

// runTool runs a command to its end; its output is shown only if it fails.
func runTool(ctx context.Context, argv ...string) error {
	output, err := exec.CommandContext(ctx, argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("running %s: %w\n%s", filepath.Base(argv[0]), err, tail(output))
	}
	return nil
}
