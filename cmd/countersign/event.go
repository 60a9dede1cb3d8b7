package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) eventCommand() *cobra.Command {
	var user, serial string
	limit := 50
	list := &cobra.Command{
		Use: "list", Short: "List logins and administrative acts, the newest first", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.listEvents(tms.Filter{User: otp.UserName(user), Serial: otp.Serial(serial), Limit: limit})
		},
	}
	list.Flags().StringVar(&user, "user", "", "only this `user`'s")
	list.Flags().StringVar(&serial, "serial", "", "only those of the token with this `serial`")
	list.Flags().IntVar(&limit, "limit", limit, "at most so many; 0: all")
	return group("event", "See what happened", a.jsonFlag(list))
}

func (a *app) listEvents(f tms.Filter) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		t := a.newTable("EVENT", "TIME", "WHO", "WHAT", "TOKEN", "FROM", "MORE")
		if err := client.Events(ctx, f, func(e console.EventView) error { return t.add(e, eventCells(e)...) }); err != nil {
			return err
		}
		return t.flush()
	})
}

// eventCells are an event's cells in the table. Names come from outside, so
// they are quoted when they hold what a terminal would act on.
func eventCells(e console.EventView) []string {
	cells := []string{e.ID, stamp(e.At)}
	switch e.Kind {
	case "login":
		more := ""
		if e.Offset != 0 {
			more = fmt.Sprintf("offset %+d", e.Offset)
		}
		if e.Repeated {
			more += " repeated"
		}
		if e.LockedNow {
			more += " token locked"
		}
		return append(cells, printable(e.User), e.Verdict, e.Serial, printable(e.NAS)+" "+printable(e.Station), more)
	case "act":
		return append(cells, printable(e.Actor), e.Verb, "", "", printable(e.Object)+" "+printable(e.Detail))
	}
	return append(cells, "", "accounting", "", printable(e.NAS)+" "+e.Source, fmt.Sprintf("%d bytes of attributes", len(e.Attributes)))
}

// printable is s as it is, or quoted when it has something unprintable.
func printable(s string) string {
	if quoted := fmt.Sprintf("%q", s); quoted != `"`+s+`"` {
		return quoted
	}
	return s
}
