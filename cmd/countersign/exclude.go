package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) excludeCommand() *cobra.Command {
	return group("exclude", "Add, list and remove rules by which a login needs no eToken",
		a.excludeAddCommand(), a.excludeListCommand(), a.excludeShowCommand(), a.excludeRemoveCommand(), a.excludeReportCommand())
}

// criterionFlags are the flags of criteria; each has a --not- too.
var criterionFlags = []struct {
	name  string
	kind  exclusions.Kind
	usage string
}{
	{"user", exclusions.Users, "the `user`"},
	{"group", exclusions.Groups, "a member of the directory's `group`, by name or by DN"},
	{"realm", exclusions.Realms, "a user of the `realm`"},
	{"client-ip", exclusions.ClientIPs, "a client with an `address`: 192.0.2.7, 192.0.2.0/24 or 192.0.2.7-192.0.2.9"},
	{"client-mac", exclusions.ClientMACs, "a client with a `MAC`: 00-10-A4-23-19-C0, 00-10-A4-* or first-last"},
	{"nas", exclusions.NASes, "a login through the [[nas]] of this `name`"},
	{"nas-address", exclusions.NASAddresses, "packets from the `address`, as --client-ip"},
	{"nas-ip-address", exclusions.NASIPAddresses, "this NAS-IP-Address `address`, of a NAS that is trusted to state it"},
	{"nas-identifier", exclusions.NASIdentifiers, "this NAS-Identifier `text`"},
	{"time", exclusions.Times, "a `window`: Mon-Fri 08:00-18:00 Europe/Berlin"},
}

// excludeFlags describe a new rule.
type excludeFlags struct {
	tms.NewRule
	expires string
	values  [][2][]string // of each of criterionFlags: those that are wanted and those that are not
}

func (a *app) excludeAddCommand() *cobra.Command {
	f := excludeFlags{values: make([][2][]string, len(criterionFlags))}
	c := &cobra.Command{
		Use: "add NAME", Short: "Add a rule by which a login needs no eToken", Args: cobra.ExactArgs(1),
		Long: "Add a rule. A login meets it that meets all its criteria. A flag given several times is one criterion that any of\n" +
			"its values meets; with --not- in front, a login must have none of them. What a login does not tell meets neither.\n" +
			"What such a login gets is said by `excluded` of its NAS in the configuration.\n\n" +
			"Addresses and MACs of clients are what the gateway claims they are.",
		Example: "  countersign exclude add printers --reason 'they cannot type' --no-expiry --client-mac '00-10-A4-*' --nas ras\n" +
			"  countersign exclude add move --reason 'new phones are late' --expires 30d --group 'CN=Sales,DC=example,DC=com' --not-user bob",
		RunE: func(_ *cobra.Command, args []string) error {
			f.Name = args[0]
			return a.addRule(&f)
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.Reason, "reason", "", "`why` it is there")
	flags.StringVar(&f.Owner, "owner", "", "`who` answers for it; you, when left out")
	flags.StringVar(&f.expires, "expires", "", "`when` it ends: 30d, 12h, 2026-12-31 (with that day), 2026-12-31T18:00 or RFC 3339")
	flags.BoolVar(&f.NoExpiry, "no-expiry", false, "it stays until it is removed")
	c.MarkFlagsMutuallyExclusive("expires", "no-expiry")
	for i, criterion := range criterionFlags {
		flags.StringArrayVar(&f.values[i][0], criterion.name, nil, criterion.usage)
		flags.StringArrayVar(&f.values[i][1], "not-"+criterion.name, nil, "not "+strings.ReplaceAll(criterion.usage, "`", ""))
	}
	for _, name := range []string{"nas", "not-nas"} {
		_ = c.RegisterFlagCompletionFunc(name, a.completeNAS)
	}
	return a.jsonFlag(c)
}

func (a *app) addRule(f *excludeFlags) error {
	if f.expires != "" {
		var err error
		if f.Expires, err = expiry(f.expires, a.clock()); err != nil {
			return err
		}
	}
	for i, criterion := range criterionFlags {
		for not, values := range f.values[i] {
			if criterion.kind == exclusions.Users && strings.Contains(strings.Join(values, ""), ",") {
				return fmt.Errorf("--%s%s %s: give the flag once for each user, without commas", []string{"", "not-"}[not], criterion.name, strings.Join(values, " "))
			}
			if len(values) > 0 {
				f.Criteria = append(f.Criteria, exclusions.Criterion{Kind: criterion.kind, Not: not == 1, Values: values})
			}
		}
	}
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		v, err := client.AddRule(ctx, f.NewRule)
		if err != nil {
			return err
		}
		a.say("rule %s added: %s, %s", v.Name, printable(criteriaText(v.Criteria)), ending(v))
		return a.result(v)
	})
}

