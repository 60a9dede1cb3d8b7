package radiustest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/netip"
	"time"
)

// Load is a load of logins. The zero values of the optional fields give 8
// sockets with 32 requests in flight each, a closed loop and five measured
// seconds.
//
// Which mode for what. For throughput and the server's CPU time a login, give
// server and generator a CPU each and Spin, so that the server's replies never
// have to wake a sleeping thread. On shared CPUs use Poll instead; latency is
// then only known to that time. For latency, set a Rate below what the server
// can do. For the hardest case of a server, many NASes of one request each,
// use many Sockets with a Window of 1.
type Load struct {
	Server netip.AddrPort
	Secret Secret         // shared with the server
	Users  iter.Seq[User] // of slices.Values for a slice; read once, at the start of Run

	Sockets  int           // UDP sockets, that is source ports; 8
	Window   int           // requests in flight a socket, at most 256, one for each identifier; 32
	Rate     float64       // logins a second begun (an open loop); 0 is a closed loop
	Warmup   time.Duration // before the measured part, longer if that is needed for WarmupLogins
	Duration time.Duration // of the measured part; 5 s
	Timeout  time.Duration // for a reply; 1 s. A request is sent once
	Unsigned bool          // leave out the Message-Authenticator, which is else the first attribute

	// Accounting makes a load of Accounting-Requests in place of logins: Start,
	// Interim-Update and Stop of one session of each user after the other. What is said of
	// logins is of records then.
	Accounting bool

	// WarmupLogins is how many logins are answered before the measured part
	// begins: the number of users, so that the server has seen each.
	WarmupLogins int

	Steps     Steps
	Spin      bool          // never sleep
	Poll      time.Duration // sleep this long at a time, and do not wake for each reply
	ServerPID int           // process to report CPU time and memory of; 0 for none
	Begun     func()        // called when the measured part begins, if not nil; the load waits for it
}

// Steps is the range of time steps, relative to the present one, whose codes
// the server accepts of clock tokens. Each is used once, in ascending order. A
// server that takes n steps back refuses the oldest when the clock ticks while
// the request is on its way, so Back is best n-1.
type Steps struct {
	Back, Ahead int
	Reuse       bool // send the present step's code every time, for a server that does not remember
}

// Result is what a load did in its measured part.
type Result struct {
	Elapsed time.Duration `json:"elapsed_ns"`

	Accepted         uint64        `json:"accepted"`
	Rejected         uint64        `json:"rejected"`
	Challenged       uint64        `json:"challenged"`
	TimedOut         uint64        `json:"timed_out"`         // no reply in time
	Stale            uint64        `json:"stale"`             // replies to no request in flight
	BadAuthenticator uint64        `json:"bad_authenticator"` // replies refused for either authenticator
	Malformed        uint64        `json:"malformed"`         // replies that are not RADIUS, or of another code
	Unsent           uint64        `json:"unsent"`            // requests the kernel did not take
	Starved          time.Duration `json:"starved_ns"`        // time when users waited and had no fresh code

	AcceptedPerSecond float64       `json:"accepted_per_second"`
	P50               time.Duration `json:"p50_ns"` // of the latency of the answered; in an open loop
	P99               time.Duration `json:"p99_ns"` // it begins when the login was due, so that a
	Max               time.Duration `json:"max_ns"` // server cannot hide by holding up the generator

	ServerCPU    time.Duration `json:"server_cpu_ns"`    // user and system time an answered login
	GeneratorCPU time.Duration `json:"generator_cpu_ns"` // the same of the generator
	Memory       Memory        `json:"server_memory"`
}

// Answered is how many logins got a good reply, whatever it said.
func (r Result) Answered() uint64 { return r.Accepted + r.Rejected + r.Challenged }

// Run makes the logins and returns when the measured part is over and what was
// then in flight is answered or has timed out. When ctx ends it stops with its
// error. Any other error means that the load could not be made; what the
// server did wrong is in the Result.
func (l *Load) Run(ctx context.Context) (Result, error) {
	load := l.withDefaults()
	if err := load.verify(); err != nil {
		return Result{}, fmt.Errorf("load of logins: %w", err)
	}
	g, err := newGenerator(load)
	if err != nil {
		return Result{}, fmt.Errorf("load of logins: %w", err)
	}
	defer g.close()
	// A goroutine of its own, because the generator locks its thread.
	done := make(chan error)
	go func() { done <- g.run(ctx) }()
	if err := <-done; err != nil {
		return Result{}, fmt.Errorf("load of logins: %w", err)
	}
	return g.result(), nil
}

func (l *Load) withDefaults() Load {
	load := *l
	if load.Sockets == 0 {
		load.Sockets = 8
	}
	if load.Window == 0 {
		load.Window = 32
	}
	if load.Duration == 0 {
		load.Duration = 5 * time.Second
	}
	if load.Timeout == 0 {
		load.Timeout = time.Second
	}
	return load
}

// verify reports everything that is out of range.
func (l *Load) verify() error {
	var faults []error
	fault := func(wrong bool, format string, values ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, values...))
		}
	}
	fault(!l.Server.IsValid(), "no server address")
	fault(len(l.Secret.Reveal()) == 0, "no shared secret")
	fault(l.Users == nil, "no users")
	fault(l.Sockets < 1, "%d sockets, want at least 1", l.Sockets)
	fault(l.Window < 1 || l.Window > identifiers, "window of %d, want 1 to %d", l.Window, identifiers)
	fault(l.Rate < 0, "rate of %g a second, want 0 or more", l.Rate)
	fault(l.Warmup < 0, "warm-up of %v, want 0 or more", l.Warmup)
	fault(l.WarmupLogins < 0, "warm-up of %d logins, want 0 or more", l.WarmupLogins)
	fault(l.Duration < 0, "duration of %v, want more than 0", l.Duration)
	fault(l.Timeout < 0, "timeout of %v, want more than 0", l.Timeout)
	fault(l.Poll < 0, "poll interval of %v, want 0 or more", l.Poll)
	fault(l.Steps.Back < 0 || l.Steps.Ahead < 0, "steps %d back and %d ahead, want 0 or more", l.Steps.Back, l.Steps.Ahead)
	return errors.Join(faults...)
}
