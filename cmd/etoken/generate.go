package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// shortLife is how many seconds of a code's life are hardly enough to type it.
const shortLife = 5

// generateFlags say how a code is shown.
type generateFlags struct {
	copy, print, watch, raw, fresh bool
}

func (a *app) generateCommand() *cobra.Command {
	var f generateFlags
	c := &cobra.Command{
		Use: "generate [NAME|SERIAL]", Aliases: []string{"show", "code"}, Short: "Show the code to log in with", Args: cobra.MaximumNArgs(1),
		Long: "Show the code of a token, and how many seconds it lives. Type it directly behind your OTP PIN.\n" +
			"The code of an event token lives until a later one is used; each call shows the next.",
		Example: "  etoken generate\n" +
			"  etoken generate work --copy\n" +
			"  etoken generate 00040008CFA5 --raw",
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return a.generate(c.Context(), name, &f)
		},
	}
	flags := c.Flags()
	flags.BoolVar(&f.copy, "copy", false, "copy the code to the clipboard, and do not print it")
	flags.BoolVar(&f.print, "print", false, "with --copy: print it, too")
	flags.BoolVar(&f.watch, "watch", false, "show each next code when the one before ends, until interrupted")
	flags.BoolVar(&f.raw, "raw", false, "print the digits alone, for scripts")
	flags.BoolVar(&f.fresh, "fresh", false, fmt.Sprintf("wait for the next code when this one lives for less than %d s", shortLife))
	a.jsonFlag(c)
	c.MarkFlagsMutuallyExclusive("raw", "json")
	return c
}

func (a *app) generate(ctx context.Context, name string, f *generateFlags) error {
	if f.copy {
		if err := clipboardMissing(); err != nil {
			return err // before a code is used up for nothing
		}
	}
	var t *token
	var shown code
	err := a.withStore(ctx, func(s *store) (err error) {
		if t, err = s.find(name); err == nil && !t.Type.Clock() {
			shown, err = a.useUp(s, t, f)
		}
		return err
	})
	if err != nil {
		return err
	}
	a.warn(t)
	if t.Type.Clock() {
		return a.showClock(ctx, t, f)
	}
	return a.show(t, shown, f)
}

// useUp is the next code of an event token. It is used up before it can be shown.
func (a *app) useUp(s *store, t *token, f *generateFlags) (code, error) {
	if f.watch || f.fresh {
		return code{}, fmt.Errorf("token %s is an event token: --watch and --fresh are for codes that end by themselves", t.label())
	}
	shown := t.next(a.clock())
	return shown, s.save()
}

// showClock shows the code of a clock token, or one after another.
func (a *app) showClock(ctx context.Context, t *token, f *generateFlags) error {
	for {
		if err := a.awaitUnspent(ctx, t, f); err != nil {
			return err
		}
		now := a.clock()
		if err := a.show(t, t.next(now), f); err != nil || !f.watch {
			return err
		}
		if err := a.sleep(ctx, t.until(t.step(now)+1, now)); err != nil {
			return nil // interrupted
		}
	}
}

// warn says what may be wrong with a token's codes.
func (a *app) warn(t *token) {
	switch t.state(a.clock()) {
	case "pending":
		a.tell("Token %s is pending: the server may not know it yet. `etoken activate` completes it.", t.label())
	case "ended":
		a.tell("The time of token %s ended on %s.", t.label(), time.Unix(t.ValidUntil, 0).Format(time.DateOnly))
	case "not valid yet":
		a.tell("The time of token %s begins on %s.", t.label(), time.Unix(t.ValidFrom, 0).Format(time.DateOnly))
	}
}

// awaitUnspent waits until there is a code that the server has not burned, and that
// lives long enough if that is wanted.
func (a *app) awaitUnspent(ctx context.Context, t *token, f *generateFlags) error {
	for {
		now := a.clock()
		step := t.step(now)
		// A step far ahead is from a clock that was wrong: it must not hold us up.
		spent := t.Spent != 0 && step <= t.Spent && t.Spent-step <= 1
		if !spent && (!f.fresh || t.left(now) >= shortLife) {
			return nil
		}
		if spent {
			step = t.Spent
		}
		d := t.until(step+1, now)
		a.tell("Waiting %d s for the next code.", int((d+time.Second-1)/time.Second))
		if err := a.sleep(ctx, d); err != nil {
			return err
		}
	}
}

// show prints or copies a code.
func (a *app) show(t *token, shown code, f *generateFlags) error {
	if f.copy {
		if err := a.copy(shown.Code); err != nil {
			return err
		}
		if !f.print {
			a.tell("The code of token %s is in the clipboard%s.", t.label(), shown.life())
			return nil
		}
	}
	switch {
	case a.json:
		return json.NewEncoder(a.out).Encode(shown)
	case f.raw:
		_, err := fmt.Fprintln(a.out, shown.Code)
		return err
	}
	line := shown.Code + shown.life()
	if f, ok := a.out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		line = "\n    " + line + "\n" // easy to find
	}
	_, err := fmt.Fprintln(a.out, line)
	return err
}

// life says how long a code lives.
func (c code) life() string {
	switch {
	case c.Seconds == 0:
		return ""
	case c.Seconds < shortLife:
		return fmt.Sprintf("  (%d s: better wait for the next, or use --fresh)", c.Seconds)
	}
	return fmt.Sprintf("  (%d s)", c.Seconds)
}
