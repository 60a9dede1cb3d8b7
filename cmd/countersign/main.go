package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // time windows of rules name zones, and not every machine has them
)

// version is what `countersign version` says; a release build sets it with
// -ldflags "-X main.version=...".
var version = "0.1.0-dev"

// exitStatus is an error that only sets the exit status: what there was to say
// has been said.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func main() { os.Exit(run(os.Args[1:])) }

// run is main with an exit status, so that deferred calls run.
func run(args []string) int {
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, clock: time.Now, rand: rand.Reader}
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	var status exitStatus
	switch {
	case err == nil:
		return 0
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintln(a.err, "countersign:", err)
	return 1
}
