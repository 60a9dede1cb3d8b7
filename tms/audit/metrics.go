package audit

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// syslogMetrics are the figures of one syslog server.
type syslogMetrics struct {
	sent                                         prometheus.Counter
	connected, waiting, oldest, success, failure prometheus.Gauge
}

func newSyslogMetrics(name string, r prometheus.Registerer) (*syslogMetrics, error) {
	labels := prometheus.Labels{"syslog": name}
	gauge := func(metric, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: metric, Help: help, ConstLabels: labels})
	}
	m := &syslogMetrics{
		sent: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "countersign_syslog_messages_total", Help: "Messages sent to a syslog server, those sent again included.", ConstLabels: labels,
		}),
		connected: gauge("countersign_syslog_connected", "1 while there is a connection to a syslog server, else 0."),
		waiting:   gauge("countersign_syslog_waiting_batches", "Batches of the journal that a syslog server has not got yet."),
		oldest: gauge("countersign_syslog_oldest_waiting_timestamp_seconds",
			"When the first record that a syslog server has not got yet was made; 0 when there is none."),
		success: gauge("countersign_syslog_last_success_timestamp_seconds", "When a syslog server last took something; 0 when it never did."),
		failure: gauge("countersign_syslog_last_failure_timestamp_seconds", "When a syslog server last could not be reached, or broke off; 0 when it never did."),
	}
	if r == nil {
		return m, nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.sent, m.connected, m.waiting, m.oldest, m.success, m.failure} {
		errs = append(errs, r.Register(c))
	}
	return m, errors.Join(errs...)
}

// setOldest sets when the first that waits was made.
func (m *syslogMetrics) setOldest(at time.Time) {
	if at.IsZero() {
		m.oldest.Set(0)
		return
	}
	m.oldest.Set(float64(at.UnixMilli()) / 1000)
}
