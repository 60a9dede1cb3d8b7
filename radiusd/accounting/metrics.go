package accounting

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the figures of a Book. All counters start at zero.
type metrics struct {
	records                      [len(statusNames) + 1]prometheus.Counter
	repeats, late, begun, joined prometheus.Counter
	foreign                      prometheus.Counter
	waited                       prometheus.Histogram
}

func metricName(name string) string { return "countersign_accounting_" + name }

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: metricName(name), Help: help})
}

// newMetrics makes the metrics of b and registers them.
func newMetrics(b *Book, registerer prometheus.Registerer) (*metrics, error) {
	records := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: metricName("records_total"), Help: "Accounting records that were taken from the log, repeats included, by Acct-Status-Type.",
	}, []string{"status"})
	m := &metrics{
		repeats: counter("repeats_total", "Accounting records that were repeats of one that was there."),
		late:    counter("late_records_total", "Accounting records that came after one of their session about something later."),
		begun:   counter("sessions_begun_total", "Sessions that NASes told of."),
		joined:  counter("sessions_joined_total", "Sessions whose Class named a login."),
		foreign: counter("foreign_classes_total", "Accounting records whose Class named a login at another NAS, which is not believed."),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    metricName("record_wait_seconds"),
			Help:    "Time from the receipt of an accounting record until its session knows of it.",
			Buckets: []float64{1e-3, 5e-3, 25e-3, 100e-3, 500e-3, 2.5, 10, 60, 600, 3600},
		}),
	}
	behind := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: metricName("behind_seconds"),
		Help: "How long the oldest accounting record has waited for its session to know of it; 0 when none waits. Above 5, no login is refused for too many sessions.",
	}, func() float64 { return b.behind().Seconds() })
	other := records.WithLabelValues("other")
	for status := range m.records {
		m.records[status] = other
		if status < len(statusNames) && statusNames[status] != "" {
			m.records[status] = records.WithLabelValues(strings.ToLower(statusNames[status]))
		}
	}
	for _, c := range []prometheus.Collector{records, m.repeats, m.late, m.begun, m.joined, m.foreign, behind, m.waited, sessionGauge{&b.counts}} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("registering the metrics of accounting: %w", err)
		}
	}
	return m, nil
}

// add counts what happened in a chunk.
func (m *metrics) add(e *events) {
	for status, n := range e.records {
		if n > 0 {
			m.records[status].Add(float64(n))
		}
	}
	m.repeats.Add(float64(e.repeats))
	m.late.Add(float64(e.late))
	m.begun.Add(float64(e.begun))
	m.joined.Add(float64(e.joined))
	m.foreign.Add(float64(e.foreign))
	for _, d := range e.waited {
		m.waited.Observe(d.Seconds())
	}
}

// sessionGauge is the metric that is read off the counts when it is asked for.
type sessionGauge struct{ counts *counts }

var sessionsDesc = prometheus.NewDesc(metricName("sessions"), "Sessions that are open, or stale: silent for so long that they have most likely ended.", []string{"nas", "state"}, nil)

// Describe implements prometheus.Collector.
func (sessionGauge) Describe(descs chan<- *prometheus.Desc) { descs <- sessionsDesc }

// Collect implements prometheus.Collector.
func (g sessionGauge) Collect(out chan<- prometheus.Metric) {
	for nas, n := range g.counts.ofNASes() {
		for _, state := range []State{Open, Stale} {
			out <- prometheus.MustNewConstMetric(sessionsDesc, prometheus.GaugeValue, float64(n[state]), nas, state.String())
		}
	}
}