// ending says how long a rule counts.
func ending(v tms.RuleView) string {
	switch {
	case v.Expires.IsZero():
		return "without an end"
	case v.Expired:
		return "expired " + stamp(v.Expires)
	}
	return "until " + stamp(v.Expires)
}

// criteriaText writes criteria as the configuration has them, but on one line.
func criteriaText(all []exclusions.Criterion) string {
	parts := make([]string, len(all))
	for i, c := range all {
		if c.Not {
			parts[i] = "not_"
		}
		parts[i] += c.Kind.String() + " " + strings.Join(c.Values, " or ")
	}
	return strings.Join(parts, " and ")
}

func (a *app) excludeListCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "list", Short: "List the rules in the order in which they decide", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				t := a.newTable("RULE", "SOURCE", "OWNER", "USED", "LAST USED", "EXPIRES", "CRITERIA")
				return t.end(client.Rules(ctx, "", func(v tms.RuleView) error {
					return t.add(v, printable(v.Name), v.Source, printable(v.Owner), strconv.FormatUint(v.Used, 10), date(v.LastUsed),
						expires(v), printable(criteriaText(v.Criteria)))
				}))
			})
		},
	})
}

// expires is the cell of a table that says when a rule ends.
func expires(v tms.RuleView) string {
	if v.Expired {
		return date(v.Expires) + " (expired)"
	}
	return date(v.Expires)
}

// date is an instant in a table; none is empty.
func date(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return stamp(t)
}

func (a *app) excludeShowCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "show NAME", Short: "Show a rule", Args: oneName, ValidArgsFunction: a.completeRule,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				return client.Rules(ctx, args[0], a.showRule)
			})
		},
	})
}

// oneName takes one argument, a name: without one a listing would show all.
func oneName(c *cobra.Command, args []string) error {
	if err := cobra.ExactArgs(1)(c, args); err != nil {
		return err
	}
	if args[0] == "" {
		return fmt.Errorf("%s: the name is empty: give one, or see all with `%s list`", c.CommandPath(), c.Parent().CommandPath())
	}
	return nil
}

// showRule prints all of a rule.
func (a *app) showRule(v tms.RuleView) error {
	if a.json {
		return a.result(v)
	}
	from := "the configuration, since " + stamp(v.Added)
	if v.Source == tms.FromStore {
		from = fmt.Sprintf("added %s by %s", stamp(v.Added), v.By)
	}
	used := "never"
	if v.Used > 0 {
		used = fmt.Sprintf("%s, last %s", count(int(v.Used), "time"), stamp(v.LastUsed))
	}
	a.line("rule", v.Name)
	a.line("source", from)
	a.line("owner", v.Owner)
	a.line("reason", v.Reason)
	a.line("counts", ending(v))
	a.line("used", used)
	for i := range v.Criteria {
		a.line([]string{"criteria", ""}[min(i, 1)], criteriaText(v.Criteria[i:i+1]))
	}
	return nil
}

// line prints a label and what it is about; of nothing it prints nothing.
func (a *app) line(label, text string) {
	if text != "" {
		a.say("%-11s %s", label, printable(text))
	}
}

func (a *app) excludeRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove NAME", Short: "Remove a rule that was added here", Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeRule,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				if err := client.RemoveRule(ctx, args[0]); err != nil {
					return err
				}
				a.say("rule %s removed", args[0])
				return nil
			})
		},
	}
}

func (a *app) excludeReportCommand() *cobra.Command {
	within := "30d"
	c := &cobra.Command{
		Use: "report", Short: "Show which rules are used, which never, and which end soon", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			d, err := period(within)
			if err != nil {
				return err
			}
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				r, err := client.RuleReport(ctx, d)
				if err != nil {
					return err
				}
				if a.json {
					return a.result(r)
				}
				return a.showReport(&r)
			})
		},
	}
	c.Flags().StringVar(&within, "within", within, "soon is within such a `time`: 30d, 12h")
	return a.jsonFlag(c)
}

