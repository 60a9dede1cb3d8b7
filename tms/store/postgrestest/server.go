package postgrestest

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Role is the name by which tests connect. It may make databases, but is no superuser.
const Role = "countersign"

// Superuser is the name of who may do everything, with the same password.
const Superuser = "postgres"

// Options say how a server is started. The zero value is right for most tests.
type Options struct {
	// Address is where it listens, "127.0.0.1:0" if empty; port 0 is a free one.
	Address string
	// StandbyAddress is the same for its standby: the host of Address and a free port, if
	// empty.
	StandbyAddress string
	// Prefix is a command with arguments that runs another one after them, such as
	// "ip", "netns", "exec", "db"; in a namespace ports have to be given.
	Prefix []string
	// Durable has commits reach the disk. Without it only what kills the machine, not what
	// kills the server, loses them.
	Durable bool
	// Settings are lines of postgresql.conf, by name.
	Settings map[string]string
}

// Server is a PostgreSQL server. Its methods are not safe for concurrent use, but for
// those that only tell something.
type Server struct {
	options  Options
	programs string   // folder of PostgreSQL's programs
	folder   string   // all that belongs to it
	living   *os.File // its lock says that this process lives, which has the folder
	host     string
	port     string
	password string
	standby  bool
	process  *process // nil while it does not run
}

// Start starts a server that ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	s, err := launch(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.remove)
	return s
}

// launch makes a server and starts it.
func launch(o Options) (*Server, error) {
	if o.Address == "" {
		o.Address = "127.0.0.1:0"
	}
	s, err := newServer(o, o.Address)
	if err != nil {
		return nil, err
	}
	s.password = rand.Text()
	if err = s.initialize(); err == nil {
		err = s.start()
	}
	if err != nil {
		s.remove()
		return nil, err
	}
	return s, nil
}

// newServer finds the programs and a port, and makes the folder.
func newServer(o Options, address string) (*Server, error) {
	s := &Server{options: o}
	var err error
	if s.programs, err = findPrograms(); err != nil {
		return nil, err
	}
	if s.host, s.port, err = freePort(address); err != nil {
		return nil, err
	}
	sweep(parent(o))
	if s.folder, err = os.MkdirTemp(parent(o), folderName); err != nil {
		return nil, err
	}
	if s.living, err = lockFolder(s.folder); err == nil {
		err = s.own(s.folder)
	}
	return s, err
}

// lockFolder locks a folder for as long as this process lives. Its number would tell nobody
// that, because tests have processes of their own namespaces.
func lockFolder(folder string) (*os.File, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// parent is where the folder of a server is made: where files are in memory, if it need not be
// durable, because a database is a thousand files.
func parent(o Options) string {
	const memory, enough = "/dev/shm", 1 << 30
	var room syscall.Statfs_t
	if o.Durable || syscall.Statfs(memory, &room) != nil || room.Bavail*uint64(room.Bsize) < enough {
		return "" // that of all temporary files
	}
	return memory
}

// folderName begins the names of the folders of servers.
const folderName = "countersign-postgrestest-"

// sweep removes what tests have left that were killed. A folder that is new is left alone: its
// process may be about to lock it.
func sweep(parent string) {
	if parent == "" {
		parent = os.TempDir()
	}
	left, _ := filepath.Glob(filepath.Join(parent, folderName+"*"))
	for _, folder := range left {
		info, err := os.Stat(folder)
		if err != nil || time.Since(info.ModTime()) < time.Minute {
			continue
		}
		if f, err := lockFolder(folder); err == nil {
			_ = os.RemoveAll(folder)
			_ = f.Close()
		}
	}
}

// findPrograms is the folder of the newest PostgreSQL that is installed as Debian does, or
// that of the one in the path.
func findPrograms() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) > 0 {
		return filepath.Dir(found[len(found)-1]), nil
	}
	for _, folder := range filepath.SplitList(os.Getenv("PATH")) {
		if _, err := os.Stat(filepath.Join(folder, "initdb")); err == nil {
			return folder, nil
		}
	}
	return "", errors.New("PostgreSQL is not installed here: scripts/test installs it (package postgresql-15)")
}

// freePort replaces port 0 by one that is free, and that the system gives to nobody who asks
// for any: a server that is started again still finds it free.
func freePort(address string) (host, port string, err error) {
	if host, port, err = net.SplitHostPort(address); err != nil || port != "0" {
		return host, port, err
	}
	for range 100 {
		port = strconv.Itoa(16384 + mathrand.N(16384))
		l, failed := net.Listen("tcp", net.JoinHostPort(host, port))
		if err = failed; err == nil {
			return host, port, l.Close()
		}
	}
	return "", "", err
}

// Address is host and port where the server listens.
func (s *Server) Address() string { return net.JoinHostPort(s.host, s.port) }

// Password is that of Role and of Superuser.
func (s *Server) Password() string { return s.password }

