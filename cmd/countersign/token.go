package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

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
		a.tokenAddCommand(), a.tokenListCommand(), a.tokenShowCommand(), a.tokenAssignCommand(), a.tokenHandOverCommand(), a.tokenResyncCommand(),
		a.tokenImportCommand(), a.tokenExportCommand(),
		a.tokenInviteCommand(), a.tokenLostCommand(), a.tokenRecoveryCodesCommand(), a.tokenTemporaryCodesCommand(),
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
	flags.TimeVar(&f.ValidFrom, "valid-from", time.Time{}, []string{time.RFC3339, time.DateOnly}, "from when on its codes are accepted, as 2027-01-31 or 2027-01-31T18:00:00+01:00")
	flags.TimeVar(&f.ValidUntil, "valid-until", time.Time{}, []string{time.RFC3339, time.DateOnly}, "from when on they no longer are")
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
		a.say("token %s added", view.Serial)
		return a.showToken(&f.NewToken, view, made)
	})
}

// showToken prints the result of an act on a token, and with its seed how an app
// becomes it: once, because the seed cannot be had again.
func (a *app) showToken(n *tms.NewToken, view tms.TokenView, seed bool) error {
	shown := struct {
		tms.TokenView
		URI string `json:"uri,omitempty"`
	}{TokenView: view}
	if seed {
		p, err := provision(n, view)
		if err != nil {
			return err
		}
		shown.URI = p.URI()
		if err := a.showProvisioning(p); err != nil {
			return err
		}
	}
	return a.result(shown)
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
		algorithm, _ := oath.ParseAlgorithm(f.Algorithm) // a wrong one is told with all other faults
		f.Seed, err = tms.NewSeed(a.rand, algorithm)
		return true, err
	}
	return false, err
}

// newSeed makes a seed for a token of the usual kind.
func (a *app) newSeed() (oath.Seed, error) { return tms.NewSeed(a.rand, oath.SHA1) }

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
		Use: "show SERIAL", Short: "Show a token", Args: oneName,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.listTokens(tms.Filter{Serial: otp.Serial(args[0])})
		},
	})
}

func (a *app) listTokens(f tms.Filter) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		t := a.newTable("SERIAL", "USER", "TYPE", "ALGORITHM", "DIGITS", "PERIOD", "COUNTER", "DRIFT", "FAILURES", "STATE")
		return t.end(client.Tokens(ctx, f, func(v tms.TokenView) error {
			period := ""
			if v.Period != 0 {
				period = strconv.Itoa(v.Period) + "s"
			}
			return t.add(v, string(v.Serial), string(v.User), v.Type, v.Algorithm, strconv.Itoa(v.Digits), period,
				strconv.FormatUint(v.Counter, 10), strconv.Itoa(v.Drift), strconv.Itoa(v.Failures), tokenState(v, a.clock()))
		}))
	})
}

