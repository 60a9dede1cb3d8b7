package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) collectorCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list", Short: "List who gets the accounting or the audit log, and what waits for them", Args: cobra.NoArgs,
		Long: "List each [[collector]] and each [[syslog]] server of the running server, and how it stands: what waits for it, since when\n" +
			"the first of that does, what it never got, and why it gets nothing at present. For a [[collector]] accounting records are\n" +
			"counted, and it never gets those of which more wait than max_records, or longer than max_age; for a [[syslog]] server\n" +
			"batches of the audit log, each of one event or of several that were written together.",
		Example: "  countersign collector list --json",
		RunE: func(*cobra.Command, []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				t := a.newTable("NAME", "TYPE", "TO", "WAITING", "SINCE", "SKIPPED", "FAULT")
				return t.end(client.Collectors(ctx, func(c tms.CollectorState) error { return t.add(c, collectorCells(&c)...) }))
			})
		},
	}
	return group("collector", "See who gets the accounting and the audit log", a.jsonFlag(list))
}

func collectorCells(c *tms.CollectorState) []string {
	return []string{
		printable(c.Name), c.Type, printable(c.To), waiting(c), date(c.Oldest),
		strconv.FormatUint(c.Skipped, 10), printable(inOneLine(c.Fault)),
	}
}

// waiting is how much waits for it.
func waiting(c *tms.CollectorState) string {
	if c.Type == "syslog" {
		return batches(uint64(c.Waiting))
	}
	return count(int(c.Waiting), "record")
}
