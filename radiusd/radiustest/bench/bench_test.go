package main

import (
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/radiusd/radiustest"
)

// small is a bench of the stub that lasts as little as it can, on any CPU.
func small(t *testing.T) *bench {
	t.Helper()
	t.Setenv("GORACE", "atexit_sleep_ms=0") // or each stub takes a second to end
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &bench{
		options: options{
			binary: program, only: "countersign", users: 300, rounds: 2, serverCPU: -1, generatorCPU: -1,
			duration: 50 * time.Millisecond, warmup: 10 * time.Millisecond,
		},
		dir: t.TempDir(), progress: io.Discard,
	}
}

func TestCompareServers(t *testing.T) {
	b := small(t)
	var out strings.Builder
	if err := b.compareServers(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if len(b.done) != 2*3 {
		t.Errorf("%d measurements, want two rounds of three modes", len(b.done))
	}
	for _, want := range []string{"8 x 32", "256 x 1", "20,000 logins", "Countersign", "server CPU a login", "µs"} {
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
	var again []measurement
	if err := json.Unmarshal(text, &again); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(again, b.done) {
		t.Errorf("the file has %+v, want %+v", again, b.done)
	}
}

func TestCompareSizes(t *testing.T) {
	b := small(t)
	b.rounds, b.users, b.tokens = 1, 300, 1000
	var out strings.Builder
	if err := b.compareSizes(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"300 active users of 1,000", "any of 1,000, right after", "any of 1,000, at rest", "after a stop", "after kill -9"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the table has no %q:\n%s", want, &out)
		}
	}
}

// FreeRADIUS itself takes the configuration, the users and the codes, and
// refuses others.
func TestFreeRADIUSAccepts(t *testing.T) {
	path, err := findFreeRADIUS()
	if err != nil {
		t.Fatal(err)
	}
	b := small(t)
	s, err := b.stock(t.Context(), freeRADIUS{binary: path}, 300)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.measure(t.Context(), 1, s, throughput, population{0, 300}); err != nil {
		t.Fatal(err)
	}
	if got := b.done[0].Result; got.Rejected > got.Accepted/2 || got.BadAuthenticator > 0 { // refused when the step changes
		t.Errorf("%+v: want most accepted", got)
	}
	p, err := b.begin(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.login(t.Context(), 300)
	if err == nil || !strings.Contains(err.Error(), "Access-Reject") {
		t.Errorf("a user it does not know: error %v, want one of an Access-Reject", err)
	}
	if err := p.stop(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
}

func TestServerThatFails(t *testing.T) {
	b := small(t)
	b.binary = "/bin/false"
	err := b.compareServers(t.Context(), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "loading the users of Countersign") {
		t.Errorf("error %v, want one of loading users", err)
	}
	b = small(t)
	b.binary = filepath.Join(b.dir, "not there")
	if err := b.compareServers(t.Context(), io.Discard); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error %v, want one of a file that is not there", err)
	}
}

func TestUsersFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "users.csv")
	if err := (population{5, 3}).writeFile(path, importHeading, importLine); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 4 || rows[0][4] != "seed_hex" || rows[1][0] != "user0000005" || len(rows[3][4]) != 40 {
		t.Errorf("rows %q", rows)
	}
}

func TestPopulationIsComplete(t *testing.T) {
	for _, count := range []int{1, 2, 3, 10, 1000, 1018} {
		seen := make(map[string]bool)
		for u := range (population{7, count}).users() {
			seen[u.Name] = true
		}
		if len(seen) != count || !seen[name(7)] || !seen[name(7+count-1)] {
			t.Errorf("%d of %d users", len(seen), count)
		}
	}
}

func TestSample(t *testing.T) {
	for _, test := range []struct {
		sample sample
		places int
		want   string
	}{
		{nil, 0, ""},
		{sample{3, 1, 2}, 0, "2 (1 - 3) µs"},
		{sample{1, 2}, 1, "1.5 (1.0 - 2.0) µs"},
		{sample{1234567.891}, 2, "1,234,567.89 µs"},
		{sample{123, 123}, 0, "123 µs"},
		{sample{-1234}, 0, "-1,234 µs"},
	} {
		if got := test.sample.format(test.places, "µs"); got != test.want {
			t.Errorf("%v is written %q, want %q", test.sample, got, test.want)
		}
	}
}

