package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// app is what all commands share.
type app struct {
	in       *os.File
	out, err io.Writer
	clock    func() time.Time
	sleep    func(context.Context, time.Duration) error
	rand     io.Reader
	copy     func(text string) error // to the clipboard
	hardness hardness                // of a new store

	store string        // --store
	json  bool          // --json
	lines *bufio.Reader // over in, made when first asked for
}

// root is the tree of commands. Completion for bash, zsh, fish and PowerShell comes
// with cobra.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "etoken",
		Short: "Shows the one-time codes that you log in with",
		Long: "etoken shows one-time codes: type them behind your OTP PIN where a login asks for OTP PIN and eToken.\n\n" +
			"The tokens are on this computer only, encrypted under an Application PIN that you choose. What etoken asks\n" +
			"for it reads from the terminal without showing it; without a terminal, one line each from standard input.",
		Example: "  etoken activate --server https://otp.example.com:8443\n" +
			"  etoken generate",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&a.store, "store", "", "`file` of the tokens (usual: $ETOKEN_STORE, or etoken/tokens in your configuration folder)")
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddCommand(a.activateCommand(), a.generateCommand(), a.listCommand(), a.renameCommand(), a.removeCommand(), a.importCommand(),
		a.mobilePASSCommand(), a.pinCommand(), a.versionCommand())
	onlyCommands(root)
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		onlyCommands(completion)
	}
	return root
}

// onlyCommands has a command refuse words that are none of its commands, where cobra
// would show its help and say that all went well.
func onlyCommands(g *cobra.Command) {
	g.SuggestionsMinimumDistance = 2
	g.DisableFlagsInUseLine = true
	g.Args = func(c *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		if near := c.SuggestionsFor(args[0]); len(near) > 0 {
			return fmt.Errorf("unknown command %q: did you mean %s?", args[0], strings.Join(near, " or "))
		}
		return fmt.Errorf("unknown command %q: see `%s --help`", args[0], c.CommandPath())
	}
	g.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		Run: func(*cobra.Command, []string) {
			goVersion := "unknown Go"
			if info, ok := debug.ReadBuildInfo(); ok {
				goVersion = info.GoVersion
			}
			fmt.Fprintf(a.out, "etoken %s (%s)\n", version, goVersion)
		},
	}
}

// jsonFlag adds --json to a command.
func (a *app) jsonFlag(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON, one object a line")
	return c
}
