package postgrestest

import (
	"errors"
	"fmt"
	"net"
	"testing"
	"time"
)

// Standby starts a synchronous standby, which ends with the test: from now on no commit of
// this server is acknowledged that is not there too. When the standby is killed, commits
// wait, until Alone. Promoted, it takes commits by itself, and may have a standby in turn.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	standby, err := s.newStandby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		standby.remove()
		if s.process != nil { // commits would wait for it
			s.Alone(t)
		}
	})
	if err := s.follow(); err != nil {
		t.Fatal(err)
	}
	return standby
}

// newStandby copies the server and starts the copy.
func (s *Server) newStandby() (*Server, error) {
	address := s.options.StandbyAddress
	if address == "" {
		address = net.JoinHostPort(s.host, "0")
	}
	standby, err := newServer(s.options, address)
	if err != nil {
		return nil, err
	}
	standby.password, standby.standby = s.password, true
	standby.options.StandbyAddress = "" // the next one's
	if err = standby.copy(s); err == nil {
		err = standby.start()
	}
	if err != nil {
		standby.remove()
		return nil, err
	}
	return standby, nil
}

// copy makes the data folder from that of a primary which runs.
func (s *Server) copy(primary *Server) error {
	if err := s.writePassword(); err != nil {
		return err
	}
	_, err := run(s.command("pg_basebackup", "--dbname="+s.dsn(Superuser, primary.Address(), ""), "--pgdata="+s.data(),
		"--write-recovery-conf", "--wal-method=stream", "--create-slot", "--slot=standby_"+s.port, "--checkpoint=fast", "--no-sync"))
	if err != nil {
		return err
	}
	settings := s.settings()
	settings["synchronous_standby_names"] = ""
	return s.configure(settings)
}

// follow has commits wait for the standby, once it is attached.
func (s *Server) follow() error {
	if _, err := s.SQL("postgres", "ALTER SYSTEM SET synchronous_standby_names = 'walreceiver';\nSELECT pg_reload_conf();"); err != nil {
		return err
	}
	for range 500 {
		state, err := s.SQL("postgres", "SELECT sync_state FROM pg_stat_replication WHERE sync_state = 'sync'")
		if err != nil {
			return err
		}
		if state == "sync" {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("the standby is not synchronous after five seconds")
}

// Alone has commits wait for no standby any more.
func (s *Server) Alone(t testing.TB) {
	t.Helper()
	if _, err := s.SQL("postgres", "ALTER SYSTEM SET synchronous_standby_names = '';\nSELECT pg_reload_conf();"); err != nil {
		t.Fatal(err)
	}
}

// Promote makes a standby one that takes writes. It returns when it does.
func (s *Server) Promote(t testing.TB) {
	t.Helper()
	if _, err := run(s.command("pg_ctl", "promote", "--wait", "--silent", "--pgdata="+s.data())); err != nil {
		t.Fatal(fmt.Errorf("promoting the standby: %w", err))
	}
	s.standby = false
}
