package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/directory"
)

func (a *app) migrateCommand() *cobra.Command {
	c := group("migrate", "Move users from the TMS to our own tokens",
		a.migrateStatusCommand(), a.migrateCutoverCommand(), a.migrateRollbackCommand(), a.migrateDifferencesCommand())
	c.Long = "Move users from the TMS behind this server to our own tokens.\n" +
		"\n" +
		"The usual way: import the seeds of all tokens (countersign token import), set learn = true in [tms], and let people log in as\n" +
		"ever. The TMS decides, and each login shows who has which token with which OTP PIN. `migrate status` tells how far that is,\n" +
		"`migrate differences` what does not fit. When a group is ready `migrate cutover` has our own tokens decide, and if need be\n" +
		"`migrate rollback` the TMS again: at the next login, without a restart."
	return c
}

// stateWords are the states as people read them.
var stateWords = map[tms.MigrationState]string{
	tms.StateTMS: "on TMS", tms.StateLearned: "learned", tms.StateLocal: "local", tms.StateDisagreeing: "disagreeing",
	tms.StateNeverSeen: "never seen",
}

func (a *app) migrateStatusCommand() *cobra.Command {
	var groups []string
	var users bool
	c := &cobra.Command{
		Use: "status", Short: "Count how far the users are on the way from the TMS to our own tokens", Args: cobra.NoArgs,
		Long: "Count how far the users are: those here, those of the directories, and those whom the TMS has let in. Each is in one of\n" +
			"these columns:\n" +
			"\n" +
			"  TMS          the TMS has accepted a login (or `migrate rollback` was said), and no token here decides\n" +
			"  LEARNED      holds a learned token, and the TMS still decides: too few logins have agreed, or the user was rolled back\n" +
			"  LOCAL        tokens here decide: they have proven themselves, were enrolled here, or the user was cut over\n" +
			"  DISAGREEING  holds a token here of which the TMS said otherwise at the last login: see `migrate differences`\n" +
			"  NEVER SEEN   holds no token here that can be used, and has not logged in at the TMS\n" +
			"\n" +
			"That is how it is for the order local-then-tms. With another order in [tms], of a gateway or of a group, somebody else may\n" +
			"decide; so it is for users who do not belong to user_repository, in shadow, and where there is no TMS. Lines below the table\n" +
			"say which of these are so. When a directory does not answer there are no numbers, because they would be wrong.\n" +
			"\n" +
			"With --json there is a line for each user (with --users), then one for each group, and the last, without a group, is for all.",
		Example: "  countersign migrate status --group \"vpn users\" --group helpdesk\n" +
			"  countersign migrate status --users --json",
		RunE: func(*cobra.Command, []string) error {
			folded, err := foldGroups(groups)
			if err != nil {
				return err
			}
			return a.connected(func(ctx context.Context, client *console.Client, cfg *conf.Config) error {
				if err := a.showMigration(ctx, client, folded, users); err != nil {
					return err
				}
				return a.noteMigration(ctx, client, cfg)
			})
		},
	}
	c.Flags().StringArrayVar(&groups, "group", nil, "count the users of this `group` of a directory, by name or DN; can be said more than once")
	c.Flags().BoolVar(&users, "users", false, "list the users too, of the groups or all")
	return a.jsonFlag(c)
}

// foldGroups brings names and DNs of groups into the form in which they are compared.
func foldGroups(groups []string) ([]string, error) {
	folded := make([]string, len(groups))
	for i, name := range groups {
		var ok bool
		if folded[i], ok = directory.FoldGroup(name); !ok {
			return nil, fmt.Errorf("--group %q is no group: write its name, as \"vpn users\", or its DN", name)
		}
	}
	return folded, nil
}

func (a *app) showMigration(ctx context.Context, client *console.Client, groups []string, users bool) error {
	var each func(tms.UserMigration) error
	list := a.newTable("USER", "STATE", "HOME", "LAST SEEN AT TMS", "TOKENS")
	if users {
		each = func(u tms.UserMigration) error { return list.add(u, migrationCells(&u)...) }
	}
	report, err := client.MigrationStatus(ctx, groups, each)
	if users {
		err = list.end(err)
	}
	if err != nil {
		return err
	}
	if users {
		a.say("")
	}
	counts := a.newTable("GROUP", "USERS", "TMS", "LEARNED", "LOCAL", "DISAGREEING", "NEVER SEEN")
	for _, n := range append(report.Groups, report.Total) {
		if err = counts.add(n, countCells(&n)...); err != nil {
			break
		}
	}
	return counts.end(err)
}

