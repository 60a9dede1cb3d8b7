package embedded

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
	"countersign/tms"
	"countersign/tms/store"
	"countersign/tms/store/tables"
)

// TestMetrics reads what a scrape would.
func TestMetrics(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	o := testOptions(t)
	o.Registerer = registry
	o.disk.look = func(string) (free, size uint64, err error) { return 1 << 40, 1 << 41, nil }
	k := openKit(t, o)
	k.populate(3, false)
	for n := range 3 {
		k.expect(otp.Accepted, n, passcode(n, 0))
	}
	want := map[string]float64{
		"countersign_store_commits_total":                3,
		"countersign_store_commit_duration_seconds":      3,
		"countersign_store_commit_logins":                3,
		"countersign_store_commit_accounting_records":    0,
		"countersign_store_journal_batches":              4,
		"countersign_store_accounting_batches":           0,
		"countersign_tokens_near_lock":                   0,
		"countersign_tokens_locked":                      0,
		"countersign_audit_checkpoint_timestamp_seconds": float64(noon.Unix()),
		"countersign_store_dropped_total":                0,
		"countersign_store_damaged_mails_total":          0,
		"countersign_store_cached_users":                 3,
		"countersign_store_unfolded_records":             4,
		"countersign_store_ready":                        1,
		"countersign_store_queue_depth":                  0,
		"countersign_store_log_size_bytes":               walSize,
		"countersign_store_free_bytes":                   1 << 40,
		"countersign_store_reserve_bytes":                256 << 20,
		"countersign_store_file_size_bytes":              float64(fileSize(o.Path)),
		"countersign_history_behind_records":             4,
		"countersign_accounting_log_waiting_records":     0,
		"countersign_history_failures_total":             0,
		"countersign_audit_gaps_total":                   0,
		"countersign_history_file_size_bytes":            float64(fileSize(historyPath(o.Path))),
	}
	k.settle()
	_, err := k.Checkpoint(t.Context())
	k.must(err)
	k.must(k.count())
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
		if !strings.HasPrefix(family.GetName(), "countersign_") || family.GetHelp() == "" {
			t.Errorf("metric %q, help %q", family.GetName(), family.GetHelp())
		}
		for _, m := range family.GetMetric() {
			value := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			values[family.GetName()] += value
		}
	}
	return values
}

// TestTokensNearLock counts tokens with wrong codes as folds bring them into their rows.
func TestTokensNearLock(t *testing.T) {
	o := testOptions(t)
	limit := 4
	o.MaxFailures = func() int { return limit }
	k := openKit(t, o)
	k.populate(6, false)
	count := func(nearLock, locked int64) {
		t.Helper()
		k.must(k.fold(t.Context()))
		k.must(k.count())
		if n, l := k.figures.nearLock.Load(), k.figures.locked.Load(); n != nearLock || l != locked {
			t.Errorf("%d tokens near lock, %d locked, want %d and %d", n, l, nearLock, locked)
		}
	}
	for n, failures := range []uint16{0, 1, 2, 3} {
		k.changeFailures(serial(n), failures)
	}
	count(2, 0)
	limit = 8
	count(0, 0)
	limit = 4
	for i := range otp.DefaultPolicy().MaxFailures {
		k.expect(otp.WrongCode, 4, fmt.Sprintf("%s%06d", pin, i))
	}
	count(2, 1)
	k.expect(otp.WrongCode, 1, pin+"000000")
	count(3, 1)
	k.expect(otp.Accepted, 2, passcode(2, 0))
	count(2, 1)
	k.must(k.ChangeToken(t.Context(), serial(3), tms.Act{At: noon, Verb: "test"}, func(t *tms.Token) error { t.Exists = false; return nil }))
	count(1, 1)
	k.must(k.ChangeToken(t.Context(), serial(4), tms.Act{At: noon, Verb: "test"}, func(t *tms.Token) error { t.Disabled = true; return nil }))
	count(1, 0)
}

// TestFailingTokensHaveAnIndex has SQLite say how it finds them: among a million tokens
// it must not look at all.
func TestFailingTokensHaveAnIndex(t *testing.T) {
	k := newKit(t)
	plan := ""
	k.must(k.read(func(c *conn) error {
		return c.Query("EXPLAIN QUERY PLAN "+selectFailing, func(r tables.Row) error { plan += r.Text(3) + "; "; return nil })
	}))
	if !strings.Contains(plan, "SCAN state USING INDEX state_failing") && !strings.Contains(plan, "COVERING INDEX state_failing") {
		t.Errorf("the plan is %q", plan)
	}
	for flags := range 64 { // what the index has is what package store says
		state := otp.State{Counter: 1, MustResync: flags&1 != 0}
		if flags&2 != 0 {
			state.Drift = -1
		}
		if flags&4 != 0 {
			state.Failures = 1
		}
		if flags&8 != 0 {
			state.LockedUntil = 1
		}
		if flags&16 != 0 {
			state.ResyncUntil = 1
		}
		if flags&32 != 0 {
			state.Agreed = 1
		}
		found := int64(0)
		k.must(k.read(func(c *conn) (err error) {
			found, err = c.Number("SELECT count(*) FROM (SELECT ? AS state) WHERE "+failing, store.AppendState(nil, &state))
			return err
		}))
		if want := state.Failures != 0 || state.LockedUntil != 0; (found == 1) != want {
			t.Errorf("flags %d: found %d, want %v", flags, found, want)
		}
	}
}
