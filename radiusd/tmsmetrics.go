package radiusd

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"countersign/otp"
)

// ending is how it ended that a login was shown to the Backend.
type ending uint8

const (
	endAccepted ending = iota
	endRefused
	endAsked
	endLost
	endError
	endings
)

var endingNames = [endings]string{"accepted", "refused", "asked", "lost", "error"}

// difference is that only one, the TMS or our own tokens, would have accepted a login.
type difference uint8

const (
	noDifference difference = iota
	tmsOnly
	ownOnly
	differences
)

var differenceNames = [differences]string{"", "tms_only", "own_only"}

// tmsMetrics are the figures of a Backend. All counters start at zero.
type tmsMetrics struct {
	requests    [endings]prometheus.Counter
	differences [differences]prometheus.Counter
	duration    prometheus.Histogram
	all         []prometheus.Collector
}

func tmsMetricName(name string) string { return "countersign_tms_" + name }

func newTMSMetrics() *tmsMetrics {
	requests := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: tmsMetricName("requests_total"), Help: "Logins shown to the TMS, by what came of it.",
	}, []string{"outcome"})
	kinds := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: tmsMetricName("differences_total"),
		Help: "Logins that only the TMS, or only our own tokens, would have accepted.",
	}, []string{"kind"})
	m := &tmsMetrics{duration: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    tmsMetricName("request_duration_seconds"),
		Help:    "Time that the TMS took for its answer to a login, or that passed without one.",
		Buckets: []float64{5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10},
	})}
	for e, name := range endingNames {
		m.requests[e] = requests.WithLabelValues(name)
	}
	for d := tmsOnly; d < differences; d++ {
		m.differences[d] = kinds.WithLabelValues(differenceNames[d])
	}
	m.all = []prometheus.Collector{requests, kinds, m.duration}
	return m
}

// collectors are all metrics of a Backend; none when there is none.
func (t *consultations) collectors() []prometheus.Collector {
	if t == nil {
		return nil
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: tmsMetricName(name), Help: help}, value)
	}
	return append(t.metrics.all,
		gauge("in_flight", "Logins that are being shown to the TMS.", func() float64 { return float64(t.running.Load()) }),
		gauge("queue", "Logins that wait for their turn to be shown to the TMS.", func() float64 { return float64(len(t.queue)) }),
		gauge("breaker_open", "1 while no logins are shown to the TMS, because it does not answer; else 0.", func() float64 {
			if t.breaker.closed() {
				return 0
			}
			return 1
		}))
}

// answered counts what came of showing a login to the Backend.
func (m *tmsMetrics) answered(verdict otp.Verdict, err error, took time.Duration) {
	m.duration.Observe(took.Seconds())
	end := endError
	switch {
	case errors.Is(err, ErrLost):
		end = endLost
	case err != nil:
	case verdict == otp.AcceptedByTMS:
		end = endAccepted
	case verdict == otp.RefusedByTMS:
		end = endRefused
	case verdict == otp.AskedByTMS:
		end = endAsked
	}
	m.requests[end].Inc()
}

// decided counts a decision about which the TMS and our own tokens do not agree. One that
// was refused before, and is refused again, was counted.
func (m *tmsMetrics) decided(a *otp.Attempt) {
	if kind := differenceOf(a); kind != noDifference && !a.Decision.Repeated {
		m.differences[kind].Inc()
	}
}

func differenceOf(a *otp.Attempt) difference {
	switch own := a.Decision.Own; {
	case own == otp.Undecided: // there was nothing to compare
	case a.TMS == otp.TMSAccepted && own != otp.Accepted:
		return tmsOnly
	case a.TMS == otp.TMSRefused && own == otp.Accepted:
		return ownOnly
	}
	return noDifference
}