// noteMigration prints what the columns do not tell.
func (a *app) noteMigration(ctx context.Context, client *console.Client, cfg *conf.Config) error {
	for _, note := range migrationNotes(&cfg.TMS) {
		a.say("%s", note)
	}
	v, err := client.BehindState(ctx)
	if errors.Is(err, tms.ErrNotFound) { // nobody learns
		return nil
	}
	if err != nil {
		return fmt.Errorf("asking of whom it is not clear which token they have: %w", err)
	}
	users := map[string]bool{}
	for _, doubt := range v.Doubts {
		users[doubt.User] = true
	}
	if len(users) > 0 {
		a.say("of %s it is not clear which token they have: `countersign tms` tells more", counted(len(users), "user"))
	}
	return nil
}

// migrationNotes are what the configuration says of who decides; nothing when it has
// faults and so is not known.
func migrationNotes(t *conf.TMS) (notes []string) {
	note := func(is bool, format string, args ...any) {
		if is {
			notes = append(notes, fmt.Sprintf(format, args...))
		}
	}
	switch {
	case t.Order == "":
		return nil
	case !t.Exists():
		return []string{"there is no TMS in the configuration: tokens here decide about everybody"}
	}
	note(t.Order != conf.OrderLocalThenTMS, "order = %q in [tms]: the columns say how it would be with local-then-tms", t.Order)
	note(t.UserRepository != "all", "user_repository = %q: about users who do not belong to it tokens here decide, whatever their column", t.UserRepository)
	note(t.Shadow && t.Order == conf.OrderLocalThenTMS, "shadow = true: the TMS decides about those in LOCAL too, unless they were cut over or enrolled here")
	return notes
}

func countCells(n *tms.MigrationCount) []string {
	cells := []string{printable(n.Group)}
	if n.Group == "" {
		cells[0] = "(all)"
	}
	for _, number := range []int{n.Users, n.TMS, n.Learned, n.Local, n.Disagreeing, n.NeverSeen} {
		cells = append(cells, strconv.Itoa(number))
	}
	return cells
}

func migrationCells(u *tms.UserMigration) []string {
	tokens := make([]string, len(u.Tokens))
	for i, t := range u.Tokens {
		tokens[i] = fmt.Sprintf("%s (%d agreed, %d not)", t.Serial, t.Agreed, t.Disagreed)
	}
	seen := ""
	if !u.Seen.IsZero() {
		seen = u.Seen.Local().Format("2006-01-02")
	}
	return []string{printable(string(u.User)), stateWords[u.State], homeWord(u.Home), seen, strings.Join(tokens, ", ")}
}

// homeWord is a home as people read it.
func homeWord(home string) string {
	if home == "" || home == otp.HomeUnsaid.String() {
		return "as configured"
	}
	return home
}

// whomFlags add the ways to say who is moved.
func whomFlags(c *cobra.Command, m *tms.Move) {
	c.Flags().StringVar(&m.Group, "group", "", "the users of this `group` of a directory, by name or DN")
	c.Flags().StringVar(&m.User, "user", "", "this `user` alone")
	c.Flags().BoolVar(&m.All, "all", false, "all users")
	c.Flags().BoolVar(&m.DryRun, "dry-run", false, "list who would be moved, change nothing")
	c.MarkFlagsMutuallyExclusive("group", "user", "all")
	c.MarkFlagsOneRequired("group", "user", "all")
}

func (a *app) migrateCutoverCommand() *cobra.Command {
	var m tms.Move
	c := &cobra.Command{
		Use: "cutover", Short: "Have our own tokens decide about users, and ask the TMS no more", Args: cobra.NoArgs,
		Long: "Have our own tokens decide about users from their next login on, and ask the TMS no more, whatever the order says. Users who\n" +
			"hold no token here that can be used are left where they are, and so are those of whose tokens the TMS said otherwise at\n" +
			"the last login, and those whose learned token has not proven itself (agreements): each is listed with the reason. --force\n" +
			"takes the latter two. Broken off, it can be done again.",
		Example: "  countersign migrate cutover --group \"vpn users\" --dry-run\n" +
			"  countersign migrate cutover --user alice",
		RunE: func(*cobra.Command, []string) error { return a.move(m, (*console.Client).Cutover) },
	}
	whomFlags(c, &m)
	c.Flags().BoolVar(&m.Force, "force", false, "take those too of whose tokens the TMS said otherwise, or whose learned token has not proven itself")
	return a.jsonFlag(c)
}

