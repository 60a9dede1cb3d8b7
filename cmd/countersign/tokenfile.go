package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/seedfile"
)

// importFlags say how a seed file is imported.
type importFlags struct {
	tms.TokenImport
	format       string
	mac          string
	password     bool
	psk          bool
	noPIN        bool
	assignColumn string
	hexSecrets   bool
}

// macPolicies are the words of --mac.
var macPolicies = map[string]seedfile.MACPolicy{"hard": seedfile.MACHard, "soft": seedfile.MACSoft, "none": seedfile.MACNone}

func (a *app) tokenImportCommand() *cobra.Command {
	var f importFlags
	c := &cobra.Command{
		Use: "import FILE", Short: "Import the tokens of a seed file", Args: cobra.ExactArgs(1),
		Long: "Import the tokens of a seed file of a maker or of another server; - is standard input. The format is found out by content.\n" +
			"\n" +
			"A token that is there already keeps its owner, OTP PIN, drift, whether it is disabled, and a counter that is further on; the\n" +
			"rest becomes what the file says. A token that was used and comes with another seed needs two codes in a row once, if it is\n" +
			"an event token. A user whom the file gives a token must be there, or --add-users --no-pin adds them: then the code alone is\n" +
			"their passcode, until `countersign user set` gives them an OTP PIN.\n" +
			"\n" +
			"It is all or nothing: when one token cannot be imported, none is, and the exit status is 1. With --keep-going the others are\n" +
			"imported, what was skipped is told, and the exit status is 0; of a file that cannot be read to its end nothing is. Up to 10000\n" +
			"tokens are written at once. Of a larger file every token is checked first, and then they are written a thousand at a time,\n" +
			"while logins go on: when the server is killed in between, those written stay, and importing the file again completes it.\n" +
			"\n" +
			"The file holds seeds: keep it safe, and remove it afterwards.",
		Example: "  countersign token import TokenSeed.xml --password-stdin < PSCKPassword.txt\n" +
			"  countersign token import export.csv --format oath-csv --dry-run\n" +
			"  countersign token import users.csv --assign-column upn --add-users --no-pin",
		RunE: func(_ *cobra.Command, args []string) error { return a.importTokens(args[0], &f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.format, "format", string(seedfile.Auto), "auto, or one `format` of: "+strings.Join(formatNames()[1:], ", "))
	flags.BoolVar(&f.password, "password-stdin", false, "read the password of an encrypted file from standard input or ask for it")
	flags.BoolVar(&f.psk, "psk-stdin", false, "read the pre-shared key of an encrypted file, in hex, from standard input or ask for it")
	flags.StringVar(&f.assignColumn, "assign-column", "", "CSV: `column` that has the user, by name or number")
	flags.BoolVar(&f.DryRun, "dry-run", false, "read and check everything, write nothing")
	flags.BoolVar(&f.KeepGoing, "keep-going", false, "skip what cannot be imported")
	flags.BoolVar(&f.hexSecrets, "hex-secrets", false, "entra-csv: secrets are hexadecimal, not base32")
	flags.StringVar(&f.mac, "mac", "hard", "PSKC, when the MAC of a value is wrong: hard (nothing is imported), soft (that token is not), none (it does not matter)")
	flags.BoolVar(&f.AddUsers, "add-users", false, "add users of the file who are not there")
	flags.BoolVar(&f.noPIN, "no-pin", false, "users who are added have no OTP PIN: the code alone is the passcode")
	c.MarkFlagsMutuallyExclusive("password-stdin", "psk-stdin")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("mac", cobra.FixedCompletions([]string{"hard", "soft", "none"}, cobra.ShellCompDirectiveNoFileComp))
	return a.jsonFlag(c)
}

func formatNames() []string {
	names := make([]string, len(seedfile.Formats))
	for i, format := range seedfile.Formats {
		names[i] = string(format)
	}
	return names
}

func (a *app) importTokens(path string, f *importFlags) error {
	options, err := f.options(a, path)
	if err != nil {
		return err
	}
	file, err := a.openSeedFile(path)
	if err != nil {
		return err
	}
	defer file.Close()
	f.File = filepath.Base(path)
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		return (&seedImport{app: a, client: client, file: file, how: f.TokenImport, options: options}).run(ctx)
	})
}

