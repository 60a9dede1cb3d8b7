package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// realProgram builds countersign.
func realProgram(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "countersign")
	if out, err := exec.Command("go", "build", "-o", path, "countersign/cmd/countersign").CombinedOutput(); err != nil {
		t.Fatalf("building countersign: %v\n%s", err, out)
	}
	return path
}

// Countersign itself, with a TMS of the bench behind it, does all that is measured.
func TestCompareCompany(t *testing.T) {
	b := small(t)
	b.binary, b.rounds, b.rate = realProgram(t), 1, 1000
	b.tms, b.tmsTimeout = 5*time.Millisecond, 100*time.Millisecond
	b.duration = 200 * time.Millisecond
	var out strings.Builder
	if err := b.compareCompany(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if len(b.together) != len(companies) {
		t.Fatalf("%d measurements, want one of each mode", len(b.together))
	}
	for i, got := range b.together {
		c := companies[i]
		served, want := got.Others.Accepted > 0, c.users != nobody && c.tms == never
		if got.Mode != c.Name || c.tms != during && served != want {
			t.Errorf("%s: of others %+v", c.Name, got.Others)
		}
		if got.Shown > 0 != (c.users == ofTMS) || got.Server.Goroutines < 256 || got.Others.Rejected > 0 {
			t.Errorf("%s: %d logins shown, server %+v, %d of others refused", c.Name, got.Shown, got.Server, got.Others.Rejected)
		}
		if c.users == ofTMS && c.tms == never && got.Others.P50 < b.tms {
			t.Errorf("half of the TMS's users were answered within %v, before the TMS", got.Others.P50)
		}
		if c.tms == before && !got.Server.Breaker {
			t.Errorf("%s: the breaker is closed", c.Name)
		}
	}
	for _, want := range []string{"answers after 5ms", "known to be down", "goroutines at most", "times alone", "1.00"} {
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
	var again []together
	if err := json.Unmarshal(text, &again); err != nil || len(again) != len(b.together) || !reflect.DeepEqual(again[0].Local, b.together[0].Local) {
		t.Errorf("the file has %+v, error %v, want %+v", again, err, b.together)
	}
}

func TestStateIsRead(t *testing.T) {
	s := state{Goroutines: 12, InFlight: 3}
	err := s.read(strings.NewReader(`# HELP go_goroutines 99
go_goroutines 8
countersign_radius_in_flight{port="acct"} 0
countersign_radius_in_flight{port="auth"} 40
countersign_tms_breaker_open 1
countersign_radius_dropped_total{reason="tms_busy"} 1.5e+06
countersign_radius_dropped_total{reason="undecided"} 0
`))
	want := state{Goroutines: 12, InFlight: 40, Breaker: true, Dropped: map[string]int{"tms_busy": 1500000}}
	if err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("%+v, error %v, want %+v", s, err, want)
	}
}

func TestUsersOfTMS(t *testing.T) {
	count := 0
	for u := range usersOfTMS(100) {
		count++
		if !isOfTMS(u.Name) || u.Period != 0 {
			t.Fatalf("%s has a period of %v", u.Name, u.Period)
		}
	}
	if count != 100 || isOfTMS(name(1)) {
		t.Errorf("%d users of the TMS", count)
	}
}