func (a *app) migrateRollbackCommand() *cobra.Command {
	var m tms.Move
	c := &cobra.Command{
		Use: "rollback", Short: "Have the TMS decide about users again", Args: cobra.NoArgs,
		Long: "Have the TMS, and the TMS alone, decide again about users who hold tokens here, from their next login on. Their tokens and\n" +
			"OTP PINs stay, and `migrate cutover` has them decide again. With --clear neither is said of the users any more: it is as the order in\n" +
			"the configuration has it, as before they were cut over or rolled back. Broken off, it can be done again.",
		Example: "  countersign migrate rollback --group \"vpn users\"\n" +
			"  countersign migrate rollback --user alice --clear",
		RunE: func(*cobra.Command, []string) error { return a.move(m, (*console.Client).Rollback) },
	}
	whomFlags(c, &m)
	c.Flags().BoolVar(&m.Clear, "clear", false, "back to what the configuration says")
	return a.jsonFlag(c)
}

// move cuts users over or rolls them back, and prints what became of them.
func (a *app) move(m tms.Move, act func(*console.Client, context.Context, tms.Move, func(tms.Moved) error) (tms.MoveReport, error)) error {
	if m.Group != "" {
		folded, err := foldGroups([]string{m.Group})
		if err != nil {
			return err
		}
		m.Group = folded[0]
	}
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		t := a.newTable("USER", "WAS", "NOW", "LEFT BECAUSE")
		var last tms.Moved
		some := false // were moved
		report, err := act(client, ctx, m, func(moved tms.Moved) error {
			last = moved
			some = some || moved.Left == "" && !m.DryRun
			return t.add(moved, printable(string(moved.User)), homeWord(moved.Was), homeWord(moved.Home), moved.Left)
		})
		if err != nil && some {
			err = fmt.Errorf("%w; those who were moved before stay moved: doing it again completes it", err)
		}
		switch {
		case err == nil && report.Moved+report.Left == 0: // no heading over nothing
		default:
			err = t.end(err)
		}
		if err != nil {
			return err
		}
		return a.tellMove(&report, m.User, last.Left)
	})
}

// tellMove prints what became of all. One user who was named and stays is an error.
func (a *app) tellMove(report *tms.MoveReport, user, left string) error {
	if user != "" && left != "" {
		return errors.New("user " + strconv.Quote(user) + " is left: " + left)
	}
	moved := "moved"
	if report.DryRun {
		moved = "would be moved"
	}
	a.say("%d %s, %d left as they are, %d were there already", report.Moved, moved, report.Left, report.Before)
	return a.result(report)
}

func (a *app) migrateDifferencesCommand() *cobra.Command {
	var user string
	limit := 50
	c := &cobra.Command{
		Use: "differences", Short: "List logins about which the TMS and our own tokens did not agree, the newest first", Args: cobra.NoArgs,
		Long: "List logins about which the TMS and our own tokens did not agree, the newest first, and what that means. The TMS decided them.\n" +
			"Whose last login is among them is not cut over: correct it first, most often with `countersign user set USER --pin-stdin`\n" +
			"or by giving the right token, and wait for a login.\n" +
			"\n" +
			"With learn = true in [tms] the OTP PIN of who holds learned tokens alone is the one that the TMS takes: as long as the TMS is\n" +
			"asked, the next login there brings it back, whatever `user set` made of it. Change it at the TMS then.",
		RunE: func(*cobra.Command, []string) error {
			return a.listDifferences(tms.Filter{User: otp.UserName(user), Limit: limit, Differing: true})
		},
	}
	c.Flags().StringVar(&user, "user", "", "only this `user`'s")
	c.Flags().IntVar(&limit, "limit", limit, "at most so many; 0: all")
	return a.jsonFlag(c)
}

func (a *app) listDifferences(f tms.Filter) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		t := a.newTable("EVENT", "TIME", "USER", "TMS", "OWN", "TOKEN", "FROM", "MEANING")
		return t.end(client.Events(ctx, f, func(e console.EventView) error {
			return t.add(e, e.ID, stamp(e.At), printable(e.User), e.Verdict, e.Own, e.Serial, printable(e.NAS)+" "+printable(e.Station), e.Difference)
		}))
	})
}
