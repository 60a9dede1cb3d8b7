package migration

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the figures of a Learner. Names of users are in none of them.
type metrics struct {
	logins                      *prometheus.CounterVec
	dropped                     prometheus.Counter
	stock, learned, ambiguities prometheus.Gauge
}

func newMetrics() *metrics {
	const prefix = "countersign_learning_"
	gauge := func(name, help string) prometheus.Gauge {
		return prometheus.NewGauge(prometheus.GaugeOpts{Name: prefix + name, Help: help})
	}
	m := &metrics{
		logins: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: prefix + "logins_total", Help: "Logins that the TMS accepted, by what was learned from them.",
		}, []string{"outcome"}),
		dropped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "seen_dropped_total", Help: "Users whom the TMS let in and who could not be noted as seen.",
		}),
		stock:       gauge("stock_tokens", "Tokens in stock that could be learned."),
		learned:     gauge("learned_tokens", "Tokens that were learned."),
		ambiguities: gauge("ambiguities", "Users of whose last login it is not clear which token they have."),
	}
	for _, word := range outcomes[NotReady:] {
		m.logins.WithLabelValues(word)
	}
	return m
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range []prometheus.Collector{m.logins, m.dropped, m.stock, m.learned, m.ambiguities} {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}
