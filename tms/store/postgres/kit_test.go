package postgres

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"countersign/otp/seal"
	"countersign/tms/store/postgrestest"
)

// noon is the instant of all attempts.
var noon = time.Unix(1_800_000_000, 0)

// newOptions are those of a new database of a server, without tables.
func newOptions(t testing.TB, server *postgrestest.Server) Options {
	t.Helper()
	o := testOptions(server.DSN(server.CreateDatabase(t)), server.Password())
	o.Logger = newLogger(io.Discard)
	return o
}

// testOptions are the same in every process: the key too. Without TLS there is no second attempt
// at each connection, and a machine that is busy with other tests has more time.
func testOptions(dsn, password string) Options {
	return Options{
		DSN: dsn + "?sslmode=disable&connect_timeout=10", Password: NewPassword([]byte(password)), KEKs: []seal.KEK{newKEK(7)}, Rand: rand.Reader,
		Clock: func() time.Time { return noon }, Node: fmt.Sprintf("node-%d", os.Getpid()), Version: "1.0.0",
		Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
}

func newLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// newKEK is a key that follows from a byte.
func newKEK(b byte) seal.KEK {
	kek, err := seal.NewKEK(bytes.NewReader(bytes.Repeat([]byte{b}, 64)))
	if err != nil {
		panic(err)
	}
	return kek
}

// migrated are newOptions with the tables made.
func migrated(t testing.TB, server *postgrestest.Server) Options {
	t.Helper()
	o := testOptions(server.DSN(migratedDatabase(t, server)), server.Password())
	o.Logger = newLogger(io.Discard)
	return o
}

// empty is a database of the shared server with the tables, which is copied for each test.
var empty struct {
	sync.Once
	name string
}

// migratedDatabase is a new database with the tables.
func migratedDatabase(t testing.TB, server *postgrestest.Server) string {
	t.Helper()
	migrate := func(name string) {
		if _, _, err := Migrate(context.Background(), testOptions(server.DSN(name), server.Password())); err != nil {
			t.Fatal(err)
		}
	}
	if server != postgrestest.Shared(t) {
		name := server.CreateDatabase(t)
		migrate(name)
		return name
	}
	empty.Do(func() {
		if _, err := server.SQL("postgres", "CREATE DATABASE migrated OWNER "+postgrestest.Role); err != nil {
			t.Fatal(err)
		}
		migrate("migrated")
		empty.name = "migrated"
	})
	return server.CopyDatabase(t, empty.name)
}

// connect is a connection to a database, until the end of the test.
func connect(t testing.TB, o Options) *conn {
	t.Helper()
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	d, err := openDatabase(&o)
	if err != nil {
		t.Fatal(err)
	}
	pool, err := d.pool(noPreference)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	held, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(held.Release)
	return connOf(held.Conn().PgConn())
}
