package radiusd

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"countersign/otp"
)

// wantState checks how it stands with the Backend.
func (b *bench) wantState(state string, since time.Time, last string) {
	b.Helper()
	gotState, gotSince, gotLast := b.server.BackendState()
	if gotState != state || !gotSince.Equal(since) || gotLast != last {
		b.Errorf("state %s since %s, error %q; want %s since %s, error %q", gotState, gotSince, gotLast, state, since, last)
	}
}

// TestTheBreaker opens, and closes again when a probe is answered.
func TestTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, o := behind(t, func(o *Options, _ *NASConfig) { o.Clock, o.BackendFailures = time.Now, 3 })
		ctx, cancel := context.WithCancel(t.Context())
		watching := make(chan struct{})
		go func() { b.server.tms.breaker.watch(ctx); close(watching) }()
		start, serial := time.Now(), uint64(0)
		login := func(passcode, dropped string) {
			t.Helper()
			serial++
			b.wantSilence(pap(serial, "eve", fmt.Sprint(passcode, serial)), dropped)
		}
		b.wantState("closed", start, "")
		o.fail = errAsleep
		login("a", "tms_unavailable")
		login("b", "tms_unavailable")
		o.fail = fmt.Errorf("server 1: %w", ErrLost) // which says nothing
		login("c", "tms_unavailable")
		o.fail = nil
		b.wantVerdict(pap(100, "eve", "right"), otp.AcceptedByTMS) // and it begins anew
		o.fail = errAsleep
		login("d", "tms_unavailable")
		login("e", "tms_unavailable")
		b.wantState("closed", start, errAsleep.Error())
		b.wantMetric(0, "countersign_tms_breaker_open")
		time.Sleep(time.Minute)
		login("f", "tms_unavailable")
		opened := time.Now()
		b.wantState("open", opened, errAsleep.Error())
		b.wantMetric(1, "countersign_tms_breaker_open")

		// Nobody is shown to it any more, and what was not shown may come again.
		b.wantAsked(o, 7)
		for range 3 {
			b.wantSilence(pap(200, "bob", "right"), "tms_unavailable")
		}
		b.wantMetric(0, "dropped_total", "duplicate_unanswered")
		time.Sleep(5*time.Second - 1)
		synctest.Wait()
		b.wantProbes(o, 0)
		b.wantState("half-open", opened, errAsleep.Error())
		b.wantSilence(pap(200, "bob", "right"), "tms_unavailable") // no login is a probe
		b.wantAsked(o, 7)
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		b.wantProbes(o, 1)
		b.wantState("open", opened, errAsleep.Error())
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.wantProbes(o, 2)
		b.wantLog(1, "the TMS does not answer: ")
		b.wantLog(0, "the TMS answers again")

		o.set(func(o *oracle) { o.fail = nil })
		time.Sleep(5 * time.Second)
		synctest.Wait()
		b.wantProbes(o, 3)
		b.wantState("closed", opened.Add(15*time.Second), errAsleep.Error())
		b.wantMetric(0, "countersign_tms_breaker_open")
		b.wantLog(1, `msg="the TMS answers again" down_for=15s`)
		b.wantVerdict(pap(200, "bob", "right"), otp.AcceptedByTMS)
		time.Sleep(time.Minute)
		synctest.Wait()
		b.wantProbes(o, 3)
		cancel()
		<-watching
	})
}

func (b *bench) wantProbes(o *oracle, n int) {
	b.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.probes != n {
		b.Errorf("%d probes, want %d", o.probes, n)
	}
}

