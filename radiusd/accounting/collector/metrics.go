package collector

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// figures are the metrics of one Collector. Each has its name as a label.
type figures struct {
	registerer prometheus.Registerer // nil when they are never registered
	all        []prometheus.Collector
	registered []prometheus.Collector

	forwarded, repeats, failures, skipped prometheus.Counter
	latency                               prometheus.Histogram
	inFlight, up, records                 prometheus.Gauge
}

func metricName(name string) string { return "countersign_collector_" + name }

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: metricName(name), Help: help})
}

func gauge(name, help string) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: metricName(name), Help: help})
}

func newFigures(c *Collector) *figures {
	f := &figures{
		forwarded: counter("forwarded_total", "Accounting records that the collector has taken."),
		repeats:   counter("repeats_total", "Accounting-Requests that were sent again because there was no answer."),
		failures:  counter("failures_total", "Times that a server left a record unanswered after all repeats, or a file could not be written."),
		skipped:   counter("skipped_total", "Accounting records that the collector did not get, because they waited too long, were too many, or were refused."),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: metricName("latency_seconds"), Help: "Time until a record was answered, or a batch of them was on the disk.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		inFlight: gauge("in_flight", "Records, or batches for a file, that are on their way to the collector."),
		up:       gauge("up", "1 while the collector takes records, as far as known, else 0."),
		records:  gauge("queue_records", "Accounting records that wait for the collector."),
	}
	f.up.Set(1)
	f.all = append([]prometheus.Collector{f.forwarded, f.repeats, f.failures, f.skipped, f.latency, f.inFlight, f.up, f.records, c.age()}, c.limits()...)
	if c.Registerer != nil {
		f.registerer = prometheus.WrapRegistererWith(prometheus.Labels{"collector": c.Name}, c.Registerer)
	}
	return f
}

// age is the metric that changes by itself.
func (c *Collector) age() prometheus.Collector {
	options := prometheus.GaugeOpts{Name: metricName("queue_age_seconds"), Help: "How long the oldest accounting record waits for the collector, 0 when none does."}
	return prometheus.NewGaugeFunc(options, func() float64 {
		c.mu.Lock()
		oldest := c.standing.oldest
		c.mu.Unlock()
		if oldest.IsZero() {
			return 0
		}
		return max(0, c.Clock().Sub(oldest).Seconds())
	})
}

// limits are the metrics that never change. A limit that is not there has none.
func (c *Collector) limits() []prometheus.Collector {
	records := gauge("queue_limit_records", "How many accounting records may wait for the collector: the oldest beyond are skipped.")
	seconds := gauge("queue_limit_seconds", "How long an accounting record may wait for the collector before it is skipped.")
	records.Set(float64(c.MaxRecords))
	seconds.Set(c.MaxAge.Seconds())
	var all []prometheus.Collector
	if c.MaxRecords > 0 {
		all = append(all, records)
	}
	if c.MaxAge > 0 {
		all = append(all, seconds)
	}
	return all
}

func (f *figures) register() error {
	if f.registerer == nil {
		return nil
	}
	for _, one := range f.all {
		if err := f.registerer.Register(one); err != nil {
			f.unregister()
			return fmt.Errorf("registering its metrics: %w", err)
		}
		f.registered = append(f.registered, one)
	}
	return nil
}

func (f *figures) unregister() {
	for _, one := range f.registered {
		f.registerer.Unregister(one)
	}
	f.registered = nil
}
