package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"countersign/conf"
)

const defaultConfig = "/etc/countersign/countersign.toml"

// app is what all commands share.
type app struct {
	in       *os.File
	out, err io.Writer
	clock    func() time.Time
	rand     io.Reader

	config string                   // --config
	json   bool                     // --json, of listings
	lines  *bufio.Reader            // over in, made when first asked for
	shown  *progressbar.ProgressBar // of the act that is under way
}

// root is the tree of commands. Completion for bash, zsh, fish and PowerShell
// comes with cobra.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "countersign",
		Short: "RADIUS server for one-time passwords",
		Long: "Countersign answers RADIUS logins whose password is the user's OTP PIN followed by the eToken.\n" +
			"To try it: countersign quickstart",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&a.config, "config", defaultConfig, "configuration `file`")
	_ = root.MarkPersistentFlagFilename("config", "toml")
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.AddCommand(
		a.serveCommand(), a.quickstartCommand(), a.checkCommand(), a.userCommand(), a.tokenCommand(), a.invitationCommand(), a.mailCommand(),
		a.excludeCommand(), a.explainCommand(), a.migrateCommand(), a.tmsCommand(), a.sasCommand(), a.sessionCommand(), a.nasCommand(), a.collectorCommand(), a.eventCommand(), a.watchCommand(), a.auditCommand(), a.loginCommand(), a.backupCommand(), a.restoreCommand(), a.storeCommand(), a.clusterCommand(), a.keyCommand(), a.versionCommand(), sizingTopic(),
	)
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		onlyCommands(completion)
	}
	return root
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Run: func(*cobra.Command, []string) {
			goVersion := "unknown Go"
			if info, ok := debug.ReadBuildInfo(); ok {
				goVersion = info.GoVersion
			}
			fmt.Fprintf(a.out, "countersign %s (%s)\n", version, goVersion)
		},
	}
}

// load reads the configuration. Its faults are printed one a line.
func (a *app) load() (*conf.Config, error) {
	cfg, err := conf.Load(a.config, checkRules, checkOrders, checkLimits, checkSettings, checkEnrolment)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration %s: name yours with --config, or try `countersign quickstart`", a.config)
	}
	return cfg, err
}

// secret reads one line that must not be shown: from the terminal without echo,
// or from a pipe.
func (a *app) secret(prompt string) (string, error) {
	if term.IsTerminal(int(a.in.Fd())) {
		fmt.Fprint(a.err, prompt)
		text, err := term.ReadPassword(int(a.in.Fd()))
		fmt.Fprintln(a.err)
		return string(text), err
	}
	if a.lines == nil {
		a.lines = bufio.NewReader(a.in)
	}
	text, err := a.lines.ReadString('\n')
	if err != nil && text == "" {
		return "", fmt.Errorf("reading standard input for %q: %w", strings.TrimSpace(prompt), io.ErrUnexpectedEOF)
	}
	return strings.TrimRight(text, "\r\n"), nil
}
