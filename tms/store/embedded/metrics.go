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
	droppedDisk    = "disk_low"
)

type metrics struct {
	commits    prometheus.Counter
	duration   prometheus.Histogram
	logins     prometheus.Histogram
	accounting prometheus.Histogram
	misses     prometheus.Counter
	drops      *prometheus.CounterVec
	damaged    prometheus.Counter

	historyFailures prometheus.Counter
	gaps            prometheus.Counter

	all []prometheus.Collector
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
		Name: "countersign_store_commit_logins", Help: "Logins that shared a commit, of the commits with any.",
		Buckets: prometheus.ExponentialBuckets(1, 2, 15),
	})
	m.accounting = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "countersign_store_commit_accounting_records", Help: "Accounting records that shared a commit, of the commits with any.",
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
	m.gaps = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_audit_gaps_total", Help: "How often a start or a recovery has found that the journal is not what was signed, or ends before it should.",
	})
	m.historyFailures = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "countersign_history_failures_total", Help: "Failures of the file with the sessions and the index of the journal.",
	})
	for _, reason := range []string{droppedFull, droppedLoading, droppedFailed, droppedDisk} {
		m.drops.WithLabelValues(reason)
	}
	m.all = []prometheus.Collector{
		m.commits, m.duration, m.logins, m.accounting, m.misses, m.drops, m.damaged, m.historyFailures, m.gaps,
		gauge("countersign_store_queue_depth", "Logins and accounting records under way.", s.queue.depth.Load),
		gauge("countersign_store_cached_users", "Accounts in memory.", s.cache.users.Load),
		gauge("countersign_store_unfolded_records", "Records of the journal that a start would replay.", s.unfolded.Load),
		gauge("countersign_store_ready", "1 while logins can be decided, else 0.", func() int64 {
			if s.Ready() != nil {
				return 0
			}
			return 1
		}),
		gauge("countersign_store_journal_batches", "Batches of the journal that are kept, as of a minute ago.", s.figures.journal.Load),
		gauge("countersign_store_accounting_batches", "Batches of the accounting log that are kept, as of a minute ago.", s.figures.accounting.Load),
		gauge("countersign_tokens_near_lock", "Tokens with at least half as many wrong codes as lock a token, as of a minute ago.", s.figures.nearLock.Load),
		gauge("countersign_tokens_locked", "Tokens that are locked, as of a minute ago.", s.figures.locked.Load),
		gauge("countersign_audit_checkpoint_timestamp_seconds", "When the journal was last signed, 0 for never.", s.figures.checkpoint.Load),
		gauge("countersign_history_behind_records", "Records of the journal that a search reads one by one; up to 32768 is normal.", s.history.journal.count),
		gauge("countersign_accounting_log_waiting_records", "Records of the accounting log that are in no session yet.", s.history.log.count),
		gauge("countersign_history_file_size_bytes", "Size of the file with the sessions and the index of the journal.", func() int64 { return fileSize(s.history.path) }),
		gauge("countersign_store_file_size_bytes", "Size of the database file.", func() int64 { return fileSize(s.options.Path) }),
		gauge("countersign_store_free_bytes", "Room on the disk of the database file that is left to us.", func() int64 { return int64(s.disk.free.Load()) }),
		gauge("countersign_store_reserve_bytes", "Below so much room sessions wait, and below half of it accounting records are not taken.", func() int64 { return int64(s.disk.reserve.Load()) }),
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

func (m *metrics) committed(b *batch, took time.Duration) {
	m.commits.Inc()
	m.duration.Observe(took.Seconds())
	if n := len(b.attempts); n > 0 {
		m.logins.Observe(float64(n))
	}
	if n := len(b.done); n > 0 {
		m.accounting.Observe(float64(n))
	}
}

func (m *metrics) dropped(reason string) { m.drops.WithLabelValues(reason).Inc() }
