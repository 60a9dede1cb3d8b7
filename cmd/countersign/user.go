package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

func (a *app) userCommand() *cobra.Command {
	return group("user", "Add, list and change users",
		a.userAddCommand(), a.userListCommand(), a.userShowCommand(), a.userSetCommand(), a.userRemoveCommand(), a.userImportCommand())
}

// pinFlags are the ways to give a PIN.
type pinFlags struct {
	pin   string
	stdin bool
	none  bool
}

func (f *pinFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.pin, "pin", "", "OTP `PIN`; other users of this machine can see it while the command runs")
	c.Flags().BoolVar(&f.stdin, "pin-stdin", false, "read the OTP PIN from standard input or ask for it")
	c.Flags().BoolVar(&f.none, "no-pin", false, "no PIN: the code alone is the passcode")
	c.MarkFlagsMutuallyExclusive("pin", "pin-stdin", "no-pin")
}

// read is the PIN that was given, the zero PIN when none was.
func (f *pinFlags) read(a *app) (otp.PIN, error) {
	if !f.stdin {
		return otp.NewPIN([]byte(f.pin)), nil
	}
	pin, err := a.secret("OTP PIN: ")
	return otp.NewPIN([]byte(pin)), err
}

func (a *app) userAddCommand() *cobra.Command {
	var pin pinFlags
	c := &cobra.Command{
		Use: "add USER", Short: "Add a user", Args: cobra.ExactArgs(1),
		Example: "  countersign user add alice --pin-stdin",
		RunE: func(_ *cobra.Command, args []string) error {
			value, err := pin.read(a)
			if err != nil {
				return err
			}
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				u, err := client.AddUser(ctx, tms.NewUser{Name: args[0], PIN: value, NoPIN: pin.none})
				if err != nil {
					return err
				}
				a.say("user %s added; give a token with `countersign token add --user %s`", u.Name, u.Name)
				return a.result(u)
			})
		},
	}
	pin.add(c)
	return a.jsonFlag(c)
}

func (a *app) userSetCommand() *cobra.Command {
	var pin pinFlags
	var enable, disable bool
	c := &cobra.Command{
		Use: "set USER", Short: "Change a user's PIN, disable or enable a user", Args: cobra.ExactArgs(1),
		Long: "Change a user's PIN, disable or enable a user.\n" +
			"\n" +
			"With learn = true in [tms] a PIN of who holds learned tokens alone does not stay as long as the TMS is asked about them: there\n" +
			"it is another one, and the next login that the TMS accepts brings that back. Change it at the TMS, or have the tokens here\n" +
			"decide first, with `countersign migrate cutover --user USER`.",
		RunE: func(_ *cobra.Command, args []string) error {
			change := tms.UserChange{Name: args[0], NoPIN: pin.none}
			var err error
			if change.PIN, err = pin.read(a); err != nil {
				return err
			}
			if enable || disable {
				change.Disabled = &disable
			}
			if change.PIN.IsZero() && !change.NoPIN && change.Disabled == nil {
				return fmt.Errorf("nothing to set: give --pin-stdin, --no-pin, --disable or --enable")
			}
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				u, err := client.SetUser(ctx, change)
				if err != nil {
					return err
				}
				a.say("user %s changed", u.Name)
				return a.result(u)
			})
		},
	}
	pin.add(c)
	c.Flags().BoolVar(&disable, "disable", false, "refuse the user's logins")
	c.Flags().BoolVar(&enable, "enable", false, "accept the user's logins again")
	c.MarkFlagsMutuallyExclusive("disable", "enable")
	return a.jsonFlag(c)
}

func (a *app) userListCommand() *cobra.Command {
	var f tms.Filter
	c := &cobra.Command{
		Use: "list", Short: "List the users here and those of the directories", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.listUsers(f) },
	}
	c.Flags().IntVar(&f.Limit, "limit", 0, "at most so many; 0: all")
	c.Flags().StringVar(&f.Source, "source", "", "only those of a `directory` by its name, or local: without asking a directory")
	_ = c.RegisterFlagCompletionFunc("source", cobra.FixedCompletions([]string{tms.Local}, cobra.ShellCompDirectiveNoFileComp))
	return a.jsonFlag(c)
}

func (a *app) userShowCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "show USER", Short: "Show a user", Args: oneName,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.listUsers(tms.Filter{User: otp.UserName(args[0])})
		},
	})
}

func (a *app) listUsers(f tms.Filter) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		t := a.newTable("USER", "PIN", "DISABLED", "CREATED", "TOKENS", "SOURCE", "MAIL")
		return t.end(client.Users(ctx, f, func(u tms.UserView) error { return t.add(u, userCells(u)...) }))
	})
}

func userCells(u tms.UserView) []string {
	tokens := make([]string, len(u.Tokens))
	for i, serial := range u.Tokens {
		tokens[i] = string(serial)
	}
	disabled := yes(u.Disabled)
	if u.DirectoryDisabled {
		disabled = map[bool]string{true: "yes, and in directory", false: "in directory"}[u.Disabled]
	}
	return []string{
		printable(string(u.Name)), yes(u.PIN), disabled, date(u.Created), strings.Join(tokens, " "),
		strings.Join(u.Sources, " "), printable(u.Mail),
	}
}

func (a *app) userRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use: "remove USER", Short: "Remove a user; the tokens stay, assigned to nobody", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				if err := client.RemoveUser(ctx, args[0]); err != nil {
					return err
				}
				a.say("user %s removed", args[0])
				return nil
			})
		},
	}
}

func (a *app) userImportCommand() *cobra.Command {
	noPIN := false
	c := &cobra.Command{
		Use: "import FILE", Short: "Add users with a token each from a CSV file", Args: cobra.ExactArgs(1),
		Long: "Add users with a token each from a CSV file; - is standard input. The first line names the columns, in any order, out of\n\n  " +
			strings.Join(tms.ImportColumns, ",") +
			"\n\nOnly user is required, and pin unless --no-pin is said. A row without anything of a token makes a user without one.\nThe file holds seeds: keep it safe, and remove it afterwards.",
		RunE: func(_ *cobra.Command, args []string) error {
			file := a.in
			if args[0] != "-" {
				var err error
				if file, err = os.Open(args[0]); err != nil {
					return fmt.Errorf("opening the import file: %w", err)
				}
				defer file.Close()
			}
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				n, err := client.Import(ctx, a.meter(file), noPIN)
				if err != nil {
					return err
				}
				a.say("%d users imported", n)
				return nil
			})
		},
	}
	c.Flags().BoolVar(&noPIN, "no-pin", false, "allow rows without a PIN: there the code alone is the passcode")
	return c
}

// meter shows how much of a file has been read.
func (a *app) meter(file *os.File) io.Reader {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return file
	}
	return &meter{Reader: file, app: a, total: info.Size()}
}

type meter struct {
	io.Reader
	app         *app
	done, total int64
	shown       int64
}

func (m *meter) Read(b []byte) (int, error) {
	n, err := m.Reader.Read(b)
	m.done += int64(n)
	if m.done-m.shown > m.total/200 || m.done == m.total && m.shown != m.total {
		m.shown = m.done
		m.app.showProgress(console.Progress{Done: m.done, Total: m.total})
	}
	return n, err
}
