package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"countersign/conf"
	"countersign/tms"
	"countersign/tms/console"
)

// disconnectFlags say which sessions are ended.
type disconnectFlags struct {
	choiceFlags
	yes bool
}

func (a *app) sessionDisconnectCommand() *cobra.Command {
	var f disconnectFlags
	c := &cobra.Command{
		Use: "disconnect [SESSION...]", Short: "Have the gateway end sessions",
		Long: "Have the gateway end sessions, by a Disconnect-Request (RFC 5176): those that are named, or all that flags choose, which\n" +
			"are shown first. The gateway is asked at the address that its accounting comes from, at disconnect_port of its [[nas]],\n" +
			"and must take such requests from this server: it calls that CoA, DAS, dynamic authorization or RFC 3576.\n" +
			"\n" +
			"It ends the connection, not the right to come back: to keep a user out, disable them first, with\n" +
			"`countersign user set USER --disable`, or in the directory.",
		Example: "  countersign session disconnect 17-3\n" +
			"  countersign session disconnect --user alice --yes\n" +
			"  countersign session disconnect --nas vpn --serial 00040008CFA5",
		RunE: func(c *cobra.Command, args []string) error {
			if err := f.verify(c, args); err != nil {
				return err
			}
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				if len(args) == 0 {
					var err error
					if args, err = a.chooseSessions(ctx, client, &f); err != nil {
						return err
					}
				}
				return a.disconnect(ctx, client, args)
			})
		},
	}
	f.add(a, c)
	c.Flags().BoolVar(&f.yes, "yes", false, "do not ask whether these are the right ones")
	return a.jsonFlag(c)
}

// verify finds out whether it is clear which sessions are meant.
func (f *disconnectFlags) verify(c *cobra.Command, args []string) error {
	chosen := slices.ContainsFunc(choices, c.Flags().Changed)
	switch {
	case chosen && len(args) > 0:
		return fmt.Errorf("either sessions by name, or flags that choose them")
	case !chosen && len(args) == 0:
		return fmt.Errorf("which sessions? Name them, as `countersign session list` shows them, or choose them with --user, --nas or another flag")
	case chosen && slices.ContainsFunc(choices, func(name string) bool { return c.Flags().Changed(name) && c.Flag(name).Value.String() == "" }):
		return fmt.Errorf("a flag that chooses sessions is empty, and would choose all: give it a value, or leave it out")
	}
	return f.read()
}

// chooseSessions lists what the flags choose, and asks whether these are the right ones.
func (a *app) chooseSessions(ctx context.Context, client *console.Client, f *disconnectFlags) ([]string, error) {
	f.States = living
	asks := !f.yes
	var ids []string
	t := a.sessionTable()
	err := client.Sessions(ctx, f.Filter, func(v console.SessionView) error {
		ids = append(ids, v.ID.String())
		if a.json {
			return nil
		}
		return t.add(v, a.sessionCells(&v)...)
	})
	if !a.json && len(ids) > 0 {
		err = t.end(err)
	}
	switch {
	case err != nil:
		return nil, err
	case len(ids) == 0:
		a.say("there is no such session")
		return nil, nil
	case asks && (a.json || !term.IsTerminal(int(a.in.Fd()))):
		return nil, fmt.Errorf("%s would be disconnected: say --yes if that is right", counted(len(ids), "session"))
	case asks && !a.confirm(fmt.Sprintf("Disconnect %s? [y/N] ", counted(len(ids), "session"))):
		return nil, fmt.Errorf("nothing was disconnected")
	}
	return ids, nil
}

// confirm asks a question at the terminal.
func (a *app) confirm(question string) bool {
	fmt.Fprint(a.err, question)
	if a.lines == nil {
		a.lines = bufio.NewReader(a.in)
	}
	answer, _ := a.lines.ReadString('\n')
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer)))
}

// disconnect has sessions ended, one after the other. A gateway that was silent about one
// is not asked about others.
func (a *app) disconnect(ctx context.Context, client *console.Client, ids []string) error {
	silent := map[string]bool{}
	var errs []error
	for _, id := range ids {
		if err := a.disconnectOne(ctx, client, id, silent); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (a *app) disconnectOne(ctx context.Context, client *console.Client, id string, silent map[string]bool) error {
	if len(silent) > 0 {
		v, err := client.Session(ctx, id)
		if err != nil {
			return err
		}
		if silent[v.Source] {
			return fmt.Errorf("session %s of %s at %s: the gateway was not asked, because it was silent about another one", id, printable(v.User), printable(v.NAS))
		}
	}
	d, err := client.DisconnectSession(ctx, id)
	if err != nil {
		return err
	}
	if err := a.result(d); err != nil {
		return err
	}
	of := fmt.Sprintf("session %s of %s at %s", d.Session, printable(d.User), printable(d.NAS))
	switch d.Answer {
	case tms.DisconnectDone:
		a.say("%s: the gateway has ended it", of)
		return nil
	case tms.DisconnectSilence:
		silent[d.Address] = true
		problem, _ := remedied(errors.New(d.Text), "")
		return fmt.Errorf("%s: %s; does the gateway take Disconnect-Requests from this server (CoA, DAS, dynamic authorization), with the shared secret of its [[nas]], at the port that disconnect_port there names, and does a firewall let them through?", of, printable(problem))
	}
	if d.Cause == sessionUnknown {
		a.say("%s: the gateway does not know it any more, and it has ended here too", of)
		return nil
	}
	return fmt.Errorf("%s: the gateway has not ended it: %s: %s", of, printable(d.Text), refusalRemedy(d.Cause))
}

// sessionUnknown is the Error-Cause of a gateway that knows no such session.
const sessionUnknown = 503

// refusalRemedies are what to do about a Disconnect-NAK, by its Error-Cause (RFC 5176
// section 3.5).
var refusalRemedies = map[uint32]string{
	401: "it does not know an attribute of the request: its log may tell which",
	402: "it needs an attribute that its accounting does not have: its log may tell which",
	403: "it does not know itself by the name or address in the request, which are those of its accounting",
	405: "it ends no sessions of this kind",
	406: "it takes Disconnect-Requests for some sessions only",
	501: "allow this server to send Disconnect-Requests in its settings (CoA, DAS, dynamic authorization)",
	504: "it knows the session and cannot end it: end it there",
	506: "it has too much to do: try again",
	507: "it is doing it: see in a moment with `countersign session list`",
	508: "it wants one session only: its accounting does not tell enough to name it",
}

func refusalRemedy(cause uint32) string {
	if remedy := refusalRemedies[cause]; remedy != "" {
		return remedy
	}
	return "its log may tell why"
}
