package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/safenet/bsidca"
)

// sasFlags say which service, as whom, and what of it.
type sasFlags struct {
	bsidca.Options
	operator, organization, caFile string
}

func (a *app) sasCommand() *cobra.Command {
	var f sasFlags
	c := group("sas", "Look into SafeNet Authentication Service", a.sasUsersCommand(&f), a.sasTokensCommand(&f), a.sasActivateCommand(&f))
	c.Long = "Look into SafeNet Authentication Service or SafeNet Trusted Access by its management service BSIDCA: which users and tokens an\n" +
		"organization has there, and which of the tokens are here already. Seeds it does not give away.\n" +
		"\n" +
		"The operator is named by e-mail address. The OTP (or the password) is asked for, or read from standard input. An organization is\n" +
		"named in full, as the service's console shows it."
	return c
}

// add adds the flags to a command.
func (f *sasFlags) add(c *cobra.Command) *cobra.Command {
	flags := c.Flags()
	flags.StringVar(&f.URL, "url", "", "`URL` of the service, such as https://cloud.eu.safenetid.com/bsidca/BSIDCA.asmx")
	flags.StringVar(&f.operator, "operator", "", "`e-mail` address of the operator")
	flags.StringVar(&f.organization, "organization", "", "`name` of the organization (account)")
	flags.StringVar(&f.caFile, "ca-file", "", "`file` (PEM) with the CA of the service's certificate, when the system does not know it")
	for _, name := range []string{"url", "operator", "organization"} {
		_ = c.MarkFlagRequired(name)
	}
	_ = c.MarkFlagFilename("ca-file")
	c.PreRunE = refuseEmpty
	return c
}

// refuseEmpty refuses names that were given and are none. That they are given is for
// cobra to see, later.
func refuseEmpty(c *cobra.Command, _ []string) error {
	for name, remedy := range map[string]string{
		"operator":     "give the operator's e-mail address",
		"organization": "name it in full, as the service's console shows it",
	} {
		if flag := c.Flags().Lookup(name); flag.Changed && strings.TrimSpace(flag.Value.String()) == "" {
			return fmt.Errorf("--%s is empty: %s", name, remedy)
		}
	}
	return nil
}

func (a *app) sasUsersCommand(f *sasFlags) *cobra.Command {
	return a.jsonFlag(f.add(&cobra.Command{
		Use: "users", Short: "List the users of an organization", Args: cobra.NoArgs,
		Example: "  countersign sas users --url https://cloud.eu.safenetid.com/bsidca/BSIDCA.asmx --operator ops@example.org --organization Example",
		RunE: func(*cobra.Command, []string) error {
			return a.operating(f, func(ctx context.Context, service *bsidca.Client) error {
				t := a.newTable("USER", "FIRST NAME", "LAST NAME", "MAIL")
				return t.end(service.Users(ctx, f.organization, func(u bsidca.User) error {
					return t.add(u, printable(u.Name), printable(u.FirstName), printable(u.LastName), printable(u.Mail))
				}))
			})
		},
	}))
}

func (a *app) sasTokensCommand(f *sasFlags) *cobra.Command {
	match := false
	c := &cobra.Command{
		Use: "tokens", Short: "List the tokens of an organization, and which of them are here", Args: cobra.NoArgs,
		Long: "List the tokens of an organization with who owns them there. With --match each is looked for by its serial among the tokens here:\n" +
			"it tells whether it is here and whom it is assigned to, and at the end how many are missing. Import those from the seed file\n" +
			"of their maker (countersign token import).",
		Example: "  countersign sas tokens --match --url https://cloud.eu.safenetid.com/bsidca/BSIDCA.asmx --operator ops@example.org --organization Example",
		RunE: func(*cobra.Command, []string) error {
			return a.operating(f, func(ctx context.Context, service *bsidca.Client) error {
				if match {
					return a.matchTokens(ctx, service, f.organization)
				}
				t := a.newTable("SERIAL", "TYPE", "STATE", "OWNER")
				return t.end(service.Tokens(ctx, f.organization, func(k bsidca.Token) error { return t.add(k, sasTokenCells(&k)...) }))
			})
		},
	}
	c.Flags().BoolVar(&match, "match", false, "compare them with the tokens here")
	return a.jsonFlag(f.add(c))
}

