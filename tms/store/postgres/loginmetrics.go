package postgres

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Why something was not taken.
const (
	droppedFull    = "queue_full"
	droppedLoading = "loaders_busy"
	droppedFailed  = "store_failed"
)

type loginMetrics struct {
	commits    prometheus.Counter
	duration   prometheus.Histogram
	logins     prometheus.Histogram
	accounting prometheus.Histogram
	misses     prometheus.Counter
	lost       prometheus.Counter
	unanswered prometheus.Counter
	drops      *prometheus.CounterVec

	all []prometheus.Collector
}

func (m *loginMetrics) init(l *logins) {
	m.commits = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_commits_total", Help: "Commits of the token store.",
	})
	m.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "countersign_store_commit_duration_seconds", Help: "How long a commit of the token store took.",
		Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
	})
	m.logins = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "countersign_store_commit_logins", Help: "Logins that shared a commit, of the commits with any.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 15),
	})
	m.accounting = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "countersign_store_commit_accounting_records", Help: "Accounting records that shared a commit, of the commits with any.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 15),
	})
	m.misses = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_cache_misses_total", Help: "Logins whose account had to be read from the database.",
	})
	m.lost = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_lost_races_total", Help: "Logins that were decided again, because another node or an act had changed the account.",
	})
	m.unanswered = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_unanswered_total", Help: "Logins and accounting records that were taken and got no answer, because the database did not say whether they are recorded.",
	})
	m.drops = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_store_dropped_total", Help: "Logins and accounting records that were not taken, by reason.",
	}, []string{"reason"})
	for _, reason := range []string{droppedFull, droppedLoading, droppedFailed} {
		m.drops.WithLabelValues(reason)
	}
	m.all = []prometheus.Collector{
		m.commits, m.duration, m.logins, m.accounting, m.misses, m.lost, m.unanswered, m.drops,
		count("countersign_store_queue_depth", "Logins and accounting records under way.", l.queue.depth.Load),
		count("countersign_store_cached_users", "Accounts in memory.", l.cache.users.Load),
	}
}

// count is a gauge of what is counted elsewhere.
func count(name, help string, value func() int64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

// committed notes a commit of so many logins.
func (m *loginMetrics) committed(logins int, took time.Duration) {
	m.commits.Inc()
	m.duration.Observe(took.Seconds())
	m.logins.Observe(float64(logins))
}

func (m *loginMetrics) dropped(reason string) { m.drops.WithLabelValues(reason).Inc() }
