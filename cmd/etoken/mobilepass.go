package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"countersign/otp"
	"countersign/otp/oath"
)

func (a *app) mobilePASSCommand() *cobra.Command {
	g := &cobra.Command{Use: "mobilepass", Short: "Make tokens as MobilePASS did"}
	onlyCommands(g)
	var policy, name string
	c := &cobra.Command{
		Use: "new", Short: "Make a MobilePASS token, and show its activation code once", Args: noArgs,
		Long: "Make a MobilePASS token: an event token whose seed comes from an activation code. The code is shown once.\n" +
			"Type it into the activation page, or have the administrator give it to\n" +
			"`countersign token add --type mobilepass --activation-code-stdin`: who has it has the token.",
		RunE: func(c *cobra.Command, _ []string) error { return a.newMobilePASS(c.Context(), policy, name) },
	}
	c.Flags().StringVar(&policy, "policy", "", "the policy `string` of the activation, as the server has it")
	c.Flags().StringVar(&name, "name", "", "`name` to call the token by")
	g.AddCommand(c)
	return g
}

func (a *app) newMobilePASS(ctx context.Context, policy, name string) error {
	activation, err := oath.NewActivationCode(a.rand)
	if err != nil {
		return err
	}
	t := &token{Added: a.clock()}
	t.Type, t.Algorithm, t.Digits, t.Seed = otp.MobilePASS, oath.SHA256, 6, activation.Seed(policy)
	if err := a.addOwn(ctx, t, "MP", name); err != nil {
		return err
	}
	a.tell("Token %s is saved. This is its activation code; it is not shown again:", t.label())
	_, err = fmt.Fprintln(a.out, activation.Text())
	return err
}

// addOwn saves a token that has no serial from a server: one is made up.
func (a *app) addOwn(ctx context.Context, t *token, prefix, name string) error {
	var chance [4]byte
	if _, err := io.ReadFull(a.rand, chance[:]); err != nil {
		return fmt.Errorf("making a serial: %w", err)
	}
	t.Serial = otp.Serial(prefix + "-" + strings.ToUpper(hex.EncodeToString(chance[:])))
	return a.withNewStore(ctx, func(s *store) error {
		if err := s.addAs(t, name); err != nil {
			return err
		}
		return s.save()
	})
}
