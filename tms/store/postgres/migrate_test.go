package postgres

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"countersign/tms/store/postgrestest"
)

// Several programs that migrate a database at once are right.
func TestMigrate(t *testing.T) {
	o := newOptions(t, postgrestest.Shared(t))
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if _, to, err := Migrate(t.Context(), o); to != schemaVersion || err != nil {
				t.Errorf("migrated to %d, error %v", to, err)
			}
		})
	}
	wg.Wait()
	from, to, err := Migrate(t.Context(), o)
	if from != schemaVersion || to != schemaVersion || err != nil {
		t.Errorf("once more from %d to %d, error %v", from, to, err)
	}
}

// A database of somebody else has no place for tables.
func TestMigrateNeedsARight(t *testing.T) {
	server := postgrestest.Shared(t)
	o := newOptions(t, server)
	database, _, _ := strings.Cut(o.DSN[strings.LastIndexByte(o.DSN, '/')+1:], "?")
	if _, err := server.SQL("postgres", "ALTER DATABASE "+database+" OWNER TO postgres"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := Migrate(t.Context(), o); err == nil || !strings.Contains(err.Error(), "ALTER DATABASE "+database+" OWNER TO countersign") {
		t.Errorf("error %v", err)
	}
}

// Tables that are not there, older or newer are refused with what to do. Newer ones may be
// allowed to work with.
func TestRefusedVersions(t *testing.T) {
	o := newOptions(t, postgrestest.Shared(t))
	refused := func(why string, want ...string) {
		t.Helper()
		s, err := Open(t.Context(), o)
		if err == nil {
			_ = s.Close()
			t.Fatalf("%s: opened", why)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: error %q does not say %q", why, err, w)
			}
		}
	}
	refused("empty", "countersign store migrate", "no tables")
	if _, _, err := Migrate(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	c := connect(t, o)
	newer := schemaVersion + 1
	must(t, c.Exec(fmt.Sprintf("INSERT INTO %s (version_id, is_applied) VALUES (%d, true)", migrationTable, newer)),
		c.Exec(writeNumber, metaMinVersion, newer), c.Exec(writeBytes, metaMigratedBy, []byte("9.9")), c.flush())
	refused("newer", "Countersign 9.9", fmt.Sprintf("version %d", newer), "1.0.0")
	if _, _, err := Migrate(t.Context(), o); err == nil || !strings.Contains(err.Error(), "Countersign 9.9") {
		t.Errorf("migrating a newer one: error %v", err)
	}
	must(t, c.Exec(writeNumber, metaMinVersion, schemaVersion), c.flush())
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("newer, and we may work with it: %v", err)
	}
	must(t, s.Close())
	must(t, c.Exec("DELETE FROM "+migrationTable+" WHERE version_id > 0"), c.Exec("INSERT INTO "+migrationTable+" (version_id, is_applied) VALUES (-1, true)"), c.flush())
	refused("older", "countersign store migrate")
}

// A DSN that cannot be read is not shown.
func TestDSNIsNotShown(t *testing.T) {
	for _, dsn := range []string{"postgres://u:hunter2@h:port/d", "postgres://u:hunter2@h:1/d?sslmode=strange", "host=h password=hunter2 port=x", "postgres://u:hunter2@h:1/d?sslmode=verify-full&sslrootcert=/nowhere/ca.pem"} {
		o := testOptions("", "")
		o.DSN = dsn
		_, _, err := Migrate(t.Context(), o)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v", dsn, err)
		}
		if strings.Contains(dsn, "ca.pem") && (err == nil || !strings.Contains(err.Error(), "/nowhere/ca.pem")) {
			t.Errorf("error %v does not name the file", err)
		}
	}
	if p := NewPassword([]byte("hunter2")); strings.Contains(fmt.Sprintf("%v %+v %#v %s", p, p, p, p), "hunter2") {
		t.Error("a password is printed")
	}
	o := testOptions("postgres://u@127.0.0.1:1/d", "hunter2")
	if _, _, err := Migrate(t.Context(), o); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("nobody there: error %v", err)
	}
}
