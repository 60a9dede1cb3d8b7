package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) watchCommand() *cobra.Command {
	var w tms.Watching
	var verdict string
	c := &cobra.Command{
		Use: "watch", Short: "Show logins as they happen, one a line", Args: cobra.NoArgs,
		Long: "Show logins as they happen at the running server, one a line, until it is interrupted: green what was let in, red what\n" +
			"was refused, yellow what is on the way. The last word is the event, which `countersign explain` explains.\n" +
			"There are colours on a terminal, unless NO_COLOR is set.",
		Example: "  countersign watch --failures\n  countersign watch --user alice --acts",
		RunE: func(*cobra.Command, []string) (err error) {
			if verdict != "" {
				if w.Verdict, err = chosenVerdict(verdict); err != nil {
					return err
				}
			}
			return a.watch(w)
		},
	}
	flags := c.Flags()
	flags.StringVar(&w.User, "user", "", "only this `user`'s")
	flags.StringVar(&w.NAS, "nas", "", "only logins at the NAS of this `name`")
	flags.StringVar(&verdict, "verdict", "", "only logins with this `verdict`, such as wrong_code")
	flags.BoolVar(&w.Failures, "failures", false, "only logins that were not let in")
	flags.BoolVar(&w.Acts, "acts", false, "administrative acts too")
	_ = c.RegisterFlagCompletionFunc("nas", a.completeNAS)
	_ = c.RegisterFlagCompletionFunc("verdict", completeVerdict)
	return a.jsonFlag(c)
}

// watch shows what happens until somebody interrupts it, or the server ends.
func (a *app) watch(w tms.Watching) error {
	client, err := a.runningServer()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	colour := coloured(a.out)
	err = client.Watch(ctx, w, func() {
		if _, terminal := terminalOf(a.out); terminal {
			a.say("watching; Ctrl-C ends it")
		}
	}, func(e console.EventView) error {
		if a.json {
			return json.NewEncoder(a.out).Encode(e)
		}
		_, err := fmt.Fprintln(a.out, watchLine(&e, colour))
		return err
	})
	switch {
	case ctx.Err() != nil:
		return nil // that is how it ends
	case err == nil:
		a.say("the server has stopped")
	}
	return err
}

// runningServer finds the running server, which the configuration need not be right for.
func (a *app) runningServer() (*console.Client, error) {
	dir, ok := conf.DataDir(a.config)
	if !ok {
		_, err := a.load()
		return nil, err
	}
	dial := adminDialer(&conf.Config{DataDir: dir})
	conn, err := dial(context.Background())
	if err != nil {
		return nil, fmt.Errorf("no server runs on %s, so there is nothing to watch (`countersign event list` shows what was): %w", dir, err)
	}
	_ = conn.Close()
	return console.NewClient(dial), nil
}

// terminalOf is the terminal that a writer is.
func terminalOf(w io.Writer) (*os.File, bool) {
	f, ok := w.(*os.File)
	return f, ok && term.IsTerminal(int(f.Fd()))
}

// coloured reports whether there are to be colours on w (https://no-color.org).
func coloured(w io.Writer) bool {
	_, terminal := terminalOf(w)
	return terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// The colours of ECMA-48 section 8.3.117.
const (
	red    = "\x1b[31m"
	green  = "\x1b[32m"
	yellow = "\x1b[33m"
	blue   = "\x1b[34m"
	plain  = "\x1b[0m"
)

// onTheWay are the verdicts of logins that were not let in and may not have failed either.
var onTheWay = map[string]bool{
	otp.Undecided.String(): true, otp.NextCode.String(): true, otp.TokenCreated.String(): true, otp.Enrolling.String(): true,
	otp.Invited.String(): true, otp.AskedByTMS.String(): true, otp.AnsweredElsewhere.String(): true,
}

// colourOf is the colour of an event.
func colourOf(e *console.EventView) string {
	if e.Kind != "login" {
		return blue
	}
	verdict, err := otp.ParseVerdict(e.Verdict)
	switch {
	case err == nil && verdict.Accepts():
		return green
	case onTheWay[e.Verdict]:
		return yellow
	}
	return red
}

// watchLine is an event in one line.
func watchLine(e *console.EventView, colour bool) string {
	what := fmt.Sprintf("%-18s", cmp.Or(e.Verdict, e.Verb, e.Kind))
	if colour {
		what = colourOf(e) + what + plain
	}
	return strings.Join(append([]string{e.At.Local().Format("15:04:05.000"), what}, append(eventWords(e), e.ID)...), "  ")
}

// eventLine is an event in one line, without when it was and which.
func eventLine(e *console.EventView) string {
	return cmp.Or(e.Verdict, e.Verb, e.Kind) + ": " + strings.Join(eventWords(e), ", ")
}

// eventWords are what there is to tell of an event besides what it was. What comes from
// outside is quoted when a terminal would act on it.
func eventWords(e *console.EventView) []string {
	var words []string
	add := func(before, word string) {
		if word != "" {
			words = append(words, before+printable(word))
		}
	}
	add("", e.User)
	add("", e.Object)
	add("by ", e.Actor)
	add("", e.Detail)
	add("at ", e.NAS)
	add("from ", cmp.Or(e.Station, e.Source))
	add("", e.Method)
	add("token ", e.Serial)
	if more := loginMore(*e); more != "" {
		words = append(words, more)
	}
	return words
}
