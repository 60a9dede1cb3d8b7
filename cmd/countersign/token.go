package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/enrol"
)

// issuer is the name that authenticator apps show beside the code.
const issuer = "Countersign"

func (a *app) tokenCommand() *cobra.Command {
	return group("token", "Add, list and change tokens",
		a.tokenAddCommand(), a.tokenListCommand(), a.tokenShowCommand(), a.tokenAssignCommand(), a.tokenResyncCommand(),
		a.tokenActCommand("enable", "enabled", "Accept a token's codes again"),
		a.tokenActCommand("disable", "disabled", "Refuse a token's codes"),
		a.tokenActCommand("unlock", "unlocked", "End a token's lock and forget its failures"),
		a.tokenActCommand("remove", "removed", "Remove a token for good"))
}

// tokenFlags describe a new token.
type tokenFlags struct {
	tms.NewToken
	seedHex    string
	seedStdin  bool
	activation bool
	policy     string
}

func (a *app) tokenAddCommand() *cobra.Command {
	var f tokenFlags
	c := &cobra.Command{
		Use: "add", Short: "Add a token and show its QR code", Args: cobra.NoArgs,
		Long: "Add a token. Without a seed one is made up, and its QR code and otpauth URI are shown, once: who sees them has the token.",
		Example: "  countersign token add --user alice\n" +
			"  countersign token add --user bob --type hotp --seed-stdin --counter 12 --serial 00040008CFA5\n" +
			"  countersign token add --user eve --type mobilepass --activation-code-stdin",
		RunE: func(*cobra.Command, []string) error { return a.addToken(&f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.User, "user", "", "`user` who gets it; nobody when left out")
	flags.StringVar(&f.Type, "type", "totp", "totp, hotp or mobilepass")
	flags.StringVar(&f.Serial, "serial", "", "`serial`; made up when left out")
	flags.StringVar(&f.seedHex, "seed-hex", "", "seed in `hex`; other users of this machine can see it while the command runs")
	flags.BoolVar(&f.seedStdin, "seed-stdin", false, "read the seed in hex from standard input or ask for it")
	flags.BoolVar(&f.activation, "activation-code-stdin", false, "mobilepass: read the activation code that the app shows")
	flags.StringVar(&f.policy, "policy", "", "mobilepass: the policy `string` of the activation")
	flags.StringVar(&f.Algorithm, "algorithm", "", "sha1, sha256 or sha512 (usual: sha1, mobilepass sha256)")
	flags.IntVar(&f.Digits, "digits", 6, "6 to 10")
	flags.IntVar(&f.Period, "period", 0, "totp: `seconds` a code lives (usual: 30)")
	flags.Int64Var(&f.T0, "t0", 0, "totp: Unix `time` the steps count from")
	flags.Uint64Var(&f.Counter, "counter", 0, "hotp, mobilepass: the first counter not used")
	c.MarkFlagsMutuallyExclusive("seed-hex", "seed-stdin", "activation-code-stdin")
	_ = c.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]string{"totp", "hotp", "mobilepass"}, cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("algorithm", cobra.FixedCompletions([]string{"sha1", "sha256", "sha512"}, cobra.ShellCompDirectiveNoFileComp))
	return a.jsonFlag(c)
}

func (a *app) addToken(f *tokenFlags) error {
	made, err := f.readSeed(a)
	if err != nil {
		return err
	}
	if made { // a token that nobody could be given must not be there
		if _, err := provision(&f.NewToken, tms.TokenView{Serial: "new"}); err != nil {
			return fmt.Errorf("%w: give its seed with --seed-stdin", err)
		}
	}
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		view, err := client.AddToken(ctx, f.NewToken)
		if err != nil {
			return err
		}
		shown := struct {
			tms.TokenView
			URI string `json:"uri,omitempty"`
		}{TokenView: view}
		a.say("token %s added", view.Serial)
		if made {
			p, err := provision(&f.NewToken, view)
			if err != nil {
				return err
			}
			shown.URI = p.URI()
			if err := a.showProvisioning(p); err != nil {
				return err
			}
		}
		return a.result(shown)
	})
}

// readSeed sets the seed that was given, or makes one up and says so.
func (f *tokenFlags) readSeed(a *app) (made bool, err error) {
	switch {
	case f.activation:
		text, err := a.secret("Activation code: ")
		if err != nil {
			return false, err
		}
		code, err := oath.ParseActivationCode(text)
		if err != nil {
			return false, err
		}
		f.Seed = code.Seed(f.policy)
	case f.seedStdin:
		if f.seedHex, err = a.secret("Seed in hex: "); err != nil {
			return false, err
		}
		f.Seed, err = oath.ParseSeedHex(f.seedHex)
	case f.seedHex != "":
		f.Seed, err = oath.ParseSeedHex(f.seedHex)
	case strings.EqualFold(f.Type, otp.MobilePASS.String()):
		return false, fmt.Errorf("a MobilePASS token's seed comes from the app: give --activation-code-stdin or --seed-stdin")
	default:
		f.Seed, err = a.newSeed()
		return true, err
	}
	return false, err
}

