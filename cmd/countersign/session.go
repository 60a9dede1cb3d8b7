package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/radiusd/accounting"
	"countersign/tms/console"
)

func (a *app) sessionCommand() *cobra.Command {
	c := group("session", "See who is connected, and disconnect them",
		a.sessionListCommand(), a.sessionShowCommand(), a.sessionDisconnectCommand(), a.sessionCloseCommand(), a.sessionRecordsCommand())
	c.Long = "See who is connected, by what gateways report as accounting at UDP 1813 (acct in [radius]), and disconnect them.\n" +
		"\n" +
		"A session is open until its gateway reports the end. It is stale when it was silent for stale_after of [accounting]: then\n" +
		"it most likely has ended, and the report was lost. Which login it belongs to is known when the gateway sends back the Class\n" +
		"of the Access-Accept."
	return c
}

// choiceFlags choose sessions.
type choiceFlags struct {
	accounting.Filter
	mac, address string
}

// choices are the names of its flags.
var choices = []string{"user", "nas", "serial", "rule", "station", "mac", "address"}

func (f *choiceFlags) add(a *app, c *cobra.Command) {
	flags := c.Flags()
	flags.StringVar(&f.User, "user", "", "only this `user`'s")
	flags.StringVar(&f.NAS, "nas", "", "only those at the [[nas]] of this `name`")
	flags.StringVar(&f.Serial, "serial", "", "only those that the token with this `serial` has begun")
	flags.StringVar(&f.Rule, "rule", "", "only those that needed no eToken by the exclusion of this `name`")
	flags.StringVar(&f.Station, "station", "", "only those with this Calling-Station-Id, a `text`")
	flags.StringVar(&f.mac, "mac", "", "only those of the client with this `MAC`, however it is written")
	flags.StringVar(&f.address, "address", "", "only those that have this IP `address` (Framed-IP-Address)")
	c.MarkFlagsMutuallyExclusive("station", "mac")
	_ = c.RegisterFlagCompletionFunc("nas", a.completeNAS)
}

// read completes the filter.
func (f *choiceFlags) read() error {
	if f.mac != "" {
		if _, ok := exclusions.ParseMAC([]byte(f.mac)); !ok {
			return fmt.Errorf("--mac %.40q is no MAC: write it as 00-10-A4-23-19-C0; other texts are for --station", f.mac)
		}
		f.Station = f.mac
	}
	if f.address != "" {
		var err error
		if f.Address, err = netip.ParseAddr(f.address); err != nil {
			return fmt.Errorf("--address %.40q is no IP address: write it as 192.0.2.7 or 2001:db8::7", f.address)
		}
	}
	return nil
}

// sessionListFlags say what is listed, and how.
type sessionListFlags struct {
	choiceFlags
	states   []string
	from, to string
	csv      bool
}

func (a *app) sessionListCommand() *cobra.Command {
	var f sessionListFlags
	c := &cobra.Command{
		Use: "list", Short: "List sessions, the newest first", Args: cobra.NoArgs,
		Long: "List sessions, the newest first: those that are open and those that are stale, unless --state, --from or --to is given.\n" +
			"IN is what came from the client, OUT what went to it.\n" +
			"\n" +
			"--csv has all that is known of each, under the names that --json has, times as in RFC 3339. What begins with = + - @ ' or a\n" +
			"control character has a ' before it, so that no spreadsheet takes it for a formula.",
		Example: "  countersign session list --user alice\n" +
			"  countersign session list --from 2h\n" +
			"  countersign session list --state closed --nas vpn --from 2026-12-01 --to 2026-12-31\n" +
			"  countersign session list --mac 00-10-A4-23-19-C0 --state all --csv > sessions.csv",
		RunE: func(*cobra.Command, []string) error {
			if err := f.read(a.clock()); err != nil {
				return err
			}
			return a.listSessions(&f)
		},
	}
	f.add(a, c)
	flags := c.Flags()
	flags.StringSliceVar(&f.states, "state", nil, "only those in this `state`: open, stale, closed or all; can be said more than once")
	flags.StringVar(&f.from, "from", "", "those that there were at this `time` or later: 2026-12-31T18:00, 2026-12-31, RFC 3339, or how long ago: 15m, 2h, 7d")
	flags.StringVar(&f.to, "to", "", "those that there were before this `time`, in the same way; of a day its end")
	flags.IntVar(&f.Limit, "limit", 0, "at most so many; 0: all")
	flags.BoolVar(&f.csv, "csv", false, "print CSV (RFC 4180)")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(append(stateNames(), allStates), cobra.ShellCompDirectiveNoFileComp))
	a.jsonFlag(c)
	c.MarkFlagsMutuallyExclusive("csv", "json")
	return c
}