// tokenState is whether a token's codes are taken, in words.
func tokenState(v tms.TokenView, now time.Time) string {
	switch {
	case v.Lost:
		return "lost"
	case v.Disabled:
		return "disabled"
	case v.ValidUntil != nil && !now.Before(*v.ValidUntil):
		return "was valid until " + stamp(*v.ValidUntil)
	case v.ValidFrom != nil && now.Before(*v.ValidFrom):
		return "valid from " + stamp(*v.ValidFrom)
	case v.LockedUntil != nil:
		return "locked until " + stamp(*v.LockedUntil)
	case v.MustResync:
		return "needs two codes (restored)"
	case v.User == "":
		return "in stock"
	case v.Type == otp.CodeList.String() && v.ValidUntil != nil:
		return fmt.Sprintf("%d temporary codes left, until %s", v.Codes, stamp(*v.ValidUntil))
	case v.Type == otp.CodeList.String():
		return fmt.Sprintf("%d recovery codes left", v.Codes)
	case v.Learned:
		return fmt.Sprintf("learned, %d agreed, %d not", v.Agreed, v.Disagreed)
	case v.Counter == 0:
		return "active, never used"
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

// handOverFlags say how a token is handed over.
type handOverFlags struct {
	tms.HandOver
	pin        pinFlags
	activation bool
	policy     string
}

func (a *app) tokenHandOverCommand() *cobra.Command {
	var f handOverFlags
	c := &cobra.Command{
		Use: "hand-over SERIAL", Short: "Give a token to the user it was created for, and show its QR code", Args: cobra.ExactArgs(1),
		Long: "Give a token that was never used a new seed and show its QR code and otpauth URI, once: who sees them has the token.\n" +
			"A user without an OTP PIN gets one, or --no-pin. For a MobilePASS token the app makes the activation code; it is\n" +
			"read before the OTP PIN.",
		Example: "  countersign token hand-over 00040008CFA5 --pin-stdin",
		RunE: func(_ *cobra.Command, args []string) error {
			f.Serial, f.NoPIN = args[0], f.pin.none
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				return a.handOver(ctx, client, &f)
			})
		},
	}
	f.pin.add(c)
	c.Flags().BoolVar(&f.Reissue, "reissue", false, "also a token that was used: the one its user has becomes worthless")
	c.Flags().BoolVar(&f.activation, "activation-code-stdin", false, "mobilepass: read the activation code that the app shows")
	c.Flags().StringVar(&f.policy, "policy", "", "mobilepass: the policy `string` of the activation")
	return a.jsonFlag(c)
}

func (a *app) handOver(ctx context.Context, client *console.Client, f *handOverFlags) error {
	var present tms.TokenView
	if err := client.Tokens(ctx, tms.Filter{Serial: otp.Serial(f.Serial)}, func(v tms.TokenView) error {
		present = v
		return nil
	}); err != nil {
		return err
	}
	n := tms.NewToken{Type: present.Type, Algorithm: present.Algorithm, Digits: present.Digits, Period: present.Period, T0: present.T0}
	made, err := f.readSeed(a, &n)
	if err != nil {
		return err
	}
	if made { // what cannot be shown must not replace anything
		if _, err := provision(&n, present); err != nil {
			return err
		}
	}
	if f.PIN, err = f.readPIN(ctx, a, client, present.User); err != nil {
		return err
	}
	f.Seed = n.Seed
	view, err := client.HandOverToken(ctx, f.HandOver)
	if err != nil {
		return err
	}
	a.say("token %s handed over to %s", view.Serial, view.User)
	return a.showToken(&n, view, made)
}

// readSeed sets the new seed, and says whether it was made up.
func (f *handOverFlags) readSeed(a *app, n *tms.NewToken) (made bool, err error) {
	add := tokenFlags{NewToken: *n, activation: f.activation, policy: f.policy}
	if mobile := n.Type == otp.MobilePASS.String(); mobile != f.activation {
		return false, fmt.Errorf("--activation-code-stdin is for MobilePASS tokens, and needed for them: their seed comes from the app")
	}
	made, err = add.readSeed(a)
	n.Seed = add.Seed
	return made, err
}

// readPIN is the PIN that was given. On a terminal it is asked for when the user
// has none.
func (f *handOverFlags) readPIN(ctx context.Context, a *app, client *console.Client, user otp.UserName) (otp.PIN, error) {
	if f.pin.stdin || f.pin.none || f.pin.pin != "" || user == "" || !term.IsTerminal(int(a.in.Fd())) {
		return f.pin.read(a)
	}
	has := true
	if err := client.Users(ctx, tms.Filter{User: user, Source: tms.Local}, func(u tms.UserView) error {
		has = u.PIN
		return nil
	}); err != nil || has {
		return otp.PIN{}, err
	}
	pin, err := a.secret(fmt.Sprintf("OTP PIN for %s: ", printable(string(user))))
	return otp.NewPIN([]byte(pin)), err
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