func sasTokenCells(k *bsidca.Token) []string {
	return []string{printable(k.Serial), printable(k.Type), printable(k.State), printable(k.Owner)}
}

// operating is a command's run function with a session of the operator.
func (a *app) operating(f *sasFlags, run func(context.Context, *bsidca.Client) error) error {
	ctx := context.Background()
	if err := f.readCA(); err != nil {
		return err
	}
	service, err := bsidca.New(f.Options)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	defer service.Close()
	if err := a.connectOperator(ctx, service, f.operator); err != nil {
		if errors.As(err, new(x509.UnknownAuthorityError)) {
			return fmt.Errorf("%w: name the CA's certificate with --ca-file", err)
		}
		return err
	}
	return run(ctx, service)
}

// readCA reads the file of --ca-file.
func (f *sasFlags) readCA() error {
	if f.caFile == "" {
		return nil
	}
	pem, err := os.ReadFile(f.caFile)
	if err != nil {
		return fmt.Errorf("--ca-file: %w", err)
	}
	if f.CAs = x509.NewCertPool(); !f.CAs.AppendCertsFromPEM(pem) {
		return fmt.Errorf("--ca-file %s has no certificate: it must be PEM", f.caFile)
	}
	return nil
}

// given asks for a secret that has to be given. What it is an error says.
func (a *app) given(what, prompt string) (string, error) {
	text, err := a.secret(prompt)
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "", fmt.Errorf("no %s was given, and so nothing more was sent: standard input ended before the line for %q", what, strings.TrimSpace(prompt))
	case err != nil:
		return "", err
	case text == "":
		return "", fmt.Errorf("the %s is empty, and so nothing more was sent", what)
	}
	return text, nil
}

// connectTries is how often an operator is asked for something until there is a session.
const connectTries = 3

// connectOperator begins a session. The service may demand another OTP, or the answer to a
// challenge.
func (a *app) connectOperator(ctx context.Context, service *bsidca.Client, operator string) error {
	prompt := fmt.Sprintf("OTP of %s: ", printable(operator))
	for try := 1; ; try++ {
		otp, err := a.given("OTP", prompt)
		if err != nil {
			return err
		}
		err = service.Connect(ctx, operator, bsidca.NewSecret(otp))
		refused := (*bsidca.RefusedError)(nil)
		if !errors.As(err, &refused) || try == connectTries {
			return err
		}
		switch refused.Outcome {
		case bsidca.NextOTP:
			prompt = "It is out of step. The next OTP: "
		case bsidca.Challenged:
			prompt = fmt.Sprintf("Challenge %s. Answer: ", printable(refused.Challenge.Reveal()))
		default:
			a.tellNewPIN(refused)
			return err
		}
	}
}

// tellNewPIN tells the operator the PIN that the service has just set. Nobody else knows
// it, and it cannot be had again.
func (a *app) tellNewPIN(refused *bsidca.RefusedError) {
	if refused.Outcome == bsidca.PINProvided {
		fmt.Fprintf(a.err, "The service has set a new PIN for you, which is shown just once: %s\n", printable(refused.Challenge.Reveal()))
	}
}

// matchedToken is a token of the service, and what is here of it.
type matchedToken struct {
	bsidca.Token
	Here bool         `json:"here"`
	User otp.UserName `json:"user,omitempty"` // who has it here
}