// newSeed makes a seed of 160 bits, as RFC 4226 section 4 recommends.
func (a *app) newSeed() (oath.Seed, error) {
	seed := make([]byte, 20)
	if _, err := io.ReadFull(a.rand, seed); err != nil {
		return oath.Seed{}, fmt.Errorf("making a seed: %w", err)
	}
	return oath.NewSeed(seed), nil
}

// provision is the provisioning of a token that was just added.
func provision(n *tms.NewToken, view tms.TokenView) (enrol.Provisioning, error) {
	token, err := n.Token()
	if err != nil {
		return enrol.Provisioning{}, err
	}
	token.Serial = view.Serial
	account := view.User
	if account == "" {
		account = otp.UserName(view.Serial)
	}
	return enrol.Provision(issuer, account, &token)
}

// showProvisioning prints QR code and URI.
func (a *app) showProvisioning(p enrol.Provisioning) error {
	if a.json {
		return nil
	}
	if err := p.WriteQR(a.out); err != nil {
		return err
	}
	a.say("%s", p.URI())
	return nil
}

func (a *app) tokenListCommand() *cobra.Command {
	var user string
	limit := 0
	c := &cobra.Command{
		Use: "list", Short: "List tokens", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			return a.listTokens(tms.Filter{User: otp.UserName(user), Limit: limit})
		},
	}
	c.Flags().StringVar(&user, "user", "", "only this `user`'s")
	c.Flags().IntVar(&limit, "limit", 0, "at most so many; 0: all")
	return a.jsonFlag(c)
}

func (a *app) tokenShowCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "show SERIAL", Short: "Show a token", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.listTokens(tms.Filter{Serial: otp.Serial(args[0])})
		},
	})
}

func (a *app) listTokens(f tms.Filter) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		t := a.newTable("SERIAL", "USER", "TYPE", "ALGORITHM", "DIGITS", "PERIOD", "COUNTER", "DRIFT", "FAILURES", "STATE")
		if err := client.Tokens(ctx, f, func(v tms.TokenView) error {
			period := ""
			if v.Period != 0 {
				period = strconv.Itoa(v.Period) + "s"
			}
			return t.add(v, string(v.Serial), string(v.User), v.Type, v.Algorithm, strconv.Itoa(v.Digits), period,
				strconv.FormatUint(v.Counter, 10), strconv.Itoa(v.Drift), strconv.Itoa(v.Failures), tokenState(v))
		}); err != nil {
			return err
		}
		return t.flush()
	})
}

// tokenState is whether a token's codes are taken, in words.
func tokenState(v tms.TokenView) string {
	switch {
	case v.Disabled:
		return "disabled"
	case v.LockedUntil != nil:
		return "locked until " + stamp(*v.LockedUntil)
	case v.MustResync:
		return "needs two codes (restored)"
	case v.User == "":
		return "in stock"
	}
	return "active"
}

func (a *app) tokenAssignCommand() *cobra.Command {
	var user string
	var nobody bool
	c := &cobra.Command{
		Use: "assign SERIAL", Short: "Give a token to a user, or take it back", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.tokenAct("assigned", func(ctx context.Context, client *console.Client) (tms.TokenView, error) {
				return client.AssignToken(ctx, args[0], user)
			})
		},
	}
	c.Flags().StringVar(&user, "user", "", "`user` who gets it")
	c.Flags().BoolVar(&nobody, "nobody", false, "take it back into stock")
	c.MarkFlagsOneRequired("user", "nobody")
	c.MarkFlagsMutuallyExclusive("user", "nobody")
	return a.jsonFlag(c)
}

func (a *app) tokenActCommand(act, done, short string) *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: act + " SERIAL", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.tokenAct(done, func(ctx context.Context, client *console.Client) (tms.TokenView, error) {
				v, err := client.ChangeToken(ctx, act, args[0])
				v.Serial = otp.Serial(args[0]) // of a removed token there is no view
				return v, err
			})
		},
	})
}

func (a *app) tokenResyncCommand() *cobra.Command {
	rewind := false
	c := &cobra.Command{
		Use: "resync SERIAL CODE NEXT-CODE", Short: "Find a token's place again by two codes in a row", Args: cobra.ExactArgs(3),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.tokenAct("resynced", func(ctx context.Context, client *console.Client) (tms.TokenView, error) {
				return client.ResyncToken(ctx, tms.TokenResync{Serial: args[0], First: args[1], Second: args[2], Rewind: rewind})
			})
		},
	}
	c.Flags().BoolVar(&rewind, "rewind", false, "after a clock was wrong: also to before codes that count as used; those used meanwhile can pass again")
	return a.jsonFlag(c)
}

func (a *app) tokenAct(done string, act func(context.Context, *console.Client) (tms.TokenView, error)) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		v, err := act(ctx, client)
		if err != nil {
			return err
		}
		a.say("token %s %s", v.Serial, done)
		return a.result(v)
	})
}
