package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/tms"
	"countersign/tms/console"
)

// inviteFlags say how a user is invited.
type inviteFlags struct {
	tms.NewInvitation
	show bool
}

func (a *app) tokenInviteCommand() *cobra.Command {
	var f inviteFlags
	var pinStdin bool
	c := &cobra.Command{
		Use: "invite USER", Short: "Invite a user to a token, by mail", Args: oneName,
		Long: "Invite a user to a token. The mail goes to the address that the directory has, or to --mail. The token counts from its\n" +
			"first right code on; until then the invitation can be withdrawn, and a new one makes the old one void. With --show\n" +
			"the activation link is printed too, once: who has it has the token.",
		Example: "  countersign token invite alice\n" +
			"  countersign token invite bob --mail bob@example.com\n" +
			"  countersign token invite eve --no-mail --show",
		RunE: func(_ *cobra.Command, args []string) error {
			f.User = args[0]
			if pinStdin {
				pin, err := a.secret("OTP PIN: ")
				if err != nil {
					return err
				}
				f.PIN = otp.NewPIN([]byte(pin))
			}
			return a.connected(func(ctx context.Context, client *console.Client, cfg *conf.Config) error {
				issued, err := client.Invite(ctx, f.NewInvitation)
				if err != nil {
					return err
				}
				return a.showIssued(cfg, issued, f.show)
			})
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.Mail, "mail", "", "`address` that the mail goes to; the directory's when left out")
	flags.BoolVar(&f.NoMail, "no-mail", false, "send none")
	flags.StringVar(&f.Type, "type", "", "totp, hotp or mobilepass; that of [token] when left out")
	flags.BoolVar(&pinStdin, "pin-stdin", false, "read the OTP PIN from standard input or ask for it; the user chooses it when left out")
	flags.BoolVar(&f.show, "show", false, "print the activation link and the Activation Key")
	c.MarkFlagsMutuallyExclusive("mail", "no-mail")
	return a.jsonFlag(c)
}

// showIssued prints what came of an invitation.
func (a *app) showIssued(cfg *conf.Config, issued tms.Issued, show bool) error {
	shown := struct {
		tms.Issued
		Link string `json:"link,omitempty"`
		Key  string `json:"activation_key,omitempty"`
	}{Issued: issued}
	until := stamp(issued.Expires)
	switch {
	case issued.Serial == "":
		a.say("%s is disabled, and was not invited to another", issued.User)
		return a.result(shown)
	case issued.Mailed && cfg.Mail.Server == "":
		a.say("%s invited to token %s until %s; the mail to %s waits for a [mail] server in the configuration", issued.User, issued.Serial, until, issued.InvitationView.Mail)
	case issued.Mailed:
		a.say("%s invited to token %s until %s, by mail to %s", issued.User, issued.Serial, until, issued.InvitationView.Mail)
	default:
		a.say("%s invited to token %s until %s; no mail was sent", issued.User, issued.Serial, until)
	}
	if show {
		shown.Link, shown.Key = activationURL(cfg, issued.Link), issued.Key.Reveal()
		a.say("activation link: %s\nActivation Key: %s", shown.Link, shown.Key)
	} else if !issued.Mailed {
		a.say("--show prints what the user needs; invite once more with it")
	}
	return a.result(shown)
}

// activationURL is the link that a user follows.
func activationURL(cfg *conf.Config, link tms.Link) string {
	if cfg.Web.URL == "" {
		return "none, because [web] has no url"
	}
	return strings.TrimSuffix(cfg.Web.URL, "/") + "/activate/" + link.Reveal()
}

func (a *app) invitationCommand() *cobra.Command {
	list := &cobra.Command{
		Use: "list [USER]", Short: "List who is invited to a token", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				t := a.newTable("USER", "SERIAL", "TYPE", "PIN", "MAIL", "BY", "EXPIRES", "OPENED")
				return t.end(client.Invitations(ctx, namedUser(args), func(v tms.InvitationView) error {
					opened := ""
					if !v.Opened.IsZero() {
						opened = stamp(v.Opened)
					}
					return t.add(v, string(v.User), string(v.Serial), v.Type, yes(v.PIN), v.Mail, v.By, stamp(v.Expires), opened)
				}))
			})
		},
	}
	withdraw := &cobra.Command{
		Use: "withdraw USER", Short: "End an invitation", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				if err := client.Withdraw(ctx, args[0]); err != nil {
					return err
				}
				a.say("invitation of %s withdrawn", printable(args[0]))
				return nil
			})
		},
	}
	return group("invitation", "List and withdraw invitations to a token", a.jsonFlag(list), withdraw)
}

