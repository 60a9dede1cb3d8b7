package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) eventCommand() *cobra.Command {
	var user, serial string
	var differing bool
	limit := 50
	list := &cobra.Command{
		Use: "list", Short: "List logins and administrative acts, the newest first", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.listEvents(tms.Filter{User: otp.UserName(user), Serial: otp.Serial(serial), Limit: limit, Differing: differing})
		},
	}
	list.Flags().StringVar(&user, "user", "", "only this `user`'s")
	list.Flags().StringVar(&serial, "serial", "", "only those of the token with this `serial`")
	list.Flags().IntVar(&limit, "limit", limit, "at most so many; 0: all")
	list.Flags().BoolVar(&differing, "differing", false, "only logins about which the TMS and our own tokens did not agree")
	return group("event", "See what happened", a.jsonFlag(list))
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