// allStates is the word for any state.
const allStates = "all"

func stateNames() []string {
	var names []string
	for _, state := range []accounting.State{accounting.Open, accounting.Stale, accounting.Closed} {
		names = append(names, state.String())
	}
	return names
}

// read completes the filter.
func (f *sessionListFlags) read(now time.Time) error {
	if err := f.choiceFlags.read(); err != nil {
		return err
	}
	var err error
	if f.From, f.To, err = timeRange(f.from, f.to, now); err != nil {
		return err
	}
	if len(f.states) == 0 && f.from == "" && f.to == "" {
		f.States = living
	}
	for _, name := range f.states {
		if name == allStates {
			f.States = nil
			return nil
		}
		state, err := accounting.ParseState(name)
		if err != nil {
			return fmt.Errorf("--state %.40q: must be %s or %s", name, strings.Join(stateNames(), ", "), allStates)
		}
		f.States = append(f.States, state)
	}
	return nil
}

// living are the states of sessions that may not have ended.
var living = []accounting.State{accounting.Open, accounting.Stale}

func (a *app) listSessions(f *sessionListFlags) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		if f.csv {
			out := a.newSessionCSV()
			return out.end(client.Sessions(ctx, f.Filter, out.add))
		}
		t := a.sessionTable()
		return t.end(client.Sessions(ctx, f.Filter, func(v console.SessionView) error { return t.add(v, a.sessionCells(&v)...) }))
	})
}

func (a *app) sessionTable() *table {
	return a.newTable("SESSION", "USER", "NAS", "SINCE", "FOR", "IN", "OUT", "ADDRESS", "STATION", "TOKEN", "STATE")
}

// sessionCells are a session's cells in the table.
func (a *app) sessionCells(v *console.SessionView) []string {
	in, out := "", ""
	if v.SessionFigures != nil {
		in, out = octets(v.InputOctets), octets(v.OutputOctets)
	}
	return []string{
		v.ID.String(), printable(v.User), printable(v.NAS), date(v.Started), lasting(sessionTime(v, a.clock())), in, out,
		addressText(v.Address), printable(v.Station), sessionToken(v), sessionState(v),
	}
}

// sessionTime is how long a session was, or is by now; of a stale one, when it was last
// heard of. Of one that is over the gateway knows best.
func sessionTime(v *console.SessionView, now time.Time) time.Duration {
	end := now
	switch v.State {
	case accounting.Closed.String():
		if v.SessionFigures != nil && v.Seconds > 0 {
			return time.Duration(v.Seconds) * time.Second
		}
		end = v.Ended
	case accounting.Stale.String():
		end = v.Last
	}
	return max(0, end.Sub(v.Started))
}

// sessionToken is what let the user in.
func sessionToken(v *console.SessionView) string {
	switch {
	case v.SessionLogin == nil:
		return ""
	case v.Rule != "":
		return "rule " + printable(v.Rule)
	}
	return v.Serial
}

func sessionState(v *console.SessionView) string {
	if v.State != accounting.Closed.String() {
		return v.State
	}
	return strings.TrimRight(v.State+": "+sessionEnd(v), ": ")
}

// sessionEnd is why it ended.
func sessionEnd(v *console.SessionView) string {
	if v.Cause == "" {
		return v.By
	}
	return v.Cause
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// octets is a number of octets for people.
func octets(n uint64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1024, 0
	for value >= 1023.95 && unit < len(units)-1 {
		value, unit = value/1024, unit+1
	}
	return fmt.Sprintf("%.1f %ciB", value, units[unit])
}

// lasting is a time for people, of its two largest units.
func lasting(d time.Duration) string {
	s := int64(d / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 60*60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*60*60:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}
