package main

import (
	"context"
	"fmt"
	"io"
	"syscall"
	"text/tabwriter"
	"time"
)

// The most that a login of a large store may cost, in those of a small one.
const (
	mostActive = 1.2
	mostAny    = 3.0
	mostStart  = 2 * time.Second
)

// sizes is the comparison of a store of many tokens with one of few.
type sizes struct {
	few, many             stocked
	fewActive, manyActive sample // CPU microseconds a login, by round
	anyStarted, anyRest   sample // the same
	afterStop, afterKill  sample // seconds to the first answer
}

// compareSizes measures Countersign with as many tokens as active users and
// with many more, in turn, and prints the comparison.
func (b *bench) compareSizes(ctx context.Context, w io.Writer) error {
	var s sizes
	var err error
	if s.few, err = b.stock(ctx, countersign{binary: b.binary}, b.users); err != nil {
		return err
	}
	if s.many, err = b.stock(ctx, countersign{binary: b.binary}, b.tokens); err != nil {
		return err
	}
	for round := 1; round <= b.rounds; round++ {
		if err := b.sizesRound(ctx, round, &s); err != nil {
			return err
		}
	}
	return s.print(w)
}

func (b *bench) sizesRound(ctx context.Context, round int, s *sizes) error {
	for _, part := range []struct {
		stocked
		mode
		users  population
		sample *sample
	}{
		{s.few, throughput, population{0, b.users}, &s.fewActive},
		{s.many, throughput, population{b.tokens / 2, b.users}, &s.manyActive},
		{s.many, justStarted, population{0, b.tokens}, &s.anyStarted},
		{s.many, throughput, population{0, b.tokens}, &s.anyRest},
	} {
		if err := b.measure(ctx, round, part.stocked, part.mode, part.users); err != nil {
			return err
		}
		*part.sample = append(*part.sample, microseconds(b.done[len(b.done)-1].Result.ServerCPU))
	}
	return b.restarts(ctx, round, s)
}

// restarts takes the time to the first answer of the large store: as stocked,
// and after kill -9 in the middle of a load. The user who asks has not logged
// in before.
func (b *bench) restarts(ctx context.Context, round int, s *sizes) error {
	p, err := b.begin(ctx, s.many)
	if err != nil {
		return err
	}
	stopped, err := p.login(ctx, 0)
	if err != nil {
		_ = p.stop(syscall.SIGKILL)
		return err
	}
	if err := b.killInLoad(ctx, p); err != nil {
		return err
	}
	if p, err = start(ctx, s.many, p.dir, b.serverCPU); err != nil {
		return err
	}
	killed, err := p.login(ctx, 1)
	if ended := p.stop(syscall.SIGTERM); err == nil {
		err = ended
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(b.progress, "round %d, first answer after %.2f s, and after a kill %.2f s\n", round, stopped.Seconds(), killed.Seconds())
	s.afterStop = append(s.afterStop, stopped.Seconds())
	s.afterKill = append(s.afterKill, killed.Seconds())
	return nil
}

// killInLoad kills a server while users log in as fast as they can: after the
// warm-up of a load, whose measured part then gets no answers.
func (b *bench) killInLoad(ctx context.Context, p *process) error {
	load := b.load(p, throughput, population{b.users, b.users})
	load.Warmup, load.Duration, load.ServerPID = b.warmup+b.duration, 100*time.Millisecond, 0
	var killed error
	load.Begun = func() { killed = p.stop(syscall.SIGKILL) }
	result, err := load.Run(ctx)
	if err != nil {
		_ = p.stop(syscall.SIGKILL)
		return err
	}
	if killed == nil && result.TimedOut == 0 {
		return fmt.Errorf("the server was not killed in the middle of the load: %+v", result)
	}
	return killed
}

func (s *sizes) print(w io.Writer) error {
	out := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	cost := figure{}
	line := func(what string, values sample, unit string, ratio sample, most string) {
		fmt.Fprintf(out, "  %s\t%s\t%s\t%s\n", what, values.format(2, unit), ratio.format(2, ""), most)
	}
	few, many := number(float64(s.few.tokens), 0), number(float64(s.many.tokens), 0)
	fmt.Fprintf(out, "\nserver CPU a login\t\ttimes\tat most\n")
	line(few+" active users of "+few, s.fewActive, "µs", nil, "")
	line(few+" active users of "+many, s.manyActive, "µs", cost.ratios(s.fewActive, s.manyActive), fmt.Sprint(mostActive))
	line("any of "+many+", right after the start", s.anyStarted, "µs", cost.ratios(s.fewActive, s.anyStarted), "")
	line("any of "+many+", at rest", s.anyRest, "µs", cost.ratios(s.fewActive, s.anyRest), fmt.Sprint(mostAny))
	fmt.Fprintf(out, "from start to first answer\t\t\t\n")
	line("after a stop", s.afterStop, "s", nil, mostStart.String())
	line("after kill -9 in a load", s.afterKill, "s", nil, mostStart.String())
	return out.Flush()
}
