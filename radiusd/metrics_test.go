package radiusd

import (
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"countersign/exclusions"
	"countersign/otp"
)

func TestMetricsAreClean(t *testing.T) {
	b := newBench(t, func(o *Options) {
		o.Sessions, o.Rules = &floor{users: map[string]int{"eve": 1}}, &Rules{MaxSessions: 1}
	})
	b.want(pap(1, "alice", passcodeAt(0)).signed(), accept)
	b.want(pap(2, "eve", passcodeAt(0)).signed(), reject)
	b.account(record(3, "s1"), response)
	page := httptest.NewRecorder()
	promhttp.HandlerFor(b.registry, promhttp.HandlerOpts{}).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	text := page.Body.String()
	cmd := exec.Command("promtool", "check", "metrics") // of Debian's package prometheus
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	for _, v := range otp.Verdicts() { // there from the start
		if !strings.Contains(text, `countersign_radius_logins_total{verdict="`+v.String()+`"}`) {
			t.Errorf("no counter of verdict %s", v)
		}
	}
}

// TestLoginsByNAS: by the mode that it had, also after a reload, and only what there was.
func TestLoginsByNAS(t *testing.T) {
	b := newRuledBench(t, exclusions.PassAccept, nil)
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantVerdict(pap(2, "alice", passcodeAt(0)), otp.Replayed)
	other := func(c *NASConfig) { c.Name, c.Prefixes = "other", prefixes("198.51.100.1/32") }
	b.server.SetNASes(table(t, nil, testNAS(func(c *NASConfig) {
		c.Mode, c.Excluded, c.MessageAuthenticator = exclusions.TokenHolders, exclusions.PassAccept, RequireNever
	}), testNAS(other)))
	b.wantVerdict(pap(3, "alice", passcodeAt(1)), otp.Accepted)
	b.without("bob")
	b.wantVerdict(pap(4, "bob", "x"), otp.Excluded)
	name := "nas_logins_total"
	b.wantMetric(1, name, "mandatory", "gateway", "accepted")
	b.wantMetric(1, name, "mandatory", "gateway", "replayed")
	b.wantMetric(1, name, "token-holders", "gateway", "accepted")
	b.wantMetric(1, name, "token-holders", "gateway", "excluded")
	if n := b.seriesOf(name); n != 4 {
		t.Errorf("%d series", n)
	}
	b.wantMetric(2, "logins_total", "accepted")
	b.wantMetric(0, "nas_requests_total", "other")
	b.wantMetric(4, "nas_requests_total", "gateway")
	b.server.SetNASes(table(t, nil, testNAS(other)))
	if n := b.seriesOf(name) + b.seriesOf("nas_requests_total"); n != 1 {
		t.Errorf("%d series of a NAS that is gone", n-1)
	}
}

// seriesOf is how many series a metric has.
func (b *bench) seriesOf(name string) int {
	b.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == metricName(name) {
			return len(family.GetMetric())
		}
	}
	return 0
}

// histogram is the only series of a metric: how many there were, what they sum up to, and
// how many up to each bound.
func (b *bench) histogram(name string) (count uint64, sum float64, buckets map[float64]uint64) {
	b.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.Fatal(err)
	}
	buckets = map[float64]uint64{}
	for _, family := range families {
		if family.GetName() == name {
			h := family.GetMetric()[0].GetHistogram()
			for _, bucket := range h.GetBucket() {
				buckets[bucket.GetUpperBound()] = bucket.GetCumulativeCount()
			}
			return h.GetSampleCount(), h.GetSampleSum(), buckets
		}
	}
	b.Fatalf("no metric %s", name)
	return 0, 0, nil
}

// TestOffsets are those of codes that were right.
func TestOffsets(t *testing.T) {
	b := newTalkingBench(t, func(o *Options, _ *NASConfig) { o.Rules = rulesOf(t, rule("bob", criterion(exclusions.Users, "bob"))) })
	b.wantVerdict(pap(1, "alice", passcodeAt(0)), otp.Accepted)
	b.wantVerdict(pap(2, "alice", passcodeAt(4)), otp.Accepted) // three were skipped
	b.wantVerdict(pap(3, "alice", passcodeAt(4)), otp.Replayed)
	b.wantVerdict(pap(4, "alice", testPIN+"000000"), otp.WrongCode)
	b.wantVerdict(pap(5, "bob", "x"), otp.Excluded)
	b.challenged(pap(6, "eve", passcodeAt(50)))
	count, sum, buckets := b.histogram("countersign_token_offset_steps")
	if count != 3 || sum != 53 || len(buckets) != 2*farthest+1 {
		t.Errorf("%d offsets, %v together, in %d buckets", count, sum, len(buckets))
	}
	for bound, want := range map[float64]uint64{-20: 0, -1: 0, 0: 1, 2: 1, 3: 2, 20: 2} {
		if buckets[bound] != want {
			t.Errorf("up to %v there are %d, want %d", bound, buckets[bound], want)
		}
	}
	o := newOffsets()
	for offset := int64(-30); offset <= 30; offset++ {
		o.observe(offset)
	}
	if low, high, zero := o.buckets[0].Load(), o.buckets[2*farthest+1].Load(), o.buckets[farthest].Load(); low != 11 || high != 10 || zero != 1 || o.sum.Load() != 0 {
		t.Errorf("%d below, %d above, %d at 0", low, high, zero)
	}
}

func TestDurationOfAccounting(t *testing.T) {
	b := newBench(t, nil)
	b.journal.hold = true
	o := record(1, "s1")
	b.account(o, silence)
	b.wait(200 * time.Millisecond)
	b.journal.held[0](nil)
	b.wantCode(b.verified(o, b.collect()), response)
	b.account(record(2, "s2"), silence)
	b.journal.held[1](errDisk)
	b.collect()
	if count, sum, _ := b.histogram("countersign_radius_accounting_duration_seconds"); count != 1 || sum != 0.2 {
		t.Errorf("%d of %v s", count, sum)
	}
}

func TestReasonsAreClosed(t *testing.T) {
	labels := map[string]reason{}
	for why := admitted + 1; why < reasonCount; why++ {
		label := why.label()
		if other, twice := labels[label]; twice && label != "" {
			t.Errorf("reasons %d and %d are both %q", other, why, label)
		}
		if label == "unknown" {
			t.Errorf("reason %d has no word", why)
		}
		labels[label] = why
	}
	if len(labels) != int(reasonCount)-7 { // admitted, and the seven without a word are one
		t.Errorf("%d words for %d reasons", len(labels), reasonCount)
	}
}
