package postgrestest

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestMain(m *testing.M) { os.Exit(Main(m.Run)) }

// A commit that was acknowledged is on the standby when the primary is killed.
func TestStandbyTakesOver(t *testing.T) {
	primary := Start(t, Options{})
	standby := primary.Standby(t)
	database := primary.CreateDatabase(t)
	if _, err := primary.SQL(database, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	left := children(primary.process.pid)
	primary.Kill()
	for _, pid := range left {
		if b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cmdline"); err == nil && strings.Contains(string(b), "postgres") {
			t.Errorf("process %d is left: %q", pid, b)
		}
	}
	if _, err := standby.SQL(database, "INSERT INTO kept VALUES (8)"); err == nil {
		t.Error("the standby takes writes before it is promoted")
	}
	standby.Promote(t)
	out, err := standby.SQL(database, "INSERT INTO kept VALUES (8); SELECT n FROM kept ORDER BY n")
	if err != nil || out != "7\n8" {
		t.Errorf("the promoted standby has %q, error %v", out, err)
	}
}

// A server that was killed, and one that was stopped, come back with what they had.
func TestRestart(t *testing.T) {
	s := Start(t, Options{})
	database := s.CreateDatabase(t)
	if _, err := s.SQL(database, "CREATE TABLE kept (n int)"); err != nil {
		t.Fatal(err)
	}
	for _, end := range []func(){s.Kill, s.Stop, func() {}} {
		end()
		s.Restart(t)
		if _, err := s.SQL(database, "INSERT INTO kept VALUES (1)"); err != nil {
			t.Fatal(err)
		}
	}
}

// Role is no superuser, and its password is asked for.
func TestRole(t *testing.T) {
	s := Shared(t)
	database := s.CreateDatabase(t)
	if again := Shared(t); again != s {
		t.Error("another server the second time")
	}
	command := s.command("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command=SELECT current_setting('is_superuser')", s.DSN(database))
	if out, err := run(command); err != nil || out != "off\n" {
		t.Errorf("superuser %q, error %v", out, err)
	}
	wrong := s.command("psql", "--no-psqlrc", "--no-password", "--command=SELECT 1", s.DSN(database))
	wrong.Env = append(wrong.Env, "PGPASSFILE=/dev/null")
	if out, err := run(wrong); err == nil {
		t.Errorf("let in without a password: %q", out)
	}
}
