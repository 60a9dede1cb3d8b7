package main

import (
	"context"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/exclusions"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

// explainFlags say which login is to be explained.
type explainFlags struct {
	tms.ExplainRequest
	at   string
	last bool
}

func (a *app) explainCommand() *cobra.Command {
	var f explainFlags
	c := &cobra.Command{
		Use: "explain [EVENT]", Short: "Explain why a login was let in or refused, and what to do", Args: cobra.MaximumNArgs(1),
		Long: "Explain a login that was, by its event, with the rules of that time; or one that was not, by a user and a NAS:\n" +
			"which NAS and which user it was, which rule or mode decided, how far off the eToken was, how it stands with the\n" +
			"user's tokens, and what to do next. Nothing in it is secret: it may be read to the user. Events are listed by\n" +
			"`countersign event list`; those of sessions, which have numbers of their own, by `countersign session show`.",
		Example: "  countersign explain 17-3\n" +
			"  countersign explain --user alice --last\n" +
			"  countersign explain --user 'CORP\\alice' --nas ras --mac 00-10-A4-23-19-C0 --at 2026-12-31T18:00",
		RunE: func(_ *cobra.Command, args []string) error { return a.explain(&f, args) },
	}
	flags := c.Flags()
	flags.StringVar(&f.User, "user", "", "`user`, as typed at the gateway; with --last: by the name that events have")
	flags.StringVar(&f.NAS, "nas", "", "`name` of the [[nas]]")
	flags.StringVar(&f.MAC, "mac", "", "the client's `MAC`")
	flags.StringVar(&f.ClientIP, "client-ip", "", "the client's `address`")
	flags.StringVar(&f.at, "at", "", "`when`: 2026-12-31T18:00 or RFC 3339; now, when left out")
	flags.StringVar(&f.NASAddress, "nas-address", "", "the source `address` of the NAS's packets")
	flags.StringVar(&f.NASIPAddress, "nas-ip-address", "", "the NAS-IP-Address `address`")
	flags.StringVar(&f.NASIdentifier, "nas-identifier", "", "the NAS-Identifier `text`")
	flags.BoolVar(&f.last, "last", false, "the newest login of --user")
	for _, fact := range []string{"nas", "mac", "client-ip", "at", "nas-address", "nas-ip-address", "nas-identifier"} {
		c.MarkFlagsMutuallyExclusive("last", fact)
	}
	_ = c.RegisterFlagCompletionFunc("nas", a.completeNAS)
	return a.jsonFlag(c)
}

// verify finds out whether it is clear which login is meant.
func (f *explainFlags) verify(args []string) error {
	if len(args) == 1 && *f != (explainFlags{}) {
		return fmt.Errorf("either an event, or a login by --user and --nas")
	}
	if len(args) == 1 {
		if _, err := otp.ParseEventID(args[0]); err != nil {
			return fmt.Errorf("%w: `countersign event list` shows the numbers of events; for a user's newest login: countersign explain --user USER --last", err)
		}
	}
	switch {
	case len(args) == 0 && (f.User == "" || f.NAS == "" && !f.last):
		return fmt.Errorf("which login? Give an event, as `countersign event list` shows it, or --user with --nas or --last")
	}
	if f.at != "" {
		var err error
		if f.At, _, err = instant(f.at); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
	}
	return nil
}

func (a *app) explain(f *explainFlags, args []string) error {
	if err := f.verify(args); err != nil {
		return err
	}
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		x, err := explanation(ctx, client, f, args)
		if err != nil {
			return err
		}
		if a.json {
			return a.result(x)
		}
		a.showExplanation(&x)
		return nil
	})
}

// explanation asks for the explanation of the login that is meant.
func explanation(ctx context.Context, client *console.Client, f *explainFlags, args []string) (tms.Explanation, error) {
	switch {
	case len(args) == 1:
		return client.ExplainEvent(ctx, args[0])
	case f.last:
		id, err := lastLogin(ctx, client, f.User)
		if err != nil {
			return tms.Explanation{}, err
		}
		return client.ExplainEvent(ctx, id)
	}
	return client.Explain(ctx, f.ExplainRequest)
}

