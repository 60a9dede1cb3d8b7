package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"countersign/otp"
	"countersign/tms/enrol"
)

// listed is a token as `etoken list --json` shows it.
type listed struct {
	Name   string     `json:"name,omitempty"`
	Serial otp.Serial `json:"serial"`
	Issuer string     `json:"issuer,omitempty"`
	User   string     `json:"user,omitempty"`
	Type   string     `json:"type"`
	State  string     `json:"state"`
	Added  time.Time  `json:"added"`
}

func (a *app) listCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "list", Short: "List the tokens", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStore(c.Context(), func(s *store) error { return a.list(s.tokens) })
		},
	})
}

func (a *app) list(tokens []*token) error {
	columns := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if !a.json {
		fmt.Fprintln(columns, "NAME\tSERIAL\tISSUER\tUSER\tTYPE\tSTATE")
	}
	for _, t := range tokens {
		l := listed{t.Name, t.Serial, t.Issuer, t.User, t.Type.String(), t.state(a.clock()), t.Added}
		if a.json {
			if err := json.NewEncoder(a.out).Encode(l); err != nil {
				return err
			}
			continue
		}
		cells := []string{l.Name, string(l.Serial), l.Issuer, l.User, l.Type, l.State}
		for i, cell := range cells {
			if cells[i] = printable(cell); cell == "" {
				cells[i] = "-"
			}
		}
		fmt.Fprintln(columns, strings.Join(cells, "\t"))
	}
	return columns.Flush()
}

func (a *app) renameCommand() *cobra.Command {
	return &cobra.Command{
		Use: "rename NAME|SERIAL NEW-NAME", Short: "Call a token by another name", Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return a.withStore(c.Context(), func(s *store) error {
				t, err := s.find(args[0])
				if err == nil {
					err = s.rename(t, args[1])
				}
				if err != nil {
					return err
				}
				return s.save()
			})
		},
	}
}

// rename gives a token a name that no other has.
func (s *store) rename(t *token, name string) error {
	if name = strings.TrimSpace(name); name == "" || len(name) > 64 || printable(name) != name {
		return errors.New("the name must have 1 to 64 bytes of text on one line")
	}
	for _, other := range s.tokens {
		if other != t && other.matches(name) {
			return fmt.Errorf("token %s is called %q already", other.Serial, name)
		}
	}
	t.Name = name
	return nil
}

func (a *app) removeCommand() *cobra.Command {
	sure := false
	c := &cobra.Command{
		Use: "remove NAME|SERIAL", Short: "Remove a token from this computer for good", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.remove(c.Context(), args[0], sure) },
	}
	c.Flags().BoolVar(&sure, "yes", false, "do not ask")
	return c
}

func (a *app) remove(ctx context.Context, name string, sure bool) error {
	if name == "" {
		return errors.New("the name is empty: see `etoken list`")
	}
	return a.withStore(ctx, func(s *store) error {
		t, err := s.find(name)
		if err != nil {
			return err
		}
		if !sure {
			question := fmt.Sprintf("Token %s will never show a code again, and the server is not told.", t.label())
			if yes, err := a.agreed(question); err != nil || !yes {
				return errors.Join(errors.New("nothing was removed"), err)
			}
		}
		s.tokens = slices.DeleteFunc(s.tokens, func(other *token) bool { return other == t })
		if err := s.save(); err != nil {
			return err
		}
		fmt.Fprintf(a.out, "Token %s is removed.\n", t.label())
		return nil
	})
}

func (a *app) importCommand() *cobra.Command {
	name := ""
	c := &cobra.Command{
		Use: "import", Short: "Take in a token from its otpauth:// URI", Args: noArgs,
		Long: "Take in the token of an otpauth:// URI, as is in the QR codes for authenticator apps. It is asked for, because\n" +
			"it has the seed: other users of this computer could see it on the command line.",
		RunE: func(c *cobra.Command, _ []string) error { return a.importURI(c.Context(), name) },
	}
	c.Flags().StringVar(&name, "name", "", "`name` to call the token by (usual: the account in the URI)")
	return c
}

func (a *app) importURI(ctx context.Context, name string) error {
	uri, err := a.ask("otpauth:// URI: ")
	if err != nil {
		return err
	}
	read, account, err := enrol.ParseURI(uri.reveal())
	if err != nil {
		return err
	}
	if !possible(&read) {
		return errors.New("otpauth URI: no codes can be computed from it")
	}
	t := &token{Token: read, User: account, Added: a.clock()}
	if err := a.addOwn(ctx, t, "URI", name); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Token %s is saved.\n", t.label())
	return nil
}

func (a *app) pinCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pin", Short: "Change the Application PIN", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.withStore(c.Context(), func(s *store) error {
				pin, err := a.choose("Application PIN", minPIN)
				if err != nil {
					return err
				}
				defer pin.wipe()
				if err := s.encryptUnder(pin, a.hardness); err != nil {
					return err
				}
				if err := s.save(); err != nil {
					return err
				}
				fmt.Fprintln(a.out, "The Application PIN is changed.")
				return nil
			})
		},
	}
}