// namedUser is the user that a listing was asked for, "" for all.
func namedUser(args []string) otp.UserName {
	if len(args) == 0 {
		return ""
	}
	return otp.UserName(args[0])
}

func (a *app) tokenLostCommand() *cobra.Command {
	show := false
	c := &cobra.Command{
		Use: "lost SERIAL", Short: "Take a lost token out of use and invite its user to another", Args: cobra.ExactArgs(1),
		Long: "Take a lost token out of use and invite its user to another, in one step. The lost one stays the\n" +
			"user's, so that nobody takes them for one who needs none, until the next is active: then it is removed, or, such as a\n" +
			"device, goes back into stock, disabled.",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, cfg *conf.Config) error {
				issued, err := client.LoseToken(ctx, args[0])
				if err != nil {
					return err
				}
				a.say("token %s is out of use", printable(strings.ToUpper(args[0])))
				return a.showIssued(cfg, issued, show)
			})
		},
	}
	c.Flags().BoolVar(&show, "show", false, "print the activation link and the Activation Key of the new one")
	return a.jsonFlag(c)
}

func (a *app) tokenRecoveryCodesCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "recovery-codes USER", Short: "Print codes for the day the user's token is lost", Args: oneName,
		Long: "Print a list of codes, each good once, for the day the user's token is lost: the OTP PIN and a code let the user in.\n" +
			"They cannot be shown again, and a new list makes the old one void. The user uses them from the top.",
		RunE: func(_ *cobra.Command, args []string) error {
			return a.printCodes(func(ctx context.Context, client *console.Client) (tms.Codes, error) {
				return client.CreateRecoveryCodes(ctx, args[0])
			})
		},
	})
}

func (a *app) tokenTemporaryCodesCommand() *cobra.Command {
	count, valid := 1, time.Duration(0)
	c := &cobra.Command{
		Use: "temporary-codes USER", Short: "Print codes for a user whose token is not at hand today", Args: oneName,
		Long: "Print codes for a user who has left the token at home, each good once and all for a day: the OTP PIN and a code let the\n" +
			"user in. New ones make the old ones void. The user uses them from the top.",
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("for") && valid < time.Minute {
				return fmt.Errorf("--for %v: codes must be good for a minute at least", valid)
			}
			return a.printCodes(func(ctx context.Context, client *console.Client) (tms.Codes, error) {
				return client.CreateTemporaryCodes(ctx, args[0], count, valid)
			})
		},
	}
	c.Flags().IntVar(&count, "count", 1, "how many codes, 1 to 50")
	c.Flags().DurationVar(&valid, "for", 0, "how long they are good, as 4h, 1m at least; temporary_time of [enrol] when left out")
	return a.jsonFlag(c)
}

// printCodes prints a new list of codes, once.
func (a *app) printCodes(act func(context.Context, *console.Client) (tms.Codes, error)) error {
	return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
		codes, err := act(ctx, client)
		if err != nil {
			return err
		}
		good := "until they are used"
		if codes.ValidUntil != nil {
			good = "until " + stamp(*codes.ValidUntil)
		}
		a.say("%s for %s, each good once, %s; to be used from the top, after the OTP PIN:", counted(len(codes.List), "code"), codes.User, good)
		for _, code := range codes.List {
			a.say("  %s", code)
		}
		return a.result(struct {
			tms.Codes
			List []string `json:"list"`
		}{codes, codes.List})
	})
}

func (a *app) mailListCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "list [USER]", Short: "List mails that wait to be sent", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			return a.connected(func(ctx context.Context, client *console.Client, _ *conf.Config) error {
				t := a.newTable("ID", "KIND", "USER", "TO", "DUE", "TRIES", "LAST ERROR")
				return t.end(client.Mails(ctx, namedUser(args), func(v tms.MailView) error {
					return t.add(v, strconv.FormatUint(v.ID, 10), string(v.Kind), string(v.User), v.To, stamp(v.Due), strconv.Itoa(v.Tries), printable(v.LastError))
				}))
			})
		},
	})
}
