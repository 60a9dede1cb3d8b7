package embedded

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
)

// TestMetrics reads what a scrape would.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	o := testOptions(t)
	o.Registerer = registry
	k := openKit(t, o)
	k.populate(3, false)
	for n := range 3 {
		k.expect(otp.Accepted, n, passcode(n, 0))
	}
	want := map[string]float64{
		"countersign_store_commits_total":           3,
		"countersign_store_commit_duration_seconds": 3,
		"countersign_store_commit_logins":           3,
		"countersign_store_dropped_total":           0,
		"countersign_store_damaged_mails_total":     0,
		"countersign_store_cached_users":            3,
		"countersign_store_unfolded_records":        4,
		"countersign_store_ready":                   1,
		"countersign_store_queue_depth":             0,
		"countersign_store_log_size_bytes":          walSize,
		"countersign_store_file_size_bytes":         float64(fileSize(o.Path)),
	}
	k.settle()
	values := gather(t, registry)
	if misses := values["countersign_store_cache_misses_total"]; misses > 3 { // less if the cache was quicker
		t.Errorf("%v misses of 3 logins", misses)
	}
	delete(values, "countersign_store_cache_misses_total")
	for name, value := range values {
		if expected, ok := want[name]; !ok || expected != value {
			t.Errorf("%s is %v, want %v", name, value, expected)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s is missing", name)
	}
	k.must(k.Close())
	if left := gather(t, registry); len(left) > 0 {
		t.Errorf("after Close there are still %v", left)
	}
}

// settle waits until nothing is under way.
func (k *kit) settle() {
	for k.queue.depth.Load() > 0 {
	}
}

// gather returns every metric's value, or count, summed over its labels.
func gather(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if !strings.HasPrefix(family.GetName(), "countersign_store_") || family.GetHelp() == "" {
			t.Errorf("metric %q, help %q", family.GetName(), family.GetHelp())
		}
		for _, m := range family.GetMetric() {
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			values[family.GetName()] += value
		}
	}
	return values
}
