package embedded

import (
	"errors"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Why something was not taken.
const (
	droppedFull    = "queue_full"
	droppedLoading = "loaders_busy"
	droppedFailed  = "store_failed"
)

type metrics struct {
	commits  prometheus.Counter
	duration prometheus.Histogram
	logins   prometheus.Histogram
	misses   prometheus.Counter
	drops    *prometheus.CounterVec
	damaged  prometheus.Counter
	all      []prometheus.Collector
}

func (m *metrics) init(s *Store) {
	m.commits = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_commits_total", Help: "Commits of the token store.",
	})
	m.duration = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "countersign_store_commit_duration_seconds", Help: "How long a commit of the token store took.",
		Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
	})
	m.logins = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "countersign_store_commit_logins", Help: "Records of logins and accounting that shared a commit.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 15),
	})
	m.misses = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_cache_misses_total", Help: "Logins whose account had to be read from the file.",
	})
	m.drops = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "countersign_store_dropped_total", Help: "Logins and accounting records that were not taken, by reason.",
	}, []string{"reason"})
	m.damaged = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_store_damaged_mails_total", Help: "Mails that wait and cannot be opened, so that nobody sends them.",
	})
	for _, reason := range []string{droppedFull, droppedLoading, droppedFailed} {
		m.drops.WithLabelValues(reason)
	}
	m.all = []prometheus.Collector{
		m.commits, m.duration, m.logins, m.misses, m.drops, m.damaged,
		gauge("countersign_store_queue_depth", "Logins and accounting records under way.", s.queue.depth.Load),
		gauge("countersign_store_cached_users", "Accounts in memory.", s.cache.users.Load),
		gauge("countersign_store_unfolded_records", "Records of the journal that a start would replay.", s.unfolded.Load),
		gauge("countersign_store_ready", "1 while logins can be decided, else 0.", func() int64 {
			if s.Ready() != nil {
				return 0
			}
			return 1
		}),
		gauge("countersign_store_file_size_bytes", "Size of the database file.", func() int64 { return fileSize(s.options.Path) }),
		gauge("countersign_store_log_size_bytes", "Size of the write-ahead log.", func() int64 { return fileSize(s.options.Path + "-wal") }),
	}
}

func gauge(name, help string, value func() int64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
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

func (m *metrics) committed(entries int, took time.Duration) {
	m.commits.Inc()
	m.duration.Observe(took.Seconds())
	m.logins.Observe(float64(entries))
}

func (m *metrics) dropped(reason string) { m.drops.WithLabelValues(reason).Inc() }
