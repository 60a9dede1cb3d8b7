package main

import (
	"context"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/enrol"
	"countersign/tms/store/embedded"
)

// firstUser is whom quickstart makes.
const firstUser = "alice"

type quickstartFlags struct {
	dir   string
	ports conf.QuickstartParams
}

func (a *app) quickstartCommand() *cobra.Command {
	var f quickstartFlags
	c := &cobra.Command{
		Use: "quickstart", Short: "Try it: make a data folder and a user, and start the server on loopback", Args: cobra.NoArgs,
		Long: "Make a data folder with a commented configuration, a key and a shared secret, start the server on loopback,\n" +
			"make the user alice with an OTP PIN and a token, and show how to log her in. Run again it starts what is there;\n" +
			"it overwrites nothing.",
		RunE: func(*cobra.Command, []string) error { return a.quickstart(&f) },
	}
	flags := c.Flags()
	flags.StringVar(&f.dir, "dir", defaultDir(), "data `folder`")
	_ = c.MarkFlagDirname("dir")
	flags.Uint16Var(&f.ports.AuthPort, "auth-port", 0, "UDP `port` for logins (usual: 1812)")
	flags.Uint16Var(&f.ports.AcctPort, "acct-port", 0, "UDP `port` for accounting (usual: 1813)")
	flags.Uint16Var(&f.ports.WebPort, "web-port", 0, "TCP `port` of the status page (usual: 8812)")
	flags.Uint16Var(&f.ports.MetricsPort, "metrics-port", 0, "TCP `port` of /metrics (usual: 9812)")
	return c
}

// defaultDir follows the XDG Base Directory Specification.
func defaultDir() string {
	if data := os.Getenv("XDG_DATA_HOME"); data != "" {
		return filepath.Join(data, "countersign")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "countersign-data"
	}
	return filepath.Join(home, ".local", "share", "countersign")
}

func (a *app) quickstart(f *quickstartFlags) error {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	a.config = filepath.Join(dir, "countersign.toml")
	made, err := a.prepare(dir, f.ports)
	if err != nil {
		return err
	}
	if !made && f.ports != (conf.QuickstartParams{}) {
		return fmt.Errorf("%s is there already and is not overwritten: change the ports in it, or choose another folder with --dir", a.config)
	}
	err = a.serve(a.welcome)
	if errors.Is(err, syscall.EADDRINUSE) {
		if made {
			// Nothing has happened yet: the ports may be given anew.
			err = errors.Join(err, os.Remove(a.config))
			return fmt.Errorf("%w\nanother program has this port: choose others, for example\n  %s quickstart --auth-port 11812 --acct-port 11813 --web-port 18812 --metrics-port 19812", err, self())
		}
		return fmt.Errorf("%w\nanother program has this port (perhaps a quickstart that still runs): change it in %s", err, a.config)
	}
	if errors.Is(err, embedded.ErrLocked) {
		return fmt.Errorf("%w: perhaps a quickstart still runs", err)
	}
	return err
}

// prepare makes the folder with configuration and shared secret, unless there
// is one.
func (a *app) prepare(dir string, ports conf.QuickstartParams) (made bool, err error) {
	if _, err := os.Stat(a.config); err == nil {
		return false, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return false, fmt.Errorf("making the data folder: %w", err)
	}
	secret, err := a.randomText(20)
	if err != nil {
		return false, err
	}
	if err := writeNew(filepath.Join(dir, "radius.secret"), secret+"\n"); err != nil && !errors.Is(err, os.ErrExist) {
		return false, err
	}
	return true, writeNew(a.config, string(conf.QuickstartFile(ports)))
}

// writeNew writes a file that must not exist, for its owner alone.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// randomText is n random bytes in base32.
func (a *app) randomText(n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(a.rand, b); err != nil {
		return "", fmt.Errorf("reading random bytes: %w", err)
	}
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)), nil
}

// randomPIN is four digits that are not among the first to be guessed.
func (a *app) randomPIN() (string, error) {
	for {
		var n uint32
		if err := binary.Read(a.rand, binary.BigEndian, &n); err != nil {
			return "", fmt.Errorf("making a PIN: %w", err)
		}
		if n >= 1<<32-1<<32%10000 {
			continue // so that every PIN is equally likely
		}
		if pin := fmt.Sprintf("%04d", n%10000); !weak(pin) {
			return pin, nil
		}
	}
}

