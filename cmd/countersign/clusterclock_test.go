package main

import (
	"crypto/rand"
	"io"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"layeh.com/radius"

	"countersign/otp/oath"
)

// TestClocksOfNodesDiffer: the clock of one node is two seconds ahead, so that it comes into
// the next time step sooner, which is just now. The codes of all steps around are shown to
// both by everybody, and each passes once at most.
func TestClocksOfNodesDiffer(t *testing.T) {
	t.Parallel()
	const users, steps = 20, 6
	c := installCluster(t, layout{nodes: 2})
	c.users(users, "totp")
	began := time.Now()
	edge := began.Truncate(30 * time.Second).Add(30 * time.Second)
	c.nodes[0].serveAt(func() time.Time { return edge.Add(time.Since(began) - 3*time.Second) })
	c.nodes[1].serveAt(func() time.Time { return edge.Add(time.Since(began) - time.Second) })

	var passed [users][steps]atomic.Int32
	// shows has all users show the code of a step to a node.
	shows := func(wg *sync.WaitGroup, k, step int, station string) {
		for user := range users {
			wg.Go(func() {
				at := edge.Add(time.Duration(step-steps/2) * 30 * time.Second)
				typed := "4711" + oath.TOTP(oath.SHA1, oath.NewSeed(userSeed(user)), at, 0, 30, 6)
				code, err := c.nodes[k].dialAndShow(c.gateway, shown{user: user}.name(), typed, station, 20*time.Second)
				if err != nil {
					t.Errorf("node %s: %v", c.nodes[k].name, err)
				}
				if code == radius.CodeAccessAccept {
					passed[user][step].Add(1)
				}
			})
		}
	}
	for step := range steps {
		var wg sync.WaitGroup
		shows(&wg, 0, step, "one")
		shows(&wg, 1, step, "another")
		wg.Wait()
	}
	for step := range steps {
		for k := range 2 {
			var wg sync.WaitGroup
			shows(&wg, k, steps-1-step, "a third at "+c.nodes[k].name)
			wg.Wait()
		}
	}
	all := int32(0)
	for user := range users {
		for step := range steps {
			n := passed[user][step].Load()
			if all += n; n > 1 {
				t.Errorf("the code of step %d of user%d passed %d times", step, user, n)
			}
		}
	}
	if all < users {
		t.Errorf("%d codes passed, want at least one of each of %d users", all, users)
	}
	t.Logf("%d codes of %d passed", all, users*steps)
}

// serveAt runs the server in this process, by another clock.
func (n *node) serveAt(clock func() time.Time) {
	n.Helper()
	a := &app{out: io.Discard, err: io.Discard, clock: clock, rand: rand.Reader, config: n.config}
	cfg, err := a.load()
	if err != nil {
		n.Fatal(err)
	}
	s, err := a.newServer(cfg, slog.New(slog.NewTextHandler(n.log, nil)), new(slog.LevelVar))
	if err != nil {
		n.Fatal(err)
	}
	signals, done := make(chan os.Signal, 1), make(chan error, 1)
	go func() { done <- s.run(signals, nil) }()
	n.Cleanup(func() {
		signals <- syscall.SIGTERM
		if err := <-done; err != nil {
			n.Errorf("node %s: %v\n%s", n.name, err, n.log)
		}
	})
	n.await("node "+n.name, func() bool { status, _ := n.readyz(); return status == 200 })
}