// lastPage is how many events are looked at at once for the newest login.
const lastPage = 50

// lastLogin finds the event of a user's newest login.
func lastLogin(ctx context.Context, client *console.Client, user string) (string, error) {
	f := tms.Filter{User: otp.UserName(user), Limit: lastPage}
	for {
		login, last, n := "", "", 0
		err := client.Events(ctx, f, func(e console.EventView) error {
			if last = e.ID; login == "" && e.Kind == "login" {
				login = e.ID
			}
			n++
			return nil
		})
		if err != nil || login != "" {
			return login, err
		}
		if n < lastPage {
			return "", fmt.Errorf("user %q has not logged in yet, or events have another name of them", user)
		}
		if f.Before, err = otp.ParseEventID(last); err != nil {
			return "", err
		}
	}
}

// showExplanation prints what people read.
func (a *app) showExplanation(x *tms.Explanation) {
	if x.Event != "" {
		a.line("login", loginLine(x))
	} else {
		a.line("login", "none, imagined at "+stamp(x.At))
	}
	a.line("NAS", nasLine(x))
	a.line("user", userLine(x))
	a.line("groups", groupsLine(x))
	a.line("account", accountLine(x))
	a.line("client", clientLine(x))
	a.line("decision", x.Decision)
	a.line("verified by", x.VerifiedBy)
	if x.Rule != nil {
		a.line("reason", reasonLine(x.Rule))
	}
	if x.Event != "" {
		a.line("outcome", outcomeLine(x))
		a.line("eToken", x.Code)
	}
	a.showEvidence(x)
	a.showOtherRules(x)
	a.several("reply", x.Reply)
	a.several("next", x.Advice)
}

// loginLine is when a login was, and which of several servers has decided it.
func loginLine(x *tms.Explanation) string {
	text := x.Event + " at " + stamp(x.At) + ", " + x.Method
	if x.Node != "" {
		text += ", decided by node " + printable(x.Node)
	}
	if x.Late {
		text += ", recorded late: the database was away"
	}
	return text
}

// several prints lines under one label.
func (a *app) several(label string, texts []string) {
	for _, text := range texts {
		a.line(label, text)
		label = ""
	}
}

// showEvidence prints what tokens, journal and sessions tell.
func (a *app) showEvidence(x *tms.Explanation) {
	var tokens, events, sessions []string
	for i := range x.Tried {
		tokens = append(tokens, tokenText(&x.Tried[i]))
	}
	for _, r := range x.Related {
		events = append(events, fmt.Sprintf("%s at %s: %s", r.Event, stamp(r.At), r.Text))
	}
	for _, s := range x.Sessions {
		sessions = append(sessions, sessionText(&s))
	}
	a.several("tokens", tokens)
	a.several("see", events)
	a.several("sessions", sessions)
	a.line("missing", x.Missing)
}

// tokenText is how it stands with a token at present; the one that the login was about
// is marked.
func tokenText(t *tms.TokenEvidence) string {
	text := fmt.Sprintf("%s, %s: %s", t.Serial, t.Type, t.Standing)
	if t.Text != "" {
		text += ", " + t.Text
	}
	if t.Named {
		text += " (this login is about it)"
	}
	return text
}

func sessionText(s *tms.OpenSession) string {
	text := fmt.Sprintf("%s at %s since %s", s.ID, s.NAS, stamp(s.Started))
	for _, more := range []string{s.Station, s.Address} {
		if more != "" {
			text += ", " + more
		}
	}
	return text
}

func nasLine(x *tms.Explanation) string {
	excluded := "what an excluded login gets is not said"
	switch x.Excluded {
	case exclusions.PassAccept.String():
		excluded = "an excluded login is accepted"
	case exclusions.PassDirectoryPassword.String():
		excluded = "an excluded login needs the directory password"
	}
	text := fmt.Sprintf("%s, mode %s, %s", x.NAS, x.Mode, excluded)
	for _, fact := range []struct{ name, value string }{
		{"source address", x.NASAddress}, {"NAS-IP-Address", x.NASIPAddress}, {"NAS-Identifier", x.NASIdentifier},
	} {
		if fact.value != "" {
			text += fmt.Sprintf(", %s %s", fact.name, fact.value)
		}
	}
	return text
}