// PasswordFile is a file that has Password, which only its owner can read.
func (s *Server) PasswordFile() string { return filepath.Join(s.folder, "password") }

// DSN is the address of a database, for Role and without the password.
func (s *Server) DSN(database string) string { return s.dsn(Role, s.Address(), database) }

// URL is DSN with the password in it.
func (s *Server) URL(database string) string {
	u := url.URL{Scheme: "postgresql", User: url.UserPassword(Role, s.password), Host: s.Address(), Path: database}
	return u.String()
}

// MultiDSN is the DSN of a database that is on one of several servers: the one that takes
// writes.
func (s *Server) MultiDSN(database string, others ...*Server) string {
	hosts := []string{s.Address()}
	for _, o := range others {
		hosts = append(hosts, o.Address())
	}
	return s.dsn(Role, strings.Join(hosts, ","), database) + "?target_session_attrs=read-write"
}

func (s *Server) dsn(role, hosts, database string) string {
	return "postgresql://" + role + "@" + hosts + "/" + database
}

// SQL runs statements as Superuser by psql, each by itself, and returns what they print:
// a line a row, columns between |.
func (s *Server) SQL(database, statements string) (string, error) {
	command := s.command("psql", "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1", s.dsn(Superuser, s.Address(), database))
	command.Stdin = strings.NewReader(statements)
	out, err := run(command)
	return strings.TrimSuffix(out, "\n"), err
}

// CreateDatabase makes an empty database, which is Role's, and drops it at the end of the
// test.
func (s *Server) CreateDatabase(t testing.TB) string {
	t.Helper()
	return s.CopyDatabase(t, "template1")
}

// CopyDatabase is CreateDatabase with what is in another database, to which nobody is
// connected.
func (s *Server) CopyDatabase(t testing.TB, from string) string {
	t.Helper()
	b := make([]byte, 6)
	_, _ = rand.Read(b) // it never fails
	name := "test_" + hex.EncodeToString(b)
	if _, err := s.SQL("postgres", "CREATE DATABASE "+name+" OWNER "+Role+" TEMPLATE "+from+" STRATEGY FILE_COPY"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if s.process == nil {
			return // it goes with the server
		}
		if _, err := s.SQL("postgres", "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Logf("dropping a test's database: %v", err)
		}
	})
	return name
}

// initialize makes the data folder and the roles, before the server runs.
func (s *Server) initialize() error {
	if err := s.writePassword(); err != nil {
		return err
	}
	_, err := run(s.command("initdb", "--pgdata="+s.data(), "--username="+Superuser, "--pwfile="+s.PasswordFile(),
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"))
	if err != nil {
		return err
	}
	if err := errors.Join(s.admitNeighbours(), s.configure(s.settings())); err != nil {
		return err
	}
	single := s.command("postgres", "--single", "-D", s.data(), "postgres")
	single.Stdin = strings.NewReader(fmt.Sprintf("CREATE ROLE %s LOGIN CREATEDB PASSWORD '%s'\n", Role, s.password))
	_, err = run(single)
	return err
}

// writePassword writes the password in the two forms in which it is read.
func (s *Server) writePassword() error {
	for path, text := range map[string]string{s.PasswordFile(): s.password + "\n", s.passFile(): "*:*:*:*:" + s.password + "\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
		if err := s.own(path); err != nil {
			return err
		}
	}
	return nil
}

// settings are the lines that all servers have, and those of the options.
func (s *Server) settings() map[string]string {
	all := map[string]string{
		"listen_addresses": s.host, "port": s.port, "unix_socket_directories": "",
		"logging_collector": "off", "log_line_prefix": "%m [%p] %a ", "wal_log_hints": "on",
		"shared_buffers": "64MB", "max_wal_size": "256MB",
		"dynamic_shared_memory_type": "mmap", // in the folder, so that a server that is killed leaves nothing
	}
	if !s.options.Durable {
		all["fsync"] = "off"
	}
	for name, value := range s.options.Settings {
		all[name] = value
	}
	return all
}

// admitNeighbours has whoever is on the same network come in with the password: nodes may
// be in network namespaces of their own.
func (s *Server) admitNeighbours() error {
	return appendTo(filepath.Join(s.data(), "pg_hba.conf"), "host all all samenet scram-sha-256\nhost replication all samenet scram-sha-256\n")
}

// configure appends settings; the last of a name counts.
func (s *Server) configure(settings map[string]string) error {
	var lines strings.Builder
	for name, value := range settings {
		fmt.Fprintf(&lines, "%s = '%s'\n", name, strings.ReplaceAll(value, "'", "''"))
	}
	return appendTo(filepath.Join(s.data(), "postgresql.auto.conf"), lines.String())
}

func appendTo(path, text string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

func (s *Server) data() string     { return filepath.Join(s.folder, "data") }
func (s *Server) passFile() string { return filepath.Join(s.folder, "pgpass") }
func (s *Server) logFile() string  { return filepath.Join(s.folder, "log") }
