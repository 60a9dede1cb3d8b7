package collector

import (
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"countersign/radiusd/accounting"
	"countersign/radiusd/packet"
)

var anywhere = netip.MustParseAddrPort("192.0.2.1:1813")

func TestNewRefuses(t *testing.T) {
	s := newStore()
	to := func(servers ...Server) *RADIUS { return &RADIUS{Servers: servers} }
	one := Server{anywhere, secret}
	for _, test := range []struct {
		o    Options
		want string
	}{
		{Options{RADIUS: to(one), Queue: s, Cursors: s}, "a name"},
		{Options{Name: "x", Queue: s, Cursors: s}, "either servers or a file"},
		{Options{Name: "x", RADIUS: to(one), File: &File{Path: "x"}, Queue: s, Cursors: s}, "either servers or a file"},
		{Options{Name: "x", RADIUS: to(one)}, "no queue"},
		{Options{Name: "x", RADIUS: to(one), Queue: s, Cursors: s, MaxAge: -1}, "below zero"},
		{Options{Name: "x", RADIUS: to(), Queue: s, Cursors: s}, "no servers"},
		{Options{Name: "x", RADIUS: to(one, one), Queue: s, Cursors: s}, "given twice"},
		{Options{Name: "x", RADIUS: to(Server{Secret: secret}), Queue: s, Cursors: s}, "such as 192.0.2.1:1813"},
		{Options{Name: "x", RADIUS: to(Server{Address: anywhere}), Queue: s, Cursors: s}, "a shared secret"},
		{Options{Name: "x", RADIUS: &RADIUS{Servers: []Server{one}, Timeout: -1}, Queue: s, Cursors: s}, "below zero"},
		{Options{Name: "x", File: &File{}, Queue: s, Cursors: s}, "no name"},
		{Options{Name: "x", File: &File{Path: "x", Keep: -1}, Queue: s, Cursors: s}, "below zero"},
	} {
		if _, err := New(test.o); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q is not in: %v", test.want, err)
		}
	}
}

func TestStateBeforeRun(t *testing.T) {
	s := newStore()
	s.fill(at, 20, 2)
	k := newKit(t, s, Options{RADIUS: &RADIUS{Servers: []Server{{anywhere, secret}, {netip.MustParseAddrPort("[2001:db8::1]:1813"), packet.NewSecret([]byte("x"))}}}})
	want := State{Name: "billing", Type: "radius", To: "192.0.2.1:1813, [2001:db8::1]:1813"}
	if got := k.state(); got != want {
		t.Errorf("%+v instead of %+v", got, want)
	}
	s.cursors["billing"] = s.entries[4].Position
	want.Waiting, want.Oldest, want.Done = 15, at, s.entries[4].Position
	if got := k.state(); got != want {
		t.Errorf("%+v instead of %+v", got, want)
	}
	f := newKit(t, s, Options{File: &File{Path: "/var/log/x.jsonl"}})
	if got := f.state(); got.Type != "jsonl" || got.To != "/var/log/x.jsonl" {
		t.Errorf("%+v", got)
	}
}

// pageOf are the metrics as Prometheus reads them.
func pageOf(registry *prometheus.Registry) string {
	page := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	return page.Body.String()
}

func TestMetrics(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 40, 4)
	o := toPeers(patienceOfTests, p)
	o.MaxRecords, o.MaxAge = 1000, time.Hour
	k := newKit(t, s, o)
	registry := k.Registerer.(*prometheus.Registry)
	k.start()
	k.untilDone()
	for _, line := range []string{
		"forwarded_total X 40", "repeats_total X 0", "failures_total X 0", "skipped_total X 0", "latency_seconds_count X 40", "in_flight X 0", "up X 1",
		"queue_records X 0", "queue_age_seconds X 0", "queue_limit_records X 1000", "queue_limit_seconds X 3600",
	} {
		line = "\ncountersign_collector_" + strings.Replace(line, " X", `{collector="billing"}`, 1) + "\n"
		k.until(line, func() bool { return strings.Contains(pageOf(registry), line) })
	}
	check := exec.Command("promtool", "check", "metrics") // of Debian's package prometheus
	check.Stdin = strings.NewReader(pageOf(registry))
	if out, err := check.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v: scripts/test installs it\n%s", err, out)
	}
	k.stop()
	if page := pageOf(registry); strings.Contains(page, "countersign_collector_") {
		t.Errorf("metrics of a collector that another node may work for:\n%s", page)
	}
}

// TestRunAgain stops a collector, as when another node goes on, and has it go on later.
func TestRunAgain(t *testing.T) {
	s, p := newStore(), newPeer(t)
	s.cursors["billing"] = accounting.Position{}
	s.fill(time.Now(), 40, 4)
	k := newKit(t, s, toPeers(patienceOfTests, p))
	k.start()
	k.untilDone()
	k.stop()
	s.fill(time.Now(), 40, 4)
	if state, err := k.State(t.Context()); err != nil || state.Waiting != 40 {
		t.Errorf("%d records wait, error %v, want 40", state.Waiting, err)
	}
	k.start()
	k.untilDone()
	line := `countersign_collector_up{collector="billing"} 1`
	k.until(line, func() bool { return strings.Contains(pageOf(k.Registerer.(*prometheus.Registry)), line) })
	k.stop()
}
