package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

// eventFlags say which events are listed.
type eventFlags struct {
	tms.Filter
	user, serial, verdict, from, to, before string
}

func (a *app) eventCommand() *cobra.Command {
	f := eventFlags{Filter: tms.Filter{Limit: 50}}
	list := &cobra.Command{
		Use: "list", Short: "List logins and administrative acts, the newest first", Args: cobra.NoArgs,
		Long: "List logins and administrative acts, the newest first. To go on with a list, give the last event of it with --before.",
		Example: "  countersign event list --user alice --from 2h\n" +
			"  countersign event list --nas ras --verdict wrong_code --from 2026-12-30 --to 2026-12-31T18:00\n" +
			"  countersign event list --before 17-3",
		RunE: func(*cobra.Command, []string) error { return a.listChosen(&f) },
	}
	flags := list.Flags()
	flags.StringVar(&f.user, "user", "", "only this `user`'s")
	flags.StringVar(&f.serial, "serial", "", "only those of the token with this `serial`")
	flags.StringVar(&f.NAS, "nas", "", "only logins at the NAS of this `name`")
	flags.StringVar(&f.verdict, "verdict", "", "only logins with this `verdict`, such as wrong_code")
	flags.StringVar(&f.from, "from", "", "only from this `time` on: 2026-12-31T18:00, 2026-12-31, RFC 3339, or how long ago: 15m, 2h, 7d")
	flags.StringVar(&f.to, "to", "", "only before this `time`, in the same way; of a day its end")
	flags.StringVar(&f.before, "before", "", "only what was before this `event`")
	flags.IntVar(&f.Limit, "limit", f.Limit, "at most so many; 0: all")
	flags.BoolVar(&f.Differing, "differing", false, "only logins about which the TMS and our own tokens did not agree")
	_ = list.RegisterFlagCompletionFunc("nas", a.completeNAS)
	_ = list.RegisterFlagCompletionFunc("verdict", completeVerdict)
	return group("event", "See what happened", a.jsonFlag(list))
}

// completeVerdict completes the word of a verdict.
func completeVerdict(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var words []string
	for _, v := range otp.Verdicts() {
		words = append(words, v.String())
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

// listChosen lists the events that were asked for.
func (a *app) listChosen(f *eventFlags) (err error) {
	f.User, f.Serial = otp.UserName(f.user), otp.Serial(f.serial)
	if f.verdict != "" {
		if f.Verdict, err = chosenVerdict(f.verdict); err != nil {
			return err
		}
	}
	if f.From, f.To, err = timeRange(f.from, f.to, a.clock()); err != nil {
		return err
	}
	if f.before != "" {
		if f.Before, err = otp.ParseEventID(f.before); err != nil {
			return fmt.Errorf("--before: %w", err)
		}
	}
	return a.listEvents(f.Filter)
}

// chosenVerdict reads the verdict to choose by.
func chosenVerdict(word string) (otp.Verdict, error) {
	v, err := otp.ParseVerdict(word)
	if err == nil && v != otp.Undecided {
		return v, nil
	}
	words, _ := completeVerdict(nil, nil, "")
	return v, fmt.Errorf("--verdict %.40q: must be one of %s", word, strings.Join(words, ", "))
}

// timeRange reads --from and --to. Zero is no bound; a day is the whole day.
func timeRange(from, to string, now time.Time) (begin, end time.Time, err error) {
	for _, bound := range []struct {
		flag, text string
		into       *time.Time
		days       int // added to a day
	}{{"--from", from, &begin, 0}, {"--to", to, &end, 1}} {
		if bound.text == "" {
			continue
		}
		if ago, fault := period(bound.text); fault == nil {
			*bound.into = now.Add(-ago)
			continue
		}
		at, day, fault := instant(bound.text)
		if fault != nil {
			return begin, end, fmt.Errorf("%s: %w, or how long ago: 15m, 2h, 7d", bound.flag, fault)
		}
		if day {
			at = at.AddDate(0, 0, bound.days)
		}
		*bound.into = at
	}
	if !begin.IsZero() && !end.IsZero() && !begin.Before(end) {
		return begin, end, fmt.Errorf("--from %s is not before --to %s", from, to)
	}
	return begin, end, nil
}

func (a *app) listEvents(f tms.Filter) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		t := a.newTable("EVENT", "TIME", "WHO", "WHAT", "TOKEN", "FROM", "MORE")
		return t.end(client.Events(ctx, f, func(e console.EventView) error { return t.add(e, eventCells(e)...) }))
	})
}

// eventCells are an event's cells in the table. Names come from outside, so
// they are quoted when they hold what a terminal would act on.
func eventCells(e console.EventView) []string {
	cells := []string{e.ID, stamp(e.At)}
	switch e.Kind {
	case "login":
		return append(cells, printable(e.User), e.Verdict, e.Serial, printable(e.NAS)+" "+printable(e.Station), loginMore(e))
	case "act":
		return append(cells, printable(e.Actor), e.Verb, "", "", printable(e.Object)+" "+printable(e.Detail))
	}
	return append(cells, "", "accounting", "", printable(e.NAS)+" "+e.Source, fmt.Sprintf("%d bytes of attributes", len(e.Attributes)))
}

// loginMore is what else there is to tell of a login.
func loginMore(e console.EventView) string {
	var more []string
	note := func(is bool, format string, args ...any) {
		if is {
			more = append(more, fmt.Sprintf(format, args...))
		}
	}
	note(e.Offset != 0, "offset %+d", e.Offset)
	note(e.Repeated, "repeated")
	note(e.LockedNow, "token locked")
	note(e.Rule != "", "rule %s", printable(e.Rule))
	note(e.Typed != "", "typed %s", printable(e.Typed))
	note(e.ClientIP != "", "client %s", e.ClientIP)
	note(e.Limit != "", "too many sessions, %s", printable(e.Limit))
	note(e.MACsLeft > 0, "%d more MACs", e.MACsLeft)
	note(e.Late, "recorded late")
	note(e.Difference != "", "%s", e.Difference)
	note(e.TraceFault != "", "trace: %s", printable(e.TraceFault))
	return strings.Join(more, ", ")
}

// printable is s as it is, or quoted when it has something unprintable.
func printable(s string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if strings.ContainsFunc(s, unprintable) {
		return strconv.Quote(s)
	}
	return s
}
