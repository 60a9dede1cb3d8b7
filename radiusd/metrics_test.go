package radiusd

import (
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"countersign/otp"
)

func TestMetricsAreClean(t *testing.T) {
	b := newBench(t, nil)
	b.want(pap(1, "alice", passcodeAt(0)).signed(), accept)
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
	if len(labels) != int(reasonCount)-6 { // admitted, and the six without a word are one
		t.Errorf("%d words for %d reasons", len(labels), reasonCount)
	}
}
