package postgres

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"countersign/otp"
	"countersign/otp/seal"
	"countersign/tms"
	"countersign/tms/store/postgrestest"
	"countersign/tms/store/tables"
)

// TestRefusals: why there is no connection is told in one line, with each host once, without
// what came of the try with TLS, and with how to mend it.
func TestRefusals(t *testing.T) {
	server := postgrestest.Shared(t)
	database := server.CreateDatabase(t)
	there := strings.TrimSuffix(server.DSN(database), database)
	nobody := "127.0.0.1:1"
	for name, test := range map[string]struct {
		dsn, password, file string
		want                []string
	}{
		"wrong password": {server.DSN(database), "hunter2", "/etc/db.password", []string{
			"user countersign cannot connect to database " + database + " at " + server.Address() + ": the password in /etc/db.password is wrong", "ALTER ROLE countersign PASSWORD"}},
		"no password":     {server.DSN(database), "", "", []string{"password_file in [store]"}},
		"no database":     {there + "nothing", server.Password(), "", []string{"there is no such database: createdb -O countersign nothing"}},
		"no such setting": {server.DSN(database) + "?foo=bar", server.Password(), "", []string{`"foo"`, "correct the settings after the ? of dsn"}},
		"nobody there": {strings.ReplaceAll(server.DSN(database), server.Address(), nobody+",127.0.0.2:1"), "x", "", []string{
			"at 127.0.0.1:1, 127.0.0.2:1: connection refused: is PostgreSQL running there", "listen_addresses"}},
		"no such name": {strings.ReplaceAll(server.DSN(database), server.Address(), "database.invalid"), "x", "", []string{"database.invalid: there is no such name here"}},
	} {
		t.Run(name, func(t *testing.T) {
			o := testOptions("", "")
			o.DSN, o.Password = test.dsn, NewPassword([]byte(test.password)).From(test.file) // sslmode is prefer
			_, err := Look(t.Context(), o)
			wantPlain(t, err, test.want...)
		})
	}
}

// wantPlain wants an error of connecting in plain words.
func wantPlain(t *testing.T, err error, want ...string) {
	t.Helper()
	var driver *pgconn.ConnectError
	if !errors.As(err, &driver) {
		t.Fatalf("error %v does not unwrap to that of the driver", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
	for _, w := range []string{"\n", "\t", "`", "tls error", "hunter2", "failed to connect", "ValidateConnect"} {
		if strings.Contains(err.Error(), w) {
			t.Errorf("error %q says %q", err, w)
		}
	}
	if host := driver.Config.Host; strings.Count(err.Error(), host) != 1 {
		t.Errorf("error %q names %s not once", err, host)
	}
}

// TestCommitsThatWait: without its synchronous standby the database can be read, and what
// keeps logins and acts from it is told.
func TestCommitsThatWait(t *testing.T) {
	t.Parallel()
	server := postgrestest.Start(t, postgrestest.Options{})
	o := migrated(t, server)
	s := openStore(t, o.as("a"))
	addUsers(t, s, "kay")
	standby := server.Standby(t)

	alone := o
	alone.DSN = strings.ReplaceAll(o.DSN, server.Address(), standby.Address())
	_, err := Look(t.Context(), alone)
	wantPlain(t, err, "it is a standby", "dsn must name the primary too", "promoted")

	standby.Kill()
	if _, err := otp.NewVerifier(s, otp.DefaultPolicy()).Verify(t.Context(), loginAttempt(1, "")); err == nil {
		t.Error("a login was decided")
	}
	const why = "no synchronous standby is attached: commits wait, logins are silent: start the standby"
	soon(t, "the cause is told", func() bool { err := s.Ready(); return err != nil && strings.Contains(err.Error(), why) })
	found := false
	must(t, s.Users(t.Context(), tms.Filter{}, func(u *tms.User) error { found = found || u.Name == "kay"; return nil }))
	must(t, s.Events(t.Context(), tms.Filter{User: "kay"}, func(*tms.Event) error { return nil }))
	if !found {
		t.Error("the users cannot be read")
	}
	if err := s.Record(t.Context(), tms.Act{At: noon, Actor: "test", Verb: "x"}); err == nil || !strings.Contains(err.Error(), why) {
		t.Errorf("an act: error %v", err)
	}
	server.Alone(t)
	soon(t, "it is back", func() bool { return s.Ready() == nil })
}

// TestKeyFileOfAnotherNode: a node whose key file is of before a rotation says so, until it has
// the new one.
func TestKeyFileOfAnotherNode(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	a := openStore(t, o.as("a"))
	keys := make(chan []seal.KEK, 1)
	keys <- o.KEKs
	o.KeyFile = "/etc/countersign.key"
	o.ReadKEKs = func() ([]seal.KEK, error) {
		file := <-keys
		keys <- file
		return file, nil
	}
	log := new(syncWriter)
	o.Logger = newLogger(log)
	openStore(t, o.as("b"))
	wrong := func() string {
		v, err := a.Cluster(t.Context())
		must(t, err)
		for _, n := range v.Nodes {
			if n.Name == "b" {
				return n.KeyFile
			}
		}
		return "there is no node b"
	}
	must(t, a.RotateKeys(t.Context(), newKEK(9), nil))
	soon(t, "b is known to lack the key", func() bool { return wrong() == o.KeyFile })
	if got := strings.Count(log.String(), "this node cannot be started again"); got != 1 {
		t.Errorf("said %d times: %s", got, log)
	}
	<-keys
	keys <- []seal.KEK{newKEK(9)}
	soon(t, "b has the key", func() bool { return strings.Contains(log.String(), "opens the store again") })
}

// TestForgetNode takes off the list who is not there any more, and nobody else.
func TestForgetNode(t *testing.T) {
	o := migrated(t, postgrestest.Shared(t))
	a := openStore(t, o.as("a"))
	must(t, engine{a}.Do(t.Context(), func(w tables.Conn) error {
		return w.Exec("INSERT INTO node (name, instance, process, version, schema, started, seen, skew) VALUES ('gone', 'x', '', '1', 1, 0, " + clockNow + " - 60000000, 0)")
	}))
	act := tms.Act{At: noon, Actor: "test", Verb: "cluster.forget", Object: "gone"}
	for name, want := range map[string]error{"a": tms.ErrInvalid, "b": tms.ErrNotFound} {
		if err := a.ForgetNode(t.Context(), name, act); !errors.Is(err, want) {
			t.Errorf("node %s: %v, want %v", name, err, want)
		}
	}
	must(t, a.ForgetNode(t.Context(), "gone", act))
	v, err := a.Cluster(t.Context())
	must(t, err)
	recorded := 0
	must(t, a.Events(t.Context(), tms.Filter{}, func(e *tms.Event) error {
		if e.Verb == act.Verb && e.Object == "gone" {
			recorded++
		}
		return nil
	}))
	if len(v.Nodes) != 1 || recorded != 1 {
		t.Errorf("nodes %+v, recorded %d times", v.Nodes, recorded)
	}
}
