package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	binary       string
	only         string
	users        int
	tokens       int
	accounting   bool
	store        string
	rtt          time.Duration
	quick        bool // see database
	tms          time.Duration
	tmsTimeout   time.Duration
	rate         float64
	rounds       int
	duration     time.Duration
	warmup       time.Duration
	cleanupDelay int
	json         string
	serverCPU    int
	generatorCPU int
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			os.Exit(2)
		}
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.binary, "countersign", "countersign", "the server's program")
	flags.StringVar(&o.only, "only", "", `measure one server alone, "countersign" or "freeradius"`)
	flags.IntVar(&o.users, "users", 10_000, "active users")
	flags.IntVar(&o.tokens, "tokens", 0, "compare Countersign with so many tokens in store with itself, in place of FreeRADIUS")
	flags.BoolVar(&o.accounting, "accounting", false, "measure accounting records in place of logins")
	flags.StringVar(&o.store, "store", "", `"postgres" measures Countersign on PostgreSQL beside pgbench, in place of FreeRADIUS`)
	flags.DurationVar(&o.rtt, "rtt", 0, "with -store postgres, also measure a standby that is so far away, there and back")
	flags.DurationVar(&o.tms, "tms", 0, "measure Countersign with a TMS that takes so long for an answer, in place of FreeRADIUS")
	flags.Float64Var(&o.rate, "rate", 2000, "with -tms, logins a second of the local users, and as many of others")
	flags.IntVar(&o.rounds, "rounds", 3, "times that each server is measured in each mode")
	seconds := flags.Float64("seconds", 5, "measured time each time")
	warmup := flags.Float64("warmup", 1, "seconds of load before it, at least, until each user has logged in")
	flags.IntVar(&o.cleanupDelay, "cleanup-delay", 5, "seconds that FreeRADIUS keeps replies for repeated requests")
	flags.StringVar(&o.json, "json", "", "also write every result to this file")
	flags.IntVar(&o.serverCPU, "server-cpu", 0, "CPU of the servers; -1 for any, as on a machine with one, and with -store")
	flags.IntVar(&o.generatorCPU, "generator-cpu", 1, "CPU of the load generator; the same")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.tmsTimeout = tmsTimeout
	o.duration = time.Duration(*seconds * float64(time.Second))
	o.warmup = time.Duration(*warmup * float64(time.Second))
	chosen := false // which CPU
	flags.Visit(func(f *flag.Flag) { chosen = chosen || strings.HasSuffix(f.Name, "-cpu") })
	if runtime.NumCPU() < 2 || o.store != "" && !chosen {
		o.serverCPU, o.generatorCPU = -1, -1
	}
	return o, o.verify(flags.NArg())
}

func (o *options) verify(arguments int) error {
	if arguments > 0 {
		return errors.New("there are no arguments but flags")
	}
	if !slices.Contains([]string{"", "countersign", "freeradius"}, o.only) {
		return fmt.Errorf("-only %q, want countersign or freeradius", o.only)
	}
	if o.users < 2 || o.rounds < 1 || o.duration <= 0 || o.warmup < 0 {
		return errors.New("want at least two users, one round, and some time")
	}
	return o.verifyKind()
}

// verifyKind reports flags that contradict in what is measured.
func (o *options) verifyKind() error {
	kinds := 0
	for _, chosen := range []bool{o.tokens != 0, o.accounting, o.tms != 0, o.store != "", o.only == "freeradius"} {
		if chosen {
			kinds++
		}
	}
	if kinds > 1 {
		return errors.New("want at most one of -tokens, -accounting, -tms, -store and -only freeradius")
	}
	if o.tokens != 0 && o.tokens < 3*o.users {
		return errors.New("-tokens wants at least three times -users")
	}
	if o.tms < 0 || o.tms > 0 && o.rate <= 0 {
		return errors.New("-tms wants some time, and a -rate above 0")
	}
	if !slices.Contains([]string{"", "postgres"}, o.store) {
		return fmt.Errorf("-store %q, want postgres", o.store)
	}
	if o.rtt < 0 || o.rtt > 0 && o.store == "" {
		return errors.New("-rtt wants some time, and -store postgres")
	}
	return nil
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args, os.Stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir, progress: os.Stderr}
	b.warn("/proc/loadavg")
	if err := b.pin(ctx); err != nil {
		return err
	}
	switch {
	case o.accounting:
		err = b.compareAccounting(ctx, os.Stdout)
	case o.store != "":
		err = b.compareShared(ctx, os.Stdout)
	case o.tms > 0:
		err = b.compareCompany(ctx, os.Stdout)
	case o.tokens > 0:
		err = b.compareSizes(ctx, os.Stdout)
	default:
		err = b.compareServers(ctx, os.Stdout)
	}
	if err != nil || o.json == "" {
		return err
	}
	return b.writeJSON(o.json)
}

// writeJSON writes all measurements to a file.
func (b *bench) writeJSON(path string) error {
	var all any = b.done
	switch {
	case b.accounting:
		all = b.accounted
	case b.store != "":
		all = b.sharing
	case b.tms > 0:
		all = b.together
	}
	text, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
