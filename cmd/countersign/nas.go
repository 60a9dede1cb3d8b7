package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) nasCommand() *cobra.Command {
	return group("nas", "See what gateways do, and what to set", a.nasListCommand(), a.nasReportCommand())
}

func (a *app) nasListCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "list", Short: "List the gateways, with what was seen of them", Args: cobra.NoArgs,
		Long: "List the gateways of the configuration with what the running server has seen of them, and how many things there are to\n" +
			"set: `countersign nas report` tells which.",
		RunE: func(*cobra.Command, []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				t := a.newTable("NAS", "LAST SEEN", "LOGINS", "MESSAGE-AUTHENTICATOR", "METHODS", "ACCOUNTING", "TO SET")
				return t.end(client.NASReports(ctx, "", func(n tms.NASReport) error { return t.add(n, nasCells(&n)...) }))
			})
		},
	})
}

func nasCells(n *tms.NASReport) []string {
	return []string{
		printable(n.Name), date(n.Last), strconv.FormatUint(n.Logins, 10), protects(n), strings.Join(n.Methods(), " "),
		date(n.AccountingLast), strconv.Itoa(len(n.Advice)),
	}
}

func (a *app) nasReportCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "report [NAME]", Short: "Tell what gateways do, and what to set", Args: cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeNAS,
		Long: "Tell of each gateway of the configuration, or of one, what the running server has seen of it: whether its requests carry\n" +
			"a Message-Authenticator (CVE-2024-3596), by which method it shows passcodes and in which charset, after how long it asks\n" +
			"again, whether its users answer challenges, whether it reports sessions. Below is what to write into its [[nas]], or to\n" +
			"change in the gateway itself, and why. Repeated requests count once.",
		Example: "  countersign nas report vpn",
		RunE: func(_ *cobra.Command, args []string) error {
			name := strings.Join(args, "")
			if len(args) == 1 && name == "" {
				return fmt.Errorf("the name is empty: give one, or leave it out for all")
			}
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				first := true
				return client.NASReports(ctx, name, func(n tms.NASReport) error {
					if !first {
						a.say("")
					}
					first = false
					return a.showNAS(&n)
				})
			})
		},
	})
}

// showNAS prints the report on a NAS.
func (a *app) showNAS(n *tms.NASReport) error {
	if a.json {
		return a.result(n)
	}
	for _, fact := range []struct{ label, text string }{
		{"NAS", n.Name + " (" + strings.Join(n.Settings.Addresses, ", ") + ")"},
		{"logins", loginsSeen(n)},
		{"Message-Authenticator", protects(n)},
		{"methods", methodsSeen(n)},
		{"passwords", passwordsSeen(n)},
		{"repeated", repeatsSeen(n)},
		{"challenges", challengesSeen(n)},
		{"accounting", accountingSeen(n)},
	} {
		if fact.text != "" {
			a.wideLine(fact.label, printable(fact.text))
		}
	}
	switch {
	case len(n.Advice) > 0:
	case n.Logins < tms.EnoughLogins:
		a.wideLine("to set", fmt.Sprintf("nothing is known yet: %d logins tell more", tms.EnoughLogins))
	default:
		a.wideLine("to set", "nothing")
	}
	for _, advice := range n.Advice {
		where := "in its [[nas]]"
		if advice.Where == tms.InGateway {
			where = "in the gateway"
		}
		a.wideLine("to set", fmt.Sprintf("%s: %s", where, printable(advice.Set)))
		a.wideLine("", "because "+printable(advice.Why))
	}
	return nil
}

func (a *app) wideLine(label, text string) { a.say("%-22s %s", label, text) }

func loginsSeen(n *tms.NASReport) string {
	if n.Logins == 0 {
		return "none seen"
	}
	return fmt.Sprintf("%d since %s, the last of all requests %s", n.Logins, date(n.Since), date(n.Last))
}

