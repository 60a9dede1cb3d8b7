package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"
)

// version is what `etoken version` says; scripts/build sets it.
var version = "0.1.0-dev"

func main() { os.Exit(run(os.Args[1:])) }

// run is main with an exit status, so that deferred calls run.
func run(args []string) int {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, clock: time.Now, sleep: sleep, rand: rand.Reader, copy: copyText, hardness: usualHardness}
	return a.run(context.Background(), args)
}

// run runs a command and prints its error.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(a.err, "etoken:", err)
		return 1
	}
	return 0
}

// sleep sleeps until the time is over or ctx done.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
