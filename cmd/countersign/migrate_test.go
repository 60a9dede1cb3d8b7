package main

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/conf"
	"countersign/otp"
	"countersign/otp/oath"
	"countersign/tms"
	"countersign/tms/console"
)

// inStore runs something on the store while no server has it.
func (in *installation) inStore(run func(ctx context.Context, p *parts)) {
	in.Helper()
	cfg, err := conf.Load(in.config)
	if err != nil {
		in.Fatal(err)
	}
	a := &app{out: io.Discard, err: io.Discard, clock: time.Now, rand: rand.Reader, config: in.config}
	p, err := a.openParts(in.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		in.Fatal(err)
	}
	run(in.Context(), p)
	if err := p.close(); err != nil {
		in.Fatal(err)
	}
}

// acceptedByTMS is a login that a TMS accepts, of a user who types a PIN and the code of
// a counter of aliceSeed.
func acceptedByTMS(t *testing.T, p *parts, user, pin string, counter uint64) {
	t.Helper()
	a := &otp.Attempt{
		At: p.clock(), User: []byte(user), NAS: "loopback", Method: otp.PAP,
		Passcode: otp.NewPasscode([]byte(pin + oath.HOTP(oath.SHA1, aliceSeed, counter, 6))),
		Order:    otp.LocalThenTMS, Shadow: true, TMS: otp.TMSAccepted,
	}
	verdict, err := otp.NewVerifier(p.store, p.service.Policy()).Verify(t.Context(), a)
	if err != nil || verdict != otp.AcceptedByTMS {
		t.Fatalf("%s: %v, %v", user, verdict, err)
	}
}

// installMigrants installs alice, who is in the helpdesk by way of the night shift, and bob, who is
// in no group: both with a PIN and a token. The TMS has let in both, bob with another PIN.
func installMigrants(t *testing.T, directory string) *installation {
	t.Helper()
	in := installRules(t, directory)
	for _, name := range []string{"alice", "bob"} {
		in.run("", "user", "add", name, "--pin", "4711")
		in.run("", "token", "add", "--user", name, "--serial", name+"1", "--type", "hotp", "--seed-hex", "3132333435363738393031323334353637383930")
	}
	in.inStore(func(ctx context.Context, p *parts) {
		acceptedByTMS(t, p, "alice", "4711", 0)
		acceptedByTMS(t, p, "bob", "0815", 0)
		if err := p.store.NoteSeen(ctx, []tms.Seen{{User: "alice", Last: p.clock()}, {User: "bob", Last: p.clock()}}); err != nil {
			t.Fatal(err)
		}
	})
	return in
}

// row is the line of a table that begins with a word, with a single space between its
// cells.
func row(table, first string) string {
	for line := range strings.Lines(table) {
		if cells := strings.Fields(line); len(cells) > 0 && strings.HasPrefix(strings.Join(cells, " "), first+" ") {
			return strings.Join(cells, " ")
		}
	}
	return "no line begins with " + first
}

func (in *installation) wantRow(table, first, want string) {
	in.Helper()
	if got := row(table, first); got != first+" "+want {
		in.Errorf("%s; want %s\n%s", got, want, table)
	}
}

// fails runs a command that fails and prints nothing but that.
func (in *installation) fails(says string, args ...string) {
	in.Helper()
	out, status := in.try("", args...)
	if status != 1 || !strings.HasPrefix(out, "countersign: ") || !strings.Contains(out, says) {
		in.Errorf("exit status %d\n%s", status, out)
	}
}

// Groups are those of the directory, nested ones too, while the server runs.
func TestMigratingAGroup(t *testing.T) {
	need(t, "/usr/sbin/slapd")
	ldap, directory := staff(t)
	in := installMigrants(t, directory)
	in.start()
	const dn = "CN=Night-Shift, OU=Groups,DC=example,DC=org"
	status := in.run("", "migrate", "status", "--group", "HELPDESK", "--group", dn, "--users")
	in.wantRow(status, "helpdesk", "1 0 0 1 0 0")
	in.wantRow(status, "cn=night-shift,ou=groups,dc=example,dc=org", "1 0 0 1 0 0")
	in.wantRow(status, "(all)", "2 0 0 1 1 0")
	in.wantRow(status, "alice", "local as configured "+time.Now().Format(time.DateOnly)+" ALICE1 (1 agreed, 0 not)")
	if strings.Contains(status, "bob") {
		t.Errorf("bob is in none of the groups:\n%s", status)
	}
	in.fails(`group "night-watch": not found in any directory`, "migrate", "status", "--group", "night-watch")

	out := in.run("", "migrate", "cutover", "--group", "helpdesk")
	in.wantRow(out, "alice", "as configured local -")
	in.wantRow(out, "1", "moved, 0 left as they are, 0 were there already")
	out = in.run("", "migrate", "cutover", "--all")
	in.wantRow(out, "bob", "as configured as configured of token BOB1 the TMS said otherwise at the last login: `countersign migrate differences` tells what")
	in.wantRow(in.run("", "migrate", "status"), "(all)", "2 0 0 1 1 0")
	contains(t, in.run("", "event", "list"), `alice home=local group="helpdesk"`)
	in.wantRow(in.run("", "migrate", "cutover", "--all", "--force"), "bob", "as configured local -")
	in.wantRow(in.run("", "migrate", "status"), "(all)", "2 0 0 2 0 0")

	// Without the directory there are no numbers, but there is a way back.
	ldap.Kill()
	in.await("the directory to be missed", func() bool {
		out, status := in.try("", "migrate", "status", "--group", "helpdesk")
		return status == 1 && strings.Contains(out, "countersign: ") && !strings.Contains(out, "(all)")
	})
	in.fails("listing the users of the directories", "migrate", "cutover", "--all")
	in.wantRow(in.run("", "migrate", "rollback", "--user", "alice"), "alice", "local tms -")
	in.wantRow(in.run("", "migrate", "rollback", "--all"), "bob", "local tms -")
}