// TestABackendThatHangs has its time, for a login as for a probe, and holds up no local
// login; in the end it is let go.
func TestABackendThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &hanging{}
		b := newBench(t, func(options *Options) {
			options.Clock, options.Backend, options.BackendLogins, options.BackendFailures = time.Now, o, 4, 4
			nas := testNAS(func(c *NASConfig) { c.Order, c.MessageAuthenticator = otp.LocalThenTMS, RequireNever })
			options.NASes = table(t, nil, nas)
		})
		b.without("eve")
		b.asleep = true // of real workers there are some
		var workers sync.WaitGroup
		fire := b.server.hire(context.Background(), &workers)
		for i := range uint64(6) {
			b.want(pap(i, "eve", fmt.Sprint(i)), silence)
		}
		synctest.Wait()
		b.wantMetric(4, "countersign_tms_in_flight")
		b.wantMetric(2, "countersign_tms_queue")
		for i := range uint64(3) {
			b.wantVerdict(pap(20+i, "alice", passcodeAt(i)), otp.Accepted)
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		b.collect()
		b.wantMetric(4, "dropped_total", "tms_unavailable")
		b.wantMetric(2, "dropped_total", "tms_busy") // whose turn came too late
		b.wantMetric(0, "in_flight", "auth")
		state, _, last := b.server.BackendState()
		if state != "open" || last != context.DeadlineExceeded.Error() {
			t.Errorf("state %s, error %q", state, last)
		}
		time.Sleep(6 * time.Second) // into the probe
		synctest.Wait()
		fire()
		workers.Wait()
	})
}

// hanging is a Backend that never answers.
type hanging struct{}

func (hanging) Verify(ctx context.Context, _ *BackendLogin) (BackendReply, error) {
	<-ctx.Done()
	return BackendReply{}, ctx.Err()
}

func (hanging) Probe(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// TestTheEndLetsGoOfTheTMS, which is no fault of it.
func TestTheEndLetsGoOfTheTMS(t *testing.T) {
	l := listen(t, func(o *Options) {
		nas := loopbackNAS()
		nas.Order = otp.TMSOnly
		o.NASes, o.Backend, o.RejectWhenDown, o.BackendFailures = table(t, nil, nas), hanging{}, true, 1
	})
	l.server.drainTime = time.Millisecond
	if _, err := l.dial(l.server.Addrs()[0]).Write(l.build(pap(1, "eve", "right"))); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return l.metric("countersign_tms_in_flight") == 1 })
	l.close()
	if state, _, last := l.server.BackendState(); state != "closed" || last != "" {
		t.Errorf("state %s, error %q", state, last)
	}
}

func TestTheEndWaitsForTheTMS(t *testing.T) {
	answer, o := make(chan struct{}), &oracle{}
	o.says = func(context.Context, *BackendLogin) (BackendReply, error) {
		<-answer
		return BackendReply{Verdict: otp.AcceptedByTMS}, nil
	}
	l := listen(t, func(options *Options) {
		nas := loopbackNAS()
		nas.Order = otp.TMSOnly
		options.NASes, options.Backend = table(t, nil, nas), o
	})
	conn, login := l.dial(l.server.Addrs()[0]), pap(1, "eve", "right")
	if _, err := conn.Write(l.build(login)); err != nil {
		t.Fatal(err)
	}
	l.until(func() bool { return l.metric("countersign_tms_in_flight") == 1 })
	l.stop()
	l.until(func() bool { return l.server.draining() })
	close(answer)
	reply := make([]byte, 4096)
	n, err := conn.Read(reply)
	if err != nil {
		t.Fatal(err)
	}
	l.wantCode(l.verify(login, reply[:n]), accept)
}

