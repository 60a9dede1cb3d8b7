package postgres

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"countersign/tms"
	"countersign/tms/store/postgrestest"
	"countersign/tms/store/tables"
)

func noPreference(*pgx.ConnConfig) {}

func TestNumbered(t *testing.T) {
	for sql, want := range map[string]string{
		`SELECT ?, ?`:                         `SELECT $1, $2`,
		`SELECT '?' || ? || "a?" || 'it''s?'`: `SELECT '?' || $1 || "a?" || 'it''s?'`,
		`SELECT 1`:                            `SELECT 1`,
	} {
		if got := numbered(sql); got != want {
			t.Errorf("%s\nis numbered %s\nwant       %s", sql, got, want)
		}
	}
}

// Values come back as they were sent, whatever the type of the column.
func TestValues(t *testing.T) {
	c := connect(t, newOptions(t, postgrestest.Shared(t)))
	must(t, c.Exec("CREATE TEMPORARY TABLE v (n BIGINT, i INT, s SMALLINT, t TEXT, b BYTEA)"), c.flush())
	any256 := make([]byte, 256)
	for i := range any256 {
		any256[i] = byte(i)
	}
	for _, args := range [][]driver.Value{
		{int64(math.MinInt64), int64(math.MaxInt32), int64(-1), "grüße", any256},
		{nil, nil, nil, nil, nil},
		{int64(0), int64(0), int64(0), "", []byte{}},
	} {
		must(t, c.Exec("DELETE FROM v"), c.Exec("INSERT INTO v VALUES (?, ?, ?, ?, ?)", args...))
		var got []driver.Value
		must(t, c.Query("SELECT n, i, s, t, b FROM v", func(r tables.Row) error {
			got = append(got, r...)
			return nil
		}))
		if !reflect.DeepEqual(got, args) {
			t.Errorf("sent %v, got %v", args, got)
		}
	}
	// A text goes where bytes are due, and bytes where a text is, and a sum is a number.
	must(t, c.Exec("INSERT INTO v VALUES (?, ?, ?, ?, ?)", int64(7), true, false, []byte("text"), "any\x00\xff"))
	must(t, c.Query("SELECT t, b, i, (SELECT sum(n) FROM v) FROM v WHERE n = ?", func(r tables.Row) error {
		if r.Text(0) != "text" || r.Text(1) != "any\x00\xff" || r.Integer(2) != 1 || r.Integer(3) != 7 {
			t.Errorf("got %q", r)
		}
		return nil
	}, int64(7)))
}

// What is no text is refused here, and named.
func TestNoText(t *testing.T) {
	c := connect(t, newOptions(t, postgrestest.Shared(t)))
	for _, text := range []string{"a\x00b", "a\xffb"} {
		_, err := c.Number("SELECT 1 WHERE 'x' = ?::text", text)
		if !errors.Is(err, tms.ErrInvalid) || !strings.Contains(err.Error(), fmt.Sprintf("%q", text)) {
			t.Errorf("%q: error %v", text, err)
		}
	}
	for _, wrong := range []struct {
		sql string
		arg driver.Value
	}{{"SELECT ?::bigint", "text"}, {"SELECT ?::int", int64(1 << 40)}, {"SELECT ?::bytea", int64(1)}, {"SELECT ?::text", 1.5}} {
		if _, err := c.Number(wrong.sql, wrong.arg); err == nil {
			t.Errorf("%s takes %v", wrong.sql, wrong.arg)
		}
	}
	if n, err := c.Number("SELECT 5"); n != 5 || err != nil {
		t.Errorf("the connection is of no use afterwards: %d, error %v", n, err)
	}
}

// A statement that fails is told of by the next one that is waited for, and nothing that
// came after it is done.
func TestDeferredError(t *testing.T) {
	c := connect(t, newOptions(t, postgrestest.Shared(t)))
	must(t, c.Exec("CREATE TEMPORARY TABLE v (n BIGINT PRIMARY KEY)"), c.Exec("BEGIN"), c.flush())
	must(t, c.Exec("INSERT INTO v VALUES (?)", int64(1)), c.Exec("INSERT INTO v VALUES (?)", int64(1)), c.Exec("INSERT INTO v VALUES (?)", int64(2)))
	if _, err := c.Number("SELECT count(*) FROM v"); sqlState(err) != stateDuplicate {
		t.Errorf("error %v, want a duplicate", err)
	}
	must(t, c.Exec("ROLLBACK"), c.flush())
	if n, err := c.Number("SELECT count(*) FROM v"); n != 0 || err != nil {
		t.Errorf("%d rows, error %v", n, err)
	}
	stop := errors.New("enough")
	if err := c.Query("SELECT generate_series(1, 10)", func(tables.Row) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v, want that of the function", err)
	}
	if n, err := c.Number("SELECT 5"); n != 5 || err != nil {
		t.Errorf("the connection is of no use afterwards: %d, error %v", n, err)
	}
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func FuzzNumbered(f *testing.F) {
	for _, sql := range []string{`SELECT ?`, `'?'?"?"`, `''?`, `"`, "?é?"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		got := numbered(sql)
		if strings.Count(sql, "?") == 0 && got != sql {
			t.Errorf("%q became %q", sql, got)
		}
	})
}
