package directory

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// operation is what a directory is asked to do.
type operation uint8

const (
	opLookup   operation = iota // a user and their groups
	opPassword                  // whether a password is right
	opList                      // all users
	operationCount
)

var operations = [operationCount]string{"lookup", "password", "list"}

// outcome is what came of it.
type outcome uint8

const (
	succeeded outcome = iota // found; agreed; listed
	notFound
	refused
	failed // nobody knows
	outcomeCount
)

var outcomes = [outcomeCount]string{"succeeded", "not_found", "refused", "failed"}

// possible are the outcomes of each operation.
var possible = [operationCount][]outcome{{succeeded, notFound, failed}, {succeeded, refused, failed}, {succeeded, failed}}

// recollection is how the cache answered.
type recollection uint8

const (
	hit recollection = iota
	stale
	missed      // a server has to be asked
	unavailable // no server answers
	recollectionCount
)

var recollections = [recollectionCount]string{"hit", "stale", "miss", "unavailable"}

// metrics are the figures of a Repository. User names are in none of them.
type metrics struct {
	operations *prometheus.CounterVec
	duration   *prometheus.HistogramVec
	cache      *prometheus.CounterVec
	up         *prometheus.GaugeVec
}

func newMetrics() *metrics {
	return &metrics{
		operations: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_directory_operations_total", Help: "What directories were asked, by result.",
		}, []string{"directory", "operation", "result"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "countersign_directory_operation_duration_seconds", Help: "How long a directory took to answer, waiting for a connection included.",
			Buckets: []float64{0.5e-3, 1e-3, 2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 100e-3, 250e-3, 500e-3, 1, 2.5, 5, 10, 30},
		}, []string{"directory", "operation"}),
		cache: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "countersign_directory_cache_requests_total", Help: "Users asked of the cache, by how it answered.",
		}, []string{"directory", "result"}),
		up: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "countersign_directory_server_up", Help: "1 while a server of a directory is in service, else 0.",
		}, []string{"directory", "server"}),
	}
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{m.operations, m.duration, m.cache, m.up}
}

func (m *metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	var errs []error
	for _, c := range m.all() {
		errs = append(errs, r.Register(c))
	}
	return errors.Join(errs...)
}

func (m *metrics) unregister(r prometheus.Registerer) {
	if r == nil {
		return
	}
	for _, c := range m.all() {
		r.Unregister(c)
	}
}

// meter are the metrics of one directory, all of which start at zero.
type meter struct {
	operations [operationCount][outcomeCount]prometheus.Counter
	duration   [operationCount]prometheus.Observer
	cache      [recollectionCount]prometheus.Counter
}

func (m *metrics) directory(name string) *meter {
	of := new(meter)
	for o, word := range operations {
		of.duration[o] = m.duration.WithLabelValues(name, word)
		for _, r := range possible[o] {
			of.operations[o][r] = m.operations.WithLabelValues(name, word, outcomes[r])
		}
	}
	for r, word := range recollections {
		of.cache[r] = m.cache.WithLabelValues(name, word)
	}
	return of
}

// observe counts an operation that began at an instant of the wall clock.
func (m *meter) observe(o operation, r outcome, began time.Time) {
	m.operations[o][r].Inc()
	m.duration[o].Observe(time.Since(began).Seconds())
}
