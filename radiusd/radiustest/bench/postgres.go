package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	accounts "os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"countersign/radiusd/radiustest"
)

// database is a PostgreSQL of this program's own on 127.0.0.1, with a standby that can be
// started and stopped.
type database struct {
	dir      string // of PostgreSQL's account
	programs string // the folder of its programs
	password string // of both its users
	account  *syscall.Credential
	cpu      int  // negative for any
	quick    bool // nothing is synced: for tests of this program, never for figures
	primary  *instance
	standby  *instance // nil while there is none
	relay    *relay    // between the two, nil for none
}

// instance is a PostgreSQL process.
type instance struct {
	*database
	cmd   *exec.Cmd
	port  uint16
	dir   string
	log   string
	ended chan struct{} // closed when it has ended
}

// admin is the superuser; owner is the user of Countersign.
const (
	admin = "postgres"
	owner = "countersign"
)

// settings of both processes: what an administrator would change of those that PostgreSQL
// comes with, and enough connections for pgbench. Everything is synced (fsync,
// synchronous_commit and full_page_writes are on).
var settings = []string{
	"listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300",
	"shared_buffers=1GB", "min_wal_size=512MB", "max_wal_size=8GB", "track_io_timing=off", "hot_standby=on",
}

// newDatabase makes the files of a database and of its standby, and starts the first of the
// two. It has to be closed.
func newDatabase(ctx context.Context, cpu int, quick bool) (*database, error) {
	programs, err := findPostgreSQL()
	if err != nil {
		return nil, err
	}
	d := &database{programs: programs, password: rand.Text(), cpu: cpu, quick: quick}
	if d.dir, err = os.MkdirTemp("", "countersign-bench-postgres-"); err != nil {
		return nil, err
	}
	err = d.becomeSomebody()
	if err == nil {
		err = d.create(ctx)
	}
	if err == nil && !quick {
		err = d.age(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("making a PostgreSQL: %w", err), d.close())
	}
	return d, nil
}

// findPostgreSQL returns the folder of the newest PostgreSQL's programs.
func findPostgreSQL() (string, error) {
	servers, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres") // the pattern is right
	if path, err := exec.LookPath("postgres"); err == nil {
		servers = append(servers, path)
	}
	if len(servers) == 0 {
		return "", errors.New("PostgreSQL is not installed (apt-get install postgresql; scripts/bench -store postgres does that as root)")
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path)))) // 0 where it is not said
		return n
	}
	newest := slices.MaxFunc(servers, func(a, b string) int { return version(a) - version(b) })
	return filepath.Dir(newest), nil
}

// becomeSomebody gives the folder to the account postgres when this program is root, whom
// PostgreSQL refuses.
func (d *database) becomeSomebody() error {
	if os.Geteuid() != 0 {
		return nil
	}
	u, err := accounts.Lookup(admin)
	if err != nil {
		return err
	}
	uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
	gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errUID, errGID); err != nil {
		return err
	}
	d.account = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return os.Chown(d.dir, int(uid), int(gid))
}

// create makes the files of both and the user of Countersign.
func (d *database) create(ctx context.Context) error {
	secret := filepath.Join(d.dir, "password")
	if err := os.WriteFile(secret, []byte(d.password+"\n"), 0o644); err != nil { // in a folder of mode 0700
		return err
	}
	primary, standby := filepath.Join(d.dir, "primary"), filepath.Join(d.dir, "standby")
	if err := d.run(ctx, d.program("initdb"), "--no-sync", "--auth=scram-sha-256", "--pwfile="+secret, "--username="+admin,
		"--encoding=UTF8", "--locale=C.UTF-8", "--pgdata="+primary); err != nil {
		return err
	}
	var err error
	if d.primary, err = d.start(ctx, primary); err != nil {
		return err
	}
	if _, err := d.primary.query(ctx, admin, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD '%s'", owner, d.password)); err != nil {
		return err
	}
	return d.run(ctx, d.program("pg_basebackup"), "--no-sync", "--pgdata="+standby, "--host=127.0.0.1", "--port="+d.primary.portText(),
		"--username="+admin, "--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--create-slot", "--slot=standby")
}

// age makes both what a database is that has run for a while: the files of its write-ahead log
// are ones to be used again. A young one makes a new file every 16 MB, fills it with zeros and
// syncs it, and nobody can commit meanwhile.
func (d *database) age(ctx context.Context) error {
	if err := d.withStandby(ctx, 0); err != nil {
		return err
	}
	for range walFiles {
		if _, err := d.primary.query(ctx, admin, "SELECT pg_logical_emit_message(true, 'age', 'more'), pg_switch_wal()"); err != nil {
			return err
		}
	}
	if err := d.rest(ctx); err != nil {
		return err
	}
	return d.withoutStandby(ctx)
}

// walFiles are more than what is written in a measurement.
const walFiles = 24

// rest has both do what they would else do during a measurement.
func (d *database) rest(ctx context.Context) error {
	if _, err := d.primary.query(ctx, admin, "CHECKPOINT"); err != nil || d.standby == nil {
		return err
	}
	if err := d.primary.await(ctx, inSync); err != nil {
		return err
	}
	_, err := d.standby.query(ctx, admin, "CHECKPOINT")
	return err
}

func (d *database) program(name string) string { return filepath.Join(d.programs, name) }

// command is one of PostgreSQL's programs, run by its account.
func (d *database) command(ctx context.Context, argv ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir = d.dir
	cmd.Env = append(os.Environ(), "PGPASSWORD="+d.password)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: d.account}
	return cmd
}