// weak reports whether the digits are all the same or follow each other.
func weak(pin string) bool {
	step := pin[1] - pin[0]
	for i := 2; i < len(pin); i++ {
		if pin[i]-pin[i-1] != step {
			return false
		}
	}
	return step == 0 || step == 1 || step == 255
}

// welcome runs once the server answers: it makes the first user, unless there
// are users, and says how to go on.
func (a *app) welcome(s *server) error {
	ctx := context.Background()
	caller := tms.Caller{Name: actorName() + "@quickstart", Administrator: true}
	pin, err := a.randomPIN()
	if err != nil {
		return err
	}
	a.say("\nCountersign answers RADIUS on %s and accounting on %s.", s.cfg.Load().Radius.Auth[0], s.cfg.Load().Radius.Acct[0])
	a.say("Status page: http://%s/   Metrics: http://%s/metrics", s.cfg.Load().Web.Listen[0], s.cfg.Load().Metrics.Listen[0])
	a.say("Configuration, store, key and shared secret are in %s\n", filepath.Dir(a.config))
	_, err = s.service.AddUser(ctx, caller, tms.NewUser{Name: firstUser, PIN: otp.NewPIN([]byte(pin))})
	if errors.Is(err, tms.ErrExists) {
		a.say("The user %s is there already. Log her in with her OTP PIN and the code her token shows:\n\n  %s\n", firstUser, a.command("login "+firstUser))
		a.say("A new token for her:\n\n  %s\n\nStop with Ctrl-C.", a.command("token add --user "+firstUser))
		return nil
	}
	if err != nil {
		return err
	}
	return a.introduce(ctx, s, caller, pin)
}

// introduce gives the first user a token and shows everything, once.
func (a *app) introduce(ctx context.Context, s *server, caller tms.Caller, pin string) error {
	seed, err := a.newSeed()
	if err != nil {
		return err
	}
	n := tms.NewToken{User: firstUser, Seed: seed}
	view, err := s.service.AddToken(ctx, caller, n)
	if err != nil {
		return err
	}
	p, err := provision(&n, view)
	if err != nil {
		return err
	}
	a.say("The user %s has the OTP PIN %s and this token. Scan it with any authenticator app:\n", firstUser, pin)
	if err := p.WriteQR(a.out); err != nil {
		return err
	}
	a.say("\n%s\n\nThe PIN and the token are shown this once.\n", p.URI())
	a.showLogins(s, pin, seed, p)
	return nil
}

// showLogins prints the lines that log the first user in.
func (a *app) showLogins(s *server, pin string, seed oath.Seed, p enrol.Provisioning) {
	const period = 30 * time.Second
	cfg := s.cfg.Load()
	now := a.clock()
	until := now.Truncate(period).Add(2 * period)
	code := oath.TOTP(oath.SHA1, seed, now, 0, uint32(period/time.Second), 6)
	a.say("Log her in as a gateway would, until %s and once, as it holds the present code:\n", until.Local().Format(time.TimeOnly))
	a.say("  printf 'User-Name=%s,User-Password=%s%s' | radclient -r 1 %s auth %s\n", firstUser, pin, code, cfg.Radius.Auth[0], cfg.NAS[0].Secret.Bytes())
	a.say("Or at any time, with codes made from the token; each is good once, so it may wait for the next:\n")
	a.say("  %s\n", a.command(fmt.Sprintf("login %s --wait --pin %s --otpauth '%s'", firstUser, pin, p.URI())))
	a.say("Or type the OTP PIN followed by the code your app shows:\n\n  %s\n\nStop with Ctrl-C.", a.command("login "+firstUser))
}

// command is a command line of ours for the present configuration.
func (a *app) command(words string) string {
	return fmt.Sprintf("%s --config %s %s", self(), quote(a.config), words)
}

// self is how this program was started: `go run` builds it in a folder that is
// gone afterwards.
func self() string {
	path, err := os.Executable()
	if err != nil || strings.Contains(path, string(filepath.Separator)+"go-build") {
		return "go run ./cmd/countersign"
	}
	return quote(path)
}

// quote quotes a word for the shell when it needs it.
func quote(word string) string {
	if !strings.ContainsAny(word, " \t\n'\"\\$`&|;<>()*?[]#~!{}") {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