func userLine(x *tms.Explanation) string {
	text := x.User
	if x.Typed != x.User {
		text = x.Typed + " is " + x.User
	}
	if x.Realm != "" {
		text += ", realm " + x.Realm
	}
	return text + " (" + sourceText(x) + ")"
}

// sourceText says what the directories know of the user.
func sourceText(x *tms.Explanation) string {
	switch x.Source {
	case exclusions.NotAsked.String():
		return "no directory was asked"
	case exclusions.Unavailable.String():
		return "the directory does not answer"
	}
	text := "in no directory"
	if x.Directory != "" {
		text = "directory " + x.Directory
	}
	if x.Source == exclusions.Stale.String() {
		text += ", which does not answer: an earlier answer was used"
	}
	return text
}

func groupsLine(x *tms.Explanation) string {
	text := strings.Join(x.Groups, ", ")
	if x.GroupsLeft > 0 {
		text += fmt.Sprintf(", and %d more", x.GroupsLeft)
	}
	return text
}

// accountLine is about the user here, who may have changed since the login.
func accountLine(x *tms.Explanation) string {
	text := "not known here"
	if x.Known {
		text = "holds " + count(x.Tokens, "token")
	}
	if x.TokensDisabled > 0 {
		text += fmt.Sprintf(", %d disabled", x.TokensDisabled)
	}
	if x.TokensExpired > 0 {
		text += fmt.Sprintf(", %d before or after the time it is valid", x.TokensExpired)
	}
	if x.Known && !x.PIN {
		text += ", has no OTP PIN"
	}
	if x.Disabled {
		text += ", the user is disabled"
	}
	if x.Event != "" {
		text += " (at present)"
	}
	return text
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func clientLine(x *tms.Explanation) string {
	mac, ip := "MAC not told", "IP not told"
	if len(x.ClientMACs) > 0 {
		mac = "MAC " + strings.Join(x.ClientMACs, " ") + origin(x.ClientMACsFrom)
	}
	if x.ClientIP != "" {
		ip = "IP " + x.ClientIP + origin(x.ClientIPFrom)
	}
	if x.MACsLeft > 0 {
		mac += fmt.Sprintf(" and %d more", x.MACsLeft)
	}
	text := mac + ", " + ip
	if x.Station != "" {
		text += ", Calling-Station-Id " + x.Station
	}
	return text
}

func origin(attribute string) string {
	if attribute == "" {
		return ""
	}
	return " (" + attribute + ")"
}

func reasonLine(r *tms.RuleStanding) string {
	reason := r.Reason
	if reason == "" {
		reason = "none was given"
	}
	if r.Owner != "" {
		reason += " (owner: " + r.Owner + ")"
	}
	return reason
}

func outcomeLine(x *tms.Explanation) string {
	text := x.Outcome + " (" + x.Verdict
	if x.Serial != "" {
		text += ", token " + x.Serial
	}
	if x.Offset != 0 {
		text += fmt.Sprintf(", offset %+d", x.Offset)
	}
	return text + ")"
}

// showOtherRules prints how the login stands to the rules that do not decide.
func (a *app) showOtherRules(x *tms.Explanation) {
	width, others := 9, 0
	for i := range x.Rules {
		if decides(x, i) {
			continue
		}
		others++
		width = max(width, utf8.RuneCountInString(printable(x.Rules[i].Name)))
	}
	if others == 0 {
		return
	}
	a.say("other rules")
	for i := range x.Rules {
		if r := &x.Rules[i]; !decides(x, i) {
			a.say("  %-*s %s: %s", width, printable(r.Name), r.Standing, printable(r.Text))
		}
	}
}

// decides reports whether a rule is the one that decides.
func decides(x *tms.Explanation, i int) bool { return x.Rule != nil && x.Rule.Name == x.Rules[i].Name }
