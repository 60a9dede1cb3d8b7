package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"countersign/conf"
	"countersign/radiusd/packet"
	"countersign/radiusd/remote"
	"countersign/tms"
	"countersign/tms/console"
	"countersign/tms/safenet"
)

// checkTMS contacts the TMS, if there is one, prints what it found, and how a running
// server sees it.
func (a *app) checkTMS(cfg *conf.Config) error {
	if !cfg.TMS.Exists() {
		return nil
	}
	if cfg.TMS.Learn && !asksTMS(cfg) {
		fmt.Fprintln(a.err, "warning: tms.learn: no order has the TMS asked, so there is nothing to learn from")
	}
	b, err := a.openTMS(cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		return err
	}
	defer b.close()
	good := true
	if b.service != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 4*cfg.TMS.Timeout)
		defer cancel()
		good = a.tellService(b.service.Check(ctx))
	} else {
		good = a.checkServers(cfg, b.servers)
	}
	if !a.checkBreaker(cfg) || !good {
		return exitStatus(1)
	}
	return nil
}

// asksTMS reports whether any order has the TMS asked.
func asksTMS(cfg *conf.Config) bool {
	asks := slices.ContainsFunc(cfg.Orders, func(o conf.OrderRule) bool { return o.Order != conf.OrderLocal })
	for i := range cfg.NAS {
		asks = asks || cfg.OrderOf(&cfg.NAS[i]) != conf.OrderLocal
	}
	return asks
}

// tellService prints what a check of SafeNet's OTP service has found, and reports whether
// it is good.
func (a *app) tellService(r *safenet.Report) bool {
	for _, c := range r.Chain {
		a.say("TMS %s: certificate %s%s of %s, valid until %s, SHA-256 %X", r.URL, c.Subject, forNames(c.Names), c.Issuer, c.NotAfter.Format(time.DateOnly), c.Fingerprint[:8])
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(a.err, "warning: TMS %s: %s\n", r.URL, warning)
	}
	if r.Problem != nil {
		fmt.Fprintf(a.err, "TMS %s: %s%s\n", r.URL, inOneLine(r.Problem.Error()), after(r.First))
		return false
	}
	a.say("TMS %s: good, it refuses a user whom nobody knows: %s", r.URL, strings.Join(serviceFacts(r), ", "))
	return true
}

// forNames are the names that a certificate is for.
func forNames(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return ", for " + strings.Join(names, ", ") + ","
}

// after tells how long an answer took that was none to like.
func after(took time.Duration) string {
	if took == 0 {
		return ""
	}
	return " (after " + milliseconds(took) + ")"
}

// serviceFacts are how a service answered.
func serviceFacts(r *safenet.Report) []string {
	facts := []string{milliseconds(r.First)}
	if r.Kept {
		facts = append(facts, milliseconds(r.Again)+" on the same connection")
	}
	for _, fact := range []string{r.TLS, r.Server} {
		if fact != "" {
			facts = append(facts, fact)
		}
	}
	return facts
}

func milliseconds(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000)
}

// checkServers asks each RADIUS server, prints a line each, and reports whether all are
// good.
func (a *app) checkServers(cfg *conf.Config, servers *remote.Client) bool {
	good := true
	for i, address := range cfg.TMS.Radius {
		ctx, cancel := context.WithTimeout(context.Background(), 2*cfg.TMS.Timeout)
		r := servers.Check(ctx, i)
		cancel()
		if r.Err != nil {
			good = false
			fmt.Fprintf(a.err, "TMS %s: %s\n", address, inOneLine(r.Err.Error()))
			continue
		}
		a.say("TMS %s: good, it %s: %s, %s", address, answerToNobody(r.Login), milliseconds(r.Latency), watchWord(r.StatusServer))
	}
	return good
}

// answerToNobody is what a RADIUS server has done with a login of nobody.
func answerToNobody(answer packet.Code) string {
	if answer == packet.AccessChallenge {
		return "asks a user whom nobody knows for more"
	}
	return "refuses a user whom nobody knows"
}

func watchWord(statusServer bool) string {
	if statusServer {
		return "answers Status-Server"
	}
	return "answers no Status-Server, so that lost logins find out that it is down, and one that it is back"
}

// checkBreaker prints how a running server sees the TMS, and reports whether logins are
// shown to it. Without a running server there is nothing to say.
func (a *app) checkBreaker(cfg *conf.Config) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	conn, err := adminDialer(cfg)(ctx)
	if err != nil {
		return true
	}
	_ = conn.Close()
	client := console.NewClient(adminDialer(cfg))
	defer client.Close()
	v, err := client.BehindState(ctx)
	switch {
	case errors.Is(err, tms.ErrNotFound):
		fmt.Fprintln(a.err, "TMS: the running server has none: restart it")
		return false
	case err != nil:
		fmt.Fprintln(a.err, "TMS: how the running server sees it is not known:", err)
		return false
	case v.State != "closed":
		fmt.Fprintf(a.err, "TMS: the breaker of the running server is %s since %s, so that no login is shown to the TMS: %s\n", v.State, v.Since.Format(time.RFC3339), inOneLine(v.LastError))
		return false
	}
	a.say("TMS: the breaker of the running server is closed: logins are shown to the TMS")
	return true
}

// inOneLine is a text of several lines.
func inOneLine(text string) string { return strings.ReplaceAll(text, "\n", "; ") }

func (a *app) tmsCommand() *cobra.Command {
	return a.jsonFlag(&cobra.Command{
		Use: "tms", Short: "Show how it stands with the TMS behind the running server", Args: cobra.NoArgs,
		Long: "Show how it stands with the TMS behind the running server: whether logins are shown to it, which of its RADIUS servers\n" +
			"are up, and from whose last login nothing could be learned:\n\n" +
			"  ambiguous     several tokens show the code; the next login most likely tells which it is\n" +
			"  second_token  another token than the one that was learned shows it, and has not proven itself yet\n" +
			"  other_pin     the user has another OTP PIN here\n" +
			"  conflict      somebody else has learned the token, and it has not proven itself; the next login of either tells whose it is\n" +
			"  held          the token is somebody else's, and active, or disabled or not valid now\n" +
			"  unfit         the token is disabled or not valid now, or the PIN or the user cannot be taken\n" +
			"  static        the same passcode was accepted before: it is a password that stays",
		RunE: func(*cobra.Command, []string) error {
			return a.connected(func(ctx context.Context, c *console.Client, _ *conf.Config) error {
				v, err := c.BehindState(ctx)
				if err != nil {
					return err
				}
				return a.tellTMS(&v)
			})
		},
	})
}

// tellTMS prints how it stands with the TMS.
func (a *app) tellTMS(v *tms.BehindView) error {
	if a.json {
		return a.newTable().add(v)
	}
	a.say("logins: breaker %s since %s", v.State, v.Since.Format(time.RFC3339))
	if v.LastError != "" && v.State != "closed" {
		a.say("last error: %s", printable(inOneLine(v.LastError)))
	}
	if v.Address != "" {
		a.say("OTP service: %s", v.Address)
	}
	for _, s := range v.Servers {
		state := "down"
		if s.Up {
			state = "up"
		}
		a.say("RADIUS server %s: %s since %s", s.Address, state, s.Since.Format(time.RFC3339))
	}
	if len(v.Doubts) == 0 {
		return nil
	}
	t := a.newTable("USER", "AT", "NOT LEARNED", "TOKENS")
	for i := range v.Doubts {
		d := &v.Doubts[i]
		t.row(printable(d.User), d.At.Format(time.RFC3339), d.Why, strings.Join(d.Serials, " "))
	}
	return t.end(nil)
}