// options are how the file is to be read, with the secret that opens it.
func (f *importFlags) options(a *app, path string) (seedfile.Options, error) {
	o := seedfile.Options{Format: seedfile.Format(f.format), AssignColumn: f.assignColumn, HexSecrets: f.hexSecrets}
	var known bool
	if o.MAC, known = macPolicies[f.mac]; !known {
		return o, fmt.Errorf("--mac %q: choose hard, soft or none", f.mac)
	}
	switch {
	case f.AddUsers && !f.noPIN:
		return o, errors.New("--add-users goes together with --no-pin: users who are added have no OTP PIN, and the code alone is their passcode")
	case f.noPIN && !f.AddUsers:
		return o, errors.New("--no-pin goes together with --add-users: it is about the users who are added")
	case (f.password || f.psk) && path == "-":
		return o, errors.New("standard input has the file already: name the file, and give the password or key there")
	case f.password:
		password, err := a.secret("Password of the seed file: ")
		o.Password = seedfile.NewSecret([]byte(password))
		return o, err
	case f.psk:
		key, err := a.secret("Pre-shared key of the seed file in hex: ")
		if err != nil {
			return o, err
		}
		o.PSK, err = seedfile.ParsePSK(key)
		return o, err
	}
	return o, nil
}

// openSeedFile opens a file that can be read twice. What comes through a pipe goes into
// a file without a name first.
func (a *app) openSeedFile(path string) (*os.File, error) {
	file := a.in
	if path != "-" {
		var err error
		if file, err = os.Open(path); err != nil {
			return nil, fmt.Errorf("opening the seed file: %w", err)
		}
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return file, nil
		}
		defer file.Close()
	}
	spool, err := os.CreateTemp("", "countersign-seeds-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("keeping the seed file for its second reading: %w", err)
	}
	err = os.Remove(spool.Name())
	if err == nil {
		_, err = io.Copy(spool, file)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("keeping the seed file for its second reading: %w", err), spool.Close())
	}
	return spool, nil
}

func (a *app) tokenExportCommand() *cobra.Command {
	var format, user string
	password := false
	c := &cobra.Command{
		Use: "export FILE", Short: "Write tokens into a new seed file", Args: cobra.ExactArgs(1),
		Long: "Write tokens into a new seed file; - is standard output. As pskc (RFC 6030) the seeds are in it, encrypted under a password of 8\n" +
			"characters or more; as csv they are not. Who has file and password has the tokens: give the password another way than the file.\n" +
			"\n" +
			"A pskc file says the counter of an event token, but not which codes of a clock token were used last: where tokens move to another\n" +
			"server, stop this one first, and import a minute later. OTP PINs, lists of codes, and tokens that are disabled are not\n" +
			"in the file.",
		Example: "  countersign token export tokens.pskc --password-stdin\n" +
			"  countersign token export - --format csv --user alice",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.exportTokens(args[0], tms.TokenExport{Format: format, User: otp.UserName(user)}, password)
		},
	}
	c.Flags().StringVar(&format, "format", console.ExportPSKC, "pskc, or csv: without seeds")
	c.Flags().BoolVar(&password, "password-stdin", false, "pskc: read the password from standard input or ask for it")
	c.Flags().StringVar(&user, "user", "", "only this `user`'s")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions([]string{console.ExportPSKC, console.ExportCSV}, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func (a *app) exportTokens(path string, e tms.TokenExport, ask bool) error {
	var password []byte
	switch {
	case e.Format == console.ExportCSV && ask:
		return errors.New("a csv file has no seeds and needs no password")
	case e.Format == console.ExportPSKC && !ask:
		return errors.New("seeds are never written in clear: give a password with --password-stdin, or list the tokens without seeds with --format csv")
	case ask:
		text, err := a.secret("Password for the seed file: ")
		if err != nil {
			return err
		}
		password = []byte(text)
	}
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		if path == "-" {
			_, err := client.ExportTokens(ctx, e, password, a.out)
			return err
		}
		count, err := writeExport(ctx, client, e, password, path)
		if err == nil {
			a.say("%s written to %s", counted(count, "token"), path)
		}
		return err
	})
}

// writeExport receives a seed file into a file that must not exist. Broken off, it
// leaves none.
func writeExport(ctx context.Context, client *console.Client, e tms.TokenExport, password []byte, path string) (count int, err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, fmt.Errorf("making the seed file: %w", err)
	}
	defer func() {
		if err = errors.Join(err, f.Close()); err != nil {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	if count, err = client.ExportTokens(ctx, e, password, f); err != nil {
		return 0, err
	}
	return count, f.Sync()
}