// matchTokens lists the tokens of an organization beside those here.
func (a *app) matchTokens(ctx context.Context, service *bsidca.Client, organization string) error {
	return a.connected(func(_ context.Context, client *console.Client, _ *conf.Config) error {
		holders := map[otp.Serial]otp.UserName{}
		err := client.Tokens(ctx, tms.Filter{}, func(v tms.TokenView) error { holders[v.Serial] = v.User; return nil })
		if err != nil {
			return err
		}
		var sum matchSum
		t := a.newTable("SERIAL", "TYPE", "STATE", "OWNER", "HERE", "USER HERE")
		err = t.end(service.Tokens(ctx, organization, func(k bsidca.Token) error {
			m := matchedToken{Token: k}
			if serial, err := otp.ParseSerial(k.Serial); err == nil {
				m.User, m.Here = holders[serial]
			}
			sum.add(&m)
			return t.add(m, append(sasTokenCells(&k), yes(m.Here), printable(string(m.User)))...)
		}))
		if err != nil {
			return err
		}
		a.say("%s there: %d here, %d of them assigned, %d to a user of another name than there; %d not here",
			counted(sum.all, "token"), sum.here, sum.assigned, sum.others, sum.all-sum.here)
		return nil
	})
}

// matchSum counts matched tokens.
type matchSum struct{ all, here, assigned, others int }

func (s *matchSum) add(m *matchedToken) {
	s.all++
	if m.Here {
		s.here++
	}
	if m.User == "" {
		return
	}
	s.assigned++
	if owner, err := otp.ParseUserName(m.Owner); m.Owner != "" && (err != nil || owner != m.User) {
		s.others++
	}
}

func (a *app) sasActivateCommand(f *sasFlags) *cobra.Command {
	ask := bsidca.ActivateRequest{}
	newPIN := false
	c := &cobra.Command{
		Use: "activate SERIAL", Short: "End the suspension of a token of an organization", Args: oneSerial,
		Long: "End the suspension of a token there; here nothing changes. With --new-pin-stdin it gets a new PIN. Then two lines are read from\n" +
			"standard input, or asked for: first the token's new PIN, then the operator's OTP. The exit status is 0 when all of it was done.",
		Example: "  countersign sas activate 3000001 --url https://cloud.eu.safenetid.com/bsidca/BSIDCA.asmx --operator ops@example.org --organization Example",
		RunE: func(_ *cobra.Command, args []string) error {
			ask.Serial, ask.Organization = args[0], f.organization
			if newPIN {
				pin, err := a.given("new PIN", "New PIN of the token: ")
				if err != nil {
					return err
				}
				ask.NewPIN = bsidca.NewSecret(pin)
			}
			return a.operating(f, func(ctx context.Context, service *bsidca.Client) error { return a.activateThere(ctx, service, ask) })
		},
	}
	c.Flags().BoolVar(&newPIN, "new-pin-stdin", false, "give the token a new PIN: read it from standard input, or ask for it, on the line before the OTP")
	c.Flags().BoolVar(&ask.ChangePIN, "change-pin", false, "the owner has to change the PIN at the next login")
	return a.jsonFlag(f.add(c))
}

// oneSerial takes one argument, the serial of a token there.
func oneSerial(c *cobra.Command, args []string) error {
	example := c.CommandPath() + " 3000001"
	switch {
	case len(args) == 0 || args[0] == "":
		return fmt.Errorf("no token was named: give its serial, as in `%s`", example)
	case len(args) > 1:
		return fmt.Errorf("%d serials were given: name one token, as in `%s`", len(args), example)
	}
	return nil
}

func (a *app) activateThere(ctx context.Context, service *bsidca.Client, ask bsidca.ActivateRequest) error {
	became, err := service.Activate(ctx, ask)
	if err != nil {
		return err
	}
	if err := a.result(struct {
		Serial string            `json:"serial"`
		Result bsidca.Activation `json:"result"`
	}{ask.Serial, became}); err != nil {
		return err
	}
	if !became.Succeeded() {
		return fmt.Errorf("token %s: %s (%s)", ask.Serial, became.Meaning(), became)
	}
	a.say("token %s: %s", ask.Serial, became.Meaning())
	return nil
}