// protects tells which of its logins carry a Message-Authenticator.
func protects(n *tms.NASReport) string {
	var text string
	switch signed := n.MessageAuthenticators; {
	case n.Logins == 0:
		return ""
	case signed == 0:
		return "never"
	case signed < n.Logins:
		text = fmt.Sprintf("sometimes (%d of %d)", signed, n.Logins)
	default:
		text = "always"
	}
	switch n.Leading {
	case 0:
		return text
	case n.MessageAuthenticators:
		return text + ", as the first attribute"
	}
	return text + fmt.Sprintf(", %d as the first attribute", n.Leading)
}

func methodsSeen(n *tms.NASReport) string {
	return amounts([]amountOf{{n.PAP, "PAP"}, {n.CHAP, "CHAP"}, {n.MSCHAP, "MS-CHAP"}, {n.MSCHAPv2, "MS-CHAPv2"}, {n.NoMethod, "without a password"}})
}

func passwordsSeen(n *tms.NASReport) string {
	return amounts([]amountOf{{n.ASCII, "ASCII"}, {n.UTF8, "UTF-8"}, {n.Unreadable, "no text"}})
}

// amountOf is how many there were of a thing.
type amountOf struct {
	count uint64
	thing string
}

// amounts lists those that there were.
func amounts(all []amountOf) string {
	var texts []string
	for _, one := range all {
		if one.count > 0 {
			texts = append(texts, fmt.Sprintf("%d %s", one.count, one.thing))
		}
	}
	return strings.Join(texts, ", ")
}

func repeatsSeen(n *tms.NASReport) string {
	if n.Repeated == 0 {
		return ""
	}
	text := fmt.Sprintf("%d of %d logins, %d requests", n.Repeated, n.Logins, n.Retransmissions)
	if n.Interval > 0 {
		text += fmt.Sprintf(", after %v at the least", n.Interval.Round(100*time.Millisecond))
	}
	if n.IntervalUsual > 0 {
		text += fmt.Sprintf(", usually %v", n.IntervalUsual.Round(100*time.Millisecond))
	}
	return text
}

func challengesSeen(n *tms.NASReport) string {
	if n.Challenges == 0 {
		return ""
	}
	text := fmt.Sprintf("%d, %d answered", n.Challenges, n.Answered)
	if n.Cut > 0 {
		text += fmt.Sprintf(", %d with the beginning of their State only", n.Cut)
	}
	return text
}

func accountingSeen(n *tms.NASReport) string {
	if n.Accounting == 0 {
		return "none seen"
	}
	return fmt.Sprintf("%d requests, the last %s", n.Accounting, date(n.AccountingLast))
}

// nasSettings are the [[nas]] of the configuration, as far as reports advise about them.
func nasSettings(cfg *conf.Config) []tms.NASSettings {
	all := make([]tms.NASSettings, len(cfg.NAS))
	for i := range cfg.NAS {
		n := &cfg.NAS[i]
		all[i] = tms.NASSettings{
			Name: n.Name, MessageAuthenticator: string(n.MessageAuthenticator), ReplyMessageAuthenticator: string(n.ReplyMessageAuthenticator),
			Challenge: n.Challenge, Class: string(n.Class), DirectoryPassword: n.Excluded == conf.ExcludedDirectoryPassword,
			Accounting:    len(cfg.Radius.Acct) > 0,
			SessionLimits: cfg.Login.MaxSessions > 0 || len(cfg.SessionLimits) > 0,
			Slowest:       slowestLogin(cfg),
		}
		for _, p := range n.Addresses {
			text := p.String()
			if p.IsSingleIP() {
				text = p.Addr().String()
			}
			all[i].Addresses = append(all[i].Addresses, text)
		}
	}
	return all
}

// slowestLogin is how long it may take to decide a login.
func slowestLogin(cfg *conf.Config) time.Duration {
	var slowest time.Duration
	for i := range cfg.Directories {
		slowest = max(slowest, cfg.Directories[i].Timeout)
	}
	if cfg.TMS.Exists() {
		slowest += queueTime + cfg.TMS.Timeout
	}
	return slowest
}