// Below the table is what the configuration says besides.
func TestMigrationNotes(t *testing.T) {
	for _, test := range []struct {
		is   conf.TMS
		want []string // each begins so
	}{
		{conf.TMS{}, nil}, // the file has faults
		{conf.TMS{Order: conf.OrderTMS, UserRepository: "all"}, []string{"there is no TMS"}},
		{conf.TMS{OTPServiceURL: "https://tms", Order: conf.OrderLocalThenTMS, UserRepository: "all"}, nil},
		{conf.TMS{OTPServiceURL: "https://tms", Order: conf.OrderLocalThenTMS, UserRepository: "group:vpn users", Shadow: true},
			[]string{`user_repository = "group:vpn users": about users who do not belong to it`, "shadow = true: "}},
		{conf.TMS{OTPServiceURL: "https://tms", Order: conf.OrderTMS, UserRepository: "all", Shadow: true}, []string{`order = "tms" in [tms]: `}},
	} {
		notes := migrationNotes(&test.is)
		if !slices.EqualFunc(notes, test.want, strings.HasPrefix) {
			t.Errorf("%+v: %q, want %q", test.is, notes, test.want)
		}
	}
}

// doubtful is a TMS of which two users could not be learned, one of them twice.
type doubtful struct{}

func (doubtful) Behind() tms.BehindView {
	return tms.BehindView{State: "closed", Doubts: []tms.Doubt{{User: "alice"}, {User: "bob"}, {User: "alice"}}}
}

// So is how many users there are of whom nothing could be learned, while a server runs.
func TestMigrationDoubts(t *testing.T) {
	service := tms.NewService(tms.Options{Clock: time.Now})
	client, stop := serveInProcess(service)
	defer stop()
	known := &conf.Config{TMS: conf.TMS{OTPServiceURL: "https://tms", Order: conf.OrderLocalThenTMS, UserRepository: "all"}}
	said := func() string {
		t.Helper()
		var out strings.Builder
		if err := (&app{out: &out}).noteMigration(t.Context(), client, known); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if out := said(); out != "" {
		t.Errorf("without a server: %s", out)
	}
	service.Behind = doubtful{}
	if out := said(); out != "of 2 users it is not clear which token they have: `countersign tms` tells more\n" {
		t.Error(out)
	}
}

// That those who were moved stay moved is said where somebody was.
func TestMoveBrokenOff(t *testing.T) {
	in := install(t, "")
	for _, test := range []struct {
		is   tms.Move
		to   []tms.Moved
		said bool
	}{
		{tms.Move{All: true}, nil, false},
		{tms.Move{All: true}, []tms.Moved{{User: "alice", Was: "unsaid", Home: "unsaid", Left: "she has no token"}}, false},
		{tms.Move{All: true, DryRun: true}, []tms.Moved{{User: "alice", Was: "unsaid", Home: "local"}}, false},
		{tms.Move{All: true}, []tms.Moved{{User: "alice", Was: "unsaid", Home: "local"}, {User: "bob", Left: "he has no token"}}, true},
	} {
		a := &app{out: io.Discard, err: io.Discard, clock: time.Now, rand: rand.Reader, config: in.config}
		err := a.move(test.is, func(_ *console.Client, _ context.Context, _ tms.Move, each func(tms.Moved) error) (tms.MoveReport, error) {
			for _, moved := range test.to {
				if err := each(moved); err != nil {
					return tms.MoveReport{}, err
				}
			}
			return tms.MoveReport{}, io.ErrUnexpectedEOF
		})
		if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(err.Error(), "doing it again completes it") != test.said {
			t.Errorf("%+v: %v", test, err)
		}
	}
}

// What does not fit is told, with what it means, and never a PIN or a code.
func TestMigrateDifferences(t *testing.T) {
	in := installMigrants(t, "")
	for _, out := range []string{in.run("", "migrate", "differences"), in.run("", "migrate", "differences", "--user", "Bob", "--json"), in.run("", "event", "list", "--differing")} {
		contains(t, out, "bob", "accepted_by_tms", "loopback", "our tokens refuse: another OTP PIN than here")
		if code := oath.HOTP(oath.SHA1, aliceSeed, 0, 6); strings.Contains(out, "alice") || strings.Contains(out, "0815") || strings.Contains(out, code) {
			t.Error(out)
		}
	}
	if out := in.run("", "migrate", "differences", "--user", "alice", "--json"); out != "" {
		t.Error(out)
	}
	contains(t, in.run("", "token", "list", "--json"), `"agreed":1`, `"disagreed":1`)

	// The PIN is corrected, and a login later they agree.
	in.run("", "user", "set", "bob", "--pin", "0815")
	in.inStore(func(_ context.Context, p *parts) { acceptedByTMS(t, p, "bob", "0815", 1) })
	in.wantRow(in.run("", "migrate", "cutover", "--all"), "bob", "as configured local -")
}
