package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"countersign/tms/seedfile"
)

// activateFlags say how a token is activated.
type activateFlags struct {
	server, seedFile string
	key              string
	keyStdin         bool
	trust            trust
	name             string
}

func (a *app) activateCommand() *cobra.Command {
	var f activateFlags
	c := &cobra.Command{
		Use: "activate", Short: "Become a token: by an Activation Key, from the server or with a seed file", Args: noArgs,
		Long: "Get a token from the server, or out of the seed file that came by mail, with the Activation Key.\n" +
			"It asks for what it needs: the Activation Key, a new OTP PIN if the server wants one, the Application PIN.\n" +
			"Alone, it completes an activation that was interrupted.",
		Example: "  etoken activate --server https://otp.example.com:8443\n" +
			"  etoken activate --seed-file 00040008CFA5.pskcxml",
		RunE: func(c *cobra.Command, _ []string) error { return a.activate(c.Context(), &f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.server, "server", "", "`URL` of the server")
	flags.StringVar(&f.seedFile, "seed-file", "", "seed `file`, instead of a server")
	flags.StringVar(&f.key, "activation-key", "", "Activation `Key`; it is asked for when left out, which is better: other users of this computer can see it while the command runs")
	flags.BoolVar(&f.keyStdin, "activation-key-stdin", false, "read the Activation Key from standard input, before all else")
	flags.StringVar(&f.trust.Fingerprint, "fingerprint", "", "`SHA-256` fingerprint of the server's self-made certificate, as AB:CD:...")
	flags.StringVar(&f.trust.CAFile, "ca-file", "", "PEM `file` of the authority that made the server's certificate")
	flags.StringVar(&f.name, "name", "", "`name` to call the token by")
	c.MarkFlagsMutuallyExclusive("server", "seed-file")
	c.MarkFlagsMutuallyExclusive("activation-key", "activation-key-stdin")
	c.MarkFlagsMutuallyExclusive("fingerprint", "ca-file")
	return c
}

func (a *app) activate(ctx context.Context, f *activateFlags) error {
	if f.trust.CAFile != "" {
		var err error
		if f.trust.CAFile, err = filepath.Abs(f.trust.CAFile); err != nil {
			return err
		}
	}
	switch {
	case f.server != "":
		return a.activateByServer(ctx, f)
	case f.seedFile != "":
		return a.activateByFile(ctx, f)
	case f.key != "" || f.keyStdin || f.name != "" || f.trust != trust{}:
		return errors.New("say where the token comes from: --server URL, or --seed-file FILE")
	}
	return a.complete(ctx)
}

// readKey is the Activation Key that was given or is asked for.
func (f *activateFlags) readKey(a *app) (secret, error) {
	key := newSecret([]byte(f.key))
	if f.key == "" {
		var err error
		if key, err = a.ask("Activation Key: "); err != nil {
			return key, err
		}
	}
	return newSecret(bytes.TrimSpace(key.Bytes())), nil
}

// activateByFile saves the tokens of a seed file. The server takes the first login
// with them for the activation.
func (a *app) activateByFile(ctx context.Context, f *activateFlags) error {
	content, err := os.ReadFile(f.seedFile)
	if err != nil {
		return fmt.Errorf("--seed-file: %w", err)
	}
	key, err := f.readKey(a)
	if err != nil {
		return err
	}
	tokens, err := a.readSeedFile(content, key)
	if err != nil {
		return fmt.Errorf("seed file %q: %w", f.seedFile, err)
	}
	if f.name != "" && len(tokens) > 1 {
		return fmt.Errorf("seed file %q has %d tokens: leave --name out, and use `etoken rename`", f.seedFile, len(tokens))
	}
	return a.withNewStore(ctx, func(s *store) error {
		for _, t := range tokens {
			if err := s.addAs(t, f.name); err != nil {
				return err
			}
		}
		if err := s.save(); err != nil {
			return err
		}
		for _, t := range tokens {
			fmt.Fprintf(a.out, "Token %s is saved. The first login with OTP PIN and eToken activates it: `etoken generate` shows the eToken.\n", t.label())
		}
		return nil
	})
}

// readSeedFile reads all tokens of a seed file, each of which must be usable.
func (a *app) readSeedFile(content []byte, key secret) ([]*token, error) {
	reader, err := seedfile.Open(bytes.NewReader(content), seedfile.Options{Password: seedfile.NewSecret(key.Bytes())})
	var tokens []*token
	for err == nil {
		var read *seedfile.Token
		if read, err = reader.Next(); err == nil {
			tokens = append(tokens, &token{Token: read.Token, User: read.User, Added: a.clock()})
		}
	}
	switch {
	case errors.Is(err, seedfile.ErrWrongKey):
		return nil, errors.New("the Activation Key does not open it: compare the key; capital and small letters differ")
	case errors.Is(err, seedfile.ErrNoKey):
		return nil, errors.New("it is encrypted: its Activation Key is needed")
	case !errors.Is(err, io.EOF):
		return nil, err
	case len(tokens) == 0:
		return nil, errors.New("there is no token in it")
	}
	return tokens, nil
}

// activateByServer gets a token from the server.
func (a *app) activateByServer(ctx context.Context, f *activateFlags) error {
	if _, err := newServer(f.server, f.trust); err != nil {
		return err // before anything is asked
	}
	key, err := f.readKey(a)
	if err != nil {
		return err
	}
	begun, err := a.begin(ctx, &pending{Server: f.server, Trust: f.trust, Key: key})
	if refused(err, notFound) {
		return fmt.Errorf("%w (if this computer has the token as pending, complete it by `etoken activate` alone)", err)
	}
	if err != nil {
		return err
	}
	return a.withNewStore(ctx, func(s *store) error {
		if err := s.addAs(begun.token, f.name); err != nil {
			return err
		}
		return a.finish(ctx, s, begun)
	})
}

// activation is a token that the server has offered, and what it wants for it.
type activation struct {
	token  *token
	server *server
	minPIN int    // an OTP PIN must be chosen when not 0
	pin    secret // that was chosen
}

// begin gets the offer for an Activation Key, and asks for an OTP PIN if need be.
func (a *app) begin(ctx context.Context, p *pending) (*activation, error) {
	srv, err := newServer(p.Server, p.Trust)
	if err != nil {
		return nil, err
	}
	o, err := srv.fetch(ctx, p.Key)
	if err != nil {
		return nil, err
	}
	tokens, err := a.readSeedFile(o.SeedFile, p.Key)
	if err != nil {
		return nil, fmt.Errorf("the seed file of the server: %w", err)
	}
	if len(tokens) != 1 || tokens[0].Serial != o.Serial {
		return nil, errors.New("the seed file of the server is not of the token that it offers: tell its administrator")
	}
	t := tokens[0]
	t.Issuer, t.User, t.Pending = o.Issuer, o.User, p
	begun := &activation{token: t, server: srv}
	if o.PINNeeded {
		begun.minPIN = max(o.MinPIN, 1)
		a.tell("With the token %s you log in by an OTP PIN and the eToken behind it. Choose the OTP PIN; the server keeps it.", t.label())
		begun.pin, err = a.choose("OTP PIN", begun.minPIN)
	}
	return begun, err
}

// finish has the token of an activation confirmed by its first code. It is saved as
// pending before, so that it is there whatever happens.
func (a *app) finish(ctx context.Context, s *store, begun *activation) error {
	t := begun.token
	for {
		shown := t.next(a.clock())
		t.Pending.Sent = true
		if t.Type.Clock() {
			t.Spent = t.step(a.clock())
		}
		if err := s.save(); err != nil {
			return err
		}
		err := begun.server.confirm(ctx, t.Pending.Key, begun.pin, shown.Code)
		if err == nil {
			return a.activated(s, t)
		}
		if !refused(err) {
			return fmt.Errorf("%w; token %s is saved as pending: `etoken activate` completes it", err, t.Serial)
		}
		t.Pending.Sent = false
		if err := s.save(); err != nil {
			return err
		}
		if !a.terminal() || !refused(err, weakPIN, badPIN) {
			return fmt.Errorf("%w (token %s is saved as pending: `etoken activate` tries again)", err, t.Serial)
		}
		a.tell("%s", err)
		if begun.pin, err = a.choose("OTP PIN", max(begun.minPIN, 1)); err != nil {
			return err
		}
	}
}

// activated notes that the server counts the token.
func (a *app) activated(s *store, t *token) error {
	was := t.Pending
	t.Pending = nil
	if err := s.save(); err != nil {
		t.Pending = was
		return fmt.Errorf("the server has activated token %s, but this could not be noted: %w; its codes are good, and `etoken activate` notes it later", t.Serial, err)
	}
	was.Key.wipe()
	fmt.Fprintf(a.out, "Token %s is active. `etoken generate` shows the eToken for a login.\n", t.label())
	return nil
}

// complete goes on with the activations that were interrupted.
func (a *app) complete(ctx context.Context) error {
	if file, err := a.storeFile(); err != nil {
		return err
	} else if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return errors.New("say where the token comes from: --server URL, or --seed-file FILE")
	}
	return a.withStore(ctx, func(s *store) error {
		found := false
		for _, t := range s.tokens {
			if t.Pending == nil {
				continue
			}
			found = true
			if err := a.completeOne(ctx, s, t); err != nil {
				return fmt.Errorf("token %s: %w", t.Serial, err)
			}
		}
		if !found {
			return errors.New("no token is pending; for another one say where it comes from: --server URL, or --seed-file FILE")
		}
		return nil
	})
}

func (a *app) completeOne(ctx context.Context, s *store, t *token) error {
	begun, err := a.begin(ctx, t.Pending)
	switch {
	case err == nil:
		if err := s.add(begun.token); err != nil {
			return err
		}
		return a.finish(ctx, s, begun)
	case refused(err, notFound) && t.Pending.Sent:
		a.tell("The server has no open invitation for token %s any more: most likely it took the first code, and its answer was lost.\n"+
			"Try to log in. If that fails, ask for another invitation, and `etoken remove %s`.", t.Serial, t.Serial)
		return a.activated(s, t)
	case refused(err, notFound):
		return fmt.Errorf("%w Ask for another invitation, and `etoken remove %s`", err, t.Serial)
	}
	return err
}
