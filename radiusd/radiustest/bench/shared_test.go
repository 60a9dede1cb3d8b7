package main

import (
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"countersign/radiusd/radiustest"
)

// PostgreSQL itself with a standby, and pgbench, beside a stub that does not use them.
func TestMeasureSetup(t *testing.T) {
	b := small(t)
	b.quick, b.store, b.rtt, b.rounds = true, "postgres", 2*time.Millisecond, 1
	defer func(all []sharedMode) { sharedModes = all }(sharedModes)
	sharedModes = []sharedMode{{goalInFlight, 1, true}, {goalInFlight, 2, false}}
	setup := b.setups()[2]
	d, s := stockedDatabase(t, b)
	if err := b.measureSetup(t.Context(), 1, setup, d, s); err != nil {
		t.Fatal(err)
	}
	if len(b.sharing) != 3 {
		t.Fatalf("%d measurements, want one of pgbench, of one server, and of two", len(b.sharing))
	}
	if m := b.sharing[0]; m.Result.Accepted == 0 || m.DatabaseCPU == 0 || m.StandbyCPU == 0 || m.WAL < 50 || m.Result.P50 < b.rtt {
		t.Errorf("pgbench: %+v", m)
	}
	if m := b.sharing[2]; m.Result.Accepted == 0 || m.Nodes != 2 || m.WAL > 50 {
		t.Errorf("two stubs: %+v", m)
	}
	var out strings.Builder
	if err := b.printShared(&out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"256 in flight, with a synchronous standby that is 2ms away", "256 in flight on 2 nodes", "pgbench", "times as good", "4 times pgbench"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &out)
		}
	}
	path := filepath.Join(t.TempDir(), "results.json")
	if err := b.writeJSON(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var again []shared
	if err := json.Unmarshal(text, &again); err != nil || !reflect.DeepEqual(again, b.sharing) {
		t.Errorf("the file has %+v, error %v, want %+v", again, err, b.sharing)
	}
}

// stockedDatabase is a database that goes with the test, with pgbench's table and the stub's.
func stockedDatabase(t *testing.T, b *bench) (*database, stocked) {
	t.Helper()
	d, err := newDatabase(t.Context(), b.serverCPU, b.quick)
	if err != nil {
		t.Fatalf("%v (scripts/test installs it)", err)
	}
	t.Cleanup(func() {
		if err := d.close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.stockPgbench(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	if err := d.copy(t.Context(), stockedName, "template1"); err != nil {
		t.Fatal(err)
	}
	s, err := b.stock(t.Context(), countersign{binary: b.binary, store: d}, b.users)
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(filepath.Join(s.dir, "countersign.toml"))
	if err != nil || !strings.Contains(string(config), `dsn = "postgres://countersign@127.0.0.1:`) {
		t.Fatalf("the server's file, error %v:\n%s", err, config)
	}
	return d, s
}

func TestPgbenchLogsAreRead(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "pgbench")
	for name, text := range map[string]string{
		".7":   "0 1 1500 0 1000 999999\n1 1 2500 0 1001 0\n0 2 500 0 1001 500000\n",
		".7.1": "2 1 3500 0 1001 999999\n2 2 4500 0 1002 0\n",
	} {
		if err := os.WriteFile(prefix+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	took, err := readPgbenchLogs(prefix, time.Unix(1001, 0), time.Unix(1002, 0))
	if err != nil || len(took) != 3 {
		t.Fatalf("%v, error %v, want three transactions", took, err)
	}
	r := pgbenchResult(took, time.Second)
	if r.Accepted != 3 || r.AcceptedPerSecond != 3 || r.P50 != 2500*time.Microsecond || r.Max != 3500*time.Microsecond {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile(prefix+".8", []byte("pgbench: error\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readPgbenchLogs(prefix, time.Unix(1001, 0), time.Unix(1002, 0)); err == nil {
		t.Error("a line that is none was read")
	}
}

func TestFamilyCPU(t *testing.T) {
	proc := t.TempDir()
	for pid, text := range map[string]string{
		"10": "10 (post) gres) S 1 0 0 0 0 0 0 0 0 0 100 20 3 4 20 0 1 0",
		"11": "11 (a b) R 10 0 0 0 0 0 0 0 0 0 1000 200 0 0 20 0 1 0",
		"12": "12 (other) R 1 0 0 0 0 0 0 0 0 0 9000 9000 0 0 20 0 1 0",
	} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := familyCPU(proc, 10); err != nil || got != 1327*tick {
		t.Errorf("%v, error %v, want %v", got, err, 1327*tick)
	}
	if _, err := familyCPU(proc, 99); err == nil {
		t.Error("a process that is not there has CPU time")
	}
}

func TestSharesAndSums(t *testing.T) {
	var m shared
	m.add(radiustest.Result{Accepted: 100, AcceptedPerSecond: 50, ServerCPU: 10, P99: 7})
	m.add(radiustest.Result{Accepted: 300, AcceptedPerSecond: 150, ServerCPU: 30, P99: 5})
	if r := m.Result; r.Accepted != 400 || r.AcceptedPerSecond != 200 || r.ServerCPU != 25 || r.P99 != 7 {
		t.Errorf("%+v", r)
	}
	start := time.Unix(1000, 0)
	m.share(usage{at: start}, usage{start.Add(2 * time.Second), 4 * time.Millisecond, 2 * time.Millisecond, 8000, 100})
	if m.DatabaseCPU != 10*time.Microsecond || m.StandbyCPU != 5*time.Microsecond || m.WAL != 20 || m.Commits != 50 || perCommit(m) != 4 {
		t.Errorf("%+v", m)
	}
}

func TestRelayTakesItsTime(t *testing.T) {
	echo, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			c, err := echo.Accept()
			if err != nil {
				return
			}
			_, _ = io.Copy(c, c)
			c.Close()
		}
	}()
	const takes = 20 * time.Millisecond
	r, err := newRelay(uint16(echo.Addr().(*net.TCPAddr).Port), takes)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp4", r.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	b := make([]byte, 5)
	began := time.Now()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(c, b); err != nil || string(b) != "hello" || time.Since(began) < 2*takes {
		t.Errorf("%q after %v, error %v, want it no sooner than %v", b, time.Since(began), err, 2*takes)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(b); err == nil {
		t.Error("a connection outlives the relay")
	}
}
