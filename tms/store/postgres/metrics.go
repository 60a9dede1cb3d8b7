package postgres

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the store as a whole; logins, the cluster and the history have their
// own. Those that mean the same as in the other engine have the same names.
type metrics struct {
	damaged  prometheus.Counter
	gaps     prometheus.Counter
	failures prometheus.Counter

	all []prometheus.Collector
}

func (m *metrics) init(s *Store) {
	m.damaged = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_damaged_mails_total", Help: "Mails that wait and cannot be opened, so that nobody sends them.",
	})
	m.gaps = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_audit_gaps_total", Help: "How often a start or a recovery has found that the journal is not what was signed, or ends before it should.",
	})
	m.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_failures_total", Help: "How often the database was away, or took no commits.",
	})
	m.all = []prometheus.Collector{
		m.damaged, m.gaps, m.failures,
		gauge("countersign_store_ready", "1 while logins can be decided, else 0.", func() int64 {
			if s.Ready() != nil {
				return 0
			}
			return 1
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "countersign_store_connections_total", Help: "Connections made to the database for administration, listings and the history.",
		}, func() float64 { return float64(s.pool.Stat().NewConnsCount()) }),
		gauge("countersign_store_journal_batches", "Batches of the journal that are kept, as of a minute ago.", s.figures.journal.Load),
		gauge("countersign_store_accounting_batches", "Batches of the accounting log that are kept, as of a minute ago.", s.figures.accounting.Load),
		gauge("countersign_tokens_near_lock", "Tokens with at least half as many wrong codes as lock a token, as of two minutes ago.", s.figures.nearLock.Load),
		gauge("countersign_tokens_locked", "Tokens that are locked, as of two minutes ago.", s.figures.locked.Load),
		gauge("countersign_audit_checkpoint_timestamp_seconds", "When the journal was last signed, as of a minute ago, 0 for never.", s.figures.checkpoint.Load),
		gauge("countersign_history_behind_records", "Records of the journal that a search reads one by one; up to 32768 is normal.", s.history.behind.Load),
		gauge("countersign_accounting_log_waiting_records", "Records of the accounting log that are in no session yet.", s.history.waiting.Load),
		gauge("countersign_store_size_bytes", "Size of the database, as of a minute ago.", s.figures.size.Load),
	}
	m.all = append(m.all, s.logins.metrics.all...)
}

func gauge(name, help string, value func() int64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range m.all {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all {
		r.Unregister(c)
	}
}