// run runs one of PostgreSQL's programs to its end.
func (d *database) run(ctx context.Context, argv ...string) error {
	if output, err := d.command(ctx, argv...).CombinedOutput(); err != nil {
		return fmt.Errorf("running %s: %w\n%s", filepath.Base(argv[0]), err, tail(output))
	}
	return nil
}

// start starts a PostgreSQL in a folder, with more settings than the usual, and waits until
// it takes connections.
func (d *database) start(ctx context.Context, dir string, more ...string) (*instance, error) {
	addr, err := radiustest.FreePort("tcp")
	if err != nil {
		return nil, err
	}
	i := &instance{database: d, port: addr.Port(), dir: dir, log: dir + ".log",
		ended: make(chan struct{})}
	argv := []string{d.program("postgres"), "-D", dir, "-p", i.portText()}
	for _, setting := range append(slices.Clone(settings), more...) {
		argv = append(argv, "-c", setting)
	}
	if d.quick {
		argv = append(argv, "-F")
	}
	if d.cpu >= 0 {
		argv = append([]string{"taskset", "-c", strconv.Itoa(d.cpu)}, argv...)
	}
	log, err := os.OpenFile(i.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	i.cmd = d.command(context.WithoutCancel(ctx), argv...) // it is stopped, by close
	i.cmd.Stdout, i.cmd.Stderr = log, log
	if err := i.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting PostgreSQL: %w", err)
	}
	go func() { _ = i.cmd.Wait(); close(i.ended) }() // its log tells how it ended
	return i, i.await(ctx, "true")
}

func (i *instance) portText() string { return strconv.Itoa(int(i.port)) }

// stop shuts an instance down as an administrator does, and waits for its end.
func (i *instance) stop() error {
	if err := i.cmd.Process.Signal(syscall.SIGINT); err != nil { // "fast shutdown"
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	select {
	case <-i.ended:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("PostgreSQL does not stop; the last of its log:\n%s", i.logTail())
	}
}

// await asks an instance until a condition is true.
func (i *instance) await(ctx context.Context, condition string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		is, err := i.query(ctx, admin, "SELECT "+condition)
		if is == "t" {
			return nil
		}
		select {
		case <-i.ended:
			return fmt.Errorf("PostgreSQL has ended; the last of its log:\n%s", i.logTail())
		case <-ctx.Done():
			return fmt.Errorf("waiting for PostgreSQL until %s: %w (%v)", condition, ctx.Err(), err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (i *instance) logTail() []byte {
	output, _ := os.ReadFile(i.log) // without it nothing is shown
	return tail(output)
}

// query runs statements, each in a transaction of its own, as the superuser, and returns
// the last of the rows as text.
func (i *instance) query(ctx context.Context, name string, statements ...string) (string, error) {
	argv := []string{i.program("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", i.portText(), "-U", admin, "-d", name}
	for _, statement := range statements {
		argv = append(argv, "-c", statement)
	}
	output, err := i.command(ctx, argv...).CombinedOutput()
	text := strings.TrimSpace(string(output))
	if err != nil {
		return "", fmt.Errorf("asking PostgreSQL: %w\n%s", err, text)
	}
	return text[strings.LastIndexByte(text, '\n')+1:], nil
}

// withStandby has the primary wait for the standby at each commit, which is rtt away, and
// returns when it does.
func (d *database) withStandby(ctx context.Context, rtt time.Duration) error {
	port := d.primary.port
	if rtt > 0 {
		var err error
		if d.relay, err = newRelay(port, rtt/2); err != nil {
			return err
		}
		port = d.relay.port()
	}
	var err error
	d.standby, err = d.start(ctx, filepath.Join(d.dir, "standby"), "primary_slot_name=standby", "cluster_name=standby",
		fmt.Sprintf("primary_conninfo=host=127.0.0.1 port=%d user=%s application_name=standby", port, admin))
	if err != nil {
		return err
	}
	if err := d.replicate(ctx, "*"); err != nil {
		return err
	}
	return d.primary.await(ctx, inSync)
}

// inSync is that the standby is one, and has done all that the primary has.
const inSync = "count(*) = 1 FROM pg_stat_replication WHERE sync_state = 'sync' AND replay_lsn >= pg_current_wal_flush_lsn()"

// withoutStandby stops it.
func (d *database) withoutStandby(ctx context.Context) error {
	if d.standby == nil {
		return nil
	}
	err := errors.Join(d.replicate(ctx, ""), d.standby.stop(), d.relay.close())
	d.standby, d.relay = nil, nil
	return err
}

// replicate tells the primary for whom it waits.
func (d *database) replicate(ctx context.Context, names string) error {
	_, err := d.primary.query(ctx, admin, fmt.Sprintf("ALTER SYSTEM SET synchronous_standby_names = '%s'", names), "SELECT pg_reload_conf()")
	return err
}

// copy makes a database of Countersign's user, as the one named from is, in place of the one
// it had of that name.
func (d *database) copy(ctx context.Context, name, from string) error {
	_, err := d.primary.query(ctx, admin, fmt.Sprintf("DROP DATABASE IF EXISTS %s WITH (FORCE)", name),
		fmt.Sprintf("CREATE DATABASE %s OWNER %s TEMPLATE %s", name, owner, from))
	return err
}

// dsn names a database for Countersign.
func (d *database) dsn(name string) string {
	return fmt.Sprintf("postgres://%s@127.0.0.1:%d/%s?sslmode=disable", owner, d.primary.port, name)
}

// close stops what runs, and removes all files.
func (d *database) close() error {
	var errs []error
	for _, i := range []*instance{d.standby, d.primary} {
		if i != nil {
			errs = append(errs, i.stop())
		}
	}
	return errors.Join(append(errs, d.relay.close(), os.RemoveAll(d.dir))...)
}
