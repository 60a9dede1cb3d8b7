package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"syscall"
	"time"

	"countersign/radiusd/radiustest"
)

// company is a shape of load: who logs in beside the local users, who are measured,
// and what the TMS does.
type company struct {
	Name  string
	users int // of whom the others are
	tms   int // when the TMS ceases to answer
}

const (
	nobody = iota
	moreLocal
	ofTMS
)

const (
	never  = iota
	during // when the measured part begins
	before // so long before that the breaker is open when the measured part begins
)

// companies are the modes of the comparison; the others are compared with the first.
var companies = []company{
	{Name: "local users alone"},
	{Name: "beside as many other local users", users: moreLocal},
	{Name: "beside as many users of the TMS", users: ofTMS},
	{Name: "beside users of a TMS that ceases to answer", users: ofTMS, tms: during},
	{Name: "beside users of a TMS that is known to be down", users: ofTMS, tms: before},
}

// tmsTimeout is how long the server waits for an answer of the TMS; that of the shipped
// settings.
const tmsTimeout = 5 * time.Second

// together is the result of two loads at the same time.
type together struct {
	Round  int               `json:"round"`
	Mode   string            `json:"mode"`
	Local  radiustest.Result `json:"local"` // its ServerCPU is of a login of either, answered or not
	Others radiustest.Result `json:"others"`
	Shown  uint64            `json:"shown_to_tms"` // logins, since the server's start
	Server state             `json:"server"`
}

// compareCompany measures the local users alone and beside others, in turn, and prints
// the comparison.
func (b *bench) compareCompany(ctx context.Context, w io.Writer) error {
	tms, err := radiustest.NewBackend(radiustest.NewSecret(sharedSecret), b.tms, isOfTMS)
	if err != nil {
		return err
	}
	defer tms.Close()
	s, err := b.stock(ctx, countersign{binary: b.binary, behind: &behind{tms.Addr(), b.tmsTimeout}}, 2*b.users)
	if err != nil {
		return err
	}
	for round := 1; round <= b.rounds; round++ {
		for _, c := range companies {
			if err := b.measureCompany(ctx, round, s, c, tms); err != nil {
				return err
			}
		}
	}
	if lost := tms.Lost(); lost > 0 {
		fmt.Fprintf(b.progress, "the bench's own TMS lost %d answers: it is too slow for this load\n", lost)
	}
	return b.printCompany(w)
}

// measureCompany makes one measurement on a server of its own.
func (b *bench) measureCompany(ctx context.Context, round int, s stocked, c company, tms *radiustest.Backend) error {
	tms.Hang(false)
	asked := tms.Asked()
	p, err := b.begin(ctx, s)
	if err != nil {
		return err
	}
	result, err := b.runCompany(ctx, p, c, tms)
	if stopped := p.stop(syscall.SIGTERM); err == nil {
		err = stopped
	}
	if err != nil {
		return err
	}
	result.Round, result.Mode, result.Shown = round, c.Name, tms.Asked()-asked
	b.together = append(b.together, result)
	fmt.Fprintf(b.progress, "round %d, %s: %.0f accepted a second, 99 %% within %.0f µs\n", round, c.Name,
		result.Local.AcceptedPerSecond, microseconds(result.Local.P99))
	return nil
}

// runCompany waits for a server, loads it with both at the same time, and watches it.
// The first user waits; the rest of the first half are measured, and the second half are
// others.
func (b *bench) runCompany(ctx context.Context, p *process, c company, tms *radiustest.Backend) (together, error) {
	var t together
	if _, err := p.login(ctx, 0); err != nil {
		return t, err
	}
	if err := p.settle(ctx); err != nil {
		return t, err
	}
	tms.Hang(c.tms == before) // the server has seen by now that it answers
	local := b.companyLoad(p, c, population{1, b.users - 1}.users())
	local.ServerPID = p.cmd.Process.Pid
	if c.tms == during {
		local.Begun = func() { tms.Hang(true) }
	}
	watched := p.watch(ctx, b.duration/4)
	var errs [3]error
	var loads sync.WaitGroup
	if users := b.othersOf(c); users != nil {
		loads.Go(func() { t.Others, errs[1] = b.companyLoad(p, c, users).Run(ctx) })
	}
	t.Local, errs[0] = local.Run(ctx)
	loads.Wait()
	t.Server, errs[2] = watched()
	err := errors.Join(errs[:]...)
	if err == nil && t.Local.Accepted == 0 {
		err = fmt.Errorf("%s accepted no login of a local user: %+v", p.name(), t.Local)
	}
	if err != nil {
		return t, p.explain(err)
	}
	cpu := t.Local.ServerCPU * time.Duration(t.Local.Answered())
	t.Local.ServerCPU = cpu / time.Duration(begun(t.Local)+begun(t.Others))
	return t, nil
}

// begun is how many logins there were.
func begun(r radiustest.Result) uint64 { return r.Answered() + r.TimedOut }

// companyLoad is the load of either. A server that leaves logins unanswered does not
// hold it up, and none of the sockets uses an Identifier again that the server may still
// have in flight. The warm-up is long enough that each user has logged in, and where
// that is the mode, the breaker is open.
func (b *bench) companyLoad(p *process, c company, users iter.Seq[radiustest.User]) *radiustest.Load {
	warmup := max(b.warmup, time.Duration(float64(b.users)/b.rate*float64(time.Second)))
	if c.tms == before {
		warmup = max(warmup, 2*b.tmsTimeout)
	}
	return &radiustest.Load{
		Server: p.addr, Secret: radiustest.NewSecret(sharedSecret), Users: users,
		Sockets: 64, Window: 256, Rate: b.rate, Warmup: warmup, Duration: b.duration, Steps: p.steps(),
	}
}

// othersOf are the users who log in beside the local ones, nil for none.
func (b *bench) othersOf(c company) iter.Seq[radiustest.User] {
	switch c.users {
	case moreLocal:
		return population{b.users, b.users}.users()
	case ofTMS:
		return usersOfTMS(b.users)
	}
	return nil
}

const tmsPrefix = "tms-"

func isOfTMS(name string) bool { return strings.HasPrefix(name, tmsPrefix) }

// usersOfTMS are users whom the store does not know. Their tokens count logins, so that
// none types the same twice.
func usersOfTMS(count int) iter.Seq[radiustest.User] {
	return func(yield func(radiustest.User) bool) {
		for u := range (population{0, count}).users() {
			u.Name, u.Period, u.Digits = tmsPrefix+u.Name, 0, 8
			if !yield(u) {
				return
			}
		}
	}
}
