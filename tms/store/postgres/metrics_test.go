package postgres

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"countersign/otp"
	"countersign/tms/store/postgrestest"
)

// TestMetrics reads what a scrape would.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	o := migrated(t, postgrestest.Shared(t))
	o.Registerer = registry
	s := openStore(t, o)
	addUsers(t, s, "kay")
	if got := login(t, s, "kay", testCode("kay", 0)); got != otp.Accepted {
		t.Errorf("%v", got)
	}
	_, err := s.Checkpoint(t.Context())
	must(t, err, s.chore(t.Context(), s.countFailing), s.chore(t.Context(), s.readFigures), s.history.tend(t.Context()))
	values := gather(t, registry)
	for name, want := range map[string]float64{
		"countersign_store_ready":                        1,
		"countersign_store_commits_total":                1,
		"countersign_store_journal_batches":              2,
		"countersign_store_accounting_batches":           0,
		"countersign_store_damaged_mails_total":          0,
		"countersign_store_failures_total":               0,
		"countersign_audit_gaps_total":                   0,
		"countersign_audit_checkpoint_timestamp_seconds": float64(noon.Unix()),
		"countersign_tokens_near_lock":                   0,
		"countersign_tokens_locked":                      0,
		"countersign_history_behind_records":             2,
		"countersign_accounting_log_waiting_records":     0,
	} {
		if got, there := values[name]; got != want || !there {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
	if values["countersign_store_size_bytes"] == 0 || values["countersign_store_connections_total"] == 0 {
		t.Errorf("size %v, connections %v", values["countersign_store_size_bytes"], values["countersign_store_connections_total"])
	}
	must(t, s.Close())
	if left := gather(t, registry); len(left) > 0 {
		t.Errorf("metrics are left: %v", left)
	}
}

// gather reads metrics, and holds them to the rules of Prometheus. Values of histograms are
// how much they have counted.
func gather(t *testing.T, registry prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	must(t, err)
	problems, err := promlint.NewWithMetricFamilies(families).Lint()
	must(t, err)
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			values[f.GetName()] += m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}
