package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"countersign/radiusd/radiustest"
)

// TestFreeRADIUSKeepsAccounting has FreeRADIUS itself take a load, and finds in its file
// what it answered.
func TestFreeRADIUSKeepsAccounting(t *testing.T) {
	path, err := findFreeRADIUS()
	if err != nil {
		t.Fatal(err)
	}
	for module, kept := range map[string]func(*testing.T, string) int{"detail": recordsInDetail, "sql": recordsInSQLite} {
		t.Run(module, func(t *testing.T) {
			b := small(t)
			s, err := b.stock(t.Context(), freeRADIUS{path, 5, module}, 300)
			if err != nil {
				t.Fatal(err)
			}
			if err := b.account(t.Context(), 1, s); err != nil {
				t.Fatal(err)
			}
			got := b.accounted[0]
			if got.Server != "FreeRADIUS "+module || got.All < got.Result.ServerCPU/2 {
				t.Errorf("%+v", got)
			}
			if n := kept(t, filepath.Join(b.dir, "running")); n < int(got.Result.Accepted) {
				t.Errorf("%d records answered, and %d kept", got.Result.Accepted, n)
			}
		})
	}
}

func recordsInDetail(t *testing.T, dir string) int {
	text, err := os.ReadFile(filepath.Join(dir, "detail"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Count(string(text), "Acct-Session-Id =")
}

// recordsInSQLite counts what can be seen of records in a row for each session.
func recordsInSQLite(t *testing.T, dir string) (n int) {
	db, err := sql.Open("sqlite", filepath.Join(dir, "accounting.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const count = `SELECT count(*) + count(acctstoptime) + count(CASE WHEN acctupdatetime > acctstarttime OR acctinputoctets > 0 OR acctstoptime IS NOT NULL THEN 1 END) FROM radacct`
	if err := db.QueryRow(count).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestPrintAccounting(t *testing.T) {
	b := small(t)
	b.accounted = []accounted{
		{1, "Countersign", radiustest.Result{Accepted: 1000, AcceptedPerSecond: 90_000, ServerCPU: 5 * time.Microsecond}, 20 * time.Microsecond},
		{1, "FreeRADIUS detail", radiustest.Result{Accepted: 500, AcceptedPerSecond: 45_000, ServerCPU: 10 * time.Microsecond}, 10 * time.Microsecond},
	}
	var out strings.Builder
	if err := b.printAccounting(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"times FreeRADIUS detail", "90,000", "2.00", "until it rests"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &out)
		}
	}
}