// TestManyLoginsThroughTheTMS, from many sockets at once, while it breaks down and comes
// back, and while others log in with tokens of ours.
func TestManyLoginsThroughTheTMS(t *testing.T) {
	o := &oracle{}
	o.says = func(_ context.Context, l *BackendLogin) (BackendReply, error) {
		if string(l.Passcode.Bytes()) == "down" {
			return BackendReply{}, errAsleep
		}
		return BackendReply{Verdict: otp.RefusedByTMS}, nil
	}
	l := listen(t, func(options *Options) {
		nas := loopbackNAS()
		nas.Order = otp.LocalThenTMS
		options.NASes, options.Backend, options.BackendLogins = table(t, nil, nas), o, 4
		options.BackendFailures, options.BackendPause, options.RejectWhenDown = 1, time.Millisecond, true
	})
	var all sync.WaitGroup
	for s := range uint64(8) {
		user := fmt.Sprint("eve", s)
		l.store.set(func(l *ledger) { l.accounts[user] = &otp.Account{Exists: true} })
		conn := l.dial(l.server.Addrs()[0])
		var datagrams [][]byte
		for i := range uint64(40) {
			passcode := fmt.Sprint("x", i)
			if i%10 == 9 {
				passcode = "down"
			}
			datagrams = append(datagrams, l.build(pap(i, user, passcode)), l.build(pap(100+i, fmt.Sprint("alice", s), passcodeAt(i))))
		}
		all.Go(func() {
			for i, datagram := range datagrams {
				reply, err := exchange(conn, datagram)
				if err != nil || (i%2 == 1) != (reply[0] == byte(accept)) {
					t.Errorf("login %d: %v, %v", i, reply[:1], err)
					return
				}
			}
		})
	}
	all.Wait()
	l.until(func() bool { return l.metric("countersign_tms_breaker_open") == 0 })
}

func TestWithoutABackend(t *testing.T) {
	b := newRuledBench(t, 0, func(_ *Options, c *NASConfig) { c.Order = otp.TMSOnly })
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	if state, since, last := b.server.BackendState(); state != "" || !since.IsZero() || last != "" {
		t.Errorf("state %q since %s, error %q", state, since, last)
	}
}

// TestAProbeThatIsLost is a probe that failed.
func TestAProbeThatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &oracle{fail: fmt.Errorf("server 1: %w", ErrLost)}
		options := Options{Backend: o, BackendFailures: 1, BackendPause: time.Second, BackendTime: time.Second, Clock: time.Now, Logger: quiet()}
		breaker := newBreaker(&options)
		done, ok := breaker.admit()
		if !ok {
			t.Fatal("not admitted")
		}
		done(errAsleep)
		ctx, cancel := context.WithCancel(t.Context())
		go breaker.watch(ctx)
		time.Sleep(time.Second)
		synctest.Wait()
		if state, _, last := breaker.state(); state != "open" || last != o.fail.Error() {
			t.Errorf("state %s, error %q", state, last)
		}
		cancel()
		synctest.Wait()
	})
}

// TestWhatDoesNotOpenTheBreaker: what is a login's own fault, or an answer that nobody
// understands, says nothing of the TMS; answers that are lost again and again do.
func TestWhatDoesNotOpenTheBreaker(t *testing.T) {
	const failures = 3
	own, odd := fmt.Errorf("%w: %w", ErrNotShown, ErrLost), fmt.Errorf("error_code 7: %w", ErrOddAnswer)
	for name, test := range map[string]struct {
		errs []error // again and again
		want string
	}{
		"own faults":                {[]error{own}, "closed"},
		"odd answers":               {[]error{odd}, "closed"},
		"lost, and odd in between":  {[]error{ErrLost, ErrLost, ErrLost, odd}, "closed"},
		"lost, and own in between":  {[]error{ErrLost, own}, "open"},
		"nobody was there":          {[]error{ErrNotShown}, "open"},
		"lost":                      {[]error{ErrLost}, "open"},
		"lost, and answers between": {[]error{ErrLost, ErrLost, nil}, "closed"},
	} {
		options := Options{Backend: &oracle{}, BackendFailures: failures, BackendPause: time.Hour, BackendTime: time.Second, Clock: time.Now, Logger: quiet()}
		breaker := newBreaker(&options)
		for i := range 20 * failures {
			if done, ok := breaker.admit(); ok {
				done(test.errs[i%len(test.errs)])
			}
		}
		if state, _, _ := breaker.state(); state != test.want {
			t.Errorf("%s: %s, want %s", name, state, test.want)
		}
	}
}