func (a *app) showReport(r *tms.RuleReport) error {
	a.say("Rules of exclusion at %s", stamp(r.At))
	for _, section := range []struct {
		title string
		rules []tms.RuleView
	}{
		{"In force and used, the most used first", r.Used},
		{"In force and never used, the oldest first", r.Never},
		{"Ending before " + stamp(r.Until), r.Ending},
		{"In force without an end", r.Endless},
		{"Expired, no longer in force", r.Expired},
	} {
		a.say("\n%s: %d", section.title, len(section.rules))
		if len(section.rules) == 0 {
			continue
		}
		t := a.newTable("RULE", "SOURCE", "OWNER", "ADDED", "USED", "LAST USED", "EXPIRES", "REASON")
		for _, v := range section.rules {
			t.row(printable(v.Name), v.Source, printable(v.Owner), date(v.Added), strconv.FormatUint(v.Used, 10), date(v.LastUsed),
				date(v.Expires), printable(v.Reason))
		}
		if err := t.end(nil); err != nil {
			return err
		}
	}
	return nil
}

// completeRule completes the name of a rule, as long as the server runs.
func (a *app) completeRule(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var names []string
	cfg, err := a.load()
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	if _, err := os.Stat(socketPath(cfg)); err == nil {
		_ = a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
			return client.Rules(ctx, "", func(v tms.RuleView) error {
				names = append(names, v.Name)
				return nil
			})
		})
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeNAS completes the name of a NAS.
func (a *app) completeNAS(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var names []string
	if cfg, err := a.load(); err == nil {
		for _, n := range cfg.NAS {
			names = append(names, n.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// instantLayouts are the ways to write an instant on the command line. Without an
// offset it is one of this machine's time zone.
var instantLayouts = []string{time.RFC3339, "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05", time.DateOnly}

// The years of instants: before them there was no server, and what comes later
// cannot be written in every time zone (RFC 3339 section 1).
const firstYear, lastYear = 2000, 9998

// instant reads an instant. day is true of a whole day, whose beginning it is.
func instant(text string) (at time.Time, day bool, err error) {
	for _, layout := range instantLayouts {
		if at, err = time.ParseInLocation(layout, text, time.Local); err != nil {
			continue
		}
		if year := at.Year(); year < firstYear || year > lastYear {
			return at, false, fmt.Errorf("time %.40q: must be of the years %d to %d", text, firstYear, lastYear)
		}
		return at, layout == time.DateOnly, nil
	}
	return at, false, fmt.Errorf("time %.40q: must be as 2026-12-31T18:00, 2026-12-31 or 2026-12-31T18:00:00+01:00", text)
}

// expiry reads when a rule ends: an instant, a day, which counts whole, or how
// long it lasts.
func expiry(text string, now time.Time) (time.Time, error) {
	if lasting, err := period(text); err == nil {
		return now.Add(lasting), nil
	}
	at, day, err := instant(text)
	if err != nil {
		return at, fmt.Errorf("--expires: %w, or how long it lasts: 30d, 12h; for a rule without an end give --no-expiry", err)
	}
	if day {
		at = at.AddDate(0, 0, 1)
	}
	return at, nil
}

// maxPeriod is the longest time that can be given in days.
const maxPeriod = 100 * 365

// period reads how long something lasts, in days (30d), or as Go writes it (12h,
// 1h30m), or both.
func period(text string) (time.Duration, error) {
	fault := fmt.Errorf("time %.40q: must be as 30d, 12h or 1d12h", text)
	rest, days := text, 0
	if before, after, ok := strings.Cut(text, "d"); ok {
		n, err := strconv.ParseUint(before, 10, 16)
		if err != nil || n > maxPeriod {
			return 0, fault
		}
		rest, days = after, int(n)
	}
	lasting := time.Duration(days) * 24 * time.Hour
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return 0, fault
		}
		lasting += more
	}
	if lasting <= 0 {
		return 0, fault
	}
	return lasting, nil
}