func TestRatioIsMoreWhenBetter(t *testing.T) {
	cheap := radiustest.Result{Accepted: 100, ServerCPU: 2 * time.Microsecond, P99: time.Millisecond}
	dear := radiustest.Result{Accepted: 100, ServerCPU: 8 * time.Microsecond, P99: 3 * time.Millisecond}
	b := &bench{done: []measurement{
		{Server: "Countersign", Mode: throughput.Name, Result: cheap},
		{Server: "FreeRADIUS", Mode: throughput.Name, Result: dear},
	}}
	b.users = 10_000
	for _, test := range []struct {
		figure figure
		want   float64
	}{{figurePerCPUSecond, 4}, {figureP99, 3}} {
		if got := b.ratios(test.figure, throughput, b.servers()).median(); got < test.want-1e-9 || got > test.want+1e-9 {
			t.Errorf("%s: ratio %g, want %g", test.figure.name, got, test.want)
		}
	}
	var out strings.Builder
	if err := b.printServers(&out, []mode{throughput}); err != nil {
		t.Fatal(err)
	}
	if words := strings.Join(strings.Fields(out.String()), " "); !strings.Contains(words, "2 times the logins a CPU second, 8 x 32 in flight yes 4.00") {
		t.Errorf("the goals are not told:\n%s", &out)
	}
}

func TestWarnsOfOtherPrograms(t *testing.T) {
	for text, want := range map[string]bool{"0.05 0.90 0.90 1/90 12\n": false, "2.50 0.01 0.01 1/90 12\n": true, "": false} {
		path := filepath.Join(t.TempDir(), "loadavg")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var out strings.Builder
		(&bench{progress: &out}).warn(path)
		if got := strings.Contains(out.String(), "2.50"); got != want {
			t.Errorf("load average %q: said %q", text, &out)
		}
	}
}

func TestOptions(t *testing.T) {
	for want, all := range map[string][]string{
		"no arguments":   {"x"},
		"-only":          {"-only radiator"},
		"at least two":   {"-rounds 0", "-users 1", "-seconds 0", "-warmup -1"},
		"-tokens wants":  {"-tokens 100", "-tokens -1"},
		"not defined":    {"-nonsense"},
		"at most one of": {"-accounting -tokens 1000000", "-accounting -tms 50ms", "-tms 50ms -tokens 1000000", "-accounting -only freeradius", "-tokens 1000000 -only freeradius", "-tms 50ms -only freeradius", "-store postgres -tokens 1000000"},
		"-store":         {"-store oracle"},
		"-rtt wants":     {"-rtt 5ms", "-store postgres -rtt -5ms"},
		"-tms wants":     {"-tms 50ms -rate 0", "-tms -50ms"},
	} {
		for _, args := range all {
			if _, err := parseOptions(strings.Fields(args), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want one with %q", args, err, want)
			}
		}
	}
	for _, args := range []string{"-accounting", "-accounting -only countersign", "-tms 50ms", "-tokens 30000 -only countersign"} {
		if _, err := parseOptions(strings.Fields(args), io.Discard); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
	for args, want := range map[string]int{"": 0, "--store postgres": -1, "-store postgres -server-cpu 0 -generator-cpu 1": 0} {
		if o, err := parseOptions(strings.Fields(args), io.Discard); err != nil || runtime.NumCPU() > 1 && o.serverCPU != want {
			t.Errorf("%q: the server's CPU is %d, error %v, want %d", args, o.serverCPU, err, want)
		}
	}
	o, err := parseOptions([]string{"-seconds", "0.5", "-warmup", "0"}, io.Discard)
	if err != nil || o.duration != 500*time.Millisecond || o.warmup != 0 || o.users != 10_000 {
		t.Errorf("options %+v, error %v", o, err)
	}
}
